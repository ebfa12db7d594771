//! The built program with a config, policies and secrets of its own, between real sockets.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, ExitStatus},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    accounts::Account,
    certificates::Certificates,
    clickhouse::{ANALYST, WRITER},
    client::{Answer, get, send_plain},
    program::{Ended, KEYHOUSE, Program},
    until,
};

/// What a house is to be started with: a folder's files, before they are written.
#[derive(Clone)]
pub struct Plan {
    sections: Vec<(String, String)>,
    edits: Vec<(String, String)>,
    files: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    log: Option<String>,
}

const LISTEN: &str = "
  - address: 127.0.0.1:0
    tls: {certificate_file: tls.crt, key_file: tls.key}
  - address: 127.0.0.1:0";

const RULES: &str = r#"rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow:
      - effects: [read]
        tables: ["default.*", "sales.*", "system.one", "system.numbers"]
        deny: ["sales.salaries"]
    system: none
    message: Ask the data platform team.
  - name: engineers
    whom: {groups: [engineers]}
    act_as: writer
    allow:
      - {effects: [read, insert], tables: ["default.*"]}
"#;

impl Plan {
    /// The usual house for tokens of this issuer, in front of these nodes.
    pub fn new(issuer: &str, nodes: &[&str]) -> Self {
        let provider = format!(
            "
  corp:
    issuer: {issuer}
    audiences: [clickhouse]
    claim_mappings: {{username: {{claim: sub}}, groups: {{claim: groups}}}}"
        );
        let authority = if nodes.iter().any(|node| node.starts_with("https")) { ", ca_file: ca.pem" } else { "" };
        let clickhouse = format!(
            "
  clusters:
    main: {{nodes: {nodes:?}{authority}}}
  users:
    analyst: {{cluster: main, user: {}, password: {{file: analyst.password}}}}
    writer: {{cluster: main, user: {}, password: {{file: writer.password}}}}",
            ANALYST.name, WRITER.name
        );
        let plan = Self { sections: Vec::new(), edits: Vec::new(), files: Vec::new(), environment: Vec::new(), log: None };
        plan.section("public_url", "https://localhost:8443")
            .section("listen", LISTEN)
            .section("admin", "{address: 127.0.0.1:0}")
            .section("identity_providers", &provider)
            .section("clickhouse", &clickhouse)
            .section("policies", "policies/")
            .section("record", "{to: {file: record.jsonl}, statement: masked, on_failure: count}")
            .file("analyst.password", ANALYST.password)
            .file("writer.password", WRITER.password)
            .policy("10-rules.yaml", RULES)
    }

    /// What stands after this top-level key; flow style, or lines that begin with a new one.
    pub fn section(mut self, key: &str, yaml: &str) -> Self {
        set(&mut self.sections, key, yaml);
        self
    }

    /// Replaces text of the config, wherever it stands; it must stand somewhere.
    pub fn edit(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.to_owned(), to.to_owned()));
        self
    }

    /// A policy file; the usual one is `10-rules.yaml`.
    pub fn policy(self, name: &str, yaml: &str) -> Self {
        self.file(&format!("policies/{name}"), yaml)
    }

    /// A file beside the config.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        set(&mut self.files, name, text);
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        set(&mut self.environment, name, value);
        self
    }

    /// With the users and the service account that the policies of `policies/` name.
    pub fn for_the_examples(self, grafana: &Account) -> Self {
        let user = |name: &str| format!("    {name}: {{cluster: main, user: {}, password: {{file: writer.password}}}}\n", WRITER.name);
        let users: String = ["engineer", "app", "grafana", "pipeline", "agent"].map(user).concat();
        self.section("service_accounts", &format!("\n{}", grafana.config)).edit("    writer:", &format!("{users}    writer:"))
    }

    /// What it logs, as `--log` takes it.
    pub fn log(mut self, filter: &str) -> Self {
        self.log = Some(filter.to_owned());
        self
    }

    pub fn config(&self) -> String {
        let config = self.sections.iter().map(|(key, yaml)| format!("{key}: {yaml}\n")).collect();
        self.edits.iter().fold(config, |config: String, (from, to)| {
            assert!(config.contains(from), "{from:?} does not stand in:\n{config}");
            config.replace(from, to)
        })
    }

    /// Writes it all to a new folder, with the config in `keyhouse.yaml`.
    pub fn lay_out(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        Certificates::shared().write_to(folder.path());
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        self.write_to(folder.path());
        folder
    }

    /// The config and the files of this plan, over what is there.
    pub fn write_to(&self, folder: &Path) {
        std::fs::write(folder.join("keyhouse.yaml"), self.config()).unwrap();
        for (name, text) in &self.files {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    /// What stands in one of its files.
    pub fn config_of(&self, name: &str) -> String {
        self.files.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone()).unwrap()
    }

    /// A house that says it is ready.
    pub async fn start(&self) -> House {
        let house = self.start_unready().await;
        until("a house that is ready", async || (house.admin_get("/-/ready").await.status == 200).then_some(())).await;
        house
    }

    /// A house that listens, and may wait for something to be ready.
    pub async fn start_unready(&self) -> House {
        let folder = self.lay_out();
        let program = self.spawn(&folder);
        let admin = address(&program.wait_line("admin on http://").await);
        let count = self.config().matches("- address:").count();
        let listening = program.wait_lines(count, "listening on http").await;
        let of = |scheme: &str| listening.iter().find(|line| line.contains(scheme)).map(|line| address(line));
        House { https: of("https://"), http: of("http://"), admin, program, folder }
    }

    fn spawn(&self, folder: &TempDir) -> Program {
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        let log = self.log.iter().flat_map(|filter| ["--log", filter]);
        Program::start(KEYHOUSE, command(folder.path(), &["serve", "--config", "keyhouse.yaml"]).args(log).envs(environment))
    }
}

pub struct House {
    https: Option<SocketAddr>,
    http: Option<SocketAddr>,
    pub admin: SocketAddr,
    pub program: Program,
    pub folder: TempDir,
}

impl House {
    pub fn https(&self) -> SocketAddr {
        self.https.expect("a listener with TLS")
    }

    pub fn http(&self) -> SocketAddr {
        self.http.expect("a listener without TLS")
    }

    pub async fn admin_get(&self, target: &str) -> Answer {
        send_plain(self.admin, get(target, &["Connection: close"])).await
    }

    /// The whole lines of its record file.
    pub fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("record.jsonl")).unwrap_or_default();
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))).collect()
    }

    pub async fn wait_records(&self, count: usize) -> Vec<Value> {
        let what = format!("{count} records");
        until(&what, async || Some(self.records()).filter(|records| records.len() >= count)).await
    }

    /// The first record that is so.
    pub async fn wait_record(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, async || self.records().into_iter().find(|record| is(record))).await
    }

    /// The one record of this answer.
    pub async fn record_of(&self, answer: &Answer) -> Value {
        let id = answer.header("X-Keyhouse-Request-Id").expect("an answer with its request's id");
        self.wait_record(id, |record| record["request_id"] == id).await;
        let mut of_it: Vec<Value> = self.records().into_iter().filter(|record| record["request_id"] == id).collect();
        assert_eq!(of_it.len(), 1, "{of_it:?}");
        of_it.remove(0)
    }

    /// All that it ever wrote: it is told to stop, and has stopped, before they are read.
    pub async fn records_in_the_end(&self) -> Vec<Value> {
        assert!(self.stop().await.success());
        self.records()
    }

    /// The most memory it ever held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.program.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// How many bytes it has read so far, of files and sockets.
    pub fn bytes_read(&self) -> u64 {
        let counts = std::fs::read_to_string(format!("/proc/{}/io", self.program.pid())).unwrap();
        counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&self) -> ExitStatus {
        self.program.signal("TERM");
        self.program.wait_exit().await
    }
}

/// Another of its subcommands, run to its end in this folder.
pub async fn run(folder: &Path, arguments: &[&str]) -> Ended {
    Program::start(KEYHOUSE, &mut command(folder, arguments)).run_to_end().await
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyhouse"));
    command.args(arguments).current_dir(folder);
    command
}

/// The address that a log line ends its URL with.
fn address(line: &str) -> SocketAddr {
    let (_, rest) = line.rsplit_once("://").unwrap();
    let end = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.' && sign != ':');
    rest[..end.unwrap_or(rest.len())].parse().unwrap_or_else(|error| panic!("{error} in {line}"))
}

fn set(pairs: &mut Vec<(String, String)>, key: &str, value: &str) {
    match pairs.iter_mut().find(|(name, _)| name == key) {
        Some(pair) => pair.1 = value.to_owned(),
        None => pairs.push((key.to_owned(), value.to_owned())),
    }
}
