//! No core dumps of this program, whose memory holds secrets; those of its children are their own affair.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit that this program was started with.
static INHERITED: OnceLock<Rlimit> = OnceLock::new();

/// Keeps secrets off the disk if the program should crash.
pub(crate) fn keep_out_of_core_dumps() {
    let inherited = INHERITED.get_or_init(|| getrlimit(Resource::Core));
    // where it is forbidden, nothing can be done about it
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: inherited.maximum });
}

/// Starts a child, which inherits the limit that this program was started with.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    allow_core_dumps();
    let child = command.spawn();
    keep_out_of_core_dumps();
    child
}

/// For a program that takes the place of this one.
pub(super) fn allow_core_dumps() {
    if let Some(inherited) = INHERITED.get() {
        let _ = setrlimit(Resource::Core, Rlimit { current: inherited.current, maximum: inherited.maximum });
    }
}
