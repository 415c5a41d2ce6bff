//! How long servers may take, and what it costs those who need none.

#[cfg(feature = "keyservice")]
use std::time::{Duration, Instant};

use crate::server::{Response, Server};
#[cfg(feature = "keyservice")]
use crate::support::keys::recipient;
#[cfg(feature = "keyservice")]
use crate::support::scratch::Scratch;

/// The server of these tests serves, over TLS too.
#[test]
fn a_server_answers_what_it_is_asked() {
    let server = Server::https(|request| Response::text(200, &request.path));
    assert!(server.url().starts_with("https://localhost:"));
    assert!(server.authority().exists());
}

/// A file for Bob, who is at a key service that hangs, and for Alice, in this order.
fn for_two() -> (Scratch, Server, String) {
    let scratch = Scratch::new();
    scratch.write("plain.yaml", b"a: 1\n");
    let keys = format!("{},{}", recipient("age-bob"), recipient("age-alice"));
    scratch.write("a.yaml", &scratch.call(["encrypt", "--age", &keys, "plain.yaml"]).stdout());
    let silent = Server::silent();
    let url = format!("tcp://{}", silent.host());
    (scratch, silent, url)
}

#[test]
fn a_service_that_hangs_costs_nothing_where_a_key_of_this_machine_fits() {
    let (scratch, _silent, url) = for_two();
    let started = Instant::now();
    let call = scratch.call(["decrypt", "--keyservice", &url, "a.yaml"]).keys(["age-alice"]);
    assert_eq!(call.stdout(), b"a: 1\n");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

/// Whoever says in which order keys are tried gets this order, whatever it costs.
#[test]
fn an_order_that_was_given_is_kept() {
    let (scratch, _silent, url) = for_two();
    let started = Instant::now();
    let arguments = ["decrypt", "--decryption-order", "age", "--keyservice", &url, "a.yaml"];
    let call = scratch.call(arguments).keys(["age-alice"]).variable("SOPS_KMS_TIMEOUT", "2s");
    assert_eq!(call.stdout(), b"a: 1\n");
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
}
