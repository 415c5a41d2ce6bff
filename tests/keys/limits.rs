//! How long servers may take, and what it costs those who need none.

use crate::server::{Response, Server};

/// The server of these tests serves, over TLS too.
#[test]
fn a_server_answers_what_it_is_asked() {
    let server = Server::https(|request| Response::text(200, &request.path));
    assert!(server.url().starts_with("https://localhost:"));
    assert!(server.authority().exists());
}
