//! Arguments, run, exit code.

use std::process::ExitCode;

/// A fifth of what a request costs went into the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keyhouse::cli::run()
}
