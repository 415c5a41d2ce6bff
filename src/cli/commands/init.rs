//! `rsops init`: from nothing to a repository that keeps its secrets.

mod hooks;
mod identity;
mod plan;
mod rules;

use std::path::{Path, PathBuf};

use clap::Args;

use self::plan::Plan;
use crate::cli::error::CommandError;
use crate::cli::options::KeyOptions;
use crate::cli::place::current_directory;
use crate::cli::prompt::{PromptError, confirm};
use crate::cli::repository::{self, Which};
use crate::cli::ui::Ui;

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
    /// Also install Git hooks that refuse commits and merges with secrets in clear
    #[arg(long)]
    hook: bool,
    /// Also add the hook to .pre-commit-config.yaml
    #[arg(long)]
    pre_commit: bool,
    #[command(flatten)]
    keys: KeyOptions,
}

impl Init {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let ui = Ui::new(false);
        let folder = current_directory()?;
        let mut plan = Plan::default();
        let keys = match self.keys.keys()? {
            Some(keys) => keys,
            None => identity::own_keys(&mut plan)?,
        };
        let files = repository::files(&folder, Path::new("."), Which::NotIgnored)?.paths;
        rules::plan_rules(&folder, &files, &keys, &mut plan)?;
        if self.hook {
            hooks::plan_git_hooks(&folder, &mut plan)?;
        }
        if self.pre_commit {
            hooks::plan_pre_commit(&folder, &mut plan)?;
        }
        plan.examine()?;
        ui.print(plan.shown(&folder).as_bytes())?;
        if plan.has_steps() {
            if !self.yes && !agreed(&ui)? {
                return ui.print_line("nothing was changed");
            }
            plan.carry_out()?;
        }
        ui.print(next_steps(&files, &plan).as_bytes())
    }
}

fn agreed(ui: &Ui) -> Result<bool, CommandError> {
    match confirm(ui, "Is this okay? (y/n): ") {
        Err(CommandError::Prompt(PromptError::EndOfInput)) => {
            // the question stays without an answer
            ui.print_line("")?;
            Err(CommandError::NobodyAgreed)
        }
        answer => answer,
    }
}

fn next_steps(files: &[PathBuf], plan: &Plan) -> String {
    let start = match (plan.is_fulfilled(), plan.has_steps()) {
        (true, _) => "everything is set up already",
        (_, true) => "done",
        _ => "nothing was changed",
    };
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
