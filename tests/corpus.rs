//! Real files: what people wrote and what earlier releases encrypted. They are under the licences of their
//! repositories and too large to be kept here; `RSOPS_VECTORS` says where they are.
//!
//! The variables of `tests/vectors/main.rs` apply.

mod support;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::Value;

use support::keys::recipient;
use support::outcome::Exit;
use support::program::{Bar, setting};
use support::report::{Report, check_all, say};
use support::scratch::Scratch;
use support::text::{same, without_ciphertext};
use support::{Check, during};

/// Where the vectors are. Without them a person is told what was not tested; an automatic build fails.
fn vectors(what: &str) -> Option<PathBuf> {
    let folder = setting("RSOPS_VECTORS").map(PathBuf::from);
    if folder.is_none() {
        say(&format!("\n{what}: skipped, because RSOPS_VECTORS does not name the folder of the vectors"));
        assert!(setting("CI").is_none(), "{what}: CI must not skip it: set RSOPS_VECTORS");
    }
    folder
}

fn chosen(name: &str) -> bool {
    name.starts_with(&setting("RSOPS_ONLY").unwrap_or_default())
}

#[test]
fn real_plaintexts_survive_encryption() {
    let Some(vectors) = vectors("corpus") else { return };
    let bar = Bar::from_environment();
    let records: Vec<_> =
        records(&vectors.join("corpus.jsonl.gz")).into_iter().filter(|r| chosen(&r.name)).collect();
    let answers = check_all(&records, |record| record.survives(bar));
    let mut report = Report::new("corpus");
    for (record, answer) in records.iter().zip(answers) {
        report.count(&record.name, "a real plaintext", answer);
    }
    report.finish();
}

/// A line of the corpus; the fields are explained beside it, in `corpus.md`.
struct Record {
    name: String,
    fields: Value,
}

fn records(path: &Path) -> Vec<Record> {
    let mut text = String::new();
    let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    GzDecoder::new(file).read_to_string(&mut text).expect("compressed text");
    let record = |line| {
        let fields: Value = serde_json::from_str(line).expect("a JSON object a line");
        let [format, repo, path] =
            ["format", "repo", "path"].map(|field| fields[field].as_str().expect("text"));
        Record { name: format!("{format}:{repo}/{path}"), fields }
    };
    text.lines().map(record).collect()
}

impl Record {
    fn bytes(&self, field: &str) -> Vec<u8> {
        match self.fields[format!("{field}_base64")].as_str() {
            Some(text) => STANDARD.decode(text).expect("base64"),
            None => self.fields[field].as_str().expect("text").as_bytes().to_vec(),
        }
    }

    fn exit(&self, field: &str) -> Exit {
        exit(&self.fields[field])
    }

    fn survives(&self, bar: Bar) -> Check {
        let extension = match self.fields["format"].as_str() {
            Some("dotenv") => "env",
            Some(format) => format,
            None => unreachable!("it is part of the name"),
        };
        let (plain, sealed) = (format!("f.{extension}"), format!("e.{extension}"));
        let scratch = Scratch::new();
        scratch.write(&plain, &self.bytes("input"));
        let outcome = scratch.call(["encrypt", "--age", &recipient("age-alice"), &plain]).outcome();
        during("encrypt", outcome.wants(self.exit("error_exit")))?;
        if !outcome.succeeded() {
            return Ok(());
        }
        scratch.write(&sealed, &outcome.stdout);
        let outcome = scratch.call(["decrypt", &sealed]).keys(["age-alice"]).outcome();
        match bar {
            Bar::Policy => {
                during("decrypt", outcome.wants(Exit::Status(0)))?;
                self.is_expected(&outcome.stdout)
            }
            Bar::Reference => {
                during("decrypt", outcome.wants(self.exit("decrypt_exit")))?;
                if !outcome.succeeded() {
                    return Ok(());
                }
                // comments that it cannot open are printed as random ciphertext
                let want = self.bytes("decrypted");
                same("the plaintext", &without_ciphertext(&outcome.stdout), &without_ciphertext(&want))
            }
        }
    }

    fn is_expected(&self, got: &[u8]) -> Check {
        let texts = match self.fields["expected"].as_array() {
            Some(texts) => {
                texts.iter().map(|text| text.as_str().expect("text").as_bytes().to_vec()).collect()
            }
            None => vec![self.bytes("decrypted")],
        };
        if texts.iter().any(|text| text == got) { Ok(()) } else { same("the plaintext", got, &texts[0]) }
    }
}

/// A missing status is success.
fn exit(status: &Value) -> Exit {
    let status = status.as_i64().unwrap_or(0);
    Exit::Status(i32::try_from(status).expect("an exit status"))
}

#[test]
fn files_of_every_release_open() {
    let Some(vectors) = vectors("real files") else { return };
    let base = vectors.join("real-encrypted");
    let bar = Bar::from_environment();
    let manifest = fs::read_to_string(base.join("manifest.json")).expect("the manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    let files = ["cases", "python_era"].map(|era| manifest[era].as_array().expect("a list"));
    let mut report = Report::new("real files");
    for file in files.into_iter().flatten() {
        let name = text(file, "file");
        if !chosen(name) {
            continue;
        }
        report.count(name, &format!("sops {}", text(file, "sops_version")), opens(&base, file, bar));
    }
    report.finish();
}

fn text<'a>(file: &'a Value, field: &str) -> &'a str {
    file[field].as_str().unwrap_or_else(|| panic!("no {field} in {file}"))
}

/// What the reference refuses because the date of a key is missing. Its plaintext is that of the releases that have it.
fn refused_for_a_date(file: &Value) -> Option<&'static str> {
    let message = file["stderr"].as_str().unwrap_or_default();
    message.starts_with("parsing time \"\"").then(|| match text(file, "format") {
        "json" => "python_era/_plain-1.18.json",
        "yaml" => "python_era/_plain-1.18.yaml",
        _ => "python_era/_expected-1.18.txt",
    })
}

fn has_key(file: &Value, kind: &str) -> bool {
    file["keys"].as_array().expect("a list").iter().any(|key| key == kind)
}

fn opens(base: &Path, file: &Value, bar: Bar) -> Check {
    let name = text(file, "file");
    let base_name = name.rsplit('/').next().expect("a name");
    let scratch = Scratch::new();
    scratch.write(base_name, &fs::read(base.join(name)).expect("a listed file"));
    let keys = base.join("keys");
    if has_key(file, "pgp") {
        scratch.import_pgp(&keys.join("pgp_secret_keys.asc"));
    }
    let flags = file["flags"].as_array().expect("a list").iter().map(|flag| flag.as_str().expect("text"));
    let arguments = ["decrypt"].into_iter().chain(flags).chain([base_name]);
    let identities = keys.join("age_keys.txt");
    let call = scratch.call(arguments).variable("SOPS_AGE_KEY_FILE", &identities.display().to_string());
    let outcome = call.outcome();
    // where the reference is defective the manifest knows the right plaintext
    let right = file["expected"].as_str().or_else(|| refused_for_a_date(file));
    let right = right.filter(|_| bar == Bar::Policy);
    outcome.wants(if right.is_some() { Exit::Status(0) } else { exit(&file["exit"]) })?;
    match right.or(file["plaintext"].as_str()).filter(|_| outcome.succeeded()) {
        Some(plaintext) => {
            same("the plaintext", &outcome.stdout, &fs::read(base.join(plaintext)).expect("a listed file"))
        }
        None => Ok(()),
    }
}
