//! Key services: our client and our server with each other, and what goes wrong between them. That both get on with
//! those of the reference is known from its recorded messages.

mod idle;
mod messages;
mod prompt;
mod requests;
mod service;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::server::Server;
use crate::support::keys::recipient;
use crate::support::outcome::{Outcome, refused};
use crate::support::scratch::{Call, Scratch};

use self::service::Service;

/// A folder with a file for Alice, who is elsewhere.
fn with_a_file() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("plain.yaml", b"a: 1\n");
    let sealed = scratch.call(["encrypt", "--age", &recipient("age-alice"), "plain.yaml"]).stdout();
    scratch.write("a.yaml", &sealed);
    scratch
}

/// A call that has no keys but those of the services.
fn with_services<'a>(scratch: &'a Scratch, services: &[&str], arguments: &[&str]) -> Call<'a> {
    let flags = services.iter().flat_map(|url| ["--keyservice", url]);
    let (command, rest) = arguments.split_first().expect("a command");
    let local = "--enable-local-keyservice=false";
    scratch.call([*command, local].into_iter().chain(flags).chain(rest.iter().copied()))
}

fn decrypted(scratch: &Scratch, services: &[&str]) -> Outcome {
    with_services(scratch, services, &["decrypt", "a.yaml"]).outcome()
}

#[test]
fn data_keys_are_wrapped_and_unwrapped_elsewhere() {
    let scratch = with_a_file();
    for service in [Service::tcp(&scratch, &["age-alice"]), Service::unix(&scratch, &["age-alice"])] {
        let url = service.url();
        let sealed =
            with_services(&scratch, &[&url], &["encrypt", "--age", &recipient("age-alice"), "plain.yaml"]);
        scratch.write("b.yaml", &sealed.stdout());
        assert_eq!(scratch.call(["decrypt", "b.yaml"]).keys(["age-alice"]).stdout(), b"a: 1\n");
        assert_eq!(with_services(&scratch, &[&url], &["decrypt", "b.yaml"]).stdout(), b"a: 1\n");

        let told = with_services(&scratch, &[&url], &["decrypt", "--verbose", "b.yaml"]).outcome();
        let line = format!("level=info msg=\"Connecting to key service\" address=\"{url}\"");
        let stderr = String::from_utf8_lossy(&told.stderr);
        assert!(told.succeeded() && stderr.contains(&line), "{stderr}");
        assert!(!told.messages().contains("[AGE]"), "the work is done elsewhere: {}", told.messages());

        let log = service.end(Signal::TERM);
        for line in ["msg=\"Encryption succeeded\" recipient=age1", "msg=\"Decryption succeeded\""] {
            assert!(log.contains(line), "{log}");
        }
        assert!(
            log.contains("[KEYSERVICE]\t ")
                && log.contains("msg=\"Caught signal terminated: shutting down.\"")
        );
    }
}

#[test]
fn key_groups_get_a_share_each() {
    let scratch = Scratch::new();
    scratch.write("plain.yaml", b"a: 1\n");
    scratch.write(".sops.yaml", &crate::support::keys::rule(2, &[&["age-alice"], &["age-bob"]]));
    let alice = Service::tcp(&scratch, &["age-alice"]);
    let bob = Service::unix(&scratch, &["age-bob"]);
    let sealed = with_services(&scratch, &[&alice.url()], &["encrypt", "plain.yaml"]).stdout();
    scratch.write("a.yaml", &sealed);
    let both = decrypted(&scratch, &[&alice.url(), &bob.url()]);
    assert_eq!(both.stdout, b"a: 1\n", "{}", both.messages());
    refused(
        &decrypted(&scratch, &[&alice.url()]),
        128,
        &["Group 0: SUCCESS", "Group 1: FAILED", "code = Unknown"],
    );
}

#[test]
fn the_environment_names_services_too() {
    let scratch = with_a_file();
    let service = Service::unix(&scratch, &["age-alice"]);
    let services = format!("unix:///nowhere/x, {} ,", service.url());
    let call = scratch.call(["decrypt", "a.yaml"]).variable("SOPS_KEYSERVICE", &services);
    assert_eq!(call.variable("SOPS_ENABLE_LOCAL_KEYSERVICE", "").stdout(), b"a: 1\n");
}

#[test]
fn services_are_asked_in_their_order_and_all_errors_are_told() {
    let scratch = with_a_file();
    let bob = Service::tcp(&scratch, &["age-bob"]);
    let url = bob.url();
    let failed = scratch
        .call(["decrypt", "--keyservice", "unix:/nowhere/x", "--keyservice", &url, "a.yaml"])
        .keys(["age-carol"])
        .outcome();
    refused(&failed, 128, &["FAILED"]);
    let messages = failed.messages();
    let place = |words: &str| messages.find(words).unwrap_or_else(|| panic!("{words}: {messages}"));
    let (local, missing) = (place("    - | failed"), place("    - | rpc error: code = Unavailable"));
    let remote = place("    - | rpc error: code = Unknown");
    assert!(local < missing && missing < remote, "{messages}");

    let alice = Service::unix(&scratch, &["age-alice"]);
    assert_eq!(decrypted(&scratch, &["unix:/nowhere/x", &url, &alice.url()]).stdout, b"a: 1\n");
    assert!(!alice.log().contains("failed"));
}

#[test]
fn a_service_is_not_asked_where_the_machine_has_the_key() {
    let scratch = with_a_file();
    let silent = Server::silent();
    let url = format!("tcp://{}", silent.host());
    let decrypt = || scratch.call(["decrypt", "--keyservice", &url, "a.yaml"]).keys(["age-alice"]);
    let started = Instant::now();
    assert_eq!(decrypt().stdout(), b"a: 1\n");
    assert!(started.elapsed() < Duration::from_secs(10));
    let told = scratch
        .call(["decrypt", "--verbose", "--keyservice", &url, "a.yaml"])
        .keys(["age-alice"])
        .outcome()
        .messages();
    let (connecting, opened) = (told.find("Connecting to key service"), told.find("Decryption succeeded"));
    assert!(connecting.is_some() && connecting < opened, "{told}");
}

#[test]
fn where_nobody_answers_the_error_says_what_was_tried() {
    let scratch = with_a_file();
    let closed = Server::silent();
    let address = closed.host();
    drop(closed);
    for (url, words) in [
        (format!("tcp://{address}"), format!("dial tcp {address}: connect: connection refused")),
        (
            "unix:///nowhere/x".to_owned(),
            "dial unix /nowhere/x: connect: no such file or directory".to_owned(),
        ),
        ("tcp://nohost.invalid:5000".to_owned(), "name resolver error: produced zero addresses".to_owned()),
        ("localhost:5000".to_owned(), "dns resolver: missing address".to_owned()),
        ("x://h:1".to_owned(), "dial x: unknown network x".to_owned()),
    ] {
        let error =
            with_services(&scratch, &[&url], &["encrypt", "--age", &recipient("age-alice"), "plain.yaml"]);
        let words = ["rpc error: code = Unavailable desc = ", words.as_str(), "hint: "];
        refused(&error.outcome(), 1, &words);
        refused(&decrypted(&scratch, &[&url]), 128, &["rpc error: code = Unavailable desc = "]);
    }
}

#[test]
fn a_text_that_is_no_url_is_left_out() {
    let scratch = with_a_file();
    let warning = "Error parsing URI for keyservice, skipping";
    let opened = scratch.call(["decrypt", "--keyservice", "://bad", "a.yaml"]).keys(["age-alice"]).outcome();
    assert_eq!(opened.stdout, b"a: 1\n");
    assert!(opened.messages().contains(warning) && opened.messages().contains("uri=\"://bad\""));
    refused(&decrypted(&scratch, &["://bad"]), 128, &[warning]);
}

/// The limit holds for the service, not for each key.
#[test]
fn what_accepts_and_says_nothing_costs_the_limit_once() {
    let scratch = Scratch::new();
    scratch.write("plain.yaml", b"a: 1\n");
    let keys = format!("{},{}", recipient("age-alice"), recipient("age-bob"));
    scratch.write("a.yaml", &scratch.call(["encrypt", "--age", &keys, "plain.yaml"]).stdout());
    let silent = Server::silent();
    let url = format!("tcp://{}", silent.host());
    for order in [&[][..], &["--decryption-order", "age"]] {
        let arguments: Vec<&str> = [&["decrypt"][..], order, &["a.yaml"]].concat();
        let started = Instant::now();
        let call = with_services(&scratch, &[&url], &arguments).variable("SOPS_KMS_TIMEOUT", "2s");
        refused(
            &call.outcome(),
            128,
            &["rpc error: code = Unavailable desc = nothing was heard", "within 2s"],
        );
        assert!((2..4).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    }
}

#[test]
fn what_speaks_another_language_is_told_from_a_key_service() {
    let scratch = with_a_file();
    let web = Server::http(|_| crate::server::Response::text(200, "hello"));
    refused(&decrypted(&scratch, &[&format!("tcp://{}", web.host())]), 128, &["rpc error: code = "]);
}

#[test]
fn the_socket_is_for_its_owner_and_goes_away_with_the_server() {
    let scratch = Scratch::new();
    for (signal, name) in [(Signal::TERM, "terminated"), (Signal::INT, "interrupt")] {
        let service = Service::unix(&scratch, &[]);
        let socket = scratch.folder().join("service.sock");
        let mode = fs::metadata(&socket).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let log = service.end(signal);
        assert!(!socket.exists());
        assert!(log.contains(&format!("msg=\"Caught signal {name}: shutting down.\"")), "{log}");
    }
}

#[test]
fn a_server_says_nothing_unless_it_is_asked_to() {
    let scratch = with_a_file();
    let service = Service::quiet(&scratch, &["age-alice"]);
    assert_eq!(decrypted(&scratch, &[&service.url()]).stdout, b"a: 1\n");
    assert_eq!(service.end(Signal::TERM), "");
}

#[test]
fn a_server_says_why_it_cannot_listen() {
    let scratch = Scratch::new();
    let first = Service::tcp(&scratch, &[]);
    let taken = first.url().replace("tcp://", "");
    let serve = |arguments: &[&str]| scratch.call([&["keyservice"], arguments].concat()).outcome();
    let in_use =
        format!("Error running keyservice: listen tcp {taken}: bind: address already in use\nhint: ");
    refused(&serve(&["--address", &taken]), 1, &[&in_use, "another program listens there"]);
    refused(
        &serve(&["-net", "foo"]),
        1,
        &["Error running keyservice: listen foo: unknown network foo\nhint: "],
    );
    refused(&serve(&["--addr=127.0.0.1:99999"]), 1, &["listen tcp: address 99999: invalid port\nhint: "]);
    refused(&serve(&["--config", "x"]), 1, &["--config"]);

    let socket = Service::unix(&scratch, &[]);
    let unix = |name: &str| serve(&["--network", "unix", "--address", name]);
    refused(
        &unix("service.sock"),
        1,
        &["listen unix service.sock: bind: address already in use\nhint: another"],
    );
    scratch.write("file", b"mine");
    refused(&unix("file"), 1, &["listen unix file: bind: address already in use\nhint: a file of that name"]);
    assert_eq!(scratch.text("file"), "mine");
    socket.kill();
    refused(
        &unix("service.sock"),
        1,
        &["address already in use\nhint: no server listens there any more; `rm "],
    );
    assert!(scratch.exists("service.sock"), "whose it is is for the user to say");
}

#[test]
fn identities_that_come_later_count() {
    let scratch = with_a_file();
    let service = Service::with(&scratch, &[], &[("SOPS_AGE_KEY_FILE", "<DIR>/keys.txt")]);
    refused(&decrypted(&scratch, &[&service.url()]), 128, &["code = Unknown"]);
    let identities = crate::support::keys::age_identities(&["age-alice".to_owned()]).expect("a key");
    scratch.write("keys.txt", identities.as_bytes());
    assert_eq!(decrypted(&scratch, &[&service.url()]).stdout, b"a: 1\n");
}
