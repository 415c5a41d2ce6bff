//! `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]` ⇄ typed value (format.md §4).

use std::fmt;

use aes_gcm::AesGcm;
use aes_gcm::aead::consts::{U12, U16, U32};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit as _};
use aes_gcm::aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, decoded_len_estimate};
use zeroize::Zeroize as _;

use crate::data_key::DataKey;
use crate::tree::{Scalar, Text, Timestamp, parse_bool, parse_float, parse_int};

/// An IV. The reference uses 32 bytes where GCM would want 12.
pub type Nonce = [u8; 32];

/// The type tag of an encrypted value (format.md §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the type tags")]
pub enum Kind {
    Str,
    Int,
    Float,
    Bool,
    Time,
    Comment,
    /// Not written any more; the Python releases wrote it for binary files.
    Bytes,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Str, Self::Int, Self::Float, Self::Bool, Self::Time, Self::Comment, Self::Bytes];

    /// As it stands in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::Comment => "comment",
            Self::Bytes => "bytes",
        }
    }

    /// The tag for a leaf that can be encrypted.
    pub fn of(leaf: &Scalar) -> Option<Self> {
        match leaf {
            Scalar::Null | Scalar::Uint(_) => None,
            Scalar::Bool(_) => Some(Self::Bool),
            Scalar::Int(_) => Some(Self::Int),
            Scalar::Float(_) => Some(Self::Float),
            Scalar::Time(_) => Some(Self::Time),
            Scalar::Text(_) => Some(Self::Str),
        }
    }
}

/// A decrypted value.
pub struct Opened {
    /// Its type tag.
    pub kind: Kind,
    /// The value; the text of a comment.
    pub value: Scalar,
    /// The IV that it had, if that can be used again.
    pub nonce: Option<Nonce>,
}

/// Why a text could not be decrypted. Displays the reference's wording, without the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Not of the form `ENC[…]`.
    Format,
    /// A part is not base64.
    Base64(&'static str),
    /// An IV of a length that no release has written.
    NonceLength(usize),
    /// Key, path or text is not what it was at encryption.
    Authentication,
    /// A type tag that no release has written.
    UnknownKind(String),
    /// The plaintext is no value of its type.
    Value {
        /// The type.
        kind: Kind,
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("Input string does not match sops' data format"),
            Self::Base64(part) => write!(f, "Error base64-decoding {part}: illegal base64 data"),
            Self::NonceLength(length) => {
                write!(f, "Could not decrypt with AES_GCM: an iv of {length} bytes is not supported")
            }
            Self::Authentication => {
                f.write_str("Could not decrypt with AES_GCM: cipher: message authentication failed")
            }
            Self::UnknownKind(kind) => write!(f, "Unknown datatype: {kind}"),
            Self::Value { kind, reason } => write!(f, "the plaintext is no {}: {reason}", kind.name()),
        }
    }
}

impl std::error::Error for OpenError {}

/// The operating system gives no random numbers.
#[derive(Clone, Copy, Debug)]
pub struct NoRandomness;

/// Reads base64 as the reference does: padding required, unused bits ignored (format.md §4.4).
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

const TAG_LENGTH: usize = 16;

/// What every sealed value begins with.
const PREFIX: &[u8] = b"ENC[AES256_GCM,data:";

/// Bytes of `ENC[…]` beside the data and the type.
const FRAME_LENGTH: usize =
    PREFIX.len() + ",iv:,tag:,type:]".len() + encoded_length(size_of::<Nonce>()) + encoded_length(TAG_LENGTH);

/// Length of the base64 of so many bytes.
const fn encoded_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// AES-256-GCM with the key of one file; the key schedule is made once.
pub struct Cipher {
    gcm: AesGcm<Aes256, U32>,
    /// For IVs of other lengths, which only foreign files have.
    key: DataKey,
    random: RandomPool,
}

impl Cipher {
    /// A cipher with this key.
    pub fn new(key: &DataKey) -> Self {
        Self { gcm: AesGcm::new(key.expose().into()), key: key.clone(), random: RandomPool::default() }
    }

    /// Encrypts a value under its path. An empty one stays empty (format.md §4.3).
    pub fn seal(
        &mut self,
        kind: Kind,
        plaintext: &[u8],
        additional_data: &[u8],
        nonce: Option<Nonce>,
    ) -> Result<Text, NoRandomness> {
        if plaintext.is_empty() {
            return Ok(Text::default());
        }
        let nonce = match nonce {
            Some(nonce) => nonce,
            None => self.random.nonce()?,
        };
        // the data are encrypted at the end of the room that their base64 will fill, for a second buffer would cost as
        // much as the encryption
        let room = encoded_length(plaintext.len());
        let start = PREFIX.len() + room - plaintext.len();
        let mut sealed = Vec::with_capacity(room + FRAME_LENGTH + kind.name().len());
        sealed.extend_from_slice(PREFIX);
        sealed.resize(start, 0);
        sealed.extend_from_slice(plaintext);
        let data = InOutBuf::from(&mut sealed[start..]);
        // only a value of more than 64 GiB fails
        let tag = self
            .gcm
            .encrypt_inout_detached(&nonce.into(), additional_data, data)
            .map_err(|_| NoRandomness)?;
        encode_end(&mut sealed[PREFIX.len()..], plaintext.len());
        sealed.extend_from_slice(b",iv:");
        encode_into(&nonce, &mut sealed);
        sealed.extend_from_slice(b",tag:");
        encode_into(&tag, &mut sealed);
        sealed.extend_from_slice(b",type:");
        sealed.extend_from_slice(kind.name().as_bytes());
        sealed.push(b']');
        Ok(sealed.into())
    }

    /// Decrypts a value under its path.
    pub fn open(&self, sealed: &[u8], additional_data: &[u8]) -> Result<Opened, OpenError> {
        let parts = Parts::of(sealed).ok_or(OpenError::Format)?;
        // large memory comes zeroed, so that nothing is written twice
        let mut data =
            vec![0; decoded_len_estimate(parts.data.len()) + decoded_len_estimate(parts.tag.len())];
        let text = decode_into(parts.data, "data", &mut data)?;
        let tag = decode_into(parts.tag, "tag", &mut data[text..])?;
        data.truncate(text + tag);
        let mut usual = Nonce::default();
        let mut other = Vec::new();
        let nonce = match LENIENT.decode_slice(parts.nonce, &mut usual) {
            Ok(32) => usual.as_slice(),
            _ => {
                other.resize(decoded_len_estimate(parts.nonce.len()), 0);
                let length = decode_into(parts.nonce, "iv", &mut other)?;
                &other[..length]
            }
        };
        let opened = self.authenticate(nonce, additional_data, data)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.name().as_bytes() == parts.kind);
        let Some(kind) = kind else {
            return Err(OpenError::UnknownKind(String::from_utf8_lossy(parts.kind).into_owned()));
        };
        Ok(Opened { kind, value: typed(kind, opened)?, nonce: nonce.try_into().ok() })
    }

    /// `data`: the ciphertext with the tag at its end.
    fn authenticate(
        &self,
        nonce: &[u8],
        additional_data: &[u8],
        mut data: Vec<u8>,
    ) -> Result<Text, OpenError> {
        let length = data.len().checked_sub(TAG_LENGTH).ok_or(OpenError::Authentication)?;
        let (text, tag) = data.split_at_mut(length);
        let tag: [u8; TAG_LENGTH] = (&*tag).try_into().map_err(|_| OpenError::Authentication)?;
        let text = InOutBuf::from(text);
        let key = self.key.expose().into();
        let result = match nonce.len() {
            32 => decrypt(&self.gcm, nonce, additional_data, text, tag),
            16 => decrypt(&AesGcm::<Aes256, U16>::new(key), nonce, additional_data, text, tag),
            12 => decrypt(&AesGcm::<Aes256, U12>::new(key), nonce, additional_data, text, tag),
            other => return Err(OpenError::NonceLength(other)),
        };
        result.ok_or(OpenError::Authentication)?;
        data.truncate(length);
        Ok(data.into())
    }
}

fn decrypt<A: AeadInOut>(
    gcm: &A,
    nonce: &[u8],
    additional_data: &[u8],
    text: InOutBuf<'_, '_, u8>,
    tag: [u8; TAG_LENGTH],
) -> Option<()> {
    let nonce = nonce.try_into().ok()?;
    let tag = tag.as_slice().try_into().ok()?;
    gcm.decrypt_inout_detached(nonce, additional_data, text, tag).ok()
}

fn typed(kind: Kind, plaintext: Text) -> Result<Scalar, OpenError> {
    let bytes = plaintext.as_bytes();
    let wrong = |reason: String| OpenError::Value { kind, reason };
    Ok(match kind {
        Kind::Str | Kind::Comment | Kind::Bytes => Scalar::Text(plaintext),
        Kind::Int => Scalar::Int(parse_int(bytes).map_err(|e| wrong(e.to_string()))?),
        Kind::Float => Scalar::Float(parse_float(bytes).map_err(|e| wrong(e.to_string()))?),
        Kind::Bool => Scalar::Bool(parse_bool(bytes).map_err(|e| wrong(e.to_string()))?),
        Kind::Time => {
            let text = plaintext.as_str().ok_or_else(|| wrong("not UTF-8".to_owned()))?;
            Scalar::Time(Timestamp::parse(text).map_err(|_| wrong("not in the form of RFC 3339".to_owned()))?)
        }
    })
}

fn encode_into(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + encoded_length(bytes.len()), 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
}

/// Replaces the bytes at the end of the buffer by their base64, which fills the whole buffer. Writing never gets ahead
/// of reading: what is written is a third longer, and the rest of the buffer is a third of what is read.
fn encode_end(buffer: &mut [u8], length: usize) {
    let mut chunk = [0; 768];
    let (mut read, mut written) = (buffer.len() - length, 0);
    while read < buffer.len() {
        let taken = chunk.len().min(buffer.len() - read);
        chunk[..taken].copy_from_slice(&buffer[read..read + taken]);
        read += taken;
        written += STANDARD.encode_slice(&chunk[..taken], &mut buffer[written..]).unwrap_or(0);
    }
}

/// Writes what the text stands for. How many bytes that were.
fn decode_into(text: &[u8], part: &'static str, out: &mut [u8]) -> Result<usize, OpenError> {
    if let Ok(length) = LENIENT.decode_slice(text, out) {
        return Ok(length);
    }
    // line breaks are skipped
    let joined: Vec<u8> = text.iter().copied().filter(|b| !matches!(b, b'\n' | b'\r')).collect();
    LENIENT.decode_slice(joined, out).map_err(|_| OpenError::Base64(part))
}

/// The pieces of `ENC[…]`, not yet decoded.
struct Parts<'a> {
    data: &'a [u8],
    nonce: &'a [u8],
    tag: &'a [u8],
    kind: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes the text apart as the reference's greedy expression does: from the right, up to the last `]` of the first
    /// line; what follows that is ignored (format.md §4.4).
    fn of(sealed: &'a [u8]) -> Option<Self> {
        let rest = sealed.strip_prefix(PREFIX)?;
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        let inside = &line[..memchr::memrchr(b']', line)?];
        let (inside, kind) = cut(inside, b",type:")?;
        let (inside, tag) = cut(inside, b",tag:")?;
        let (data, nonce) = cut(inside, b",iv:")?;
        let parts = Self { data, nonce, tag, kind };
        if data.is_empty() { None } else { Some(parts) }
    }
}

/// Whether a sealed value can be decrypted at all, as far as that shows without the key.
pub fn well_formed(sealed: &[u8]) -> Result<Kind, OpenError> {
    let parts = Parts::of(sealed).ok_or(OpenError::Format)?;
    let length = |text: &[u8], part| {
        let mut bytes = vec![0; decoded_len_estimate(text.len())];
        decode_into(text, part, &mut bytes)
    };
    length(parts.data, "data")?;
    match length(parts.nonce, "iv")? {
        12 | 16 | 32 => {}
        other => return Err(OpenError::NonceLength(other)),
    }
    if length(parts.tag, "tag")? != TAG_LENGTH {
        return Err(OpenError::Authentication);
    }
    let kind = Kind::ALL.into_iter().find(|kind| kind.name().as_bytes() == parts.kind);
    kind.ok_or_else(|| OpenError::UnknownKind(String::from_utf8_lossy(parts.kind).into_owned()))
}

/// Cuts at the last separator that has something behind it.
fn cut<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    // nearly always the last comma is that of the separator
    let at = match memchr::memrchr(b',', text)? {
        comma if text[comma..].starts_with(separator) => comma,
        _ => memchr::memmem::rfind(text, separator)?,
    };
    let behind = &text[at + separator.len()..];
    if behind.is_empty() { None } else { Some((&text[..at], behind)) }
}

/// Random bytes for IVs, fetched many at a time.
#[derive(Default)]
struct RandomPool {
    bytes: Vec<u8>,
}

impl RandomPool {
    /// The first request is small: most files have few leaves.
    const FIRST: usize = 16 * size_of::<Nonce>();
    const NEXT: usize = 1024 * size_of::<Nonce>();

    fn nonce(&mut self) -> Result<Nonce, NoRandomness> {
        if self.bytes.is_empty() {
            let size = if self.bytes.capacity() == 0 { Self::FIRST } else { Self::NEXT };
            self.bytes.resize(size, 0);
            getrandom::fill(&mut self.bytes).map_err(|_| NoRandomness)?;
        }
        let mut nonce = [0; size_of::<Nonce>()];
        let start = self.bytes.len() - nonce.len();
        nonce.copy_from_slice(&self.bytes[start..]);
        self.bytes[start..].zeroize();
        self.bytes.truncate(start);
        Ok(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::with_plaintext;

    fn cipher() -> Cipher {
        let bytes: Vec<u8> = (0..32).collect();
        Cipher::new(&DataKey::from_bytes(&bytes).expect("32 bytes"))
    }

    fn nonce(number: u32) -> Nonce {
        use sha2::{Digest as _, Sha256};
        Sha256::digest(format!("iv-{number}")).into()
    }

    #[test]
    fn values_are_sealed_as_the_reference_seals_them() {
        let time = Timestamp::parse("2020-01-02T03:04:05.6789+01:00").expect("a time");
        for (value, data, number, expected) in [
            (
                Scalar::Text("hello".into()),
                "foo:",
                1,
                "ENC[AES256_GCM,data:OweyLoA=,iv:sPfvgbCKSor5KNKLwuTbYoyGtQ3UFBXpa0Zx5OnN8SM=,tag:/9EQmvFgDWaVc3TdUOv3LQ==,type:str]",
            ),
            (
                Scalar::Int(-42),
                "a:b:",
                2,
                "ENC[AES256_GCM,data:C2Zb,iv:DIstHXopglnDCKmzv/moQlydHU0WvhNLFf7GR0bIAtM=,tag:1ZMcXUk83fFYckh/Jo4Tew==,type:int]",
            ),
            (
                Scalar::Float(1e21),
                "nums:",
                3,
                "ENC[AES256_GCM,data:0eOHHSEefstdCsedNieZLXJKE+oCrA==,iv:AZWK00f/xwkNBg3IU3PRdWH6a7o8OpJOqpgTlZYalHQ=,tag:3gxy04cs/mAcyzs6KQvPgA==,type:float]",
            ),
            (
                Scalar::Bool(true),
                "flags:",
                4,
                "ENC[AES256_GCM,data:MzgLIw==,iv:kqkdP+I7frlkJ6qZYyrlrMkyJj96gOsVbsxdryGL+FI=,tag:I88++ACBouMQJ4B3wmV0iw==,type:bool]",
            ),
            (
                Scalar::Time(time),
                "t:",
                5,
                "ENC[AES256_GCM,data:5Xc5m+nHKbMGBLNTzIkA3RrlTikRVDjKtWRLxbJ+,iv:vmWapGu6rhJNexnRtgCSNDlO7As8which+H5RuKMeNs=,tag:YJ/jdrfWOkjnlanD8g31iw==,type:time]",
            ),
            (
                Scalar::Text("naïve\nline2".into()),
                "list:",
                8,
                "ENC[AES256_GCM,data:Ee2ggFQ1nBzFkKJw,iv:0ZK3IPIhFo08MhWx876K72PGvVgCO/m5o9Ewf9+56dE=,tag:tPXQiBVkoSx4/6jAxUf/Pw==,type:str]",
            ),
        ] {
            let kind = Kind::of(&value).expect("a kind");
            let sealed =
                with_plaintext(&value, |p| cipher().seal(kind, p, data.as_bytes(), Some(nonce(number))));
            let sealed = sealed.expect("not null").expect("sealed");
            assert_eq!(sealed.as_str(), Some(expected));
            let opened = cipher().open(sealed.as_bytes(), data.as_bytes()).expect("opens");
            assert!(opened.value == value && opened.nonce == Some(nonce(number)));
        }
    }

    #[test]
    fn what_follows_the_bracket_is_ignored_and_line_breaks_in_base64_are_too() {
        let sealed = "ENC[AES256_GCM,data:OweyLoA=,iv:sPfvgbCKSor5KNKLwuTbYoyGtQ3UFBXpa0Zx5OnN8SM=,tag:/9EQmvFgDWaVc3TdUOv3LQ==,type:str]";
        let opens = |text: String| cipher().open(text.as_bytes(), b"foo:").map(|o| o.value.type_name());
        assert_eq!(opens(format!("{sealed}xyz")), Ok("string"));
        assert_eq!(opens(sealed.replace("Owey", "Owey\r")), Ok("string"));
        assert_eq!(opens(format!("{sealed}]")), Err(OpenError::UnknownKind("str]".to_owned())));
        assert_eq!(opens(format!(" {sealed}")), Err(OpenError::Format));
        assert_eq!(opens(sealed.replace("OweyLoA=", "")), Err(OpenError::Format));
        assert_eq!(opens(sealed.replace("LoA=", "LoA")), Err(OpenError::Base64("data")));
        assert_eq!(opens(sealed.replace("Owe", "Owf")), Err(OpenError::Authentication));
        assert_eq!(cipher().open(sealed.as_bytes(), b"bar:").err(), Some(OpenError::Authentication));
    }
}
