//! Running `az` and `azd`, which know who has logged in.

use std::ffi::OsStr;
use std::io;
use std::process::{Output, Stdio};

use async_trait::async_trait;
use azure_identity::Executor;

/// Programs that do not outlive the question: the SDK's own executor lets them read our standard input, and leaves them
/// behind when nobody waits any more.
#[derive(Debug)]
pub(super) struct Patient;

#[async_trait]
impl Executor for Patient {
    async fn run(&self, program: &OsStr, arguments: &[&OsStr]) -> io::Result<Output> {
        tokio::process::Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .output()
            .await
    }
}
