//! The command line of rsops.

mod cli;

use std::process::ExitCode;
use std::thread;

use mimalloc::MiMalloc;
use rsops::tree::STACK_SIZE;

// large documents are read in two thirds of the time that the allocator of libc takes
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::keep_out_of_core_dumps();
    // deeply nested documents need a deep stack; pages that are not used cost nothing
    let worker = thread::Builder::new().stack_size(STACK_SIZE).spawn(cli::run);
    match worker.map(thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        // the hook has said what happened
        Ok(Err(_)) => ExitCode::FAILURE,
        Err(error) => cli::fail_to_start(&error),
    }
}
