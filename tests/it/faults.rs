//! ClickHouse's side: what it does wrong, what the caller then sees, and what never happens twice.

use std::{collections::BTreeSet, sync::Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};

use crate::support::{
    certificates::Certificates,
    clickhouse::{ANALYST, ClickHouse, WRITER},
    client::{Answer, Caller, H2, ask, post, send, whole},
    house::Plan,
    issuer::Issuer,
    recorder::{Ending, Heard, Recorder},
    scene::Scene,
    script::{Gate, Script},
    until,
    wire::End,
};

const SQL: &str = "SELECT 1";
const INSERT: &str = "INSERT INTO t VALUES (1)";

/// A usual plan with these keys of the cluster.
fn cluster(keys: &'static str) -> impl FnOnce(Plan) -> Plan {
    move |plan| plan.edit("main: {", &format!("main: {{{keys}, "))
}

fn row(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value, "readonly": 0})
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

fn gone(heard: &[&Heard]) -> usize {
    heard.iter().filter(|one| one.ending == Some(Ending::CallerGone)).count()
}

fn by_h2(token: &str) -> Request<Full<Bytes>> {
    Request::post("https://localhost/").header("authorization", format!("Bearer {token}")).body(Full::from(SQL)).unwrap()
}

/// The answer to a read by HTTP/1.1, by HTTP/2.
async fn both_ways(scene: &Scene) -> [Answer; 2] {
    [ask(&scene.house, &scene.alice, SQL).await, H2::tls(scene.house.https()).await.ask(&scene.alice, SQL).await]
}

/// No clean end came, and the record says so.
async fn broke_off(scene: &Scene, answer: &Answer) {
    assert_eq!(answer.status, 200);
    assert_ne!(answer.end, End::Whole);
    assert_eq!(scene.record_of(answer).await["outcome"], "broken");
}

#[tokio::test]
async fn a_house_is_ready_when_its_upstream_is_and_refuses_until_then() {
    let scene = Scene::unready(Recorder::refuses(), |plan| plan).await;
    let ready = scene.house.admin_get("/-/ready").await;
    assert_eq!((ready.status, &ready.json()["clickhouse_users_waiting"]), (503, &json!(["analyst", "writer"])));
    assert_eq!(scene.house.admin_get("/-/healthy").await.status, 200);
    scene.refused(&ask(&scene.house, &scene.alice, SQL).await, 502, "upstream-unreachable").await;
    assert_eq!(scene.recorder.connections(), 0);
    scene.recorder.up().await;
    until("a ready house", async || (scene.house.admin_get("/-/ready").await.status == 200).then_some(())).await;
    assert_eq!(ask(&scene.house, &scene.alice, SQL).await.text(), "1\n");
}

#[tokio::test]
async fn a_node_that_cannot_prove_its_name_gets_neither_password_nor_statement() {
    let shared = Certificates::shared();
    for (who, shown) in [
        ("of a stranger's authority", Certificates::new()),
        ("for another host", shared.for_others(&["elsewhere.example", "127.0.0.2"])),
        ("that has expired", shared.expired()),
    ] {
        let scene = Scene::unready(Recorder::start_tls(Script::ok("no"), &shown).await, |plan| plan).await;
        for (token, sql) in [(&scene.alice, SQL), (&scene.bob, INSERT)] {
            scene.refused(&ask(&scene.house, token, sql).await, 502, "upstream-unreachable").await;
        }
        scene.recorder.wait_turned_away().await;
        // Not even the question for settings, which comes with the password.
        let heard = (scene.recorder.connections(), scene.recorder.asked().len(), scene.recorder.requests().len());
        assert_eq!(heard, (0, 0, 0), "a certificate {who}");
        assert_eq!(scene.house.admin_get("/-/ready").await.status, 503, "a certificate {who}");
        assert_eq!(scene.house.records_in_the_end().await.len(), 2, "a certificate {who}");
    }
    // The same recorder with a certificate that is its own is heard out.
    let recorder = Recorder::start_tls(Script::ok("1\n"), &shared.for_others(&["127.0.0.1"])).await;
    let scene = Scene::unready(recorder, |plan| plan).await;
    assert_eq!(ask(&scene.house, &scene.alice, SQL).await.text(), "1\n");
}

#[tokio::test]
async fn the_next_node_is_taken_when_one_is_down() {
    let (down, issuer) = (Recorder::refuses(), Issuer::start().await);
    let up = Recorder::start(Script::ok("1\n")).await;
    let house = Plan::new(&issuer.url, &[&down.url, &up.url]).start().await;
    for _ in 0..4 {
        assert_eq!(ask(&house, &issuer.token().make(), SQL).await.text(), "1\n");
    }
    assert_eq!(house.wait_records(4).await.iter().filter(|record| record["node"] == up.url.as_str()).count(), 4);
    assert_eq!(up.requests().len(), 4);
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_given_up() {
    let scene = Scene::start(Script::stalls(), cluster("answer_timeout: 300ms")).await;
    for answer in both_ways(&scene).await {
        scene.refused(&answer, 504, "upstream-timeout").await;
    }
    scene.recorder.wait("both given up", |heard| gone(heard) == 2).await;
    assert_eq!(scene.recorder.requests().len(), 2);
}

#[tokio::test]
async fn an_answer_that_stalls_breaks_the_callers_too() {
    let scene = Scene::start(Script::stalls_after("some"), cluster("stall_timeout: 300ms")).await;
    for answer in both_ways(&scene).await {
        broke_off(&scene, &answer).await;
    }
    scene.recorder.wait("both given up", |heard| gone(heard) == 2).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_no_clean_end() {
    let (scene, gate) = (Scene::start(Script::stalls(), |plan| plan).await, Gate::default());
    let some = || Script::begin(200, &[]).chunk("some").hold(&gate);
    let short = Script::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome").hold(&gate);
    for script in [some().close(), some().reset(), some().send("zz\r\n"), short.close()] {
        scene.recorder.answers(script);
        let mut caller = Caller::tls(scene.house.https()).await;
        caller.send(post("/", &scene.alice, SQL)).await;
        let mut seen = Vec::new();
        let answer = caller.answer_into(|bytes| {
            seen.extend_from_slice(bytes);
            gate.notify_one();
        });
        broke_off(&scene, &answer.await).await;
        assert_eq!(seen, b"some");
        let response = H2::tls(scene.house.https()).await.send(by_h2(&scene.alice)).await.unwrap();
        gate.notify_one();
        broke_off(&scene, &whole(response).await).await;
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_where_it_ends_is_not_passed_on() {
    let scene = Scene::start(Script::until_close("some"), |plan| plan).await;
    for script in [Script::until_close("some"), Script::raw("").close(), Script::raw("nonsense\r\n\r\n")] {
        scene.recorder.answers(script);
        let before = scene.recorder.requests().len();
        let answer = ask(&scene.house, &scene.bob, INSERT).await;
        scene.refused(&answer, 502, "upstream-broken").await;
        assert!(!answer.text().contains("some"), "{}", answer.text());
        assert_eq!(scene.recorder.requests().len(), before + 1);
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_never_the_next_ones() {
    let lie = Script::lies(2, 200, &[], "soHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let scene = Scene::start(lie, |plan| plan).await;
    for _ in 0..20 {
        let answer = ask(&scene.house, &scene.alice, SQL).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "so"));
    }
}

#[tokio::test]
async fn a_caller_who_leaves_stops_the_statement() {
    for (script, status) in [(Script::stalls_after("some"), 200), (Script::stalls(), 0)] {
        let scene = Scene::start(script, |plan| plan).await;
        let mut h1 = Caller::tls(scene.house.https()).await;
        h1.send(post("/", &scene.alice, SQL)).await;
        let h2 = H2::tls(scene.house.https()).await;
        let answer = tokio::spawn(h2.requests.clone().send_request(by_h2(&scene.alice)));
        scene.recorder.wait_requests(2).await;
        if status == 200 {
            h1.through("some").await.unwrap();
            drop((h1, answer.await.unwrap().unwrap()));
        } else {
            drop(h1);
            answer.abort();
        }
        scene.recorder.wait("both stopped", |heard| gone(heard) == 2).await;
        scene.house.wait_records(2).await;
        let records = scene.house.records_in_the_end().await;
        assert_eq!(records.len(), 2, "{records:?}");
        for record in records {
            assert_eq!((&record["outcome"], &record["status"]), (&json!("caller-left"), &json!(status)), "{record}");
        }
    }
}

#[tokio::test]
async fn a_credential_that_clickhouse_rejects_is_told_without_its_words() {
    let old = Script::answer(401, &[], "Code: 193. DB::Exception: Wrong password for user kh_analyst");
    for script in [old, Script::exception(403, 516, "kh_analyst: Authentication failed")] {
        let recorder = Recorder::start(Script::ok("1\n")).await;
        recorder.answers_settings(script);
        let scene = Scene::unready(recorder, |plan| plan).await;
        let answer = ask(&scene.house, &scene.alice, SQL).await;
        scene.refused(&answer, 502, "upstream-credentials").await;
        let told = format!("{:?}{}", answer.headers, answer.text());
        assert!(!told.contains("kh_analyst") && !told.contains(ANALYST.password), "{told}");
        assert!(!scene.house.program.log().contains(ANALYST.password));
        assert!(scene.recorder.requests().is_empty() && scene.house.records().len() == 1);
        assert_eq!(scene.house.admin_get("/-/ready").await.status, 503);
    }
    let (issuer, server) = (Issuer::start().await, ClickHouse::shared().await);
    let house = Plan::new(&issuer.url, &[&server.http_url()]).file("analyst.password", "wrong").start_unready().await;
    let answer = until("keys", async || Some(ask(&house, &issuer.token().make(), SQL).await).filter(|answer| answer.status != 503)).await;
    assert_eq!((answer.status, answer.header("X-Keyhouse-Reason")), (502, Some("upstream-credentials")), "{}", answer.text());
}

#[tokio::test]
async fn a_credential_that_is_rejected_later_is_told_alike() {
    let scene = Scene::start(Script::exception(403, 516, "kh_analyst: Authentication failed"), |plan| plan).await;
    let answer = ask(&scene.house, &scene.alice, SQL).await;
    scene.refused(&answer, 502, "upstream-credentials").await;
    assert!(!answer.text().contains("kh_analyst"), "{}", answer.text());
}

/// Every worker has connections of its own: with one, the next statement goes over the connection of the last.
fn one_worker(plan: Plan) -> Plan {
    plan.section("workers", "1")
}

/// Hangs up on every request of a connection that has had one.
fn hangs_up_on_reused(recorder: &Recorder) {
    let used = Mutex::new(BTreeSet::new());
    recorder.answers_by(move |heard| if used.lock().unwrap().insert(heard.connection) { Script::ok("1\n") } else { Script::raw("").close() });
}

#[tokio::test]
async fn a_read_is_sent_again_on_a_new_connection_and_an_insert_never() {
    let scene = Scene::start(Script::ok("1\n"), one_worker).await;
    hangs_up_on_reused(&scene.recorder);
    assert_eq!(ask(&scene.house, &scene.alice, SQL).await.text(), "1\n");
    assert_eq!(ask(&scene.house, &scene.alice, "SELECT 2").await.text(), "1\n");
    let heard: Vec<_> = scene.recorder.requests().iter().map(|one| (one.text(), one.connection)).collect();
    assert_eq!(heard.iter().filter(|(text, _)| text == "SELECT 2").count(), 2, "{heard:?}");
    assert_ne!(heard[1].1, heard[2].1);
    scene.refused(&ask(&scene.house, &scene.bob, INSERT).await, 502, "upstream-broken").await;
    scene.recorder.answers(Script::raw("").close());
    scene.refused(&ask(&scene.house, &scene.alice, "SELECT 3").await, 502, "upstream-broken").await;
    let heard: Vec<_> = scene.recorder.requests().iter().map(|one| one.text()).collect();
    assert_eq!(heard.iter().filter(|text| text.starts_with("INSERT")).count(), 1, "{heard:?}");
    assert!(heard.iter().filter(|text| *text == "SELECT 3").count() <= 2, "{heard:?}");
}

#[tokio::test]
async fn a_pooled_connection_that_died_is_replaced_without_the_caller_noticing() {
    let scene = Scene::start(Script::ok("1\n"), one_worker).await;
    for _ in 0..5 {
        scene.recorder.down().await;
        scene.recorder.up().await;
        assert_eq!(ask(&scene.house, &scene.alice, SQL).await.text(), "1\n");
    }
}

#[tokio::test]
async fn a_pooled_connection_that_dies_under_the_question_for_settings_is_replaced() {
    let scene = Scene::start(Script::ok("1\n"), one_worker).await;
    // Two at once need a second connection, and that one knows nothing of the writer yet.
    let gate = Gate::default();
    scene.recorder.answers(Script::begin(200, &[]).hold(&gate).chunk("1\n").end());
    let (first, second) = (ask(&scene.house, &scene.alice, SQL), ask(&scene.house, &scene.alice, SQL));
    let open = async {
        scene.recorder.wait_requests(2).await;
        gate.notify_one();
        until("the older one's answer", async || (scene.house.records().len() == 1).then_some(())).await;
        gate.notify_one();
    };
    tokio::join!(first, second, open);
    let known = scene.recorder.connections();
    let rows = lines(&[row("readonly", "0"), row("input_format_values_interpret_expressions", "1")]);
    scene.recorder.answers_settings_by(
        move |heard| {
            if heard.connection < known { Script::raw("").close() } else { Script::begin(200, &[]).chunk(&rows).end() }
        },
    );
    scene.recorder.answers(Script::ok("1\n"));
    let (one, other) = tokio::join!(ask(&scene.house, &scene.bob, INSERT), ask(&scene.house, &scene.bob, INSERT));
    assert_eq!((one.status, other.status), (200, 200), "{} {}", one.text(), other.text());
    let inserts = scene.recorder.requests().iter().filter(|heard| heard.text().starts_with("INSERT")).count();
    assert_eq!(inserts, 2);
}

#[tokio::test]
async fn an_upstream_that_keeps_no_connection_is_asked_once_for_each_statement() {
    let scene = Scene::start(Script::ok("1\n"), cluster("idle_timeout: 1ms")).await;
    let rows = lines(&[row("readonly", "0"), row("input_format_values_interpret_expressions", "1")]);
    scene.recorder.answers_settings(Script::begin(200, &[("Connection", "close")]).chunk(rows).end().close());
    let asked = scene.recorder.asked().len();
    for (token, sql) in [(&scene.alice, SQL), (&scene.bob, INSERT)] {
        let answer = ask(&scene.house, token, sql).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "{}", answer.text());
    }
    assert_eq!((scene.recorder.asked().len(), scene.recorder.requests().len()), (asked + 2, 2));
}

#[tokio::test]
async fn a_connection_carries_no_identity() {
    let scene = Scene::start(Script::ok("1\n"), |plan| plan).await;
    let mut caller = Caller::plain(scene.house.http()).await;
    for token in [&scene.alice, &scene.bob, &scene.alice, &scene.bob] {
        caller.send(post("/", token, "SELECT a FROM default.t")).await;
        assert_eq!(caller.answer().await.status, 200);
    }
    let heard = scene.recorder.requests();
    let users: Vec<_> = heard.iter().map(|one| (one.header("X-ClickHouse-User").unwrap(), one.header("X-ClickHouse-Key").unwrap())).collect();
    let [analyst, writer] = [(ANALYST.name, ANALYST.password), (WRITER.name, WRITER.password)];
    assert_eq!(users, [analyst, writer, analyst, writer]);
    assert!(heard.iter().all(|one| one.connection == heard[0].connection), "they were to share one connection");
}

#[tokio::test]
async fn only_known_headers_of_an_answer_reach_the_caller() {
    let kept = [
        ("content-type", "text/csv"),
        ("x-clickhouse-format", "CSV"),
        ("x-clickhouse-query-id", "q"),
        ("x-clickhouse-summary", "{\"read_rows\":\"1\"}"),
        ("x-clickhouse-timezone", "UTC"),
        ("x-clickhouse-exception-tag", "tag"),
    ];
    let dropped = [
        ("Set-Cookie", "a=b"),
        ("Location", "http://evil"),
        ("Access-Control-Allow-Origin", "*"),
        ("X-ClickHouse-Server-Display-Name", "db-7.internal"),
        ("X-Keyhouse-Request-Id", "forged"),
        ("Server", "x"),
    ];
    let scene = Scene::start(Script::answer(200, &[&kept[..], &dropped].concat(), "1\n"), |plan| plan).await;
    for answer in both_ways(&scene).await {
        let record = scene.record_of(&answer).await;
        assert_eq!((&record["query_id"], &record["summary"]), (&json!("q"), &json!({"read_rows": "1"})));
        let (ours, theirs): (Vec<_>, Vec<_>) = answer
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.as_str()))
            .partition(|(name, _)| ["date", "content-length", "x-content-type-options", "x-keyhouse-request-id"].contains(&name.as_str()));
        let theirs: Vec<_> = theirs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert!(theirs.len() == kept.len() && kept.iter().all(|pair| theirs.contains(pair)), "{theirs:?}");
        assert_eq!(ours.len(), 4, "{ours:?}");
    }
}

#[tokio::test]
async fn clickhouses_own_error_passes_and_is_on_record() {
    let scene = Scene::start(Script::exception(404, 60, "no such table"), |plan| plan).await;
    for answer in both_ways(&scene).await {
        assert_eq!((answer.status, answer.header("X-ClickHouse-Exception-Code")), (404, Some("60")));
        assert_eq!(answer.text(), "Code: 60, e.displayText() = DB::Exception: no such table\n");
        let record = scene.record_of(&answer).await;
        assert_eq!((&record["clickhouse_code"], &record["outcome"], &record["reason"]), (&json!(60), &json!("answered"), &Value::Null));
    }
    let (issuer, server) = (Issuer::start().await, ClickHouse::shared().await);
    let house = Plan::new(&issuer.url, &[&server.https_url()]).start().await;
    let answer = ask(&house, &issuer.token().make(), "SELECT nonexistent").await;
    assert!(answer.status >= 400 && answer.text().starts_with("Code: 47"), "{answer:?}");
    assert_eq!(house.wait_records(1).await[0]["clickhouse_code"], 47);
}

#[tokio::test]
async fn without_a_record_nothing_is_forwarded_where_the_config_says_so() {
    let full = |on_failure: &str| format!("{{to: {{file: /dev/full}}, on_failure: {on_failure}}}");
    let scene = Scene::start(Script::ok("1\n"), |plan| plan.section("record", &full("refuse"))).await;
    let mut first = Caller::tls(scene.house.https()).await;
    first.send(post("/", &scene.alice, SQL)).await;
    assert!(first.through("1\n").await.is_err(), "an answer without a record ended well");
    for answer in both_ways(&scene).await {
        assert_eq!((answer.status, answer.header("X-Keyhouse-Reason")), (503, Some("record-unavailable")));
        assert!(answer.header("Retry-After").is_some());
        assert_eq!(answer.end, End::Whole);
    }
    assert_eq!(scene.recorder.requests().len(), 1);

    let scene = Scene::start(Script::ok("1\n"), |plan| plan.section("record", &full("count"))).await;
    for answer in both_ways(&scene).await {
        assert_eq!((answer.text().as_str(), answer.end), ("1\n", End::Whole));
    }
    scene.wait_metric("keyhouse_records_lost_total", 2).await;
    assert_eq!(scene.recorder.requests().len(), 2);
}

#[tokio::test]
async fn a_server_without_log_comment_is_told_of_once_and_served() {
    let recorder = Recorder::start(Script::ok("1\n")).await;
    recorder.knows_settings(vec![row("readonly", "0")]);
    let scene = Scene::unready(recorder, |plan| plan).await;
    for _ in 0..3 {
        scene.recorder.down().await;
        scene.recorder.up().await;
        assert_eq!(ask(&scene.house, &scene.alice, SQL).await.status, 200);
    }
    let names: Vec<_> = scene.recorder.requests()[0].parameters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["database", "query_id", "readonly"]);
    let log = scene.house.program.log();
    assert_eq!(log.lines().filter(|line| line.contains("log_comment") && line.contains("\"analyst\"")).count(), 1, "{log}");
}

#[tokio::test]
async fn a_server_that_does_not_know_readonly_gets_no_statement() {
    let recorder = Recorder::start(Script::ok("1\n")).await;
    recorder.knows_settings(vec![row("log_comment", "")]);
    let scene = Scene::unready(recorder, |plan| plan).await;
    for (token, sql) in [(&scene.alice, SQL), (&scene.bob, INSERT)] {
        scene.refused(&ask(&scene.house, token, sql).await, 502, "upstream-settings").await;
    }
    assert!(scene.recorder.requests().is_empty());
}

#[tokio::test]
async fn clickhouse_hears_what_we_wrote_and_nothing_else() {
    let names = ["log_comment", "dialect", "enable_global_with_statement", "readonly"];
    let rows = names.iter().map(|name| row(name, "0")).collect();
    let recorder = Recorder::start(Script::ok("1\n")).await;
    recorder.knows_settings(rows);
    let scene = Scene::unready(recorder, |plan| plan).await;
    let extra = "Host: localhost\r\nX-Forwarded-For: 1.2.3.4\r\nCookie: a=b\r\nUser-Agent: curl\r\nAccept-Encoding: x, GZIP;q=0.5\r\nX-Odd: y";
    let request = post("/?database=sales&default_format=JSON", &scene.alice, "  select\n1 -- two").replace("Host: localhost", extra);
    let answer = send(&scene.house, request).await;
    let record = scene.record_of(&answer).await;
    let heard = scene.recorder.requests().remove(0);
    let id = record["request_id"].as_str().unwrap();
    let comment = json!({"keyhouse": {"request_id": id, "caller": "corp/alice", "rule": "analysts"}}).to_string();
    let parameters = heard.parameters();
    let expected = [
        ("database", "sales"),
        ("query_id", id),
        ("default_format", "JSON"),
        ("log_comment", &comment),
        ("dialect", "clickhouse"),
        ("enable_global_with_statement", "1"),
        ("readonly", "2"),
    ];
    assert_eq!(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(), expected);
    let length = heard.body.len().to_string();
    let node = scene.recorder.url.trim_start_matches("http://");
    let headers: Vec<_> = heard.head.headers.iter().map(|(name, value)| (name.to_lowercase(), value.as_str())).collect();
    let expected = [
        ("host", node),
        ("x-clickhouse-user", ANALYST.name),
        ("x-clickhouse-key", ANALYST.password),
        ("content-type", "text/plain; charset=utf-8"),
        ("user-agent", concat!("keyhouse/", env!("CARGO_PKG_VERSION"))),
        ("accept-encoding", "gzip"),
        ("content-length", &length),
    ];
    assert_eq!(headers.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>(), expected);
    assert_eq!((heard.method(), &record["query_id"]), ("POST", &record["request_id"]));
    assert!(!heard.text().contains("two"), "{}", heard.text());
}
