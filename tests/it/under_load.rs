//! What goes wrong while many ask: each is answered once, recorded once and sent once, nobody takes a part for the whole, and in the end
//! nothing is held any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::sleep;

use crate::support::{
    client::{Answer, Caller, ask, get, post, send_plain},
    house::Plan,
    recorder::{Heard, Recorder},
    scene::Scene,
    script::{Script, is_data},
    until,
    wire::End,
};

const RULES: &str = r#"
rules:
  - {name: analysts, whom: {groups: [analysts]}, act_as: analyst, allow: [{tables: ["default.*"]}], answers: {ttl: 300ms}}
  - {name: engineers, whom: {groups: [engineers]}, act_as: writer, allow: [{effects: [read, insert], tables: ["default.*"]}]}
"#;

/// Fewer slots than callers, and short times for all that waits.
fn shape(plan: Plan) -> Plan {
    plan.policy("10-rules.yaml", RULES)
        .section("admission", "{concurrent: 6, queue: {length: 8, time: 2s}}")
        .section("limits", "{connections: 12000, header_timeout: 60s, data_timeout: 500ms, write_timeout: 1s, drain_timeout: 1s}")
        .edit("main: {", "main: {answer_timeout: 1s, stall_timeout: 300ms, ")
}

/// What the upstream does now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fine,
    Stalling,
    Resetting,
    Failing,
}

const WEATHERS: [Weather; 4] = [Weather::Fine, Weather::Stalling, Weather::Resetting, Weather::Failing];

/// Callers in front of a house whose upstream can be told to fail.
struct Load {
    scene: Scene,
    weather: Arc<AtomicUsize>,
    over: AtomicBool,
    /// Who asks nothing that may be answered from memory.
    next: AtomicUsize,
}

/// What one caller saw of one request.
struct Seen {
    /// Of an INSERT, which nobody else sends.
    number: Option<usize>,
    /// Nothing where the connection ended without an answer.
    answer: Option<Answer>,
}

/// How long the answer to this statement is: as many bytes as its number says, in a way that jumps.
fn length_of(text: &str) -> u64 {
    let number: u64 = text.split(|sign: char| !sign.is_ascii_digit()).find_map(|digits| digits.parse().ok()).unwrap();
    1 + number * 7919 % 100_000
}

impl Load {
    async fn start(shape: impl FnOnce(Plan) -> Plan) -> Self {
        let recorder = Recorder::start(Script::ok("")).await;
        let weather = Arc::new(AtomicUsize::new(0));
        let now = Arc::clone(&weather);
        recorder.answers_by(move |heard| {
            let length = length_of(&heard.text());
            match WEATHERS[now.load(Ordering::Relaxed)] {
                Weather::Fine => Script::streams(length),
                Weather::Stalling if length.is_multiple_of(2) => Script::stalls(),
                Weather::Stalling => Script::stalls_after("part"),
                Weather::Resetting => Script::begin(200, &[]).data(length / 2).reset(),
                Weather::Failing => Script::exception(500, 241, "Memory limit exceeded"),
            }
        });
        let scene = Scene::ready(recorder, shape).await;
        Self { scene, weather, over: AtomicBool::new(false), next: AtomicUsize::new(0) }
    }

    fn is(&self, weather: Weather) {
        self.weather.store(WEATHERS.iter().position(|known| *known == weather).unwrap(), Ordering::Relaxed);
    }

    /// Twelve callers who ask until the end of what goes wrong: reads that others ask too, and INSERTs that nobody else sends, into another
    /// table: kept answers live on.
    async fn while_they_ask(&self, goes_wrong: impl Future<Output = ()>) -> Vec<Seen> {
        let callers = (0..12).map(|caller| self.asks(caller));
        let wrong = async {
            sleep(Duration::from_millis(300)).await;
            goes_wrong.await;
            sleep(Duration::from_millis(300)).await;
            self.over.store(true, Ordering::Relaxed);
        };
        let (seen, ()) = tokio::join!(futures_util::future::join_all(callers), wrong);
        seen.into_iter().flatten().collect()
    }

    async fn asks(&self, caller: usize) -> Vec<Seen> {
        let inserts = caller % 2 == 1;
        let group = if inserts { "engineers" } else { "analysts" };
        // Pairs of readers are the same caller, who joins and is given kept answers.
        let token = self.scene.token().subject(&format!("{group}-{}", caller / 4)).groups(&[group]).make();
        let mut seen = Vec::new();
        let mut kept: Option<Caller> = None;
        // Bounded, whatever the other one does.
        for round in 0..5_000 {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let number = inserts.then(|| 1_000 + self.next.fetch_add(1, Ordering::Relaxed));
            let sql = match number {
                Some(number) => format!("INSERT INTO default.u VALUES ({number})"),
                None => format!("SELECT {} FROM default.t", round % 7),
            };
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => match Caller::try_plain(self.scene.house.http()).await {
                    Ok(connection) => connection,
                    Err(_) => break,
                },
            };
            let answer = match connection.try_send(post("/", &token, &sql)).await {
                Ok(()) => connection.try_answer().await,
                Err(_) => None,
            };
            if let Some(Answer { status: 200, end: End::Whole, body, .. }) = &answer {
                assert!(body.len() as u64 == length_of(&sql) && is_data(0, body), "a part was given for the whole");
                // Some stay and ask on.
                if round % 3 > 0 {
                    kept = Some(connection);
                }
            }
            seen.push(Seen { number, answer });
        }
        seen
    }

    /// All that has to be so afterwards; gives the records by their outcome and reason. `others` were asked by nobody of the load.
    async fn adds_up(&self, seen: &[Seen], others: usize) -> BTreeMap<String, usize> {
        for gauge in ["keyhouse_requests_running", "keyhouse_statements_running", "keyhouse_statements_waiting"] {
            self.scene.wait_metric(gauge, 0).await;
        }
        let asked = seen.iter().filter(|one| one.answer.is_some()).count();
        assert_eq!(asked, seen.len(), "a connection ended without an answer");
        let records = self.scene.house.wait_records(asked + others).await;
        assert_eq!(records.len(), asked + others, "one was recorded twice");
        add_up(seen, &records, &self.scene.recorder.requests())
    }
}

/// Each answer has the one record that says what its caller saw, and each INSERT was sent at most once, a refused one never.
fn add_up(seen: &[Seen], records: &[Value], heard: &[Heard]) -> BTreeMap<String, usize> {
    let by_id: BTreeMap<&str, &Value> = records.iter().map(|record| (record["request_id"].as_str().unwrap(), record)).collect();
    assert_eq!(by_id.len(), records.len(), "two records of one request");
    let mut sent = BTreeMap::new();
    for heard in heard.iter().map(Heard::text).filter(|text| text.starts_with("INSERT")) {
        *sent.entry(heard).or_insert(0) += 1;
    }
    assert!(sent.values().all(|times| *times == 1), "an INSERT was sent twice");
    let mut outcomes = BTreeMap::new();
    for record in records {
        let reason = record["reason"].as_str().map(|reason| format!(" {reason}")).unwrap_or_default();
        *outcomes.entry(format!("{}{reason}", record["outcome"].as_str().unwrap())).or_insert(0) += 1;
    }
    for Seen { number, answer } in seen {
        let Some(answer) = answer else { continue };
        let record = by_id[answer.header("x-keyhouse-request-id").unwrap()];
        assert_eq!(record["status"], answer.status);
        let expected: &[&str] = match answer.header("x-keyhouse-reason") {
            Some(_) => &["refused"],
            None if answer.end == End::Whole => &["answered"],
            None => &["broken", "cut-off"],
        };
        assert!(expected.contains(&record["outcome"].as_str().unwrap()), "{expected:?} {record}");
        let reason = answer.header("x-keyhouse-reason").unwrap_or_default();
        if let Some(number) = number.filter(|_| ["too-many-statements", "expired", "overloaded", "upstream-unreachable"].contains(&reason)) {
            assert!(!sent.contains_key(&format!("INSERT INTO default.u VALUES ({number})")), "a refused one was sent: {record}");
        }
    }
    outcomes
}

fn has(outcomes: &BTreeMap<String, usize>, kinds: &[&str]) {
    for kind in kinds {
        assert!(outcomes.contains_key(*kind), "{kind} did not happen: {outcomes:?}");
    }
}

/// Fine weather gives answers again.
async fn recovers(load: &Load) {
    for (token, sql) in [(&load.scene.alice, "SELECT 900 FROM default.t"), (&load.scene.bob, "INSERT INTO default.u VALUES (901)")] {
        assert_eq!(ask(&load.scene.house, token, sql).await.body.len() as u64, length_of(sql));
    }
}

#[tokio::test]
async fn an_upstream_that_is_killed_and_comes_back() {
    let load = Load::start(shape).await;
    let seen = load
        .while_they_ask(async {
            for _ in 0..4 {
                load.scene.recorder.down().await;
                sleep(Duration::from_millis(150)).await;
                load.scene.recorder.up().await;
                sleep(Duration::from_millis(250)).await;
            }
        })
        .await;
    has(&load.adds_up(&seen, 0).await, &["answered", "refused upstream-unreachable"]);
    recovers(&load).await;
}

/// So long of this weather, and fine again.
async fn passes(weather: Weather, time: u64) -> (Load, Vec<Seen>) {
    let load = Load::start(shape).await;
    let seen = load.while_they_ask(async {
        load.is(weather);
        sleep(Duration::from_millis(time)).await;
        load.is(Weather::Fine);
    });
    let seen = seen.await;
    (load, seen)
}

#[tokio::test]
async fn an_upstream_that_stalls() {
    let (load, seen) = passes(Weather::Stalling, 2500).await;
    has(&load.adds_up(&seen, 0).await, &["answered", "broken", "refused upstream-timeout"]);
    recovers(&load).await;
}

#[tokio::test]
async fn an_upstream_that_resets_in_the_middle_of_answers() {
    let (load, seen) = passes(Weather::Resetting, 1000).await;
    has(&load.adds_up(&seen, 0).await, &["answered", "broken"]);
    recovers(&load).await;
}

#[tokio::test]
async fn an_upstream_that_answers_an_error_to_all() {
    let (load, seen) = passes(Weather::Failing, 1000).await;
    let failed = seen.iter().filter(|one| one.answer.as_ref().is_some_and(|answer| answer.status == 500)).count();
    assert!(failed > 12, "{failed}");
    has(&load.adds_up(&seen, 0).await, &["answered"]);
    recovers(&load).await;
}

#[tokio::test]
async fn callers_who_read_and_write_as_slowly_as_they_may_not() {
    let load = Load::start(shape).await;
    let slow = async {
        let mut held = Vec::new();
        for number in 0..4 {
            // Half of their data and no more of it; and an answer that they do not take.
            let mut writer = Caller::plain(load.scene.house.http()).await;
            let head = format!(
                "POST /?query=INSERT%20INTO%20default.u%20VALUES HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n",
                load.scene.bob
            );
            writer.send(format!("{head}Content-Length: 1000\r\n\r\n (5000{number}),")).await;
            let mut reader = Caller::plain(load.scene.house.http()).await;
            reader.send(post("/", &load.scene.bob, "SELECT 1 FROM default.long")).await;
            held.push((writer, reader));
        }
        sleep(Duration::from_millis(2500)).await;
        held
    };
    let weather = Arc::clone(&load.weather);
    load.scene.recorder.answers_by(move |heard| {
        let text = heard.text();
        assert_eq!(weather.load(Ordering::Relaxed), 0);
        if text.contains("long") { Script::streams(50_000_000) } else { Script::streams(length_of(&text)) }
    });
    let seen = load.while_they_ask(async { drop(slow.await) }).await;
    has(&load.adds_up(&seen, 8).await, &["answered", "refused body-timeout", "caller-left"]);
    recovers(&load).await;
}

#[tokio::test]
async fn five_thousand_connections_that_wait() {
    let load = Load::start(shape).await;
    let mut idle = Vec::new();
    for number in 0..5_000 {
        let mut caller = Caller::plain(load.scene.house.http()).await;
        if number % 10 == 0 {
            caller.send(get("/ping", &[])).await;
            assert_eq!(caller.answer().await.status, 200);
        }
        idle.push(caller);
    }
    let seen = load.while_they_ask(sleep(Duration::from_millis(500))).await;
    load.scene.wait_metric("keyhouse_requests_running", 0).await;
    assert!(load.scene.metric("keyhouse_connections").await >= 5_000);
    has(&load.adds_up(&seen, 500).await, &["answered"]);
    drop(idle);
    load.scene.wait_metric("keyhouse_connections", 0).await;
}

#[tokio::test]
async fn a_clock_that_steps() {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    let library = if Path::new(library).exists() { library } else { "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1" };
    assert!(Path::new(library).exists(), "there is no libfaketime; deploy/check installs Debian's faketime");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock");
    fs::write(&file, "+0").unwrap();
    let load = Load::start(|plan| {
        shape(plan)
            .environment("LD_PRELOAD", library)
            .environment("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .environment("FAKETIME_NO_CACHE", "1")
            .section("admission", "{concurrent: 6, queue: {length: 8, time: 2s}, caller: {per_minute: 100000}}")
    })
    .await;
    let seen = load
        .while_they_ask(async {
            for step in ["+2d", "+0", "-2d", "+0"] {
                fs::write(&file, step).unwrap();
                sleep(Duration::from_millis(400)).await;
            }
        })
        .await;
    let outcomes = load.adds_up(&seen, 0).await;
    has(&outcomes, &["answered", "refused expired"]);
    assert!(["refused not_yet_valid", "refused issued_in_future"].iter().any(|kind| outcomes.contains_key(*kind)), "{outcomes:?}");
    recovers(&load).await;
}

#[tokio::test]
async fn a_reload_again_and_again() {
    let load = Load::start(shape).await;
    let seen = load
        .while_they_ask(async {
            for generation in 2..7 {
                load.scene.house.program.signal("HUP");
                load.scene.wait_metric("keyhouse_config_generation", generation).await;
                sleep(Duration::from_millis(200)).await;
            }
        })
        .await;
    let outcomes = load.adds_up(&seen, 0).await;
    has(&outcomes, &["answered"]);
    assert!(outcomes.keys().all(|kind| ["answered", "refused too-many-statements"].contains(&kind.as_str())), "{outcomes:?}");
}

#[tokio::test]
async fn an_end_in_the_middle_of_all_that() {
    let load = Load::start(shape).await;
    let began = Instant::now();
    let seen = load.while_they_ask(async { load.scene.house.program.signal("TERM") }).await;
    assert!(load.scene.house.program.wait_exit().await.success(), "after {:?}", began.elapsed());
    let records = load.scene.house.records();
    let outcomes = add_up(&seen, &records, &load.scene.recorder.requests());
    has(&outcomes, &["answered"]);
    // Who had an answer has a record; who had none may have one.
    let (answered, all) = (seen.iter().filter(|one| one.answer.is_some()).count(), seen.len());
    assert!(answered <= records.len() && records.len() <= all, "{answered} {} {all}", records.len());
    let numbers: BTreeSet<usize> = seen.iter().filter_map(|one| one.number).collect();
    assert!(numbers.len() > 12, "{}", numbers.len());
}

#[tokio::test]
async fn fine_weather() {
    let load = Load::start(shape).await;
    // Until each has happened, however long that takes here.
    let every_way = async {
        for word in ["asked", "joined", "kept"] {
            let counted = format!("keyhouse_answers_total{{answer=\"{word}\"}}");
            until(&counted, async || (load.scene.metric(&counted).await > 0).then_some(())).await;
        }
    };
    let seen = load.while_they_ask(every_way).await;
    let outcomes = load.adds_up(&seen, 0).await;
    has(&outcomes, &["answered"]);
    assert!(outcomes.keys().all(|kind| ["answered", "refused too-many-statements"].contains(&kind.as_str())), "{outcomes:?}");
    let how: BTreeSet<&str> = seen.iter().filter_map(|one| one.answer.as_ref()?.header("x-keyhouse-answer")).collect();
    assert!(["asked", "joined", "kept"].iter().all(|word| how.contains(word)), "{how:?}");
    assert_eq!(send_plain(load.scene.house.http(), get("/ping", &[])).await.status, 200);
}
