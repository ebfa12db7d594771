//! `keyhouse check`: reads everything that `serve` would read, and exits 1 where something is wrong. By itself it opens nothing;
//! with `--live` it asks ClickHouse.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::Problems;
use crate::grants::{self, Form, Holder};
use crate::live::{self, Report};
use crate::start::{self, Prepared};

/// What `keyhouse check` takes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The config file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print what ClickHouse has to hold the rules to: users, roles, grants, constraints. With --live only settings that the
    /// servers have.
    #[arg(long)]
    grants: bool,
    /// How they are written.
    #[arg(long, value_enum, default_value_t = Form::Sql, requires = "grants")]
    form: Form,
    /// Only the user that this rule acts as.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Ask ClickHouse, as each user, what it may really do; exits 1 where a rule would be refused.
    #[arg(long)]
    live: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let prepared = match start::prepare(&arguments.config) {
        Ok(prepared) => prepared,
        Err(problems) => {
            super::tell(&problems);
            return ExitCode::FAILURE;
        }
    };
    super::warn(&prepared);
    let holders = match chosen(&prepared, arguments.rule.as_deref()) {
        Ok(holders) => holders,
        Err(problems) => {
            super::tell(&problems);
            return ExitCode::FAILURE;
        }
    };
    let report = match arguments.live.then(|| look(&prepared, &holders)).transpose() {
        Ok(report) => report,
        Err(error) => {
            eprintln!("keyhouse check: the system gives no runtime ({error})");
            return ExitCode::FAILURE;
        }
    };
    if arguments.grants {
        let has = report.as_ref().and_then(|report| report.settings.as_ref());
        print!("{}", grants::write(arguments.form, &holders, has));
    }
    match &report {
        // What is meant for ClickHouse stands alone on standard output.
        Some(report) if arguments.grants => eprint!("{}", told(report)),
        Some(report) => print!("{}", told(report)),
        None if arguments.grants => {}
        None => println!("{}: good: {}", arguments.config.display(), prepared.summary()),
    }
    if report.is_some_and(|report| report.has_errors()) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The users of all rules, or of the one that is named.
fn chosen<'a>(prepared: &'a Prepared, rule: Option<&str>) -> Result<Vec<Holder<'a>>, Problems> {
    let mut holders = grants::holders(prepared.config(), prepared.rules());
    if let Some(name) = rule {
        holders.retain(|holder| holder.rules.iter().any(|means| means.name == name));
        if holders.is_empty() {
            return Err(Problems::one("--rule", format!("there is no rule `{name}`; write one of: {}", names(prepared))));
        }
    }
    Ok(holders)
}

fn names(prepared: &Prepared) -> String {
    prepared.rules().iter().map(|rule| rule.name()).collect::<Vec<_>>().join(", ")
}

fn look(prepared: &Prepared, holders: &[Holder<'_>]) -> std::io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(live::look(prepared.upstream(), holders)))
}

fn told(report: &Report) -> String {
    let errors = report.findings.iter().filter(|finding| finding.severity == live::Severity::Error).count();
    let mut out: String = report.asked.iter().map(|line| format!("asked {line}\n")).collect();
    for finding in &report.findings {
        out.push_str(&format!("{finding}\n"));
    }
    out.push_str(&format!("{errors} error(s), {} warning(s)\n", report.findings.len().saturating_sub(errors)));
    out
}
