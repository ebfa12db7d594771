//! Real clients that only changed a URL, in front of today's ClickHouse.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    embedded::{Embedded, python},
    house::House,
    issuer::Issuer,
    modern_house,
    program::Program,
};

const STATEMENTS: [&str; 4] = [
    "SELECT id, region, toString(amount) FROM sales.orders WHERE region = 'east' ORDER BY id LIMIT 2",
    "INSERT INTO sales.orders VALUES (1, 'east', 1, now())",
    "DROP TABLE sales.orders",
    "SELECT * FROM hr.salaries",
];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Every line that the client printed, after the first one.
async fn answers(mut command: Command, first: &str) -> Vec<Value> {
    let ended = Program::start("client", &mut command).run_to_end().await;
    assert!(ended.status.success(), "{ended:?}");
    let mut lines = ended.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let hello = lines.next().unwrap_or_else(|| panic!("{ended:?}"));
    assert!(!hello[first].is_null() && hello[first] != false, "{hello}");
    lines.collect()
}

/// The same four statements, the same four outcomes, and one record for each.
async fn told_the_same(house: &House, embedded: &Embedded, answers: Vec<Value>) {
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert_eq!(answers[0]["rows"], serde_json::json!([["1", "east", "1.25"], ["5", "east", "6.25"]]), "{answers:?}");
    let reasons = ["effect-not-allowed", "effect-not-allowed", "table-not-allowed"];
    for (answer, reason) in answers[1..].iter().zip(reasons) {
        let says = answer["refused"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(says.contains("Rule `analysts`"), "{says}");
        house.wait_record(reason, |record| record["reason"] == reason).await;
    }
    assert_eq!(embedded.run("SELECT count() FROM sales.orders").await.trim(), "1000");
}

fn connect(house: &House, token: &str, statements: &[&str]) -> Command {
    let mut command = Command::new(python());
    command.arg(folder().join("connect.py")).args(["localhost", &house.https().port().to_string()]);
    command.arg(house.folder.path().join("ca.pem")).arg(token).args(statements);
    command
}

fn node(house: &House, token: &str, statements: &[&str]) -> Command {
    assert!(folder().join("node_modules").is_dir(), "run `npm ci` in tests/clients first (deploy/check does)");
    let mut command = Command::new(crate::support::node());
    command.env("NODE_EXTRA_CA_CERTS", house.folder.path().join("ca.pem")).current_dir(folder()).arg("client.mjs");
    command.arg(format!("https://localhost:{}", house.https().port())).arg(token).args(statements);
    command
}

#[tokio::test]
async fn clickhouse_connect_reads_and_is_told_why_it_may_not_write() {
    let (embedded, issuer) = (Embedded::start().await, Issuer::start().await);
    let house = modern_house(&embedded, &issuer).await;
    let answers = answers(connect(&house, &issuer.token().make(), &STATEMENTS), "server").await;
    told_the_same(&house, &embedded, answers).await;
    let read = house.wait_record("the read", |record| record["outcome"] == "answered" && record["reach"]["tables"][0] == "sales.orders").await;
    assert!(read["ignored"].as_array().unwrap().contains(&"session_id".into()), "{read}");
}

#[tokio::test]
async fn clickhouse_client_for_node_reads_and_is_told_why_it_may_not_write() {
    let (embedded, issuer) = (Embedded::start().await, Issuer::start().await);
    let house = modern_house(&embedded, &issuer).await;
    let answers = answers(node(&house, &issuer.token().make(), &STATEMENTS), "ping").await;
    told_the_same(&house, &embedded, answers).await;
}

#[tokio::test]
async fn clients_show_what_is_wrong_with_a_token() {
    let (embedded, issuer) = (Embedded::start().await, Issuer::start().await);
    let house = modern_house(&embedded, &issuer).await;
    let token = issuer.token().claim("aud", "grafana").make();
    let words = "Token audience is [\"grafana\"]; this Keyhouse accepts [\"clickhouse\"] from provider corp.";
    // clickhouse-connect asks when it connects; the other client with its first statement.
    let connected = Program::start("client", &mut connect(&house, &token, &STATEMENTS)).run_to_end().await;
    let refused: Value = serde_json::from_str(&connected.out).unwrap_or_else(|error| panic!("{error}: {connected:?}"));
    assert!(refused["refused"].as_str().is_some_and(|says| says.contains(words)), "{refused}");
    let answers = answers(node(&house, &token, &STATEMENTS[..1]), "ping").await;
    assert!(answers[0]["refused"].as_str().is_some_and(|says| says.contains(words)), "{answers:?}");
    assert!(house.records().iter().filter(|record| record["reason"] == "audience_mismatch").count() >= 2);
}
