//! A plain document ⇄ an encrypted one (format.md §8).
//!
//! They are different types: a document only becomes plain through [`EncryptedDocument::decrypt`], which checks the
//! MAC, and bytes of an encrypted document only come from [`PlainDocument::encrypt`] and
//! [`EncryptedDocument::to_bytes`], which read them back before anybody can write them (policy.md §4).

mod open;
mod seal;
mod transcript;
mod variables;

use std::fmt;

use zeroize::Zeroizing;

use crate::cipher::{Cipher, Kind, OpenError};
use crate::data_key::DataKey;
use crate::metadata::{LayoutError, Metadata, MetadataError, append, lift, remove};
use crate::nonces::Nonces;
use crate::store::{Store, StoreError};
use crate::tree::{Branch, Scalar, Source, Text, Timestamp, Tree, Visit, walk};

use self::open::Opener;
use self::seal::{Mover, SealedComments, Sealer};
use self::transcript::{Transcript, Witness};

pub use self::open::{LeafError, LooseComment};
pub use self::seal::SealError;
pub use self::variables::{Variable, VariableError};

/// A document in clear.
pub struct PlainDocument {
    /// Its content.
    pub tree: Tree,
}

/// A document whose selected leaves are encrypted, with its metadata.
pub struct EncryptedDocument {
    tree: Tree,
    /// What the file says of itself.
    pub metadata: Metadata,
}

/// A document that was just decrypted.
pub struct Decrypted {
    /// The content.
    pub document: PlainDocument,
    /// Comments that should be encrypted and are not, or cannot be decrypted; kept as they are.
    pub loose_comments: Vec<LooseComment>,
}

/// What to do about the MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacCheck {
    /// It must be there and right.
    Required,
    /// `--ignore-mac`.
    Ignored,
}

/// Why an encrypted file cannot be read.
#[derive(Debug)]
pub enum LoadError {
    /// Its syntax.
    Store(StoreError),
    /// Its metadata are not where they should be.
    Layout(LayoutError),
    /// Its metadata are wrong.
    Metadata(MetadataError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Layout(error) => error.fmt(f),
            Self::Metadata(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

/// Why a file cannot be decrypted.
#[derive(Debug)]
pub enum DecryptError {
    /// A leaf, or the shape of the tree.
    Leaf(LeafError),
    /// The MAC itself cannot be decrypted.
    MacUnreadable(OpenError),
    /// The content is not what was encrypted.
    MacMismatch {
        /// Whether the file has a MAC.
        stored: bool,
    },
}

impl fmt::Display for DecryptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(error) => error.fmt(f),
            Self::MacUnreadable(error) => write!(f, "Cannot decrypt MAC: {error}"),
            // The two MACs are not told, as the reference does: they are hashes of the plaintext, and from that of a
            // short one it can be guessed.
            Self::MacMismatch { stored: true } => {
                f.write_str("MAC mismatch. The file is not what was encrypted")
            }
            Self::MacMismatch { stored: false } => f.write_str("MAC mismatch. File has no MAC"),
        }
    }
}

impl std::error::Error for DecryptError {}

/// Why a document cannot be encrypted.
#[derive(Debug)]
pub enum EncryptError {
    /// A leaf, or the shape of the tree.
    Seal(SealError),
    /// The MAC.
    Mac,
    /// The format cannot hold it.
    Store(StoreError),
    /// It has a key that is reserved.
    Layout(LayoutError),
    /// What would be written cannot be read again; nothing was.
    ReadBack(String),
}

impl fmt::Display for EncryptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seal(error) => error.fmt(f),
            Self::Mac => f.write_str("the operating system gives no random numbers"),
            Self::Store(error) => error.fmt(f),
            Self::Layout(error) => write!(f, "Error marshaling metadata: {error}"),
            Self::ReadBack(reason) => write!(f, "the result could not be read again: {reason}"),
        }
    }
}

impl std::error::Error for EncryptError {}

impl PlainDocument {
    /// Reads a plain file.
    pub fn load(store: &dyn Store, source: Source) -> Result<Self, StoreError> {
        Ok(Self { tree: store.load(source)? })
    }

    /// Writes a plain file.
    pub fn emit(&self, store: &dyn Store) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        store.emit(&self.tree)
    }

    /// Reads a document in clear that carries metadata: what [`Self::emit_with_metadata`] wrote and somebody edited.
    pub fn load_with_metadata(store: &dyn Store, source: Source) -> Result<(Self, Metadata), LoadError> {
        let EncryptedDocument { tree, metadata } = EncryptedDocument::load(store, source)?;
        Ok((Self { tree }, metadata))
    }

    /// Writes the document in clear with metadata where an encrypted file has them: what `edit --show-master-keys`
    /// shows (cli.md §10.6).
    pub fn emit_with_metadata(
        &self,
        metadata: &Metadata,
        store: &dyn Store,
    ) -> Result<Zeroizing<Vec<u8>>, EncryptError> {
        let mut tree = self.tree.clone();
        append(&mut tree, metadata.write(), store.layout()).map_err(EncryptError::Layout)?;
        store.emit_encrypted(&tree).map_err(EncryptError::Store)
    }

    /// Encrypts the document and writes it; the bytes are known to decrypt.
    ///
    /// `metadata` holds the wrapped data key and gets the time and the MAC. Values that `nonces` knows keep their
    /// ciphertext.
    pub fn encrypt(
        self,
        mut metadata: Metadata,
        data_key: &DataKey,
        nonces: &Nonces,
        store: &dyn Store,
    ) -> Result<Vec<u8>, EncryptError> {
        let mut cipher = Cipher::new(data_key);
        let mut tree = self.tree;
        let mut sealer = Sealer::new(&mut cipher, &metadata, nonces);
        walk(&mut tree, &metadata.selection, &mut sealer).map_err(EncryptError::Seal)?;
        let transcript = sealer.finish();
        let now = Timestamp::now();
        metadata.last_modified = Some(now);
        metadata.mac = cipher
            .seal(Kind::Str, transcript.mac().as_bytes(), now.whole_seconds().as_bytes(), None)
            .map_err(|_| EncryptError::Mac)?;
        let encrypted = EncryptedDocument { tree, metadata };
        encrypted.settled(cipher, &transcript, store)
    }
}

/// Comments move at most this often before they lie where they are found again. One move was enough for all files
/// that were tried.
const MOST_MOVES: usize = 4;

impl EncryptedDocument {
    /// Reads an encrypted file.
    pub fn load(store: &dyn Store, source: Source) -> Result<Self, LoadError> {
        let mut tree = store.load_encrypted(source).map_err(LoadError::Store)?;
        let branch = lift(&mut tree, store.layout()).map_err(LoadError::Layout)?;
        let metadata = Metadata::read(&branch).map_err(LoadError::Metadata)?;
        Ok(Self { tree, metadata })
    }

    /// Visits its leaves and comments as they are in the file, for those that have no key.
    pub fn visit<V: Visit>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        walk(&mut self.tree, &self.metadata.selection, visitor)
    }

    /// The documents as they are in the file, metadata left out.
    pub fn branches(&self) -> &[Branch] {
        &self.tree.branches
    }

    /// Decrypts the document. `nonces` learns which IV each value had.
    pub fn decrypt(
        self,
        data_key: &DataKey,
        check: MacCheck,
        nonces: Option<&mut Nonces>,
    ) -> Result<(Decrypted, Metadata), DecryptError> {
        let Self { mut tree, metadata } = self;
        let cipher = Cipher::new(data_key);
        let mut opener = Opener::keeping(&cipher, metadata.coverage, nonces);
        walk(&mut tree, &metadata.selection, &mut opener).map_err(DecryptError::Leaf)?;
        let (witness, loose_comments) = opener.finish();
        if check == MacCheck::Required {
            verify(&metadata, &cipher, witness)?;
        }
        Ok((Decrypted { document: PlainDocument { tree }, loose_comments }, metadata))
    }

    /// The bytes of the file, read back with the data key.
    pub fn to_bytes(&mut self, data_key: &DataKey, store: &dyn Store) -> Result<Vec<u8>, EncryptError> {
        let source = self.emit(store)?;
        read_back(source.clone(), &Cipher::new(data_key), None, store)?;
        Ok(source.into_bytes())
    }

    fn emit(&mut self, store: &dyn Store) -> Result<Source, EncryptError> {
        append(&mut self.tree, self.metadata.write(), store.layout()).map_err(EncryptError::Layout)?;
        let bytes = store.emit_encrypted(&self.tree);
        remove(&mut self.tree, store.layout());
        Ok(bytes.map_err(EncryptError::Store)?.into())
    }

    /// The bytes of the file, once every comment is sealed with the path under which it will be found.
    ///
    /// In YAML, a comment can lie in another mapping when the file is read again; it is then sealed anew for that
    /// place (policy.md §3).
    fn settled(
        mut self,
        mut cipher: Cipher,
        transcript: &Transcript,
        store: &dyn Store,
    ) -> Result<Vec<u8>, EncryptError> {
        for _ in 0..=MOST_MOVES {
            let source = self.emit(store)?;
            let comments =
                SealedComments::of(self.tree, &self.metadata.selection).map_err(EncryptError::Seal)?;
            if read_back(source.clone(), &cipher, Some(transcript), store)? == Comments::Settled {
                return Ok(source.into_bytes());
            }
            let reread = Self::load(store, source).map_err(|e| EncryptError::ReadBack(e.to_string()))?;
            self.tree = reread.tree;
            let mut mover = Mover::new(&mut cipher, &comments);
            walk(&mut self.tree, &self.metadata.selection, &mut mover).map_err(EncryptError::Seal)?;
        }
        Err(EncryptError::ReadBack("its comments lie elsewhere each time the file is read".to_owned()))
    }
}

/// Whether all comments lie where they were sealed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comments {
    Settled,
    Moved,
}

/// Reads what is about to be written and verifies its MAC. `transcript`: what was sealed, if it was sealed just now.
fn read_back(
    source: Source,
    cipher: &Cipher,
    transcript: Option<&Transcript>,
    store: &dyn Store,
) -> Result<Comments, EncryptError> {
    // what would be the next step for a reader is none here
    let failed =
        |reason: String| EncryptError::ReadBack(reason.lines().next().unwrap_or_default().to_owned());
    let EncryptedDocument { mut tree, metadata } =
        EncryptedDocument::load(store, source).map_err(|e| failed(e.to_string()))?;
    let witness = transcript.map_or_else(|| Witness::hash(metadata.coverage), Witness::comparison);
    let mut opener = Opener::verifying(cipher, witness);
    walk(&mut tree, &metadata.selection, &mut opener).map_err(|e| failed(e.to_string()))?;
    let (witness, loose) = opener.finish();
    verify(&metadata, cipher, witness).map_err(|e| failed(e.to_string()))?;
    Ok(if loose.is_empty() { Comments::Settled } else { Comments::Moved })
}

/// Compares the MAC of a file with that of what was read (format.md §7.4).
fn verify(metadata: &Metadata, cipher: &Cipher, witness: Witness<'_>) -> Result<(), DecryptError> {
    let computed = witness.mac();
    let stored = match (metadata.mac.is_empty(), metadata.last_modified) {
        (true, _) => None,
        // without the time that it is bound to, the MAC cannot be checked (policy.md §3)
        (false, None) => return Err(DecryptError::MacUnreadable(OpenError::Authentication)),
        (false, Some(time)) => {
            let opened = cipher
                .open(metadata.mac.as_bytes(), time.whole_seconds().as_bytes())
                .map_err(DecryptError::MacUnreadable)?;
            match (opened.kind, opened.value) {
                (Kind::Str, Scalar::Text(text)) => Some(text),
                _ => Some(Text::default()),
            }
        }
    };
    let is_same = |stored: &Text| computed.is_some_and(|computed| computed.as_bytes() == stored.as_bytes());
    if stored.as_ref().is_some_and(is_same) {
        Ok(())
    } else {
        Err(DecryptError::MacMismatch { stored: stored.is_some() })
    }
}
