//! The verdicts of `tests/verdicts`, alone as `keyhouse test` tries them, and through the gate, by what the upstream saw.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::support::{
    accounts::Account,
    client::send_plain,
    house::{Plan, run},
    issuer::Issuer,
    recorder::Recorder,
    script::Script,
};

/// The attacks that have to have a row.
fn numbers() -> impl Iterator<Item = u32> {
    (61..=94).chain([103, 104]).chain(114..=145).chain(149..=155)
}

#[derive(Deserialize)]
struct File {
    callers: BTreeMap<String, Who>,
    tests: Vec<Row>,
}

#[derive(Deserialize)]
struct Who {
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    claims: Map<String, Value>,
    service_account: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    name: String,
    #[serde(rename = "as")]
    caller: String,
    #[serde(default)]
    query: String,
    #[serde(default = "post")]
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    statement: String,
    verdict: String,
    reason: Option<String>,
    rule: Option<String>,
    roles: Option<Vec<String>>,
    quota_key: Option<String>,
    settings: Option<BTreeMap<String, Value>>,
    sends: Option<String>,
}

fn post() -> String {
    "POST".to_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verdicts")
}

/// The files of the folder that are tests, or policies.
fn files(tests: bool) -> Vec<(String, String)> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let paths = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| name(path).ends_with(".test.yaml") == tests).collect();
    paths.sort();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn written() -> Vec<(String, File)> {
    files(true).into_iter().map(|(name, text)| (name, serde_saphyr::from_str(&text).unwrap())).collect()
}

#[tokio::test]
async fn every_verdict_is_as_it_is_written_and_every_attack_has_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let told = run(root, &["test", "tests/verdicts"]).await;
    assert!(told.status.success(), "{}{}", told.out, told.err);
    let files = written();
    let rows: usize = files.iter().map(|(_, file)| file.tests.len()).sum();
    assert!(rows >= 300 && told.out.contains(&format!("{rows} of {rows} as written")), "{rows}: {}", told.out);
    let named = files.iter().flat_map(|(_, file)| &file.tests).filter_map(|row| row.name.split(':').next()?.parse().ok());
    let named: BTreeSet<u32> = named.collect();
    let missing: Vec<u32> = numbers().filter(|number| !named.contains(number)).collect();
    assert!(missing.is_empty(), "attacks without a row: {missing:?}");
}

/// What an address needs to have encoded of what people write; `%` stands for itself.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    text.bytes().fold(String::new(), |mut out, byte| {
        if plain(byte) {
            out.push(byte.into())
        } else {
            write!(out, "%{byte:02X}").unwrap()
        }
        out
    })
}

fn request(row: &Row, token: &str) -> Vec<u8> {
    let mut target = format!("/?{}", encoded(&row.query));
    let body = if row.method == "POST" { row.statement.as_str() } else { "" };
    if body.is_empty() {
        let joint = if row.query.is_empty() { "" } else { "&" };
        write!(target, "{joint}query={}", encoded(&row.statement.replace('%', "%25").replace('+', "%2B").replace('&', "%26"))).unwrap();
    }
    let headers: String = row.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if row.method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
    format!("{} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{headers}{length}\r\n{body}", row.method).into_bytes()
}

/// What of the row is not so in what the upstream heard.
fn unheard(row: &Row, heard: &crate::support::recorder::Heard) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, value) in row.settings.iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if heard.parameter(name).as_ref() != Some(&value) {
            wrong.push(format!("{name} is {:?} and not {value:?}", heard.parameter(name)));
        }
    }
    let parameters = heard.parameters();
    let sent: BTreeSet<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    let ours = ["database", "query_id", "log_comment", "readonly", "input_format_values_interpret_expressions"];
    let ours = [&ours[..], &["input_format_values_deduce_templates_of_expressions", "default_format", "role", "quota_key", "query"]].concat();
    if let Some(settings) = &row.settings {
        let more: Vec<&&str> =
            sent.iter().filter(|name| !ours.contains(name) && !settings.contains_key(**name) && !name.starts_with("param_")).collect();
        if !more.is_empty() {
            wrong.push(format!("also sent: {more:?}"));
        }
    }
    let roles: Vec<&String> = parameters.iter().filter(|(name, _)| name == "role").map(|(_, role)| role).collect();
    if row.roles.as_ref().is_some_and(|wanted| wanted.iter().collect::<Vec<_>>() != roles) {
        wrong.push(format!("roles {roles:?}"));
    }
    if row.quota_key.is_some() && heard.parameter("quota_key") != row.quota_key {
        wrong.push(format!("quota_key {:?}", heard.parameter("quota_key")));
    }
    if row.sends.as_ref().is_some_and(|sends| *sends != heard.text()) {
        wrong.push(format!("sent {:?}", heard.text()));
    }
    wrong
}

#[tokio::test]
async fn the_gate_says_the_same_and_the_upstream_hears_what_is_permitted_alone() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let files_of_tests = written();
    let rows = || files_of_tests.iter().flat_map(|(name, file)| file.tests.iter().map(move |row| (name, file, row)));
    let mut names: BTreeSet<&str> = rows().flat_map(|(_, _, row)| row.settings.iter().flatten()).map(|(name, _)| name.as_str()).collect();
    names.extend(["max_threads", "log_comment", "readonly", "use_query_cache", "max_execution_time", "max_result_rows"]);
    names.extend(["input_format_values_interpret_expressions", "input_format_values_deduce_templates_of_expressions"]);
    recorder.knows_settings(names.iter().map(|name| json!({"name": name, "value": "", "readonly": 0})).collect());
    let grafana = Account::new("grafana", &["--group", "dashboards"]).await;
    let plan = files(false).iter().fold(Plan::new(&issuer.url, &[&recorder.url]), |plan, (name, text)| plan.policy(name, text));
    let users = "    owner: {cluster: main, user: owner, password: {file: writer.password}}\n    writer:";
    let house = plan
        .policy("10-rules.yaml", "rules: []\n")
        .section("service_accounts", &format!("\n{}", grafana.config))
        .section("limits", "{failed_attempts: 1000000}")
        .edit("    writer:", users)
        .start()
        .await;
    let mut wrong = String::new();
    let (mut permitted, mut refused, mut observed) = (0, 0, 0);
    for (file, callers, row) in rows() {
        let who = &callers.callers[&row.caller];
        let token = match &who.service_account {
            Some(_) => grafana.key.clone(),
            None => {
                let groups: Vec<&str> = who.groups.iter().map(String::as_str).collect();
                let token = issuer.token().subject("alice").groups(&groups);
                who.claims.iter().fold(token, |token, (name, value)| token.claim(name, value.clone())).make()
            }
        };
        let before = recorder.requests().len();
        let answer = send_plain(house.http(), request(row, &token)).await;
        let heard = recorder.requests_since(before);
        let reason = answer.header("X-Keyhouse-Reason");
        let mut is_not = match row.verdict.as_str() {
            "refuse" => {
                refused += 1;
                let right =
                    heard.is_empty() && !(200..300).contains(&answer.status) && row.reason.as_deref().is_none_or(|wanted| reason == Some(wanted));
                if right { Vec::new() } else { vec![format!("{} {reason:?}, the upstream heard {}", answer.status, heard.len())] }
            }
            verdict => {
                let mark = answer.header("X-Keyhouse-Observed");
                if verdict == "observe" {
                    observed += 1
                } else {
                    permitted += 1
                }
                match heard.as_slice() {
                    [heard] if answer.status == 200 && (verdict == "observe") == mark.is_some() && mark == row.reason.as_deref() => {
                        unheard(row, heard)
                    }
                    heard => vec![format!("{} {reason:?} {mark:?}, the upstream heard {}: {}", answer.status, heard.len(), answer.text())],
                }
            }
        };
        let judged = row.rule.as_deref().filter(|rule| *rule != "none");
        if let Some(rule) = judged {
            let record = house.record_of(&answer).await;
            if record["rule"] != rule {
                is_not.push(format!("recorded under {}", record["rule"]));
            }
        }
        for is_not in is_not {
            writeln!(wrong, "{file}: {} {} {:?}: {is_not}", row.name, row.query, row.statement).unwrap();
        }
    }
    println!("{permitted} permitted, {observed} observed, {refused} refused");
    assert!(wrong.is_empty(), "{wrong}");
    assert!(permitted > 100 && observed > 3 && refused > 400, "{permitted} {observed} {refused}");
}
