//! ssh keys as identities: containers, pass phrases, messages (keys.md §2.6).

use rsops::keys::Silent;
use rsops::keys::age::{IdentitySources, Recipient};

use super::{Person, fixture, hex, read, sources, unwrap, unwrap_by, with_ssh};

#[test]
fn ssh_keys_that_cannot_serve_are_told_why() {
    let enc = read("age/a1-enc.txt");
    let cases = [
        ("keys/README.md", "ssh: no key found"),
        ("age/ecdsa.key", "unsupported SSH identity type: *ecdsa.PrivateKey"),
    ];
    for (name, reason) in cases {
        let path = fixture(name);
        let message = unwrap(with_ssh(&path), &enc).unwrap_err();
        let path = path.display().to_string();
        let expected = format!(
            "failed to load age identities. Errors while loading age identities: malformed SSH identity in \
             {path:?}: {reason}. Did not"
        );
        assert!(message.starts_with(&expected), "{message}");
    }
    let command = |file: &str| IdentitySources {
        ssh_key_cmd: Some(format!("cat '{}'", fixture(file).display()).into()),
        ..sources()
    };
    let message = unwrap(command("age/a6-identity.txt"), &enc).unwrap_err();
    let refused = "the SSH key returned by running SOPS_AGE_SSH_PRIVATE_KEY_CMD is password protected, which is \
                   unsupported. (\"ssh: this private key is passphrase protected\"). Did not";
    assert!(message.contains(refused), "{message}");
    let message = unwrap(command("keys/README.md"), &enc).unwrap_err();
    let refused = "malformed SSH identity returned by running SOPS_AGE_SSH_PRIVATE_KEY_CMD: \
                   \"ssh: no key found\". Did not";
    assert!(message.contains(refused), "{message}");
    assert!(unwrap(command("age/a4-identity.txt"), &read("age/a4-enc.txt")).is_ok());
}

#[test]
fn a_protected_ssh_key_asks_only_if_it_is_meant() {
    let of_key = || with_ssh(&fixture("age/a6-identity.txt"));
    let person = Person::with("wrong");
    assert!(unwrap_by(of_key(), person.clone(), &read("age/a4-enc.txt")).is_err());
    assert!(person.heard().is_empty());
    let enc = read("age/a6-enc.txt");
    let reader = "failed to create reader for decrypting sops data key with age: ";
    let starts = |message: Result<String, String>, cause: &str| {
        let message = message.unwrap_err();
        assert!(message.starts_with(&format!("{reader}{cause}. Did not")), "{message}");
    };
    let failed = "failed to decrypt SSH key file:";
    starts(
        unwrap_by(of_key(), Person::with("wrong"), &enc),
        &format!("{failed} x509: decryption password incorrect"),
    );
    starts(unwrap_by(of_key(), Person::with(""), &enc), &format!("{failed} bcrypt_pbkdf: empty password"));
    let path = fixture("age/a6-identity.txt").display().to_string();
    let nobody = "standard input is not a terminal, and /dev/tty is not available: open /dev/tty: no such \
                  device or address";
    starts(
        unwrap(of_key(), &enc),
        &format!("failed to obtain passphrase: could not read passphrase for {path:?}: {nobody}"),
    );
}

#[test]
fn pem_keys_with_a_pass_phrase_need_their_public_key() {
    let folder = tempfile::tempdir().unwrap();
    let enc =
        Recipient::parse(&read("age/rsa-pkcs1-protected.pem.pub")).unwrap().wrap(&[9; 32], &Silent).unwrap();
    for kind in ["aes", "aes256", "des3"] {
        let name = if kind == "aes" { "rsa-pkcs1-protected.pem" } else { &format!("rsa-pkcs1-{kind}.pem") };
        let path = folder.path().join(kind);
        let public = folder.path().join(format!("{kind}.pub"));
        std::fs::copy(fixture(&format!("age/{name}")), &path).unwrap();
        let shown = path.display().to_string();
        let fails = |answer, cause: &str| {
            let message = unwrap_by(with_ssh(&path), Person::with(answer), &enc).unwrap_err();
            assert!(message.contains(cause), "{message}");
        };
        fails(
            "passw",
            &format!(
                "failed to obtain public \"{shown}.pub\" key for {shown:?} SSH key: open {shown}.pub: no such file \
                 or directory. Did"
            ),
        );
        std::fs::write(&public, "nonsense").unwrap();
        fails("passw", &format!("failed to parse \"{shown}.pub\": ssh: no key found. Did"));
        std::fs::copy(fixture("age/rsa-pkcs1-protected.pem.pub"), &public).unwrap();
        let person = Person::with("passw");
        assert_eq!(unwrap_by(with_ssh(&path), person.clone(), &enc), Ok(hex(&[9; 32])), "{kind}");
        assert_eq!(person.heard(), [format!("Enter passphrase for {shown:?}:")]);
        for wrong in ["wrong", ""] {
            fails(wrong, "failed to decrypt SSH key file: x509: decryption password incorrect. Did");
        }
        // the public key of another: its stanzas are taken for ours, and that shows
        std::fs::copy(fixture("keys/ssh-rsa.pub"), &public).unwrap();
        let other = Recipient::parse(&read("keys/ssh-rsa.pub")).unwrap().wrap(&[9; 32], &Silent).unwrap();
        let message = unwrap_by(with_ssh(&path), Person::with("passw"), &other).unwrap_err();
        assert!(message.contains("with age: mismatched private and public SSH key. Did"), "{message}");
    }
}

#[test]
fn the_type_of_an_ssh_key_is_the_one_it_states() {
    for name in ["ssh-ed25519", "ssh-rsa"] {
        let key = read(&format!("keys/{name}.pub"));
        let encoded = key.split(' ').nth(1).unwrap();
        let recipient = Recipient::parse(&format!("ssh-other {encoded}")).unwrap();
        let enc = recipient.wrap(&[3; 32], &Silent).unwrap();
        assert!(unwrap(with_ssh(&fixture(&format!("keys/{name}"))), &enc).is_ok());
    }
}

#[test]
fn damaged_ssh_keys_fail_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    for (name, enc) in [
        ("age/a4-identity.txt", "age/a4-enc.txt"),
        ("age/a5-identity.txt", "age/a5-enc.txt"),
        ("age/rsa-pkcs1.pem", "age/a5-enc.txt"),
        ("age/rsa-pkcs8.pem", "age/a5-enc.txt"),
        ("age/ed25519-pkcs8.pem", "age/a4-enc.txt"),
    ] {
        let (key, enc) = (read(name), read(enc));
        for at in (0..key.len()).step_by(11) {
            let changed = if &key[at..=at] == "A" { "/" } else { "A" };
            std::fs::write(&path, format!("{}{changed}{}", &key[..at], &key[at + 1..])).unwrap();
            let _ = unwrap(with_ssh(&path), &enc);
            std::fs::write(&path, &key[..at]).unwrap();
            let _ = unwrap(with_ssh(&path), &enc);
        }
    }
}
