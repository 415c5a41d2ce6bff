//! Which files are published, and under which names (publish-audit.md A1, A3).

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use crate::support::outcome::{fails_with, refused};
use crate::support::pty::Pty;
use crate::{Storage, done, encrypted, folder, publish, rules};

/// What is sent for these arguments.
fn sent(destination: &str, arguments: &[&str]) -> Vec<String> {
    let (storage, scratch) = (Storage::new(), folder(destination));
    encrypted(&scratch, "conf/c.d.yaml", "a: 1\n");
    encrypted(&scratch, ".env", "a=1\n");
    done(publish(&scratch, &storage.url(), &[&["--yes"], arguments].concat()));
    storage.requests()
}

#[test]
fn a_file_goes_by_its_last_name_and_those_of_a_directory_by_their_path_in_it() {
    assert_eq!(sent("s3_bucket: b", &["conf/deep/b.json"]), ["PUT /b/b.json"]);
    let all = ["PUT /b/pre-a.yaml", "PUT /b/pre-c.d.yaml", "PUT /b/pre-deep/b.json"];
    for directory in ["conf", "./conf", "conf/", "<DIR>/conf"] {
        assert_eq!(sent("{s3_bucket: b, s3_prefix: pre-}", &["--recursive", directory]), all, "{directory}");
    }
    assert_eq!(sent("s3_bucket: b", &["--recursive", "conf/a.yaml"]), ["PUT /b/a.yaml"]);
}

#[test]
fn the_last_extension_is_left_out_where_the_flag_or_the_rule_says_so() {
    let short = ["PUT /b/a", "PUT /b/c.d", "PUT /b/deep/b"];
    assert_eq!(sent("s3_bucket: b", &["--recursive", "--omit-extensions", "conf"]), short);
    assert_eq!(sent("{s3_bucket: b, omit_extensions: true}", &["--recursive", "conf"]), short);
    assert_eq!(sent("{s3_bucket: b, s3_prefix: x/, omit_extensions: true}", &[".env"]), ["PUT /b/x/"]);
}

#[test]
fn rules_are_held_against_the_path_as_it_was_typed() {
    let (storage, scratch) = (Storage::new(), folder("{path_regex: ^conf/deep/, s3_bucket: deep}"));
    rules(&scratch, &["{path_regex: ^conf/deep/, s3_bucket: deep}", "{path_regex: ^conf/, s3_bucket: flat}"]);
    for (path, bucket) in
        [("conf/a.yaml", Some("flat")), ("conf/deep/b.json", Some("deep")), ("./conf/a.yaml", None)]
    {
        let call = publish(&scratch, &storage.url(), &["--yes", path]);
        match bucket {
            Some(bucket) => {
                done(call);
                assert!(storage.requests().pop().is_some_and(|sent| sent.contains(bucket)), "{path}");
            }
            None => {
                let words = ["./conf/a.yaml: error loading config: no matching destination", "hint: dest"];
                refused(&call.outcome(), 1, &words);
            }
        }
    }
    done(publish(&scratch, &storage.url(), &["--yes", "--recursive", "./conf"]));
    assert_eq!(storage.requests()[2..], ["PUT /flat/a.yaml", "PUT /deep/deep/b.json"]);
}

#[test]
fn every_file_counts_and_links_are_not_followed() {
    let (storage, scratch) = (Storage::new(), folder("s3_bucket: b"));
    symlink("a.yaml", scratch.folder().join("conf/link.yaml")).expect("our own folder");
    done(publish(&scratch, &storage.url(), &["--yes", "--recursive", "conf"]));
    assert_eq!(storage.requests(), ["PUT /b/a.yaml", "PUT /b/deep/b.json", "PUT /b/link.yaml"]);
    // a link to a directory is taken as a file, wherever it stands
    symlink("deep", scratch.folder().join("conf/d")).expect("our own folder");
    symlink("conf", scratch.folder().join("other")).expect("our own folder");
    for (path, link) in [("conf", "conf/d"), ("other", "other")] {
        let outcome = publish(&scratch, &storage.url(), &["--yes", "--recursive", path]).outcome();
        fails_with(&outcome, 2, &["Error reading file", &format!("<DIR>/{link}"), "is a directory"]);
    }
    // the configuration is a file like any other
    let outcome = publish(&scratch, &storage.url(), &["--yes", "--recursive", "."]).outcome();
    fails_with(&outcome, 1, &["<DIR>/.sops.yaml", "sops metadata not found"]);
}

#[test]
fn the_first_failure_ends_the_run_and_what_was_sent_stays() {
    let (storage, scratch) = (Storage::new(), folder("s3_bucket: b"));
    scratch.write("conf/b.yaml", b"a: 1\n");
    let outcome = publish(&scratch, &storage.url(), &["--yes", "--recursive", "conf"]).outcome();
    refused(&outcome, 1, &["<DIR>/conf/b.yaml", "sops metadata not found", "hint: "]);
    assert_eq!(storage.requests(), ["PUT /b/a.yaml"]);
    let call = publish(&scratch, &storage.url(), &["--yes", "--recursive", "conf"]).variable("TERM", "xterm");
    let (screen, status) = Pty::start(call.command()).end();
    assert!(screen.contains("1 sent, 0 unchanged, 0 left out, 1 failed, 1 not tried"), "{screen}");
    assert_eq!(status, 1);
    // without the one that is no encrypted file it works
    fs::remove_file(scratch.folder().join("conf/b.yaml")).expect("our own file");
    done(publish(&scratch, &storage.url(), &["--yes", "--recursive", "conf"]));
}

/// The name came out with replacement characters once, so that two files could be one at the destination.
#[test]
fn a_name_that_is_not_utf_8_is_refused_and_never_changed() {
    let (storage, scratch) = (Storage::new(), folder("s3_bucket: b"));
    let odd = scratch.folder().join("conf").join(OsStr::from_bytes(b"z\xff.yaml"));
    fs::copy(scratch.folder().join("conf/a.yaml"), odd).expect("our own folder");
    let outcome = publish(&scratch, &storage.url(), &["--yes", "--recursive", "conf"]).outcome();
    refused(&outcome, 1, &["conf/z\u{fffd}.yaml: its name is not UTF-8", "hint: rename"]);
    assert_eq!(storage.requests(), ["PUT /b/a.yaml", "PUT /b/deep/b.json"]);
}

#[test]
fn files_that_cannot_be_written_are_published_too() {
    let (storage, scratch) = (Storage::new(), folder("s3_bucket: b"));
    let file = scratch.folder().join("conf/a.yaml");
    let mut mode = fs::metadata(&file).expect("there").permissions();
    mode.set_readonly(true);
    fs::set_permissions(&file, mode).expect("our own file");
    let before = scratch.text("conf/a.yaml");
    done(publish(&scratch, &storage.url(), &["--yes", "conf/a.yaml"]));
    assert_eq!((scratch.text("conf/a.yaml"), storage.last()), (before.clone(), before));
}
