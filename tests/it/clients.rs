//! Real clients that only changed a URL: what the demo shows, through each of them, with the demo's rule and data.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{
    clickhouse::{ANALYST, User},
    embedded::{Embedded, python, read},
    house::{House, Plan},
    issuer::Issuer,
    node,
    program::Program,
};

/// What the demo's tour asks, and why it is refused.
const TOUR: [(&str, Option<&str>); 6] = [
    ("SELECT product, count(), toString(sum(amount)) FROM sales.orders GROUP BY product ORDER BY sum(amount) DESC", None),
    ("INSERT INTO sales.orders VALUES (21, 1, '2026-02-06', 'gift', 1, 0)", Some("effect-not-allowed")),
    ("DROP TABLE sales.orders", Some("effect-not-allowed")),
    ("SELECT name, pay FROM sales.salaries", Some("table-denied")),
    ("SELECT count() FROM sales.orders WHERE amount > (SELECT max(pay) FROM sales.salaries)", Some("table-denied")),
    ("SELECT count() AS orders FROM sales.orders", None),
];

type Client = fn(&House, &str, &[&str]) -> Command;
/// Each with what it sends by itself and Keyhouse leaves out.
const CLIENTS: [(&str, Client, &[&str]); 2] = [(CONNECT, connect, &["session_id"]), ("@clickhouse/client", client, &[])];
const CONNECT: &str = "clickhouse-connect";

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

fn tour() -> Vec<&'static str> {
    TOUR.iter().map(|(statement, _)| *statement).collect()
}

fn connect(house: &House, token: &str, statements: &[&str]) -> Command {
    let mut command = Command::new(python());
    command.arg(folder().join("connect.py")).args(["localhost", &house.https().port().to_string()]);
    command.arg(house.folder.path().join("ca.pem")).arg(token).args(statements);
    command
}

fn client(house: &House, token: &str, statements: &[&str]) -> Command {
    assert!(folder().join("node_modules").is_dir(), "run `npm ci` in tests/clients first (deploy/check does)");
    let mut command = Command::new(node());
    command.env("NODE_EXTRA_CA_CERTS", house.folder.path().join("ca.pem")).current_dir(folder()).arg("client.mjs");
    command.arg(format!("https://localhost:{}", house.https().port())).arg(token).args(statements);
    command
}

/// A house as the demo has it.
async fn house(embedded: &Embedded, issuer: &Issuer) -> House {
    limited_house(embedded, issuer, "{}").await
}

/// The same with these limits.
async fn limited_house(embedded: &Embedded, issuer: &Issuer, admission: &str) -> House {
    let User { name, .. } = ANALYST;
    let clickhouse = format!(
        "
  clusters:
    main: {{nodes: [\"{}\"]}}
  users:
    analyst: {{cluster: main, user: {name}, password: {{file: analyst.password}}}}",
        embedded.url
    );
    let plan = Plan::new(&issuer.url, &[&embedded.url]).section("clickhouse", &clickhouse).edit("\n  corp:", "\n  demo:");
    plan.policy("10-rules.yaml", &read("deploy/demo-files/policies/10-analysts.yaml")).section("admission", admission).start().await
}

/// What the client printed: how it connected, and a line for each statement.
async fn printed(mut command: Command) -> (Value, Vec<Value>) {
    let ended = Program::start("client", &mut command).run_to_end().await;
    assert!(ended.status.success(), "{ended:?}");
    let mut lines = ended.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let hello = lines.next().unwrap_or_else(|| panic!("{ended:?}"));
    (hello, lines.collect())
}

#[tokio::test]
async fn clients_show_what_the_tour_shows_and_leave_one_record_for_each_statement() {
    let (embedded, issuer) = (Embedded::of_the_demo().await, Issuer::start().await);
    for (name, client, ignored) in CLIENTS {
        let house = house(&embedded, &issuer).await;
        let (hello, answers) = printed(client(&house, &issuer.token().make(), &tour())).await;
        assert_eq!(hello["refused"], Value::Null, "{name}: {hello}");
        assert_eq!(answers.len(), TOUR.len(), "{name}: {answers:?}");
        assert_eq!(answers[0]["rows"][0], json!(["table", "4", "1700"]), "{name}: {answers:?}");
        assert_eq!(answers[5]["rows"], json!([["20"]]), "{name}: {answers:?}");
        for (answer, (statement, reason)) in answers.iter().zip(TOUR) {
            let says = answer["refused"].as_str().unwrap_or_default();
            let told = says.contains("Rule `analysts`") && says.contains("Ask the data platform team for access.");
            assert!(reason.is_some() == told && told != says.is_empty(), "{name}: {statement}: {answer}");
        }
        let records = house.records_in_the_end().await;
        let (about, by_itself): (Vec<&Value>, Vec<&Value>) = records.iter().partition(|record| record["reach"].to_string().contains("sales."));
        let mut left: Vec<_> = about.iter().map(|record| (record["outcome"].as_str(), record["reason"].as_str())).collect();
        let mut of_tour = TOUR.map(|(_, reason)| (Some(if reason.is_some() { "refused" } else { "answered" }), reason));
        left.sort_unstable();
        of_tour.sort_unstable();
        assert_eq!(left, of_tour, "{name}");
        let left_out = about[0]["ignored"].as_array().unwrap();
        assert!(ignored.iter().all(|name| left_out.contains(&json!(name))) && left_out.is_empty() == ignored.is_empty(), "{name}: {}", about[0]);
        // Both name their queries, each by an id that ClickHouse never hears.
        assert!(about.iter().all(|record| record["client_query_id"].is_string() && record["client_query_id"] != record["query_id"]), "{name}");
        // What it asked by itself when it connected was let through by the demo's rule.
        assert!(!by_itself.is_empty() && by_itself.iter().all(|record| record["outcome"] == "answered"), "{name}: {by_itself:?}");
    }
    assert_eq!(embedded.ask(ANALYST, "SELECT count() FROM sales.orders").await.text(), "20\n");
}

#[tokio::test]
async fn clients_show_what_is_wrong_with_a_token_or_that_there_is_none() {
    let (embedded, issuer) = (Embedded::of_the_demo().await, Issuer::start().await);
    let elsewhere = issuer.token().claim("aud", "grafana").make();
    let audience = "Token audience is [\"grafana\"]; this Keyhouse accepts [\"clickhouse\"] from provider demo.";
    for (name, client, _) in CLIENTS {
        for (token, reason, words) in [(elsewhere.as_str(), "audience_mismatch", audience), ("", "no_credentials", "Authorization: Bearer <token>")] {
            let house = house(&embedded, &issuer).await;
            // One asks when it connects, and that is all; the other goes on to its statements.
            let (hello, answers) = printed(client(&house, token, &tour())).await;
            for answer in [&hello].into_iter().chain(&answers) {
                let says = answer["refused"].as_str().unwrap_or_else(|| panic!("{name}: {answer}"));
                assert!(says.contains(words), "{name}: {says}");
            }
            let records = house.records_in_the_end().await;
            let refused = records.iter().filter(|record| record["reason"] == reason).count();
            assert_eq!(refused, 1 + answers.len(), "{name}: one for each question: {records:?}");
            assert!(records.iter().all(|record| record["node"] == Value::Null), "{name}: {records:?}");
        }
    }
}

#[tokio::test]
async fn clients_show_which_limit_they_met_and_when_to_come_again() {
    let (embedded, issuer) = (Embedded::of_the_demo().await, Issuer::start().await);
    let (rate, window) =
        ("takes 8 statements a minute for each caller (admission.caller.per_minute)", "gives 976.6 KiB of answers in 1h (admission.window)");
    for (name, client, _) in CLIENTS {
        for (admission, reason, words) in
            [("{caller: {per_minute: 8}}", "rate-exceeded", rate), ("{window: {length: 1h, answer_bytes: 1MB}}", "window-exceeded", window)]
        {
            let house = limited_house(&embedded, &issuer, admission).await;
            let statements = ["SELECT arrayStringConcat(arrayMap(x -> toString(cityHash64(x)), range(30000)))"; 12];
            let (hello, answers) = printed(client(&house, &issuer.token().make(), &statements)).await;
            let records = house.records_in_the_end().await;
            assert_eq!((&hello["refused"], answers.len()), (&Value::Null, statements.len()), "{name}: {hello}");
            let says = answers[statements.len() - 1]["refused"].as_str().unwrap_or_else(|| panic!("{name}: {answers:?}"));
            assert!(says.contains(words) && says.contains("Ask again in "), "{name}: {says}");
            // One of them asks twice more at once, by itself, before it shows that to anybody.
            let (shown, told) = (
                answers.iter().filter(|answer| answer["refused"].as_str().is_some_and(|says| says.contains(words))).count(),
                records.iter().filter(|record| record["outcome"] == "refused" && record["reason"] == reason).count(),
            );
            assert!(shown > 2 && told == if name == CONNECT { 3 * shown } else { shown }, "{name}: {shown} {told}");
        }
    }
}
