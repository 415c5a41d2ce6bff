//! What is found in the bytes of a file, whatever its format.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::{Code, Finding, Position};
use crate::store::Format;

/// Whether a file may carry metadata: every release writes this field.
pub(super) fn mentions_metadata(bytes: &[u8]) -> bool {
    memmem::find(bytes, b"sops").is_some()
        && (memmem::find(bytes, b"lastmodified").is_some()
            || memmem::find(bytes, b"ENC[AES256_GCM,").is_some())
}

/// Whether a file has metadata as this format writes them, be they readable or not.
pub(super) fn has_metadata_line(bytes: &[u8], format: Format) -> bool {
    match format {
        // encrypted binary files are JSON
        Format::Json | Format::Binary => written_format(bytes) == Some(Format::Json),
        _ => metadata_line(bytes).is_some(),
    }
}

/// The format in which the metadata of a file are written.
pub(super) fn written_format(bytes: &[u8]) -> Option<Format> {
    // JSON may be a single line
    if is_object(bytes) && memmem::find(bytes, b"\"sops\"").is_some() {
        return Some(Format::Json);
    }
    metadata_line(bytes).map(|(_, format)| format)
}

/// Where the metadata begin.
pub(super) fn metadata_position(bytes: &[u8]) -> Option<Position> {
    metadata_line(bytes).map(|(offset, _)| Position::of(bytes, offset))
}

/// The first line that begins metadata, as some format writes them: where its text begins, and which format it is.
fn metadata_line(bytes: &[u8]) -> Option<(usize, Format)> {
    let is_object = is_object(bytes);
    let mut offset = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let indented = line.len() - line.trim_ascii_start().len();
        let text = line.trim_ascii();
        let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word.as_bytes()));
        let format = match indented {
            _ if is_object && begins(&["\"sops\":"]) => Some(Format::Json),
            _ if text == b"[sops]" => Some(Format::Ini),
            0 if begins(&["sops:", "\"sops\":", "'sops':"]) => Some(Format::Yaml),
            0 if begins(&["sops_"]) => Some(Format::Dotenv),
            _ => None,
        };
        if let Some(format) = format {
            return Some((offset + indented, format));
        }
        offset += line.len();
    }
    None
}

fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{")
}

/// The first marker of a merge that was not finished.
pub(super) fn conflict_marker(bytes: &[u8]) -> Option<Finding> {
    let mut offset = 0;
    let mut start = None;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"<<<<<<< ") {
            start = start.or(Some(offset));
        }
        if line.starts_with(b">>>>>>> ")
            && let Some(start) = start
        {
            return Some(Finding {
                code: Code::ConflictMarker,
                position: Some(Position::of(bytes, start)),
                message: "a merge of this file was not finished".to_owned(),
                fix: "take one side (git checkout --ours or --theirs), then bring the other's changes in with rsops edit"
                    .to_owned(),
            });
        }
        offset += line.len();
    }
    None
}

/// The codes that a comment in the file allows: `rsops:allow private-key leftover`. They end at the first word that is
/// none: in JSON, whose comments are values, what follows on the line is the file's.
pub(super) fn allowed(bytes: &[u8]) -> HashSet<Code> {
    const ALLOW: &[u8] = b"rsops:allow ";
    let mut allowed = HashSet::new();
    for at in memmem::find_iter(bytes, ALLOW) {
        let mut rest = &bytes[at + ALLOW.len()..];
        loop {
            let blanks = rest.iter().take_while(|byte| b" ,\t".contains(byte)).count();
            rest = &rest[blanks..];
            let word = rest.iter().take_while(|byte| byte.is_ascii_lowercase() || **byte == b'-').count();
            let name = String::from_utf8_lossy(&rest[..word]);
            // `-->` ends a comment
            let Some(code) = Code::from_name(name.trim_end_matches('-')) else { break };
            allowed.insert(code);
            rest = &rest[word..];
        }
    }
    allowed
}

/// How people mark the decrypted copy of a file, and the encrypted one.
const DECRYPTED: [&str; 3] = [".decrypted", ".dec", ".plain"];
const ENCRYPTED: [&str; 4] = ["", ".enc", ".encrypted", ".sops"];

/// The encrypted files that a file with such a name may be a decrypted copy of: `secrets.dec.yaml` of `secrets.yaml` or
/// `secrets.enc.yaml`, `secrets.yaml.dec` of `secrets.yaml`.
pub fn companions(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let mut companions = Vec::new();
    for (at, mark) in DECRYPTED.iter().flat_map(|mark| name.match_indices(mark)) {
        let (stem, rest) = (&name[..at], &name[at + mark.len()..]);
        // `.dec` is no mark in `.declared`
        if stem.is_empty() || !(rest.is_empty() || rest.starts_with(['.', '-', '_'])) {
            continue;
        }
        for other in ENCRYPTED {
            companions.push(path.with_file_name(format!("{stem}{other}{rest}")));
            if rest.is_empty()
                && let Some((base, extension)) = stem.rsplit_once('.')
            {
                companions.push(path.with_file_name(format!("{base}{other}.{extension}")));
            }
        }
    }
    companions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_has_its_line() {
        for (text, format) in [
            ("{\n\t\"sops\": {}}", Some(Format::Json)),
            ("a: 1\r\nsops:\r\n    mac: x\r\n", Some(Format::Yaml)),
            ("[a]\nb = 1\n\n[sops]\r\nmac = x\n", Some(Format::Ini)),
            ("a=1\nsops_mac=x\n", Some(Format::Dotenv)),
            ("a:\n  sops:\n    mac: x\n", None),
            ("a:\n  \"sops\": b\n", None),
            ("{\"a\": 1, \"sops\": {}}", Some(Format::Json)),
            ("sops is a program\n", None),
        ] {
            assert_eq!(written_format(text.as_bytes()), format, "{text}");
        }
    }

    #[test]
    fn an_unfinished_merge_has_both_markers() {
        let text = b"a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> other\n";
        assert_eq!(
            conflict_marker(text).and_then(|found| found.position),
            Some(Position { line: 2, column: 1 })
        );
        assert_eq!(conflict_marker(b"a\n<<<<<<< HEAD\n"), None);
        assert_eq!(conflict_marker(b" <<<<<<< HEAD\n >>>>>>> x\n"), None);
    }

    #[test]
    fn copies_are_told_by_their_names() {
        let of = |name: &str| -> Vec<String> {
            companions(Path::new(name)).iter().map(|path| path.display().to_string()).collect()
        };
        assert!(of("a/secrets.yaml.dec").contains(&"a/secrets.yaml".to_owned()));
        assert!(of("a/secrets.yaml.dec").contains(&"a/secrets.enc.yaml".to_owned()));
        assert!(of("secrets.dec.yaml").contains(&"secrets.yaml".to_owned()));
        assert!(of("secrets.decrypted.yaml").contains(&"secrets.enc.yaml".to_owned()));
        assert!(of("secrets.decrypted").contains(&"secrets".to_owned()));
        assert!(of("secrets.declared.dec.yaml").contains(&"secrets.declared.yaml".to_owned()));
        assert!(of("secrets.declared.yaml").is_empty());
        assert!(of(".dec").is_empty());
    }

    #[test]
    fn a_comment_allows_codes_by_name() {
        for (text, codes) in [
            ("# rsops:allow private-key, leftover nonsense\nrsops:allow no-mac\r\n", 3),
            ("<!-- rsops:allow private-key leftover no-mac-->", 3),
            ("/* rsops:allow private-key,leftover,no-mac*/", 3),
            ("{\"_\": \"rsops:allow private-key leftover no-mac\", \"plaintext-file\": 1}", 3),
            ("# rsops:allow nothing, private-key", 0),
            ("# rsops:allow private-keys", 0),
        ] {
            let all = [Code::PrivateKey, Code::Leftover, Code::NoMac];
            assert_eq!(allowed(text.as_bytes()), all.into_iter().take(codes).collect(), "{text}");
        }
    }
}
