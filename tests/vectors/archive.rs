//! Cases with their files, packed into one text a folder: small to clone, and a change shows as the lines it is.
//!
//! `==== case NAME` begins a case and `==== file NAME` one of its files, whose text follows as it is. A file that
//! is no plain text is marked `base64`, one without a line end at its end `no-newline`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::keys::fixture;

/// The files of a case by name, `case.json` among them.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

const CASE: &str = "==== case ";
const FILE: &str = "==== file ";
const MARK: &str = "==== ";
/// Bytes that make a line of 76 characters.
const BASE64_LINE: usize = 57;

/// Vectors that are not packed, with the reason.
pub(crate) const LEFT_OUT: &[(&str, &str)] = &[(
    "binary/random-1-mib",
    "two megabytes that no compression makes smaller; `a_large_binary_file_round_trips` stands in for it",
)];

/// Every packed case, by its full name.
pub(crate) fn packed() -> BTreeMap<String, Files> {
    let mut cases = BTreeMap::new();
    for path in children(&fixture("files")) {
        if path.extension().is_some_and(|extension| extension == "cases") {
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            cases.extend(parse(&text));
        }
    }
    cases
}

/// Every case of a folder with a folder a case, as the vectors are written.
pub(crate) fn unpacked(folder: &Path) -> BTreeMap<String, Files> {
    let mut cases = BTreeMap::new();
    for topic in children(folder).iter().filter(|path| path.is_dir()) {
        for case in children(topic) {
            let files: Files = children(&case)
                .iter()
                .map(|path| {
                    (name(path), fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
                })
                .collect();
            cases.insert(format!("{}/{}", name(topic), name(&case)), files);
        }
    }
    cases
}

/// Writes one file for each topic, the part of the names before the slash.
pub(crate) fn pack(cases: &BTreeMap<String, Files>) {
    let mut topics: BTreeMap<&str, String> = BTreeMap::new();
    for (name, files) in cases {
        let (topic, _) = name.split_once('/').expect("topic/name");
        topics.entry(topic).or_default().push_str(&render(name, files));
    }
    for (topic, text) in topics {
        fs::write(fixture("files").join(format!("{topic}.cases")), text).expect("a writable checkout");
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.expect("a readable folder").path()).collect()
}

fn name(path: &Path) -> String {
    path.file_name().expect("a child").to_string_lossy().into_owned()
}

pub(crate) fn render(name: &str, files: &Files) -> String {
    let mut text = format!("{CASE}{name}\n");
    for (file, bytes) in in_reading_order(files) {
        match plain(bytes) {
            Some(content) if content.ends_with('\n') => {
                write!(text, "{FILE}{file}\n{content}").expect("memory");
            }
            Some(content) => writeln!(text, "{FILE}{file} no-newline\n{content}").expect("memory"),
            None => {
                writeln!(text, "{FILE}{file} base64").expect("memory");
                for line in bytes.chunks(BASE64_LINE) {
                    writeln!(text, "{}", STANDARD.encode(line)).expect("memory");
                }
            }
        }
    }
    text
}

/// What a case is about comes before its texts.
fn in_reading_order(files: &Files) -> impl Iterator<Item = (&String, &Vec<u8>)> {
    let (first, rest): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| *name == "case.json");
    first.into_iter().chain(rest)
}

/// The text of a file that may stand in an archive as it is.
fn plain(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let readable = !text.chars().any(|c| c.is_control() && !"\t\r\n".contains(c));
    let unmistakable = !text.lines().any(|line| line.starts_with(MARK));
    (readable && unmistakable).then_some(text)
}

pub(crate) fn parse(text: &str) -> BTreeMap<String, Files> {
    let mut cases = BTreeMap::new();
    let text = text.strip_prefix(CASE).expect("a case comes first");
    let text = text.strip_suffix('\n').expect("whole lines");
    let next_file = format!("\n{FILE}");
    for part in text.split(&format!("\n{CASE}")) {
        let mut files = part.split(&next_file);
        let name = files.next().expect("the name");
        let files = files.map(parse_file).collect();
        let before = cases.insert(name.to_owned(), files);
        assert!(before.is_none(), "{name} is there twice");
    }
    cases
}

/// A header and the lines below it, without the line end in front of the next header.
fn parse_file(text: &str) -> (String, Vec<u8>) {
    let (header, content) = text.split_once('\n').unwrap_or((text, ""));
    match header.split_once(' ') {
        None => (header.to_owned(), format!("{content}\n").into_bytes()),
        Some((name, "no-newline")) => (name.to_owned(), content.as_bytes().to_vec()),
        Some((name, "base64")) => {
            let joined: String = content.lines().collect();
            (name.to_owned(), STANDARD.decode(joined).unwrap_or_else(|e| panic!("{name}: {e}")))
        }
        Some((name, mark)) => panic!("{name}: unknown mark {mark:?}"),
    }
}
