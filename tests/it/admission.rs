//! How many statements run at once and begin in a minute, and whose turn it is.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;

use crate::support::{
    client::{Caller, H2, ask, get, post, send_plain, whole},
    house::Plan,
    scene::Scene,
    script::{Gate, Script},
    until,
    wire::End,
};

const RUNNING: &str = "keyhouse_statements_running";
const WAITING: &str = "keyhouse_statements_waiting";

fn limited(plan: Plan, admission: &str) -> Plan {
    plan.section("admission", admission)
}

/// A statement that is told apart from others.
fn numbered(number: usize) -> String {
    format!("SELECT {number} FROM default.t")
}

/// One that is sent and not answered yet.
async fn sends(scene: &Scene, token: &str, number: usize) -> Caller {
    let mut caller = Caller::plain(scene.house.http()).await;
    caller.send(post("/", token, &numbered(number))).await;
    caller
}

/// The numbers of what the upstream heard, in order.
fn heard(scene: &Scene) -> Vec<String> {
    scene.recorder.requests().iter().map(|heard| heard.text().split(' ').nth(1).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_statement_waits_until_the_last_byte_before_it_has_left() {
    let gate = Gate::default();
    let scene = Scene::start(Script::held(&gate), |plan| limited(plan, "{concurrent: 1}")).await;
    let mut first = sends(&scene, &scene.alice, 1).await;
    first.through("first").await.unwrap();
    let mut second = sends(&scene, &scene.bob, 2).await;
    scene.wait_metric(WAITING, 1).await;
    assert_eq!((heard(&scene), scene.metric(RUNNING).await), (vec!["1".to_owned()], 1));
    gate.notify_one();
    first.through("last\n\r\n0\r\n\r\n").await.unwrap();
    second.through("first").await.unwrap();
    assert_eq!((heard(&scene), scene.metric(WAITING).await), (vec!["1".to_owned(), "2".to_owned()], 0));
    gate.notify_one();
    second.through("last\n\r\n0\r\n\r\n").await.unwrap();
    scene.wait_metric(RUNNING, 0).await;
    let records = scene.house.wait_records(2).await;
    assert!(records[0]["waited_ms"].is_null() && records[1]["waited_ms"].as_f64().unwrap() > 0.0, "{records:?}");
}

#[tokio::test]
async fn who_waits_too_long_or_finds_too_many_waiting_is_told_what_for_and_nothing_is_asked() {
    let gate = Gate::default();
    let scene = Scene::start(Script::held(&gate), |plan| limited(plan, "{concurrent: 1, queue: {length: 1, time: 1s}}")).await;
    let mut first = sends(&scene, &scene.alice, 1).await;
    first.through("first").await.unwrap();
    let mut second = sends(&scene, &scene.bob, 2).await;
    scene.wait_metric(WAITING, 1).await;
    let refused = ask(&scene.house, &scene.alice, &numbered(3)).await;
    scene.refused(&refused, 429, "too-many-statements").await;
    let says = "Keyhouse runs one statement at once (admission.concurrent); 1 wait already (admission.queue.length). Ask again in 5s.";
    assert!(refused.text().contains(says), "{}", refused.text());
    assert_eq!((refused.header("retry-after"), refused.header("x-clickhouse-exception-code")), (Some("5"), Some("202")));
    let refused = second.answer().await;
    let record = scene.refused(&refused, 429, "too-many-statements").await;
    assert!(refused.text().contains("this one waited for 1s and is number 1 of those that wait"), "{}", refused.text());
    assert!(record["waited_ms"].as_f64().unwrap() >= 1000.0, "{record}");
    gate.notify_one();
    first.through("last\n\r\n0\r\n\r\n").await.unwrap();
    scene.wait_metric(RUNNING, 0).await;
    assert_eq!((heard(&scene), scene.metric(WAITING).await), (vec!["1".to_owned()], 0));
}

#[tokio::test]
async fn callers_take_turns_and_each_ones_statements_come_in_order() {
    let gate = Gate::default();
    let scene = Scene::start(Script::held(&gate), |plan| limited(plan, "{concurrent: 1}")).await;
    let mut callers = vec![sends(&scene, &scene.alice, 0).await];
    callers[0].through("first").await.unwrap();
    for (number, token) in [(1, &scene.alice), (2, &scene.alice), (3, &scene.alice), (4, &scene.bob), (5, &scene.bob)] {
        callers.push(sends(&scene, token, number).await);
        scene.wait_metric(WAITING, number as u64).await;
    }
    for count in 1..=6 {
        scene.recorder.wait("the next statement", |heard| heard.len() == count).await;
        gate.notify_one();
    }
    for caller in &mut callers[1..] {
        assert_eq!(caller.answer().await.text(), "first\nlast\n");
    }
    assert_eq!(heard(&scene), ["0", "1", "4", "2", "5", "3"]);
    scene.wait_metric(RUNNING, 0).await;
}

#[tokio::test]
async fn who_leaves_gives_up_the_slot_or_the_turn() {
    let gate = Gate::default();
    let scene = Scene::start(Script::held(&gate), |plan| limited(plan, "{concurrent: 1}")).await;
    let mut runs = sends(&scene, &scene.alice, 1).await;
    runs.through("first").await.unwrap();
    let waits = sends(&scene, &scene.alice, 2).await;
    scene.wait_metric(WAITING, 1).await;
    let mut next = sends(&scene, &scene.bob, 3).await;
    scene.wait_metric(WAITING, 2).await;
    drop(waits);
    scene.wait_metric(WAITING, 1).await;
    drop(runs);
    next.through("first").await.unwrap();
    gate.notify_one();
    next.through("last").await.unwrap();
    scene.wait_metric(RUNNING, 0).await;
    assert_eq!(heard(&scene), ["1", "3"]);
    let mut outcomes: Vec<_> = scene.house.wait_records(3).await.iter().map(|record| record["outcome"].as_str().unwrap().to_owned()).collect();
    outcomes.sort();
    assert_eq!(outcomes, ["answered", "caller-left", "caller-left"]);
}

const RULES: &str = r#"
rules:
  - {name: analysts, whom: {groups: [analysts]}, act_as: analyst, allow: [{tables: ["default.*"]}], admission: RULE}
  - {name: engineers, whom: {groups: [engineers]}, act_as: writer, allow: [{tables: ["default.*"]}]}
"#;

#[tokio::test]
async fn each_limit_counts_what_it_is_for_and_nothing_else() {
    // Where the limit stands; whether another of the same rule, and whether one of another rule and user, still may; the words.
    for (all, user, rule, colleague, other, says) in [
        ("{LIMIT}", "{}", "{}", false, false, "Keyhouse "),
        ("{caller: {LIMIT}}", "{}", "{}", true, true, "for each caller (admission.caller."),
        ("{}", "{LIMIT}", "{}", false, true, "The rule's ClickHouse user "),
        ("{}", "{}", "{LIMIT}", false, true, "Rule `analysts` "),
        ("{}", "{}", "{caller: {LIMIT}}", true, true, "of the rule)"),
    ] {
        for (limit, reason) in [("concurrent: 1", "too-many-statements"), ("per_minute: 1", "rate-exceeded")] {
            let gate = Gate::default();
            let with = |text: &str| text.replace("LIMIT", limit);
            let queue = if all.starts_with("{}") { "{queue: {length: 0}}".to_owned() } else { with(all).replacen('{', "{queue: {length: 0}, ", 1) };
            let scene = Scene::start(Script::held(&gate), |plan| {
                limited(plan, &queue)
                    .edit("user: kh_analyst,", &format!("user: kh_analyst, admission: {},", with(user)))
                    .policy("10-rules.yaml", &RULES.replace("RULE", &with(rule)))
            })
            .await;
            let mut first = sends(&scene, &scene.alice, 1).await;
            first.through("first").await.unwrap();
            let refused = ask(&scene.house, &scene.alice, &numbered(2)).await;
            scene.refused(&refused, 429, reason).await;
            assert!(refused.text().contains(says), "{says}: {}", refused.text());
            scene.recorder.answers(Script::ok("1\n"));
            let carol = scene.token().subject("carol").make();
            let may = async |token: &str, number| ask(&scene.house, token, &numbered(number)).await.status == 200;
            assert_eq!((may(&carol, 3).await, may(&scene.bob, 4).await), (colleague, other), "{all} {user} {rule} {limit}");
            let expected: Vec<&str> =
                [("1", true), ("3", colleague), ("4", other)].iter().filter(|(_, went)| *went).map(|(number, _)| *number).collect();
            assert_eq!(heard(&scene), expected, "{all} {user} {rule} {limit}");
        }
    }
}

#[tokio::test]
async fn a_rate_tells_when_to_come_again_and_a_refused_one_counts_nowhere() {
    let scene = Scene::start(Script::ok("1\n"), |plan| limited(plan, "{per_minute: 4, caller: {per_minute: 2}}")).await;
    for number in 1..=2 {
        assert_eq!(ask(&scene.house, &scene.alice, &numbered(number)).await.status, 200);
    }
    for _ in 0..5 {
        let refused = ask(&scene.house, &scene.alice, &numbered(9)).await;
        scene.refused(&refused, 429, "rate-exceeded").await;
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((25..=30).contains(&wait) && refused.text().contains("takes 2 statements a minute for each caller"), "{}", refused.text());
        assert_eq!(refused.header("x-clickhouse-exception-code"), Some("201"));
    }
    // Two are left for all of Keyhouse: those that were refused took none of them.
    for number in 3..=4 {
        assert_eq!(ask(&scene.house, &scene.bob, &numbered(number)).await.status, 200);
    }
    assert_eq!(heard(&scene), ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn streams_of_one_connection_count_one_by_one() {
    let gate = Gate::default();
    let scene = Scene::start(Script::held(&gate), |plan| limited(plan, "{caller: {concurrent: 2}, queue: {length: 0}}")).await;
    let h2 = H2::tls(scene.house.https()).await;
    let request = || {
        Request::post("https://localhost/").header("authorization", format!("Bearer {}", scene.alice)).body(Full::<Bytes>::from("SELECT 1")).unwrap()
    };
    let running = [h2.send(request()).await.unwrap(), h2.send(request()).await.unwrap()];
    let refused = whole(h2.send(request()).await.unwrap()).await;
    scene.refused(&refused, 429, "too-many-statements").await;
    drop(running);
    scene.wait_metric(RUNNING, 0).await;
    assert_eq!(scene.recorder.requests().len(), 2);
}

#[tokio::test]
async fn no_slot_is_lost_however_a_statement_ends() {
    let scene = Scene::start(Script::ok("1\n"), |plan| limited(plan, "{concurrent: 2, queue: {length: 0}}")).await;
    let scripts = [
        Script::ok("1\n"),
        Script::ok(""),
        Script::exception(500, 241, "Memory limit exceeded"),
        Script::exception(403, 516, "Authentication failed"),
        Script::cuts_off("part"),
        Script::breaks_mid_stream("part"),
        Script::until_close("1\n"),
        Script::raw("no HTTP at all\r\n\r\n"),
        Script::begin(200, &[]).reset(),
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        scene.recorder.answers(script);
        for head in ["POST", "HEAD"] {
            for _ in 0..3 {
                let mut caller = Caller::plain(scene.house.http()).await;
                match head {
                    "HEAD" => {
                        caller
                            .send(format!("HEAD /?query=SELECT%201 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", scene.alice))
                            .await
                    }
                    _ => caller.send(post("/", &scene.alice, "SELECT 1")).await,
                }
                let answer = caller.answer().await;
                assert_ne!(answer.status, 429, "{number}: {}", answer.text());
                scene.wait_metric(RUNNING, 0).await;
            }
        }
    }
    scene.recorder.down().await;
    assert_eq!(ask(&scene.house, &scene.alice, "SELECT 1").await.status, 502);
    scene.wait_metric(RUNNING, 0).await;
}

#[tokio::test]
async fn what_runs_counts_on_through_a_reload() {
    let gate = Gate::default();
    let plan = std::cell::RefCell::new(None);
    let scene = Scene::start(Script::held(&gate), |given| {
        let limited = limited(given, "{concurrent: 1}").section("reload_on_change", "false");
        *plan.borrow_mut() = Some(limited.clone());
        limited
    })
    .await;
    let plan = plan.into_inner().unwrap();
    let reload = async |admission: &str, generation: u64| {
        plan.clone().section("admission", admission).write_to(scene.house.folder.path());
        scene.house.program.signal("HUP");
        scene.wait_metric("keyhouse_config_generation", generation).await;
    };
    let mut first = sends(&scene, &scene.alice, 1).await;
    first.through("first").await.unwrap();
    reload("{concurrent: 2, queue: {length: 0}}", 2).await;
    let mut second = sends(&scene, &scene.alice, 2).await;
    second.through("first").await.unwrap();
    let refused = ask(&scene.house, &scene.alice, &numbered(3)).await;
    assert_eq!((refused.status, scene.metric(RUNNING).await), (429, 2));
    reload("{}", 3).await;
    until("a statement without limits", async || {
        scene.recorder.answers(Script::ok("1\n"));
        (ask(&scene.house, &scene.alice, &numbered(4)).await.status == 200).then_some(())
    })
    .await;
    gate.notify_one();
    gate.notify_one();
    for caller in [&mut first, &mut second] {
        tokio::time::timeout(Duration::from_secs(5), caller.through("last")).await.unwrap().unwrap();
    }
    scene.wait_metric(RUNNING, 0).await;
}

/// What the upstream does to the statement of this number.
fn trouble(number: usize) -> Script {
    match number % 8 {
        0 => Script::exception(500, 241, "Memory limit exceeded"),
        1 => Script::cuts_off("part"),
        2 => Script::breaks_mid_stream("part"),
        3 => Script::begin(200, &[]).reset(),
        4 => Script::streams(300_000),
        _ => Script::ok("1\n"),
    }
}

/// Eight callers who ask at once, of whom some leave, in front of an upstream that fails in every way. INSERTs, because a read may be
/// sent again.
#[tokio::test]
async fn under_load_and_faults_each_is_answered_once_recorded_once_and_sent_once() {
    let scene = Scene::start(Script::ok("1\n"), |plan| limited(plan, "{concurrent: 2, queue: {length: 2, time: 2s}}")).await;
    let number_of = |text: &str| text.split(['(', ')']).nth(1).and_then(|number| number.parse::<usize>().ok());
    scene.recorder.answers_by(move |heard| trouble(number_of(&heard.text()).unwrap()));
    let asks = async |caller: usize| {
        let token = scene.token().subject(&format!("caller-{caller}")).groups(&["engineers"]).make();
        let mut ended = [0; 4];
        for round in 0..30 {
            let number = caller * 100 + round;
            let mut connection = Caller::plain(scene.house.http()).await;
            connection.send(post("/", &token, &format!("INSERT INTO default.t VALUES ({number})"))).await;
            if round % 7 == 6 {
                // Leaves when the answer begins.
                connection.answer_head().await;
                ended[0] += 1;
                continue;
            }
            let answer = connection.answer().await;
            match answer.status {
                429 => ended[1] += 1,
                200 if answer.end == End::Whole => ended[2] += 1,
                _ => ended[3] += 1,
            }
        }
        ended
    };
    let ended = futures_util::future::join_all((0..8).map(asks)).await;
    let [left, refused, whole, failed] = [0, 1, 2, 3].map(|kind| ended.iter().map(|of| of[kind]).sum::<usize>());
    assert!(left > 0 && refused > 0 && whole > 0 && failed > 0, "{ended:?}");
    scene.wait_metric(RUNNING, 0).await;
    assert_eq!(scene.metric(WAITING).await, 0);
    let records = scene.house.wait_records(240).await;
    let of = |outcome: &str, reason: Option<&str>| {
        records.iter().filter(|record| record["outcome"] == outcome && record["reason"].as_str() == reason).count()
    };
    assert_eq!((records.len(), scene.house.records().len()), (240, 240));
    assert!(of("refused", Some("too-many-statements")) >= refused, "{records:?}");
    let mut sent: Vec<_> = scene.recorder.requests().iter().map(|heard| number_of(&heard.text()).unwrap()).collect();
    let count = sent.len();
    sent.sort_unstable();
    sent.dedup();
    assert_eq!((sent.len(), count), (count, 240 - of("refused", Some("too-many-statements"))), "one was sent twice, or a refused one was sent");
}

#[tokio::test]
async fn what_is_too_much_for_keyhouse_is_shed_at_once_and_harms_nothing_that_runs() {
    let gate = Gate::default();
    let scene = Scene::start(Script::held(&gate), |plan| plan.section("limits", "{requests: 2}")).await;
    let mut running = [sends(&scene, &scene.alice, 1).await, sends(&scene, &scene.bob, 2).await];
    for caller in &mut running {
        caller.through("first").await.unwrap();
    }
    for credential in [scene.alice.as_str(), "none"] {
        let refused = ask(&scene.house, credential, &numbered(3)).await;
        let record = scene.refused(&refused, 503, "overloaded").await;
        assert_eq!((refused.header("retry-after"), &record["caller"]), (Some("1"), &serde_json::Value::Null));
    }
    assert_eq!(send_plain(scene.house.http(), get("/ping", &[])).await.text(), "Ok.\n");
    // Which of the two a note reaches is open.
    gate.notify_one();
    gate.notify_one();
    for caller in &mut running {
        caller.through("last\n\r\n0\r\n\r\n").await.unwrap();
    }
    scene.wait_metric("keyhouse_requests_running", 0).await;
    scene.recorder.answers(Script::ok("1\n"));
    assert_eq!(ask(&scene.house, &scene.alice, &numbered(4)).await.status, 200);
    assert_eq!(heard(&scene).len(), 3);
}
