//! A folder to try things in, closed off from the person who runs the tests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::keys::{age_identities, fill_gnupg_home, import, make_private, ssh_key, stop_gnupg};
use super::outcome::Outcome;
use super::program::{binary, run};

/// `work/` is where the program runs; its neighbours are the home, the temporary files and the keys.
pub(crate) struct Scratch {
    root: TempDir,
    /// One GnuPG home for each set of keys, so that a key meant for one run is not found by another.
    gnupg_homes: RefCell<BTreeMap<Vec<String>, PathBuf>>,
}

/// One run of the program, or of another one in its place, still to be told about keys, variables and input.
pub(crate) struct Call<'a> {
    scratch: &'a Scratch,
    program: PathBuf,
    arguments: Vec<String>,
    keys: Vec<String>,
    variables: BTreeMap<String, String>,
    stdin: Vec<u8>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let root = TempDir::new().expect("a temporary folder");
        for folder in ["work", "home"] {
            fs::create_dir(root.path().join(folder)).expect("an empty folder");
        }
        Self { root, gnupg_homes: RefCell::default() }
    }

    /// As the program sees it, symbolic links resolved.
    pub(crate) fn root(&self) -> PathBuf {
        self.root.path().canonicalize().expect("our own folder")
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root().join("work")
    }

    /// Writes into the working folder; scripts may be run.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().expect("inside the folder")).expect("our own folder");
        fs::write(&path, bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        if name.ends_with(".sh") {
            make_private(&path, 0o755);
        }
    }

    /// Where the programs lie that [`Call::with_programs`] finds first.
    pub(crate) fn programs(&self) -> PathBuf {
        self.root().join("bin")
    }

    /// Lays a program there.
    #[cfg(unix)]
    pub(crate) fn offer(&self, name: &str, program: &Path) {
        fs::create_dir_all(self.programs()).expect("our own folder");
        let program = program.canonicalize().expect("a program that is there");
        std::os::unix::fs::symlink(program, self.programs().join(name)).expect("our own folder");
    }

    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        fs::read(self.folder().join(name)).map_err(|e| format!("{name}: {e}"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        let bytes = self.read(name).unwrap_or_else(|complaint| panic!("{complaint}"));
        String::from_utf8(bytes).unwrap_or_else(|_| panic!("{name} is no text"))
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.folder().join(name).exists()
    }

    pub(crate) fn call(&self, arguments: impl IntoIterator<Item: AsRef<str>>) -> Call<'_> {
        self.call_other(binary(), arguments)
    }

    /// A run of another program where ours would run, as closed off from the person as it is.
    pub(crate) fn call_other(
        &self,
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item: AsRef<str>>,
    ) -> Call<'_> {
        Call {
            scratch: self,
            program: program.into(),
            arguments: arguments.into_iter().map(|argument| self.place(argument.as_ref())).collect(),
            keys: Vec::new(),
            variables: BTreeMap::new(),
            stdin: Vec::new(),
        }
    }

    /// `<DIR>` in vectors stands for the working folder.
    fn place(&self, text: &str) -> String {
        text.replace("<DIR>", &self.folder().display().to_string())
    }

    fn gnupg_home(&self, names: &[String]) -> PathBuf {
        let mut wanted: Vec<_> = names.iter().filter(|name| name.starts_with("pgp-")).cloned().collect();
        wanted.sort();
        let mut homes = self.gnupg_homes.borrow_mut();
        let fresh = self.root().join(format!("gnupg{}", homes.len()));
        let entry = homes.entry(wanted);
        let names = entry.key().clone();
        entry
            .or_insert_with(|| {
                fs::create_dir(&fresh).expect("our own folder");
                make_private(&fresh, 0o700);
                fill_gnupg_home(&names, &fresh);
                fresh
            })
            .clone()
    }

    /// The GnuPG home that a call with these keys gets.
    pub(crate) fn gnupg(&self, names: &[&str]) -> PathBuf {
        self.gnupg_home(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    /// A key that is not one of ours joins those of the empty set.
    pub(crate) fn import_pgp(&self, key: &Path) {
        import(key, &self.gnupg_home(&[]));
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for (keys, home) in self.gnupg_homes.borrow().iter() {
            // an agent starts with the first key that is imported or asked for
            if !keys.is_empty() || home.join("private-keys-v1.d").exists() {
                stop_gnupg(home);
            }
        }
    }
}

impl Call<'_> {
    /// The keys in reach, by their names in `tests/fixtures/keys`.
    pub(crate) fn keys(mut self, names: impl IntoIterator<Item: AsRef<str>>) -> Self {
        self.keys.extend(names.into_iter().map(|name| name.as_ref().to_owned()));
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), self.scratch.place(value));
        self
    }

    /// With what the scratch folder offers in front of the search path.
    pub(crate) fn with_programs(self) -> Self {
        let own = [self.scratch.programs()];
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(own.into_iter().chain(env::split_paths(&path))).expect("folders");
        self.variable("PATH", path.to_str().expect("a search path of text"))
    }

    /// As somebody whose commits Git takes.
    pub(crate) fn by_author(self) -> Self {
        let call = self.variable("GIT_AUTHOR_NAME", "A").variable("GIT_AUTHOR_EMAIL", "a@example.com");
        call.variable("GIT_COMMITTER_NAME", "A").variable("GIT_COMMITTER_EMAIL", "a@example.com")
    }

    pub(crate) fn variables(self, pairs: &BTreeMap<String, String>) -> Self {
        pairs.iter().fold(self, |call, (name, value)| call.variable(name, value))
    }

    pub(crate) fn stdin(mut self, bytes: &[u8]) -> Self {
        self.stdin = bytes.to_vec();
        self
    }

    /// Ready to be started, for those who want to do more than wait.
    pub(crate) fn command(&self) -> Command {
        let root = self.scratch.root();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(self.scratch.folder()).env_clear();
        command.envs(env::vars_os().filter(|(name, _)| name == "PATH" || name == "SYSTEMROOT"));
        command.env("HOME", root.join("home")).env("TMPDIR", &root);
        command.env("TZ", "UTC").env("LC_ALL", "C.UTF-8").env("SOPS_DISABLE_VERSION_CHECK", "1");
        command.env("GNUPGHOME", self.scratch.gnupg_home(&self.keys));
        if let Some(identities) = age_identities(&self.keys) {
            command.env("SOPS_AGE_KEY", identities);
        }
        if let Some(key) = ssh_key(&self.keys, &root) {
            command.env("SOPS_AGE_SSH_PRIVATE_KEY_FILE", key);
        }
        command.envs(&self.variables);
        command
    }

    pub(crate) fn outcome(self) -> Outcome {
        let finished = run(self.command(), self.stdin);
        let root = self.scratch.root();
        Outcome { ending: finished.ending, stdout: finished.stdout, stderr: finished.stderr, root }
    }

    /// For stories in which this call is bound to succeed.
    pub(crate) fn stdout(self) -> Vec<u8> {
        let told = format!("{} {}", self.program.display(), self.arguments.join(" "));
        let outcome = self.outcome();
        assert!(outcome.succeeded(), "{told}: {}: {}", outcome.ending, outcome.messages());
        outcome.stdout
    }
}
