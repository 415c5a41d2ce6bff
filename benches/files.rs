//! Whole files and single leaves. Figures belong into changelogs and commit messages, never into tests.

use std::fmt::Write as _;
use std::hint::black_box;

use divan::Bencher;
use rsops::cipher::{Cipher, Kind};
use rsops::data_key::DataKey;
use rsops::document::{EncryptedDocument, MacCheck, PlainDocument};
use rsops::keys::{AgeKey, Key, KeyGroup};
use rsops::mac::Coverage;
use rsops::metadata::Metadata;
use rsops::nonces::Nonces;
use rsops::selection::{Selection, Selectors};
use rsops::store::{Format, Indent, Store};

fn main() {
    divan::main();
}

/// Plaintexts as the issue tracker of sops knows them: slow there.
#[derive(Clone, Copy, Debug)]
enum Sample {
    /// 120,000 leaves with comments, 4 MB.
    Yaml,
    /// 20,000 items, 3.4 MB.
    Json,
    /// One text of 50 MB.
    Blob,
    /// Six leaves.
    Small,
}

const SAMPLES: [Sample; 4] = [Sample::Yaml, Sample::Json, Sample::Blob, Sample::Small];

impl Sample {
    fn format(self) -> Format {
        match self {
            Self::Yaml | Self::Small => Format::Yaml,
            Self::Json => Format::Json,
            Self::Blob => Format::Binary,
        }
    }

    fn text(self) -> Vec<u8> {
        let mut words = Words(1);
        match self {
            Self::Yaml => yaml(&mut words, 120_000).into_bytes(),
            Self::Json => json(&mut words, 20_000).into_bytes(),
            Self::Blob => (0..50_000_000 / 80).flat_map(|_| (words.next(79) + "\n").into_bytes()).collect(),
            Self::Small => b"a: 1\nb: two\nc:\n  d: 3.5\n  e: true\n  f: [x, y]\n".to_vec(),
        }
    }

    fn store(self) -> Box<dyn Store> {
        self.format().store(Indent::default())
    }

    fn encrypted(self, key: &DataKey) -> Vec<u8> {
        encrypt(self.text(), key, self)
    }
}

/// Words that are the same in every run.
struct Words(u64);

impl Words {
    fn number(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn next(&mut self, length: usize) -> String {
        (0..length)
            .map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[self.number(36) as usize]))
            .collect()
    }
}

fn yaml(words: &mut Words, leaves: usize) -> String {
    let mut text = String::new();
    for leaf in 0..leaves {
        if leaf % 120 == 0 {
            let _ = writeln!(text, "section{}:", leaf / 120);
        }
        if leaf % 60 == 0 {
            let _ = writeln!(text, "    # {}", words.next(18));
        }
        if leaf % 12 == 0 {
            let _ = writeln!(text, "    group{}:", leaf / 12 % 10);
        }
        let value = match words.number(10) {
            0..7 => words.next(16),
            7 | 8 => words.number(1_000_000).to_string(),
            _ => format!("\"{}: {}\"", words.next(8), words.next(5)),
        };
        let comment = if words.number(20) == 0 { format!(" # {}", words.next(6)) } else { String::new() };
        let _ = writeln!(text, "        key{}: {value}{comment}", leaf % 12);
    }
    text
}

fn json(words: &mut Words, items: usize) -> String {
    let members: Vec<String> =
        (0..items).map(|i| format!("\"item{i:05}\": \"{}\"", words.next(150))).collect();
    format!("{{{}}}", members.join(", "))
}

fn encrypt(text: Vec<u8>, key: &DataKey, sample: Sample) -> Vec<u8> {
    let store = sample.store();
    let mut group = KeyGroup::new([Key::Age(AgeKey { recipient: "age1bench".to_owned() })]);
    group.keys[0].enc = "wrapped".to_owned();
    let selection = match sample.format() {
        Format::Binary => Selection::All,
        _ => Selectors::default().selection().expect("the default selection"),
    };
    let metadata = Metadata::new(vec![group], selection, Coverage::All);
    let document = PlainDocument::load(&*store, text.into()).expect("the sample is valid");
    document.encrypt(metadata, key, &Nonces::default(), &*store).expect("it encrypts")
}

/// From bytes to bytes, read back included.
#[divan::bench(args = SAMPLES)]
fn encrypt_file(bencher: Bencher<'_, '_>, sample: Sample) {
    let (text, key) = (sample.text(), DataKey::generate().expect("random numbers"));
    bencher.with_inputs(|| text.clone()).bench_local_values(|text| encrypt(text, &key, sample));
}

/// From bytes to bytes, MAC included.
#[divan::bench(args = SAMPLES)]
fn decrypt_file(bencher: Bencher<'_, '_>, sample: Sample) {
    let key = DataKey::generate().expect("random numbers");
    let (bytes, store) = (sample.encrypted(&key), sample.store());
    bencher.with_inputs(|| bytes.clone()).bench_local_values(|bytes| {
        let document = EncryptedDocument::load(&*store, bytes.into()).expect("it loads");
        let (decrypted, _) = document.decrypt(&key, MacCheck::Required, None).expect("it opens");
        decrypted.document.emit(&*store).expect("it can be written")
    });
}

/// Syntax alone.
#[divan::bench(args = [Sample::Yaml, Sample::Json])]
fn load_and_emit(bencher: Bencher<'_, '_>, sample: Sample) {
    let (text, store) = (sample.text(), sample.store());
    bencher
        .with_inputs(|| text.clone())
        .bench_local_values(|text| store.emit(&store.load(text.into()).expect("valid")).expect("written"));
}

#[divan::bench]
fn seal_leaf(bencher: Bencher<'_, '_>) {
    let mut cipher = Cipher::new(&DataKey::generate().expect("random numbers"));
    bencher.bench_local(|| cipher.seal(Kind::Str, black_box(&[7; 64]), b"some:path:", None).is_ok());
}

#[divan::bench]
fn open_leaf(bencher: Bencher<'_, '_>) {
    let mut cipher = Cipher::new(&DataKey::generate().expect("random numbers"));
    let sealed = cipher.seal(Kind::Str, &[7; 64], b"some:path:", None).expect("random numbers");
    bencher.bench_local(|| cipher.open(black_box(sealed.as_bytes()), b"some:path:").is_ok());
}
