//! Encrypted files whose name belongs to another format.
//!
//! The name decides how a file is read (stores.md §1.1), so that a YAML file called `secrets.txt` is read as a binary one
//! and looks like a file without metadata. What it is, its metadata tell.

use super::secrets::{mentions_metadata, written_format};
use crate::document::EncryptedDocument;
use crate::store::{Format, Indent};
use crate::tree::{Branch, Source};

/// The format in which a file is encrypted that cannot be read as `read_as`. Text that only speaks of encrypted files is
/// none.
pub fn disguise(read_as: Format, source: &Source) -> Option<Format> {
    let (format, _) = unmask(read_as, source)?;
    load(read_as, source).is_none().then_some(format)
}

/// The same with the document, for files of which it is known that they cannot be read by their name.
pub(super) fn unmask(read_as: Format, source: &Source) -> Option<(Format, EncryptedDocument)> {
    if !mentions_metadata(source.as_bytes()) {
        return None;
    }
    let format = written_format(source.as_bytes()).filter(|format| *format != read_as)?;
    load(format, source).map(|document| (format, document))
}

/// The format of a document that was read by its name: JSON has the syntax of encrypted binary files, which hold nothing
/// but their content (stores.md §4).
pub(super) fn true_format(read_as: Format, document: &EncryptedDocument) -> Format {
    let is_data = |branch: &Branch| {
        let [item] = branch.items.as_slice() else { return false };
        item.text_key().is_some_and(|key| key.as_bytes() == b"data")
    };
    match document.branches() {
        [branch] if is_data(branch) => read_as,
        _ if read_as == Format::Binary => Format::Json,
        _ => read_as,
    }
}

fn load(format: Format, source: &Source) -> Option<EncryptedDocument> {
    EncryptedDocument::load(&*format.store(Indent::default()), source.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_speaks_of_encrypted_files_is_none() {
        let text = "# Secrets\n```yaml\nsops:\n    lastmodified: x\n    mac: ENC[AES256_GCM,data:x]\n```\n";
        assert_eq!(disguise(Format::Binary, &text.as_bytes().into()), None);
    }
}
