//! Every key source against what it talks to: real programs where they can be had, else servers of our own that do the
//! vendor's cryptography (`tests/support/server`). One file a source, as in `src/keys`.
#![cfg(unix)]

#[cfg(feature = "aws")]
mod aws_kms;
#[cfg(feature = "azure")]
mod azure;
#[cfg(any(feature = "huawei", feature = "vault"))]
mod desk;
#[cfg(feature = "gcp")]
mod gcp_kms;
#[cfg(all(feature = "aws", feature = "gcp", feature = "huawei", feature = "vault"))]
mod hostile;
#[cfg(feature = "huawei")]
mod huawei;
#[cfg(feature = "keyservice")]
mod keyservice;
#[cfg(feature = "keyservice")]
mod limits;
mod pgp;
#[cfg(any(feature = "huawei", feature = "vault"))]
mod python;
#[path = "../support/server/mod.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "vault")]
mod vault;
