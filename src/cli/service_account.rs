//! `keyhouse service-account new`: a key for a caller with no person behind it, shown once, and the lines for the config.

use std::io::{self, Write};
use std::process::ExitCode;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::digest::{Hex, sha256};
use crate::identity::KEY_PREFIX;

/// What `keyhouse service-account` takes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a key, and print it with the lines for the config. Only its SHA-256 goes there.
    New(New),
}

#[derive(clap::Args)]
struct New {
    /// The account's name: lowercase letters, digits and `-`.
    name: String,
    /// A group that it is in; may be repeated.
    #[arg(long, value_name = "GROUP", required = true)]
    group: Vec<String>,
    /// A network that its requests come from, as 10.0.0.0/8; may be repeated.
    #[arg(long, value_name = "NETWORK")]
    network: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Command::New(new) = &arguments.command;
    match make(new, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("no key was made: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(new: &New, output: &mut impl Write) -> io::Result<()> {
    let mut random = [0; 32];
    rand::fill(&mut random).map_err(|_unspecified| io::Error::other("the system gives no random bytes"))?;
    let key = format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let digest = Hex::<64>::of(&sha256(key.as_bytes()));
    writeln!(output, "# The key, shown this once: give it to the client as its token or password.\n# {key}\n\n# For the config:\nservice_accounts:")?;
    // JSON's strings and lists are YAML's too.
    writeln!(output, "  {}:\n    keys: [\"sha256:{digest}\"]\n    groups: {}", new.name, serde_json::to_string(&new.group)?)?;
    if !new.network.is_empty() {
        writeln!(output, "    networks: {}", serde_json::to_string(&new.network)?)?;
    }
    Ok(())
}
