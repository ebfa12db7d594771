//! The verdicts of `tests/verdicts`, alone as `keyhouse test` tries them, and through the gate, by what the upstream saw.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use keyhouse::trial::{Verdict, WrittenTest, WrittenTests};
use serde_json::{Value, json};

use crate::support::{
    accounts::Account,
    client::{Answer, send_plain},
    house::{Plan, run},
    issuer::Issuer,
    raw::encoded,
    recorder::{Heard, Recorder},
    script::Script,
};

/// The attacks that have to have a row.
fn numbers() -> impl Iterator<Item = u32> {
    (61..=94).chain([103, 104]).chain(114..=145).chain(149..=155)
}

/// The HTTP status of a refusal.
fn status_of(reason: &str) -> u16 {
    match reason {
        "parameter-not-allowed" | "malformed-parameter" | "not-understood" | "several-statements" => 400,
        _ => 403,
    }
}

/// The files of the folder that are tests, or policies.
fn files(tests: bool) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verdicts");
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| name(path).ends_with(".test.yaml") == tests).collect();
    paths.sort();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn written() -> Vec<(String, WrittenTests)> {
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
    let names = files.iter().flat_map(|(_, file)| &file.tests).filter_map(|row| row.name.as_deref());
    let named: BTreeSet<u32> = names.filter_map(|name| name.split(':').next()?.parse().ok()).collect();
    let missing: Vec<u32> = numbers().filter(|number| !named.contains(number)).collect();
    assert!(missing.is_empty(), "attacks without a row: {missing:?}");
}

fn request(row: &WrittenTest, token: &str) -> Vec<u8> {
    let mut target = encoded(&format!("/?{}", row.query));
    let body = if row.method == "POST" { row.statement.as_str() } else { "" };
    if body.is_empty() {
        let joint = if row.query.is_empty() { "" } else { "&" };
        write!(target, "{joint}query={}", encoded(&row.statement.replace('%', "%25").replace('+', "%2B").replace('&', "%26"))).unwrap();
    }
    let headers: String = row.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if row.method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
    format!("{} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{headers}{length}\r\n{body}", row.method).into_bytes()
}

/// What is sent whatever the rule says.
const OURS: [&str; 10] = [
    "database",
    "query_id",
    "log_comment",
    "readonly",
    "input_format_values_interpret_expressions",
    "input_format_values_deduce_templates_of_expressions",
    "default_format",
    "role",
    "quota_key",
    "query",
];

/// What of a row that passes is not so in what the upstream heard.
fn unheard(row: &WrittenTest, heard: &Heard) -> Vec<String> {
    let mut wrong = Vec::new();
    let parameters = heard.parameters();
    if let Some(settings) = &row.settings {
        for (name, value) in settings {
            if heard.parameter(name) != Some(value.to_string()) {
                wrong.push(format!("{name} is {:?} and not {value}", heard.parameter(name)));
            }
        }
        let is_wanted = |name: &str| OURS.contains(&name) || settings.contains_key(name) || name.starts_with("param_");
        wrong.extend(parameters.iter().filter(|(name, _)| !is_wanted(name)).map(|(name, _)| format!("{name} is sent too")));
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

/// What of a row is not so in its answer and in what the upstream heard.
fn unanswered(row: &WrittenTest, answer: &Answer, heard: &[Heard]) -> Vec<String> {
    let (reason, mark) = (answer.header("X-Keyhouse-Reason"), answer.header("X-Keyhouse-Observed"));
    let came = || vec![format!("{} {reason:?} {mark:?}, the upstream heard {}: {}", answer.status, heard.len(), answer.text())];
    let wanted = row.reason.as_deref();
    match (row.verdict, heard) {
        (Verdict::Refuse, []) => {
            let code = format!("Code: {}. DB::Exception: ", answer.header("X-ClickHouse-Exception-Code").unwrap_or_default());
            let told = answer.text().starts_with(&code) && row.says.as_ref().is_none_or(|says| answer.text().contains(says));
            let good = wanted.is_none_or(|wanted| (reason, answer.status) == (Some(wanted), status_of(wanted)));
            if told && good && reason.is_some() && answer.status >= 400 { Vec::new() } else { came() }
        }
        (Verdict::Permit | Verdict::Observe, [heard]) => {
            let observed = (row.verdict == Verdict::Observe) == mark.is_some() && mark == wanted;
            if answer.status == 200 && observed { unheard(row, heard) } else { came() }
        }
        (Verdict::Refuse | Verdict::Permit | Verdict::Observe, _) => came(),
    }
}

/// What of a row is not so in its one record.
fn unrecorded(row: &WrittenTest, answer: &Answer, records: &[&Value]) -> Vec<String> {
    let [record] = records else { return vec![format!("{} records", records.len())] };
    let mut wrong = Vec::new();
    let outcome = if row.verdict == Verdict::Refuse { "refused" } else { "answered" };
    let mark = if row.verdict == Verdict::Observe { "X-Keyhouse-Observed" } else { "X-Keyhouse-Reason" };
    let said = if row.verdict == Verdict::Observe { &record["observed"] } else { &record["reason"] };
    if (&record["outcome"], said, &record["status"]) != (&json!(outcome), &json!(answer.header(mark)), &json!(answer.status)) {
        wrong.push(format!("recorded as {} {said} {}", record["outcome"], record["status"]));
    }
    if row.rule.as_ref().is_some_and(|rule| rule != "none" && record["rule"] != **rule) {
        wrong.push(format!("recorded under {}", record["rule"]));
    }
    wrong
}

#[tokio::test]
async fn the_gate_says_the_same_and_the_upstream_hears_what_is_permitted_alone() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let files_of_tests = written();
    let rows: Vec<_> =
        files_of_tests.iter().flat_map(|(name, file)| file.tests.iter().map(move |row| (name, &file.callers[&row.caller], row))).collect();
    let mut names: BTreeSet<&str> = rows.iter().filter_map(|(.., row)| row.settings.as_ref()).flat_map(BTreeMap::keys).map(String::as_str).collect();
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
    let mut came = Vec::new();
    for (_, who, row) in &rows {
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
        came.push((unanswered(row, &answer, &heard), answer));
    }
    let records = house.wait_records(rows.len()).await;
    let mut by_request: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in &records {
        by_request.entry(record["request_id"].as_str().unwrap()).or_default().push(record);
    }
    let mut wrong = String::new();
    for ((file, _, row), (is_not, answer)) in rows.iter().zip(came) {
        let of_it = by_request.get(answer.header("X-Keyhouse-Request-Id").unwrap()).map_or(&[][..], Vec::as_slice);
        for is_not in is_not.into_iter().chain(unrecorded(row, &answer, of_it)) {
            writeln!(wrong, "{file}: {:?} {} {:?}: {is_not}", row.name, row.query, row.statement).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let count = |verdict| rows.iter().filter(|(.., row)| row.verdict == verdict).count();
    let (permitted, observed, refused) = (count(Verdict::Permit), count(Verdict::Observe), count(Verdict::Refuse));
    println!("{permitted} permitted, {observed} observed, {refused} refused");
    assert!(permitted > 100 && observed > 3 && refused > 400, "{permitted} {observed} {refused}");
}
