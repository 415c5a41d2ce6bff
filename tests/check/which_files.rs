//! Which files are looked at: what git tracks, in every state that a repository can be in, and what is none of its
//! files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use serde_json::Value;

use super::support::keys::recipient;
use super::support::outcome::refused;
use super::support::scratch::Scratch;
use super::{FORMATS, Repository, at};

/// Guards against encrypted files that are invisible because of their names.
#[test]
fn an_encrypted_file_is_one_whatever_its_name() {
    let names = ["x.txt", "x.enc", "x.conf", "x.YAML", "x", "x.yaml.bak"];
    for (format, (_, text)) in ["yaml", "json", "dotenv", "ini"].iter().zip(FORMATS) {
        let repository = Repository::new();
        for name in names {
            let flags = ["--input-type", format, "--output-type", format];
            repository.seal(&format!("secrets/{name}"), text, &flags);
        }
        assert_eq!(repository.check(&[]), [], "{format}");
        assert_eq!(repository.check(&["--verify"]), [], "{format}");
        let bob = recipient("age-bob");
        repository
            .write(".sops.yaml", &format!("creation_rules:\n  - path_regex: ^secrets/\n    age: {bob}\n"));
        let codes = repository.codes(&[]);
        assert_eq!(codes.len(), names.len(), "{format}: {codes:?}");
        assert!(codes.iter().all(|code| code.ends_with(" recipient-drift")), "{format}: {codes:?}");
        let outcome = repository.scratch.call(["check"]).outcome();
        let text = String::from_utf8(outcome.stdout).expect("text");
        assert!(text.contains(&format!("rsops updatekeys --input-type {format} secrets/x.txt")), "{text}");
    }
}

#[test]
fn a_leak_is_found_in_an_encrypted_file_whatever_its_name() {
    let repository = Repository::new();
    let flags = ["--input-type", "yaml", "--output-type", "yaml"];
    repository.seal("secrets/x.txt", "a: one\n", &flags);
    repository.replace("secrets/x.txt", "a: ", "leaked: 5\na: ");
    assert_eq!(repository.check(&[]), [at("plaintext-value", "secrets/x.txt", 1, 1)]);
    // JSON under a name of YAML, and with the line breaks of another system
    let sealed = ["--output-type", "json"];
    repository.seal("secrets/x.yaml", "a: one\n", &sealed);
    let text = repository.scratch.text("secrets/x.yaml").replace('\n', "\r\n");
    repository.write("secrets/x.yaml", &text);
    repository.write("notes.md", "```yaml\na: ENC[AES256_GCM,data:x]\nsops:\n    lastmodified: x\n```\n");
    assert_eq!(repository.check(&[]), [at("plaintext-value", "secrets/x.txt", 1, 1)]);
}

/// Guards against a check that looks at other files than those that are tracked, because git would not say which are.
#[test]
fn a_repository_that_git_does_not_read_is_an_error() {
    let repository = Repository::new();
    repository.write("sub/x.yaml", "a: 1\n");
    for folder in [".", "sub"] {
        for arguments in [&["check"][..], &["check", "--staged"], &["check", "--all"]] {
            let call = repository.scratch.call(arguments).variable("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
            let output = call
                .command()
                .current_dir(repository.scratch.folder().join(folder))
                .output()
                .expect("the program");
            let messages = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{messages}");
            assert!(messages.contains("dubious ownership") && messages.contains("hint: "), "{messages}");
        }
    }
    // without git at all
    let call = repository.scratch.call(["check"]).variable("PATH", "/nowhere");
    refused(&call.outcome(), 1, &["git cannot be run", "hint: "]);
    // and with a repository that is damaged
    fs::remove_file(repository.scratch.folder().join(".git/HEAD")).expect("our own file");
    refused(&repository.scratch.call(["check"]).outcome(), 1, &["not a git repository"]);
}

#[test]
fn a_repository_without_a_work_tree_is_an_error() {
    let scratch = Scratch::new();
    scratch.call_other("git", ["init", "--quiet", "--bare"]).stdout();
    refused(&scratch.call(["check"]).outcome(), 1, &["without a work tree"]);
    // which does not matter for what lies elsewhere
    let scratch = Scratch::new();
    scratch.call_other("git", ["init", "--quiet", "--bare", ".git"]).stdout();
    scratch.call_other("git", ["init", "--quiet", "tree"]).stdout();
    scratch.write("tree/k8s.yaml", b"kind: Secret\ndata:\n  p: cQ==\n");
    let outcome = scratch.call(["check", "--all", "tree"]).outcome();
    assert!(String::from_utf8_lossy(&outcome.stdout).starts_with("tree/k8s.yaml:3:3: kubernetes-secret"));
}

/// Guards against files that tools for searching ignore and git does not.
#[test]
fn outside_of_a_repository_only_its_own_gitignore_counts() {
    let scratch = Scratch::new();
    scratch.write("work/.sops.yaml", b"creation_rules:\n  - path_regex: x\n");
    // of somebody who keeps a home under version control
    scratch.write(".gitignore", b"*\n");
    scratch.write("work/.ignore", b"*.yaml\n");
    scratch.write("work/.rgignore", b"*.yaml\n");
    scratch.write("work/.gitignore", b"*.tmp\n");
    scratch.write("work/x.yaml", b"a: 1\n");
    scratch.write("work/x.tmp", b"a: 1\n");
    let mut command = scratch.call(["check"]).variable("GIT_CEILING_DIRECTORIES", "/").command();
    let output = command.current_dir(scratch.folder().join("work")).output().expect("the program");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("x.yaml: plaintext-file") && !text.contains("x.tmp"), "{text}");
}

/// Guards against names that lose what is no text in them, so that no program finds the file.
#[test]
fn names_that_are_no_text_survive_in_every_format() {
    let repository = Repository::new();
    let name = OsStr::from_bytes(b"secrets/\xff%\n.yaml");
    let path = repository.scratch.folder().join(name);
    fs::create_dir_all(path.parent().expect("inside")).expect("our own folder");
    if fs::write(&path, "a: 1\n").is_err() {
        eprintln!("skipped: this file system has no names that are no text");
        return;
    }
    repository.git(&["add", "--all"]);
    let output = |format: &str| {
        let outcome = repository.scratch.call(["check", "--format", format]).outcome();
        String::from_utf8(outcome.stdout).expect("text")
    };
    let json: Value = serde_json::from_str(&output("json")).expect("JSON");
    assert_eq!(json[0]["uri"], "secrets/%FF%25%0A.yaml");
    assert_eq!(json[0]["path"], "secrets/\u{FFFD}%\n.yaml");
    let sarif: Value = serde_json::from_str(&output("sarif")).expect("JSON");
    let location = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "secrets/%FF%25%0A.yaml");
    assert_eq!(location["artifactLocation"]["uriBaseId"], "%SRCROOT%");
    assert!(output("github").starts_with("::error file=secrets/\u{FFFD}%25%0A.yaml,"));
    assert!(output("human").contains("rsops encrypt --in-place $'secrets/\\xff%\\x0a.yaml'"));
}

#[test]
fn github_is_told_paths_from_the_top_of_the_repository() {
    let repository = Repository::new();
    repository.write("secrets/x.yaml", "a: 1\n");
    repository.write("sub/x", "x");
    for (arguments, expected) in [
        (&["--format", "github"][..], "::error file=secrets/x.yaml,"),
        (&["--format", "sarif"], "\"uri\": \"secrets/x.yaml\""),
        (&["--format", "json"], "\"path\": \"../secrets/x.yaml\""),
        (&["--format", "sarif", "."], "\"results\": []"),
    ] {
        let call = repository.scratch.call([&["check", "--staged"], arguments].concat());
        let mut command = call.command();
        let output =
            command.current_dir(repository.scratch.folder().join("sub")).output().expect("the program");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(expected), "{text}");
    }
}

/// Guards against a mistyped path that looks like a clean bill.
#[test]
fn a_path_that_matches_nothing_is_an_error() {
    let repository = Repository::new();
    repository.seal("secrets/x.yaml", "a: 1\n", &[]);
    repository.write("gone.yaml", "a: 1\n");
    repository.git(&["commit", "--quiet", "--message", "x"]);
    repository.scratch.write("new/x.yaml", b"a: 1\n");
    fs::create_dir(repository.scratch.folder().join("empty")).expect("our own folder");
    for path in ["nothing", "nothing/", "new", "new/x.yaml", "empty", "secrets/*.yaml"] {
        refused(&repository.scratch.call(["check", "--staged", path]).outcome(), 100, &[path, "hint: "]);
    }
    for path in ["nothing", "new", "empty", "secrets/*.yaml"] {
        refused(&repository.scratch.call(["check", path]).outcome(), 100, &[path]);
    }
    refused(&repository.scratch.call(["check", "--all", "empty"]).outcome(), 100, &["empty"]);
    assert_eq!(repository.check(&["--all", "new"]), []);
    // what is there and does not change is no mistake, nor is what is removed
    repository.git(&["rm", "--quiet", "gone.yaml"]);
    for path in ["secrets", "secrets/x.yaml", "gone.yaml", "."] {
        assert_eq!(repository.check(&["--staged", path]), [], "{path}");
    }
    assert_eq!(repository.check(&["--staged", "secrets", "gone.yaml"]), []);
}

#[test]
fn a_path_is_a_path_and_no_pattern() {
    let repository = Repository::new();
    repository.write("secrets/[ab].yaml", "a: 1\n");
    repository.write("secrets/a.yaml", "a: 1\n");
    for flags in [&["secrets/[ab].yaml"][..], &["--staged", "secrets/[ab].yaml"]] {
        assert_eq!(repository.codes(flags), ["secrets/[ab].yaml plaintext-file"]);
    }
}

#[test]
fn the_temporary_index_of_a_hook_counts() {
    let repository = Repository::new();
    repository.seal("secrets/x.yaml", "a: 1\n", &[]);
    repository.write("secrets/other.yaml", &repository.scratch.text("secrets/x.yaml"));
    repository.git(&["commit", "--quiet", "--message", "x"]);
    let hook =
        format!("#!/bin/sh\nexec {} check \"$@\" --staged\n", super::support::program::binary().display());
    repository.scratch.write(".git/hooks/pre-commit.sh", hook.as_bytes());
    let hooks = repository.scratch.folder().join(".git/hooks");
    fs::rename(hooks.join("pre-commit.sh"), hooks.join("pre-commit")).expect("our own file");
    let commit = |folder: &Path, arguments: &[&str]| {
        let identity = ["-c", "user.name=Alice", "-c", "user.email=alice@example.com", "commit", "--quiet"];
        let call = repository.scratch.call_other("git", [&identity[..], arguments].concat());
        let output = call.command().current_dir(folder).output().expect("git");
        // git gives a hook its standard error for both
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let top = repository.scratch.folder();
    // nothing of it is in the ordinary index
    repository.scratch.write("secrets/x.yaml", b"a: 1\n");
    for arguments in [&["--all", "--message", "y"][..], &["secrets/x.yaml", "--message", "y"]] {
        let (committed, text) = commit(&top, arguments);
        assert!(!committed && text.contains("secrets/x.yaml: plaintext-file"), "{text}");
    }
    let (committed, text) = commit(&top.join("secrets"), &["--all", "--message", "y"]);
    assert!(!committed && text.contains("secrets/x.yaml: plaintext-file"), "{text}");
    // what stays out of the commit has no say
    repository.scratch.write("secrets/other.yaml", repository.scratch.text("secrets/other.yaml").as_bytes());
    repository.scratch.write("README", b"x\n");
    repository.git(&["add", "README"]);
    let (committed, text) = commit(&top, &["README", "--message", "y"]);
    assert!(committed, "{text}");
    // a second work tree
    repository.git(&["worktree", "add", "--quiet", "../second"]);
    let second = repository.scratch.root().join("second");
    fs::write(second.join("secrets/x.yaml"), "a: 1\n").expect("our own folder");
    let (committed, text) = commit(&second.join("secrets"), &["--all", "--message", "y"]);
    assert!(!committed && text.contains("secrets/x.yaml: plaintext-file"), "{text}");
}

/// Guards against settings of people that change what git answers.
#[test]
fn no_setting_of_git_hides_a_file() {
    let repository = Repository::new();
    repository.write("secrets/new.yaml", "a: 1\n");
    repository.write("sub/x", "x");
    for (name, value) in [
        ("diff.relative", "true"),
        ("color.ui", "always"),
        ("color.diff", "always"),
        ("diff.renames", "copies"),
        ("diff.external", "true"),
        ("core.quotePath", "true"),
        ("core.pager", "true"),
    ] {
        repository.git(&["config", name, value]);
    }
    for kind in ["LITERAL", "NOGLOB", "ICASE", "GLOB"] {
        let call = repository.scratch.call(["check", "--staged"]);
        let call = call.variable(&format!("GIT_{kind}_PATHSPECS"), "1");
        let output = call
            .command()
            .current_dir(repository.scratch.folder().join("sub"))
            .output()
            .expect("the program");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.starts_with("../secrets/new.yaml: plaintext-file"), "{kind}: {text}");
    }
}

#[test]
fn what_is_only_announced_is_not_committed() {
    let repository = Repository::new();
    repository.scratch.write("secrets/x.yaml", b"a: 1\n");
    repository.git(&["add", "--intent-to-add", "secrets/x.yaml"]);
    assert_eq!(repository.check(&["--staged", ".sops.yaml"]), []);
    assert_eq!(repository.check(&["--staged"]), []);
    assert_eq!(repository.codes(&[]), ["secrets/x.yaml plaintext-file"]);
}

#[test]
fn an_open_merge_is_looked_at_on_disk_and_once() {
    let repository = Repository::new();
    repository.seal("secrets/x.yaml", "a: 1\n", &[]);
    repository.git(&["commit", "--quiet", "--message", "x"]);
    repository.git(&["checkout", "--quiet", "-b", "other"]);
    repository.write("secrets/x.yaml", "a: 2\n");
    repository.git(&["commit", "--quiet", "--message", "other"]);
    repository.git(&["checkout", "--quiet", "-"]);
    repository.write("secrets/x.yaml", "a: 3\n");
    repository.git(&["commit", "--quiet", "--message", "ours"]);
    let merge = repository.scratch.call_other(
        "git",
        ["-c", "user.name=Alice", "-c", "user.email=a@example.com", "merge", "--quiet", "other"],
    );
    let merge = merge.outcome();
    assert!(!merge.succeeded());
    for flags in [&[][..], &["--staged"], &["--all"]] {
        let codes = repository.codes(flags);
        assert_eq!(codes, ["secrets/x.yaml plaintext-file", "secrets/x.yaml conflict-marker"], "{flags:?}");
    }
}

#[test]
fn deleted_renamed_and_replaced_files_are_no_trouble() {
    let repository = Repository::new();
    repository.seal("secrets/x.yaml", "a: 1\n", &[]);
    repository.write("plain/one.yaml", "a: 1\n");
    repository.write("plain/two.yaml", "a: 1\n");
    repository.write("link", "x");
    repository.git(&["commit", "--quiet", "--message", "x"]);
    let folder = repository.scratch.folder();
    fs::remove_file(folder.join("plain/two.yaml")).expect("our own file");
    fs::remove_file(folder.join("link")).expect("our own file");
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).expect("our own folder");
    assert_eq!(repository.check(&[]), []);
    // renamed to where a rule names it
    repository.git(&["mv", "plain/one.yaml", "secrets/one.yaml"]);
    assert_eq!(repository.codes(&["--staged"]), ["secrets/one.yaml plaintext-file"]);
}

#[test]
fn links_to_folders_and_loops_end() {
    let repository = Repository::new();
    repository.write("secrets/x.yaml", "a: 1\n");
    let folder = repository.scratch.folder();
    for (target, link) in [("..", "secrets/up"), ("secrets", "current"), ("loop", "loop")] {
        std::os::unix::fs::symlink(target, folder.join(link)).expect("our own folder");
    }
    repository.git(&["add", "--all"]);
    for flag in ["--all", "--staged"] {
        assert_eq!(repository.codes(&[flag]), ["secrets/x.yaml plaintext-file"], "{flag}");
    }
    // whoever names the link means what it leads to
    assert_eq!(repository.codes(&["current"]).len(), 0, "no rule names current/x.yaml");
    repository.write("current/k8s.yaml", "kind: Secret\ndata:\n  p: cQ==\n");
    assert_eq!(repository.codes(&["current"]), ["current/k8s.yaml kubernetes-secret"]);
    refused(&repository.scratch.call(["check", "loop"]).outcome(), 100, &["loop"]);
}

#[test]
fn other_repositories_inside_are_checked_when_they_are_named() {
    let repository = Repository::new();
    repository.write("secrets/README", "x\n");
    let inner = repository.scratch.folder().join("inner");
    repository.git(&["init", "--quiet", "inner"]);
    repository.scratch.write("inner/secrets/x.yaml", b"kind: Secret\ndata:\n  p: cQ==\n");
    let add = repository.scratch.call_other("git", ["add", "--all"]);
    assert!(add.command().current_dir(&inner).status().expect("git").success());
    assert_eq!(repository.codes(&["--allow", "plaintext-file"]), [""; 0]);
    assert_eq!(repository.codes(&["inner"]), ["inner/secrets/x.yaml kubernetes-secret"]);
    assert_eq!(repository.codes(&["--all", "inner"]), ["inner/secrets/x.yaml kubernetes-secret"]);
}

#[test]
fn what_a_killed_command_left_behind_is_found() {
    let repository = Repository::new();
    repository.write("secrets/.rsops-x1Y2z3", "a: 1\n");
    assert_eq!(repository.codes(&["--staged"]), ["secrets/.rsops-x1Y2z3 leftover"]);
}

#[test]
fn what_a_sparse_checkout_leaves_out_is_not_there() {
    let repository = Repository::new();
    repository.write("secrets/x.yaml", "a: 1\n");
    repository.write("kept/x", "x");
    repository.git(&["commit", "--quiet", "--message", "x"]);
    repository.git(&["sparse-checkout", "set", "kept"]);
    assert_eq!(repository.check(&[]), []);
    assert_eq!(repository.check(&["--all"]), []);
}

/// A check by somebody whom permissions stop, whoever runs the tests.
fn check_as_nobody(scratch: &Scratch, arguments: &[&str]) -> (Option<i32>, String, String) {
    let call = scratch.call([&["check"], arguments].concat());
    // git refuses the repositories of others
    let call = call.variable("GIT_CONFIG_COUNT", "1").variable("GIT_CONFIG_KEY_0", "safe.directory");
    let mut command = call.variable("GIT_CONFIG_VALUE_0", "*").command();
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(scratch.root(), fs::Permissions::from_mode(0o755)).expect("our own folder");
        command.uid(65534).gid(65534);
    }
    let output = command.output().expect("the program");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Guards against folders that are left out in silence, and a file that keeps all findings back.
#[test]
fn what_cannot_be_read_is_told_and_the_others_are_checked() {
    let repository = Repository::new();
    repository.write("a/x.yaml", "a: 1\n");
    repository.write("secrets/x.yaml", "a: 1\n");
    repository.scratch.write("new/x.yaml", b"a: 1\n");
    let lock = |name: &str, mode: u32| {
        let path = repository.scratch.folder().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
    };
    lock("a/x.yaml", 0o000);
    lock("new", 0o000);
    for (flags, unread) in [(&[][..], &["a/x.yaml"][..]), (&["--all"], &["a/x.yaml", "new/"])] {
        let (status, findings, messages) = check_as_nobody(&repository.scratch, flags);
        assert_eq!(status, Some(1), "{messages}");
        assert!(findings.contains("secrets/x.yaml: plaintext-file"), "{findings}");
        assert!(unread.iter().all(|name| messages.contains(name)), "{messages}");
        assert!(messages.contains("ermission denied"), "{messages}");
    }
    // nor is it a success if nothing is found
    let (status, findings, messages) = check_as_nobody(&repository.scratch, &["a"]);
    assert_eq!((status, findings.as_str()), (Some(1), ""), "{messages}");
    fs::rename(repository.scratch.folder().join(".git"), repository.scratch.root().join("git"))
        .expect("our own folder");
    let (status, findings, messages) = check_as_nobody(&repository.scratch, &[]);
    assert_eq!(status, Some(1), "{messages}");
    assert!(findings.contains("secrets/x.yaml: plaintext-file"), "{findings}");
    assert!(messages.contains("a/x.yaml") && messages.contains("new"), "{messages}");
    lock("new", 0o755);
}
