//! The command line: one file per subcommand.

mod check;
mod explain;
mod schema;
mod serve;
mod service_account;
mod statement;
mod test;
mod token;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::identity::Caller;

/// An identity-aware reverse proxy in front of ClickHouse's HTTP interface.
#[derive(Parser)]
#[command(name = "keyhouse", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve, until SIGTERM.
    Serve(serve::Arguments),
    /// Check config and policies, and tell all mistakes.
    Check(check::Arguments),
    /// Tell what a statement does and touches, and the text that ClickHouse would get.
    Statement(statement::Arguments),
    /// Tell what would be made of a caller's request, by which rule, and what ClickHouse would be sent.
    Explain(explain::Arguments),
    /// Try rules on the statements of their tests (*.test.yaml); exits 1 where one comes out otherwise.
    Test(test::Arguments),
    /// Print the JSON Schema of config or policy files.
    Schema(schema::Arguments),
    /// Tell what is wrong with a token.
    Token(token::Arguments),
    /// Keys for callers with no person behind them.
    ServiceAccount(service_account::Arguments),
}

/// Runs what the command line says.
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Statement(arguments) => statement::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::ServiceAccount(arguments) => service_account::run(&arguments),
    }
}

/// Reads a file, or standard input where it is called `-`, up to so many bytes.
fn read(file: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file.as_os_str() == "-" {
        true => io::stdin().lock().take(longest).read_to_end(&mut bytes)?,
        false => File::open(file)?.take(longest).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

/// Where a caller belongs, for people.
fn groups_of(caller: &Caller) -> String {
    if caller.groups.is_empty() { "in no group".to_owned() } else { format!("in {}", caller.groups.join(", ")) }
}

/// Says what is allowed in a config and seldom meant.
fn warn(prepared: &crate::start::Prepared) {
    for warning in prepared.warnings() {
        eprintln!("warning: {warning}");
    }
}

/// Says the mistakes of a config as people read them.
fn tell(problems: &crate::config::Problems) {
    for problem in problems.iter() {
        eprintln!("{problem}");
    }
    let count = problems.len();
    eprintln!("{count} mistake{}", if count == 1 { "" } else { "s" });
}
