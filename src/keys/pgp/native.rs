//! The built-in OpenPGP, for keys in keyring files (keys.md §3.3, §3.4).

use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::Path;

use secrecy::ExposeSecret as _;
use sequoia_openpgp::cert::Preferences as _;
use sequoia_openpgp::cert::amalgamation::ValidateAmalgamation as _;
use sequoia_openpgp::cert::amalgamation::key::{PrimaryKey as _, ValidKeyAmalgamation};
use sequoia_openpgp::crypto::{Password, SessionKey};
use sequoia_openpgp::packet::key::{PublicParts, SecretKeyMaterial, SecretParts, UnspecifiedRole};
use sequoia_openpgp::packet::{Key, PKESK, SKESK, Tag};
use sequoia_openpgp::parse::stream::{
    DecryptionHelper, DecryptorBuilder, MessageStructure, VerificationHelper,
};
use sequoia_openpgp::parse::{PacketParser, PacketParserResult, Parse as _};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::stream::{Armorer, Encryptor, LiteralWriter, Message, Recipient};
use sequoia_openpgp::types::{Features, HashAlgorithm, RevocationStatus, SymmetricAlgorithm};
use sequoia_openpgp::{Cert, Error, KeyHandle};
use zeroize::Zeroizing;

use super::armor;
use super::client::MAX_OUTPUT;
use super::passphrase::{ATTEMPTS, Asked};
use super::ring::Ring;
use crate::keys::Share;

/// Wraps for the key with this fingerprint.
pub(super) fn encrypt(home: &Path, fingerprint: &str, share: &[u8]) -> Result<String, String> {
    let unknown = || format!("key with fingerprint '{fingerprint}' is not available in keyring");
    if !is_fingerprint(fingerprint) {
        return Err(unknown());
    }
    let ring = Ring::public(home).map_err(|_| unknown())?;
    let mut found = ring.find(|key| key.fingerprint().to_hex() == fingerprint).into_iter();
    encrypt_for(&found.next().ok_or_else(unknown)?, share)
}

/// Only the whole fingerprint of a primary key names a key here.
fn is_fingerprint(name: &str) -> bool {
    [40, 64].contains(&name.len()) && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'))
}

fn encrypt_for(cert: &Cert, share: &[u8]) -> Result<String, String> {
    let policy = policy();
    let (key, cipher) = encryption_key(cert, &policy).ok_or_else(|| {
        format!(
            "openpgp: invalid argument: cannot encrypt a message to key id {} because it has no valid encryption keys",
            cert.keyid().to_hex().to_lowercase()
        )
    })?;
    message(key, cipher, share).map_err(|error| format!("openpgp: {error}"))
}

/// The form that every reader of OpenPGP knows: no AEAD, whatever the key says that it can do.
fn message(
    key: &Key<PublicParts, UnspecifiedRole>,
    cipher: SymmetricAlgorithm,
    share: &[u8],
) -> sequoia_openpgp::Result<String> {
    let mut armored = Vec::new();
    let recipient = Recipient::new(Features::empty(), KeyHandle::from(key.keyid()), key);
    let message = Armorer::new(Message::new(&mut armored)).build()?;
    let message = Encryptor::for_recipients(message, [recipient]).symmetric_algo(cipher).build()?;
    let mut message = LiteralWriter::new(message).build()?;
    message.write_all(share)?;
    message.finalize()?;
    Ok(String::from_utf8(armored)?.trim_end().to_owned())
}

/// The newest subkey that may be encrypted for, else the primary key if it may; and a cipher that its owner takes.
fn encryption_key<'a>(
    cert: &'a Cert,
    policy: &'a StandardPolicy<'a>,
) -> Option<(&'a Key<PublicParts, UnspecifiedRole>, SymmetricAlgorithm)> {
    let valid = cert.with_policy(policy, None).ok()?;
    valid.alive().ok()?;
    if matches!(valid.revocation_status(), RevocationStatus::Revoked(_)) {
        return None;
    }
    let usable = || valid.keys().supported().alive().revoked(false).for_transport_encryption();
    let bound = |key: &ValidKeyAmalgamation<'a, PublicParts, UnspecifiedRole, bool>| {
        key.binding_signature().signature_creation_time()
    };
    let key = usable().filter(|key| !key.primary()).max_by_key(bound).or_else(|| usable().next())?;
    let preferred = valid.preferred_symmetric_algorithms().unwrap_or_default();
    let [short, long] = [SymmetricAlgorithm::AES128, SymmetricAlgorithm::AES256];
    let cipher = if !preferred.contains(&short) && preferred.contains(&long) { long } else { short };
    Some((key.key(), cipher))
}

/// Self-signatures of old keys are SHA-1: whoever has such a key in the ring trusts it.
fn policy() -> StandardPolicy<'static> {
    let mut policy = StandardPolicy::new();
    policy.accept_hash(HashAlgorithm::SHA1);
    policy
}

/// What people have encrypted for themselves years ago opens. Forged data is found out by the integrity check.
#[expect(deprecated, reason = "nothing is encrypted with them")]
fn lenient_policy() -> StandardPolicy<'static> {
    let mut policy = policy();
    for cipher in [SymmetricAlgorithm::TripleDES, SymmetricAlgorithm::CAST5] {
        policy.accept_symmetric_algo(cipher);
    }
    policy
}

/// Unwraps with whatever secret key fits.
pub(super) fn decrypt(home: &Path, enc: &str, asked: Asked<'_>) -> Result<Share, String> {
    let ring = Ring::secret(home).map_err(|reason| format!("could not load secring: {reason}"))?;
    let message = armor::decode(enc).map_err(|reason| format!("armor decoding failed: {reason}"))?;
    open(&message, Recipients { ring: &ring, asked }).map_err(|error| match error.downcast_ref::<Error>() {
        Some(Error::ManipulatedMessage) => {
            "the key could not be decrypted with any of the PGP entries".to_owned()
        }
        _ if is_unprotected(&message) => {
            "reading PGP message failed: openpgp: unsupported feature: message is not integrity protected"
                .to_owned()
        }
        _ => format!("reading PGP message failed: {error}"),
    })
}

fn open(message: &[u8], recipients: Recipients<'_>) -> sequoia_openpgp::Result<Share> {
    let policy = lenient_policy();
    let decryptor = DecryptorBuilder::from_bytes(message)?.with_policy(&policy, None, recipients)?;
    let mut content = Zeroizing::new(Vec::with_capacity(4096));
    decryptor.take(MAX_OUTPUT + 1).read_to_end(&mut content).map_err(inner)?;
    if content.len() as u64 > MAX_OUTPUT {
        return Err(Refused("the message is too long to hold a data key".to_owned()).into());
    }
    Ok(content)
}

/// What OpenPGP says, without the wrapping that `Read` demands.
fn inner(error: std::io::Error) -> sequoia_openpgp::anyhow::Error {
    match error.downcast::<Error>() {
        Ok(error) => error.into(),
        Err(error) => error.into(),
    }
}

/// Whether the message could be changed without anybody noticing.
fn is_unprotected(message: &[u8]) -> bool {
    let mut packets = PacketParser::from_bytes(message);
    while let Ok(PacketParserResult::Some(parser)) = packets {
        if parser.packet.tag() == Tag::SED {
            return true;
        }
        packets = parser.next().map(|(_, rest)| rest);
    }
    false
}

/// Why a message stays shut, in the reference's words.
#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// The secret keys of the ring, for the messages that they can open.
struct Recipients<'a> {
    ring: &'a Ring,
    asked: Asked<'a>,
}

/// A secret key, and what of the message may be for it.
struct Candidate<'a> {
    key: Key<SecretParts, UnspecifiedRole>,
    sealed: &'a PKESK,
}

impl Recipients<'_> {
    /// Only keys that the message names, so that nobody is asked for the pass phrase of another. For recipients that
    /// it hides it may be any key of that kind that is meant for encryption.
    fn candidates<'m>(&self, sealed: &'m [PKESK]) -> Vec<Candidate<'m>> {
        let hidden = sealed.iter().any(|sealed| named(sealed).is_none());
        let is_named =
            |handle: &KeyHandle| sealed.iter().filter_map(named).any(|recipient| recipient.aliases(handle));
        let certs = self.ring.find(|cert| hidden || cert.keys().any(|key| is_named(&key.key_handle())));
        let policy = policy();
        let mut candidates = Vec::new();
        for sealed in sealed {
            for cert in &certs {
                for key in cert.keys().secret() {
                    let fits = match named(sealed) {
                        Some(recipient) => recipient.aliases(key.key().key_handle()),
                        None => {
                            let may = key.clone().with_policy(&policy, None).map_or(true, |key| {
                                key.for_transport_encryption() || key.for_storage_encryption()
                            });
                            may && key.key().pk_algo() == sealed.pk_algo()
                        }
                    };
                    if fits && can_unlock(key.key()) {
                        candidates.push(Candidate { key: key.key().clone(), sealed });
                    }
                }
            }
        }
        candidates
    }
}

/// Whom it is for, if it says so.
fn named(sealed: &PKESK) -> Option<KeyHandle> {
    sealed.recipient().filter(|recipient| match recipient {
        KeyHandle::KeyID(id) => !id.is_wildcard(),
        KeyHandle::Fingerprint(_) => true,
    })
}

/// A stub, whose secret part is on a card, cannot be.
fn can_unlock(key: &Key<SecretParts, UnspecifiedRole>) -> bool {
    match key.secret() {
        SecretKeyMaterial::Unencrypted(_) => true,
        SecretKeyMaterial::Encrypted(secret) => secret.s2k().is_supported(),
    }
}

/// Tries a session key; whether it fits.
type Opens<'a> = dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool + 'a;

impl Candidate<'_> {
    /// Whether this key, in clear, opens the message.
    fn opens(
        key: Key<SecretParts, UnspecifiedRole>,
        sealed: &PKESK,
        cipher: Option<SymmetricAlgorithm>,
        opens: &mut Opens<'_>,
    ) -> bool {
        let Ok(mut pair) = key.into_keypair() else { return false };
        sealed.decrypt(&mut pair, cipher).is_some_and(|(cipher, key)| opens(cipher, &key))
    }
}

impl DecryptionHelper for Recipients<'_> {
    fn decrypt(
        &mut self,
        sealed: &[PKESK],
        _: &[SKESK],
        cipher: Option<SymmetricAlgorithm>,
        opens: &mut Opens<'_>,
    ) -> sequoia_openpgp::Result<Option<Cert>> {
        let candidates = self.candidates(sealed);
        let (open, mut locked): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|candidate| candidate.key.has_unencrypted_secret());
        for Candidate { key, sealed } in open {
            if Candidate::opens(key, sealed, cipher, opens) {
                return Ok(None);
            }
        }
        for attempt in 0.. {
            let Some(first) = locked.first().map(|candidate| candidate.key.keyid()) else { break };
            if attempt == ATTEMPTS {
                return Err(Refused("function passphrasePrompt called too many times".to_owned()).into());
            }
            let passphrase = self.asked.passphrase(&first).map_err(Refused)?;
            let passphrase = Password::from(passphrase.expose_secret());
            let before = locked.len();
            let mut still_locked = Vec::new();
            for Candidate { key, sealed } in locked {
                match key.clone().decrypt_secret(&passphrase) {
                    Ok(key) if Candidate::opens(key.clone(), sealed, cipher, opens) => return Ok(None),
                    Ok(_) => {}
                    Err(_) => still_locked.push(Candidate { key, sealed }),
                }
            }
            locked = still_locked;
            if locked.len() == before {
                self.asked.forget(&first);
            }
        }
        Err(Refused("openpgp: incorrect key".to_owned()).into())
    }
}

/// Signatures in the message are of no interest.
impl VerificationHelper for Recipients<'_> {
    fn get_certs(&mut self, _: &[KeyHandle]) -> sequoia_openpgp::Result<Vec<Cert>> {
        Ok(Vec::new())
    }

    fn check(&mut self, _: MessageStructure<'_>) -> sequoia_openpgp::Result<()> {
        Ok(())
    }
}
