//! The age v1 file: header of stanzas, its MAC, and the payload.
//!
//! Written here and not with the age crate's `Encryptor`, because that one adds a random stanza to every header
//! ("grease") while the reference writes exactly one; and read here, so that each defect has the reference's text.

use std::fmt;
use std::io::{self, BufRead};

use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::hkdf;
use age_core::secrecy::ExposeSecret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::armor::ArmorError;

const INTRO: &str = "age-encryption.org/v1\n";
const NONCE: usize = 16;
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const STANZA_COLUMNS: usize = 64;

/// A file taken apart, nothing verified yet.
pub(super) struct Envelope<'a> {
    pub(super) stanzas: Vec<Stanza>,
    /// What the MAC covers: everything up to and including `---`.
    header: &'a [u8],
    mac: [u8; 32],
    nonce: [u8; NONCE],
    payload: &'a [u8],
}

/// Why a header cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Broken before the first line ended.
    Intro(ReadError),
    /// Another version, or no age file.
    UnexpectedIntro(String),
    /// Broken later.
    Line(ReadError),
    /// A line that is neither stanza nor end, or a stanza that is none.
    Malformed(&'static str),
    /// It ends before the payload.
    Nonce(ReadError),
}

/// Where the bytes ended: regularly, or because the armor is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// No more bytes.
    Eof,
    /// The armor.
    Armor(ArmorError),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eof => f.write_str("EOF"),
            Self::Armor(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intro(error) => {
                write!(f, "failed to read header: parsing age header: failed to read intro: {error}")
            }
            Self::UnexpectedIntro(line) => {
                write!(f, "failed to read header: parsing age header: unexpected intro: {line:?}")
            }
            Self::Line(error) => {
                write!(f, "failed to read header: failed to parse header: failed to read line: {error}")
            }
            Self::Malformed(what) => write!(f, "failed to read header: failed to parse header: {what}"),
            Self::Nonce(error) => write!(f, "failed to read nonce: {error}"),
        }
    }
}

impl std::error::Error for HeaderError {}

/// Why a file does not open with a file key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    /// The header was changed.
    Mac,
    /// The payload was changed or cut.
    Payload,
}

impl<'a> Envelope<'a> {
    /// Reads a binary age file; `broken` is what ended it early, if the armor did.
    pub(super) fn parse(bytes: &'a [u8], broken: Option<&ArmorError>) -> Result<Self, HeaderError> {
        let ended = || broken.cloned().map_or(ReadError::Eof, ReadError::Armor);
        let mut rest = bytes;
        let intro = read_line(&mut rest).map_err(|_| HeaderError::Intro(ended()))?;
        if *intro != INTRO.trim_end().as_bytes() {
            let intro = format!("{}\n", String::from_utf8_lossy(&intro));
            return Err(HeaderError::UnexpectedIntro(intro));
        }
        let mut stanzas = Vec::new();
        loop {
            let start = bytes.len() - rest.len();
            let line = read_line(&mut rest).map_err(|_| HeaderError::Line(ended()))?;
            let Some(mac) = line.strip_prefix(b"---") else {
                let stanza = read_stanza(&line, &mut rest).map_err(|error| match error {
                    StanzaError::Io(_) => HeaderError::Line(ended()),
                    StanzaError::Malformed(what) => HeaderError::Malformed(what),
                })?;
                stanzas.push(stanza);
                continue;
            };
            let mac = mac.strip_prefix(b" ").and_then(|mac| BASE64_STANDARD_NO_PAD.decode(mac).ok());
            let mac = mac.and_then(|mac| mac.try_into().ok());
            let mac = mac.ok_or(HeaderError::Malformed("malformed closing line"))?;
            let Some((nonce, payload)) = rest.split_first_chunk() else {
                return Err(HeaderError::Nonce(ended()));
            };
            return Ok(Self { stanzas, header: &bytes[..start + 3], mac, nonce: *nonce, payload });
        }
    }

    /// Verifies the header and decrypts the payload.
    pub(super) fn open(&self, file_key: &FileKey) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        header_mac(file_key, self.header).verify((&self.mac).into()).map_err(|_| OpenError::Mac)?;
        let cipher = payload_cipher(file_key, &self.nonce);
        let mut plaintext = Zeroizing::new(Vec::with_capacity(self.payload.len()));
        let mut rest = self.payload;
        let mut counter = 0_u64;
        loop {
            let (chunk, after) = rest.split_at(rest.len().min(CHUNK + TAG));
            let last = after.is_empty();
            let opened = cipher.decrypt(&chunk_nonce(counter, last).into(), chunk);
            let opened = Zeroizing::new(opened.map_err(|_| OpenError::Payload)?);
            if opened.is_empty() && counter > 0 {
                // only an empty file ends with an empty chunk
                return Err(OpenError::Payload);
            }
            plaintext.extend_from_slice(&opened);
            if last {
                return Ok(plaintext);
            }
            rest = after;
            counter += 1;
        }
    }
}

/// Why random bytes could not be had, or the payload is too large for one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SealError(pub(super) String);

/// A new random file key.
pub(super) fn new_file_key() -> Result<FileKey, SealError> {
    FileKey::try_init_with_mut(|key| getrandom::fill(key).map_err(|e| SealError(e.to_string())))
}

/// Writes a binary age file with these stanzas.
pub(super) fn seal(stanzas: &[Stanza], file_key: &FileKey, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
    if plaintext.len() > CHUNK {
        // a data key has 32 bytes, a part of one 33
        return Err(SealError("payload too large".to_owned()));
    }
    let mut file = INTRO.as_bytes().to_vec();
    for stanza in stanzas {
        write_stanza(&mut file, &stanza.tag, stanza.args.iter().map(String::as_str), &stanza.body);
    }
    file.extend_from_slice(b"---");
    let mac = header_mac(file_key, &file).finalize().into_bytes();
    file.push(b' ');
    file.extend_from_slice(BASE64_STANDARD_NO_PAD.encode(mac).as_bytes());
    file.push(b'\n');
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|e| SealError(e.to_string()))?;
    file.extend_from_slice(&nonce);
    let sealed = payload_cipher(file_key, &nonce).encrypt(&chunk_nonce(0, true).into(), plaintext);
    file.extend_from_slice(&sealed.map_err(|e| SealError(e.to_string()))?);
    Ok(file)
}

fn header_mac(file_key: &FileKey, header: &[u8]) -> Hmac<Sha256> {
    let key = Zeroizing::new(hkdf(&[], b"header", file_key.expose_secret()));
    // a MAC key may have any length: this one is filled up with zeros to a block
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(&*key);
    let mut mac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
    mac.update(header);
    mac
}

fn payload_cipher(file_key: &FileKey, nonce: &[u8; NONCE]) -> ChaCha20Poly1305 {
    let key = Zeroizing::new(hkdf(nonce, b"payload", file_key.expose_secret()));
    ChaCha20Poly1305::new((&*key).into())
}

/// Eleven bytes of counter, one that marks the last chunk.
fn chunk_nonce(counter: u64, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&counter.to_be_bytes());
    nonce[11] = last.into();
    nonce
}

/// A file key, if there are exactly as many bytes as it has. Wipes them.
pub(super) fn file_key(mut bytes: Vec<u8>) -> Option<FileKey> {
    let key = FileKey::try_init_with_mut(|key| {
        let right: &[u8; FILE_KEY_BYTES] = bytes.as_slice().try_into().map_err(drop)?;
        key.copy_from_slice(right);
        Ok::<_, ()>(())
    });
    bytes.zeroize();
    key.ok()
}

/// Why a stanza cannot be read.
#[derive(Debug)]
pub(super) enum StanzaError {
    /// The source ended or failed.
    Io(io::Error),
    /// Not a stanza.
    Malformed(&'static str),
}

impl From<io::Error> for StanzaError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for StanzaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Malformed(what) => f.write_str(what),
        }
    }
}

/// One line without its LF. A last line without LF is cut off, hence an error.
pub(super) fn read_line(reader: &mut impl BufRead) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::new());
    reader.read_until(b'\n', &mut line)?;
    match line.pop() {
        Some(b'\n') => Ok(line),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The stanza that begins with this line. Its body ends with the first line that is not full.
pub(super) fn read_stanza(first: &[u8], reader: &mut impl BufRead) -> Result<Stanza, StanzaError> {
    let words = first.strip_prefix(b"-> ").and_then(|words| std::str::from_utf8(words).ok());
    let words = words.ok_or(StanzaError::Malformed("malformed stanza opening line"))?;
    let mut words = words.split(' ').map(|word| {
        let visible = !word.is_empty() && word.bytes().all(|byte| (33..=126).contains(&byte));
        visible.then(|| word.to_owned()).ok_or(StanzaError::Malformed("malformed stanza"))
    });
    let tag = words.next().ok_or(StanzaError::Malformed("malformed stanza"))??;
    let args = words.collect::<Result<_, _>>()?;
    let mut body = Zeroizing::new(Vec::new());
    loop {
        let line = read_line(reader)?;
        if line.len() > STANZA_COLUMNS {
            return Err(StanzaError::Malformed("malformed body line: too long"));
        }
        let decoded = BASE64_STANDARD_NO_PAD.decode_vec(&*line, &mut body);
        decoded.map_err(|_| StanzaError::Malformed("malformed body line"))?;
        if line.len() < STANZA_COLUMNS {
            return Ok(Stanza { tag, args, body: std::mem::take(&mut *body) });
        }
    }
}

/// Writes a stanza. The body's last line is never full, so it may be empty.
pub(super) fn write_stanza<'a>(
    out: &mut Vec<u8>,
    tag: &str,
    args: impl IntoIterator<Item = &'a str>,
    body: &[u8],
) {
    out.extend_from_slice(b"-> ");
    out.extend_from_slice(tag.as_bytes());
    for arg in args {
        out.push(b' ');
        out.extend_from_slice(arg.as_bytes());
    }
    out.push(b'\n');
    let encoded = Zeroizing::new(BASE64_STANDARD_NO_PAD.encode(body));
    let mut rest = encoded.as_bytes();
    while let Some((line, after)) = rest.split_at_checked(STANZA_COLUMNS) {
        out.extend_from_slice(line);
        out.push(b'\n');
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'\n');
}
