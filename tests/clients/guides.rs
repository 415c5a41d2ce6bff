//! The guides of `docs/integrations`: their commands are run as they stand there.

use std::env;
use std::fs;
use std::path::Path;

use super::support::keys::{fixture, recipient};
use super::support::scratch::Call;
use super::{Desk, fetched, on_path, text};

/// The commands of a guide, all blocks in order.
pub(crate) fn commands(guide: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/integrations").join(guide);
    let page = fs::read_to_string(path).expect("a guide");
    let blocks = page.split("\n```").filter_map(|block| block.strip_prefix("sh\n"));
    blocks.fold("set -eu\n".to_owned(), |commands, block| commands + block + "\n")
}

/// A project as the README leaves it: a key, a rule, and an encrypted file.
fn project() -> Desk {
    let desk = Desk::new();
    let keys = desk.scratch.root().join("home/.config/sops/age");
    fs::create_dir_all(&keys).expect("our own folder");
    fs::copy(fixture("keys/age-alice.txt"), keys.join("keys.txt")).expect("a test key");
    desk.seal("secrets/prod.yaml", "user: app\npassword: secret\n");
    desk
}

/// By somebody whose key is in the file where the README puts it.
fn follow<'a>(desk: &'a Desk, commands: &str) -> Call<'a> {
    desk.run_without_key("sh", &["-c", commands])
}

#[test]
fn ansible() {
    let Some(collections) = fetched("collections") else { return };
    let programs = fetched("venv/bin").expect("fetched with the collections");
    let desk = project();
    let with_ansible = format!("PATH=$PATH:{}\n{}", programs.display(), commands("ansible.md"));
    let told = follow(&desk, &with_ansible)
        // `ansible` would have put the collection where it is looked for
        .variable("ANSIBLE_COLLECTIONS_PATH", &collections.display().to_string())
        // other Pythons of this machine may lack what modules need
        .variable("ANSIBLE_PYTHON_INTERPRETER", &programs.join("python").display().to_string())
        .stdout();
    assert!(text(told).contains("ok=2    changed=1"));
    assert!(desk.read("group_vars/all.sops.yaml").contains("db_password: ENC["));
    assert_eq!(desk.open("secrets/new.yaml"), "token: secret\n");
}

#[test]
fn ci() {
    if on_path("age-keygen").is_none() {
        return;
    }
    let desk = project();
    let in_ci = commands("ci.md") + "rm ~/.config/sops/age/keys.txt\necho \"$password\"\n";
    let told = text(follow(&desk, &in_ci).stdout());
    assert!(told.ends_with("app logs in\nsecret\n"), "{told}");
    assert!(desk.read("secrets/prod.yaml").contains(&recipient("age-alice")), "the old key stays");
}
