//! Every key source against what it talks to: real programs where they can be had, else servers of our own that do the
//! vendor's cryptography (`tests/support/server`). One file a source, as in `src/keys`.
#![cfg(unix)]

#[cfg(any(feature = "huawei", feature = "vault"))]
mod desk;
#[cfg(feature = "huawei")]
mod huawei;
mod limits;
#[cfg(any(feature = "huawei", feature = "vault"))]
mod python;
#[path = "../support/server/mod.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "vault")]
mod vault;
