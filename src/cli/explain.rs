//! `keyhouse explain`: what the gate would make of a caller's request, and what ClickHouse would be sent.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use http::Method;

use super::token;
use crate::answers;
use crate::config::{Problems, read_yaml};
use crate::start::{self, Prepared};
use crate::statement::Effect;
use crate::trial::{Asked, Asker, Judged, Trial, WrittenCaller};
use crate::upstream::Preview;

/// Longest file with a request, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

/// What `keyhouse explain` takes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The config file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A file that says who asks: provider, username, groups, claims, from, at; or service_account.
    #[arg(long = "as", value_name = "FILE", required_unless_present = "token", conflicts_with = "token")]
    caller: Option<PathBuf>,
    /// A file with the token of who asks, or `-` for standard input; its signature is looked at.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// The statement, as the body of a POST.
    #[arg(long, value_name = "SQL", required_unless_present = "request", conflicts_with = "request")]
    statement: Option<String>,
    /// The address parameters that go with the statement, as `max_threads=2&database=sales`.
    #[arg(long, value_name = "PARAMETERS", default_value = "", conflicts_with = "request")]
    query: String,
    /// A file with a whole HTTP request: head, empty line, body. Credentials in it are not looked at.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
}

/// Exit code 0 where it is permitted, 1 where it is refused, 2 where there is nothing to judge.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let prepared = match start::prepare(&arguments.config) {
        Ok(prepared) => prepared,
        Err(problems) => {
            super::tell(&problems);
            return ExitCode::from(2);
        }
    };
    let done = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string());
    match done.and_then(|runtime| runtime.block_on(explain(arguments, &prepared))) {
        Ok(code) => code,
        Err(says) => {
            eprintln!("keyhouse explain: {says}");
            ExitCode::from(2)
        }
    }
}

async fn explain(arguments: &Arguments, prepared: &Prepared) -> Result<ExitCode, String> {
    let asked = match (&arguments.request, &arguments.statement) {
        (Some(file), _) => Asked::http(&Bytes::from(bytes_of(file)?))?,
        (None, statement) => Asked::statement(&Method::POST, &arguments.query, &BTreeMap::new(), statement.as_deref().unwrap_or_default())?,
    };
    let asker = match (&arguments.caller, &arguments.token) {
        (Some(file), _) => asker_of(file)?,
        (None, file) => {
            let text = bytes_of(file.as_deref().unwrap_or(Path::new("-")))?;
            let explained = token::judge(prepared, &token::bare(&String::from_utf8_lossy(&text)), None, false).await;
            match explained.judged {
                Ok(caller) => Asker::of(caller.as_ref().clone()),
                Err(refusal) => {
                    println!("refused ({}): {}", refusal.reason(), refusal.says());
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
    };
    let judged = Trial { rules: prepared.rules(), limits: &prepared.config().limits }.judge(&asker, asked).await;
    print(&asker, &judged, prepared).map_err(|error| error.to_string())?;
    Ok(if judged.result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn asker_of(file: &Path) -> Result<Asker, String> {
    let mut problems = Problems::default();
    match read_yaml::<WrittenCaller>(file, &mut problems).filter(|_| problems.is_empty()) {
        Some(written) => Asker::read(written).map_err(|says| format!("{}: {says}", file.display())),
        None => Err(problems.to_string()),
    }
}

fn bytes_of(file: &Path) -> Result<Vec<u8>, String> {
    super::read(file, LONGEST).map_err(|error| format!("{} cannot be read ({error})", file.display()))
}

fn print(asker: &Asker, judged: &Judged, prepared: &Prepared) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let (caller, groups) = (&asker.caller, super::groups_of(&asker.caller));
    writeln!(output, "{:<10} {} ({}), {groups}, from {}", "caller", caller.username, caller.key(), asker.from)?;
    match &judged.rule {
        Some((name, place)) => writeln!(output, "{:<10} {name} ({place})", "rule")?,
        None => writeln!(output, "{:<10} none", "rule")?,
    }
    if let Some((kind, effect)) = judged.statement {
        writeln!(output, "{:<10} {effect} ({kind})", "statement")?;
    }
    let permitted = match &judged.result {
        Ok(permitted) => permitted,
        Err(refusal) => {
            return writeln!(
                output,
                "{:<10} refused ({}, HTTP {}): {}",
                "verdict",
                refusal.reason(),
                refusal.reason().status().as_u16(),
                refusal.says()
            );
        }
    };
    let permit = permitted.permit();
    match permit.observed() {
        None => writeln!(output, "{:<10} permitted, as {}", "verdict", permit.act_as())?,
        Some(refusal) => {
            writeln!(
                output,
                "{:<10} observed: passes as {}, and would be refused ({}): {}",
                "verdict",
                permit.act_as(),
                refusal.reason(),
                refusal.says()
            )?;
        }
    }
    for limit in prepared.admission().limits(permitted) {
        writeln!(output, "{:<10} {limit}", "limits")?;
    }
    if let Some(keeping) = permit.answers().filter(|_| permitted.understood().statement().effect() == Effect::Read) {
        match answers::bypassed(permitted, keeping) {
            None => writeln!(output, "{:<10} {keeping}", "answer")?,
            Some(why) => writeln!(output, "{:<10} not kept ({why}), though the rule keeps answers", "answer")?,
        }
    }
    match prepared.upstream().written(permitted) {
        Ok(written) => sent(&mut output, &written.preview()),
        Err(refusal) => writeln!(output, "\nnothing could be sent ({}): {}", refusal.reason(), refusal.chain().unwrap_or_default()),
    }
}

fn sent(output: &mut impl Write, preview: &Preview) -> io::Result<()> {
    if !preview.ignored.is_empty() {
        writeln!(output, "{:<10} {}", "ignored", preview.ignored.join(", "))?;
    }
    writeln!(output, "\nTo a server of the newest version would go:\n\n{} HTTP/1.1", preview.line)?;
    for (name, value) in &preview.headers {
        writeln!(output, "{name}: {value}")?;
    }
    writeln!(output, "\n{}", preview.body)
}
