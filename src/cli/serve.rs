//! `keyhouse serve`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::refusal::chain;
use crate::start;

/// What `keyhouse serve` takes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The config file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What to log, as `info`, `debug` or `keyhouse=debug,hyper=info`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let filter = match EnvFilter::try_new(&arguments.log) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("--log: {error}");
            return ExitCode::FAILURE;
        }
    };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    let prepared = match start::prepare(&arguments.config) {
        Ok(prepared) => prepared,
        Err(problems) => {
            super::tell(&problems);
            return ExitCode::FAILURE;
        }
    };
    for warning in prepared.warnings() {
        tracing::warn!("{warning}");
    }
    tracing::info!("{}", prepared.summary());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(prepared.serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", chain(&failure));
            ExitCode::FAILURE
        }
    }
}
