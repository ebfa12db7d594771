//! `keyhouse-demo`: shows Keyhouse between a ClickHouse with sample data and an identity provider of its own.
//!
//! Started by `deploy/demo`. It is a program of its own, so that nothing of the issuer is in `keyhouse`.

mod ask;
mod folder;
mod issuer;
mod lines;
mod page;
mod parts;
mod tour;
mod trouble;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;
use keyhouse::refusal::chain;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::ask::Asker;
use crate::folder::Folder;
use crate::issuer::Issuer;
use crate::lines::Lines;
use crate::page::{Ink, Line, Page};
use crate::parts::Part;
use crate::tour::{ALICE, Tour};
use crate::trouble::Trouble;

/// For ClickHouse: a first start reads half a gigabyte from the disk.
const CLICKHOUSE_WITHIN: Duration = Duration::from_secs(120);

/// For Keyhouse, until it has asked ClickHouse and the issuer what it must know.
const KEYHOUSE_WITHIN: Duration = Duration::from_secs(30);

/// The token of the lines to try: a working day.
const LIFE: Duration = Duration::from_secs(8 * 60 * 60);

/// What a shell expects of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Shows Keyhouse with real requests, real answers and their records; run it as deploy/demo.
#[derive(Parser)]
#[command(name = "keyhouse-demo", version, about)]
struct Arguments {
    /// End after the tour; exit 0 only if every step came out as it should.
    #[arg(long)]
    once: bool,
    /// Where everything is written; made anew each time.
    #[arg(long, value_name = "FOLDER", default_value = "target/demo/run")]
    folder: PathBuf,
    /// The `keyhouse` to show; the one beside this program where it is left out.
    #[arg(long, value_name = "PATH")]
    keyhouse: Option<PathBuf>,
    /// A Python that has what ClickHouse needs.
    #[arg(long, value_name = "PATH", default_value = "target/demo/venv/bin/python")]
    python: PathBuf,
    /// The program that is ClickHouse.
    #[arg(long, value_name = "PATH", default_value = "deploy/embedded-clickhouse/embedded_clickhouse.py")]
    clickhouse: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One thread: ours is the smallest part of the work.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(&arguments)),
        Err(error) => fail(&Trouble::new("the runtime cannot start").because(error)),
    }
}

async fn run(arguments: &Arguments) -> ExitCode {
    let page = Page::new();
    // Held until the parts have ended: they write into it.
    let folder = match Folder::new(&arguments.folder) {
        Ok(folder) => folder,
        Err(trouble) => return fail(&trouble),
    };
    let mut parts = Vec::new();
    let toured = tokio::select! {
        toured = show(arguments, &page, &folder, &mut parts) => toured.map(Some),
        stopped = told_to_stop() => stopped.map(|()| None),
    };
    let outcome = match toured {
        Ok(Some(code)) if !arguments.once => stay(&mut parts).await.map(|()| code),
        Ok(code) => Ok(code.unwrap_or(ExitCode::from(INTERRUPTED))),
        Err(trouble) => Err(trouble),
    };
    // Keyhouse first: what runs on ClickHouse can then end.
    while let Some(part) = parts.pop() {
        part.stop().await;
    }
    outcome.unwrap_or_else(|trouble| fail(&trouble))
}

fn fail(trouble: &Trouble) -> ExitCode {
    eprintln!("\ndemo: {}", chain(trouble));
    ExitCode::FAILURE
}

async fn show(arguments: &Arguments, page: &Page, folder: &Folder, parts: &mut Vec<Part>) -> Result<ExitCode, Trouble> {
    page.show(&[Line::new(), page.heading("Keyhouse demo"), Line::new()])?;
    folder.write_certificates()?;
    let issuer = Issuer::start().await?;
    page.done("identity provider", &issuer.url)?;
    let clickhouse = start_clickhouse(arguments, page, folder, parts).await?;
    folder.write_keyhouse(&issuer.url, &clickhouse)?;
    let asker = Asker::new(&folder.file("ca.pem"))?;
    let keyhouse = start_keyhouse(arguments, page, folder, &asker, parts).await?;

    let lines = Lines { ca_file: folder.file("ca.pem"), python: arguments.python.clone(), keyhouse };
    let wrong = Tour { page, asker: &asker, issuer: &issuer, lines: &lines, folder }.walk().await?;
    page.show(&[Line::new(), summary(wrong)])?;
    if !arguments.once {
        page.show(&invitation(page, folder, &lines, &issuer.token(&ALICE, LIFE)?))?;
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Until Ctrl-C, or until a part ends by itself.
async fn stay(parts: &mut [Part]) -> Result<(), Trouble> {
    tokio::select! {
        trouble = any_ends(parts) => Err(trouble),
        stopped = told_to_stop() => stopped,
    }
}

async fn start_clickhouse(arguments: &Arguments, page: &Page, folder: &Folder, parts: &mut Vec<Part>) -> Result<String, Trouble> {
    folder.write_clickhouse()?;
    let began = Instant::now();
    page.begins("ClickHouse starts")?;
    let mut command = Command::new(&arguments.python);
    command.arg(&arguments.clickhouse);
    command.arg("--users").arg(folder.file("clickhouse-users.xml")).arg("--init").arg(folder.file("sales.sql"));
    // It works in a temporary folder of its own, and nothing of ours is written outside of ours.
    command.env("TMPDIR", folder.file(""));
    let url = started(parts, Part::start("ClickHouse", &mut command, folder.file("clickhouse.log"))?)
        .says(CLICKHOUSE_WITHIN, |line| line.strip_prefix("ready ")?.split(' ').next().map(str::to_owned))
        .await?;
    page.done("ClickHouse", &format!("{url}  {:.1} s", began.elapsed().as_secs_f64()))?;
    Ok(url)
}

async fn start_keyhouse(arguments: &Arguments, page: &Page, folder: &Folder, asker: &Asker, parts: &mut Vec<Part>) -> Result<String, Trouble> {
    let began = Instant::now();
    page.begins("Keyhouse starts")?;
    let mut command = Command::new(keyhouse_program(arguments)?);
    command.args(["serve", "--config"]).arg(folder.file("keyhouse.yaml"));
    let part = started(parts, Part::start("Keyhouse", &mut command, folder.file("keyhouse.log"))?);
    let admin = part.says(KEYHOUSE_WITHIN, |line| line.split_once("admin on ").map(|(_, url)| url.to_owned())).await?;
    let address = part.says(KEYHOUSE_WITHIN, |line| line.split_once("listening on https://127.0.0.1:").map(|(_, port)| port.to_owned())).await?;
    ready(asker, &admin, began).await?;
    let url = format!("https://localhost:{address}");
    page.done("Keyhouse", &format!("{url}  {:.1} s", began.elapsed().as_secs_f64()))?;
    Ok(url)
}

/// Keeps a part where it is ended whatever happens next.
fn started(parts: &mut Vec<Part>, part: Part) -> &mut Part {
    parts.push_mut(part)
}

fn keyhouse_program(arguments: &Arguments) -> Result<PathBuf, Trouble> {
    if let Some(path) = &arguments.keyhouse {
        return Ok(path.clone());
    }
    let own = std::env::current_exe().map_err(|error| Trouble::new("give --keyhouse: where this program is cannot be told").because(error))?;
    Ok(own.with_file_name("keyhouse"))
}

async fn ready(asker: &Asker, admin: &str, began: Instant) -> Result<(), Trouble> {
    loop {
        let answer = asker.get(admin, "/-/ready").await?;
        if answer.status.is_success() {
            return Ok(());
        }
        if began.elapsed() > KEYHOUSE_WITHIN {
            return Err(Trouble::new(format!("Keyhouse is not ready after {} s: {}", KEYHOUSE_WITHIN.as_secs(), answer.body.trim_end())));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// The first part that ends by itself.
async fn any_ends(parts: &mut [Part]) -> Trouble {
    match parts {
        [first, second] => tokio::select! { trouble = first.ends() => trouble, trouble = second.ends() => trouble },
        _ => std::future::pending().await,
    }
}

async fn told_to_stop() -> Result<(), Trouble> {
    let failed = |error| Trouble::new("the system refuses what every process may do").because(error);
    let [mut interrupt, mut terminate, mut hangup] = [
        signal(SignalKind::interrupt()).map_err(failed)?,
        signal(SignalKind::terminate()).map_err(failed)?,
        signal(SignalKind::hangup()).map_err(failed)?,
    ];
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

fn summary(wrong: usize) -> Line {
    match wrong {
        0 => vec![(Ink::Good, "Every step came out as it must.".to_owned())],
        1 => vec![(Ink::Bad, "One step did not come out as it must.".to_owned())],
        several => vec![(Ink::Bad, format!("{several} steps did not come out as they must."))],
    }
}

fn invitation(page: &Page, folder: &Folder, lines: &Lines, token: &str) -> Vec<Line> {
    let quiet = |text: String| vec![(Ink::Quiet, text)];
    let code = |text: String| vec![(Ink::Code, text)];
    vec![
        Line::new(),
        page.heading("Now you"),
        Line::new(),
        quiet(format!("In another terminal: a token for alice of analysts, good for {} hours", LIFE.as_secs() / 3600)),
        code(Lines::token(token)),
        Line::new(),
        quiet("curl".to_owned()),
        code(lines.curl()),
        Line::new(),
        quiet("clickhouse-connect".to_owned()),
        code(lines.python()),
        Line::new(),
        quiet(format!("Config, rules, record and logs: {}", folder.file("").display())),
        quiet("Ctrl-C ends it all.".to_owned()),
    ]
}
