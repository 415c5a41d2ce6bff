//! `rsops check`: what must not be committed is found, what may be is not.
#![cfg(all(unix, feature = "age"))]

#[path = "check/configurations.rs"]
mod configurations;
#[path = "support/mod.rs"]
mod support;
#[path = "check/which_files.rs"]
mod which_files;

use std::process::Command;

use support::keys::recipient;
use support::outcome::{Ending, refused};
use support::repository::Repository;
use support::scratch::Scratch;

fn at(code: &str, path: &str, line: u64, column: u64) -> (String, String, u64, u64) {
    (code.to_owned(), path.to_owned(), line, column)
}

/// One file of each format, with a value `a` and one `b`.
const FORMATS: [(&str, &str); 5] = [
    ("secrets/x.yaml", "a: one\nb: two\n"),
    ("secrets/x.json", "{\"a\": \"one\", \"b\": \"two\"}\n"),
    ("secrets/x.env", "a=one\nb=two\n"),
    ("secrets/x.ini", "[s]\na = one\nb = two\n"),
    ("secrets/x.bin", "one two\n"),
];

#[test]
fn what_is_encrypted_by_its_rule_passes_in_every_format() {
    let repository = Repository::new();
    for (name, text) in FORMATS {
        repository.seal(name, text, &[]);
    }
    repository.write("README.md", "sops: ENC[AES256_GCM,...] is how lastmodified files look\n");
    repository.write("src/main.rs", "fn main() {}\n");
    assert_eq!(repository.check(&[]), []);
    assert_eq!(repository.check(&["--verify"]), []);
    assert_eq!(repository.check(&["--staged"]), []);
    assert_eq!(repository.check(&["--all"]), []);
}

#[test]
fn a_file_that_a_rule_names_must_be_encrypted() {
    let repository = Repository::new();
    for (name, text) in FORMATS {
        repository.write(name, text);
    }
    let expected: Vec<String> = ["bin", "env", "ini", "json", "yaml"]
        .map(|extension| format!("secrets/x.{extension} plaintext-file"))
        .to_vec();
    assert_eq!(repository.codes(&[]), expected);
}

#[test]
fn a_rule_for_everything_names_nothing() {
    let repository = Repository::with_rule(&format!("age: {}", recipient("age-alice")));
    repository.write("plain.yaml", "a: 1\n");
    assert_eq!(repository.check(&[]), []);
}

#[test]
fn a_value_in_clear_is_found_where_it_stands() {
    let repository = Repository::new();
    for (name, text) in &FORMATS[..4] {
        repository.seal(name, text, &[]);
    }
    repository.replace("secrets/x.yaml", "b: ", "n:\n  - leaked: 5\nempty: \"\"\nnone: null\nb: ");
    repository.replace("secrets/x.json", "\"b\"", "\"leaked\": true, \"b\"");
    repository.replace("secrets/x.env", "b=", "leaked=yes\nb=");
    repository.replace("secrets/x.ini", "\nb ", "\nleaked = yes\nb ");
    assert_eq!(
        repository.check(&[]),
        [
            at("plaintext-value", "secrets/x.env", 2, 1),
            at("plaintext-value", "secrets/x.ini", 3, 1),
            at("plaintext-value", "secrets/x.json", 3, 3),
            at("plaintext-value", "secrets/x.yaml", 3, 5),
        ]
    );
}

#[test]
fn what_the_file_leaves_in_clear_may_be_in_clear() {
    let rule =
        format!("path_regex: ^secrets/\n    encrypted_regex: ^b$\n    age: {}", recipient("age-alice"));
    let repository = Repository::with_rule(&rule);
    for (name, text) in &FORMATS[..4] {
        repository.seal(name, text, &[]);
    }
    assert_eq!(repository.check(&[]), []);
    repository.replace("secrets/x.yaml", "a: one\n", "a: one\nmore:\n  b: leaked\n");
    assert_eq!(repository.check(&[]), [at("plaintext-value", "secrets/x.yaml", 3, 3)]);
}

#[test]
fn other_selectors_and_recipients_than_those_of_the_rule_are_drift() {
    let repository = Repository::new();
    let bob = recipient("age-bob");
    for (name, text) in FORMATS {
        repository.seal(name, text, &["--age", &bob]);
    }
    let codes = repository.codes(&[]);
    assert_eq!(codes.len(), 5, "{codes:?}");
    assert!(codes.iter().all(|code| code.ends_with(" recipient-drift")), "{codes:?}");

    let repository = Repository::new();
    for (name, text) in FORMATS {
        repository.seal(name, text, &["--encrypted-regex", "^(a|b)$"]);
    }
    // a binary file selects nothing
    assert_eq!(
        repository.codes(&[]),
        ["env", "ini", "json", "yaml"].map(|extension| format!("secrets/x.{extension} selection-drift"))
    );

    let repository = Repository::new();
    repository.seal("secrets/x.yaml", "a: 1\n", &["--mac-only-encrypted"]);
    assert_eq!(repository.codes(&[]), ["secrets/x.yaml selection-drift"]);
}

#[test]
fn drift_names_who_is_missing_and_who_is_too_many() {
    let repository = Repository::new();
    let (alice, bob) = (recipient("age-alice"), recipient("age-bob"));
    repository.seal("secrets/x.yaml", "a: 1\n", &["--age", &bob]);
    let outcome = repository.scratch.call(["check"]).outcome();
    let text = String::from_utf8(outcome.stdout).expect("text");
    assert!(text.contains(&format!("missing: {alice}; too many: {bob}")), "{text}");
    assert!(text.contains("fix: rsops updatekeys secrets/x.yaml"), "{text}");
    repository.scratch.call(["updatekeys", "--yes", "secrets/x.yaml"]).keys(["age-bob"]).stdout();
    assert_eq!(repository.check(&[]), []);
}

#[test]
fn groups_and_thresholds_drift_too() {
    let groups =
        ["age-alice", "age-bob", "age-carol"].map(|name| format!("    - age: [{}]\n", recipient(name)));
    let groups =
        |threshold: &str| format!("path_regex: ^secrets/\n    key_groups:\n{}{threshold}", groups.concat());
    let repository = Repository::with_rule(&groups(""));
    repository.seal("secrets/x.yaml", "a: 1\n", &[]);
    assert_eq!(repository.check(&[]), []);
    repository.write(".sops.yaml", &format!("creation_rules:\n  - {}", groups("    shamir_threshold: 2\n")));
    assert_eq!(repository.codes(&[]), ["secrets/x.yaml recipient-drift"]);
}

#[test]
fn what_could_not_be_decrypted_is_found_without_a_key() {
    let repository = Repository::new();
    for (name, text) in FORMATS {
        repository.seal(name, text, &[]);
    }
    for name in ["secrets/x.yaml", "secrets/x.json", "secrets/x.env", "secrets/x.ini", "secrets/x.bin"] {
        repository.replace(name, ",iv:", ",iv:!");
    }
    let codes = repository.codes(&[]);
    let broken = |extension: &str| format!("secrets/x.{extension} broken-value");
    assert_eq!(codes, ["bin", "env", "ini", "json", "yaml"].map(broken));
}

#[test]
fn broken_metadata_are_found() {
    let repository = Repository::new();
    for (name, text) in FORMATS {
        repository.seal(name, text, &[]);
    }
    repository.replace("secrets/x.yaml", "    lastmodified: \"2", "    lastmodified: \"yesterday 2");
    repository.replace("secrets/x.json", "\"lastmodified\": \"2", "\"lastmodified\": \"yesterday 2");
    repository.replace("secrets/x.bin", "\"lastmodified\": \"2", "\"lastmodified\": \"yesterday 2");
    repository.replace("secrets/x.env", "sops_lastmodified=2", "sops_lastmodified=yesterday 2");
    repository.replace("secrets/x.ini", "2", "2");
    assert_eq!(
        repository.codes(&[]),
        ["bin", "env", "json", "yaml"].map(|extension| format!("secrets/x.{extension} broken-metadata"))
    );
    repository.write("secrets/x.json", "{\"a\": \"ENC[AES256_GCM,data:x]\", \"sops\": {\"lastmodified\": ");
    assert!(repository.codes(&[]).contains(&"secrets/x.json broken-metadata".to_owned()));
}

#[test]
fn a_file_without_a_mac_is_found() {
    let repository = Repository::new();
    repository.seal("secrets/x.yaml", "a: 1\n", &[]);
    let text = repository.scratch.text("secrets/x.yaml");
    let mac = text.lines().find(|line| line.trim_start().starts_with("mac:")).expect("a MAC");
    repository.replace("secrets/x.yaml", mac, "    mac: \"\"");
    assert_eq!(repository.codes(&[]), ["secrets/x.yaml no-mac"]);
}

#[test]
fn an_unfinished_merge_is_found_in_every_format() {
    let repository = Repository::new();
    for (name, text) in FORMATS {
        repository.seal(name, text, &[]);
        let sealed = repository.scratch.text(name);
        repository.write(name, &format!("<<<<<<< HEAD\n{sealed}=======\n{sealed}>>>>>>> other\n"));
    }
    for extension in ["bin", "env", "ini", "json", "yaml"] {
        let name = format!("secrets/x.{extension}");
        assert!(repository.check(&[]).contains(&at("conflict-marker", &name, 1, 1)), "{name}");
    }
    repository.write("notes.md", "<<<<<<< HEAD\nhow merges look\n>>>>>>> other\n");
    assert!(!repository.codes(&[]).iter().any(|code| code.starts_with("notes.md")));
}

#[test]
fn a_kubernetes_secret_in_clear_is_found_wherever_it_lies() {
    let repository = Repository::new();
    let secret = "apiVersion: v1\nkind: Secret\ndata:\n  password: aHVudGVyMg==\n  empty: \"\"\nstringData:\n  user: \
                  app\n  later: ${FILLED_IN}\n";
    repository.write("k8s/clear.yaml", secret);
    repository.write(
        "k8s/many.yaml",
        "kind: List\nitems:\n- kind: ConfigMap\n  data:\n    a: b\n- kind: Secret\n  stringData:\n    p: q\n",
    );
    repository
        .write("k8s/clear.json", "{\n  \"kind\": \"Secret\",\n  \"data\": {\n    \"p\": \"cQ==\"\n  }\n}\n");
    repository.write(
        "k8s/operator.yaml",
        "kind: SopsSecret\nspec:\n  secretTemplates:\n  - name: x\n    stringData:\n      p: q\n",
    );
    repository.write("k8s/template.yaml", "kind: Secret\ndata:\n  {{- range .Values.secrets }}\n");
    repository.write("k8s/reference.yaml", "kind: Pod\nvolumes:\n- secret: {name: x}\ndata:\n  a: b\n");
    let sealed =
        ["--encrypted-regex", "^(data|stringData)$", "--age", &recipient("age-alice")].map(str::to_owned);
    repository.seal("k8s/sealed.yaml", secret, &sealed.each_ref().map(String::as_str));
    assert_eq!(
        repository.check(&[]),
        [
            at("kubernetes-secret", "k8s/clear.json", 4, 6),
            at("kubernetes-secret", "k8s/clear.yaml", 4, 3),
            at("kubernetes-secret", "k8s/clear.yaml", 7, 3),
            at("kubernetes-secret", "k8s/many.yaml", 8, 5),
            at("kubernetes-secret", "k8s/operator.yaml", 6, 7),
        ]
    );
}

#[test]
fn private_keys_are_found_in_any_file() {
    let repository = Repository::new();
    let identity = std::fs::read_to_string(support::keys::fixture("keys/age-alice.txt")).expect("a key");
    repository.write("keys.txt", &identity);
    let pgp = std::fs::read_to_string(support::keys::fixture("keys/pgp-rsa.asc")).expect("a key");
    repository.write("notes/pgp.asc", &pgp);
    repository.write("README.md", "Keys begin with AGE-SECRET-KEY-1 or -----BEGIN PRIVATE KEY-----.\n");
    let found = repository.check(&[]);
    let line =
        1 + identity.lines().position(|line| line.starts_with("AGE-SECRET-KEY-")).expect("a key") as u64;
    assert_eq!(found[0], at("private-key", "keys.txt", line, 1));
    assert_eq!((found[1].0.as_str(), found[1].1.as_str()), ("private-key", "notes/pgp.asc"));
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_decrypted_copy_is_found_beside_its_file() {
    let repository = Repository::new();
    repository.seal("app/secrets.yaml", "a: 1\n", &["--age", &recipient("age-alice")]);
    repository.write("app/secrets.dec.yaml", "a: 1\n");
    repository.write("app/secrets.yaml.dec", "a: 1\n");
    repository.write("app/other.dec.yaml", "a: 1\n");
    // nothing says for whom this one should be
    repository.write(".sops.yaml", "creation_rules: []\n");
    assert_eq!(repository.codes(&[]), ["app/secrets.dec.yaml leftover", "app/secrets.yaml.dec leftover"]);
}

#[test]
fn staged_content_counts_whatever_lies_on_disk() {
    let repository = Repository::new();
    repository.write("secrets/x.yaml", "a: 1\n");
    repository.git(&["commit", "--quiet", "--message", "x"]);
    assert_eq!(repository.check(&["--staged"]), [], "it is committed already");

    // in clear in the index, encrypted on disk
    repository.write("secrets/new.yaml", "a: 1\n");
    repository.scratch.call(["encrypt", "--in-place", "secrets/new.yaml"]).stdout();
    assert_eq!(repository.codes(&["--staged"]), ["secrets/new.yaml plaintext-file"]);
    assert_eq!(repository.codes(&[]), ["secrets/x.yaml plaintext-file"]);

    // and the other way round
    repository.git(&["add", "--all"]);
    repository.scratch.write("secrets/new.yaml", b"a: 1\n");
    assert_eq!(repository.check(&["--staged"]), []);
    assert_eq!(repository.codes(&["secrets/new.yaml"]), ["secrets/new.yaml plaintext-file"]);
}

#[test]
fn a_leak_is_found_whatever_else_has_the_same_content() {
    let repository = Repository::new();
    repository.scratch.write("example.yaml", b"a: 1\n");
    repository.write("secrets/new.yaml", "a: 1\n");
    assert_eq!(repository.codes(&["--staged"]), ["secrets/new.yaml plaintext-file"]);
}

#[test]
fn the_whole_commit_counts_wherever_it_is_asked_for() {
    let repository = Repository::new();
    repository.write("secrets/new.yaml", "a: 1\n");
    repository.write("sub/x", "x");
    // neither what is not staged nor what is not tracked has a say
    repository.scratch.write(".sops.yaml", b"creation_rules: []\n");
    repository.scratch.write("secrets/.sops.yaml", b"creation_rules: []\n");
    let mut command = repository.scratch.call(["check", "--staged"]).command();
    let output = command.current_dir(repository.scratch.folder().join("sub")).output().expect("the program");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("secrets/new.yaml: plaintext-file"), "{text}");
}

#[test]
fn links_are_looked_through_by_nobody() {
    let repository = Repository::new();
    repository.seal("secrets/x.yaml", "a: 1\n", &[]);
    for (target, link) in
        [("x.yaml", "secrets/current"), ("secrets", "folder"), ("nothing", "secrets/dangling")]
    {
        std::os::unix::fs::symlink(target, repository.scratch.folder().join(link)).expect("our own folder");
    }
    repository.git(&["add", "--all"]);
    for flag in ["--all", "--staged", "--verify"] {
        assert_eq!(repository.check(&[flag]), [], "{flag}");
    }
}

#[test]
fn names_of_files_write_nothing_to_the_terminal_or_the_log() {
    let repository = Repository::new();
    repository.write("secrets/x\u{1b}[31m\n::error::y.yaml", "a: 1\n");
    for format in ["human", "github"] {
        let outcome = repository.scratch.call(["check", "--format", format]).outcome();
        let text = String::from_utf8(outcome.stdout).expect("text");
        assert!(!text.contains("\n::error::y"), "{text:?}");
        assert!(format == "github" || !text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn the_configuration_of_the_next_commit_counts_for_it() {
    let repository = Repository::new();
    repository.write("secrets/x.yaml", "a: 1\n");
    repository.scratch.write(".sops.yaml", b"creation_rules: []\n");
    assert_eq!(repository.codes(&["--staged"]), ["secrets/x.yaml plaintext-file"]);
    assert_eq!(repository.check(&[]), []);
}

#[test]
fn files_that_are_not_tracked_are_looked_at_when_they_are_asked_for() {
    let repository = Repository::new();
    repository.write(".gitignore", "*.tmp\n");
    repository.scratch.write("secrets/new.yaml", b"a: 1\n");
    repository.scratch.write("secrets/new.tmp", b"a: 1\n");
    assert_eq!(repository.check(&[]), []);
    assert_eq!(repository.codes(&["--all"]), ["secrets/new.yaml plaintext-file"]);
    assert_eq!(repository.codes(&["secrets/new.tmp"]), ["secrets/new.tmp plaintext-file"]);
    assert_eq!(repository.codes(&["./secrets/new.yaml"]), ["./secrets/new.yaml plaintext-file"]);
    refused(&repository.scratch.call(["check", "nothing"]).outcome(), 100, &["nothing"]);
}

#[test]
fn outside_of_a_repository_all_files_are_looked_at() {
    let scratch = Scratch::new();
    scratch.write(".sops.yaml", b"creation_rules:\n  - path_regex: secrets\n");
    scratch.write("secrets/x.yaml", b"a: 1\n");
    let outcome = scratch.call(["check"]).variable("GIT_CEILING_DIRECTORIES", "/").outcome();
    assert_eq!(outcome.ending, Ending::Exited(1), "{}", outcome.messages());
    assert!(String::from_utf8_lossy(&outcome.stdout).starts_with("secrets/x.yaml: plaintext-file: "));
    refused(&scratch.call(["check", "--staged"]).outcome(), 1, &["--staged needs a repository"]);
}

#[test]
fn findings_can_be_allowed() {
    let repository = Repository::new();
    repository.write("secrets/x.yaml", "# rsops:allow plaintext-file\na: 1\n");
    repository.write("secrets/y.yaml", "# rsops:allow no-mac\na: 1\n");
    repository.write("secrets/doc/z.yaml", "a: 1\n");
    assert_eq!(repository.codes(&[]).len(), 2);
    let config = repository.scratch.text(".sops.yaml");
    repository
        .write(".sops.yaml", &format!("{config}rsops:\n  check:\n    allow:\n      - secrets/doc/**\n"));
    assert_eq!(repository.codes(&[]), ["secrets/y.yaml plaintext-file"]);
    assert_eq!(repository.check(&["--allow", "plaintext-file"]), []);
    refused(&repository.scratch.call(["check", "--allow", "nonsense"]).outcome(), 1, &["plaintext-value"]);
}

#[test]
fn the_nearest_configuration_above_a_file_counts() {
    let repository = Repository::new();
    repository.write("team/.sops.yaml", "creation_rules:\n  - path_regex: ^hidden/\n");
    repository.write("team/secrets/x.yaml", "a: 1\n");
    repository.write("team/hidden/x.yaml", "a: 1\n");
    assert_eq!(repository.codes(&[]), ["team/hidden/x.yaml plaintext-file"]);
    let named = repository.codes(&["--config", ".sops.yaml"]);
    assert_eq!(named, [""; 0], "the rule of that file is for the top of the repository");
}

#[test]
fn verification_needs_keys_and_finds_what_else_is_wrong() {
    let repository = Repository::new();
    repository.seal("secrets/x.yaml", "a: 1\nb: 2\n", &[]);
    let text = repository.scratch.text("secrets/x.yaml");
    let line = text.lines().find(|line| line.starts_with("b:")).expect("a value").to_owned();
    repository.replace("secrets/x.yaml", &format!("{line}\n"), "");
    assert_eq!(repository.check(&[]), []);
    assert_eq!(repository.codes(&["--verify"]), ["secrets/x.yaml unverified"]);
    let without = repository.scratch.call(["check", "--verify"]).outcome();
    assert_eq!(without.ending, Ending::Exited(1));
    assert!(String::from_utf8_lossy(&without.stdout).contains("no key at hand opens it"));
}

#[test]
fn no_finding_tells_a_value() {
    let repository = Repository::new();
    repository.seal("secrets/x.yaml", "a: 1\n", &[]);
    repository.replace("secrets/x.yaml", "a: ", "leak: hunter2\na: ");
    repository.write("s.yaml", "kind: Secret\ndata:\n  p: hunter2\n");
    repository.write("secrets/p.env", "p=hunter2\n");
    for format in ["human", "json", "sarif", "github"] {
        let outcome = repository.scratch.call(["check", "--format", format]).outcome();
        assert_eq!(outcome.ending, Ending::Exited(1));
        let text = [outcome.stdout.as_slice(), &outcome.stderr].concat();
        assert!(!String::from_utf8_lossy(&text).contains("hunter2"), "{format}");
    }
}

#[test]
fn a_broken_configuration_or_repository_is_an_error_of_its_own() {
    let repository = Repository::new();
    repository.write("secrets/x.yaml", "a: 1\n");
    repository.write(".sops.yaml", "creation_rules: [\n");
    assert_eq!(repository.check(&[]), [at("broken-configuration", ".sops.yaml", 2, 1)]);
    refused(&repository.scratch.call(["check", "--config", ".sops.yaml"]).outcome(), 1, &["yaml: line 2"]);
    repository.write(".sops.yaml", "rsops: {check: {allow: ['a[']}}\n");
    let outcome = repository.scratch.call(["check"]).outcome();
    let text = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(text.contains(".sops.yaml: broken-configuration: "), "{text}");
    assert!(text.contains("rsops.check.allow") && text.contains("a["), "{text}");
}

#[test]
fn thousands_of_files_need_no_more_than_one_look_each() {
    let repository = Repository::new();
    repository.seal("secrets/x.yaml", "a: 1\n", &[]);
    let sealed = repository.scratch.text("secrets/x.yaml");
    for number in 0..300 {
        repository.scratch.write(&format!("secrets/{number}.yaml"), sealed.as_bytes());
        repository.scratch.write(&format!("src/{number}.rs"), b"fn main() {}\n");
    }
    repository.git(&["add", "--all"]);
    assert_eq!(repository.check(&["--staged"]), []);
    assert_eq!(repository.check(&[]), []);
}

/// Whether `git` is there at all; the tests of this file are about it.
#[test]
fn git_is_at_hand() {
    assert!(Command::new("git").arg("--version").output().is_ok_and(|output| output.status.success()));
}
