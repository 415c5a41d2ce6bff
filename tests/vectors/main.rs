//! The built program against the cases of `tests/fixtures/files`, each of which tests one fact.
//!
//! | variable | effect |
//! |---|---|
//! | `RSOPS_ONLY=yaml/anchor` | only the cases whose names begin like this |
//! | `RSOPS_SCOPE=all` | also the cases that the program is not expected to pass yet |
//! | `RSOPS_TEST_BINARY=path` | another program than the one just built |
//! | `RSOPS_AS_REFERENCE=1` | want what sops 3.13.2 does, defects included |
//! | `RSOPS_VECTORS=folder` | the vectors that the fixtures were packed from: compare, and run what was left out |

mod archive;
mod case;
mod judge;
mod scope;
mod steps;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use archive::{LEFT_OUT, pack, packed, parse, render, unpacked};
use case::Case;
use judge::judge;
use scope::{Instead, POLICY_EXCEPTIONS, amended, out_of_scope};
use support::Check;
use support::keys::recipient;
use support::program::{Bar, setting};
use support::report::{Report, check_all};
use support::scratch::Scratch;
use support::text::{normal, shape};

type Cases = BTreeMap<String, Case>;

fn cases() -> Cases {
    let mut all = packed();
    if let Some(vectors) = setting("RSOPS_VECTORS") {
        let left_out = |name: &str| LEFT_OUT.iter().any(|(left_out, _)| *left_out == name);
        all.extend(
            unpacked(&Path::new(&vectors).join("files")).into_iter().filter(|(name, _)| left_out(name)),
        );
    }
    all.into_iter().map(|(name, files)| (name.clone(), Case::new(&name, files))).collect()
}

#[test]
fn every_case_in_scope_passes() {
    let cases = cases();
    let only = setting("RSOPS_ONLY").unwrap_or_default();
    let bar = Bar::from_environment();
    let mut report = Report::new("vectors");
    let mut chosen = Vec::new();
    for case in cases.values().filter(|case| case.name.starts_with(&only)) {
        match out_of_scope(case) {
            Some(reason) => report.set_aside(reason),
            None => chosen.push(case),
        }
    }
    let answers = check_all(&chosen, |case| match exception(case, bar) {
        Some(changes) => holds_instead(case, changes, &cases),
        None => judge(case, bar),
    });
    for (case, answer) in chosen.iter().zip(answers) {
        report.count(&case.name, &case.fact, answer);
    }
    report.finish();
}

fn exception(case: &Case, bar: Bar) -> Option<&'static [Instead]> {
    let entry = POLICY_EXCEPTIONS.iter().find(|(name, ..)| *name == case.name)?;
    (bar == Bar::Policy).then_some(entry.2)
}

fn holds_instead(case: &Case, changes: &[Instead], cases: &Cases) -> Check {
    if judge(case, Bar::Policy).is_ok() {
        return Err("the vector holds as it is: remove it from POLICY_EXCEPTIONS".to_owned());
    }
    judge(&amended(case, changes, |name| &cases[name]), Bar::Policy)
}

#[test]
fn every_exception_names_a_case() {
    let cases = cases();
    for (name, reason, changes) in POLICY_EXCEPTIONS {
        assert!(cases.contains_key(*name), "{name} ({reason}) is no case");
        amended(&cases[*name], changes, |other| &cases[other]);
    }
}

#[test]
fn the_fixtures_are_complete() {
    assert_eq!(packed().len(), 1021);
}

/// What `binary/random-1-mib` is about, with bytes that need not be kept.
#[test]
fn a_large_binary_file_round_trips() {
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(1 << 20)
    .collect();
    let scratch = Scratch::new();
    scratch.write("noise.bin", &noise);
    let sealed = scratch.call(["encrypt", "--age", &recipient("age-alice"), "noise.bin"]).stdout();
    scratch.write("sealed.bin", &sealed);
    let opened = scratch.call(["decrypt", "sealed.bin"]).keys(["age-alice"]).stdout();
    assert!(opened == noise, "{} bytes came back from {}", opened.len(), noise.len());
}

#[test]
fn a_packed_case_unpacks_to_the_same_bytes() {
    let texts: [&[u8]; 7] =
        [b"", b"\n", b"a", b"a\r\n\n", b"\xff\x00", b"==== file x\n", "\u{feff}ä\n".as_bytes()];
    let files: archive::Files =
        (0..).zip(texts).map(|(number, text)| (format!("{number}.yaml"), text.to_vec())).collect();
    let two = render("a/b", &files) + &render("a/c", &files);
    assert_eq!(
        parse(&two),
        [("a/b", &files), ("a/c", &files)].map(|(n, f)| (n.to_owned(), f.clone())).into()
    );
}

#[test]
fn the_fixtures_are_those_of_the_vectors() {
    let Some(vectors) = setting("RSOPS_VECTORS") else { return };
    let mut source = unpacked(&Path::new(&vectors).join("files"));
    source.retain(|name, _| !LEFT_OUT.iter().any(|(left_out, _)| left_out == name));
    assert!(packed() == source, "run the test `repack`");
}

#[test]
#[ignore = "writes tests/fixtures/files from RSOPS_VECTORS"]
fn repack() {
    let vectors = setting("RSOPS_VECTORS").expect("RSOPS_VECTORS is the folder of the vectors");
    let mut source = unpacked(&Path::new(&vectors).join("files"));
    source.retain(|name, _| !LEFT_OUT.iter().any(|(left_out, _)| left_out == name));
    pack(&source);
}

#[test]
fn two_encryptions_of_a_document_have_one_shape() {
    let text =
        b"a: ENC[AES256_GCM,data:AAAA,iv:AAA=,tag:AA==,type:str]\n  lastmodified: \"2026-11-22T10:54:41Z\"\n\
        -----BEGIN AGE ENCRYPTED FILE-----\nx\n-----END AGE ENCRYPTED FILE-----\n";
    let want = "a: ENC[3 bytes,iv 2,tag 1,type:str]\n  lastmodified: \"<TIME>\"\n<AGE>\n";
    assert_eq!(String::from_utf8_lossy(&shape(text)), want);
}

#[test]
fn messages_do_not_depend_on_the_machine() {
    let text =
        b"/tmp/x/work/a.yaml /tmp/x/123/b /tmp/x/home time=\"now\" ENC[AES256_GCM,data:,iv:,tag:,type:int]\n\
        2026/01/02 03:04:05 done";
    let want = "<DIR>/a.yaml <TMP>/<N>/b <TMP>/home time=\"<TIME>\" ENC\n<DATE> done";
    assert_eq!(String::from_utf8_lossy(&normal(text, Path::new("/tmp/x"))), want);
}
