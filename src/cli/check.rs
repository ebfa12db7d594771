//! `keyhouse check`: reads everything that `serve` would read, opens nothing, exits 1 where something is wrong.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::start;

/// What `keyhouse check` takes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The config file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match start::prepare(&arguments.config) {
        Ok(prepared) => {
            super::warn(&prepared);
            println!("{}: good: {}", arguments.config.display(), prepared.summary());
            ExitCode::SUCCESS
        }
        Err(problems) => {
            super::tell(&problems);
            ExitCode::FAILURE
        }
    }
}
