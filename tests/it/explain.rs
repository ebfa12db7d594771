//! `keyhouse explain` and `keyhouse test`: what the gate would make of a request, told without a server.

use std::fs;

use tempfile::TempDir;

use crate::support::{
    client::{Answer, post, send_plain},
    house::{House, Plan, run},
    issuer::Issuer,
    program::Ended,
    recorder::Recorder,
    script::Script,
};

const RULES: &str = r#"rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow: [{tables: ["sales.*"]}]
    settings: {cap: {max_execution_time: 60}}
    owner: the data team
"#;

fn lay_out() -> TempDir {
    let folder = Plan::new("http://127.0.0.1:1", &["http://127.0.0.1:2"]).policy("10-rules.yaml", RULES).lay_out();
    fs::write(folder.path().join("alice.yaml"), "{provider: corp, username: alice, groups: [analysts]}").unwrap();
    folder
}

async fn explain(folder: &TempDir, more: &[&str]) -> Ended {
    let mut arguments = vec!["explain", "--config", "keyhouse.yaml", "--as", "alice.yaml"];
    arguments.extend(more);
    run(folder.path(), &arguments).await
}

#[tokio::test]
async fn a_permit_is_told_with_its_rule_its_line_and_the_request_without_secrets() {
    let folder = lay_out();
    let told = explain(&folder, &["--statement", "SELECT  id FROM sales.orders -- x", "--query", "max_execution_time=90&session_id=s"]).await;
    assert_eq!(told.status.code(), Some(0), "{}{}", told.out, told.err);
    for line in [
        "caller     alice (corp/alice), in analysts, from 127.0.0.1\n",
        "rule       analysts (policies/10-rules.yaml:2)\n",
        "statement  read (SelectWithUnionQuery)\n",
        "verdict    permitted, as analyst\n",
        "ignored    session_id\n",
        "POST /?database=default&query_id=REQUEST-ID&max_execution_time=60&timeout_overflow_mode=throw&",
        "\nx-clickhouse-key: (secret)\n",
        "\n\nSELECT id FROM sales.orders\n",
    ] {
        assert!(told.out.contains(line), "no {line:?} in:\n{}", told.out);
    }
    let secret = fs::read_to_string(folder.path().join("analyst.password")).unwrap();
    assert!(!told.out.contains(secret.trim()), "{}", told.out);
}

#[tokio::test]
async fn limits_are_told_and_whether_an_answer_is_kept() {
    let rules = RULES.replace(
        "owner: the data team",
        "admission: {per_minute: 60, caller: {concurrent: 2, statement_timeout: 30s}}\n    answers: {ttl: 1m, stale_while_refreshing: 5m, shared_with: rule}",
    );
    let plan = Plan::new("http://127.0.0.1:1", &["http://127.0.0.1:2"]).policy("10-rules.yaml", &rules);
    let folder = plan.section("admission", "{concurrent: 100, caller: {window: {length: 1h, answer_bytes: 1GiB}}}").lay_out();
    fs::write(folder.path().join("alice.yaml"), "{provider: corp, username: alice, groups: [analysts]}").unwrap();
    let told = explain(&folder, &["--statement", "SELECT id FROM sales.orders"]).await;
    let lines = concat!(
        "limits     each caller by this rule: 2 at once, 30s for each statement\n",
        "limits     each caller: 1.0 GiB of answers in 1h\n",
        "limits     this rule: 60 a minute\n",
        "limits     all: 100 at once\n",
        "answer     kept for 1m, and 5m more while it is asked again, for all callers of the rule, where it has at most 1.0 MiB\n",
    );
    assert!(told.out.contains(lines), "{}{}", told.out, told.err);
    let told = explain(&folder, &["--statement", "SELECT now() FROM sales.orders"]).await;
    assert!(told.out.contains("answer     not kept (function now), though the rule keeps answers\n"), "{}", told.out);
}

#[tokio::test]
async fn a_refusal_is_told_with_what_it_lacked() {
    let folder = lay_out();
    let told = explain(&folder, &["--statement", "SELECT 1 FROM sec.secret"]).await;
    assert_eq!(told.status.code(), Some(1), "{}", told.err);
    let verdict =
        "verdict    refused (table-not-allowed, HTTP 403): Rule `analysts` does not allow `read` of the table sec.secret. Ask the data team.\n";
    assert!(told.out.contains(verdict), "{}", told.out);
    fs::write(folder.path().join("alice.yaml"), "{provider: corp, username: alice, groups: [others]}").unwrap();
    let told = explain(&folder, &["--statement", "SELECT 1"]).await;
    assert!(told.status.code() == Some(1) && told.out.contains("rule       none\n") && told.out.contains("(no-rule,"), "{}", told.out);
}

#[tokio::test]
async fn a_whole_request_is_read_as_the_gate_reads_it() {
    let folder = lay_out();
    let ask = async |request: &str| {
        fs::write(folder.path().join("request"), request).unwrap();
        explain(&folder, &["--request", "request"]).await
    };
    let seam = ask("POST /?query=SELECT%201%20/* HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a.b.c\r\n\r\n*/ FROM sec.secret").await;
    assert!(seam.status.code() == Some(1) && seam.out.contains("table-not-allowed"), "{}{}", seam.out, seam.err);
    let rule = ask("GET /?query=SELECT%201&select=1 HTTP/1.1\nHost: x\n\n").await;
    assert!(rule.status.code() == Some(1) && rule.out.contains("parameter-not-allowed"), "{}{}", rule.out, rule.err);
    let write = ask("GET /?query=INSERT%20INTO%20sales.orders%20SELECT%201 HTTP/1.1\nHost: x\n\n").await;
    assert!(write.status.code() == Some(1) && write.out.contains("write-by-get"), "{}{}", write.out, write.err);
    for (mistake, says) in [
        ("GET / HTTP/1.1\nHost: x\n", "the request's head has no end"),
        ("nonsense", "the request's head has no end"),
        ("GET /\x01 HTTP/1.1\n\n", "cannot be read"),
        ("POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n0\r\n\r\n", "comes in chunks"),
    ] {
        let told = ask(mistake).await;
        assert!(told.status.code() == Some(2) && told.err.contains(says), "{mistake:?}: {}", told.err);
    }
}

#[tokio::test]
async fn a_token_is_judged_before_the_statement() {
    let issuer = Issuer::start().await;
    let folder = Plan::new(&issuer.url, &["http://127.0.0.1:2"]).policy("10-rules.yaml", RULES).lay_out();
    for (token, code, says) in [
        (issuer.token().make(), 0, "verdict    permitted, as analyst\n"),
        (issuer.token().groups(&["others"]).make(), 1, "(no-rule,"),
        ("nonsense".to_owned(), 1, "refused (opaque_token): "),
    ] {
        fs::write(folder.path().join("token"), token).unwrap();
        let told = run(folder.path(), &["explain", "--config", "keyhouse.yaml", "--token", "token", "--statement", "SELECT 1"]).await;
        assert!(told.status.code() == Some(code) && told.out.contains(says), "{}{}", told.out, told.err);
    }
}

#[tokio::test]
async fn a_test_that_comes_out_otherwise_is_told_with_both_sides() {
    let folder = lay_out();
    let tests = "callers: {alice: {provider: corp, username: alice, groups: [analysts]}}
tests:
  - {as: alice, statement: SELECT 1 FROM sales.orders, verdict: permit, rule: analysts, settings: {max_execution_time: 60, timeout_overflow_mode: throw}}
  - {as: alice, statement: SELECT 1 FROM sec.secret, verdict: refuse, reason: table-not-allowed, says: Ask the data team}
";
    let ask = async |tests: &str, config: bool| {
        fs::write(folder.path().join("policies/10-rules.test.yaml"), tests).unwrap();
        run(folder.path(), if config { &["test", "policies", "--config", "keyhouse.yaml"] } else { &["test", "policies"] }).await
    };
    for config in [false, true] {
        let told = ask(tests, config).await;
        assert!(told.status.code() == Some(0) && told.out.starts_with("2 of 2 as written, 1 rule(s), "), "{}{}", told.out, told.err);
    }
    let wrong = tests.replace("time: 60", "time: 90").replace("verdict: refuse", "verdict: permit");
    let told = ask(&wrong, false).await;
    assert_eq!(told.status.code(), Some(1), "{}", told.err);
    for line in [
        "10-rules.test.yaml: tests[0] SELECT 1 FROM sales.orders\n",
        "  - settings: max_execution_time=90, timeout_overflow_mode=throw\n  + settings: max_execution_time=60, timeout_overflow_mode=throw\n",
        "  - verdict: permit\n  + verdict: refuse (table-not-allowed): Rule `analysts` does not allow",
        "0 of 2 as written",
    ] {
        assert!(told.out.contains(line), "no {line:?} in:\n{}", told.out);
    }
    let told = ask("tests: [{as: bob, statement: SELECT 1, verdict: permit}]", false).await;
    assert!(told.status.code() == Some(1) && told.out.contains("there is no caller `bob`"), "{}", told.out);
    let told = ask("tests: [{as: bob, statment: SELECT 1, verdict: permit}]", false).await;
    assert!(told.status.code() == Some(2) && told.err.contains("statment: is not a key"), "{}", told.err);
}

async fn observed(rules: &str) -> (Recorder, House, String) {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).policy("10-rules.yaml", rules).start().await;
    let token = issuer.token().make();
    (recorder, house, token)
}

#[tokio::test]
async fn a_rule_under_observation_tells_what_it_would_refuse_and_lets_it_pass() {
    let (recorder, house, token) = observed(&RULES.replace("settings: {cap: {max_execution_time: 60}}", "observe: true")).await;
    let said = house.program.wait_line("is observed and not enforced").await;
    assert!(said.contains("analysts"), "{said}");
    let ask = async |target: &str, sql: &str| -> Answer { send_plain(house.http(), post(target, &token, sql)).await };
    let passed = ask("/?max_threads=3", "SELECT 1 FROM sec.secret").await;
    assert_eq!((passed.status, passed.header("X-Keyhouse-Observed")), (200, Some("setting-not-allowed")));
    let record = house.record_of(&passed).await;
    assert_eq!((&record["observed"], &record["outcome"], &record["act_as"]), (&"setting-not-allowed".into(), &"answered".into(), &"analyst".into()));
    assert_eq!(recorder.requests().len(), 1);
    let good = ask("/", "SELECT 1 FROM sales.orders").await;
    assert_eq!((good.status, good.header("X-Keyhouse-Observed")), (200, None));
    let heard = recorder.requests().len();
    for (target, sql, reason) in [
        ("/", "SELEC 1", "not-understood"),
        ("/?select=1", "SELECT 1", "parameter-not-allowed"),
        ("/?role=admin", "SELECT 1", "role-not-allowed"),
        ("/", "SELECT 1 SETTINGS readonly = 0", "setting-not-allowed"),
        ("/", "SELECT 1 SETTINGS log_queries = 0", "setting-not-allowed"),
    ] {
        let answer = ask(target, sql).await;
        assert_eq!(answer.header("X-Keyhouse-Reason"), Some(reason), "{target} {sql}");
    }
    assert_eq!(recorder.requests().len(), heard);
    let metrics = house.admin_get("/metrics").await.text();
    assert!(metrics.contains("keyhouse_observed_total{reason=\"setting-not-allowed\",rule=\"analysts\"} 1"), "{metrics}");
}
