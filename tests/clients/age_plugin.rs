//! The example plugin of the crate `age-plugin`, which leaves the data key unencrypted: any of its identities opens it.

use std::fs;

use super::support::outcome::refused;
use super::support::scratch::Call;
use super::{Desk, fetched, text};

const PLUGIN: &str = "age-plugin-unencrypted";
const FILE: &str = "a.yaml";
const PLAINTEXT: &str = "password: for a plugin\n";
/// In one line of the account of all keys, which breaks them.
const NOT_FOUND: &str = "\"age-plugin-unencrypted\": executable file not found in";

/// A pair as the plugin makes it, and a desk with the plugin on the search path.
struct Story {
    desk: Desk,
    recipient: String,
    identity: String,
}

impl Story {
    /// `None` without the plugin.
    fn new() -> Option<Self> {
        let program = fetched(&format!("bin/{PLUGIN}"))?;
        let desk = Desk::new();
        let identity = text(desk.run_without_key(&program, &[]).stdout());
        let (_, rest) = identity.split_once("# recipient: ").expect("a comment with the recipient");
        let recipient = rest.lines().next().expect("a line").to_owned();
        let story = Self { desk, recipient, identity };
        story.desk.scratch.offer(PLUGIN, &program);
        Some(story)
    }

    fn take_plugin_away(&self) {
        fs::remove_file(self.desk.scratch.programs().join(PLUGIN)).expect("our own folder");
    }

    fn seal(&self) {
        self.desk.scratch.write(FILE, PLAINTEXT.as_bytes());
        self.encrypt().stdout();
    }

    fn encrypt(&self) -> Call<'_> {
        self.desk.run_without_key("sops", &["encrypt", "--in-place", "--age", &self.recipient, FILE])
    }

    /// By somebody whose only key is the plugin's.
    fn run(&self, arguments: &[&str]) -> Call<'_> {
        self.desk.run_without_key("sops", arguments).variable("SOPS_AGE_KEY", &self.identity)
    }
}

#[test]
fn what_is_encrypted_for_a_plugin_is_opened_through_it() {
    let Some(story) = Story::new() else { return };
    story.seal();
    let sealed = story.desk.read(FILE);
    assert!(sealed.contains(&story.recipient) && !sealed.contains("for a plugin"), "{sealed}");
    assert_eq!(text(story.run(&["decrypt", FILE]).stdout()), PLAINTEXT);

    story.desk.scratch.write("keys.txt", story.identity.as_bytes());
    let by_file = story.desk.run_without_key("sops", &["decrypt", FILE]);
    let by_file = by_file.variable("SOPS_AGE_KEY_FILE", &story.desk.path("keys.txt"));
    assert_eq!(text(by_file.stdout()), PLAINTEXT);

    story.run(&["rotate", "--in-place", FILE]).stdout();
    assert_ne!(story.desk.read(FILE), sealed);
    assert_eq!(text(story.run(&["decrypt", FILE]).stdout()), PLAINTEXT);
}

#[test]
fn what_a_plugin_has_to_say_is_shown() {
    let Some(story) = Story::new() else { return };
    story.desk.scratch.write(FILE, PLAINTEXT.as_bytes());
    let encrypted = story.encrypt().outcome();
    assert!(encrypted.succeeded(), "{}", encrypted.messages());
    let said = encrypted.messages();
    assert!(
        said.contains("unencrypted plugin: This plugin doesn't have any recipient-specific logic"),
        "{said}"
    );

    let decrypted = story.run(&["decrypt", FILE]).outcome();
    assert_eq!(text(decrypted.stdout.clone()), PLAINTEXT);
    let said = decrypted.messages();
    assert!(said.contains("unencrypted plugin: This identity does nothing!"), "{said}");
}

#[test]
fn a_plugin_that_is_not_on_the_search_path_is_named() {
    let Some(story) = Story::new() else { return };
    story.seal();
    story.take_plugin_away();
    let decrypted = story.run(&["decrypt", FILE]).outcome();
    refused(&decrypted, 128, &[NOT_FOUND, PLUGIN]);

    story.desk.scratch.write(FILE, PLAINTEXT.as_bytes());
    let encrypted = story.encrypt().outcome();
    assert!(
        encrypted.failed_cleanly() && encrypted.messages().contains(NOT_FOUND),
        "{}",
        encrypted.messages()
    );
    assert_eq!(story.desk.read(FILE), PLAINTEXT);
}
