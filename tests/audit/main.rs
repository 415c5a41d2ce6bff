//! The audit log against PostgreSQL itself: what is recorded, and that nothing is done where nothing can be recorded.
//!
//! Without Debian's package `postgresql` a test says so and passes; where `CI=true`, it fails.
#![cfg(all(unix, feature = "age", feature = "audit"))]

#[cfg(feature = "publish")]
#[path = "../support/server/mod.rs"]
mod cloud;
mod malfunction;
#[cfg(feature = "publish")]
mod published;
mod server;
mod silence;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use server::{PASSWORD, Server, Signed, shared};
use support::keys::{make_private, recipient, rule};
use support::outcome::{Ending, Outcome, fails_with, refused};
use support::program::binary;
use support::report::say;
use support::scratch::{Call, Scratch};

const TABLE: &str = "CREATE TABLE audit_event (
    id SERIAL PRIMARY KEY,
    timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    action TEXT,
    username TEXT,
    file TEXT
);
GRANT INSERT ON audit_event TO sops, only_tls, no_tls;
GRANT USAGE ON SEQUENCE audit_event_id_seq TO sops, only_tls, no_tls;
";

/// As it stands in a URL.
const ESCAPED: &str = "hunter2%2F%40%3A";

/// A database with the table, and a folder with an encrypted file.
struct Desk {
    scratch: Scratch,
    server: Arc<Server>,
    database: String,
}

impl Desk {
    fn new() -> Option<Self> {
        shared().map(Self::with)
    }

    fn with(server: Arc<Server>) -> Self {
        let scratch = Scratch::new();
        scratch.write("a.yaml", b"a: x\nb: y\n");
        scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "a.yaml"]).stdout();
        let desk = Self { scratch, database: new_database(&server), server };
        desk.configure(&[&desk.url("sops", "")]);
        desk
    }

    fn url(&self, user: &str, parameters: &str) -> String {
        let Self { database, server, .. } = self;
        format!("postgres://{user}:{ESCAPED}@localhost:{}/{database}{parameters}", server.port)
    }

    fn configure(&self, strings: &[&str]) {
        let entry = |string: &&str| format!("    - connection_string: \"{string}\"\n");
        let entries: String = strings.iter().map(entry).collect();
        self.scratch.write("audit.yaml", format!("backends:\n  postgres:\n{entries}").as_bytes());
    }

    fn call(&self, arguments: &[&str]) -> Call<'_> {
        self.without_key(arguments).keys(["age-alice"])
    }

    fn without_key(&self, arguments: &[&str]) -> Call<'_> {
        self.scratch.call(arguments).variable("SOPS_AUDIT_CONFIG", "<DIR>/audit.yaml")
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.call(arguments).outcome()
    }

    /// What was recorded since it was last asked for: `action file`.
    fn events(&self) -> Vec<String> {
        self.events_in(&self.database)
    }

    fn events_in(&self, database: &str) -> Vec<String> {
        let rows = "SELECT action || ' ' || file FROM audit_event ORDER BY id";
        let rows = self.server.ask(database, rows);
        let users = self.server.ask(database, "SELECT DISTINCT username FROM audit_event");
        assert!(rows.is_empty() || users.trim() == whoami(), "{users}");
        let times = self.server.ask(database, "SELECT count(*) FROM audit_event WHERE timestamp IS NULL");
        assert_eq!(times.trim(), "0");
        self.server.ask(database, "TRUNCATE audit_event");
        let folder = self.scratch.folder().display().to_string();
        rows.lines().map(|row| row.replace(&folder, "<DIR>")).collect()
    }

    /// Runs a command that may fail, and returns what it recorded.
    fn recorded(&self, call: Call<'_>, status: i32) -> Vec<String> {
        let outcome = call.outcome();
        assert_eq!(outcome.ending, Ending::Exited(status), "{}", outcome.messages());
        silent(&outcome);
        self.events()
    }
}

fn new_database(server: &Server) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("audit{}", NEXT.fetch_add(1, Ordering::Relaxed));
    server.ask("postgres", &format!("CREATE DATABASE {name}"));
    server.ask(&name, TABLE);
    name
}

fn whoami() -> String {
    let output = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// No password on any output.
fn silent(outcome: &Outcome) {
    for bytes in [&outcome.stdout, &outcome.stderr] {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn every_command_records_what_it_does_before_it_does_it() {
    let Some(desk) = Desk::new() else { return };
    let (alice, bob) = (recipient("age-alice"), recipient("age-bob"));
    let scratch = &desk.scratch;
    scratch.write("plain.yaml", b"a: x\n");
    scratch.write("change.sh", b"echo 'c: z' > $1\n");
    scratch.write(".sops.yaml", &rule(0, &[&["age-alice", "age-bob"]]));
    let (decrypt, encrypt) = ("decrypt <DIR>/a.yaml", "encrypt <DIR>/a.yaml");
    let rows: &[(&[&str], i32, &[&str])] = &[
        (&["encrypt", "plain.yaml"], 0, &["encrypt <DIR>/plain.yaml"]),
        (&["-e", "plain.yaml"], 0, &["encrypt <DIR>/plain.yaml"]),
        (&["encrypt", "--filename-override", "other.yaml", "./plain.yaml"], 0, &["encrypt <DIR>/plain.yaml"]),
        (&["decrypt", "a.yaml"], 0, &[decrypt]),
        (&["decrypt", "--extract", "[\"a\"]", "a.yaml"], 0, &[decrypt]),
        (&["decrypt", "--extract", "[\"nothing\"]", "a.yaml"], 1, &[decrypt]),
        (&["exec-env", "a.yaml", "exit 3"], 3, &[decrypt]),
        (&["exec-file", "a.yaml", "cat {}"], 0, &[decrypt]),
        (&["set", "a.yaml", "[\"a\"]", "\"z\""], 0, &[decrypt, encrypt]),
        (&["set", "--idempotent", "a.yaml", "[\"a\"]", "\"z\""], 0, &[decrypt, encrypt]),
        (&["unset", "a.yaml", "[\"b\"]"], 0, &[decrypt, encrypt]),
        (&["unset", "a.yaml", "[\"b\"]"], 1, &[decrypt]),
        (&["unset", "--idempotent", "a.yaml", "[\"b\"]"], 0, &[decrypt]),
        (&["rotate", "-i", "--add-age", &bob, "a.yaml"], 0, &["rotate <DIR>/a.yaml", decrypt, encrypt]),
        (&["-r", "a.yaml"], 0, &["rotate <DIR>/a.yaml", decrypt, encrypt]),
        (&["groups", "add", "--file", "a.yaml", "--age", &alice], 0, &[]),
        (&["updatekeys", "-y", "a.yaml"], 0, &[]),
        (&["filestatus", "a.yaml"], 0, &[]),
        (&["--version"], 0, &[]),
        (&["--help"], 0, &[]),
        (&["decrypt", "plain.yaml"], 1, &[]),
        (&["decrypt", "nothing.yaml"], 100, &[]),
        (&["rotate", "plain.yaml"], 1, &[]),
    ];
    for (arguments, status, expected) in rows {
        assert_eq!(desk.recorded(desk.call(arguments), *status), *expected, "{arguments:?}");
    }
    let edit = |file, editor| desk.call(&["edit", file]).variable("EDITOR", editor);
    assert_eq!(desk.recorded(edit("a.yaml", "true"), 200), [decrypt]);
    assert_eq!(desk.recorded(edit("a.yaml", "sh change.sh"), 0), [decrypt, encrypt]);
    assert_eq!(desk.recorded(edit("new.yaml", "true"), 200), [""; 0]);
    assert_eq!(desk.recorded(edit("new.yaml", "sh change.sh"), 0), ["encrypt <DIR>/new.yaml"]);
}

#[test]
fn standard_input_has_the_name_of_the_folder() {
    let Some(desk) = Desk::new() else { return };
    let sealed = desk.scratch.read("a.yaml").expect("there");
    let decrypt = desk.call(&["decrypt", "--input-type", "yaml", "--output-type", "yaml"]).stdin(&sealed);
    assert_eq!(desk.recorded(decrypt, 0), ["decrypt <DIR>"]);
    let encrypt = desk.call(&["encrypt", "--age", &recipient("age-alice"), "--filename-override", "x.yaml"]);
    assert_eq!(desk.recorded(encrypt.stdin(b"a: x\n"), 0), ["encrypt <DIR>"]);
}

#[test]
fn an_attempt_is_recorded_once_the_data_key_is_there() {
    let Some(desk) = Desk::new() else { return };
    assert_eq!(desk.recorded(desk.without_key(&["decrypt", "a.yaml"]), 128), [""; 0]);
    assert_eq!(desk.recorded(desk.without_key(&["rotate", "a.yaml"]), 128), ["rotate <DIR>/a.yaml"]);
    let damaged = desk.scratch.text("a.yaml").replacen("data:", "data:AAAA", 1);
    desk.scratch.write("damaged.yaml", damaged.as_bytes());
    assert_eq!(desk.recorded(desk.call(&["decrypt", "damaged.yaml"]), 25), ["decrypt <DIR>/damaged.yaml"]);
    let text = desk.scratch.text("a.yaml");
    let (first, rest) = text.split_once('\n').expect("lines");
    assert!(first.starts_with("a: "));
    desk.scratch.write("cut.yaml", rest.as_bytes());
    assert_eq!(desk.recorded(desk.call(&["decrypt", "cut.yaml"]), 51), ["decrypt <DIR>/cut.yaml"]);
}

#[test]
fn all_databases_get_all_records() {
    let Some(desk) = Desk::new() else { return };
    let second = new_database(&desk.server);
    let port = desk.server.port;
    desk.configure(&[
        &desk.url("sops", ""),
        &format!("host=127.0.0.1 port={port} user=sops password='{PASSWORD}' dbname={second}"),
    ]);
    let outcome = desk.run(&["--verbose", "set", "a.yaml", "[\"a\"]", "1"]);
    assert!(outcome.succeeded(), "{}", outcome.messages());
    let messages = outcome.messages();
    for (event, count) in [("decrypt", 2), ("encrypt", 2)] {
        let line = format!("level=debug msg=\"Saving {event} event to database\" file=<DIR>/a.yaml");
        assert_eq!(messages.matches(&line).count(), count, "{messages}");
    }
    assert!(messages.contains("[AUDIT]\t time="), "{messages}");
    let both = ["decrypt <DIR>/a.yaml", "encrypt <DIR>/a.yaml"];
    assert_eq!(
        (desk.events(), desk.events_in(&second)),
        (both.map(str::to_owned).into(), both.map(str::to_owned).into())
    );
}

#[test]
fn without_all_databases_nothing_is_done() {
    let Some(desk) = Desk::new() else { return };
    let good = desk.url("sops", "");
    desk.configure(&[&good, "host=127.0.0.1 port=1 password=hunter2", &good, "host=127.0.0.1 port=2"]);
    let before = desk.scratch.read("a.yaml").expect("there");
    for arguments in
        [&["decrypt", "a.yaml"][..], &["rotate", "-i", "a.yaml"], &["--version"], &["--help"], &["x", "y"]]
    {
        let outcome = desk.run(arguments);
        silent(&outcome);
        refused(
            &outcome,
            1,
            &[
                "level=error msg=\"connecting to audit database, defined in <DIR>/audit.yaml\"",
                "msg=\"connectStr: host=127.0.0.1 port=1 password=[redacted], err: Pinging audit database failed: \
                 error connecting to server: connection refused\"",
                "connectStr: host=127.0.0.1 port=2, err: ",
                "level=fatal msg=\"one or more audit backends reported errors, exiting\"",
            ],
        );
        assert_eq!(outcome.messages().matches("connecting to audit database").count(), 1);
        assert_eq!(outcome.messages().matches("connectStr").count(), 2);
    }
    assert_eq!(desk.scratch.read("a.yaml").expect("there"), before);
    assert_eq!(desk.events(), [""; 0]);
}

#[test]
fn a_database_that_refuses_is_told_with_a_remedy_and_without_the_password() {
    let Some(desk) = Desk::new() else { return };
    let (port, database) = (desk.server.port, &desk.database);
    for (string, words) in [
        (
            format!("postgres://sops:hunter2wrong@localhost:{port}/{database}"),
            &["connectStr: postgres://sops:[redacted]@localhost", "(28P01)", "hint: check the user"][..],
        ),
        (
            format!("host=localhost port={port} user=sops dbname={database}"),
            &["password missing", "hint: a password"],
        ),
        (desk.url("sops", "?sslmode=bogus&password=hunter2"), &["sslmode cannot be", "password=[redacted]"]),
        (desk.url("sops", "?hunger=7"), &["unrecognized configuration parameter", "(42704)"]),
        (format!("postgres://sops:hunter2/@localhost:{port}/x"), &["(not shown", "must be percent-encoded"]),
        ("password=hunter2 hunter2".to_owned(), &["(not shown", "a word without \\\"=\\\""]),
        (desk.url("sops", "").replace(database, "nothing"), &["does not exist (3D000)"]),
    ] {
        desk.configure(&[&string]);
        let outcome = desk.run(&["decrypt", "a.yaml"]);
        silent(&outcome);
        refused(&outcome, 1, &["one or more audit backends reported errors"]);
        fails_with(&outcome, 1, words);
    }
}

#[test]
fn what_cannot_be_recorded_is_not_done() {
    let Some(desk) = Desk::new() else { return };
    desk.configure(&[&desk.url("intruder", "")]);
    desk.scratch.write("plain.yaml", b"a: x\n");
    desk.scratch.write("change.sh", b"echo 'c: z' > $1\n");
    desk.scratch.write("child.sh", b"touch ran\n");
    let files = || ["a.yaml", "plain.yaml"].map(|name| desk.scratch.read(name).expect("there"));
    let before = files();
    let (alice, denied) =
        (recipient("age-alice"), "level=fatal msg=\"Failed to insert audit record: permission denied");
    for arguments in [
        &["encrypt", "-i", "--age", &alice, "plain.yaml"][..],
        &["decrypt", "a.yaml"],
        &["decrypt", "-i", "a.yaml"],
        &["exec-env", "a.yaml", "sh child.sh"],
        &["exec-file", "a.yaml", "sh child.sh"],
        &["set", "a.yaml", "[\"a\"]", "1"],
        &["unset", "a.yaml", "[\"a\"]"],
        &["rotate", "-i", "a.yaml"],
        &["edit", "a.yaml"],
    ] {
        let outcome = desk.call(arguments).variable("EDITOR", "sh child.sh").outcome();
        silent(&outcome);
        refused(&outcome, 1, &["[AUDIT]\t ", denied, "(42501)", "hint: the role needs INSERT"]);
        assert_eq!(files(), before, "{arguments:?}");
        assert!(!desk.scratch.exists("ran"), "{arguments:?}");
    }
    // what does not touch values is done
    assert!(desk.run(&["filestatus", "a.yaml"]).succeeded());
    let new = desk.call(&["edit", "--age", &alice, "new.yaml"]).variable("EDITOR", "sh change.sh").outcome();
    fails_with(&new, 1, &[denied, "the edits are kept in <DIR>/new.yaml.rsops-draft"]);
    assert!(!desk.scratch.exists("new.yaml"));
    desk.server.ask(&desk.database, "DROP TABLE audit_event");
    desk.configure(&[&desk.url("sops", "")]);
    refused(&desk.run(&["decrypt", "a.yaml"]), 1, &["(42P01)", "hint: the administrator creates the table"]);
}

#[test]
fn a_broken_configuration_stops_everything() {
    let scratch = Scratch::new();
    scratch.write("plain.yaml", b"a: x\n");
    let call = |arguments: &[&str]| {
        scratch.call(arguments).variable("SOPS_AUDIT_CONFIG", "<DIR>/audit.yaml").outcome()
    };
    for text in [
        "backends: [",
        "hunter2",
        "backends: {postgres: {connection_string: hunter2}}",
        "backends: {postgres: [hunter2]}",
        "backends: {postgres: [{connection_string: [hunter2]}]}",
    ] {
        scratch.write("audit.yaml", text.as_bytes());
        for arguments in [
            &["--version"][..],
            &["--help"],
            &["encrypt", "-i", "--age", &recipient("age-alice"), "plain.yaml"],
        ] {
            let outcome = call(arguments);
            silent(&outcome);
            let panic = "[AUDIT]\t time=";
            refused(
                &outcome,
                2,
                &[panic, "level=panic msg=\"Error unmarshalling config\" error=", "yaml: line ", "hint: "],
            );
        }
    }
    assert_eq!(scratch.text("plain.yaml"), "a: x\n");
}

#[test]
fn a_configuration_without_databases_is_none() {
    let scratch = Scratch::new();
    for text in [
        "",
        "# nothing yet\n",
        "a: b\n",
        "backends:\n",
        "backends: {postgres: []}\n",
        "backends: {postgres: [~]}\n",
    ] {
        scratch.write("audit.yaml", text.as_bytes());
        let outcome = scratch.call(["--version"]).variable("SOPS_AUDIT_CONFIG", "<DIR>/audit.yaml").outcome();
        assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{text}: {}", outcome.messages());
    }
    let outcome = scratch.call(["--version"]).variable("SOPS_AUDIT_CONFIG", "").outcome();
    assert!(outcome.succeeded() && outcome.stderr.is_empty());
}

#[test]
fn a_file_that_the_variable_names_must_be_there() {
    let scratch = Scratch::new();
    scratch.write("folder/x", b"");
    for (name, reason) in [("nothing.yaml", "no such file or directory"), ("folder", "is a directory")] {
        let call = scratch.call(["--version"]).variable("SOPS_AUDIT_CONFIG", &format!("<DIR>/{name}"));
        let words = format!("SOPS_AUDIT_CONFIG: open <DIR>/{name}: {reason}");
        refused(&call.outcome(), 1, &[&words]);
    }
}

/// A folder that a run can have as its `/etc`, in a mount namespace; none where there may be no such thing.
struct Etc {
    scratch: Scratch,
    program: String,
}

impl Etc {
    fn with(audit: &str) -> Option<Self> {
        let scratch = Scratch::new();
        let attempt = scratch.call_other("unshare", ["-m", "mount", "--bind", "/etc", "/etc"]);
        if !attempt.outcome().succeeded() {
            say("skipped: /etc/sops/audit.yaml: only root can have an /etc of its own");
            return None;
        }
        let root = scratch.root();
        let (file, program) = (root.join("etc/sops/audit.yaml"), root.join("rsops"));
        fs::create_dir_all(root.join("etc/sops")).expect("our own folder");
        fs::write(root.join("etc/passwd"), "").expect("our own folder");
        fs::write(&file, audit).expect("our own folder");
        make_private(&file, 0o600);
        // others can come to it
        fs::copy(binary(), &program).expect("our own folder");
        make_private(&root, 0o755);
        Some(Self { program: program.display().to_string(), scratch })
    }

    fn call(&self, user: &[&str], arguments: &[&str]) -> Call<'_> {
        let etc = self.scratch.root().join("etc").display().to_string();
        let script = "mount --bind \"$1\" /etc && shift && exec \"$@\"";
        let words = [&["-m", "sh", "-c", script, "sh", &etc], user, &[&self.program], arguments].concat();
        self.scratch.call_other("unshare", words)
    }
}

#[test]
fn what_the_administrator_has_set_up_counts_for_those_who_can_read_it() {
    let config = "backends: {postgres: [{connection_string: 'host=127.0.0.1 port=1 user=x'}]}\n";
    let Some(etc) = Etc::with(config) else { return };
    let words = ["defined in /etc/sops/audit.yaml", "connection refused"];
    refused(&etc.call(&[], &["--version"]).outcome(), 1, &words);
    etc.scratch.write("empty.yaml", b"");
    let elsewhere = etc.call(&[], &["--version"]).variable("SOPS_AUDIT_CONFIG", "<DIR>/empty.yaml");
    refused(&elsewhere.outcome(), 1, &words);
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let nobody = etc.call(&nobody, &["--version"]).outcome();
    assert!(nobody.succeeded() && nobody.stderr.is_empty(), "{}", nobody.messages());
}

#[test]
fn whoever_has_no_name_can_do_nothing() {
    let Some(desk) = Desk::new() else { return };
    // an empty /etc/passwd has none
    let config = format!("backends: {{postgres: [{{connection_string: '{}'}}]}}\n", desk.url("sops", ""));
    let Some(etc) = Etc::with(&config.replace("localhost", "127.0.0.1")) else { return };
    etc.scratch.write("a.yaml", &desk.scratch.read("a.yaml").expect("there"));
    let outcome =
        etc.call(&[], &["decrypt", "a.yaml"]).keys(["age-alice"]).variable("USER", "forged").outcome();
    let words =
        ["level=fatal msg=\"Error getting current user for auditing: user: unknown userid", "hint: who runs"];
    refused(&outcome, 1, &words);
    assert_eq!(desk.events(), [""; 0]);
}

#[test]
fn encryption_is_as_lib_pq_has_it() {
    let Some(desk) = Desk::new() else { return };
    let authority = desk.server.authority();
    let ca = format!("sslrootcert={authority}");
    let decrypt = ["decrypt <DIR>/a.yaml"];
    let (wrong_name, unknown) =
        (&["not valid for name"][..], &["UnknownIssuer", "hint: sslrootcert names"][..]);
    let in_clear = &["rejects connection"][..];
    for (user, host, parameters, fails) in [
        // in clear or not
        ("only_tls", "localhost", "?", None),
        ("only_tls", "localhost", "?sslmode=require", None),
        ("only_tls", "localhost", "?sslmode=prefer", None),
        ("only_tls", "localhost", "?sslmode=allow", None),
        ("only_tls", "localhost", "?sslmode=disable", Some(in_clear)),
        ("no_tls", "localhost", "?", Some(in_clear)),
        ("no_tls", "localhost", "?sslmode=prefer", None),
        ("no_tls", "localhost", "?sslmode=allow", None),
        ("no_tls", "localhost", "?sslmode=disable", None),
        // whom to trust
        ("sops", "localhost", "?sslmode=verify-full&CA", None),
        ("sops", "127.0.0.1", "?sslmode=verify-full&CA", Some(wrong_name)),
        ("sops", "127.0.0.1", "?sslmode=verify-ca&CA", None),
        ("sops", "localhost", "?sslmode=verify-ca", Some(unknown)),
        ("sops", "localhost", "?sslmode=verify-full&sslrootcert=system", Some(unknown)),
        ("sops", "127.0.0.1", "?sslmode=require&CA", None),
        ("sops", "localhost", "?sslmode=require&sslrootcert=/nowhere", None),
        (
            "sops",
            "localhost",
            "?sslmode=verify-ca&sslrootcert=/nowhere",
            Some(&["sslrootcert: /nowhere"][..]),
        ),
        ("sops", "localhost", "?channel_binding=require", None),
    ] {
        let string = desk.url(user, &parameters.replace("CA", &ca)).replace("localhost", host);
        desk.configure(&[&string]);
        let outcome = desk.run(&["decrypt", "a.yaml"]);
        silent(&outcome);
        match fails {
            None => {
                assert!(outcome.succeeded(), "{string}: {}", outcome.messages());
                assert_eq!(desk.events(), decrypt, "{string}");
            }
            Some(words) => refused(&outcome, 1, words),
        }
    }
    // where `require` is given a certificate that signed nothing
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    desk.scratch.write("other.pem", other.cert.pem().as_bytes());
    let other = desk.scratch.folder().join("other.pem").display().to_string();
    desk.configure(&[&desk.url("sops", &format!("?sslrootcert={other}"))]);
    refused(&desk.run(&["decrypt", "a.yaml"]), 1, &["invalid peer certificate", "hint: sslrootcert names"]);
}

#[test]
fn the_certificate_of_the_server_itself_can_be_trusted() {
    let Some(server) = Server::start(Signed::ByItself) else { return };
    let desk = Desk::with(Arc::new(server));
    let ca = format!("&sslrootcert={}", desk.server.authority());
    for (host, mode, works) in [
        ("localhost", "verify-full", true),
        ("127.0.0.1", "verify-full", false),
        ("127.0.0.1", "verify-ca", true),
    ] {
        let string = desk.url("sops", &format!("?sslmode={mode}{ca}")).replace("localhost", host);
        desk.configure(&[&string]);
        let outcome = desk.run(&["decrypt", "a.yaml"]);
        assert_eq!(outcome.succeeded(), works, "{host} {mode}: {}", outcome.messages());
    }
}

#[test]
fn variables_and_the_password_file_fill_the_gaps() {
    let Some(desk) = Desk::new() else { return };
    let (port, decrypt) = (desk.server.port.to_string(), ["decrypt <DIR>/a.yaml"]);
    desk.configure(&[""]);
    let base = || {
        desk.call(&["decrypt", "a.yaml"])
            .variable("PGHOST", "localhost")
            .variable("PGPORT", &port)
            .variable("PGUSER", "sops")
            .variable("PGDATABASE", &desk.database)
    };
    assert_eq!(desk.recorded(base().variable("PGPASSWORD", PASSWORD), 0), decrypt);
    assert_eq!(
        desk.recorded(base().variable("PGPASSWORD", PASSWORD).variable("PGSSLMODE", "verify-ca"), 1),
        [""; 0]
    );
    let in_socket = base().variable("PGPASSWORD", PASSWORD).variable("PGHOST", &desk.server.socket());
    assert_eq!(desk.recorded(in_socket.variable("PGSSLMODE", "verify-full"), 0), decrypt, "no TLS there");
    let line = format!("localhost:*:{}:sops:{}\n", desk.database, PASSWORD.replace(':', "\\:"));
    let file = desk.scratch.root().join("home/.pgpass");
    fs::write(&file, &line).expect("our own folder");
    make_private(&file, 0o600);
    assert_eq!(desk.recorded(base(), 0), decrypt);
    make_private(&file, 0o644);
    assert_eq!(desk.recorded(base(), 1), [""; 0], "others can read it");
    desk.scratch.write("passwords", line.as_bytes());
    make_private(&desk.scratch.folder().join("passwords"), 0o600);
    assert_eq!(desk.recorded(base().variable("PGPASSFILE", "<DIR>/passwords"), 0), decrypt);
}

#[test]
fn a_connection_that_breaks_while_somebody_edits_is_made_anew() {
    let Some(desk) = Desk::new() else { return };
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rsops' \
                AND datname = current_database()";
    let psql = desk.server.psql(&desk.database);
    let words: Vec<_> = psql.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let program = psql.get_program().to_string_lossy().into_owned();
    let script = format!(
        "PGPASSWORD='{PASSWORD}' {program} {} -c \"{kill}\" > killed\necho 'c: z' > $1\n",
        words.join(" ")
    );
    desk.scratch.write("kill.sh", script.as_bytes());
    let edit = desk.call(&["edit", "a.yaml"]).variable("EDITOR", "sh kill.sh");
    assert_eq!(desk.recorded(edit, 0), ["decrypt <DIR>/a.yaml", "encrypt <DIR>/a.yaml"]);
    assert_eq!(desk.scratch.text("killed"), "t\n");
}

#[test]
fn a_server_that_says_nothing_costs_the_limit() {
    let silence = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = silence.local_addr().expect("an address").port();
    let scratch = Scratch::new();
    let string = format!("host=127.0.0.1 port={port} user=sops password=hunter2 connect_timeout=1");
    scratch.write(
        "audit.yaml",
        format!("backends:\n  postgres:\n    - connection_string: {string}\n").as_bytes(),
    );
    let outcome = scratch.call(["--version"]).variable("SOPS_AUDIT_CONFIG", "<DIR>/audit.yaml").outcome();
    silent(&outcome);
    refused(&outcome, 1, &["no answer within 1s", "hint: check the network"]);
}
