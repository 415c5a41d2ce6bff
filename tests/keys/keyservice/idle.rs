//! Clients of our server that say nothing, and those that are worth waiting for.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rsops::keys::{AgeKey, Answer, Key, KeyService, Limits, MasterKey, Share};
use rsops::keyservice::{Address, Client, Doorkeeper, Listener, Server, Step};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

/// How long a connection of these tests may be idle.
const LIMIT: Duration = Duration::from_millis(300);

/// What a client of HTTP/2 says first, with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The frame of a request: its headers in HPACK (POST, http, `/KeyService/Encrypt`), with more to come.
fn headers_without_an_end() -> Vec<u8> {
    let path = b"/KeyService/Encrypt";
    let mut block = vec![0x83, 0x86, 0x04, u8::try_from(path.len()).expect("short")];
    block.extend_from_slice(path);
    let mut frame = vec![0, 0, u8::try_from(block.len()).expect("short"), 1, 4, 0, 0, 0, 1];
    frame.extend_from_slice(&block);
    frame
}

/// Wraps by doing nothing, in its own time.
struct Slow(Duration);

impl KeyService for Slow {
    fn wrap<'a>(&'a self, _: &'a Key, _: &'a [u8]) -> Answer<'a, Result<String, String>> {
        Answer::later(async {
            sleep(self.0).await;
            Ok("wrapped".to_owned())
        })
    }

    fn unwrap<'a>(&'a self, _: &'a MasterKey) -> Answer<'a, Result<Share, String>> {
        Answer::Now(Err("not here".to_owned()))
    }
}

/// A server on a free port, which lives as long as the test.
fn server(delay: Duration) -> SocketAddr {
    let listener = Listener::bind("tcp", "127.0.0.1:0").expect("a free port");
    let address = listener.local_address().expect("TCP");
    let server = Server::new(move || Ok(Box::new(Slow(delay)))).idle_limit(LIMIT);
    thread::spawn(move || server.run(listener));
    address
}

/// Whether the server hangs up on whoever says this and no more.
fn is_hung_up_on(said: &[u8]) -> bool {
    let mut stream = TcpStream::connect(server(Duration::ZERO)).expect("a server");
    stream.write_all(said).expect("a server");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    let began = Instant::now();
    let mut answered = Vec::new();
    let ended = match stream.read_to_end(&mut answered) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    };
    assert!(began.elapsed() >= LIMIT, "it had time to speak");
    ended
}

/// Somebody who is asked, and takes time to answer.
struct SlowPerson {
    asked: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Doorkeeper for SlowPerson {
    fn admits(&self, _: Step, _: &Key) -> Result<bool, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let others = self.open.fetch_add(1, Ordering::SeqCst);
        thread::sleep(LIMIT * 5);
        self.open.fetch_sub(1, Ordering::SeqCst);
        Ok(others == 0)
    }
}

/// Guards against questions that pile up: a client that leaves must not give its turn away while its question is still
/// on the screen, and those who wait and leave are not asked about.
#[test]
fn clients_that_leave_do_not_heap_up_questions() {
    let (asked, open) = (Arc::default(), Arc::default());
    let person = Arc::new(SlowPerson { asked: Arc::clone(&asked), open });
    let listener = Listener::bind("tcp", "127.0.0.1:0").expect("a free port");
    let address = listener.local_address().expect("TCP");
    let server = Server::new(|| Ok(Box::new(Slow(Duration::ZERO)))).guarded_by(person);
    thread::spawn(move || server.run(listener));
    let address = Address::parse(&format!("tcp://{address}")).expect("a URL");
    let key = Key::Age(AgeKey { recipient: "age1".to_owned() });
    let runtime = || Builder::new_current_thread().enable_all().build().expect("a runtime");
    for leaving in 1..=3 {
        let client = Client::new(address.clone(), Limits::default());
        runtime().block_on(async {
            let answer = client.wrap(&key, &[7; 32]).settled();
            assert!(timeout(LIMIT, answer).await.is_err(), "nobody answers so fast: {leaving}");
        });
    }
    let client = Client::new(address, Limits::default());
    let answer = runtime().block_on(client.wrap(&key, &[7; 32]).settled());
    assert_eq!(answer, Ok("wrapped".to_owned()), "one question at a time");
    assert_eq!(asked.load(Ordering::SeqCst), 2, "of the first and of the last");
}

/// Guards against connections that are kept for ever: each is an open file.
#[test]
fn whoever_says_nothing_is_hung_up_on() {
    assert!(is_hung_up_on(b""), "no word");
    assert!(is_hung_up_on(&PREFACE[..10]), "no whole preface");
    assert!(is_hung_up_on(PREFACE), "no request");
    assert!(is_hung_up_on(&[PREFACE, &headers_without_an_end()].concat()), "no whole request");
}

/// Guards against a limit for idle clients that counts the time in which others are waited for.
#[test]
fn a_request_may_take_longer_than_a_client_may_be_idle() {
    let address = Address::parse(&format!("tcp://{}", server(LIMIT * 5))).expect("a URL");
    let key = Key::Age(AgeKey { recipient: "age1".to_owned() });
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = Client::new(address, Limits::default());
    runtime.block_on(async {
        assert_eq!(client.wrap(&key, &[7; 32]).settled().await, Ok("wrapped".to_owned()));
        // the server has hung up by then, and is found again
        sleep(LIMIT * 5).await;
        assert_eq!(client.wrap(&key, &[7; 32]).settled().await, Ok("wrapped".to_owned()));
    });
}
