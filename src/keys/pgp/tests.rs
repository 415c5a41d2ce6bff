//! The built-in OpenPGP with keyring files, where there is no gpg.
// a helper that fails is a test that fails
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::{CertBuilder, KeyBuilder};
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::SerializeInto as _;
use sequoia_openpgp::serialize::stream::{Armorer, Encryptor, LiteralWriter, Message, Recipient};
use sequoia_openpgp::types::{Features, KeyFlags, ReasonForRevocation};
use tempfile::TempDir;

use super::{GnupgHome, Pgp, PgpSettings, armor};
use crate::keys::{Agent, Prompt, Share, Silent};

const RSA: &str = "F15736AE302A6C28FCAEA8957EC9411F208CD767";
const ECC: &str = "D043FB118E624B061A67F501DA4D2080C23A0D96";

const WRAPPED: [(&str, &str); 4] = [
    ("p1", "e204e14a2cb40abf618f24f9b58df9d895608d2e72243cc5b0621f85b10f9592"),
    ("p2", "c3bbd701794a0baf9928c9c3be51364a283260cee2a0c255c8e194cdb7418432"),
    ("p3", "796291d49596eed5bdf9d2b9e53bce0ba7d5e0137ad7172a34fb5cda83a56675"),
    ("p4", "16939160ed400e8f49f641780634e1929b298b32a53d0f815ae58f0ba6d6ea35"),
];

/// Without gpg, this follows whatever the built-in part says.
const NO_GPG: &str = "fork/exec /nonexistent/gpg: no such file or directory\nhint: install GnuPG, or name its program in \
                      SOPS_GPG_EXEC";

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pgp");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn secret_keys() -> Vec<u8> {
    [armor::decode(&read("rsa.asc")).unwrap(), armor::decode(&read("ecc.asc")).unwrap()].concat()
}

/// A GnuPG home with this file.
fn home(file: &str, keys: &[u8]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(file), keys).unwrap();
    home
}

/// A home with both rings of these keys.
fn home_of(certs: &[&Cert]) -> TempDir {
    let secret: Vec<u8> = certs.iter().flat_map(|cert| cert.as_tsk().to_vec().unwrap()).collect();
    let public: Vec<u8> = certs.iter().flat_map(|cert| cert.to_vec().unwrap()).collect();
    let home = home("secring.gpg", &secret);
    fs::write(home.path().join("pubring.gpg"), public).unwrap();
    home
}

fn pgp_with(home: &TempDir, agent: Option<Agent>, prompt: Arc<dyn Prompt>) -> Arc<Pgp> {
    let settings = PgpSettings {
        home: GnupgHome { variable: Some(home.path().to_owned()), home: None },
        program: Some("/nonexistent/gpg".into()),
        search_path: None,
        agent,
    };
    Arc::new(Pgp::new(settings, prompt))
}

fn pgp(home: &TempDir) -> Arc<Pgp> {
    pgp_with(home, None, Arc::new(Silent))
}

fn wrap(pgp: &Arc<Pgp>, name: &str) -> Result<String, String> {
    let share = Share::new(vec![7; 32]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(pgp.clone().wrap(name.to_owned(), share))
}

fn unwrap(pgp: &Pgp, enc: &str) -> Result<String, String> {
    pgp.unwrap(enc).map(|share| hex(&share))
}

fn decrypt_error(reason: &str) -> String {
    format!(
        "could not decrypt data key with PGP key: github.com/ProtonMail/go-crypto/openpgp error: {reason}; GnuPG binary \
         error: failed to decrypt sops data key with pgp: {NO_GPG}"
    )
}

fn encrypt_error(reason: &str) -> String {
    format!(
        "could not encrypt data key with PGP key: github.com/ProtonMail/go-crypto/openpgp error: {reason}; GnuPG binary \
         error: failed to encrypt sops data key with pgp: {NO_GPG}"
    )
}

/// A person who answers in turn and remembers the questions.
#[derive(Default)]
struct Person {
    answers: Mutex<Vec<&'static str>>,
    heard: Mutex<Vec<String>>,
}

impl Person {
    fn with(answers: &[&'static str]) -> Arc<Self> {
        let answers = answers.iter().rev().copied().collect();
        Arc::new(Self { answers: Mutex::new(answers), heard: Mutex::default() })
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Prompt for Person {
    fn passphrase(&self, question: &str) -> Result<SecretString, String> {
        self.heard.lock().unwrap().push(question.to_owned());
        self.answers.lock().unwrap().pop().map(SecretString::from).ok_or("nobody".to_owned())
    }

    fn read_public(&self, _: &str) -> Result<String, String> {
        unreachable!()
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Result<bool, String> {
        unreachable!()
    }

    fn message(&self, _: &str) {
        unreachable!()
    }

    fn remark(&self, text: &str) {
        self.heard.lock().unwrap().push(text.to_owned());
    }

    fn warn(&self, _: &str) {
        unreachable!()
    }
}

const NO_AGENT: &str = "gpg-agent not found, continuing with manual passphrase input...";
const QUESTION: &str = "Enter PGP key passphrase:";

/// A key that is fresh every time.
fn builder() -> CertBuilder<'static> {
    CertBuilder::new().add_userid("<somebody@example.org>")
}

fn some_key() -> Cert {
    builder().add_transport_encryption_subkey().generate().unwrap().0
}

fn protected_key() -> Cert {
    builder().add_transport_encryption_subkey().set_password(Some("sesame".into())).generate().unwrap().0
}

#[test]
fn the_specification_s_examples_open() {
    for file in ["secring.gpg", "pubring.gpg"] {
        let home = home(file, &secret_keys());
        for (name, data_key) in WRAPPED {
            let enc = read(&format!("{name}-enc.txt"));
            assert_eq!(unwrap(&pgp(&home), &enc), Ok(data_key.to_owned()), "{name} in {file}");
        }
    }
}

#[test]
fn what_is_wrapped_opens_again_and_looks_like_the_examples() {
    let home = home("pubring.gpg", &secret_keys());
    for (name, example) in [(RSA, "p2"), (ECC, "p4")] {
        let enc = wrap(&pgp(&home), name).unwrap();
        assert_eq!(unwrap(&pgp(&home), &enc), Ok("07".repeat(32)));
        let example = read(&format!("{example}-enc.txt"));
        let shape = |text: &str| text.lines().map(str::len).collect::<Vec<_>>();
        assert_eq!(shape(&enc), shape(&example), "{enc}");
        assert!(enc.ends_with("-----END PGP MESSAGE-----"));
        // who it is for, and how it goes on
        let header = |text: &str| armor::decode(text).unwrap()[..12].to_vec();
        assert_eq!(header(&enc), header(&example));
    }
}

#[test]
fn without_files_one_line_says_so() {
    let home = tempfile::tempdir().unwrap();
    let reason = format!("key with fingerprint '{RSA}' is not available in keyring");
    assert_eq!(wrap(&pgp(&home), RSA), Err(encrypt_error(&reason)));
    let path = home.path().join("pubring.gpg");
    let reason = format!("could not load secring: open {}: no such file or directory", path.display());
    assert_eq!(unwrap(&pgp(&home), &read("p1-enc.txt")), Err(decrypt_error(&reason)));
}

#[test]
fn only_whole_fingerprints_of_primary_keys_are_found() {
    let home = home("pubring.gpg", &secret_keys());
    let subkey = "5665A1AD32B75DC960B8C1AA63ABA38177569E99";
    let names = [&RSA.to_lowercase(), &format!("{RSA}!"), &format!("0x{RSA}"), &RSA[24..], subkey, ""];
    for name in names {
        let reason = format!("key with fingerprint '{name}' is not available in keyring");
        assert_eq!(wrap(&pgp(&home), name), Err(encrypt_error(&reason)));
    }
}

#[test]
fn a_secret_ring_hides_the_keys_of_the_public_one() {
    let home = home("pubring.gpg", &secret_keys());
    fs::write(home.path().join("secring.gpg"), b"").unwrap();
    let reason = "reading PGP message failed: openpgp: incorrect key";
    assert_eq!(unwrap(&pgp(&home), &read("p1-enc.txt")), Err(decrypt_error(reason)));
}

#[test]
fn broken_keys_in_a_ring_are_passed_over() {
    let keys = secret_keys();
    let cut = &some_key().as_tsk().to_vec().unwrap()[..100];
    for ring in [[keys.as_slice(), cut].concat(), [cut, keys.as_slice()].concat()] {
        let home = home("secring.gpg", &ring);
        assert_eq!(unwrap(&pgp(&home), &read("p4-enc.txt")), Ok(WRAPPED[3].1.to_owned()));
    }
}

#[test]
fn what_is_no_ring_or_no_message_is_told() {
    let no_ring = home("secring.gpg", b"hello");
    let reason = "could not load secring: openpgp: invalid data: tag byte does not have MSB set";
    assert_eq!(unwrap(&pgp(&no_ring), &read("p1-enc.txt")), Err(decrypt_error(reason)));
    let home = home("secring.gpg", &secret_keys());
    assert_eq!(unwrap(&pgp(&home), "hello"), Err(decrypt_error("armor decoding failed: EOF")));
}

/// A message for these keys, which says so only to some.
fn message(recipients: &[(&Key<PublicParts, UnspecifiedRole>, bool)]) -> String {
    message_with(&[7; 32], recipients)
}

fn message_with(content: &[u8], recipients: &[(&Key<PublicParts, UnspecifiedRole>, bool)]) -> String {
    let mut armored = Vec::new();
    let recipients = recipients
        .iter()
        .map(|(key, named)| Recipient::new(Features::empty(), named.then(|| key.key_handle()), key));
    let message = Armorer::new(Message::new(&mut armored)).build().unwrap();
    let message = Encryptor::for_recipients(message, recipients).build().unwrap();
    let mut message = LiteralWriter::new(message).build().unwrap();
    message.write_all(content).unwrap();
    message.finalize().unwrap();
    String::from_utf8(armored).unwrap()
}

fn encryption_key(cert: &Cert) -> Key<PublicParts, UnspecifiedRole> {
    let policy = StandardPolicy::new();
    let keys = cert.keys().with_policy(&policy, None).for_transport_encryption();
    keys.map(|key| key.key().clone()).next().unwrap()
}

#[test]
fn hidden_recipients_are_found_by_trying() {
    let [mine, other] = [some_key(), some_key()];
    let enc = message(&[(&encryption_key(&other), false), (&encryption_key(&mine), false)]);
    assert_eq!(unwrap(&pgp(&home_of(&[&mine])), &enc), Ok("07".repeat(32)));
    let reason = "reading PGP message failed: openpgp: incorrect key";
    assert_eq!(unwrap(&pgp(&home_of(&[&some_key()])), &enc), Err(decrypt_error(reason)));
    let locked = protected_key();
    let enc = message(&[(&encryption_key(&locked), false)]);
    let person = Person::with(&["sesame"]);
    let home = home_of(&[&some_key(), &locked]);
    let pgp = pgp_with(&home, None, person.clone());
    assert_eq!(unwrap(&pgp, &enc), Ok("07".repeat(32)));
    assert_eq!(person.heard(), [NO_AGENT, QUESTION]);
}

#[test]
fn the_person_has_three_attempts() {
    let key = protected_key();
    let home = home_of(&[&key]);
    let enc = message(&[(&encryption_key(&key), true)]);
    for (answers, questions, opens) in [
        (&["sesame"][..], 1, true),
        (&["no", "", "sesame"], 3, true),
        (&["no", "no", "no", "sesame"], 3, false),
    ] {
        let person = Person::with(answers);
        let result = unwrap(&pgp_with(&home, None, person.clone()), &enc);
        let reason = "reading PGP message failed: function passphrasePrompt called too many times";
        assert_eq!(result, if opens { Ok("07".repeat(32)) } else { Err(decrypt_error(reason)) });
        assert_eq!(person.heard(), [NO_AGENT, QUESTION].repeat(questions));
    }
    let nobody = "reading PGP message failed: nobody";
    assert_eq!(unwrap(&pgp_with(&home, None, Person::with(&[])), &enc), Err(decrypt_error(nobody)));
}

#[test]
fn nobody_is_asked_for_keys_that_do_not_help() {
    let [locked, open, other] = [protected_key(), some_key(), some_key()];
    let home = home_of(&[&locked, &open]);
    let person = Person::with(&["sesame"]);
    let pgp = pgp_with(&home, None, person.clone());
    // for somebody else
    let enc = message(&[(&encryption_key(&other), true)]);
    let reason = "reading PGP message failed: openpgp: incorrect key";
    assert_eq!(unwrap(&pgp, &enc), Err(decrypt_error(reason)));
    // for a key that needs no pass phrase too
    let enc = message(&[(&encryption_key(&locked), true), (&encryption_key(&open), true)]);
    assert_eq!(unwrap(&pgp, &enc), Ok("07".repeat(32)));
    assert_eq!(person.heard(), [""; 0]);
}

/// Answers every command with OK, but `GET_PASSPHRASE` with these in turn.
fn start_agent(folder: &TempDir, answers: Vec<&'static str>) -> (Agent, Receiver<String>) {
    let socket = folder.path().join("S.gpg-agent");
    let listener = UnixListener::bind(&socket).unwrap();
    let (sender, receiver) = channel();
    let mut answers = answers.into_iter();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            writeln!(stream, "OK ready").unwrap();
            for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                let asked = line.starts_with("GET_PASSPHRASE");
                // whoever listens has it before the answer
                sender.send(line).unwrap();
                writeln!(stream, "{}", if asked { answers.next().unwrap() } else { "OK" }).unwrap();
            }
        }
    });
    let agent = Agent { socket, display: None, tty_name: None, tty_type: "dumb".to_owned() };
    (agent, receiver)
}

/// The dialogue, in short.
fn ask_agent(key: &Cert, answers: Vec<&'static str>) -> (Result<String, String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (agent, commands) = start_agent(&folder, answers);
    let enc = message(&[(&encryption_key(key), true)]);
    let result = unwrap(&pgp_with(&home_of(&[key]), Some(agent), Arc::new(Silent)), &enc);
    (result, commands.try_iter().filter(|line| line != "OPTION ttytype=dumb").collect())
}

#[test]
fn the_agent_is_asked_and_told_to_forget() {
    let key = protected_key();
    let id = &encryption_key(&key).keyid().to_hex()[8..];
    let get = format!("GET_PASSPHRASE {id} X Passphrase Unlock+key+{id}+to+decrypt+sops%27s+key");
    let clear = format!("CLEAR_PASSPHRASE {id}");
    let (wrong, right) = ("OK 6e6f", "OK 736573616d65");
    assert_eq!(ask_agent(&key, vec![right]), (Ok("07".repeat(32)), vec![get.clone()]));
    let commands = vec![get.clone(), clear.clone(), get.clone()];
    assert_eq!(ask_agent(&key, vec![wrong, right]), (Ok("07".repeat(32)), commands));
    let reason = "reading PGP message failed: function passphrasePrompt called too many times";
    let commands = vec![get, clear].into_iter().cycle().take(6).collect();
    assert_eq!(ask_agent(&key, vec![wrong; 3]), (Err(decrypt_error(reason)), commands));
}

#[test]
fn what_the_agent_refuses_is_told() {
    let key = protected_key();
    for (answer, reason) in [
        ("ERR 83886179 Operation cancelled <Pinentry>", "gpgagent: Cancel"),
        ("ERR 67108922 No data <GPG Agent>", "GPG_ERR_NO_DATA cache miss"),
    ] {
        let reason = format!("reading PGP message failed: gpg-agent passphrase request errored: {reason}");
        assert_eq!(ask_agent(&key, vec![answer]).0, Err(decrypt_error(&reason)));
    }
    let enc = message(&[(&encryption_key(&key), true)]);
    let agent = Agent { socket: "/nonexistent/S".into(), ..Agent::default() };
    let reason = "reading PGP message failed: could not establish connection with gpg-agent: dial unix /nonexistent/S: \
                  no such file or directory";
    let home = home_of(&[&key]);
    let pgp = pgp_with(&home, Some(agent), Arc::new(Silent));
    assert_eq!(unwrap(&pgp, &enc), Err(decrypt_error(reason)));
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

#[test]
fn keys_that_must_not_be_used_are_not() {
    let past = SystemTime::now() - days(3);
    let expired = builder()
        .set_creation_time(past)
        .set_validity_period(days(1))
        .add_transport_encryption_subkey()
        .generate()
        .unwrap()
        .0;
    let (revoked, _) = {
        let (cert, revocation) = builder().add_transport_encryption_subkey().generate().unwrap();
        let mut signer =
            cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
        let revocation =
            cert.revoke(&mut signer, ReasonForRevocation::KeyCompromised, b"").unwrap_or(revocation);
        cert.insert_packets(revocation).unwrap()
    };
    let signing = builder().add_signing_subkey().generate().unwrap().0;
    for cert in [expired, revoked, signing] {
        let reason = format!(
            "openpgp: invalid argument: cannot encrypt a message to key id {} because it has no valid encryption keys",
            cert.keyid().to_hex().to_lowercase()
        );
        let name = cert.fingerprint().to_hex();
        assert_eq!(wrap(&pgp(&home_of(&[&cert])), &name), Err(encrypt_error(&reason)));
    }
}

#[test]
fn the_newest_subkey_is_used_and_an_expired_key_still_opens() {
    let past = SystemTime::now() - days(10);
    let old = builder().set_creation_time(past).add_transport_encryption_subkey().generate().unwrap().0;
    let policy = StandardPolicy::new();
    let build = |validity| {
        KeyBuilder::new(KeyFlags::empty().set_transport_encryption())
            .set_creation_time(SystemTime::now() - days(5))
            .subkey(old.with_policy(&policy, None).unwrap())
            .unwrap()
            .set_key_validity_period(validity)
            .unwrap()
            .attach_cert()
            .unwrap()
    };
    let recipient = |cert: &Cert| {
        let home = home_of(&[cert]);
        let enc = wrap(&pgp(&home), &cert.fingerprint().to_hex()).unwrap();
        assert_eq!(unwrap(&pgp(&home), &enc), Ok("07".repeat(32)));
        // the packet's header is two bytes long, then comes its version
        hex(&armor::decode(&enc).unwrap()[3..11]).to_uppercase()
    };
    let newest = |cert: &Cert| {
        cert.keys().subkeys().max_by_key(|key| key.key().creation_time()).unwrap().key().keyid()
    };
    let renewed = build(None);
    assert_eq!(recipient(&renewed), newest(&renewed).to_hex());
    let expired = build(Some(days(1)));
    assert_eq!(recipient(&expired), newest(&old).to_hex());
    // what was encrypted before it expired
    let subkey = expired.keys().subkeys().find(|key| key.key().keyid() == newest(&expired)).unwrap();
    let enc = message(&[(subkey.key().role_as_unspecified(), true)]);
    assert_eq!(unwrap(&pgp(&home_of(&[&expired])), &enc), Ok("07".repeat(32)));
}

#[test]
fn what_holds_no_data_key_does_not_fill_the_memory() {
    let key = some_key();
    let enc = message_with(&vec![0; 2 << 20], &[(&encryption_key(&key), true)]);
    let result = unwrap(&pgp(&home_of(&[&key])), &enc);
    let reason = "reading PGP message failed: the message is too long to hold a data key";
    assert_eq!(result, Err(decrypt_error(reason)));
}
