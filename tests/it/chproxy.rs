//! What went wrong in chproxy, from its changelog and its code: each has a test here, or one that is named here.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::{
    client::{ask, post, send_plain},
    recorder::Recorder,
    scene::Scene,
    script::{Gate, Script},
};

/// What went wrong there, and the tests of it that stand elsewhere.
const ELSEWHERE: [(&str, &[&str]); 24] = [
    ("answers kept for all users", &["no_answer_is_ever_given_to_another_scope", "answers_are_shared_as_far_as_the_rule_says"]),
    (
        "a key of 32 bits, of parts that run together, without the header's database",
        &["what_says_the_same_in_another_way_is_the_same", "whatever_can_change_the_bytes_or_who_may_see_them_is_asked_anew"],
    ),
    ("a key that knows the user and not the rule or the node", &["a_rule_is_what_it_says_and_a_user_is_where_it_leads"]),
    ("an exception behind the header is kept", &["no_failure_is_kept_in_whatever_way_it_comes"]),
    ("now() and rand() are kept", &["what_could_be_another_answer_the_next_time_is_not_kept"]),
    ("a kept answer has lost its headers", &["what_is_asked_again_is_given_again_and_clickhouse_is_not_asked"]),
    (
        "an answer that is to be kept is on disk before its first byte goes out",
        &[
            "who_asks_the_same_meanwhile_joins_and_the_statement_lives_while_one_of_them_does",
            "what_is_longer_than_is_kept_streams_to_its_end_in_a_bounded_window",
        ],
    ),
    ("kept answers wait in the queue and take slots", &["a_kept_answer_needs_no_slot_and_counts_in_rates"]),
    ("a failure is handed to those who wait for the same", &["who_joined_what_fails_before_a_byte_asks_alone"]),
    ("connections are counted down twice", &["no_slot_is_given_twice_or_lost", "no_slot_is_lost_however_a_statement_ends"]),
    ("an INSERT is sent again after a reset", &["a_read_is_sent_again_on_a_new_connection_and_an_insert_never"]),
    ("a retry without its body", &["a_read_is_sent_again_on_a_new_connection_and_an_insert_never"]),
    (
        "chunked uploads count for no limit",
        &["data_takes_its_time_also_where_nobody_says_how_much_it_is", "what_is_too_large_is_refused_and_never_whole_at_the_upstream"],
    ),
    ("a queue that is first come, last served", &["callers_take_turns_and_each_ones_statements_come_in_order"]),
    ("users behind one user have no limits of their own", &["each_limit_counts_what_it_is_for_and_nothing_else"]),
    ("the time limit is not told to ClickHouse", &["clickhouse_is_told_what_is_left_of_a_statements_time"]),
    (
        "a timeout leaves the query running, or kills as default without a password",
        &["a_statement_whose_time_is_over_is_refused_and_killed_by_who_is_named", "a_real_clickhouse_ends_what_it_is_told_to_end"],
    ),
    ("X-Forwarded-For is believed from anyone, and blanks in it break it", &["a_forwarded_address_is_believed_from_trusted_proxies_alone"]),
    ("no credentials are the user default", &["clients_show_what_is_wrong_with_a_token_or_that_there_is_none"]),
    ("two Access-Control-Allow-Origin headers", &["only_known_headers_of_an_answer_reach_the_caller"]),
    ("a failed reload shows in no number", &["a_config_with_a_mistake_changes_nothing"]),
    ("queries die with SIGTERM", &["a_running_answer_is_finished_when_the_house_is_told_to_stop", "an_end_in_the_middle_of_all_that"]),
    ("certificates are not reloaded", &["a_renewed_certificate_is_shown_to_the_next_connection"]),
    ("secrets in the log", &["a_password_is_sent_to_clickhouse_and_written_nowhere"]),
];

fn text_below(folder: &str) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => text.push_str(&text_below(path.to_str().unwrap())),
            false => text.push_str(&fs::read_to_string(path).unwrap_or_default()),
        }
    }
    text
}

#[test]
fn every_test_that_is_named_here_is_there() {
    let tests = text_below("tests/it") + &text_below("src");
    for (bug, names) in ELSEWHERE {
        for name in names {
            assert!(tests.contains(&format!("fn {name}()")), "{bug}: there is no test {name}");
        }
    }
}

/// Its counters of killed requests and of joined answers are told in its documents and stand in no registry.
#[tokio::test]
async fn every_number_of_the_readme_is_one_of_metrics() {
    let readme = include_str!("../../README.md");
    let named: BTreeSet<&str> =
        readme.split(|sign: char| !(sign.is_ascii_lowercase() || sign == '_')).filter(|word| word.starts_with("keyhouse_")).collect();
    let source = include_str!("../../src/record/metrics.rs");
    assert!(named.len() > 5, "{named:?}");
    for name in named {
        assert!(source.contains(&format!("\"{}\"", name.trim_start_matches("keyhouse_"))), "{name} is none");
    }
    // At zero from the start: what appears with its first event is no series to compare with.
    let scene = Scene::start(Script::ok("1\n"), |plan| plan).await;
    let told = scene.house.admin_get("/metrics").await.text();
    for how in ["kept", "stale", "joined", "asked", "bypassed"] {
        assert!(told.contains(&format!("keyhouse_answers_total{{answer=\"{how}\"}} 0")), "{how}");
    }
}

/// Two users who came at once ran as one of them.
#[tokio::test]
async fn callers_who_come_at_once_never_have_each_others_credential() {
    let scene = Scene::start(Script::ok("1\n"), |plan| plan).await;
    let asks = (0..200).map(|number| {
        let (token, name) = if number % 2 == 0 { (&scene.alice, "analyst") } else { (&scene.bob, "writer") };
        let sql = format!("SELECT '{name}', {number}");
        let request = post("/", token, &sql);
        async { assert_eq!(send_plain(scene.house.http(), request).await.status, 200) }
    });
    futures_util::future::join_all(asks).await;
    let heard = scene.recorder.requests();
    assert_eq!(heard.len(), 200);
    for heard in heard {
        let (user, text) = (heard.header("x-clickhouse-user").unwrap().to_owned(), heard.text());
        assert!(text.contains(&format!("'{}'", user.trim_start_matches("kh_"))), "{user}: {text}");
    }
}

/// A parameter of the caller's chose where an answer was kept.
#[tokio::test]
async fn nobody_chooses_a_namespace_for_answers() {
    let scene = Scene::start(Script::ok("1\n"), |plan| plan).await;
    let answer = send_plain(scene.house.http(), post("/?cache_namespace=1", &scene.alice, "SELECT 1")).await;
    scene.refused(&answer, 403, "setting-not-allowed").await;
    assert!(scene.recorder.requests().is_empty());
}

/// Errors told the node, the user of the cluster and the text of whoever waited for the same.
#[tokio::test]
async fn no_refusal_tells_where_clickhouse_is_who_asks_it_or_what_others_ask() {
    let gate = Gate::default();
    let rules = r#"
rules:
  - {name: analysts, whom: {groups: [analysts]}, act_as: analyst, allow: [{tables: ["default.*"]}], answers: {ttl: 1h, shared_with: rule}}
"#;
    let recorder = Recorder::start(Script::raw("").hold(&gate).reset()).await;
    let node = recorder.url.trim_start_matches("http://").to_owned();
    let scene = Scene::ready(recorder, |plan| plan.policy("10-rules.yaml", rules)).await;
    let sql = "SELECT 'of the first alone' FROM default.t";
    let carol = scene.token().subject("carol").make();
    let others = async {
        scene.wait_metric("keyhouse_requests_running", 2).await;
        scene.recorder.wait_requests(1).await;
        scene.recorder.answers(Script::raw("no HTTP\r\n\r\n"));
        gate.notify_one();
    };
    let (first, second, ()) = tokio::join!(ask(&scene.house, &scene.alice, sql), ask(&scene.house, &carol, sql), others);
    scene.recorder.down().await;
    let down = ask(&scene.house, &scene.alice, "SELECT 2 FROM default.t").await;
    for (answer, reason) in [(&first, "upstream-broken"), (&second, "upstream-broken"), (&down, "upstream-unreachable")] {
        scene.refused(answer, 502, reason).await;
        let told = format!("{:?} {}", answer.headers, answer.text());
        for secret in [node.as_str(), "127.0.0.1", "kh_analyst", "of the first alone", "alice"] {
            assert!(!told.contains(secret), "{secret}: {told}");
        }
    }
}
