//! The threads that serve, and what is kept so that nothing is worked out twice.

use serde_json::json;
use tokio::net::TcpSocket;

use crate::support::{
    client::ask,
    house::{Plan, run},
    recorder::Recorder,
    scene::Scene,
    script::Script,
    until,
};

const SQL: &str = "SELECT 1";

#[tokio::test]
async fn every_worker_takes_callers_and_has_connections_of_its_own() {
    let scene = Scene::start(Script::ok("1\n"), |plan| plan.section("workers", "2")).await;
    let before = scene.recorder.connections();
    // One after another: each worker opens one connection and goes on with it.
    for _ in 0..40 {
        assert_eq!(ask(&scene.house, &scene.alice, SQL).await.text(), "1\n");
    }
    assert_eq!(scene.recorder.connections() - before, 2);
    let by: std::collections::BTreeSet<_> = scene.recorder.requests().iter().map(|heard| heard.connection).collect();
    assert_eq!(by.len(), 2, "both were used");
}

#[tokio::test]
async fn an_address_that_another_program_listens_on_is_not_shared_with_it() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let other = socket.listen(1).unwrap();
    let taken = other.local_addr().unwrap();
    let recorder = Recorder::start(Script::ok("1\n")).await;
    let plan = Plan::new("https://idp.example.com", &[&recorder.url]).section("listen", &format!("[{{address: \"{taken}\"}}]"));
    let folder = plan.lay_out();
    let ended = run(folder.path(), &["serve", "--config", "keyhouse.yaml"]).await;
    assert!(!ended.status.success());
    assert!(ended.err.contains(&format!("{taken} cannot be listened on")), "{}", ended.err);
}

#[tokio::test]
async fn settings_that_stand_in_a_file_are_not_asked_for() {
    let rows = ["readonly", "max_execution_time"].map(|name| json!({"name": name, "value": "0", "readonly": 0}).to_string()).join("\n");
    let scene = Scene::start(Script::ok("1\n"), |plan| {
        plan.edit("user: kh_analyst,", "user: kh_analyst, settings_file: settings.jsonl,").file("settings.jsonl", &rows)
    })
    .await;
    assert_eq!(ask(&scene.house, &scene.alice, SQL).await.text(), "1\n");
    let heard = scene.recorder.requests();
    assert_eq!((heard.len(), heard[0].parameter("readonly").as_deref(), heard[0].parameter("log_comment")), (1, Some("2"), None));
    assert!(scene.recorder.asked().iter().all(|asked| asked.header("x-clickhouse-user") == Some("kh_writer")), "the analyst asked");
}

#[tokio::test]
async fn what_may_take_no_room_is_worked_out_every_time() {
    for (limits, hits) in [("{}", 2), ("{kept_tokens: 0B, kept_statements: 0B}", 0)] {
        let scene = Scene::start(Script::ok("1\n"), |plan| plan.section("limits", limits)).await;
        for _ in 0..3 {
            assert_eq!(ask(&scene.house, &scene.alice, SQL).await.text(), "1\n");
        }
        assert_eq!(scene.metric("keyhouse_token_cache_total{found=\"hit\"}").await, hits, "{limits}");
        assert_eq!(scene.metric("keyhouse_token_cache_total{found=\"miss\"}").await, 3 - hits, "{limits}");
    }
}

#[tokio::test]
async fn pieces_that_are_there_go_on_together_and_an_error_behind_them_is_not_lost() {
    let scene = Scene::start(Script::ok("1\n"), |plan| plan).await;
    let mut script = Script::begin(200, &[]);
    for _ in 0..2000 {
        script = script.chunk("a row of some bytes\n");
    }
    scene.recorder.answers(script.end());
    assert_eq!(ask(&scene.house, &scene.alice, SQL).await.text(), "a row of some bytes\n".repeat(2000));
    let mut script = Script::begin(200, &[]);
    for _ in 0..20 {
        script = script.chunk("a row of some bytes\n");
    }
    scene.recorder.answers(script.close());
    let answer = ask(&scene.house, &scene.alice, SQL).await;
    assert_eq!(answer.text(), "a row of some bytes\n".repeat(20));
    assert_ne!(answer.end, crate::support::wire::End::Whole);
    assert_eq!(scene.record_of(&answer).await["outcome"], "broken");
}

#[tokio::test]
async fn a_connection_that_waits_too_long_is_let_go_without_another_request() {
    let scene = Scene::start(Script::ok("1\n"), |plan| plan.edit("main: {", "main: {idle_timeout: 200ms, ")).await;
    assert_eq!(ask(&scene.house, &scene.alice, SQL).await.text(), "1\n");
    until("no open connection", async || (scene.recorder.open() == 0).then_some(())).await;
}
