//! The program `age`: what one wraps, the other opens.

use std::fs;

use super::support::keys::{fixture, recipient};
use super::{Desk, on_path, text};

const FILE: &str = "a.json";
const PLAINTEXT: &str = "{\n\t\"password\": \"for age\"\n}\n";

/// Somebody's key as `age` takes it, and whom to encrypt for.
struct Owner {
    identity: String,
    recipient: String,
}

/// `None` without `age`.
fn owners(desk: &Desk) -> Option<[Owner; 2]> {
    on_path("age")?;
    on_path("age-keygen")?;
    let made = desk.path("keys.txt");
    desk.run("age-keygen", &["-o", &made]).stdout();
    let public = text(desk.run("age-keygen", &["-y", &made]).stdout()).trim().to_owned();
    let ssh = fixture("keys/ssh-ed25519");
    let ssh_public = fs::read_to_string(fixture("keys/ssh-ed25519.pub")).expect("a test key");
    Some([
        Owner { identity: made, recipient: public },
        Owner { identity: ssh.display().to_string(), recipient: ssh_public.trim().to_owned() },
    ])
}

/// The data key as the file has it, wrapped: an age file in armor.
fn wrapped_key(file: &str) -> String {
    let file: serde_json::Value = serde_json::from_str(file).expect("JSON");
    file["sops"]["age"][0]["enc"].as_str().expect("a key for age").to_owned()
}

fn seal_for(desk: &Desk, owner: &Owner) -> String {
    desk.scratch.write(FILE, PLAINTEXT.as_bytes());
    desk.run("sops", &["encrypt", "--in-place", "--age", &owner.recipient, FILE]).stdout();
    desk.read(FILE)
}

fn unwrap_with_age(desk: &Desk, owner: &Owner, wrapped: &str) -> Vec<u8> {
    desk.run("age", &["--decrypt", "--identity", &owner.identity]).stdin(wrapped.as_bytes()).stdout()
}

#[test]
fn age_opens_the_data_key_of_a_file_and_the_program_what_age_wraps() {
    let desk = Desk::new();
    let Some(owners) = owners(&desk) else { return };
    for owner in &owners {
        let sealed = seal_for(&desk, owner);
        let wrapped = wrapped_key(&sealed);
        let data_key = unwrap_with_age(&desk, owner, &wrapped);
        assert_eq!(data_key.len(), 32, "for {}", owner.recipient);

        let again = ["--encrypt", "--armor", "--recipient", &recipient("age-alice")];
        let by_age = text(desk.run("age", &again).stdin(&data_key).stdout());
        let quoted = |text: &str| serde_json::to_string(text).expect("JSON");
        desk.scratch.write(FILE, sealed.replace(&quoted(&wrapped), &quoted(&by_age)).as_bytes());
        // only alice's key is in reach, and only `age` has wrapped for it
        assert_eq!(desk.open(FILE), PLAINTEXT);
    }
}

#[test]
fn a_key_of_age_keygen_is_found_where_the_readme_puts_it() {
    let desk = Desk::new();
    let Some([made, _]) = owners(&desk) else { return };
    seal_for(&desk, &made);
    let home = desk.scratch.root().join("home/.config/sops/age");
    fs::create_dir_all(&home).expect("our own folder");
    fs::rename(&made.identity, home.join("keys.txt")).expect("our own file");
    let opened = desk.run_without_key("sops", &["decrypt", FILE]).stdout();
    assert_eq!(text(opened), PLAINTEXT);
}
