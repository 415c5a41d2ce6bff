//! Which configuration a file is held against, and that what is printed as a fix is one.

use super::support::keys::recipient;
use super::support::outcome::{Ending, Outcome};
use super::support::program::binary;
use super::{Repository, at};

/// The fixes of all findings, as somebody would type them.
fn fixes(repository: &Repository) -> Vec<String> {
    let outcome = repository.scratch.call(["check"]).outcome();
    let text = String::from_utf8(outcome.stdout).expect("text");
    text.lines().filter_map(|line| line.trim().strip_prefix("fix: ")).map(str::to_owned).collect()
}

fn run(repository: &Repository, fix: &str) {
    let outcome = applied(repository, fix);
    assert!(outcome.succeeded(), "{fix}: {}", outcome.messages());
    repository.git(&["add", "--all"]);
}

/// Runs a fix in the shell, with the key of alice and the program found as `rsops`.
fn applied(repository: &Repository, fix: &str) -> Outcome {
    let fix = fix.rsplit_once(": ").map_or(fix, |(_, commands)| commands);
    let scratch = &repository.scratch;
    if !scratch.programs().join("rsops").exists() {
        scratch.offer("rsops", &binary());
    }
    scratch.call_other("bash", ["-c", fix]).keys(["age-alice"]).with_programs().outcome()
}

/// Guards against fixes that were applied with the configuration of the working directory, so that the finding, which
/// goes by the nearest configuration, came again and again.
#[test]
fn a_fix_uses_the_configuration_that_the_finding_came_from() {
    let (alice, bob) = (recipient("age-alice"), recipient("age-bob"));
    let repository = Repository::new();
    let rule = |keys: &str| format!("creation_rules:\n  - path_regex: ^hidden/\n    age: {keys}\n");
    repository.write("team/.sops.yaml", &rule(&alice));
    repository.write("team/hidden/x.yaml", "a: 1\n");
    repository.write("team/hidden/it's; $(x).yaml", "a: 1\n");
    assert_eq!(repository.codes(&[]).len(), 2);
    assert!(fixes(&repository).iter().all(|fix| fix.contains("--config team/.sops.yaml ")));
    fixes(&repository).iter().for_each(|fix| run(&repository, fix));
    assert_eq!(repository.check(&[]), []);

    repository.write("team/.sops.yaml", &rule(&format!("{alice},{bob}")));
    assert_eq!(repository.codes(&[]).len(), 2);
    for fix in fixes(&repository) {
        assert!(fix.starts_with("rsops updatekeys --config team/.sops.yaml "), "{fix}");
        run(&repository, &fix.replace("updatekeys", "updatekeys --yes"));
    }
    assert_eq!(repository.check(&[]), []);
}

/// Guards against `decrypt --in-place && encrypt --in-place`, which left the plaintext if the second one failed.
#[test]
fn a_file_that_selects_other_values_is_encrypted_again_without_plaintext_on_the_disk() {
    let alice = recipient("age-alice");
    let repository = Repository::new();
    let rule = |keys: &str| {
        let selector = "encrypted_regex: ^pass\n    mac_only_encrypted: true";
        format!("creation_rules:\n  - path_regex: ^hidden/\n    {selector}\n    {keys}\n")
    };
    repository.write("team/.sops.yaml", &rule(&format!("age: {alice}")));
    let names =
        ["x.yaml", "x.json", "x.env", "x.ini", "it's; $(x).yaml"].map(|name| format!("team/hidden/{name}"));
    for name in &names {
        let text = match name.rsplit_once('.') {
            Some((_, "json")) => "{\"password\": \"hunter2\", \"other\": \"b\"}\n",
            Some((_, "env")) => "password=hunter2\nother=b\n",
            Some((_, "ini")) => "[s]\npassword = hunter2\n",
            _ => "password: hunter2\nother: b\n",
        };
        repository.seal(name, text, &["--age", &alice]);
    }
    let found = fixes(&repository);
    assert_eq!(found.len(), names.len(), "{found:?}");

    // nobody to encrypt for
    repository.write("team/.sops.yaml", &rule("age: ''"));
    for (name, fix) in names.iter().zip(&found) {
        let sealed = repository.scratch.text(name);
        assert!(!applied(&repository, fix).succeeded(), "{fix}");
        assert_eq!(repository.scratch.text(name), sealed, "{fix}");
    }

    repository.write("team/.sops.yaml", &rule(&format!("age: {alice}")));
    found.iter().for_each(|fix| run(&repository, fix));
    assert_eq!(repository.check(&["--verify"]), []);
    assert!(repository.scratch.text(&names[0]).contains("\nother: b\n"));
}

#[test]
fn a_fix_names_no_configuration_that_is_found_anyway() {
    let repository = Repository::new();
    repository.write("secrets/x.yaml", "a: 1\n");
    assert_eq!(fixes(&repository), ["rsops encrypt --in-place secrets/x.yaml"]);
}

#[test]
fn a_fix_carries_the_configuration_that_was_named() {
    let repository = Repository::new();
    repository
        .write("rules/all.yaml", &repository.scratch.text(".sops.yaml").replace("^secrets/", "secrets/"));
    repository.write("secrets/x.yaml", "a: 1\n");
    let fix = |arguments: &[&str], variable: &str| {
        let call =
            repository.scratch.call([&["check"], arguments].concat()).variable("SOPS_CONFIG", variable);
        String::from_utf8(call.outcome().stdout).expect("text")
    };
    let flag = "--in-place --config rules/all.yaml secrets/x.yaml\n";
    assert!(fix(&["--config", "rules/all.yaml"], "").ends_with(flag));
    // commands read the variable too
    assert!(fix(&[], "rules/all.yaml").ends_with("--in-place secrets/x.yaml\n"));
    assert!(fix(&["--config", "rules/all.yaml"], ".sops.yaml").ends_with(flag));
}

/// Guards against fixes that no command carries out.
#[test]
fn a_threshold_that_does_not_fit_is_told_of_the_configuration() {
    let (alice, bob) = (recipient("age-alice"), recipient("age-bob"));
    let repository = Repository::new();
    let rule = |threshold: usize| {
        let groups = format!("key_groups:\n      - age: [{alice}]\n      - age: [{bob}]\n");
        format!("creation_rules:\n  - path_regex: ^secrets/\n    shamir_threshold: {threshold}\n    {groups}")
    };
    for (threshold, code) in [
        (0, "plaintext-file"),
        (1, "broken-configuration"),
        (2, "plaintext-file"),
        (3, "broken-configuration"),
    ] {
        repository.write(".sops.yaml", &rule(threshold));
        repository.write("secrets/x.yaml", "a: 1\n");
        let found = repository.codes(&[]);
        assert!(matches!(&found[..], [one] if one.ends_with(code)), "{threshold}: {found:?}");
    }
}

/// Guards against a finding that stands in the way of all others.
#[test]
fn a_broken_configuration_is_a_finding_and_the_other_files_are_checked() {
    let repository = Repository::new();
    repository.write("secrets/x.yaml", "a: 1\n");
    repository.write("broken/.sops.yaml", "creation_rules:\n  - age: [\n");
    repository.write("broken/x.yaml", "a: 1\n");
    repository.write("broken/k8s.yaml", "kind: Secret\ndata:\n  p: cQ==\n");
    repository.write("wrong/.sops.yaml", "creation_rules:\n  - path_regex: '['\n");
    repository.write("wrong/x.yaml", "a: 1\n");
    repository.write("wrong/y.yaml", "a: 1\n");
    let expected = [
        at("broken-configuration", "broken/.sops.yaml", 3, 1),
        at("kubernetes-secret", "broken/k8s.yaml", 3, 3),
        at("plaintext-file", "secrets/x.yaml", 0, 0),
        at("broken-configuration", "wrong/.sops.yaml", 2, 1),
    ];
    assert_eq!(repository.check(&[]), expected);
    assert_eq!(repository.check(&["--staged"]), expected);
    // nobody knows what would be found, so that this is never a success
    let outcome = repository.scratch.call(["check", "--allow", "broken-configuration"]).outcome();
    assert_eq!(outcome.ending, Ending::Exited(1));
}

#[test]
fn a_configuration_that_is_a_link_counts_for_the_next_commit_too() {
    let repository = Repository::new();
    std::fs::rename(
        repository.scratch.folder().join(".sops.yaml"),
        repository.scratch.folder().join("rules.yaml"),
    )
    .expect("our own file");
    std::os::unix::fs::symlink("rules.yaml", repository.scratch.folder().join(".sops.yaml"))
        .expect("our own folder");
    repository.write("secrets/x.yaml", "a: 1\n");
    assert_eq!(repository.codes(&["--staged"]), ["secrets/x.yaml plaintext-file"]);
}

/// Guards against the first commit of somebody who forgot to add the rules.
#[test]
fn rules_that_nobody_has_added_yet_are_better_than_none() {
    let repository = Repository::new();
    repository.write("secrets/x.yaml", "a: 1\n");
    repository.git(&["rm", "--quiet", "--cached", ".sops.yaml"]);
    assert_eq!(repository.codes(&["--staged"]), ["secrets/x.yaml plaintext-file"]);
    repository.git(&["add", "--force", ".sops.yaml"]);
    repository.scratch.write("secrets/.sops.yaml", b"creation_rules: []\n");
    assert_eq!(repository.codes(&["--staged"]), ["secrets/x.yaml plaintext-file"]);
}

#[test]
fn a_folder_in_the_place_of_a_configuration_is_no_configuration() {
    let repository = Repository::new();
    repository.write("secrets/.sops.yaml/x", "x");
    repository.write("secrets/x.yaml", "a: 1\n");
    assert_eq!(repository.check(&[])[0], at("broken-configuration", "secrets/.sops.yaml", 0, 0));
}
