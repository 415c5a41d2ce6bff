//! The way to Google: endpoints, certificates, proxies.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{ALICE, Desk, ROBOT, quiet};
use crate::server::gcp::{ALL, Gcp};
use crate::support::scratch::{Call, Scratch};

/// A folder, and Google behind a certificate.
fn with_tls() -> (Desk, String) {
    let gcp = Gcp::https();
    let key = gcp.key("k");
    gcp.allow(ALICE, &ALL);
    let authority = gcp.server().authority().display().to_string();
    (Desk { scratch: Scratch::new(), gcp, key }, authority)
}

#[test]
fn certificates_are_checked() {
    let (desk, authority) = with_tls();
    let token = desk.gcp.token(ALICE);
    let call = || {
        let call = desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &token);
        // as the reference has it
        call.variable("SOPS_GCP_KMS_ENDPOINT", &desk.gcp.server().host())
    };
    quiet(call().variable("SSL_CERT_FILE", &authority).outcome());
    // whatever kind of client is asked for
    for kind in ["grpc", "REST", "other"] {
        quiet(
            call().variable("SSL_CERT_FILE", &authority).variable("SOPS_GCP_KMS_CLIENT_TYPE", kind).outcome(),
        );
    }
    let url = desk.gcp.server().url();
    let words = [&format!("cannot connect to {url}: "), "certificate", "hint: SSL_CERT_FILE names a file"];
    desk.refuses(&call().outcome(), 1, &words);
}

#[test]
fn an_endpoint_wins_over_a_universe() {
    let desk = Desk::new();
    desk.works(|call| {
        call.variable("GOOGLE_OAUTH_ACCESS_TOKEN", &desk.gcp.token(ALICE))
            .variable("SOPS_GCP_KMS_UNIVERSE_DOMAIN", "universe.invalid")
    });
    let universe = |call: Call<'_>| {
        let call = call.variable("SOPS_GCP_KMS_ENDPOINT", "").variable("SOPS_KMS_TIMEOUT", "20s");
        call.variable("SOPS_GCP_KMS_UNIVERSE_DOMAIN", "universe.invalid").outcome()
    };
    let token = desk.gcp.token(ALICE);
    let outcome = universe(desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &token));
    desk.refuses(&outcome, 1, &["cannot connect to https://cloudkms.universe.invalid: "]);
    let account = desk.gcp.service_account(ROBOT).to_string();
    let outcome = universe(desk.encrypt(&desk.key).variable("GOOGLE_CREDENTIALS", &account));
    desk.refuses(
        &outcome,
        1,
        &["cannot create GCP KMS service: ", "SOPS_GCP_KMS_UNIVERSE_DOMAIN has to name"],
    );
}

#[test]
fn an_endpoint_that_is_none_is_told() {
    let desk = Desk::new();
    let call = desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &desk.gcp.token(ALICE));
    let outcome = call.variable("SOPS_GCP_KMS_ENDPOINT", "https://").outcome();
    desk.refuses(&outcome, 1, &["\"https://\" is no endpoint: ", "hint: SOPS_GCP_KMS_ENDPOINT names"]);
}

#[test]
fn a_proxy_is_used() {
    let (desk, authority) = with_tls();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = format!("http://{}", listener.local_addr().expect("an address"));
    let used = Arc::new(AtomicUsize::new(0));
    let count = used.clone();
    let target = desk.gcp.server().host().replace("localhost", "127.0.0.1");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            tunnel(client, &target);
        }
    });
    let token = desk.gcp.token(ALICE);
    let call = desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &token);
    let call = call.variable("SOPS_GCP_KMS_ENDPOINT", &desk.gcp.server().host());
    quiet(call.variable("SSL_CERT_FILE", &authority).variable("HTTPS_PROXY", &proxy).outcome());
    assert_eq!(used.load(Ordering::SeqCst), 1);
}

/// `CONNECT`, for one client.
fn tunnel(mut client: TcpStream, target: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"CONNECT localhost:"), "{}", String::from_utf8_lossy(&head));
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("a client");
    let server = TcpStream::connect(target).expect("a server");
    let ways =
        [(client.try_clone().expect("a socket"), server.try_clone().expect("a socket")), (server, client)];
    for (mut from, mut to) in ways {
        // until either hangs up
        thread::spawn(move || std::io::copy(&mut from, &mut to));
    }
}
