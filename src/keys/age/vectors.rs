//! The C2SP test vectors for the age format (tests/fixtures/cctv).

use std::fs;

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::armor::{self, Unarmored};
use super::envelope::{Envelope, OpenError};
use super::identity::Identity;
use super::passphrase;
use super::unwrap::{BAD_CHUNK, Cause};
use crate::keys::Silent;

struct Vector {
    expect: String,
    payload: Option<String>,
    identities: Vec<Identity>,
    passphrases: Vec<String>,
    armored: bool,
    body: Vec<u8>,
}

impl Vector {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let fields: Vec<(&str, &str)> = std::str::from_utf8(&bytes[..end])
            .unwrap()
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .collect();
        let all =
            |name: &'static str| fields.iter().filter(move |(key, _)| *key == name).map(|(_, value)| *value);
        Self {
            expect: all("expect").next().unwrap().to_owned(),
            payload: all("payload").next().map(str::to_owned),
            // some vectors hold an identity that is meant not to parse
            identities: all("identity").filter_map(|text| Identity::parse(text).ok()).collect(),
            passphrases: all("passphrase").map(str::to_owned).collect(),
            armored: all("armored").next() == Some("yes"),
            body: bytes[end + 2..].to_vec(),
        }
    }

    fn outcome(&self) -> Result<String, &'static str> {
        let unarmored = match self.armored {
            true => armor::decode(&self.body),
            false => Unarmored { bytes: self.body.clone(), error: None },
        };
        if unarmored.error.is_some() {
            return Err("armor failure");
        }
        let envelope = Envelope::parse(&unarmored.bytes, None).map_err(|_| "header failure")?;
        let plaintext = match self.passphrases.first() {
            Some(passphrase) => self.with_passphrase(&envelope, passphrase)?,
            None => self.with_identities(&envelope)?,
        };
        Ok(hex(&Sha256::digest(&*plaintext)))
    }

    fn with_passphrase(
        &self,
        envelope: &Envelope<'_>,
        passphrase: &str,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, &'static str> {
        if envelope.stanzas.iter().any(|stanza| stanza.tag == "scrypt")
            && !passphrase::is_passphrase_encrypted(envelope)
        {
            return Err("header failure");
        }
        let opened = passphrase::decrypt(envelope, SecretString::from(passphrase.to_owned()));
        opened.map_err(|cause| match cause {
            Cause::IncorrectPassphrase => "no match",
            Cause::IdentityFile(reason) if reason == BAD_CHUNK => "payload failure",
            Cause::IdentityFile(reason) if reason == Cause::Mac.to_string() => "HMAC failure",
            _ => "header failure",
        })
    }

    fn with_identities(&self, envelope: &Envelope<'_>) -> Result<zeroize::Zeroizing<Vec<u8>>, &'static str> {
        let found = self
            .identities
            .iter()
            .find_map(|identity| identity.unwrap(&envelope.stanzas, &Silent).transpose());
        let file_key = found.ok_or("no match")?.map_err(|_| "header failure")?;
        envelope.open(&file_key).map_err(|error| match error {
            OpenError::Mac => "HMAC failure",
            OpenError::Payload => "payload failure",
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_vector_has_its_outcome() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cctv");
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some() {
            continue;
        }
        let vector = Vector::parse(&fs::read(&path).unwrap());
        let outcome = vector.outcome();
        let right = match &outcome {
            Ok(hash) => vector.expect == "success" && vector.payload.as_ref() == Some(hash),
            Err(failure) => vector.expect == *failure,
        };
        if !right {
            wrong.push(format!("{}: expected {}, got {outcome:?}", path.display(), vector.expect));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 120, "only {count} vectors");
}
