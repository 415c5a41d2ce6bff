//! Requests as a client makes them that is not ours, and many of them.

use std::fs;
use std::thread;
use std::time::Duration;

use prost::Message;
use rsops::keys::{AgeKey, Key, KeyService as _, Limits};
use rsops::keyservice::{
    Address, Client, DecryptRequest, EncryptRequest, EncryptResponse, HckmsKey, KeyType,
};
use tokio::runtime::{Builder, Runtime};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::support::keys::{age_identities, recipient};
use crate::support::scratch::Scratch;

use super::service::Service;
use super::{with_a_file, with_services};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What a server says to a message of any kind.
fn refusal(service: &Service, method: &'static str, message: impl Message + Default + 'static) -> Status {
    let url = service.url().replace("tcp://", "http://");
    runtime().block_on(async move {
        let channel = Endpoint::from_shared(url).expect("a URL").connect().await.expect("a server");
        let mut client = Grpc::new(channel);
        client.ready().await.expect("a server");
        let codec = ProstCodec::<_, EncryptResponse>::default();
        let answer = client.unary(Request::new(message), PathAndQuery::from_static(method), codec).await;
        answer.expect_err("a refusal")
    })
}

#[test]
fn requests_that_are_none_are_told_so() {
    let scratch = Scratch::new();
    let service = Service::tcp(&scratch, &["age-alice"]);
    let empty = || Some(rsops::keyservice::Key { key_type: None });
    let malformed = KeyType::Hckms(HckmsKey { key_id: "no-colon".to_owned() });
    let key = Some(rsops::keyservice::Key { key_type: Some(malformed) });
    let missing = "Must provide a key";
    for (status, code, message) in [
        (refusal(&service, "/KeyService/Encrypt", EncryptRequest::default()), Code::NotFound, missing),
        (refusal(&service, "/KeyService/Decrypt", DecryptRequest::default()), Code::NotFound, missing),
        (
            refusal(&service, "/KeyService/Decrypt", DecryptRequest { key: empty(), ..Default::default() }),
            Code::NotFound,
            missing,
        ),
        (
            refusal(&service, "/KeyService/Decrypt", DecryptRequest { key, ..Default::default() }),
            Code::Unknown,
            "invalid key ID format: expected 'region:key-uuid', got \"no-colon\"",
        ),
        (
            refusal(&service, "/KeyService/Sign", DecryptRequest::default()),
            Code::Unimplemented,
            "unknown method /KeyService/Sign",
        ),
    ] {
        assert_eq!((status.code(), status.message()), (code, message));
    }
}

/// A thousand clients, each with a connection of its own.
#[test]
fn a_thousand_requests_leave_nothing_behind() {
    let scratch = Scratch::new();
    let service = Service::tcp(&scratch, &["age-alice"]);
    let key = Key::Age(AgeKey { recipient: recipient("age-alice") });
    let runtime = runtime();
    let ask = |times: usize| {
        for _ in 0..times {
            let client = Client::new(Address::parse(&service.url()).expect("a URL"), Limits::default());
            let wrapped = runtime.block_on(client.wrap(&key, &[7; 32]).settled());
            assert!(wrapped.is_ok_and(|wrapped| wrapped.starts_with("-----BEGIN AGE")));
        }
    };
    ask(10);
    let Some(before) = open_files(&service) else {
        crate::support::report::say("open files are not counted: there is no /proc");
        return;
    };
    ask(1_000);
    // the last ones are being closed
    let mut after = usize::MAX;
    for _ in 0..100 {
        after = open_files(&service).expect("/proc");
        if after <= before + 2 {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{before} files were open before, {after} after a thousand requests");
}

fn open_files(service: &Service) -> Option<usize> {
    fs::read_dir(format!("/proc/{}/fd", service.id())).ok().map(Iterator::count)
}

/// Each waits for the other, so that one after the other would wait for ever.
#[test]
fn requests_are_served_at_the_same_time() {
    let scratch = with_a_file();
    let identities = age_identities(&["age-alice".to_owned()]).expect("a key");
    scratch.write("identities", identities.as_bytes());
    let meet = b"#!/bin/sh\ntouch came.$$\nfor i in $(seq 200); do\n  [ $(ls came.* | wc -l) -ge 2 ] && exec cat identities\n  \
                 sleep 0.1\ndone\nexit 1\n";
    scratch.write("meet.sh", meet);
    let service = Service::with(&scratch, &[], &[("SOPS_AGE_KEY_CMD", "<DIR>/meet.sh")]);
    let url = service.url();
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let mut command = with_services(&scratch, &[&url], &["decrypt", "a.yaml"]).command();
            thread::spawn(move || command.output().expect("our own program"))
        })
        .collect();
    for client in clients {
        let output = client.join().expect("a client");
        assert_eq!(output.stdout, b"a: 1\n", "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A server that was started again is found, although there was a connection to the old one.
#[test]
fn a_connection_that_was_closed_meanwhile_is_made_anew() {
    let scratch = Scratch::new();
    let key = Key::Age(AgeKey { recipient: recipient("age-alice") });
    let runtime = runtime();
    let first = Service::unix(&scratch, &["age-alice"]);
    let client = Client::new(Address::parse(&first.url()).expect("a URL"), Limits::default());
    let ask = || runtime.block_on(client.wrap(&key, &[7; 32]).settled());
    assert!(ask().is_ok());
    first.end(rustix::process::Signal::TERM);
    let second = Service::unix(&scratch, &["age-alice"]);
    let answer = ask();
    assert!(answer.is_ok(), "{answer:?}");
    drop(second);
    let lost = ask().expect_err("nobody is there");
    assert!(lost.contains("code = Unavailable desc = connection error: desc = "), "{lost}");
    assert!(lost.contains("connection refused"), "{lost}");
}
