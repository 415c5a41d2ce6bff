//! git shows the differences of encrypted files in clear, and refuses to commit secrets in clear.

use super::guides::commands;
use super::support::outcome::Ending;
use super::{Desk, on_path, text};

const SECRETS: &str = "secrets/prod.yaml";

/// A repository as its guide sets it up, with one encrypted file in it.
fn repository() -> Option<Desk> {
    on_path("git")?;
    let desk = Desk::new();
    git(&desk, &["init", "--quiet"]);
    git(&desk, &["config", "user.name", "Alice"]);
    git(&desk, &["config", "user.email", "alice@example.com"]);
    desk.run("sh", &["-c", &commands("git.md")]).stdout();
    desk.seal(SECRETS, "user: app\npassword: old secret\n");
    git(&desk, &["add", "."]);
    git(&desk, &["commit", "--quiet", "--message", "Secrets"]);
    Some(desk)
}

fn git(desk: &Desk, arguments: &[&str]) -> String {
    text(desk.run("git", arguments).variable("GIT_CONFIG_NOSYSTEM", "1").stdout())
}

fn assert_shows_the_change(difference: &str) {
    for line in ["\n user: app\n", "\n-password: old secret\n", "\n+password: new secret\n"] {
        assert!(difference.contains(line), "{line:?} is missing in {difference}");
    }
    assert!(!difference.contains("ENC["), "{difference}");
}

#[test]
fn a_difference_is_shown_in_clear() {
    let Some(desk) = repository() else { return };
    desk.seal(SECRETS, "user: app\npassword: new secret\n");
    assert_shows_the_change(&git(&desk, &["diff"]));
    git(&desk, &["commit", "--quiet", "--all", "--message", "Change the password"]);
    assert_shows_the_change(&git(&desk, &["show"]));
    assert_shows_the_change(&git(&desk, &["log", "-1", "--patch"]));
    let stored = git(&desk, &["show", "--no-textconv"]);
    assert!(stored.contains("+password: ENC[AES256_GCM,") && !stored.contains("new secret"), "{stored}");
}

#[test]
fn a_rotated_key_is_no_difference_in_clear() {
    let Some(desk) = repository() else { return };
    // what `rotate` does to a file, by hand: every ciphertext is another one
    desk.seal(SECRETS, "user: app\npassword: old secret\n");
    assert!(git(&desk, &["diff", "--no-textconv"]).contains("+password: ENC["));
    let difference = git(&desk, &["diff"]);
    assert!(!difference.contains("\n+"), "{difference}");
}

#[test]
fn without_the_key_git_says_that_it_cannot_tell() {
    let Some(desk) = repository() else { return };
    desk.seal(SECRETS, "user: app\npassword: new secret\n");
    let outcome = desk.run_without_key("git", &["diff"]).outcome();
    assert_eq!(outcome.ending, Ending::Exited(128));
    let messages = outcome.messages();
    assert!(messages.contains("Failed to get the data key"), "{messages}");
    assert!(messages.contains("unable to read files to diff"), "{messages}");
}

#[test]
fn a_hook_refuses_secrets_in_clear() {
    let Some(desk) = repository() else { return };
    desk.run("sh", &["-c", &commands("pre-commit.md")]).stdout();
    desk.scratch.write("secrets/a new one.yaml", b"password: in clear\n");
    git(&desk, &["add", "secrets"]);
    let refused = desk.run("git", &["commit", "--quiet", "--message", "Oops"]).outcome();
    assert_eq!(refused.ending, Ending::Exited(1), "{}", refused.messages());
    assert!(refused.messages().contains("secrets/a new one.yaml is not encrypted"), "{}", refused.messages());

    // what lies in the folder does not count, what would be committed does
    desk.seal("secrets/a new one.yaml", "password: in clear\n");
    let still = desk.run("git", &["commit", "--quiet", "--message", "Not added"]).outcome();
    assert_eq!(still.ending, Ending::Exited(1), "{}", still.messages());
    git(&desk, &["add", "secrets"]);
    git(&desk, &["commit", "--quiet", "--message", "Encrypted"]);
}
