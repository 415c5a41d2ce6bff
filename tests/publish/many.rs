//! Directories: how far they are, what became of their files, and that a run can be repeated.

use std::thread;
use std::time::Duration;

use crate::support::pty::Pty;
use crate::support::scratch::Scratch;
use crate::vault::{to_vault, vault, writes};
use crate::{done, folder};

/// A folder with 200 files that go to Vault.
fn many() -> Scratch {
    let scratch = folder("vault_path: app/");
    let text = scratch.text("conf/a.yaml");
    for number in 0..198 {
        scratch.write(&format!("conf/many/{number:03}.yaml"), text.as_bytes());
    }
    scratch
}

#[test]
fn a_terminal_shows_how_far_a_directory_is_and_what_became_of_it() {
    let vault = vault("kv2");
    let scratch = many();
    let call =
        || to_vault(&scratch, &vault, &["--yes", "--recursive", "conf"]).variable("TERM", "xterm").command();
    let mut first = Pty::start(call());
    first.expect("100 of 200 files");
    let (screen, status) = first.end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("200 sent, 0 unchanged, 0 left out, 0 failed, 0 not tried"), "{screen}");
    let (screen, status) = Pty::start(call()).end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("0 sent, 200 unchanged, 0 left out, 0 failed, 0 not tried"), "{screen}");
    // without a terminal nothing is said
    assert_eq!(done(to_vault(&scratch, &vault, &["--yes", "--recursive", "conf"])), "");
    let told =
        to_vault(&scratch, &vault, &["--yes", "--recursive", "--verbose", "conf"]).outcome().messages();
    assert!(told.contains("0 sent, 200 unchanged"), "{told}");
}

#[test]
fn an_interrupted_run_can_be_repeated() {
    let vault = vault("kv2");
    let scratch = many();
    let mut child =
        to_vault(&scratch, &vault, &["--yes", "--recursive", "conf"]).command().spawn().expect("the program");
    while writes(&vault) < 20 {
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("our own child");
    assert!(!child.wait().expect("our own child").success());
    let before = writes(&vault);
    assert!(before < 200, "it was too quick");
    done(to_vault(&scratch, &vault, &["--yes", "--recursive", "conf"]));
    // what was there already is not written again; of the last one nobody knows
    let written = writes(&vault);
    assert!((200..=201).contains(&written), "{before} and then {}", written - before);
}

#[test]
fn ctrl_c_ends_a_run_that_can_then_be_repeated() {
    let vault = vault("kv2");
    let scratch = many();
    let call = || to_vault(&scratch, &vault, &["--yes", "--recursive", "conf"]).variable("TERM", "xterm");
    let mut terminal = Pty::start(call().command());
    terminal.expect("20 of 200 files");
    terminal.press('c');
    terminal.end_by_signal();
    let before = writes(&vault);
    assert!((20..200).contains(&before), "{before}");
    let (screen, status) = Pty::start(call().command()).end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains(" unchanged, 0 left out, 0 failed, 0 not tried"), "{screen}");
    assert!((200..=201).contains(&writes(&vault)), "{before}, {}", writes(&vault));
}
