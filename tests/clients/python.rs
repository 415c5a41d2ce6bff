//! PyPI's packages that call `sops` or look at its files.

use std::path::{Path, PathBuf};

use super::support::keys::recipient;
use super::support::outcome::Ending;
use super::support::scratch::Call;
use super::{Desk, fetched, script, text};

const PLAINTEXT: &str = "user: app\nport: 5432\npassword: secret\n";

fn python() -> Option<PathBuf> {
    fetched("venv/bin/python")
}

/// Runs a script that fails by itself if something is not as it should be.
fn run(desk: &Desk, python: &Path, name: &str) -> String {
    text(desk.run(python, &[&script(name)]).stdout())
}

#[test]
fn sopsy_encrypts_and_decrypts() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    desk.scratch.write("secrets.yaml", PLAINTEXT.as_bytes());
    run(&desk, &python, "sopsy_files.py");
    assert!(desk.read("secrets.yaml").contains("password: ENC["));
    assert_eq!(desk.open("secrets.yaml"), PLAINTEXT);
}

#[test]
fn sopsy_rotates() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    desk.seal("secrets.yaml", PLAINTEXT);
    let before = desk.read("secrets.yaml");
    run(&desk, &python, "sopsy_rotate.py");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(&before), lines(&desk.read("secrets.yaml")));
    assert!(before.iter().zip(&after).take(3).all(|(before, after)| before != after), "{after:?}");
    assert_eq!(desk.open("secrets.yaml"), PLAINTEXT);
}

#[test]
fn settings_of_pydantic_come_from_an_encrypted_file() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    desk.seal("secrets.yaml", PLAINTEXT);
    assert_eq!(run(&desk, &python, "settings.py"), "app secret 5432\n");
}

#[test]
fn sops_wrapper_encrypts_what_a_rule_names() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    let rule = format!("creation_rules:\n  - path_regex: prod/\n    age: {}\n", recipient("age-alice"));
    desk.scratch.write(".sops.yaml", rule.as_bytes());
    desk.scratch.write("prod/a.yaml", PLAINTEXT.as_bytes());
    desk.scratch.write("test/a.yaml", PLAINTEXT.as_bytes());
    desk.run(&python, &["-m", "sops_wrapper", "encrypt", "--in-place"]).stdout();
    assert_eq!(desk.read("test/a.yaml"), PLAINTEXT);
    assert!(desk.read("prod/a.yaml").contains("password: ENC["));
    assert_eq!(desk.open("prod/a.yaml"), PLAINTEXT);
}

const MANIFEST: &str = "\
apiVersion: v1
kind: Secret
metadata:
    name: app
stringData:
    password: old
";

fn ksops<'a>(desk: &'a Desk, python: &Path, arguments: &[&str]) -> Call<'a> {
    desk.run(python, &[&["-m", "ksops"], arguments].concat())
}

#[test]
fn ksops_keeps_manifests_of_kubernetes() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    ksops(&desk, &python, &["init", "--force", "--age", &recipient("age-alice")]).stdout();
    desk.scratch.write("secret.yaml", MANIFEST.as_bytes());
    assert_eq!(text(ksops(&desk, &python, &["encrypt-all"]).stdout()), "Encrypted 1 file(s)\n");
    let sealed = desk.read("secret.yaml");
    assert!(sealed.contains("    name: app\n") && sealed.contains("    password: ENC["), "{sealed}");
    assert_eq!(text(ksops(&desk, &python, &["cat", "secret.yaml"]).stdout()), MANIFEST);
    let valid = text(ksops(&desk, &python, &["validate-all"]).stdout());
    assert_eq!(valid, "Validated 1 SOPS-encrypted file(s)\n");
    ksops(&desk, &python, &["decrypt", "--in-place", "secret.yaml"]).stdout();
    assert_eq!(desk.read("secret.yaml"), MANIFEST);
}

#[test]
fn ksops_edits() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    desk.seal("secret.yaml", MANIFEST);
    let before = desk.read("secret.yaml");
    let edit = |editor| ksops(&desk, &python, &["edit", "secret.yaml"]).variable("EDITOR", editor).outcome();
    // exit code 200 means to it that nothing was to be done
    let untouched = edit("true");
    assert!(untouched.succeeded(), "{}", untouched.messages());
    assert_eq!(desk.read("secret.yaml"), before);
    let edited = edit("sed -i s/old/new/");
    assert!(edited.succeeded(), "{}", edited.messages());
    assert_eq!(desk.open("secret.yaml"), MANIFEST.replace("old", "new"));
    assert!(!edit("false").succeeded());
}

#[test]
fn ksops_gives_a_file_to_somebody_else() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    desk.seal("secret.yaml", MANIFEST);
    let (alice, bob) = (recipient("age-alice"), recipient("age-bob"));
    desk.scratch.write(".sops.yaml", format!("creation_rules:\n    - age: {alice},{bob}\n").as_bytes());
    assert_eq!(text(ksops(&desk, &python, &["rekey-all"]).stdout()), "Rekeyed 1 file(s)\n");
    let opened = desk.run_without_key("sops", &["decrypt", "secret.yaml"]).keys(["age-bob"]).stdout();
    assert_eq!(text(opened), MANIFEST);
}

/// Inmanta's editor is a dialogue over the standard input and output of `sops edit`.
#[test]
fn an_editor_talks_through_us() {
    let Some(python) = python() else { return };
    let packages = ["-c", "import sysconfig; print(sysconfig.get_path('purelib'), end='')"];
    let desk = Desk::new();
    let packages = text(desk.run(&python, &packages).stdout());
    let editor = format!("'{}' '{packages}/inmanta_plugins/sops/editor.py'", python.display());
    desk.seal("vault.json", "{\"user\": \"app\", \"port\": 5432}");
    let told = desk
        .run("sops", &["edit", "vault.json"])
        .variable("SOPS_EDITOR", &editor)
        .stdin(b"{\"user\": \"app\", \"port\": 6543}")
        .stdout();
    assert_eq!(text(told), "{\"user\": \"app\", \"port\": 5432}\nEOF\n");
    assert_eq!(desk.open("vault.json"), "{\n\t\"user\": \"app\",\n\t\"port\": 6543\n}\n");
}

#[test]
fn a_hook_that_looks_for_values_in_clear_is_content() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    desk.seal("a.yaml", PLAINTEXT);
    desk.seal("a.json", "{\"user\": \"app\", \"list\": [1, true, {\"a\": \"b\"}]}");
    let check = ["-m", "pre_commit_hook_ensure_sops", "a.yaml", "a.json"];
    desk.run(&python, &check).stdout();
    desk.scratch.write("a.yaml", PLAINTEXT.as_bytes());
    assert_eq!(desk.run(&python, &check).outcome().ending, Ending::Exited(1));
}
