//! The messages, byte for byte as the reference sends them.

use std::fs;

use prost::Message;
use rsops::keys::{Key, Kind};
use rsops::keyservice::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, Key as WireKey, ReadKeyError,
};

use crate::support::keys::{fixture, recipient};

/// A message of the reference.
struct Recorded {
    kind: String,
    message: String,
    bytes: Vec<u8>,
}

fn recorded() -> Vec<Recorded> {
    let text = fs::read_to_string(fixture("keyservice/exchanges.txt")).expect("our own file");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let message = |line: &str| {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("three words").to_owned();
        let (kind, message, digits) = (word(), word(), word());
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
        Recorded { kind, message, bytes: (0..digits.len()).step_by(2).map(byte).collect() }
    };
    lines.map(message).collect()
}

/// What is read, written again.
fn read_and_written<M: Message + Default>(bytes: &[u8]) -> (M, Vec<u8>) {
    let message = M::decode(bytes).expect("a message");
    let written = message.encode_to_vec();
    (message, written)
}

/// A key of the wire as a key of ours, and back.
fn there_and_back(key: Option<&WireKey>) -> Key {
    let wire = key.expect("a request has a key");
    let key = Key::try_from(wire.clone()).expect("a key");
    assert_eq!(WireKey::from(&key), *wire);
    key
}

#[test]
fn recorded_messages_are_read_and_written_byte_for_byte() {
    let mut requests = Vec::new();
    for Recorded { kind, message, bytes } in recorded() {
        let (written, key) = match message.as_str() {
            "EncryptRequest" => {
                let (request, written) = read_and_written::<EncryptRequest>(&bytes);
                assert_eq!(request.plaintext.len(), 32, "{kind}");
                (written, Some(there_and_back(request.key.as_ref())))
            }
            "DecryptRequest" => {
                let (request, written) = read_and_written::<DecryptRequest>(&bytes);
                assert!(request.ciphertext.is_ascii(), "{kind}");
                (written, Some(there_and_back(request.key.as_ref())))
            }
            "EncryptResponse" => {
                let (response, written) = read_and_written::<EncryptResponse>(&bytes);
                assert!(response.ciphertext.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----\n"));
                (written, None)
            }
            "DecryptResponse" => {
                let (response, written) = read_and_written::<DecryptResponse>(&bytes);
                assert_eq!(response.plaintext.len(), 32);
                (written, None)
            }
            other => panic!("{other} is no message"),
        };
        assert_eq!(written, bytes, "{kind} {message}");
        if let Some(key) = key {
            assert_eq!(key.kind().name(), kind);
            requests.push((message, key));
        }
    }
    for kind in Kind::ALL {
        for message in ["EncryptRequest", "DecryptRequest"] {
            let found = requests.iter().any(|(name, key)| name == message && key.kind() == kind);
            assert!(found, "no {message} of {} is recorded", kind.name());
        }
    }
}

#[test]
fn the_parts_of_keys_are_where_they_belong() {
    let uuid = "12345678-1234-1234-1234-123456789abc";
    let arn = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555";
    let names = [
        ("age", recipient("age-alice")),
        ("pgp", "FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4".to_owned()),
        ("kms", format!("{arn}+arn:aws:iam::000000000000:role/x|a:b|dev")),
        ("gcp_kms", "projects/p/locations/l/keyRings/r/cryptoKeys/k".to_owned()),
        ("azure_kv", "https://v.invalid/keys/k/0123456789abcdef0123456789abcdef".to_owned()),
        ("hc_vault", "http://127.0.0.1:1/v1/transit/keys/k".to_owned()),
        ("hckms", format!("eu-west-101:{uuid}")),
    ];
    for Recorded { kind, bytes, .. } in
        recorded().iter().filter(|recorded| recorded.message == "EncryptRequest")
    {
        let (request, _) = read_and_written::<EncryptRequest>(bytes);
        let key = there_and_back(request.key.as_ref());
        let name = names.iter().find(|(known, _)| known == kind).map(|(_, name)| name.as_str());
        assert_eq!(Some(key.to_string().as_str()), name);
    }
}

#[test]
fn a_key_of_a_kind_to_come_is_no_key() {
    // a message in field 8
    let key = WireKey::decode(&[0x42, 0x02, 0x0a, 0x00][..]).expect("unknown fields are passed over");
    assert_eq!(Key::try_from(key), Err(ReadKeyError::Missing));
}

#[test]
fn data_keys_are_not_shown() {
    let request = EncryptRequest { key: None, plaintext: b"hunter2".to_vec() };
    let response = DecryptResponse { plaintext: b"hunter2".to_vec() };
    for text in [format!("{request:?}"), format!("{response:?}")] {
        assert!(!text.contains("104, 117") && !text.contains("hunter2"), "{text}");
    }
}
