//! Secrets in files, encrypted leaf by leaf, byte-compatible with sops.

pub mod audit;
pub mod check;
pub mod cipher;
pub mod config;
pub mod data_key;
pub mod document;
pub mod keys;
#[cfg(feature = "keyservice")]
pub mod keyservice;
pub mod mac;
pub mod metadata;
pub mod nonces;
pub mod os_error;
pub mod pattern;
pub mod program;
#[cfg(feature = "publish")]
pub mod publish;
pub mod selection;
pub mod shamir;
pub mod store;
pub mod tree;
