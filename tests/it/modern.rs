//! What only a ClickHouse of today can show.

use serde_json::{Value, json};

use crate::support::{
    client::{Caller, ask, post},
    embedded::{Embedded, OWNER, read},
    house::{House, Plan},
    issuer::Issuer,
    modern_house, until,
};

#[tokio::test]
async fn the_query_log_tells_which_caller_it_was() {
    let (embedded, issuer) = (Embedded::start().await, Issuer::start().await);
    let house = modern_house(&embedded, &issuer).await;
    let answer = ask(&house, &issuer.token().make(), "SELECT count() FROM sales.orders").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "1000\n"));
    let id = house.wait_records(1).await[0]["request_id"].as_str().unwrap().to_owned();
    let sql = format!(
        "SELECT log_comment, Settings['readonly'] FROM system.query_log WHERE query_id = '{id}' AND type = 'QueryFinish' FORMAT JSONCompactEachRow"
    );
    // The table comes to be with its first lines.
    let line = async || Some(embedded.ask(OWNER, &sql).await).filter(|answer| answer.status == 200).map(|answer| answer.text());
    let line = until("a line of the query log", async || line().await.filter(|line| !line.is_empty())).await;
    let line: Value = serde_json::from_str(line.trim()).unwrap();
    let comment: Value = serde_json::from_str(line[0].as_str().unwrap()).unwrap();
    assert_eq!(comment, json!({"keyhouse": {"request_id": id, "caller": "corp/alice", "rule": "analysts"}}));
    assert_eq!(line[1], "2", "a second lock behind our own reading");
}

#[tokio::test]
async fn a_caller_who_leaves_stops_the_statement() {
    let (embedded, issuer) = (Embedded::start().await, Issuer::start().await);
    let house = modern_house(&embedded, &issuer).await;
    embedded.run("CREATE VIEW sales.endless DEFINER = owner SQL SECURITY DEFINER AS SELECT number AS id FROM system.numbers").await;
    let running = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT max(id)%'";
    let sql = "SELECT max(id) FROM sales.endless";
    let mut caller = Caller::tls(house.https()).await;
    caller.send(post("/", &issuer.token().make(), sql)).await;
    until("the statement runs", async || (embedded.run(running).await.trim() == "1").then_some(())).await;
    drop(caller);
    until("the statement is stopped", async || (embedded.run(running).await.trim() == "0").then_some(())).await;
    assert_eq!(house.wait_records(1).await[0]["outcome"], "caller-left");
}

#[tokio::test]
async fn values_are_data_and_never_code() {
    let (embedded, issuer) = (Embedded::start().await, Issuer::start().await);
    let house = modern_house(&embedded, &issuer).await;
    let token = issuer.token().groups(&["engineers"]).make();
    let answer = ask(&house, &token, "INSERT INTO sales.events (what) VALUES ('a'), ('it''s')").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = ask(&house, &token, "INSERT INTO sales.events (what) VALUES (upper('evaluated'))").await;
    assert_ne!(answer.status, 200, "an expression was evaluated");
    assert_eq!(embedded.run("SELECT what FROM sales.events ORDER BY what").await, "a\nit\\'s\n");
}

#[tokio::test]
async fn an_error_of_clickhouse_comes_with_its_code() {
    let (embedded, issuer) = (Embedded::start().await, Issuer::start().await);
    let house = modern_house(&embedded, &issuer).await;
    let answer = ask(&house, &issuer.token().make(), "SELECT nothing_there FROM sales.orders").await;
    assert_eq!((answer.status, answer.header("x-clickhouse-exception-code")), (404, Some("47")), "{}", answer.text());
    assert_eq!(house.wait_records(1).await[0]["clickhouse_code"], 47);
}

/// A house with one rule, whose callers are counted apart by ClickHouse, and with a user who ends statements.
async fn limited_house(embedded: &Embedded, issuer: &Issuer, timeout: &str) -> House {
    let rules = r#"rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    quota_key: "{username}"
    allow: [{tables: ["sales.*"]}]
  - {name: engineers, whom: {groups: [engineers]}, act_as: writer, allow: [{effects: [read, insert], tables: ["sales.*"]}]}
"#;
    let killer = format!("  users:\n    killer: {{cluster: main, user: {}, password: {{file: killer.password}}}}\n", OWNER.name);
    let plan = Plan::new(&issuer.url, &[&embedded.url]).policy("10-rules.yaml", rules).edit("  users:\n", &killer);
    let plan = plan.edit("main: {", "main: {kill_as: killer, ").file("killer.password", OWNER.password);
    plan.section("admission", &format!("{{statement_timeout: {timeout}}}")).start().await
}

#[tokio::test]
async fn what_one_caller_reads_is_counted_by_clickhouse_and_takes_nothing_from_another() {
    let quota = "<by_caller><keyed/><interval><duration>3600</duration><read_rows>150000</read_rows></interval></by_caller>";
    let users = read("deploy/embedded-clickhouse/users.xml").replace("<quotas><default/>", &format!("<quotas><default/>{quota}"));
    let (before, of_analyst) = users.split_once("<kh_analyst>").unwrap();
    let users = format!("{before}<kh_analyst>{}", of_analyst.replacen("<quota>default", "<quota>by_caller", 1));
    let embedded = Embedded::with(&users, &read("deploy/embedded-clickhouse/sample.sql")).await;
    embedded.run("CREATE VIEW sales.long DEFINER = owner SQL SECURITY DEFINER AS SELECT number AS id FROM system.numbers LIMIT 100000").await;
    let issuer = Issuer::start().await;
    let house = limited_house(&embedded, &issuer, "1m").await;
    let (alice, carol) = (issuer.token().make(), issuer.token().subject("carol").make());
    let sql = async |token: &str| ask(&house, token, "SELECT sum(id) FROM sales.long").await;
    assert_eq!(sql(&alice).await.status, 200);
    let beyond = sql(&alice).await;
    assert_eq!(beyond.header("x-clickhouse-exception-code"), Some("201"), "{}", beyond.text());
    assert_eq!(sql(&alice).await.header("x-clickhouse-exception-code"), Some("201"));
    assert_eq!(sql(&carol).await.status, 200);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_in_clickhouses_own_words_and_one_that_nobody_waits_for_is_killed() {
    let (embedded, issuer) = (Embedded::start().await, Issuer::start().await);
    let view =
        "VIEW sales.endless DEFINER = owner SQL SECURITY DEFINER AS SELECT sleepEachRow(0.1) AS id FROM system.numbers SETTINGS max_block_size = 1";
    embedded.run(&format!("CREATE {view}")).await;
    let house = limited_house(&embedded, &issuer, "2s").await;
    let ended = ask(&house, &issuer.token().make(), "SELECT max(id) FROM sales.endless").await;
    assert_eq!(ended.header("x-clickhouse-exception-code"), Some("159"), "{}", ended.text());
    assert!(ended.header("x-keyhouse-reason").is_none(), "ClickHouse was not told of its time: {}", ended.text());
    let running = async || embedded.run("SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO sales.events%'").await.trim() == "1";
    let mut caller = Caller::tls(house.https()).await;
    let token = issuer.token().subject("bob").groups(&["engineers"]).make();
    caller.send(post("/", &token, "INSERT INTO sales.events (what) SELECT toString(id) FROM sales.endless")).await;
    until("the statement runs", async || running().await.then_some(())).await;
    drop(caller);
    let killed = house.wait_record("the kill", |record| record["kills"].is_string()).await;
    assert_eq!((&killed["killed"], &killed["act_as"], &killed["clickhouse_code"]), (&json!(true), &json!("killer"), &Value::Null), "{killed}");
    until("the statement is gone", async || (!running().await).then_some(())).await;
}
