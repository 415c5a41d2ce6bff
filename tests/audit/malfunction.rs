//! A server that speaks the protocol of PostgreSQL and answers `SELECT 1` with something else.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::support::outcome::refused;
use crate::support::scratch::Scratch;

#[test]
fn a_database_that_cannot_count_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(serve(stream))));
    let scratch = Scratch::new();
    let entry = format!("host=127.0.0.1 port={port} user=sops password=hunter2 sslmode=disable");
    let config = format!("backends:\n  postgres:\n    - connection_string: {entry}\n");
    scratch.write("audit.yaml", config.as_bytes());
    let outcome = scratch.call(["--version"]).variable("SOPS_AUDIT_CONFIG", "<DIR>/audit.yaml").outcome();
    let words =
        ["Pinging audit database failed: Database malfunction: SELECT 1 should return 1, but returned 2"];
    refused(&outcome, 1, &words);
}

/// Takes whatever is asked for the one statement; ends when the client does.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    read(&mut stream, length)?;
    // nobody is asked for a password
    let ready = message(b'Z', b"I");
    stream.write_all(&[message(b'R', &[0; 4]), ready.clone()].concat())?;
    loop {
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        stream.read_exact(&mut length)?;
        read(&mut stream, length)?;
        let answer = match kind[0] {
            b'P' => message(b'1', b""),
            b'D' => [message(b't', &[0; 2]), message(b'T', COLUMN)].concat(),
            b'B' => message(b'2', b""),
            b'E' => [message(b'D', &[0, 1, 0, 0, 0, 4, 0, 0, 0, 2]), message(b'C', b"SELECT 1\0")].concat(),
            b'S' => ready.clone(),
            b'X' => return Ok(()),
            _ => Vec::new(),
        };
        stream.write_all(&answer)?;
    }
}

/// One column without a name, of four bytes, `int4`.
const COLUMN: &[u8] = b"\0\x01?\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0";

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
    [&[kind], &length[..], body].concat()
}

fn read(stream: &mut TcpStream, length: [u8; 4]) -> std::io::Result<()> {
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).expect("short") - 4];
    stream.read_exact(&mut body)
}
