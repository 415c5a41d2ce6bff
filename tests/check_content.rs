//! `rsops check`: what it finds in the content of files, wherever and however it is written, and what it lets be.
#![cfg(all(unix, feature = "age"))]

#[path = "support/mod.rs"]
mod support;

use support::keys::recipient;
use support::repository::Repository;

const NOTHING: [(u64, u64); 0] = [];

/// Manifests, and where they have data in clear.
fn manifests(files: &[(&str, &[(u64, u64)])]) {
    let repository = Repository::new();
    for (number, (text, expected)) in files.iter().enumerate() {
        let name = format!("k8s/{number}.yaml");
        repository.write(&name, text);
        assert_eq!(repository.places("kubernetes-secret", &name), *expected, "{text}");
    }
}

/// A value was believed to be filled in because it began and ended like a placeholder.
#[test]
fn a_placeholder_hides_no_value_beside_it() {
    manifests(&[
        ("kind: Secret\nstringData:\n  p: <password>hunter2</password>\n", &[(3, 3)]),
        ("kind: Secret\nstringData:\n  p: \"{{ a }}hunter2{{ b }}\"\n", &[(3, 3)]),
        ("kind: Secret\nstringData:\n  p: ${A}hunter2${B}\n", &[(3, 3)]),
        ("kind: Secret\nstringData:\n  p: ${PASSWORD:-hunter2}\n", &[(3, 3)]),
        ("kind: Secret\nstringData:\n  p: <password>\n  q: \"{{ a }}-{{ b }}\"\n  r: ${A}${B:-}\n", &[]),
        ("kind: Secret\nstringData:\n  u: postgres://${USER}:${PASSWORD}@db/app\n", &[]),
    ]);
}

/// What only begins like an encrypted value passed as one.
#[test]
fn a_manifest_cannot_claim_to_be_encrypted() {
    manifests(&[(
        "kind: Secret\nstringData:\n  p: ENC[AES256_GCM,hunter2\n  q: ENC[x]\n",
        &[(3, 3), (4, 3)],
    )]);
}

/// Templates of Helm are no YAML before they are filled in, and were not looked at.
#[test]
fn a_secret_in_a_template_is_found() {
    manifests(&[
        (
            "{{- if .Values.create }}\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ include \"x.name\" . }}\n\
             data:\n  {{- range $k, $v := .Values.data }}\n  {{ $k }}: {{ $v | b64enc | quote }}\n  {{- end }}\n  \
             password: aHVudGVyMg==\n{{- end }}\n",
            &[(10, 3)],
        ),
        (
            "{{- if .Values.create }}\nkind: Secret\nstringData:\n  password: {{ .Values.password | quote }}\n{{- end }}\n",
            &[],
        ),
        ("kind: Secret\nstringData:\n  p: {{ \"hunter2\" | b64enc }}\n", &[(3, 3)]),
        // a syntax error does not hide anything either
        ("kind: Secret\ntype: Opaque\ntype: Opaque\ndata:\n  p: aHVudGVyMg==\n", &[(5, 3)]),
    ]);
    let repository = Repository::new();
    for name in ["a.yaml.j2", "b.yml.tmpl", "c.YAML", "d.Yml", "_e.tpl"] {
        repository.write(name, "{% if x %}\nkind: Secret\ndata:\n  p: cQ==\n{% endif %}\n");
        assert_eq!(repository.places("kubernetes-secret", name), [(4, 3)]);
    }
    repository.write("f.Json", "{\"kind\": \"Secret\",\n \"data\": {\"p\": \"cQ==\"}}\n");
    assert_eq!(repository.places("kubernetes-secret", "f.Json"), [(2, 12)]);
}

/// Mappings that are merged in have their own place in the tree; keys need not be text.
#[test]
fn every_value_of_a_secret_counts_however_it_gets_there() {
    manifests(&[
        ("x: &x\n  p: hunter2\n---\nkind: Pod\n", &[]),
        ("common: &x\n  p: hunter2\nkind: Secret\nstringData:\n  <<: *x\n", &[(2, 3)]),
        ("common: &x\n  p: hunter2\nkind: Secret\nstringData: *x\n", &[(2, 3)]),
        (
            "common:\n- &x {p: hunter2}\n- &y {q: hunter2}\nkind: Secret\nstringData:\n  <<: [*x, *y]\n",
            &[(2, 7), (3, 7)],
        ),
        ("kind: Secret\nstringData:\n  1: hunter2\n  true: hunter2\n", &[(3, 6), (4, 9)]),
        ("kind: Secret\ndata:\n  n: 1234\n", &[(3, 3)]),
        (
            "kind: ConfigMap\ndata:\n  a: b\n---\nkind: Secret\ndata:\n  p: cQ==\n---\nkind: Secret\n",
            &[(7, 3)],
        ),
    ]);
}

/// A Secret is one wherever it lies: in lists, in templates, in the values of a chart.
#[test]
fn a_secret_inside_of_something_else_is_found() {
    manifests(&[
        ("kind: List\nitems:\n- kind: List\n  items:\n  - kind: Secret\n    data: {p: cQ==}\n", &[(6, 12)]),
        (
            "kind: SecretList\nitems:\n- data:\n    p: cQ==\n- kind: Secret\n  data:\n    p: cQ==\n",
            &[(4, 5), (7, 5)],
        ),
        ("kind: Template\nobjects:\n- kind: Secret\n  stringData:\n    p: ${P}\n    q: x\n", &[(6, 5)]),
        ("replicas: 1\nextraObjects:\n- kind: Secret\n  stringData:\n    p: q\n", &[(5, 5)]),
        ("kind: SopsSecret\nspec:\n  secretTemplates:\n  - stringData:\n      p: q\n", &[(5, 7)]),
        ("kind: SopsSecret\nspec:\n  secret_templates:\n  - data:\n      p: cQ==\n", &[(5, 7)]),
        ("kind: Kustomization\nvaluesFrom:\n- kind: Secret\n  name: x\ndata:\n  a: b\n", &[]),
    ]);
}

/// The unit tests know more ways to write a key; this is about files.
#[test]
fn private_keys_are_found_as_one_line_and_behind_comments() {
    let repository = Repository::new();
    let pem = std::fs::read_to_string(support::keys::fixture("keys/pgp-rsa.asc")).expect("a key");
    let body: Vec<&str> = pem.lines().filter(|line| line.len() == 64).take(3).collect();
    let key = |separator: &str| format!("-----BEGIN RSA PRIVATE KEY-----{separator}{}", body.join(separator));
    for (name, text, at) in [
        ("a.json", format!("{{\"key\": \"{}\"}}\n", key("\\n")), (1, 10)),
        ("b.env", format!("# x\nKEY=\"{}\"\n", key("\\n")), (2, 6)),
        ("c.conf", format!("# {}\n", key("\n# ")), (1, 3)),
        ("d.yaml", format!("key: |\n    {}\n", key("\n    ")), (2, 5)),
        (
            "e.ppk",
            format!(
                "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\nPrivate-Lines: 3\n{}\n",
                body.join("\n")
            ),
            (1, 1),
        ),
        ("f.txt", format!("age-secret-key-1{}\n", "q".repeat(58)), (1, 1)),
    ] {
        repository.write(name, &text);
        assert_eq!(repository.places("private-key", name), [at], "{text}");
    }
    for (name, text) in [
        ("g.pub", key("\n").replace("PRIVATE", "PUBLIC")),
        ("h.md", "A key begins with\n-----BEGIN RSA PRIVATE KEY-----\nand has several lines.\n".to_owned()),
        ("i.rs", "Regex::new(r\"-----BEGIN [A-Z ]+PRIVATE KEY-----[A-Za-z0-9+/=\\s]+\")\n".to_owned()),
    ] {
        repository.write(name, &text);
        assert_eq!(repository.places("private-key", name), NOTHING, "{text}");
    }
}

/// A value that somebody typed was called damaged, with the advice to restore it.
#[test]
fn a_value_is_damaged_only_if_it_was_encrypted() {
    let repository = Repository::new();
    repository.seal("secrets/x.yaml", "a: 1\nb: 2\n", &[]);
    repository.replace("secrets/x.yaml", "a: ", "c: ENC[AES256_GCM,hunter2\na: ");
    assert_eq!(repository.places("plaintext-value", "secrets/x.yaml"), [(1, 1)]);
    repository.seal("secrets/x.yaml", "a: one\nb: 2\n", &[]);
    repository.replace("secrets/x.yaml", ",type:str]", "");
    assert_eq!(repository.places("broken-value", "secrets/x.yaml"), [(1, 1)]);
}

/// Without a MAC that can be read, decryption fails.
#[test]
fn a_damaged_mac_is_found() {
    let repository = Repository::new();
    repository.seal("secrets/x.yaml", "a: 1\n", &[]);
    repository.replace("secrets/x.yaml", "    mac: ENC[AES256_GCM,data:", "    mac: ENC[AES256_GCM,data:!");
    assert_eq!(repository.places("broken-metadata", "secrets/x.yaml"), [(2, 1)]);
}

/// `secrets/` of a rule means secrets, not what Git needs to keep the folder.
#[test]
fn files_of_git_and_empty_ones_need_not_be_encrypted() {
    let repository = Repository::new();
    for (name, text) in [
        (".gitignore", "*.tmp\n"),
        (".gitattributes", "* text\n"),
        (".gitkeep", "x\n"),
        (".sops.yaml", "creation_rules:\n  - path_regex: .*\n"),
        ("empty.yaml", "\n"),
    ] {
        repository.write(&format!("secrets/{name}"), text);
    }
    assert_eq!(repository.check(&[]), []);
    repository.write("secrets/.git.yaml", "a: 1\n");
    assert_eq!(repository.places("plaintext-file", "secrets/.git.yaml"), [(0, 0)]);
}

/// A file whose name tells another format was called plaintext, though it is encrypted.
#[test]
fn a_file_that_is_encrypted_as_another_format_than_its_name_tells_is_encrypted() {
    let repository = Repository::new();
    for (name, format, text) in [
        ("secrets/x.YAML", "yaml", "a: one\n"),
        ("secrets/x.Json", "json", "{\"a\": \"one\"}\n"),
        ("secrets/.env.production", "dotenv", "a=one\n"),
        ("secrets/x.conf", "ini", "[s]\na = one\n"),
    ] {
        repository.seal(name, text, &["--input-type", format, "--output-type", format]);
        assert_eq!(repository.check(&[]), [], "{name}");
        assert_eq!(repository.check(&["--verify"]), [], "{name}");
    }
    let text = repository.scratch.text("secrets/x.YAML");
    repository.write("secrets/x.YAML", &format!("b: leaked\n{text}"));
    assert_eq!(repository.places("plaintext-value", "secrets/x.YAML"), [(1, 1)]);
    let bob = recipient("age-bob");
    repository.seal(
        "secrets/y.YML",
        "a: 1\n",
        &["--age", &bob, "--input-type", "yaml", "--output-type", "yaml"],
    );
    assert_eq!(repository.places("recipient-drift", "secrets/y.YML"), [(2, 1)]);
}

/// Searching for the line of each finding from the beginning of the file anew took minutes.
#[test]
fn many_findings_in_one_file_cost_one_look() {
    let repository = Repository::new();
    let data: String = (0..20_000).map(|number| format!("  key{number}: value\n")).collect();
    repository.write("k8s/many.yaml", &format!("kind: Secret\nstringData:\n{data}"));
    assert_eq!(repository.places("kubernetes-secret", "k8s/many.yaml").len(), 20_000);
    repository.write("k8s/many.yaml", &format!("{{{{ x }}}}\nkind: Secret\nstringData:\n{data}"));
    assert_eq!(repository.places("kubernetes-secret", "k8s/many.yaml").len(), 20_000);
    repository.seal("secrets/x.env", "a=1\n", &[]);
    let leaked: String = (0..20_000).map(|number| format!("key{number}=value\n")).collect();
    repository.replace("secrets/x.env", "a=", &format!("{leaked}a="));
    let places = repository.places("plaintext-value", "secrets/x.env");
    assert_eq!((places.len(), places[19_999]), (20_000, (20_000, 1)));
}

/// Found in public repositories, where it annoyed.
#[test]
fn what_other_people_write_into_manifests_and_manuals_passes() {
    manifests(&[
        // base64 of `<path:a#b>`, which a plugin of Argo CD fills in
        ("kind: Secret\ndata:\n  p: PHBhdGg6YSNiPg==\n", &[]),
        // a script in a template
        (
            "args:\n- |\n  kubectl create <<EOF\n  kind: Secret\n  data:\n    t: $token\n  EOF\nx: {{ y }}\n",
            &[],
        ),
        // a configuration of which some is filled in
        (
            "kind: Secret\nstringData:\n  c: |\n    key: /tls/tls.key\n    host: {{ .host }}\n  d: {{ .d }}\n",
            &[],
        ),
    ]);
    let repository = Repository::new();
    let line = "MIIEogIBAAKCAQEAvLYcyu8f3skuRyUgeeNpeDvYBCDcgq+LsWap6zbX5f8oLqp4";
    let text =
        format!("-----BEGIN RSA PRIVATE KEY-----\n{line}\n...\n{line}\n-----END RSA PRIVATE KEY-----\n");
    repository.write("README.md", &text);
    assert_eq!(repository.places("private-key", "README.md"), NOTHING);
}

/// Guards against a Secret in clear that nobody heard of, because the file may lie in clear.
#[test]
fn a_file_that_may_be_in_clear_is_still_no_place_for_a_secret() {
    let repository = Repository::new();
    let manifest = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\nstringData:\n  a: hunter2\n";
    repository.write("secrets/x.yaml", manifest);
    assert_eq!(repository.codes(&[]), ["secrets/x.yaml plaintext-file"]);
    assert_eq!(repository.codes(&["--allow", "plaintext-file"]), ["secrets/x.yaml kubernetes-secret"]);
    repository.write("secrets/x.yaml", &format!("# rsops:allow plaintext-file\n{manifest}"));
    assert_eq!(repository.codes(&[]), ["secrets/x.yaml kubernetes-secret"]);
}
