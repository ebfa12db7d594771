//! Answers that are given again: kept, joined, and to nobody who did not ask for just that.

use crate::support::{
    client::{Answer, Caller, ask, post, send_plain},
    house::Plan,
    recorder::Recorder,
    scene::Scene,
    script::{Gate, Script},
    until,
    wire::End,
};

const RULES: &str = r#"
rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow: [{tables: ["default.*", "sales.*"]}]
    settings: {allow: ["max_threads"]}
    answers: ANSWERS
  - {name: engineers, whom: {groups: [engineers]}, act_as: writer, allow: [{effects: [read, insert, define], tables: ["default.*"]}]}
"#;

fn keeping(plan: Plan, answers: &str) -> Plan {
    plan.policy("10-rules.yaml", &RULES.replace("ANSWERS", answers))
}

async fn house(script: Script, answers: &str) -> Scene {
    Scene::start(script, |plan| keeping(plan, answers)).await
}

fn how(answer: &Answer) -> &str {
    answer.header("x-keyhouse-answer").unwrap_or_default()
}

/// How many statements the upstream heard.
fn heard(scene: &Scene) -> usize {
    scene.recorder.requests().len()
}

const SQL: &str = "SELECT a, count() FROM default.t GROUP BY a";

#[tokio::test]
async fn what_is_asked_again_is_given_again_and_clickhouse_is_not_asked() {
    let answer = Script::answer(200, &[("Content-Type", "text/x"), ("X-ClickHouse-Summary", "{}"), ("X-ClickHouse-Timezone", "UTC")], "1\t2\n");
    let scene = house(answer, "{ttl: 1h}").await;
    let first = ask(&scene.house, &scene.alice, SQL).await;
    assert_eq!((how(&first), first.text().as_str(), first.header("age")), ("asked", "1\t2\n", None));
    let again = ask(&scene.house, &scene.alice, &format!("{SQL} -- again")).await;
    assert_eq!((how(&again), again.text().as_str(), again.header("age")), ("kept", "1\t2\n", Some("0")));
    for name in ["content-type", "x-clickhouse-summary", "x-clickhouse-timezone"] {
        assert!(again.header(name).is_some() && again.header(name) == first.header(name), "{name}");
    }
    assert_eq!(heard(&scene), 1);
    let [first, again] = [scene.record_of(&first).await, scene.record_of(&again).await];
    assert_eq!((&first["answer"], &again["answer"], &again["answer_of"]), (&"asked".into(), &"kept".into(), &first["request_id"]));
    assert!(again["node"].is_null() && first["node"].is_string() && again["outcome"] == "answered" && again["bytes"] == 4);
    assert_eq!(scene.metric(r#"keyhouse_answers_total{answer="kept"}"#).await, 1);
    assert_eq!(scene.metric(r#"keyhouse_answers_total{answer="asked"}"#).await, 1);
}

#[tokio::test]
async fn whatever_can_change_the_bytes_or_who_may_see_them_is_asked_anew() {
    let scene = house(Script::ok("1\n"), "{ttl: 1h}").await;
    let carol = scene.token().subject("carol").make();
    let with_parameter = "SELECT {x:UInt8} FROM default.t";
    assert_eq!(how(&ask(&scene.house, &scene.alice, SQL).await), "asked");
    for (target, token, sql) in [
        ("/", &carol, SQL),
        ("/", &scene.alice, "SELECT b, count() FROM default.t GROUP BY b"),
        ("/?database=sales", &scene.alice, SQL),
        ("/?default_format=JSON", &scene.alice, SQL),
        ("/?max_threads=1", &scene.alice, SQL),
        ("/?max_threads=2", &scene.alice, SQL),
        ("/", &scene.alice, "SELECT a, count() FROM default.t GROUP BY a FORMAT CSV"),
        ("/?param_x=1", &scene.alice, with_parameter),
        ("/?param_x=11", &scene.alice, with_parameter),
    ] {
        let [first, again] =
            [send_plain(scene.house.http(), post(target, token, sql)).await, send_plain(scene.house.http(), post(target, token, sql)).await];
        assert_eq!((how(&first), how(&again)), ("asked", "kept"), "{target} {sql}");
    }
    assert_eq!(heard(&scene), 10);
}

/// One rule for all, and what it is changed to.
const RULE: &str = r#"
rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow: [{tables: ["default.*"]}]
    answers: {ttl: 1h}
"#;

#[tokio::test]
async fn a_rule_is_what_it_says_and_a_user_is_where_it_leads() {
    let elsewhere = Recorder::start(Script::ok("elsewhere\n")).await;
    let plan = std::cell::RefCell::new(None);
    let scene = Scene::start(Script::ok("1\n"), |given| {
        let others = "  users:\n    other: {cluster: main, user: kh_analyst, password: {file: analyst.password}}\n";
        let given = given.edit("  users:\n", others).policy("10-rules.yaml", RULE).section("reload_on_change", "false");
        *plan.borrow_mut() = Some(given.clone());
        given
    })
    .await;
    let base = plan.into_inner().unwrap();
    let generation = std::cell::Cell::new(1);
    let reload = async |plan: Plan| {
        plan.write_to(scene.house.folder.path());
        generation.set(generation.get() + 1);
        scene.house.program.signal("HUP");
        scene.wait_metric("keyhouse_config_generation", generation.get()).await;
        how(&ask(&scene.house, &scene.alice, SQL).await).to_owned()
    };
    assert_eq!(how(&ask(&scene.house, &scene.alice, SQL).await), "asked");
    let with = |from: &str, to: &str| base.clone().policy("10-rules.yaml", &RULE.replace(from, to));
    let another = "rules:\n  - {name: another, whom: {groups: [nobody]}, act_as: analyst, allow: [{tables: [\"x.*\"]}]}";
    for (what, changed, seen) in [
        ("nothing", base.clone(), "kept"),
        ("its number", with("rules:", another), "kept"),
        ("what it allows", with("default.*", "def*.*"), "asked"),
        ("a setting", with("    allow:", "    settings: {allow: [max_threads]}\n    allow:"), "asked"),
        ("its roles", with("    allow:", "    roles: [reader]\n    allow:"), "asked"),
        ("its user", with("act_as: analyst", "act_as: other"), "asked"),
        (
            "the user's name",
            base.clone().edit("user: kh_analyst, password: {file: analyst.password}", "user: kh_x, password: {file: analyst.password}"),
            "asked",
        ),
        ("the nodes", base.clone().edit(&format!("{:?}", scene.recorder.url), &format!("{:?}", elsewhere.url)), "asked"),
        ("its name", with("name: analysts", "name: others"), "asked"),
    ] {
        assert_eq!(reload(changed).await, seen, "{what}");
        // It was there all the time.
        assert_eq!(reload(base.clone()).await, "kept", "{what}");
    }
}

#[tokio::test]
async fn roles_rows_and_settings_of_a_caller_each_alone_are_another_answer() {
    let rules = r#"
rules:
  - name: by-rows
    whom: {groups: [rows]}
    act_as: analyst
    allow: [{tables: ["default.*"]}]
    rows: {default.t: "tenant = {claims.tenant}"}
    answers: {ttl: 1h}
  - name: by-settings
    whom: {groups: [settings]}
    act_as: analyst
    allow: [{tables: ["default.*"]}]
    session_settings: {SQL_tenant: "{claims.tenant}"}
    answers: {ttl: 1h}
  - {name: by-roles, whom: {groups: [roles]}, act_as: analyst, roles: [a, b], allow: [{tables: ["default.*"]}], answers: {ttl: 1h}}
"#;
    let recorder = Recorder::start(Script::ok("1\n")).await;
    let known =
        ["additional_table_filters", "enable_multiple_prewhere_read_steps", "readonly", "log_comment", "input_format_values_interpret_expressions"];
    recorder.knows_settings(known.into_iter().map(|name| serde_json::json!({"name": name, "value": "", "readonly": 0})).collect());
    let scene = Scene::ready(recorder, |plan| plan.policy("10-rules.yaml", rules)).await;
    for group in ["rows", "settings"] {
        let of = |tenant: &str| scene.token().groups(&[group]).claim("tenant", tenant).make();
        for (tenant, seen) in [("a", "asked"), ("a", "kept"), ("b", "asked"), ("b", "kept"), ("a", "kept")] {
            assert_eq!(how(&ask(&scene.house, &of(tenant), SQL).await), seen, "{group} {tenant}");
        }
    }
    let token = scene.token().groups(&["roles"]).make();
    for (target, seen) in [("/", "asked"), ("/?role=a", "asked"), ("/?role=b", "asked"), ("/?role=a&role=b", "kept"), ("/?role=a", "kept")] {
        assert_eq!(how(&send_plain(scene.house.http(), post(target, &token, SQL)).await), seen, "{target}");
    }
}

#[tokio::test]
async fn what_says_the_same_in_another_way_is_the_same() {
    let scene = house(Script::ok("1\n"), "{ttl: 1h}").await;
    let asks = async |target: &str, header: &str, sql: &str| {
        let request = post(target, &scene.alice, sql).replacen("\r\n", &format!("\r\n{header}"), 1);
        how(&send_plain(scene.house.http(), request).await).to_owned()
    };
    assert_eq!(asks("/", "", SQL).await, "asked");
    assert_eq!(asks("/", "X-ClickHouse-Database: default\r\n", SQL).await, "kept");
    assert_eq!(asks("/", "X-ClickHouse-Database: sales\r\n", SQL).await, "asked");
    assert_eq!(asks("/?database=sales", "", SQL).await, "kept");
    let get = format!(
        "GET /?query=SELECT%20a,%20count()%20FROM%20default.t%20GROUP%20BY%20a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        scene.alice
    );
    assert_eq!(how(&send_plain(scene.house.http(), get).await), "kept");
    // A name that ends where another value begins.
    let two = "SELECT {a:String}, {b:String} FROM default.t";
    for (target, seen) in [
        ("/?param_a=xy&param_b=z", "asked"),
        ("/?param_a=x&param_b=yz", "asked"),
        ("/?param_b=z&param_a=xy", "kept"),
        ("/?param_a=&param_b=xyz", "asked"),
    ] {
        assert_eq!(asks(target, "", two).await, seen, "{target}");
    }
    assert_eq!(heard(&scene), 5);
}

#[tokio::test]
async fn what_could_be_another_answer_the_next_time_is_not_kept() {
    let scene = house(Script::ok("1\n"), "{ttl: 1h, functions: [today]}").await;
    for (sql, says) in [
        ("SELECT now() FROM default.t", "bypassed; function now"),
        ("SELECT rand() FROM default.t", "bypassed; function rand"),
        ("SELECT 1 FROM system.one", "bypassed; system-table"),
        ("SHOW TABLES FROM default", "bypassed; not-a-select"),
        ("SELECT today() FROM default.t", "asked"),
    ] {
        assert_eq!(how(&ask(&scene.house, &scene.alice, sql).await), says, "{sql}");
    }
    assert_eq!(how(&ask(&scene.house, &scene.alice, "SELECT today() FROM default.t").await), "kept");
    let session = send_plain(scene.house.http(), post("/?session_id=a", &scene.alice, SQL)).await;
    assert_eq!(how(&session), "asked", "the rule gives none, so that it is no part of the question");
    assert_eq!(how(&ask(&scene.house, &scene.bob, SQL).await), "");
}

#[tokio::test]
async fn no_failure_is_kept_in_whatever_way_it_comes() {
    let failed_well = Script::begin(200, &[]).chunk("1\n").chunk("Code: 395, e.displayText() = DB::Exception: Value passed to 'throwIf'").end();
    let coded = Script::answer(200, &[("X-ClickHouse-Exception-Code", "395")], "1\n");
    let scripts = [failed_well, coded, Script::exception(500, 241, "memory"), Script::cuts_off("1\n"), Script::breaks_mid_stream("1\n")];
    let scene = house(Script::ok("1\n"), "{ttl: 1h, max_entry_bytes: 10B}").await;
    for (number, script) in scripts.into_iter().chain([Script::ok("more than ten bytes\n")]).enumerate() {
        scene.recorder.answers(script);
        let sql = format!("SELECT {number} FROM default.t");
        let before = heard(&scene);
        for _ in 0..2 {
            assert_eq!(how(&ask(&scene.house, &scene.alice, &sql).await), "asked", "{number}");
        }
        assert!(heard(&scene) >= before + 2, "{number}");
    }
}

async fn sends(scene: &Scene, sql: &str) -> Caller {
    let mut caller = Caller::plain(scene.house.http()).await;
    caller.send(post("/", &scene.alice, sql)).await;
    caller
}

#[tokio::test]
async fn who_asks_the_same_meanwhile_joins_and_the_statement_lives_while_one_of_them_does() {
    let gate = Gate::default();
    let scene = house(Script::held(&gate), "{ttl: 1h}").await;
    let mut first = sends(&scene, SQL).await;
    first.through("first").await.unwrap();
    let mut second = sends(&scene, SQL).await;
    second.through("first").await.unwrap();
    drop(first);
    scene.house.wait_record("the first, who left", |record| record["outcome"] == "caller-left").await;
    gate.notify_one();
    second.through("last\n\r\n0\r\n\r\n").await.unwrap();
    let records = scene.house.wait_records(2).await;
    assert_eq!((&records[1]["answer"], &records[1]["answer_of"]), (&"joined".into(), &records[0]["request_id"]));
    assert_eq!((heard(&scene), how(&ask(&scene.house, &scene.alice, SQL).await)), (1, "kept"));
}

#[tokio::test]
async fn when_the_last_leaves_the_statement_ends() {
    let gate = Gate::default();
    let scene = house(Script::held(&gate), "{ttl: 1h}").await;
    let mut callers = [sends(&scene, SQL).await, sends(&scene, SQL).await];
    for caller in &mut callers {
        caller.through("first").await.unwrap();
    }
    drop(callers);
    scene.recorder.wait_caller_gone().await;
    scene.recorder.answers(Script::ok("1\n"));
    assert_eq!((how(&ask(&scene.house, &scene.alice, SQL).await), heard(&scene)), ("asked", 2));
}

#[tokio::test]
async fn who_joined_a_statement_that_breaks_is_cut_and_not_ended() {
    let gate = Gate::default();
    let scene = house(Script::begin(200, &[]).chunk("first\n").hold(&gate).reset(), "{ttl: 1h}").await;
    let mut callers = [sends(&scene, SQL).await, sends(&scene, SQL).await];
    for caller in &mut callers {
        caller.through("first").await.unwrap();
    }
    gate.notify_one();
    for caller in &mut callers {
        assert!(caller.through("0\r\n\r\n").await.is_err());
    }
    let records = scene.house.wait_records(2).await;
    assert!(records.iter().all(|record| record["outcome"] == "broken"), "{records:?}");
    assert_eq!(heard(&scene), 1);
}

#[tokio::test]
async fn who_joined_what_fails_before_a_byte_asks_alone() {
    let gate = Gate::default();
    let failing = Script::raw("").hold(&gate).send("HTTP/1.1 500 Said\r\nX-ClickHouse-Exception-Code: 241\r\nContent-Length: 2\r\n\r\nno");
    let scene = house(failing, "{ttl: 1h}").await;
    let mut first = sends(&scene, SQL).await;
    scene.recorder.wait_requests(1).await;
    let mut second = sends(&scene, SQL).await;
    scene.wait_metric("keyhouse_requests_running", 2).await;
    scene.recorder.answers(Script::ok("1\n"));
    gate.notify_one();
    let (first, second) = (first.answer().await, second.answer().await);
    assert_eq!((first.status, second.status, second.text().as_str()), (500, 200, "1\n"));
    assert_eq!((heard(&scene), how(&second), &scene.record_of(&second).await["answer"]), (2, "asked", &"asked".into()));
    assert_eq!(scene.metric(r#"keyhouse_answers_total{answer="asked"}"#).await, 2);
}

#[tokio::test]
async fn an_insert_through_keyhouse_and_a_purge_end_what_they_concern_and_nothing_else() {
    let scene = Scene::start(Script::ok("1\n"), |plan| {
        keeping(plan, "{ttl: 1h}").section("admin", "{address: 127.0.0.1:0, token: {file: admin.token}}").file("admin.token", "of-the-admin")
    })
    .await;
    let other = "SELECT 1 FROM default.other";
    let state = async || [how(&ask(&scene.house, &scene.alice, SQL).await).to_owned(), how(&ask(&scene.house, &scene.alice, other).await).to_owned()];
    assert_eq!(state().await, ["asked", "asked"]);
    assert_eq!(state().await, ["kept", "kept"]);
    assert_eq!(ask(&scene.house, &scene.bob, "INSERT INTO t VALUES (1)").await.status, 200);
    assert_eq!(state().await, ["asked", "kept"]);
    assert_eq!(ask(&scene.house, &scene.bob, "DROP TABLE default.other").await.status, 200);
    assert_eq!(state().await, ["kept", "asked"]);
    let purge = async |what: &str, token: &str| {
        let request = format!("POST /-/purge{what} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
        send_plain(scene.house.admin, request).await
    };
    assert_eq!((purge("", "guessed").await.status, state().await), (403, ["kept".to_owned(), "kept".to_owned()]));
    assert_eq!((purge("?rule=engineers", "of-the-admin").await.status, state().await), (200, ["kept".to_owned(), "kept".to_owned()]));
    assert_eq!(
        (purge("?table=default.t", "of-the-admin").await.text().as_str(), state().await),
        ("let go of 1 kept answer(s)\n", ["asked".to_owned(), "kept".to_owned()])
    );
    for what in ["?rule=analysts", "?caller=corp%2Falice", ""] {
        assert_eq!((purge(what, "of-the-admin").await.status, state().await), (200, ["asked".to_owned(), "asked".to_owned()]), "{what}");
        assert_eq!(state().await, ["kept", "kept"], "{what}");
    }
    assert_eq!(purge("?what=x", "of-the-admin").await.status, 400);
}

#[tokio::test]
async fn the_callers_cache_control_is_honoured() {
    let scene = house(Script::ok("1\n"), "{ttl: 1h}").await;
    let with = async |control: &str| {
        let request = post("/", &scene.alice, SQL);
        let request = request.replacen("\r\n", &format!("\r\nCache-Control: {control}\r\n"), 1);
        how(&send_plain(scene.house.http(), request).await).to_owned()
    };
    assert_eq!([with("max-age=60").await, with("max-age=60").await, with("no-cache").await], ["asked", "kept", "asked"]);
    assert_eq!([with("no-store").await, with("private").await], ["bypassed; no-store", "kept"]);
    assert_eq!(heard(&scene), 3);
}

#[tokio::test]
async fn an_old_answer_is_given_while_it_is_asked_again_behind_its_caller() {
    let scene = house(Script::ok("old\n"), "{ttl: 1ms, stale_while_refreshing: 1h}").await;
    assert_eq!(ask(&scene.house, &scene.alice, SQL).await.text(), "old\n");
    scene.recorder.answers(Script::ok("new\n"));
    let stale =
        until("an answer that is old", async || Some(ask(&scene.house, &scene.alice, SQL).await).filter(|answer| how(answer) == "kept; stale")).await;
    assert_eq!(stale.text(), "old\n");
    until("the new answer", async || (ask(&scene.house, &scene.alice, SQL).await.text() == "new\n").then_some(())).await;
    let id = stale.header("x-keyhouse-request-id").unwrap();
    let behind =
        scene.house.wait_record("the one behind", |record| record["answer"] == "asked" && record["request_id"] != id && record["bytes"] == 4).await;
    assert_eq!((&behind["outcome"], &behind["rule"]), (&"answered".into(), &"analysts".into()));
    scene.wait_metric("keyhouse_requests_running", 0).await;
}

#[tokio::test]
async fn a_kept_answer_needs_no_slot_and_counts_in_rates() {
    let gate = Gate::default();
    let scene = Scene::start(Script::ok("1\n"), |plan| {
        keeping(plan, "{ttl: 1h}").section("admission", "{concurrent: 1, queue: {length: 0}, caller: {per_minute: 4}}")
    })
    .await;
    assert_eq!(how(&ask(&scene.house, &scene.alice, SQL).await), "asked");
    scene.recorder.answers(Script::held(&gate));
    let mut running = Caller::plain(scene.house.http()).await;
    running.send(post("/", &scene.bob, "SELECT 1 FROM default.t")).await;
    running.through("first").await.unwrap();
    assert_eq!(how(&ask(&scene.house, &scene.alice, SQL).await), "kept");
    assert_eq!(ask(&scene.house, &scene.alice, "SELECT 2 FROM default.t").await.header("x-keyhouse-reason"), Some("too-many-statements"));
    assert_eq!(how(&ask(&scene.house, &scene.alice, SQL).await), "kept");
    assert_eq!(ask(&scene.house, &scene.alice, SQL).await.header("x-keyhouse-reason"), Some("rate-exceeded"));
    gate.notify_one();
    running.through("0\r\n\r\n").await.unwrap();
    scene.wait_metric("keyhouse_statements_running", 0).await;
}

#[tokio::test]
async fn what_is_longer_than_is_kept_streams_to_its_end_in_a_bounded_window() {
    const SIZE: u64 = 64 * 1024 * 1024;
    let scene = house(Script::streams(SIZE), "{ttl: 1h}").await;
    let answer = ask(&scene.house, &scene.alice, SQL).await;
    assert_eq!((answer.end, answer.body.len() as u64), (End::Whole, SIZE));
    assert!(crate::support::script::is_data(0, &answer.body));
    assert!(scene.house.peak_memory() < 100 * 1024 * 1024, "{}", scene.house.peak_memory());
    assert_eq!(how(&ask(&scene.house, &scene.alice, SQL).await), "asked");
}

#[tokio::test]
async fn who_takes_what_others_read_too_slowly_is_cut_and_nobody_waits_for_them() {
    let gate = Gate::default();
    let long = Script::begin(200, &[]).chunk("first\n").hold(&gate).data(40_000_000).end();
    let scene = house(long, "{ttl: 1h}").await;
    let mut first = sends(&scene, SQL).await;
    // Which of two that come at once sets the pace is open.
    first.through("first").await.unwrap();
    let mut second = sends(&scene, SQL).await;
    second.through("first").await.unwrap();
    scene.wait_metric(r#"keyhouse_answers_total{answer="joined"}"#, 1).await;
    gate.notify_one();
    // All of it, while the other one reads nothing.
    let read = first.through("\r\n0\r\n\r\n").await.unwrap().len();
    assert!(read > 40_000_000, "{read}");
    let cut = second.through("\r\n0\r\n\r\n").await;
    assert!(cut.is_err(), "who fell behind was given an end");
    let mut outcomes: Vec<_> = scene.house.wait_records(2).await.iter().map(|record| record["outcome"].as_str().unwrap().to_owned()).collect();
    outcomes.sort();
    assert_eq!((outcomes, heard(&scene)), (vec!["answered".to_owned(), "broken".to_owned()], 1));
}

#[tokio::test]
async fn answers_are_shared_as_far_as_the_rule_says() {
    for (shared_with, seen) in [("caller", "asked"), ("rule", "kept"), ("act_as", "kept")] {
        let scene = house(Script::ok("1\n"), &format!("{{ttl: 1h, shared_with: {shared_with}}}")).await;
        let carol = scene.token().subject("carol").make();
        assert_eq!(how(&ask(&scene.house, &scene.alice, SQL).await), "asked");
        assert_eq!(how(&ask(&scene.house, &carol, SQL).await), seen, "{shared_with}");
    }
}

/// Rows by a claim, settings by the name: whoever asks whatever, no answer is one of another scope.
#[tokio::test]
async fn no_answer_is_ever_given_to_another_scope() {
    let rules = r#"
rules:
  - name: tenants
    whom: {groups: [analysts]}
    act_as: analyst
    allow: [{tables: ["default.*"]}]
    rows: {default.t: "tenant = {claims.tenant}"}
    session_settings: {SQL_who: "{username}"}
    answers: {ttl: 1h}
"#;
    let scene = Scene::start(Script::ok(""), |plan| plan.policy("10-rules.yaml", rules)).await;
    let mut known: Vec<_> = ["additional_table_filters", "enable_multiple_prewhere_read_steps", "readonly", "log_comment"].map(str::to_owned).into();
    known.extend(["input_format_values_interpret_expressions".to_owned(), "input_format_values_deduce_templates_of_expressions".to_owned()]);
    scene.recorder.knows_settings(known.into_iter().map(|name| serde_json::json!({"name": name, "value": "", "readonly": 0})).collect());
    // What is answered tells whose it is.
    scene.recorder.answers_by(|heard| {
        let of = |name: &str| heard.parameter(name).unwrap_or_default();
        Script::ok(format!("{} {} {}\n", of("SQL_who"), of("additional_table_filters"), heard.text()))
    });
    let callers: Vec<(String, String)> = (0..12)
        .map(|number| {
            let (subject, tenant) = (format!("caller-{number}"), format!("tenant-{}", number % 5));
            (scene.token().subject(&subject).claim("tenant", tenant.as_str()).make(), format!("{subject} {tenant}"))
        })
        .collect();
    let (mut seed, mut kept) = (1_u64, 0);
    let mut connection = Caller::plain(scene.house.http()).await;
    for _ in 0..10_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let ((token, who), number) = (&callers[(seed >> 33) as usize % callers.len()], (seed >> 45) % 40);
        let sql = format!("SELECT {number} FROM default.t");
        connection.send(post("/", token, &sql)).await;
        let answer = connection.answer().await;
        let (subject, tenant) = who.split_once(' ').unwrap();
        let text = answer.text();
        assert!(
            answer.status == 200 && text.starts_with(&format!("{subject} ")) && text.contains(&format!("'{tenant}'").replace('\'', "\\'")),
            "{who}: {text}"
        );
        assert!(text.ends_with(&format!("{sql}\n")), "{sql}: {text}");
        kept += usize::from(how(&answer) == "kept");
    }
    assert!(kept > 9_000 && heard(&scene) <= 12 * 40, "{kept}");
}

#[tokio::test]
async fn many_small_answers_take_no_more_memory_than_the_config_gives_them() {
    const ROOM: u64 = 8 * 1024 * 1024;
    let shape = |plan: Plan| plan.section("limits", &format!("{{kept_answers: {ROOM}B, kept_statements: 0B}}"));
    let answer = Script::answer(200, &[("X-ClickHouse-Summary", "{}"), ("X-ClickHouse-Format", "TSV"), ("X-ClickHouse-Timezone", "UTC")], "1\n");
    let scene = Scene::start(answer, |plan| keeping(shape(plan), "{ttl: 1h}")).await;
    let mut caller = Caller::plain(scene.house.http()).await;
    let mut ask = async |number: usize| {
        caller.send(post("/", &scene.alice, &format!("SELECT {number}"))).await;
        caller.answer().await
    };
    for number in 0..1000 {
        ask(number).await;
    }
    let before = scene.house.peak_memory();
    for number in 0..20_000 {
        assert_eq!(ask(number).await.status, 200);
    }
    assert_eq!(scene.metric(r#"keyhouse_answers_total{answer="kept"}"#).await, 1000);
    let took = scene.house.peak_memory() - before;
    assert!(took < ROOM * 5 / 4, "{took} bytes");
}
