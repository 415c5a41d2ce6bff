//! Key services: other programs that wrap and unwrap data keys for us, or we for them, over gRPC (keyservice.md).

mod address;
mod client;
mod connection;
mod line;
mod listen;
mod server;
mod wire;

pub use address::{Address, ParseAddressError};
pub use client::Client;
pub use listen::{ListenError, Listener, Occupant};
pub use server::{Doorkeeper, Server, Step};
pub use wire::{
    AgeKey, AzureKeyVaultKey, DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, GcpKmsKey,
    HckmsKey, Key, KeyType, KmsKey, PgpKey, ReadKeyError, VaultKey,
};
