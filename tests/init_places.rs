//! `rsops init` where something is already: rules above, hooks of others, work trees, identities in other places.
#![cfg(all(unix, feature = "age"))]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use support::keys::{fixture, recipient};
use support::outcome::{Ending, refused};
use support::program::binary;
use support::scratch::{Call, Scratch};

/// Somebody without any key, in a repository of his own, with the program on the search path.
struct Desk {
    scratch: Scratch,
}

impl Desk {
    fn new() -> Self {
        let scratch = Scratch::new();
        scratch.offer("rsops", &binary());
        let desk = Self { scratch };
        desk.call("git", &["init", "--quiet", "--initial-branch", "main"]).stdout();
        desk
    }

    fn call(&self, program: &str, arguments: &[&str]) -> Call<'_> {
        self.scratch.call_other(program, arguments).with_programs().by_author()
    }

    fn git(&self, arguments: &[&str]) {
        self.call("git", arguments).stdout();
    }

    /// What init says, called in a folder.
    fn init_in(&self, folder: &str, flags: &[&str]) -> String {
        let mut command = self.call("rsops", &[&["init", "--yes"], flags].concat()).command();
        let output = command.current_dir(self.scratch.folder().join(folder)).output().expect("the program");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn init(&self, flags: &[&str]) -> String {
        self.init_in("", flags)
    }

    fn identity(&self) -> PathBuf {
        self.scratch.root().join("home/.config/sops/age/keys.txt")
    }

    fn rules_name(&self, key: &str) {
        let rules = self.scratch.text(".sops.yaml");
        assert!(rules.contains(&recipient(key)), "{rules}");
        assert!(!self.identity().exists(), "one identity is enough");
    }
}

fn assert_says(text: &str, what: &str) {
    assert!(text.contains(what), "no {what:?} in {text}");
}

/// A second configuration took that of the team out of force, without a word.
#[test]
fn the_rules_of_the_team_above_stay_in_force() {
    let desk = Desk::new();
    let rules = format!("creation_rules:\n  - age: {}\n", recipient("age-alice"));
    desk.scratch.write(".sops.yaml", rules.as_bytes());
    desk.scratch.write("app/x/README", b"");
    let told = desk.init_in("app/x", &[]);
    assert!(!desk.scratch.exists("app/x/.sops.yaml"), "{told}");
    assert_says(&told, "counts in this folder and stays as it is");
    // and how to become one of the team
    assert_says(&told, "none of its rules names age1");
    assert_says(&told, "rsops updatekeys");
    assert_eq!(desk.scratch.text(".sops.yaml"), rules);
}

#[test]
fn rules_for_one_folder_are_told_to_be_that() {
    let desk = Desk::new();
    desk.scratch.write("app/README", b"");
    let told = desk.init_in("app", &[]);
    assert!(desk.scratch.exists("app/.sops.yaml") && !desk.scratch.exists(".sops.yaml"), "{told}");
    assert_says(&told, "in this folder only");
}

/// What lies above a repository is nobody's but the user's.
#[test]
fn rules_above_the_repository_do_not_count() {
    let desk = Desk::new();
    let above = desk.scratch.root().join(".sops.yaml");
    fs::write(&above, "creation_rules: []\n").expect("our own folder");
    let told = desk.init(&[]);
    assert!(desk.scratch.exists(".sops.yaml"), "{told}");
    assert_says(&told, "will not count in this repository any more");
}

#[test]
fn rules_under_a_wrong_name_are_told() {
    let desk = Desk::new();
    desk.scratch.write(".sops.yml", b"creation_rules: []\n");
    assert_says(&desk.init(&[]), "must be called \".sops.yaml\"");
}

/// Git makes a commit of a merge without asking the hook for commits.
#[test]
fn a_merge_that_brings_a_leak_is_stopped_too() {
    let desk = Desk::new();
    desk.init(&["--hook"]);
    desk.git(&["add", "."]);
    desk.git(&["commit", "--quiet", "--message", "Rules"]);
    desk.git(&["checkout", "--quiet", "-b", "leak"]);
    desk.scratch.write("secrets/leak.yaml", b"password: hunter2\n");
    desk.git(&["add", "."]);
    desk.git(&["commit", "--quiet", "--no-verify", "--message", "Leak"]);
    desk.git(&["checkout", "--quiet", "main"]);
    let merge = desk.call("git", &["merge", "--quiet", "--no-ff", "--no-edit", "leak"]).outcome();
    assert_ne!(merge.ending, Ending::Exited(0), "{}", merge.messages());
    assert_says(&merge.messages(), "1 finding in 1 file");
}

#[test]
fn hooks_go_where_the_configuration_of_the_repository_says() {
    let desk = Desk::new();
    desk.git(&["config", "core.hooksPath", ".githooks"]);
    desk.scratch.write("app/README", b"");
    desk.init_in("app", &["--hook"]);
    for name in ["pre-commit", "pre-merge-commit"] {
        let path = desk.scratch.folder().join(".githooks").join(name);
        let mode = fs::metadata(&path).expect(name).permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{name}");
        assert!(!desk.scratch.exists(&format!(".git/hooks/{name}")));
    }
}

/// A folder for all repositories of a user is not for one of them to write to.
#[test]
fn hooks_of_all_repositories_are_left_alone() {
    let desk = Desk::new();
    let shared = desk.scratch.root().join("home/hooks");
    desk.git(&["config", "--global", "core.hooksPath", "~/hooks"]);
    let told = desk.init(&["--hook"]);
    assert_says(&told, "leads out of this repository");
    assert_says(&told, "rsops check --staged || exit 1");
    assert!(!shared.exists(), "{told}");
    assert!(!told.contains("everything is set up"), "{told}");
    assert!(!desk.scratch.exists(".git/hooks/pre-commit"), "Git would not look there");
}

#[test]
fn a_work_tree_has_the_hooks_of_its_repository() {
    let desk = Desk::new();
    desk.git(&["commit", "--quiet", "--allow-empty", "--message", "First"]);
    desk.git(&["worktree", "add", "--quiet", "../tree"]);
    desk.init_in("../tree", &["--hook"]);
    assert!(
        desk.scratch.exists(".git/hooks/pre-commit") && desk.scratch.exists(".git/hooks/pre-merge-commit")
    );
    desk.scratch.write("../tree/secrets/leak.yaml", b"password: hunter2\n");
    desk.git(&["-C", "../tree", "add", "."]);
    let leak = desk.call("git", &["-C", "../tree", "commit", "--quiet", "--message", "Leak"]).outcome();
    assert_eq!(leak.ending, Ending::Exited(1), "{}", leak.messages());
}

/// Husky writes the folder that Git looks in anew each time; hooks lie beside it.
#[test]
fn husky_keeps_its_hooks_and_gets_ours_where_it_looks() {
    let desk = Desk::new();
    desk.git(&["config", "core.hooksPath", ".husky/_"]);
    for name in ["pre-commit", "pre-merge-commit"] {
        desk.scratch.write(&format!(".husky/_/{name}"), b"#!/usr/bin/env sh\n. \"$(dirname \"$0\")/h\"\n");
    }
    desk.scratch.write(".husky/pre-commit", b"npm test\n");
    let told = desk.init(&["--hook"]);
    assert_says(&told, ".husky/pre-commit is there already and stays as it is");
    assert_eq!(desk.scratch.text(".husky/pre-commit"), "npm test\n");
    assert_says(&desk.scratch.text(".husky/pre-merge-commit"), "rsops check --staged");
    assert_says(&desk.scratch.text(".husky/_/pre-commit"), "/h");
    // nothing is asked for once it is done
    desk.scratch.write(".husky/pre-commit", b"npm test\nrsops check --staged || exit 1\n");
    assert_says(&desk.init(&["--hook"]), "everything is set up already");
}

/// Neither a program nor a link is overwritten, wherever the link leads.
#[test]
fn hooks_that_are_no_text_are_kept() {
    let desk = Desk::new();
    desk.scratch.write(".git/hooks/pre-commit", b"\x7fELF\xff\xfe");
    symlink("../nowhere", desk.scratch.folder().join(".git/hooks/pre-merge-commit")).expect("our own folder");
    let told = desk.init(&["--hook"]);
    assert_says(&told, "pre-commit is there already");
    assert_says(&told, "pre-merge-commit is there already");
    assert_eq!(desk.scratch.read(".git/hooks/pre-commit").expect("kept"), b"\x7fELF\xff\xfe");
    assert!(!desk.scratch.exists(".git/nowhere"));
}

/// pre-commit looks for its file at the top of the repository and nowhere else.
#[test]
fn pre_commit_gets_its_file_where_it_looks() {
    let desk = Desk::new();
    desk.scratch.write("app/README", b"");
    let told = desk.init_in("app", &["--pre-commit"]);
    let text = desk.scratch.text(".pre-commit-config.yaml");
    assert_says(
        &text,
        "default_install_hook_types: [pre-commit, pre-merge-commit]\nrepos:\n  - repo: local\n",
    );
    assert!(!desk.scratch.exists("app/.pre-commit-config.yaml"));
    assert_says(&told, "pre-commit install --hook-type pre-commit --hook-type pre-merge-commit");
}

/// What names of files hold went to the terminal as it was, and into the rule as another name.
#[test]
fn names_of_files_say_nothing_to_the_terminal() {
    let desk = Desk::new();
    let name = "k8s/x\u{1b}[31m\nfake: line.yaml";
    desk.scratch.write(name, b"kind: Secret\nstringData:\n  p: hunter2\n");
    let told = desk.init(&[]);
    assert!(!told.contains('\u{1b}') && !told.contains("\nfake"), "{told:?}");
    desk.call("rsops", &["encrypt", "--in-place", name]).stdout();
    assert_says(&desk.scratch.text(name), "kind: Secret\n");
    assert_says(&desk.scratch.text(name), "p: ENC[");
}

#[test]
fn a_second_identity_is_not_made_beside_one_in_another_place() {
    let desk = Desk::new();
    let alice = fs::read_to_string(fixture("keys/age-alice.txt")).expect("a key");
    let secret = alice.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).expect("an identity");
    desk.call("rsops", &["init", "--yes"]).variable("SOPS_AGE_KEY", secret).stdout();
    desk.rules_name("age-alice");

    let desk = Desk::new();
    let file = fixture("keys/age-bob.txt").display().to_string();
    desk.call("rsops", &["init", "--yes"]).variable("SOPS_AGE_KEY_FILE", &file).stdout();
    desk.rules_name("age-bob");

    // that of the default place counts even if the variable leads nowhere
    let desk = Desk::new();
    fs::create_dir_all(desk.identity().parent().expect("a folder")).expect("our own folder");
    fs::copy(fixture("keys/age-bob.txt"), desk.identity()).expect("our own folder");
    let missing = desk.scratch.root().join("missing.txt");
    let call = desk.call("rsops", &["init", "--yes"]);
    call.variable("SOPS_AGE_KEY_FILE", &missing.display().to_string()).stdout();
    assert_says(&desk.scratch.text(".sops.yaml"), &recipient("age-bob"));
    assert!(!missing.exists());

    // where it is not known for whom, that has to be said
    let desk = Desk::new();
    let call = desk.call("rsops", &["init", "--yes"]).variable("SOPS_AGE_KEY_CMD", "cat key");
    refused(&call.outcome(), 1, &["SOPS_AGE_KEY_CMD", "cannot be told", "rsops init --age age1"]);
    assert!(!desk.identity().exists() && !desk.scratch.exists(".sops.yaml"));
}

#[test]
fn nobody_to_agree_is_an_error_that_says_what_to_do() {
    let desk = Desk::new();
    let outcome = desk.call("rsops", &["init"]).outcome();
    assert_eq!(outcome.ending, Ending::Exited(1), "{}", outcome.messages());
    for what in ["nothing was changed", "nobody could agree", "hint: --yes"] {
        assert_says(&outcome.messages(), what);
    }
    assert!(!desk.identity().exists() && !desk.scratch.exists(".sops.yaml"));
    // a script may answer, and --yes needs no terminal
    desk.call("rsops", &["init"]).stdin(b"y\n").stdout();
    assert!(desk.scratch.exists(".sops.yaml"));
    assert_says(&desk.init(&[]), "everything is set up already");
}

/// An identity was made, and then no rule could be written that names it.
#[test]
fn nothing_is_done_where_not_all_can_be_done() {
    let desk = Desk::new();
    let root = desk.scratch.root();
    let mut command = desk.call("rsops", &["init", "--yes", "--hook"]).command();
    if rustix::process::geteuid().is_root() {
        // root may write anywhere
        for folder in [root.clone(), root.join("home"), desk.scratch.folder()] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("our own folder");
        }
        let home = root.join("home");
        std::os::unix::fs::chown(&home, Some(65534), Some(65534)).expect("root");
        command.uid(65534).gid(65534).env("GIT_CONFIG_COUNT", "1");
        command.env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
    } else {
        fs::set_permissions(desk.scratch.folder(), fs::Permissions::from_mode(0o555))
            .expect("our own folder");
    }
    let output = command.output().expect("the program");
    fs::set_permissions(desk.scratch.folder(), fs::Permissions::from_mode(0o755)).expect("our own folder");
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{messages}");
    assert_says(&messages.to_lowercase(), "permission denied");
    assert!(!desk.identity().exists() && !desk.scratch.exists(".sops.yaml"), "{messages}");
}

#[test]
fn calling_it_again_asks_for_nothing() {
    let desk = Desk::new();
    desk.init(&["--hook"]);
    let before = all_files(&desk.scratch.folder());
    assert_says(&desk.init(&["--hook"]), "everything is set up already");
    assert_eq!(all_files(&desk.scratch.folder()), before);
}

/// Files with their content, those of Git's own administration left out.
fn all_files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let hooks = folder.join(".git/hooks");
    let paths = [folder.join(".sops.yaml"), hooks.join("pre-commit"), hooks.join("pre-merge-commit")];
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("there"))).collect()
}
