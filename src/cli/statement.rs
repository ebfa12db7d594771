//! `keyhouse statement`: what Keyhouse understands of a statement, as a page for people or as JSON for tools.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::statement::{self, Parameters, Reach, Statement};

/// Longest line of `--jsonl` and longest statement of standard input, in bytes.
const LONGEST: u64 = 64 * 1024 * 1024;

/// What `keyhouse statement` takes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The statement; standard input where it is left out.
    #[arg(conflicts_with = "jsonl")]
    sql: Option<String>,
    /// The value of a parameter `{name:Type}`; may be given several times.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// The database of names without one, for the page.
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// One JSON object per line of standard input, {"sql": ..., "database": ..., "parameters": {...}}, and one per line back.
    #[arg(long)]
    jsonl: bool,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "write NAME=VALUE".to_owned())
}

/// Exit code 0 where the statement is understood, 1 where it is not, 2 where there is nothing to read.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let done = if arguments.jsonl { lines() } else { page(arguments) };
    match done {
        Ok(code) => code,
        // Whoever reads has left.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keyhouse statement: {error}");
            ExitCode::from(2)
        }
    }
}

/// A line of `--jsonl`.
#[derive(Deserialize)]
struct Question {
    sql: String,
    #[serde(default)]
    database: Option<String>,
    #[serde(default)]
    parameters: Option<Parameters>,
}

/// The answer to it.
#[derive(Serialize, Default)]
struct Line<'a> {
    understood: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
    #[serde(flatten)]
    facts: Option<Facts<'a>>,
}

/// What was understood.
#[derive(Serialize)]
struct Facts<'a> {
    effect: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<&'a str>,
    tables: Vec<String>,
    ctes: Vec<&'a str>,
    targets: Vec<String>,
    also: Vec<Also>,
    table_functions: Vec<&'a str>,
    functions: Vec<&'a str>,
    settings: Vec<&'a str>,
    parameters: &'a Parameters,
    format: Option<&'a str>,
    computed: Vec<&'a str>,
    canonical: &'a str,
}

#[derive(Serialize)]
struct Also {
    name: String,
    via: &'static str,
}

impl<'a> Facts<'a> {
    fn of(statement: &'a Statement, database: Option<&'a str>) -> Self {
        let reach: &Reach = statement.reach();
        Self {
            effect: statement.effect().word(),
            kind: statement.kind(),
            database,
            tables: reach.tables.iter().map(ToString::to_string).collect(),
            ctes: reach.ctes.iter().map(String::as_str).collect(),
            targets: reach.targets.iter().map(ToString::to_string).collect(),
            also: reach.also.iter().map(|(name, via)| Also { name: name.to_string(), via: via.word() }).collect(),
            table_functions: reach.table_functions.iter().map(String::as_str).collect(),
            functions: reach.functions.iter().map(String::as_str).collect(),
            settings: reach.settings.keys().map(String::as_str).collect(),
            parameters: &reach.parameters,
            format: reach.format.as_deref(),
            computed: reach.computed.iter().map(String::as_str).collect(),
            canonical: statement.canonical(),
        }
    }
}

fn lines() -> io::Result<ExitCode> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    let mut line = String::new();
    let mut number = 0u64;
    loop {
        line.clear();
        number += 1;
        if (&mut input).take(LONGEST).read_line(&mut line)? == 0 {
            output.flush()?;
            return Ok(ExitCode::SUCCESS);
        }
        if line.trim().is_empty() {
            continue;
        }
        let question: Question = serde_json::from_str(&line).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("line {number}: {error}; write {{\"sql\": \"SELECT 1\"}} on each line"))
        })?;
        answer(&question, &mut output)?;
    }
}

fn answer(question: &Question, output: &mut impl Write) -> io::Result<()> {
    let none = Parameters::new();
    let read = statement::read(&question.sql, question.parameters.as_ref().unwrap_or(&none));
    let line = match &read {
        Ok(statement) => Line { understood: true, problem: None, facts: Some(Facts::of(statement, question.database.as_deref())) },
        Err(refusal) => Line { understood: false, problem: Some(refusal.says()), facts: None },
    };
    serde_json::to_writer(&mut *output, &line)?;
    output.write_all(b"\n")
}

fn page(arguments: &Arguments) -> io::Result<ExitCode> {
    let sql = match &arguments.sql {
        Some(sql) => sql.clone(),
        None => {
            let mut text = String::new();
            io::stdin().lock().take(LONGEST).read_to_string(&mut text)?;
            text
        }
    };
    let parameters: Parameters = arguments.parameters.iter().cloned().collect();
    match statement::read(&sql, &parameters) {
        Ok(statement) => {
            print(&Facts::of(&statement, arguments.database.as_deref()), statement.data().map_or(0, |at| sql.len() - at))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => {
            refused(&refusal);
            Ok(ExitCode::FAILURE)
        }
    }
}

fn refused(refusal: &Refusal) {
    eprintln!("not passed on ({}): {}", refusal.reason(), refusal.says());
}

/// What there is of each, one line each; what there is nothing of is left out.
fn print(facts: &Facts<'_>, data: usize) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{:<16} {} ({})", "effect", facts.effect, facts.kind)?;
    let also: Vec<String> = facts.also.iter().map(|also| format!("{} (by {})", also.name, also.via)).collect();
    let parameters: Vec<String> = facts.parameters.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let rows = [
        ("database", facts.database.map(str::to_owned).into_iter().collect()),
        ("tables", facts.tables.clone()),
        ("ctes", owned(&facts.ctes)),
        ("targets", facts.targets.clone()),
        ("also", also),
        ("table functions", owned(&facts.table_functions)),
        ("functions", owned(&facts.functions)),
        ("settings", owned(&facts.settings)),
        ("parameters", parameters),
        ("format", facts.format.map(str::to_owned).into_iter().collect()),
        ("computed", owned(&facts.computed)),
    ];
    for (name, values) in rows.iter().filter(|(_, values)| !values.is_empty()) {
        writeln!(output, "{name:<16} {}", values.join(", ").escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\""))?;
    }
    writeln!(output, "\n{}", facts.canonical)?;
    if data > 0 {
        writeln!(output, "... and {data} bytes of data, as they are")?;
    }
    Ok(())
}
