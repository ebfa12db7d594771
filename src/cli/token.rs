//! `keyhouse token explain`: what a token says, and what the gate would make of it, in the same words.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use http::HeaderName;

use crate::clock;
use crate::identity::{Caller, Explained, Issuer};
use crate::policy::{Asking, Choice, Rules};
use crate::start::{self, Prepared};

/// Longest file with a token, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// What `keyhouse token` takes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Tell what a token says and whether it lets its bearer in; exits 1 where it does not.
    Explain(Explain),
}

#[derive(clap::Args)]
struct Explain {
    /// The config file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Look at everything but the signature, and ask no provider for keys.
    #[arg(long)]
    offline: bool,
    /// The header of `from_headers` that the token comes in, as X-Id-Token.
    #[arg(long, value_name = "NAME")]
    from_header: Option<HeaderName>,
    /// A file with the token, or `-` for standard input: on the command line others could see it.
    #[arg(value_name = "FILE", default_value = "-")]
    token: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Command::Explain(explain) = &arguments.command;
    let prepared = match start::prepare(&explain.config) {
        Ok(prepared) => prepared,
        Err(problems) => {
            super::tell(&problems);
            return ExitCode::FAILURE;
        }
    };
    let told = read(explain).and_then(|token| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let explained = runtime.block_on(judge(&prepared, &token, explain.from_header.as_ref(), explain.offline));
        print(&explained, explain.offline, prepared.rules()).map(|()| explained.judged.is_ok())
    });
    match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the token cannot be explained: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(explain: &Explain) -> io::Result<String> {
    let text = String::from_utf8(super::read(&explain.token, LONGEST)?)
        .map_err(|_error| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8"))?;
    Ok(bare(&text))
}

/// The token alone, also out of a whole header.
pub(super) fn bare(text: &str) -> String {
    text.split_whitespace().last().unwrap_or_default().to_owned()
}

pub(super) async fn judge(prepared: &Prepared, token: &str, header: Option<&HeaderName>, offline: bool) -> Explained {
    let identities = prepared.identities();
    if !offline {
        for issuer in identities.issuers().iter().filter(|issuer| issuer.fetches()) {
            tokio::spawn(Issuer::keep_fresh(Arc::clone(issuer)));
        }
    }
    identities.explain(token, header, clock::now(), offline).await
}

fn print(explained: &Explained, offline: bool, rules: &Rules) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for (name, value) in &explained.says {
        writeln!(output, "{name:<16} {value}")?;
    }
    writeln!(output, "{:<16} {}\n", "provider", explained.provider.as_deref().unwrap_or("none of the config"))?;
    match &explained.judged {
        Err(refusal) => writeln!(output, "refused ({}): {}", refusal.reason(), refusal.says()),
        Ok(caller) => {
            let groups = super::groups_of(caller);
            let rule = rule_for(rules, caller);
            writeln!(output, "lets in {} ({}), {groups}; {rule}", caller.username, caller.key())?;
            if offline {
                writeln!(output, "the signature was not looked at (--offline)")?;
            }
            Ok(())
        }
    }
}

/// The rule that would judge them now, as if they asked from this machine.
fn rule_for(rules: &Rules, caller: &Caller) -> String {
    let from = IpAddr::from(Ipv4Addr::LOCALHOST);
    match rules.choose(&Asking { caller, from, now: clock::now(), rule: None }) {
        Choice::Rule(rule) => format!("judged by rule `{}`", rule.name()),
        Choice::Nobody | Choice::NotAvailable => "no rule is meant for them".to_owned(),
    }
}
