//! Whole configuration files.

use super::*;

const ALICE: &str = "age18ns40szzv3seadwktx6mkhjjqrz2xvt0jlkcc00l0z7d3kpr7chss24t99";

/// A configuration at `/repo/.sops.yaml`.
fn config(text: &str) -> Config {
    parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn parse(text: impl AsRef<[u8]>) -> Result<Config, ConfigError> {
    let contents = Contents::parse(text.as_ref())?;
    Ok(Config { path: PathBuf::from("../.sops.yaml"), directory: PathBuf::from("/repo"), contents })
}

/// The names of the keys that a file is encrypted for.
fn keys_for(config: &Config, file: &str) -> Result<Vec<String>, String> {
    let rule = config.creation_rule(Path::new(file), &[]).map_err(|e| e.to_string())?;
    Ok(rule.key_groups.iter().flat_map(|group| &group.keys).map(|key| key.key.to_string()).collect())
}

fn problem(text: &str) -> String {
    parse(text).map(|_| ()).expect_err(text).to_string()
}

#[test]
fn the_example_is_valid_and_has_no_unknown_keys() {
    let config = config(include_str!("../../.sops.yaml.example"));
    assert_eq!(config.unknown_keys(), []);
    assert_eq!(config.indent(), Indent { yaml: 2, json: 2, json_binary: 2 });

    let prod = config.creation_rule(Path::new("/repo/prod/db.yaml"), &[]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(prod.key_groups.iter().map(|group| group.keys.len()).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!((prod.shamir_threshold, prod.mac_only_encrypted), (2, true));
    assert_eq!(prod.selectors.encrypted_regex, "^(data|stringData)$");
    assert_eq!(keys_for(&config, "/repo/a/.env").map(|keys| keys.len()), Ok(2));
    assert_eq!(keys_for(&config, "/repo/x.json").map(|keys| keys.len()), Ok(3));

    let s3 = config.destination_rule(Path::new("s3/a.yaml")).unwrap_or_else(|e| panic!("{e}"));
    assert!(s3.recreation.is_some());
    let vault = config.destination_rule(Path::new("vault/a.yaml")).unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(vault.destination, Destination::Vault { kv_version: KvVersion::V2, .. }));
}

#[test]
fn the_first_rule_that_matches_is_used() {
    let config = config(
        "creation_rules:\n- {path_regex: '\\.json$', pgp: a}\n- {path_regex: ^sub/, pgp: b}\n- {path_regex: '', pgp: c}\n\
         - {path_regex: '(', pgp: d}\n",
    );
    for (file, key) in [("/repo/sub/x.json", "a"), ("/repo/sub/x.yaml", "b"), ("/repo/x/sub/y", "c")] {
        assert_eq!(keys_for(&config, file), Ok(vec![key.to_owned()]), "{file}");
    }
}

#[test]
fn files_elsewhere_are_matched_by_their_absolute_path() {
    let config = config("creation_rules: [{path_regex: ^repo/, pgp: a}, {path_regex: ^/, pgp: b}]");
    for (file, key) in [
        ("/repo/repo/x", "a"), // once only
        ("/repository/x", "b"),
        ("/x", "b"),
    ] {
        assert_eq!(keys_for(&config, file), Ok(vec![key.to_owned()]), "{file}");
    }
}

#[test]
fn a_configuration_in_the_root_directory_matches_absolute_paths() {
    let mut config = config("creation_rules: [{path_regex: ^tmp/, pgp: a}, {pgp: b}]");
    config.directory = PathBuf::from("/");
    assert_eq!(keys_for(&config, "/tmp/x"), Ok(vec!["b".to_owned()]));
}

#[test]
fn no_rules_empty_rules_and_no_match_are_told_apart() {
    let result = |text: &str| config(text).creation_rule(Path::new("/repo/x"), &[]).map(|_| ());
    for text in ["", "# nothing", "~", "---\n---\ncreation_rules: []", "stores: {}", "creation_rules: ~"] {
        let error = result(text).expect_err(text);
        assert!(matches!(&error, ConfigError::NoCreationRules { .. }), "{text}: {error}");
        assert_eq!(error.to_string(), "The config file ../.sops.yaml does not contain any creation rule");
    }
    for text in ["creation_rules: []", "creation_rules: [~]", "creation_rules: [path_regex: ^y]"] {
        let error = result(text).expect_err(text);
        assert!(matches!(error, ConfigError::NoMatchingRule), "{text}: {error}");
        assert_eq!(error.to_string(), "error loading config: no matching creation rules found");
    }
}

#[test]
fn an_expression_that_is_reached_must_compile() {
    let config = config("creation_rules:\n- path_regex: ^y\n- path_regex: '('\n");
    let error = config.creation_rule(Path::new("/repo/x"), &[]).err().expect("an error");
    assert!(matches!(error, ConfigError::BadPathRegex { line: 3, .. }));
    assert!(error.to_string().starts_with("can not compile regexp: error parsing regexp: "), "{error}");
    assert!(error.to_string().ends_with(", in path_regex `(` of the rule on line 3"), "{error}");
}

#[test]
fn keys_of_other_rules_may_be_none() {
    let text = format!(
        "creation_rules:\n- age: {ALICE}\n- age: nonsense\n  encrypted_regex: a\n  encrypted_suffix: b"
    );
    assert_eq!(keys_for(&config(&text), "/repo/x"), Ok(vec![ALICE.to_owned()]));
}

#[test]
fn destinations_are_chosen_by_the_path_as_typed() {
    let config = config(
        "destination_rules: [{path_regex: ^a/, s3_bucket: a}, {path_regex: ^/repo/, s3_bucket: b}, {path_regex: '['}]",
    );
    let bucket = |path: &str| match config.destination_rule(Path::new(path)) {
        Ok(ResolvedDestination { destination: Destination::S3 { bucket, .. }, .. }) => bucket,
        Ok(_) => "elsewhere".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(bucket("a/x"), "a");
    assert_eq!(bucket("/repo/a/x"), "b");
    assert!(bucket("b/x").starts_with("can not compile regexp"));
    for text in ["", "destination_rules: []", "destination_rules: [~]", "destination_rules: [path_regex: b]"]
    {
        let error = self::config(text).destination_rule(Path::new("a")).err().expect(text);
        assert_eq!(error.to_string(), "error loading config: no matching destination found in config");
    }
}

#[test]
fn wrong_types_anywhere_break_the_file_and_name_the_line() {
    for (text, expected) in [
        ("creation_rules: [\n", "line 2: did not find expected node content"),
        ("- a", "line 1: the configuration must be a mapping, not a list"),
        ("a", "line 1: the configuration must be a mapping, not text"),
        ("creation_rules: {}", "line 1: \"creation_rules\" must be a list, not a mapping"),
        ("creation_rules:\n- a", "line 2: a creation rule must be a mapping, not text"),
        ("creation_rules:\n- {}\n- hckms: a:b", "line 3: \"hckms\" must be a list, not text"),
        ("creation_rules:\n- key_groups:\n  - age: a", "line 3: \"age\" must be a list, not text"),
        ("destination_rules:\n- s3_bucket: []", "line 2: \"s3_bucket\" must be text, not a list"),
        ("stores: 5", "line 1: \"stores\" must be a mapping, not a number"),
        ("a: b\na: b", "line 2: mapping key \"a\" already defined at line 1"),
    ] {
        let prefix = "error loading config: Could not unmarshal config file: yaml: ";
        assert_eq!(problem(text), format!("{prefix}{expected}"));
    }
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let text = "keys: &keys\n- &a A\n- B\nx-defaults: &defaults {encrypted_suffix: _s, pgp: [C]}\ncreation_rules:\n\
                - {<<: *defaults, path_regex: ^1, pgp: *keys}\n- {<<: *defaults, path_regex: ^2}\n\
                - key_groups: [pgp: [*a, D]]\n";
    let config = config(text);
    assert_eq!(keys_for(&config, "/repo/1").map(|k| k.concat()).as_deref(), Ok("AB"));
    assert_eq!(keys_for(&config, "/repo/2").map(|k| k.concat()).as_deref(), Ok("C"));
    assert_eq!(keys_for(&config, "/repo/3").map(|k| k.concat()).as_deref(), Ok("AD"));
    assert_eq!(config.unknown_keys(), [], "they are there on purpose");
}

#[test]
fn unknown_keys_are_told_on_every_level() {
    let text = "\
creation_rule: []
creation_rules:
- ages: x
  path-regex: y
  key_groups:
  - pgps: [a]
    kms: [{arn: b, roles: c, context: {free: d}}]
    azure_keyvault: [{vault_url: e}]
    merge: [{hc_vaults: []}]
destination_rules:
- s3_buckets: f
  recreation_rule: {pgb: g}
stores: {yml: {indent: 2}, json: {indents: 2}, dotenv: {free: 1}, ini: {free: 1}}
rsops: {whatever: 1}
";
    let config = config(text);
    let told: Vec<_> = config.unknown_keys().iter().map(|k| (k.line, k.key.as_str(), k.nearest)).collect();
    assert_eq!(
        told,
        [
            (1, "creation_rule", Some("creation_rules")),
            (3, "ages", Some("age")),
            (4, "path-regex", Some("path_regex")),
            (6, "pgps", Some("pgp")),
            (7, "roles", Some("role")),
            (8, "vault_url", Some("vaultUrl")),
            (9, "hc_vaults", Some("hc_vault")),
            (11, "s3_buckets", Some("s3_bucket")),
            (12, "pgb", Some("pgp")),
            (13, "yml", Some("yaml")),
            (13, "indents", Some("indent")),
            (14, "whatever", None),
        ]
    );
}

#[test]
fn a_file_is_loaded_relative_to_the_working_directory() {
    let root = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir_all(root.path().join("repo/sub")).expect("directories");
    fs::write(root.path().join("repo/conf.yaml"), "creation_rules: [{path_regex: ^sub/x$, pgp: a}]")
        .expect("a file");
    let here = root.path().join("repo/sub");
    for path in ["../conf.yaml", "./.././conf.yaml", "../../repo/conf.yaml"] {
        let config = Config::load(&here, Path::new(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(config.path(), Path::new(path));
        let file = absolute(&here, Path::new("../sub//x"));
        assert!(config.creation_rule(&file, &[]).is_ok(), "{path}");
    }
    let problem = |path: &str| Config::load(&here, Path::new(path)).map(|_| ()).expect_err(path).to_string();
    assert_eq!(problem("x.yaml"), "could not read config file: open x.yaml: no such file or directory");
    assert_eq!(problem(".."), "could not read config file: read ..: is a directory");
}

#[test]
fn paths_are_cleaned_in_the_text() {
    for (path, expected) in [
        ("x", "/a/b/x"),
        ("./x/", "/a/b/x"),
        ("../x", "/a/x"),
        ("../../../../x", "/x"),
        ("/c//d/./../e", "/c/e"),
        ("", "/a/b"),
    ] {
        assert_eq!(absolute(Path::new("/a/b"), Path::new(path)), Path::new(expected), "{path}");
    }
}

#[test]
fn nothing_makes_it_panic() {
    // a generator of Marsaglia's: the same texts in each run
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let example = include_bytes!("../../.sops.yaml.example");
    let pieces = [
        "creation_rules:",
        "\n",
        "\n- ",
        "  ",
        "key_groups: ",
        "merge: ",
        "age: ",
        "kms: ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&a ",
        "*a",
        "<<: ",
        "path_regex: ",
        "(",
        "~",
        "5",
        "'",
        "\"",
        "context: ",
        "stores: ",
        "---\n",
        "? ",
        "!!int ",
    ];
    for _ in 0..3000 {
        let mut bytes = match random(3) {
            0 => (0..random(60)).map(|_| random(256) as u8).collect(),
            1 => (0..random(40)).flat_map(|_| pieces[random(pieces.len())].bytes()).collect(),
            _ => example.to_vec(),
        };
        for _ in 0..random(8) {
            let at = random(bytes.len() + 1);
            bytes.splice(at..(at + random(4)).min(bytes.len()), pieces[random(pieces.len())].bytes());
        }
        if let Ok(config) = parse(&bytes) {
            let _ = config.creation_rule(Path::new("/repo/prod/x.yaml"), &[]);
            let _ = config.destination_rule(Path::new("s3/x"));
        }
    }
}

#[test]
fn deep_files_are_read_or_refused() {
    let deep = || {
        let levels = 1000;
        let nested = format!("{}pgp: [a]{}", "merge: [{".repeat(levels), "}]".repeat(levels));
        let text = format!("creation_rules: [{{key_groups: [{{{nested}}}]}}]");
        assert_eq!(keys_for(&config(&text), "/repo/x"), Ok(vec!["a".to_owned()]));

        let too_deep = "[".repeat(crate::tree::MAX_DEPTH + 1);
        assert!(problem(&too_deep).contains("max depth"));

        // aliases make groups deeper than the text is
        let mut chain = "x0: &x0 {pgp: [a]}\n".to_owned();
        for i in 1..=crate::tree::MAX_DEPTH {
            chain += &format!("x{i}: &x{i} {{merge: [*x{}]}}\n", i - 1);
        }
        chain += &format!("creation_rules: [key_groups: [*x{}]]\n", crate::tree::MAX_DEPTH);
        assert!(problem(&chain).contains("key groups are merged over more than"));

        let unknown = format!("x: {}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(config(&unknown).unknown_keys().len(), 1);
    };
    let thread =
        std::thread::Builder::new().stack_size(crate::tree::STACK_SIZE).spawn(deep).expect("a thread");
    thread.join().expect("no overflow");
}
