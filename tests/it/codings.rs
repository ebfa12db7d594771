//! In which coding answers come: one that the caller takes, chosen by Keyhouse, passed on as it came.

use serde_json::{Value, json};

use crate::support::{
    clickhouse::ANALYST,
    client::{send, send_plain},
    coding::{block_lz4, gzip},
    embedded::Embedded,
    issuer::Issuer,
    modern_house,
    raw::Raw,
    recorder::Recorder,
    scene::Scene,
    script::Script,
};

const SQL: &str = "SELECT 1";

fn coded(body: &[u8]) -> Script {
    Script::answer(200, &[("Content-Type", "text/x"), ("Content-Encoding", "gzip")], body)
}

/// The settings of a server of today, with whether the one for codings is on, and whether it may be.
async fn knows(value: &str, readonly: u8) -> Recorder {
    let recorder = Recorder::refuses();
    let row = |name: &str, value: &str, readonly: u8| json!({"name": name, "value": value, "readonly": readonly});
    let rows: Vec<Value> =
        vec![row("readonly", "2", 0), row("input_format_values_interpret_expressions", "0", 0), row("enable_http_compression", value, readonly)];
    recorder.knows_settings(rows);
    recorder.answers(coded(&gzip(b"1\n")));
    recorder.up().await;
    recorder
}

#[tokio::test]
async fn one_coding_is_asked_for_and_the_answer_goes_on_as_it_came() {
    for (value, readonly, said, ignored) in [("0", 0, Some("1"), None), ("1", 0, None, None), ("0", 1, None, Some("enable_http_compression"))] {
        let recorder = knows(value, readonly).await;
        let scene = Scene::ready(recorder, |plan| plan).await;
        let raw = Raw::post("/?enable_http_compression=1").header("Accept-Encoding: br;q=0, gzip").header("Accept-Encoding: deflate").body(SQL);
        let answer = send(&scene.house, raw.with_token(&scene.alice)).await;
        assert_eq!((answer.status, answer.header("content-encoding"), &answer.body[..]), (200, Some("gzip"), &gzip(b"1\n")[..]));
        assert_eq!(answer.header("x-keyhouse-ignored"), ignored, "{value} {readonly}");
        let heard = scene.recorder.requests().remove(0);
        assert_eq!((heard.header("accept-encoding"), heard.parameter("enable_http_compression").as_deref()), (Some("gzip"), said));
    }
}

#[tokio::test]
async fn none_is_asked_for_where_the_caller_wants_none_or_the_answer_is_kept() {
    let rules = "rules:\n  - {name: analysts, whom: {groups: [analysts]}, act_as: analyst, allow: [{tables: [\"default.*\"]}]}\n  \
                 - {name: engineers, whom: {groups: [engineers]}, act_as: writer, allow: [{tables: [\"default.*\"]}], answers: {ttl: 1h}}\n";
    let scene = Scene::start(Script::ok("1\n"), |plan| plan.policy("10-rules.yaml", rules)).await;
    let takes = |target: &str| Raw::post(target).header("Accept-Encoding: zstd").body(SQL);
    let asked = [
        (Raw::post("/").body(SQL), &scene.alice, None),
        (Raw::post("/?enable_http_compression=1").body(SQL), &scene.alice, None),
        (takes("/?enable_http_compression=0"), &scene.alice, None),
        (Raw::post("/").header("Accept-Encoding: identity, abracadabra").body(SQL), &scene.alice, None),
        (takes("/?enable_http_compression=1"), &scene.bob, Some("asked")),
        (takes("/?compress=1&enable_http_compression=1"), &scene.bob, Some("bypassed; compressed-blocks")),
    ];
    for (number, (raw, token, how)) in asked.into_iter().enumerate() {
        let answer = send(&scene.house, raw.with_token(token)).await;
        assert_eq!((answer.status, answer.header("x-keyhouse-answer")), (200, how), "{}", answer.text());
        let heard = scene.recorder.requests().remove(number);
        assert_eq!((heard.header("accept-encoding"), heard.parameter("enable_http_compression")), (None, None), "{}", raw.shown());
    }
    assert_eq!(scene.recorder.requests().last().unwrap().parameter("compress").as_deref(), Some("1"));
    // One that nobody asked for is passed on to nobody.
    scene.recorder.answers(coded(b"x"));
    let answer = send(&scene.house, takes("/").with_token(&scene.alice)).await;
    scene.refused(&answer, 502, "upstream-broken").await;
}

#[tokio::test]
async fn who_reads_blocks_is_refused_in_one() {
    let scene = Scene::start(Script::ok("1\n"), |plan| plan).await;
    for (blocks, plain, sql) in [("/?compress=1", "/?compress=0", "SELEC 1"), ("/?database=&database=a&compress=true", "/?database=&database=a", SQL)]
    {
        let [answer, plain] = [
            send(&scene.house, Raw::post(blocks).body(sql).with_token(&scene.alice)).await,
            send(&scene.house, Raw::post(plain).body(sql).with_token(&scene.alice)).await,
        ];
        assert!(plain.status == 400 && plain.text().starts_with("Code: "), "{}", plain.text());
        let [id, other] = [&answer, &plain].map(|answer| answer.header("x-keyhouse-request-id").unwrap());
        assert_eq!((answer.status, &answer.body[..]), (400, &block_lz4(plain.text().replace(other, id).as_bytes())[..]), "{blocks}");
    }
    // ClickHouse refuses a caller before it knows what they want, so that these two are read as they are.
    for (token, sql, status) in [(scene.alice.as_str(), "DROP TABLE t", 403), ("nonsense", SQL, 401)] {
        let answer = send(&scene.house, Raw::post("/?compress=1").body(sql).with_token(token)).await;
        assert!(answer.status == status && answer.text().starts_with("Code: "), "{}", answer.text());
    }
    assert!(scene.recorder.requests().is_empty());
}

#[tokio::test]
async fn every_coding_is_clickhouses_own() {
    let (embedded, issuer) = (Embedded::start().await, Issuer::start().await);
    let house = modern_house(&embedded, &issuer).await;
    let token = issuer.token().make();
    let direct = embedded.url.trim_start_matches("http://").parse().unwrap();
    let mut codings = Vec::new();
    for sql in ["SELECT id, region FROM sales.orders WHERE id < 100 ORDER BY id", "SELECT nothing_there FROM sales.orders"] {
        for accepts in ["", "gzip", "deflate", "br", "zstd", "lz4", "gzip, deflate, br, zstd"] {
            for target in ["/", "/?enable_http_compression=1", "/?enable_http_compression=0", "/?compress=1&enable_http_compression=0"] {
                let raw = Raw::post(target).header(&format!("Accept-Encoding: {accepts}")).body(sql);
                let raw = if accepts.is_empty() { Raw::post(target).body(sql) } else { raw };
                let (own, ours) = (send_plain(direct, raw.of_user(ANALYST)).await, send(&house, raw.with_token(&token)).await);
                assert_eq!((own.status, own.header("content-encoding")), (ours.status, ours.header("content-encoding")), "{}", raw.shown());
                assert!(own.body == ours.body, "{}: {} and {}", raw.shown(), own.text(), ours.text());
                codings.extend(ours.header("content-encoding").map(str::to_owned));
            }
        }
    }
    codings.sort_unstable();
    codings.dedup();
    assert_eq!(codings, ["br", "deflate", "gzip", "lz4", "zstd"]);
}
