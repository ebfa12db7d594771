//! What an operator writes: every mistake is told by its place, and no secret with it.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    accounts::Account,
    certificates::Certificates,
    clickhouse::{ANALYST, WRITER},
    client::{Answer, Caller, get, post},
    house::{Plan, run},
    issuer::Issuer,
    key::{Key, key_set},
    program::{Ended, KEYHOUSE, Program},
    recorder::Recorder,
    script::Script,
};

/// What stands where a secret should be named, or in the environment.
const SECRETS: [&str; 5] = [ANALYST.password, WRITER.password, "never-to-be-told", "from-the-environment", "not-even-text"];

fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name);
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// The usual folder, with the case laid over it: a config, or a folder of files by their places.
fn lay_out(case: &Path) -> TempDir {
    let usual = Plan::new("https://idp.example.com", &["https://ch1.example.com:8443"]);
    let usual = usual.file("corp.jwks.json", &key_set(&[Key::rs256()])).file("empty.password", "\n");
    let folder = usual.file("stranger.key", &Certificates::new().key).lay_out();
    fs::create_dir(folder.path().join("empty")).unwrap();
    for file in files(case) {
        let place = if case.is_dir() { file.strip_prefix(case).unwrap() } else { Path::new("keyhouse.yaml") };
        fs::copy(&file, folder.path().join(place)).unwrap();
    }
    folder
}

fn files(case: &Path) -> Vec<PathBuf> {
    if case.is_file() {
        return vec![case.to_owned()];
    }
    fs::read_dir(case).unwrap().flat_map(|entry| files(&entry.unwrap().path())).collect()
}

/// The words after `# says: ` in all its files.
fn says(case: &Path) -> Vec<String> {
    let texts = files(case).into_iter().map(|file| fs::read_to_string(file).unwrap());
    texts.flat_map(|text| text.lines().filter_map(|line| line.strip_prefix("# says: ").map(str::to_owned)).collect::<Vec<_>>()).collect()
}

async fn keyhouse(folder: &Path, subcommand: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyhouse"));
    command.args([subcommand, "--config", "keyhouse.yaml"]).current_dir(folder).env("KEYHOUSE_PASSWORD", "from-the-environment");
    command.env("KEYHOUSE_BINARY", OsString::from_vec(b"not-even-text\xff".to_vec())).env_remove("KEYHOUSE_UNSET");
    Program::start(KEYHOUSE, &mut command).run_to_end().await
}

fn tells_no_secret(name: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{name} tells {secret:?}:\n{text}");
    }
}

#[tokio::test]
async fn every_broken_config_is_refused_with_its_mistakes() {
    let cases = corpus("bad");
    assert!(cases.len() > 50, "{}", cases.len());
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let (folder, says) = (lay_out(&case), says(&case));
        assert!(!says.is_empty(), "{name} says nothing");
        let checked = keyhouse(folder.path(), "check").await;
        assert_eq!((checked.status.code(), checked.out.as_str()), (Some(1), ""), "{name}: {}", checked.err);
        for words in says {
            assert!(checked.err.contains(&words), "{name}: no {words:?} in:\n{}", checked.err);
        }
        tells_no_secret(&name, &checked.err);
    }
}

#[tokio::test]
async fn what_check_refuses_serve_refuses_with_the_same_words() {
    for name in ["unknown-keys.yaml", "password-written-out.yaml", "policy-pattern"] {
        let folder = lay_out(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/bad").join(name));
        let (checked, served) = (keyhouse(folder.path(), "check").await, keyhouse(folder.path(), "serve").await);
        assert_eq!((served.status.code(), served.err.as_str()), (Some(1), checked.err.as_str()), "{name}");
        assert!(!served.err.is_empty());
    }
}

#[tokio::test]
async fn every_good_config_is_found_good() {
    let cases = corpus("good");
    assert!(cases.len() >= 2);
    for case in cases {
        let folder = lay_out(&case);
        let checked = keyhouse(folder.path(), "check").await;
        assert_eq!((checked.status.code(), checked.err.as_str()), (Some(0), ""), "{}", case.display());
        assert!(checked.out.contains("keyhouse.yaml: good: "), "{}", checked.out);
        tells_no_secret(&case.display().to_string(), &checked.out);
    }
}

#[tokio::test]
async fn a_password_is_sent_to_clickhouse_and_written_nowhere() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let plan = Plan::new(&issuer.url, &[&recorder.url]).edit("{file: analyst.password}", "{env: KEYHOUSE_PASSWORD}");
    let house = plan.environment("KEYHOUSE_PASSWORD", "from-the-environment").log("trace").start().await;
    let mut caller = Caller::plain(house.http()).await;
    for groups in ["analysts", "engineers"] {
        caller.send(post("/", &issuer.token().groups(&[groups]).make(), "SELECT a FROM default.t")).await;
        assert_eq!(caller.answer().await.status, 200);
    }
    let heard = recorder.wait_requests(2).await;
    let keys: Vec<_> = heard.iter().map(|one| one.header("x-clickhouse-key").unwrap()).collect();
    assert_eq!(keys, ["from-the-environment", WRITER.password]);
    recorder.down().await;
    caller.send(post("/", &issuer.token().make(), "SELECT 1")).await;
    assert_eq!(caller.answer().await.status, 502);
    let records = house.wait_records(3).await;
    assert_eq!(records.len(), 3);
    // Proves that the log is as talkative as it was told to be.
    Caller::plain(house.https()).await.send("no handshake").await;
    house.program.wait_line("no TLS handshake").await;
    let status = house.stop().await;
    assert!(status.success() && house.program.log().contains("upstream-unreachable"), "{status}");
    tells_no_secret("the log", &house.program.log());
    tells_no_secret("the record", &json!(records).to_string());
}

#[tokio::test]
async fn the_example_policies_do_what_they_say() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tried = run(root, &["test", "policies"]).await;
    assert!(tried.status.success(), "{}{}", tried.out, tried.err);
    let known = ["max_execution_time", "timeout_overflow_mode", "max_result_rows", "result_overflow_mode", "readonly", "log_comment"];
    let known = [&known[..], &["input_format_values_interpret_expressions", "input_format_values_deduce_templates_of_expressions"]].concat();
    recorder.knows_settings(known.iter().map(|name| json!({"name": name, "value": "0", "readonly": 0})).collect());
    let grafana = Account::new("grafana", &["--group", "dashboards"]).await;
    let plan = Plan::new(&issuer.url, &[&recorder.url]).section("policies", &root.join("policies").display().to_string());
    let house = plan.for_the_examples(&grafana).start().await;
    let mut caller = Caller::plain(house.http()).await;
    let rows: &[(&[&str], &str, &str)] = &[
        (&["data-analysts"], "SELECT * FROM sales.orders", "analyst"),
        (&["data-analysts"], "SELECT * FROM events", "analyst"),
        (&["data-analysts"], "SELECT name FROM system.tables", "analyst"),
        (&["data-analysts", "data-engineers"], "SELECT 1", "analyst"),
        (&["data-analysts"], "SELECT * FROM sales.salaries", "table-denied"),
        (&["data-analysts"], "SELECT * FROM sales.orders WHERE id IN (SELECT id FROM sales.salaries)", "table-denied"),
        (&["data-analysts"], "SELECT * FROM default.other", "table-not-allowed"),
        (&["data-analysts"], "SELECT * FROM system.users", "table-not-allowed"),
        (&["data-analysts"], "INSERT INTO default.events VALUES (1)", "effect-not-allowed"),
        (&["data-analysts"], "DROP TABLE sales.orders", "effect-not-allowed"),
        (&["data-analysts"], "SELECT * FROM url('http://x', 'CSV', 'a Int8')", "table-function-not-allowed"),
        (&["data-engineers"], "SELECT * FROM sales.salaries", "engineer"),
        (&["data-engineers"], "INSERT INTO default.events VALUES (1)", "engineer"),
        (&["data-engineers"], "INSERT INTO sales.orders VALUES (1)", "table-not-allowed"),
        (&["data-engineers"], "INSERT INTO default.events SELECT * FROM system.users", "table-not-allowed"),
        (&["Data-Analysts"], "SELECT 1", "no-rule"),
        (&[], "SELECT 1", "no-rule"),
    ];
    for (groups, statement, expected) in rows {
        caller.send(post("/", &issuer.token().groups(groups).make(), statement)).await;
        let answer: Answer = caller.answer().await;
        let id = answer.header("x-keyhouse-request-id").unwrap();
        let record = house.wait_record(statement, |record| record["request_id"] == id).await;
        let verdict = answer.header("x-keyhouse-reason").or(record["act_as"].as_str());
        assert_eq!(verdict, Some(*expected), "{groups:?} {statement}: {}", answer.text());
        assert_eq!(answer.status, if expected.contains('-') { 403 } else { 200 }, "{statement}");
        let asked = ["table-denied", "table-not-allowed"].contains(expected) && groups.contains(&"data-analysts");
        assert!(!asked || answer.text().contains("Ask the data platform team"), "{}", answer.text());
    }
    caller.send(get("/?query=SELECT%201", &[&format!("Authorization: Bearer {}", issuer.token().make())])).await;
    assert_eq!(caller.answer().await.header("x-keyhouse-reason"), Some("no-rule"), "analysts of the tests are none of the examples'");
    let served = rows.iter().filter(|(.., expected)| !expected.contains('-')).count();
    let users: Vec<String> = recorder.requests().iter().map(|one| one.header("x-clickhouse-user").unwrap().to_owned()).collect();
    assert_eq!(users.len(), served, "{users:?}");
    assert_eq!(users.iter().filter(|user| *user == ANALYST.name).count(), 4);
}
