//! `rsops init`: from nothing to a repository that keeps its secrets.

mod hooks;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use rsops::config::FILE_NAME;
use rsops::keys::age::{NewIdentity, recipients_of};
use rsops::keys::secrecy::ExposeSecret as _;
use rsops::keys::{Key, Kind};

use crate::cli::environment::{age_key_file, age_key_text};
use crate::cli::error::CommandError;
use crate::cli::options::KeyOptions;
use crate::cli::place::current_directory;
use crate::cli::prompt::confirm;
use crate::cli::repository::{self, Which};
use crate::cli::ui::Ui;
use crate::cli::write_file::{write_file, write_new_private};

/// Set up a repository: an age identity, rules, hooks
///
/// Makes an age identity where there is none, and writes a .sops.yaml that fits what lies in the folder. What will be
/// done is shown, and done once that is agreed to; nothing that exists is overwritten. Calling it again does what is
/// left to do.
#[derive(Args)]
pub(crate) struct Init {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Also install a Git hook that refuses commits with secrets in clear
    #[arg(long)]
    hook: bool,
    /// Also add the hook to .pre-commit-config.yaml
    #[arg(long)]
    pre_commit: bool,
    #[command(flatten)]
    keys: KeyOptions,
}

/// Something to do.
enum Step {
    /// An identity that is not there yet, for its owner alone.
    Identity { path: PathBuf, identity: NewIdentity },
    /// A file, new or with something added.
    File { path: PathBuf, what: &'static str, text: String, executable: bool },
}

impl Init {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let ui = Ui::new(false);
        let folder = current_directory()?;
        let mut notes = Vec::new();
        let mut steps = Vec::new();
        let keys = match self.keys.keys()? {
            Some(keys) => keys,
            None => self.own_keys(&mut steps, &mut notes)?,
        };
        let files = files(&folder)?;
        self.plan_rules(&folder, &files, &keys, &mut steps, &mut notes);
        if self.hook {
            hooks::plan_git_hook(&folder, &mut steps, &mut notes)?;
        }
        if self.pre_commit {
            hooks::plan_pre_commit(&folder, &mut steps, &mut notes)?;
        }
        for note in &notes {
            ui.print_line(note)?;
        }
        if !steps.is_empty() {
            for step in &steps {
                ui.print(step.shown(&folder).as_bytes())?;
            }
            if !self.yes && !confirm(&ui, "Is this okay? (y/n): ")? {
                return ui.print_line("nothing was changed");
            }
            steps.iter().try_for_each(Step::take)?;
        }
        ui.print(next_steps(&files, steps.is_empty()).as_bytes())
    }

    /// The recipients of the identity at hand, or of one that will be made.
    fn own_keys(&self, steps: &mut Vec<Step>, notes: &mut Vec<String>) -> Result<Vec<Key>, CommandError> {
        let parse = |recipients: &[String]| {
            let parse = |recipient: &String| Kind::Age.parse_list(recipient, &Default::default());
            let keys: Result<Vec<Vec<Key>>, _> = recipients.iter().map(parse).collect();
            keys.map(|keys| keys.concat()).map_err(CommandError::Key)
        };
        if let Some(text) = age_key_text() {
            let recipients = recipients_of(text.expose_secret().as_bytes());
            if !recipients.is_empty() {
                notes.push("using the age identity of SOPS_AGE_KEY".to_owned());
                return parse(&recipients);
            }
        }
        let path = age_key_file().map_err(CommandError::NoPlaceForIdentity)?;
        match fs::read(&path) {
            Ok(text) => {
                let recipients = recipients_of(&zeroize::Zeroizing::new(text));
                if recipients.is_empty() {
                    return Err(CommandError::NoRecipients(path));
                }
                notes.push(format!("using the age identity in {}", path.display()));
                parse(&recipients)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let identity = NewIdentity::generate();
                let keys = parse(std::slice::from_ref(&identity.recipient));
                steps.push(Step::Identity { path, identity });
                keys
            }
            Err(error) => Err(CommandError::Read { path, error }),
        }
    }

    fn plan_rules(
        &self,
        folder: &Path,
        files: &[PathBuf],
        keys: &[Key],
        steps: &mut Vec<Step>,
        notes: &mut Vec<String>,
    ) {
        let path = folder.join(FILE_NAME);
        if path.exists() {
            notes.push(format!("{FILE_NAME} is there already and stays as it is"));
            return;
        }
        let manifests = rules::manifests(folder, files);
        let text = rules::configuration(keys, &manifests);
        steps.push(Step::File { path, what: "rules", text, executable: false });
    }
}

/// Files of the folder that could hold secrets, relative to it.
fn files(folder: &Path) -> Result<Vec<PathBuf>, CommandError> {
    Ok(repository::files(folder, Path::new("."), Which::NotIgnored)?.paths)
}

impl Step {
    /// What will be done, for people.
    fn shown(&self, folder: &Path) -> String {
        match self {
            Self::Identity { path, identity } => format!(
                "a new age identity: {}\n    recipient {}\n    keep a copy of this file in a safe place; without it \
                 nothing can be decrypted\n",
                path.display(),
                identity.recipient
            ),
            Self::File { path, what, text, .. } => {
                let shown = path.strip_prefix(folder).unwrap_or(path);
                let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
                format!("{what}: {}\n{lines}", shown.display())
            }
        }
    }

    fn take(&self) -> Result<(), CommandError> {
        let failed =
            |path: &Path, error| CommandError::Write { in_place: false, path: path.to_owned(), error };
        match self {
            Self::Identity { path, identity } => {
                write_new_private(path, identity.text.expose_secret().as_bytes())
                    .map_err(|error| failed(path, error))
            }
            Self::File { path, text, executable, .. } => {
                let write = || {
                    if let Some(parent) = path.parent() {
                        fs::create_dir_all(parent)?;
                    }
                    write_file(path, text.as_bytes())?;
                    if *executable {
                        use std::os::unix::fs::PermissionsExt as _;
                        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
                    }
                    Ok(())
                };
                write().map_err(|error| failed(path, error))
            }
        }
    }
}

fn next_steps(files: &[PathBuf], nothing_done: bool) -> String {
    let start = if nothing_done { "everything is set up already" } else { "done" };
    let folder = files.iter().any(|file| file.starts_with("secrets"));
    let example = if folder {
        "rsops check                      # which files should be encrypted, and are not"
    } else {
        "rsops edit secrets/example.yaml  # makes a file, in your editor"
    };
    format!(
        "{start}. next:\n    {example}\n    rsops check --staged             # before a commit: is anything in clear?\n"
    )
}
