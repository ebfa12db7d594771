//! How fast bytes go, how many a window of time has room for, and when a statement has to be over.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    clickhouse::{ClickHouse, OWNER},
    client::{Answer, Caller, ask, post},
    house::Plan,
    issuer::Issuer,
    recorder::{Heard, Recorder},
    scene::Scene,
    script::{Script, is_data},
    until,
    wire::End,
};

const RUNNING: &str = "keyhouse_statements_running";
const SQL: &str = "SELECT a FROM default.t";

async fn house(script: Script, admission: &str) -> Scene {
    Scene::start(script, |plan| plan.section("admission", admission)).await
}

fn killer(plan: Plan) -> Plan {
    plan.edit("  users:\n", "  users:\n    killer: {cluster: main, user: kh_killer, password: {file: analyst.password}}\n")
        .edit("main: {", "main: {kill_as: killer, ")
}

fn is_kill(heard: &Heard) -> bool {
    heard.text().starts_with("KILL ")
}

fn settings() -> Vec<Value> {
    let row = |name: &str, value: &str| json!({"name": name, "value": value, "readonly": 0});
    vec![
        row("readonly", "0"),
        row("log_comment", ""),
        row("max_execution_time", "0"),
        row("timeout_overflow_mode", "throw"),
        row("input_format_values_interpret_expressions", "1"),
        row("input_format_values_deduce_templates_of_expressions", "1"),
    ]
}

#[tokio::test]
async fn answers_of_all_who_share_a_rate_take_their_time_and_lose_nothing() {
    let scene = house(Script::streams(150_000), "{answers_per_second: 100kB}").await;
    let began = Instant::now();
    let answers = [ask(&scene.house, &scene.alice, SQL), ask(&scene.house, &scene.bob, SQL)];
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!((answer.status, answer.body.len(), answer.end), (200, 150_000, End::Whole));
        assert!(is_data(0, &answer.body));
    }
    // 300 kB, of which the last piece and a tenth of a second wait for nothing.
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn data_takes_its_time_also_where_nobody_says_how_much_it_is() {
    let scene = house(Script::ok(""), "{caller: {data_per_second: 100kB}}").await;
    let data = "(1),".repeat(50_000);
    let began = Instant::now();
    let mut caller = Caller::plain(scene.house.http()).await;
    let head = format!(
        "POST /?query=INSERT%20INTO%20default.t%20VALUES HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        scene.bob
    );
    caller.send(head).await;
    for piece in data.as_bytes().chunks(10_000) {
        caller.send(format!("{:x}\r\n", piece.len())).await;
        caller.send(piece).await;
        caller.send("\r\n").await;
    }
    caller.send("0\r\n\r\n").await;
    assert_eq!(caller.answer().await.status, 200);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    let heard = scene.recorder.wait_requests(1).await;
    assert!(heard[0].text().ends_with(&data) && heard[0].whole);
}

#[tokio::test]
async fn a_window_has_room_for_so_many_bytes_of_each_caller_and_no_more() {
    let rules = r#"
rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow: [{tables: ["default.*"]}]
    answers: {ttl: 1h}
    admission: {caller: {window: {length: 1h, answer_bytes: 100kB}}}
"#;
    let scene = Scene::start(Script::streams(40_000), |plan| plan.policy("10-rules.yaml", rules)).await;
    // Two fit, the second of them kept; the third goes beyond.
    let whole = [ask(&scene.house, &scene.alice, SQL).await, ask(&scene.house, &scene.alice, SQL).await];
    let expected = [Some("asked"), Some("kept")];
    assert_eq!(whole.each_ref().map(|answer| (answer.header("x-keyhouse-answer"), answer.body.len())), expected.map(|how| (how, 40_000)));
    scene.recorder.answers(Script::streams(400_000));
    let mut caller = Caller::plain(scene.house.http()).await;
    caller.send(post("/", &scene.alice, "SELECT b FROM default.t")).await;
    let cut = caller.answer().await;
    assert!(cut.end != End::Whole && cut.body.len() <= 20_000 && is_data(0, &cut.body), "{:?} {}", cut.end, cut.body.len());
    let record = scene.record_of(&cut).await;
    assert_eq!((&record["outcome"], &record["reason"]), (&"cut-off".into(), &"window-exceeded".into()), "{record}");
    assert_eq!(scene.metric(r#"keyhouse_requests_total{outcome="cut-off",reason="window-exceeded"}"#).await, 1);
    let heard = scene.recorder.requests().len();
    let refused = ask(&scene.house, &scene.alice, SQL).await;
    scene.refused(&refused, 429, "window-exceeded").await;
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
    let says = "Rule `analysts` gives 97.7 KiB of answers in 1h for each caller (admission.caller.window of the rule), and that is used up.";
    assert!(refused.text().contains(says), "{}", refused.text());
    assert_eq!((refused.header("x-clickhouse-exception-code"), scene.recorder.requests().len()), (Some("201"), heard));
    let carol = scene.token().subject("carol").make();
    assert_eq!(ask(&scene.house, &carol, SQL).await.status, 200);
}

#[tokio::test]
async fn clickhouse_is_told_what_is_left_of_a_statements_time() {
    let recorder = Recorder::start(Script::ok("1\n")).await;
    recorder.knows_settings(settings());
    let rules = r#"
rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow: [{tables: ["default.*"]}]
    settings: {cap: {max_execution_time: 100}}
    admission: {statement_timeout: 60s}
"#;
    let scene = Scene::ready(recorder, |plan| plan.section("admission", "{statement_timeout: 90s}").policy("10-rules.yaml", rules)).await;
    for (query, told) in [("/", "60"), ("/?max_execution_time=70", "60"), ("/?max_execution_time=20", "20")] {
        let mut caller = Caller::plain(scene.house.http()).await;
        caller.send(post(query, &scene.alice, SQL)).await;
        assert_eq!(caller.answer().await.status, 200);
        let heard = scene.recorder.requests().pop().unwrap();
        assert_eq!(heard.parameter("max_execution_time").as_deref(), Some(told), "{query}");
        assert_eq!(heard.parameters().iter().filter(|(name, _)| name == "max_execution_time").count(), 1);
    }
}

/// What the killing of this request's statement left behind.
async fn killing(scene: &Scene, request: &Answer) -> Value {
    let id = request.header("X-Keyhouse-Request-Id").unwrap();
    scene.house.wait_record("the record of the kill", |record| record["kills"] == id).await
}

#[tokio::test]
async fn a_statement_whose_time_is_over_is_refused_and_killed_by_who_is_named() {
    let recorder = Recorder::start(Script::ok("")).await;
    recorder.answers_by(|heard| if is_kill(heard) { Script::ok("waiting\tid\tanalyst\tSELECT\n") } else { Script::stalls() });
    let shape = |plan: Plan| killer(plan).section("admission", "{concurrent: 5, statement_timeout: 1s}");
    let scene = Scene::ready(recorder, shape).await;
    let refused = ask(&scene.house, &scene.alice, SQL).await;
    let record = scene.refused(&refused, 504, "statement-timeout").await;
    assert_eq!(refused.header("x-clickhouse-exception-code"), Some("159"));
    let killed = killing(&scene, &refused).await;
    assert_eq!((&killed["killed"], &killed["outcome"], &killed["act_as"]), (&true.into(), &"answered".into(), &"killer".into()), "{killed}");
    assert_eq!((&killed["caller"], &killed["rule"]), (&record["caller"], &record["rule"]));
    let heard = scene.recorder.requests();
    let kill = heard.iter().find(|heard| is_kill(heard)).unwrap();
    let id = refused.header("X-Keyhouse-Request-Id").unwrap();
    assert_eq!(kill.text(), format!("KILL QUERY WHERE query_id = '{id}' FORMAT TabSeparated"));
    assert_eq!((kill.header("x-clickhouse-user"), heard.len()), (Some("kh_killer"), 2));
    scene.wait_metric(RUNNING, 0).await;
    scene.wait_metric("keyhouse_requests_running", 0).await;
}

#[tokio::test]
async fn an_answer_whose_time_is_over_is_cut_and_never_ended() {
    let recorder = Recorder::start(Script::ok("")).await;
    recorder.answers_by(|heard| if is_kill(heard) { Script::exception(497, 497, "Not enough privileges") } else { Script::stalls_after("first\n") });
    let shape = |plan: Plan| killer(plan).section("admission", "{concurrent: 5, statement_timeout: 1s}");
    let scene = Scene::ready(recorder, shape).await;
    let cut = ask(&scene.house, &scene.alice, SQL).await;
    assert!(cut.end != End::Whole && cut.text() == "first\n", "{:?}", cut.end);
    let record = scene.record_of(&cut).await;
    assert_eq!((&record["outcome"], &record["reason"]), (&"cut-off".into(), &"statement-timeout".into()));
    let killed = killing(&scene, &cut).await;
    assert_eq!((&killed["killed"], &killed["clickhouse_code"]), (&Value::Null, &497.into()), "{killed}");
    scene.wait_metric(RUNNING, 0).await;
}

#[tokio::test]
async fn who_leaves_has_the_statement_killed_and_one_that_ended_is_left_alone() {
    let recorder = Recorder::start(Script::ok("")).await;
    recorder.answers_by(|heard| match heard.text().as_str() {
        text if text.starts_with("KILL ") => Script::ok(""),
        text if text.contains("slow") => Script::stalls_after("first\n"),
        _ => Script::ok("1\n"),
    });
    let scene = Scene::ready(recorder, killer).await;
    assert_eq!(ask(&scene.house, &scene.alice, SQL).await.status, 200);
    let mut caller = Caller::plain(scene.house.http()).await;
    caller.send(post("/", &scene.alice, "SELECT slow FROM default.t")).await;
    caller.through("first").await.unwrap();
    drop(caller);
    let left = scene.house.wait_record("one who left", |record| record["outcome"] == "caller-left").await;
    let killed = scene.house.wait_record("the kill", |record| record["kills"] == left["request_id"]).await;
    assert_eq!((&killed["killed"], &killed["outcome"]), (&false.into(), &"answered".into()));
    assert_eq!(scene.recorder.requests().iter().filter(|heard| is_kill(heard)).count(), 1);
}

#[tokio::test]
async fn what_was_never_sent_is_not_killed() {
    let recorder = Recorder::start(Script::ok("1\n")).await;
    // Without readonly nothing that reads can be held to that.
    recorder.knows_settings(vec![json!({"name": "log_comment", "value": "", "readonly": 0})]);
    let scene = Scene::ready(recorder, killer).await;
    scene.refused(&ask(&scene.house, &scene.alice, SQL).await, 502, "upstream-settings").await;
    assert_eq!(scene.house.records_in_the_end().await.len(), 1);
    assert!(scene.recorder.requests().is_empty());
}

#[tokio::test]
async fn a_window_has_room_for_so_much_running() {
    let scene = house(Script::stalls_after("first\n"), "{caller: {window: {length: 1h, running_time: 1s}}}").await;
    let cut = ask(&scene.house, &scene.alice, SQL).await;
    assert!(cut.end != End::Whole);
    assert_eq!(scene.record_of(&cut).await["reason"], "statement-timeout");
    scene.wait_metric(RUNNING, 0).await;
    let refused = ask(&scene.house, &scene.alice, SQL).await;
    scene.refused(&refused, 429, "window-exceeded").await;
    assert!(refused.text().contains("Keyhouse gives 1s of running in 1h for each caller (admission.caller.window)"), "{}", refused.text());
    assert_eq!(scene.recorder.requests().len(), 1);
}

/// ClickHouse goes on with an INSERT whose connection is closed; here it does not.
#[tokio::test]
async fn a_real_clickhouse_ends_what_it_is_told_to_end() {
    let (server, issuer) = (ClickHouse::shared().await, Issuer::start().await);
    let plan = Plan::new(&issuer.url, &[&server.http_url()])
        .edit("  users:\n", &format!("  users:\n    owner: {{cluster: main, user: {}, password: {{file: owner.password}}}}\n", OWNER.name))
        .edit("main: {", "main: {kill_as: owner, ")
        .file("owner.password", OWNER.password);
    let rules = r#"
rules:
  - name: all
    whom: {groups: [engineers]}
    act_as: writer
    allow: [{effects: [read, insert], tables: ["system.*", "default.told_to_end"], functions: ["class:sleep"]}]
    settings: {allow: [max_block_size]}
    system: all
"#;
    let house = plan.policy("10-rules.yaml", rules).start().await;
    server.run(OWNER, "CREATE TABLE default.told_to_end (a UInt8) ENGINE = Null").await;
    let runs =
        async || server.run(OWNER, "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO default.told_to_end%'").await.trim() == "1";
    let mut caller = Caller::plain(house.http()).await;
    let token = issuer.token().subject("bob").groups(&["engineers"]).make();
    // For ever, one row a second.
    let sql = "INSERT INTO default.told_to_end SELECT sleepEachRow(1) FROM system.numbers SETTINGS max_block_size = 1";
    caller.send(post("/", &token, sql)).await;
    until("a statement that runs", async || runs().await.then_some(())).await;
    drop(caller);
    let killed = house.wait_record("the kill", |record| record["kills"].is_string()).await;
    assert_eq!((&killed["killed"], &killed["act_as"]), (&true.into(), &"owner".into()), "{killed}");
    until("no statement that runs", async || (!runs().await).then_some(())).await;
}
