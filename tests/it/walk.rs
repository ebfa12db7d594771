//! One caller, one statement, one answer: what goes to ClickHouse, what comes back, what is left in the record.

use serde_json::{Value, json};

use crate::support::{
    clickhouse::{ANALYST, ClickHouse, OWNER, WRITER},
    client::{H2, ask, get, post, send, send_plain},
    house::{House, Plan},
    issuer::Issuer,
    recorder::Recorder,
    script::Script,
    wire::End,
};

async fn house(recorder: &Recorder, issuer: &Issuer) -> House {
    Plan::new(&issuer.url, &[&recorder.url]).start().await
}

/// Settings of a server that has everything that Keyhouse sends.
fn modern() -> Vec<Value> {
    [
        ("log_comment", ""),
        ("readonly", "0"),
        ("dialect", "clickhouse"),
        ("enable_global_with_statement", "0"),
        ("input_format_values_interpret_expressions", "1"),
        ("input_format_values_deduce_templates_of_expressions", "1"),
    ]
    .map(|(name, value)| json!({"name": name, "value": value, "readonly": 0}))
    .to_vec()
}

#[tokio::test]
async fn a_permitted_read_is_exactly_one_request_written_anew() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::refuses());
    recorder.answers(Script::answer(200, &[("Content-Type", "text/tab-separated-values"), ("X-ClickHouse-Summary", r#"{"read_rows":"1"}"#)], "1\n"));
    recorder.knows_settings(modern());
    recorder.up().await;
    let house = house(&recorder, &issuer).await;
    let request = post(
        "/?database=sales&default_format=TSV&query=SELECT%20%2F*%20why%20*%2F%20id%2C",
        &issuer.token().make(),
        "\"customer\" FROM orders -- all\n WHERE note = 'it\\'s'",
    );
    let request = request.replacen("\r\n", "\r\nX-Forwarded-User: admin\r\nCookie: a=b\r\nTraceparent: 00-x\r\nReferer: x\r\n", 1);
    let answer = send(&house, request).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "{answer:?}");
    assert_eq!(answer.end, End::Whole);

    let heard = recorder.requests();
    assert_eq!(heard.len(), 1);
    let heard = &heard[0];
    assert_eq!(heard.method(), "POST");
    assert_eq!(heard.text(), "SELECT id,\n`customer` FROM orders\nWHERE note = 'it\\'s'");
    let record = &house.wait_records(1).await[0];
    let parameters: Vec<(String, String)> = heard.parameters();
    let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["database", "query_id", "default_format", "log_comment", "enable_global_with_statement", "readonly"]);
    assert_eq!(heard.parameter("database").as_deref(), Some("sales"));
    assert_eq!(heard.parameter("query_id").as_deref(), record["request_id"].as_str());
    assert_eq!(heard.parameter("readonly").as_deref(), Some("2"));
    let comment: Value = serde_json::from_str(&heard.parameter("log_comment").unwrap()).unwrap();
    assert_eq!(comment, json!({"keyhouse": {"request_id": record["request_id"], "caller": "corp/alice", "rule": "analysts"}}));
    let headers: Vec<String> = heard.head.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    let mut sorted = headers.clone();
    sorted.sort();
    assert_eq!(sorted, ["content-length", "content-type", "host", "user-agent", "x-clickhouse-key", "x-clickhouse-user"]);
    assert_eq!(heard.header("x-clickhouse-user"), Some(ANALYST.name));
    assert_eq!(heard.header("x-clickhouse-key"), Some(ANALYST.password));
    assert_eq!(answer.header("x-keyhouse-request-id"), record["request_id"].as_str());
}

#[tokio::test]
async fn the_record_tells_who_did_what_by_which_rule() {
    let (issuer, recorder) = (
        Issuer::start().await,
        Recorder::start(Script::answer(200, &[("X-ClickHouse-Summary", r#"{"read_rows":"7","result_rows":"3"}"#)], "12345")).await,
    );
    let house = house(&recorder, &issuer).await;
    let sql = "SELECT count() FROM sales.orders WHERE card = '4111' AND x IN (SELECT x FROM events) FORMAT JSON";
    ask(&house, &issuer.token().groups(&["x", "analysts"]).make(), sql).await;
    let record = house.wait_records(1).await.remove(0);
    let fixed = json!({
        "method": "POST", "http": "1.1", "provider": "corp", "subject": "alice", "username": "alice", "groups": ["x", "analysts"],
        "rule": "analysts", "act_as": "analyst", "effect": "read", "database": "default",
        "kind": "SelectWithUnionQuery",
        "reach": {
            "tables": ["events", "sales.orders"], "targets": [], "functions": ["and", "count", "equals", "in"], "table_functions": [], "also": [],
            "settings": [], "computed": [], "format": "JSON",
        },
        "statement": "SELECT count() FROM sales.orders WHERE card = ? AND x IN (SELECT x FROM events) FORMAT JSON",
        "outcome": "answered", "status": 200, "reason": null, "clickhouse_code": null, "node": recorder.url, "query_id": record["request_id"],
        "rows": 3, "summary": {"read_rows": "7", "result_rows": "3"}, "bytes": 5,
    });
    for (key, value) in fixed.as_object().unwrap() {
        assert_eq!(&record[key], value, "{key} in {record}");
    }
    assert_eq!(record["statement_digest"].as_str().map(str::len), Some(64));
    assert!(record["took_ms"].as_f64() >= record["first_byte_ms"].as_f64(), "{record}");
    assert!(record["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{record}");
}

#[tokio::test]
async fn a_statement_stands_in_the_record_as_the_config_says() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    for (form, statement) in [("full", json!("SELECT '4111' -- x")), ("digest", Value::Null), ("masked", json!("SELECT ?"))] {
        let house = Plan::new(&issuer.url, &[&recorder.url]).edit("statement: masked", &format!("statement: {form}")).start().await;
        ask(&house, &issuer.token().make(), "SELECT '4111' -- x").await;
        let record = house.wait_records(1).await.remove(0);
        assert_eq!(record["statement"], statement, "{form}");
        // printf %s "SELECT '4111' -- x" | sha256sum
        let digest = record["statement_digest"].as_str().unwrap();
        let expected = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"SELECT '4111' -- x");
        assert_eq!(digest, expected.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
}

#[tokio::test]
async fn an_insert_goes_with_the_settings_that_keep_values_data() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::refuses());
    recorder.answers(Script::ok(""));
    recorder.knows_settings(modern());
    recorder.up().await;
    let house = house(&recorder, &issuer).await;
    let token = issuer.token().groups(&["engineers"]).make();
    let answer = ask(&house, &token, "INSERT INTO events (id, name) VALUES (1, 'a'), (2, 'b')").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let heard = &recorder.requests()[0];
    assert_eq!(heard.text(), "INSERT INTO events (id, name) VALUES (1, 'a'), (2, 'b')");
    assert_eq!(heard.header("x-clickhouse-user"), Some(WRITER.name));
    assert_eq!(heard.parameter("input_format_values_interpret_expressions").as_deref(), Some("0"));
    assert_eq!(heard.parameter("input_format_values_deduce_templates_of_expressions").as_deref(), Some("0"));
    assert_eq!(heard.parameter("readonly"), None);
    let record = &house.wait_records(1).await[0];
    assert_eq!((&record["effect"], &record["reach"]["targets"]), (&json!("insert"), &json!(["events"])));
}

#[tokio::test]
async fn get_carries_reads() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let house = house(&recorder, &issuer).await;
    let authorization = format!("Authorization: Bearer {}", issuer.token().make());
    let answer = send(&house, get("/?query=SELECT+1", &[&authorization])).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((recorder.requests()[0].method(), recorder.requests()[0].text().as_str()), ("POST", "SELECT 1"));
}

#[tokio::test]
async fn http2_gets_the_same_answer() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let house = house(&recorder, &issuer).await;
    let caller = H2::tls(house.https()).await;
    let answer = caller.ask(&issuer.token().make(), "SELECT 1").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"));
    assert_eq!(house.wait_records(1).await[0]["http"], "2");
}

#[tokio::test]
async fn real_clickhouse_answers_over_https_and_what_may_not_happen_does_not() {
    let clickhouse = ClickHouse::shared().await;
    clickhouse.run(OWNER, "CREATE DATABASE IF NOT EXISTS sales").await;
    clickhouse.run(OWNER, "CREATE TABLE IF NOT EXISTS default.walk (id UInt32, name String) ENGINE = Memory").await;
    clickhouse.run(OWNER, "CREATE TABLE IF NOT EXISTS sales.salaries (name String, pay UInt32) ENGINE = Memory").await;
    clickhouse.run(OWNER, "INSERT INTO sales.salaries VALUES ('bob', 7777)").await;
    let issuer = Issuer::start().await;
    let house = Plan::new(&issuer.url, &[&clickhouse.https_url()]).start().await;
    let (analyst, engineer) = (issuer.token().make(), issuer.token().groups(&["engineers"]).make());

    let answer = ask(&house, &engineer, "INSERT INTO walk VALUES (1, 'it''s'), (2, 'b\\n')").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = ask(&house, &analyst, "SELECT id, name FROM walk ORDER BY id FORMAT JSONCompact").await;
    assert_eq!(answer.json()["data"], json!([[1, "it's"], [2, "b\n"]]));
    let through = ask(&house, &analyst, "SELECT id, toString(id * 2) AS twice FROM walk WHERE id IN (SELECT id FROM default.walk) ORDER BY id").await;
    let direct =
        clickhouse.ask(ANALYST, "SELECT id, toString(id * 2) AS twice FROM walk WHERE id IN (SELECT id FROM default.walk) ORDER BY id").await;
    assert_eq!((through.status, through.text()), (200, direct.text()));

    for (token, sql, reason) in [
        (&analyst, "SELECT pay FROM sales.salaries", "table-denied"),
        (&analyst, "SELECT 1 FROM walk WHERE (SELECT max(pay) FROM sales.salaries) = 7777", "table-denied"),
        (&analyst, "INSERT INTO walk VALUES (3, 'c')", "effect-not-allowed"),
        (&analyst, "DROP TABLE walk", "effect-not-allowed"),
        (&engineer, "SELECT pay FROM sales.salaries", "table-not-allowed"),
        (&engineer, "INSERT INTO walk SELECT 3, name FROM sales.salaries", "table-not-allowed"),
    ] {
        let answer = ask(&house, token, sql).await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (403, Some(reason)), "{sql}: {}", answer.text());
    }
    // Values are data: ClickHouse is told not to run them, and takes a query among them for a mistake.
    let answer = ask(&house, &engineer, "INSERT INTO walk VALUES (3, (SELECT name FROM sales.salaries))").await;
    assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (400, None), "{}", answer.text());
    assert_eq!(clickhouse.run(OWNER, "SELECT count() FROM walk").await.trim(), "2");

    let mistake = ask(&house, &analyst, "SELECT nothing_there FROM walk").await;
    assert_eq!(mistake.status, 404, "ClickHouse's own words: {}", mistake.text());
    assert!(mistake.text().starts_with("Code: 47"), "{}", mistake.text());
    let record = house.wait_record("ClickHouse's own error", |record| record["status"] == 404).await;
    assert_eq!((&record["clickhouse_code"], &record["outcome"]), (&json!(47), &json!("answered")));
}

#[tokio::test]
async fn values_are_data_in_the_real_clickhouse_too() {
    let clickhouse = ClickHouse::shared().await;
    clickhouse.run(OWNER, "CREATE TABLE IF NOT EXISTS default.data_only (x UInt32) ENGINE = Memory").await;
    let issuer = Issuer::start().await;
    let house = Plan::new(&issuer.url, &[&clickhouse.http_url()]).start().await;
    let token = issuer.token().groups(&["engineers"]).make();
    let answer = ask(&house, &token, "INSERT INTO data_only VALUES (toUInt32(40 + 2))").await;
    assert_ne!(answer.status, 200, "an expression was evaluated: {}", clickhouse.run(OWNER, "SELECT x FROM data_only").await);
    assert_eq!(clickhouse.run(OWNER, "SELECT count() FROM data_only").await.trim(), "0");
}

#[tokio::test]
async fn plain_http_on_loopback_is_a_way_in() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let house = house(&recorder, &issuer).await;
    let answer = send_plain(house.http(), post("/", &issuer.token().make(), "SELECT 1")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"));
}

#[tokio::test]
async fn what_drivers_send_by_themselves_is_understood_and_said() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::refuses());
    let mut rows = modern();
    rows.push(json!({"name": "cancel_http_readonly_queries_on_client_close", "value": "0", "readonly": 0}));
    rows.push(json!({"name": "date_time_input_format", "value": "basic", "readonly": 0}));
    recorder.answers(Script::ok("1\n"));
    recorder.knows_settings(rows);
    recorder.up().await;
    let house = house(&recorder, &issuer).await;
    let target = "/?session_id=s&query_id=mine&date_time_input_format=best_effort&cast_string_to_dynamic_use_inference=1";
    let answer = send(&house, post(target, &issuer.token().make(), "SELECT 1")).await;
    let ignored = "session_id, cast_string_to_dynamic_use_inference";
    assert_eq!((answer.status, answer.header("x-keyhouse-ignored")), (200, Some(ignored)), "{}", answer.text());
    assert_eq!(answer.header("x-clickhouse-query-id"), Some("mine"));
    let heard = &recorder.requests()[0];
    assert_eq!(heard.parameter("session_id"), None);
    assert_ne!(heard.parameter("query_id").as_deref(), Some("mine"));
    assert_eq!(heard.parameter("date_time_input_format").as_deref(), Some("best_effort"));
    assert_eq!(heard.parameter("cancel_http_readonly_queries_on_client_close").as_deref(), Some("1"));
    assert_eq!(heard.parameter("cast_string_to_dynamic_use_inference"), None, "the server does not have it");
    let record = &house.wait_records(1).await[0];
    assert_eq!((&record["ignored"], &record["client_query_id"]), (&json!(ignored.split(", ").collect::<Vec<_>>()), &json!("mine")));
    assert_eq!(record["query_id"].as_str(), heard.parameter("query_id").as_deref());
}

#[tokio::test]
async fn a_ping_is_answered_here() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("no")).await);
    let house = house(&recorder, &issuer).await;
    let answer = send(&house, get("/ping", &[])).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "Ok.\n"));
    let answer = send(&house, get("/ping", &["Content-Length: 24"]) + "GET /?query=DROP HTTP/1.1").await;
    assert_eq!(answer.status, 200);
    assert!(recorder.requests().is_empty());
    assert_eq!(house.wait_records(2).await.len(), 2);
}

/// A driver that is told to hold itself to reads leaves that out where the server says that it does.
#[tokio::test]
async fn who_asks_for_settings_is_told_those_of_the_user_and_not_our_own_lock() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::refuses());
    recorder.answers(Script::ok("1\n"));
    recorder.knows_settings(modern());
    recorder.up().await;
    let house = house(&recorder, &issuer).await;
    let token = issuer.token().make();
    for (sql, lock) in [
        ("SELECT name, value, readonly FROM system.settings LIMIT 10000", None),
        ("SELECT value FROM system.settings WHERE name = 'readonly'", None),
        ("SELECT 1", Some("2")),
        ("SELECT value FROM system.settings, system.one", Some("2")),
        ("SELECT value FROM system.settings WHERE name IN (SELECT a FROM default.t)", Some("2")),
        ("SELECT value FROM system.settings WHERE name IN default.t", Some("2")),
        ("SELECT value FROM settings", Some("2")),
    ] {
        let answer = ask(&house, &token, sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
        assert_eq!(recorder.requests().pop().unwrap().parameter("readonly").as_deref(), lock, "{sql}");
    }
}

#[tokio::test]
async fn what_drivers_say_in_headers_and_by_revision_is_passed_on_where_the_server_knows_it() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::refuses());
    let mut rows = modern();
    rows.push(json!({"name": "http_write_exception_in_output_format", "value": "0", "readonly": 0}));
    recorder.answers(Script::ok("1\n"));
    recorder.knows_settings(rows);
    recorder.up().await;
    let house = house(&recorder, &issuer).await;
    let token = issuer.token().make();
    let headers = "\r\nX-ClickHouse-Format: JSON\r\nX-ClickHouse-Query-Id: mine\r\nX-ClickHouse-Database: default\r\n";
    let target = "/?client_protocol_version=54460&query_id=mine&compress=0&readonly=1";
    let answer = send(&house, post(target, &token, "SELECT 1").replacen("\r\n", headers, 1)).await;
    assert_eq!((answer.status, answer.header("x-clickhouse-query-id"), answer.header("x-keyhouse-ignored")), (200, Some("mine"), None));
    let heard = recorder.requests().remove(0);
    let said = |name: &str| heard.parameter(name);
    assert_eq!((said("client_protocol_version").as_deref(), said("default_format").as_deref()), (Some("54460"), Some("JSON")));
    assert_eq!((said("compress"), said("readonly").as_deref()), (None, Some("2")), "what is sent of readonly is our own");
    // Drivers say the format of answers with an INSERT too, whose data has another.
    let engineer = issuer.token().groups(&["engineers"]).make();
    let insert = post("/", &engineer, "INSERT INTO t FORMAT CSV\n1\n").replacen("\r\n", "\r\nX-ClickHouse-Format: RowBinaryWithNamesAndTypes\r\n", 1);
    let answer = send(&house, insert).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(recorder.requests().pop().unwrap().text().ends_with("FORMAT CSV\n1\n"));
    // An id that no header could hold names nothing.
    let answer = send(&house, post("/?query_id=a%0ab", &token, "SELECT 1")).await;
    assert_eq!((answer.status, answer.header("x-keyhouse-ignored")), (200, Some("query_id")));
    assert_ne!(answer.header("x-clickhouse-query-id"), Some("a\nb"));
}

#[tokio::test]
async fn who_asks_for_reads_alone_is_held_to_that() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let house = house(&recorder, &issuer).await;
    let token = issuer.token().groups(&["engineers"]).make();
    for readonly in ["1", "2", "true"] {
        let answer = send(&house, post(&format!("/?readonly={readonly}"), &token, "INSERT INTO events VALUES (1)")).await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (403, Some("readonly-asked")), "{}", answer.text());
        assert_eq!(answer.header("x-clickhouse-exception-code"), Some("164"));
    }
    assert!(recorder.requests().is_empty());
    assert_eq!(send(&house, post("/?readonly=1", &token, "SELECT 1")).await.status, 200);
}
