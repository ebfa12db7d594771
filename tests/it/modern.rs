//! What only a ClickHouse of today can show.

use serde_json::{Value, json};

use crate::support::{
    client::{Caller, ask, post},
    embedded::{Embedded, OWNER},
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
