//! What must be equal between two runs, and how a difference is shown.

use std::borrow::Cow;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::bytes::{Captures, Regex};

use super::Check;

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of this file")
}

static ENCRYPTED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]*),tag:([A-Za-z0-9+/=]*),type:([a-z]+)\]",
    )
});

/// An encrypted text without its random parts: two encryptions of one document have the same shape. Everything
/// else must be equal byte for byte, indentation, quoting, comment places and the order of metadata included.
pub(crate) fn shape(text: &[u8]) -> Vec<u8> {
    static AGE: LazyLock<Regex> =
        LazyLock::new(|| regex("(?s)-----BEGIN AGE ENCRYPTED FILE-----.*?-----END AGE ENCRYPTED FILE-----"));
    static PGP: LazyLock<Regex> =
        LazyLock::new(|| regex("(?s)-----BEGIN PGP MESSAGE-----.*?-----END PGP MESSAGE-----"));
    static TIME: LazyLock<Regex> = LazyLock::new(|| {
        regex(r#"((?:lastmodified|created_at)"?\s*[:=]\s*"?)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"#)
    });
    let text = ENCRYPTED.replace_all(text, |found: &Captures<'_>| {
        let [data, iv, tag] = [1, 2, 3].map(|part| decoded_length(&found[part]));
        let kind = String::from_utf8_lossy(&found[4]).into_owned();
        format!("ENC[{data} bytes,iv {iv},tag {tag},type:{kind}]").into_bytes()
    });
    let text = AGE.replace_all(&text, b"<AGE>");
    let text = PGP.replace_all(&text, b"<PGP>");
    TIME.replace_all(&text, b"$1<TIME>").into_owned()
}

fn decoded_length(base64: &[u8]) -> String {
    STANDARD.decode(base64).map_or("not base64".to_owned(), |bytes| bytes.len().to_string())
}

/// A text for terminals without what depends on the machine and the moment. `root` is the parent of the working
/// folder: `<TMP>`, as the working folder is `<DIR>`.
pub(crate) fn normal(text: &[u8], root: &Path) -> Vec<u8> {
    static TIME: LazyLock<Regex> = LazyLock::new(|| regex(r#"time="[^"]*""#));
    static DATE: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d "));
    let folder = regex(&regex::escape(&root.join("work").display().to_string()));
    let temporary = regex(&format!(r"{}/(\d+/)?", regex::escape(&root.display().to_string())));
    let text = folder.replace_all(text, b"<DIR>");
    let text = temporary.replace_all(&text, |found: &Captures<'_>| match found.get(1) {
        Some(_) => b"<TMP>/<N>/".to_vec(),
        None => b"<TMP>/".to_vec(),
    });
    let text = TIME.replace_all(&text, br#"time="<TIME>""#);
    let text = without_ciphertext(&text).into_owned();
    DATE.replace_all(&text, b"<DATE> ").into_owned()
}

/// `ENC` for every encrypted value.
pub(crate) fn without_ciphertext(text: &[u8]) -> Cow<'_, [u8]> {
    ENCRYPTED.replace_all(text, b"ENC")
}

/// The words that are left when comments and layout do not count.
pub(crate) fn words_without_comments(text: &[u8]) -> Vec<Vec<u8>> {
    static COMMENT: LazyLock<Regex> = LazyLock::new(|| regex(r"#[^\n]*"));
    let text = COMMENT.replace_all(text, b"");
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Equal to the byte, or the first line that is not.
pub(crate) fn same(what: &str, got: &[u8], want: &[u8]) -> Check {
    if got == want {
        return Ok(());
    }
    let (mut left, mut right) = (got.split_inclusive(is_newline), want.split_inclusive(is_newline));
    for number in 1.. {
        let (got, want) = (left.next(), right.next());
        if got != want {
            return Err(format!(
                "{what} differs in line {number}\n  got  {}\n  want {}",
                shown(got),
                shown(want)
            ));
        }
    }
    unreachable!("texts without a different line are equal")
}

// the signature is that of `split_inclusive`
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_newline(byte: &u8) -> bool {
    *byte == b'\n'
}

fn shown(line: Option<&[u8]>) -> String {
    const LIMIT: usize = 400;
    let Some(line) = line else { return "the end".to_owned() };
    let text = String::from_utf8_lossy(&line[..line.len().min(LIMIT)]).into_owned();
    let more = if line.len() > LIMIT { format!(" … {} bytes", line.len()) } else { String::new() };
    format!("{text:?}{more}")
}
