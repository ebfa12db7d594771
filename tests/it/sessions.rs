//! Sessions of ClickHouse: each of one caller by one rule, at one node, with nothing in it that changes what statements mean.

use crate::support::{
    client::{Answer, ask, post, send},
    embedded::Embedded,
    house::Plan,
    issuer::Issuer,
    recorder::Recorder,
    scene::Scene,
    script::Script,
};

const RULES: &str = r#"
rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow:
      - {tables: ["default.*"]}
      - {effects: [session], tables: ["default.tmp_*"], databases: ["elsewhere"]}
      - {effects: [insert, define], tables: ["default.tmp_*"]}
    settings: {allow: ["max_threads", "max_block_size"]}
    sessions: SESSIONS
    answers: {ttl: 1h}
  - {name: engineers, whom: {groups: [engineers]}, act_as: analyst, allow: [{tables: ["default.*"]}], sessions: {}}
  - {name: others, whom: {groups: [others]}, act_as: analyst, allow: [{tables: ["default.*"]}]}
"#;

fn giving(plan: Plan, sessions: &str) -> Plan {
    plan.policy("10-rules.yaml", &RULES.replace("SESSIONS", sessions))
}

async fn scene(sessions: &str) -> Scene {
    Scene::start(Script::ok("1\n"), |plan| giving(plan, sessions)).await
}

async fn asks(scene: &Scene, token: &str, target: &str, sql: &str) -> Answer {
    send(&scene.house, post(target, token, sql)).await
}

/// What ClickHouse was told of the session, by the last statement.
async fn told(scene: &Scene, token: &str, target: &str) -> Option<String> {
    let answer = asks(scene, token, target, "SELECT 1").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    scene.recorder.requests().last().unwrap().parameter("session_id")
}

#[tokio::test]
async fn a_session_is_of_one_caller_by_one_rule() {
    let scene = scene("{per_caller: 10, timeout: 5m}").await;
    let carol = scene.token().subject("carol").make();
    let mut ids = Vec::new();
    for (token, target) in [
        (&scene.alice, "/?session_id=a"),
        (&scene.alice, "/?session_id=b"),
        (&carol, "/?session_id=a"),
        (&scene.bob, "/?session_id=a"),
        (&scene.token().subject("alice").groups(&["engineers"]).make(), "/?session_id=a"),
    ] {
        let id = told(&scene, token, target).await.unwrap();
        assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(told(&scene, token, target).await.as_ref(), Some(&id), "the same the next time");
        ids.push(id);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5, "{ids:?}");
    // Where the rule gives none, it is said, and the answer may be kept.
    let none = scene.token().subject("dora").groups(&["others"]).make();
    let answer = asks(&scene, &none, "/?session_id=a&session_timeout=x", "SELECT 2").await;
    assert_eq!((answer.status, answer.header("x-keyhouse-ignored")), (200, Some("session_id, session_timeout")));
    assert_eq!(scene.recorder.requests().last().unwrap().parameter("session_id"), None);
}

#[tokio::test]
async fn what_is_said_of_a_session_is_read_and_capped() {
    let scene = scene("{timeout: 5m}").await;
    for (said, timeout, check) in [("", "60", None), ("&session_timeout=30&session_check=1", "30", Some("1")), ("&session_timeout=3600", "300", None)]
    {
        let answer = asks(&scene, &scene.alice, &format!("/?session_id=a{said}"), "SELECT 1").await;
        assert_eq!((answer.status, answer.header("x-keyhouse-answer")), (200, Some("bypassed; session")));
        let heard = scene.recorder.requests().pop().unwrap();
        let sent = |name: &str| heard.parameter(name);
        assert_eq!((sent("session_timeout").as_deref(), sent("session_check").as_deref()), (Some(timeout), check), "{said}");
    }
    let count = scene.recorder.requests().len();
    for said in ["session_id=", "session_id=a&session_timeout=0", "session_id=a&session_timeout=-1", "session_id=a&session_check=2"] {
        let answer = asks(&scene, &scene.alice, &format!("/?{said}"), "SELECT 1").await;
        scene.refused(&answer, 400, "malformed-parameter").await;
    }
    assert_eq!(scene.recorder.requests().len(), count);
}

#[tokio::test]
async fn what_would_change_later_statements_is_refused_and_what_rests_on_it() {
    let scene = scene("{}").await;
    for (sql, status, reason) in [
        ("USE elsewhere", 403, "session-statement"),
        ("SET ROLE r", 403, "session-statement"),
        ("SET ROLE DEFAULT", 403, "session-statement"),
        ("SET param_x = 1", 403, "session-statement"),
        ("SET max_threads = DEFAULT", 403, "session-statement"),
        ("SET max_threads = 2, max_block_size = DEFAULT", 403, "session-statement"),
        ("BEGIN TRANSACTION", 403, "session-statement"),
        ("EXECUTE AS other", 403, "session-statement"),
        ("EXECUTE AS other SELECT 1", 403, "session-statement"),
        ("CREATE TEMPORARY TABLE tmp_a (x UInt8) PARALLEL WITH CREATE TEMPORARY TABLE tmp_b (x UInt8)", 403, "session-statement"),
        ("SELECT {x:UInt8}", 400, "malformed-parameter"),
        ("SET readonly = 0", 403, "setting-not-allowed"),
        ("SET select = '(SELECT 1)'", 403, "setting-not-allowed"),
        ("CREATE TEMPORARY TABLE other (x UInt8)", 403, "table-not-allowed"),
        ("INSERT INTO t VALUES (1)", 403, "table-not-allowed"),
    ] {
        let answer = asks(&scene, &scene.alice, "/?session_id=a", sql).await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (status, Some(reason)), "{sql}: {}", answer.text());
    }
    assert!(scene.recorder.requests().is_empty());
    for (target, sql) in [
        ("/?session_id=a", "CREATE TEMPORARY TABLE tmp_a (x UInt8)"),
        ("/?session_id=a", "INSERT INTO tmp_a VALUES (1)"),
        ("/?session_id=a", "SET max_threads = 2"),
        ("/?session_id=a&param_x=1", "SELECT {x:UInt8} FROM tmp_a"),
        ("/", "USE elsewhere"),
    ] {
        let answer = asks(&scene, &scene.alice, target, sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
    }
}

#[tokio::test]
async fn nobody_has_more_than_the_rule_and_the_config_give() {
    let shape = |plan: Plan| giving(plan, "{per_caller: 2}").section("limits", "{sessions: 3}");
    let scene = Scene::start(Script::ok("1\n"), shape).await;
    for name in ["a", "b", "a"] {
        told(&scene, &scene.alice, &format!("/?session_id={name}")).await.unwrap();
    }
    let answer = asks(&scene, &scene.alice, "/?session_id=c", "SELECT 1").await;
    assert!(answer.text().contains("Rule `analysts` gives each caller 2 sessions") && answer.text().contains("Code: 700."), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("60"));
    scene.refused(&answer, 429, "too-many-sessions").await;
    told(&scene, &scene.bob, "/?session_id=a").await.unwrap();
    let answer = asks(&scene, &scene.bob, "/?session_id=b", "SELECT 1").await;
    assert!(answer.text().contains("limits.sessions"), "{}", answer.text());
    scene.refused(&answer, 429, "too-many-sessions").await;
    assert_eq!(scene.recorder.requests().len(), 4);
    // Without one everything goes on.
    assert_eq!(ask(&scene.house, &scene.alice, "SELECT 3").await.status, 200);
}

#[tokio::test]
async fn a_session_stays_at_its_node_until_that_is_gone() {
    let (issuer, first, second) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await, Recorder::start(Script::ok("2\n")).await);
    let house = giving(Plan::new(&issuer.url, &[&first.url, &second.url]), "{per_caller: 40}").start().await;
    let alice = issuer.token().make();
    let ask_in = async |session: usize| send(&house, post(&format!("/?session_id={session}"), &alice, "SELECT 1")).await;
    let mut nodes = Vec::new();
    for session in 0..20 {
        nodes.push(ask_in(session).await.text());
    }
    assert!(nodes.contains(&"1\n".to_owned()) && nodes.contains(&"2\n".to_owned()), "{nodes:?}");
    for _ in 0..3 {
        for (session, node) in nodes.iter().enumerate() {
            assert_eq!(&ask_in(session).await.text(), node, "session {session}");
        }
    }
    first.down().await;
    let lost = nodes.iter().position(|node| node == "1\n").unwrap();
    let before = second.requests().len();
    let answer = ask_in(lost).await;
    assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (502, Some("upstream-unreachable")), "{}", answer.text());
    assert_eq!(second.requests().len(), before, "another node does not have it");
    assert_eq!(ask_in(lost).await.text(), "2\n", "it begins anew");
}

#[tokio::test]
async fn callers_of_one_clickhouse_user_see_nothing_of_each_other() {
    let (embedded, issuer) = (Embedded::start().await, Issuer::start().await);
    let rules = r#"rules:
  - name: everybody
    whom: {groups: [analysts]}
    act_as: writer
    allow:
      - {tables: ["sales.*"], functions: [getSetting]}
      - {effects: [session, read, insert, define], tables: ["default.tmp_*"]}
    settings: {allow: ["max_threads"]}
    sessions: {}
"#;
    let house = Plan::new(&issuer.url, &[&embedded.url]).policy("10-rules.yaml", rules).start().await;
    let [alice, mallory] = ["alice", "mallory"].map(|name| issuer.token().subject(name).make());
    let ask_in = async |token: &str, sql: &str| {
        let answer = send(&house, post("/?session_id=mine", token, sql)).await;
        if answer.status == 200 {
            answer.text()
        } else {
            format!("{} {}", answer.status, answer.header("x-clickhouse-exception-code").unwrap_or_default())
        }
    };
    for (token, sql, says) in [
        (&alice, "CREATE TEMPORARY TABLE tmp_secret (x UInt8)", ""),
        (&alice, "INSERT INTO tmp_secret VALUES (40), (2)", ""),
        (&alice, "SELECT sum(x) FROM tmp_secret", "42\n"),
        (&alice, "SET max_threads = 3", ""),
        (&alice, "SELECT getSetting('max_threads')", "3\n"),
        (&mallory, "SELECT sum(x) FROM tmp_secret", "404 60"),
        (&mallory, "SELECT getSetting('max_threads') = 3", "0\n"),
        (&mallory, "CREATE TEMPORARY TABLE tmp_secret (x UInt8)", ""),
        (&mallory, "SELECT count() FROM tmp_secret", "0\n"),
        (&alice, "DROP TABLE tmp_secret", ""),
        (&alice, "SELECT sum(x) FROM tmp_secret", "404 60"),
    ] {
        assert_eq!(ask_in(token, sql).await, says, "{sql}");
    }
    // One that has to be there and is not is ClickHouse's to say.
    let answer = send(&house, post("/?session_id=none&session_check=1", &alice, "SELECT 1")).await;
    assert_eq!(answer.header("x-clickhouse-exception-code"), Some("372"), "{}", answer.text());
}
