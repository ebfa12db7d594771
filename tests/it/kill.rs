//! KILL QUERY of what the caller itself runs, by the name that it gave it, and of nobody else's.

use crate::support::{
    client::{Answer, Caller, post, send},
    embedded::{Embedded, OWNER},
    house::{House, Plan},
    issuer::Issuer,
    recorder::Recorder,
    scene::Scene,
    script::{Gate, Script},
    until,
};

const RULES: &str = r#"
rules:
  - {name: everybody, whom: {groups: [analysts]}, act_as: analyst, allow: [{tables: ["sales.*", "default.*"], functions: ["class:sleep"]}], sessions: {}}
  - {name: engineers, whom: {groups: [engineers]}, act_as: analyst, allow: [{effects: [read, administer], databases: ["*"], tables: ["system.*"]}], system: all}
"#;

const MINE: &str = "KILL QUERY WHERE query_id = 'mine'";

async fn asks(house: &House, token: &str, target: &str, sql: &str) -> Answer {
    send(house, post(target, token, sql)).await
}

#[tokio::test]
async fn a_caller_ends_what_it_called_so_where_that_runs() {
    let (issuer, gate) = (Issuer::start().await, Gate::default());
    let (first, second) = (Recorder::start(Script::held(&gate)).await, Recorder::start(Script::held(&gate)).await);
    let plan = Plan::new(&issuer.url, &[&first.url, &second.url]).policy("10-rules.yaml", RULES);
    let house = plan.section("admission", "{caller: {concurrent: 1}}").start().await;
    let [alice, mallory] = ["alice", "mallory"].map(|name| issuer.token().subject(name).make());
    let mut running = Caller::tls(house.https()).await;
    running.send(post("/?query_id=mine&session_id=a", &alice, "SELECT 1")).await;
    running.through("first").await.unwrap();
    let at_first = first.requests().len() == 1;
    let (node, other) = if at_first { (&first, &second) } else { (&second, &first) };
    let id = node.requests()[0].parameter("query_id").unwrap();
    for recorder in [&first, &second] {
        recorder.answers(Script::ok("killed\n"));
    }
    let heard = |recorder: &Recorder| recorder.requests().iter().map(|heard| heard.text()).filter(|text| text.contains("KILL")).collect::<Vec<_>>();
    // Neither the one statement that the caller may run at once nor its session is in the way.
    for (sql, sent) in [
        (MINE, format!("KILL QUERY WHERE query_id IN ('{id}')")),
        ("kill query where query_id='mine' sync format JSON", format!("KILL QUERY WHERE query_id IN ('{id}') SYNC FORMAT JSON")),
    ] {
        let answer = asks(&house, &alice, "/?session_id=a", sql).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "killed\n"));
        assert_eq!(heard(node).last(), Some(&sent));
        assert_eq!(node.requests().last().unwrap().parameter("session_id"), None);
    }
    assert!(heard(other).is_empty());
    // Somebody else's by that name is nobody's, nor is one by the id that ClickHouse knows.
    for (token, sql) in
        [(&mallory, MINE.to_owned()), (&mallory, MINE.replace("mine", &id)), (&alice, MINE.replace("mine", &id)), (&alice, MINE.replace("mine", "x"))]
    {
        let before = heard(&first).len() + heard(&second).len();
        assert_eq!(asks(&house, token, "/", &sql).await.status, 200);
        let all = [heard(&first), heard(&second)].concat();
        assert!(all.len() == before + 1 && all.iter().filter(|text| text.contains(&id)).count() == 2, "{all:?}");
    }
    gate.notify_one();
    running.through("0\r\n\r\n").await.unwrap();
    until("the statement to be forgotten", async || {
        asks(&house, &alice, "/", MINE).await;
        let all = [heard(&first), heard(&second)].concat();
        (all.iter().filter(|text| text.contains("IN ('')")).count() > 4).then_some(())
    })
    .await;
}

/// The statement goes out under another's credential, so nothing of the caller's stands in it but what it was read as.
#[tokio::test]
async fn nothing_of_the_callers_text_comes_along() {
    let rules = RULES.replacen("functions: [", "formats: [\"*\"], functions: [", 1);
    let scene = Scene::start(Script::ok("1\n"), |plan| plan.policy("10-rules.yaml", &rules)).await;
    for (sql, sent) in [
        (r"KILL QUERY WHERE query_id = 'a\nb'", "KILL QUERY WHERE query_id IN ('')"),
        ("KILL QUERY WHERE query_id = 'ü'", "KILL QUERY WHERE query_id IN ('')"),
        (
            "KILL QUERY WHERE query_id = 'x' FORMAT `TSV PARALLEL WITH DROP TABLE t`",
            "KILL QUERY WHERE query_id IN ('') FORMAT `TSV PARALLEL WITH DROP TABLE t`",
        ),
    ] {
        let answer = asks(&scene.house, &scene.alice, "/?compress=1", sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
        let heard = scene.recorder.requests().pop().unwrap();
        assert_eq!((heard.text().as_str(), heard.parameter("compress").as_deref()), (sent, Some("1")));
    }
}

#[tokio::test]
async fn any_other_form_is_for_those_who_administer() {
    let scene = Scene::start(Script::ok("1\n"), |plan| plan.policy("10-rules.yaml", RULES)).await;
    let forms = [
        "KILL QUERY WHERE query_id = 'mine' OR 1",
        "KILL QUERY WHERE query_id != 'mine'",
        "KILL QUERY WHERE query_id = 'mine' TEST",
        "KILL QUERY ON CLUSTER c WHERE query_id = 'mine'",
        "KILL QUERY WHERE query_id = ('mine')",
        "KILL QUERY WHERE query_id = 'mine' AND throwIf((SELECT 1 FROM sec.secret))",
        "KILL QUERY WHERE query_id = (SELECT 'mine')",
        "KILL QUERY WHERE query_id = concat('mi', 'ne')",
        "KILL QUERY WHERE query_id = 'mine'::String",
        "KILL QUERY WHERE user = 'kh_analyst'",
        "KILL QUERY WHERE 1",
        "KILL MUTATION WHERE query_id = 'mine'",
        "KILL QUERY WHERE query_id = 'mine' PARALLEL WITH KILL QUERY WHERE query_id = 'other'",
        "KILL QUERY WHERE query_id = 'mine' SETTINGS max_threads = 1",
    ];
    for sql in forms {
        let answer = asks(&scene.house, &scene.alice, "/", sql).await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (403, Some("effect-not-allowed")), "{sql}: {}", answer.text());
    }
    let answer = asks(&scene.house, &scene.alice, "/", "EXECUTE AS other KILL QUERY WHERE query_id = 'mine'").await;
    assert_eq!(answer.header("x-keyhouse-reason"), Some("effect-not-allowed"), "{}", answer.text());
    assert!(scene.recorder.requests().is_empty());
    // Who administers may name what ClickHouse knows.
    let answer = asks(&scene.house, &scene.bob, "/", MINE).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(scene.recorder.requests()[0].text(), MINE);
}

#[tokio::test]
async fn clickhouse_ends_the_callers_own_and_not_anothers_of_the_same_user() {
    let (embedded, issuer) = (Embedded::start().await, Issuer::start().await);
    embedded.run("CREATE VIEW sales.endless DEFINER = owner SQL SECURITY DEFINER AS SELECT number AS id FROM system.numbers").await;
    let killer = format!("  users:\n    killer: {{cluster: main, user: {}, password: {{file: killer.password}}}}\n", OWNER.name);
    let plan = Plan::new(&issuer.url, &[&embedded.url]).policy("10-rules.yaml", RULES).edit("  users:\n", &killer);
    let house = plan.edit("main: {", "main: {kill_as: killer, ").file("killer.password", OWNER.password).start().await;
    let [alice, mallory] = ["alice", "mallory"].map(|name| issuer.token().subject(name).make());
    let mut running = Caller::tls(house.https()).await;
    running.send(post("/?query_id=mine", &alice, "SELECT max(id) FROM sales.endless")).await;
    let count = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT max(id)%' AND NOT is_cancelled";
    until("the statement runs", async || (embedded.run(count).await.trim() == "1").then_some(())).await;
    let answer = asks(&house, &mallory, "/", &format!("{MINE} FORMAT TSV")).await;
    assert_eq!((answer.status, answer.text().as_str(), embedded.run(count).await.trim()), (200, "", "1"));
    let answer = asks(&house, &alice, "/", &format!("{MINE} SYNC FORMAT TSV")).await;
    assert!(answer.status == 200 && answer.text().starts_with("finished\t"), "{} {}", answer.status, answer.text());
    let ended = running.answer().await;
    assert_eq!(ended.header("x-clickhouse-exception-code"), Some("394"), "{}", ended.text());
    assert_eq!(embedded.run(count).await.trim(), "0");
}
