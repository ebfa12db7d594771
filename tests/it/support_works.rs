//! The support does what its names say, so that a failed test tells of the house and not of it.

use std::{net::SocketAddr, process::Command};

use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use crate::support::{
    certificates::Certificates,
    clickhouse::{ANALYST, ClickHouse, OWNER},
    client::{Answer, Caller, get, post, send_plain},
    issuer::{Hits, Issuer, Page},
    key::Key,
    oidc_provider::OidcProvider,
    program::{KEYHOUSE, Program},
    recorder::{Ending, Recorder},
    script::{Gate, Script, is_data},
    wire::End,
};

fn address(url: &str) -> SocketAddr {
    url.split("//").nth(1).unwrap().parse().unwrap()
}

async fn fetch(url: &str, path: &str) -> Answer {
    send_plain(address(url), get(path, &["Connection: close"])).await
}

/// Whether this key set verifies the token, by its `kid`.
fn verifies(key_set: &Value, token: &str) -> bool {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = BASE64.decode(signature).unwrap();
    let header = part(token, 0);
    let Some(key) = key_set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]) else {
        return false;
    };
    let member = |name: &str| BASE64.decode(key[name].as_str().unwrap()).unwrap();
    let verify =
        |alg: &'static dyn VerificationAlgorithm, key: &[u8]| UnparsedPublicKey::new(alg, key).verify(message.as_bytes(), &signature).is_ok();
    let point = || [vec![4], member("x"), member("y")].concat();
    match header["alg"].as_str().unwrap() {
        "RS256" => RsaPublicKeyComponents { n: member("n"), e: member("e") }
            .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature)
            .is_ok(),
        "ES256" => verify(&signature::ECDSA_P256_SHA256_FIXED, &point()),
        "ES384" => verify(&signature::ECDSA_P384_SHA384_FIXED, &point()),
        "Ed25519" | "EdDSA" => verify(&signature::ED25519, &member("x")),
        other => panic!("{other}"),
    }
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&BASE64.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn every_key_signs_what_the_published_set_verifies() {
    let issuer = Issuer::start().await;
    let keys = [Key::rs256(), Key::fresh("ES256"), Key::fresh("ES384"), Key::fresh("Ed25519")];
    issuer.publish(&keys);
    let set = fetch(&issuer.url, "/jwks").await.json();
    for key in &keys {
        let token = issuer.token().signed_by(key).make();
        assert!(verifies(&set, &token), "{token}");
        let forged = issuer.token().signed_by(key).signature(vec![7; 64]).make();
        assert!(!verifies(&set, &forged), "{forged}");
    }
}

#[tokio::test]
async fn a_token_says_whatever_the_test_wants() {
    let issuer = Issuer::start().await;
    let token = issuer.token().claim("aud", "other").without("groups").header("alg", "none").make();
    assert_eq!(part(&token, 0)["alg"], "none");
    assert_eq!(part(&token, 1)["aud"], "other");
    assert_eq!(part(&token, 1).get("groups"), None);
    let twice = issuer.token().claim_again("groups", json!(["admins"])).make();
    let claims = String::from_utf8(BASE64.decode(twice.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!(claims.matches("\"groups\":").count(), 2, "{claims}");
    let raw = issuer.token().raw_header("[").signature("").make();
    assert!(raw.starts_with(&format!("{}.", BASE64.encode("["))) && raw.ends_with('.'), "{raw}");
}

#[tokio::test]
async fn an_issuer_fails_as_it_is_told_and_comes_back_on_its_port() {
    let issuer = Issuer::start().await;
    let discovery = fetch(&issuer.url, "/.well-known/openid-configuration").await.json();
    assert_eq!(discovery["issuer"], issuer.url);
    issuer.key_set_is(Page::of(503, "text/html", "<html>"));
    assert_eq!(fetch(&issuer.url, "/jwks").await.status, 503);
    issuer.key_set_is(None);
    assert_eq!(fetch(&issuer.url, "/jwks").await.status, 200);
    assert_eq!(issuer.hits(), Hits { discovery: 1, key_set: 2 });
    issuer.down().await;
    assert!(tokio::net::TcpStream::connect(address(&issuer.url)).await.is_err());
    issuer.up().await;
    assert_eq!(fetch(&issuer.url, "/jwks").await.status, 200);
}

#[test]
#[should_panic(expected = "keyhouse panicked")]
fn a_house_that_panicked_fails_its_test_even_where_it_went_on() {
    let said = "echo \"thread 'main' panicked at src/main.rs:1:1\" >&2; exec cat";
    let program = Program::start(KEYHOUSE, Command::new("sh").args(["-c", said]));
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(program.wait_line("panicked"));
}

#[tokio::test]
async fn a_recorder_keeps_every_byte_it_hears() {
    let recorder = Recorder::start(Script::ok("1\n")).await;
    let mut caller = Caller::plain(address(&recorder.url)).await;
    let sent = "POST /?a=b%20c HTTP/1.1\r\nhost: x\r\nX-Odd:  two \r\nTransfer-Encoding: chunked\r\n\r\n";
    caller.send(format!("{sent}3\r\nSEL\r\n5\r\nECT 1\r\n0\r\n\r\n")).await;
    assert_eq!(caller.answer().await.text(), "1\n");
    caller.send(get("/ping", &[])).await;
    caller.answer().await;
    let heard = recorder.wait_requests(2).await;
    assert_eq!(heard[0].head.raw, sent.as_bytes());
    assert_eq!(heard[0].text(), "SELECT 1");
    assert_eq!(heard[0].parameter("a").as_deref(), Some("b c"));
    assert_eq!((heard[1].method(), heard[1].target(), heard[1].connection), ("GET", "/ping", 0));
}

#[tokio::test]
async fn a_recorder_answers_for_the_settings_it_knows() {
    let recorder = Recorder::start(Script::stalls()).await;
    let sql = "SELECT name, value, readonly FROM system.settings WHERE name IN ('readonly','unheard_of') FORMAT JSONEachRow";
    let answer = send_plain(address(&recorder.url), post("/", "t", sql)).await;
    assert_eq!(answer.json(), json!({"name": "readonly", "value": "0", "readonly": 0}));
    let nothing = sql.replace("'readonly',", "");
    assert_eq!(send_plain(address(&recorder.url), post("/", "t", &nothing)).await.text(), "");
    assert_eq!((recorder.asked().len(), recorder.requests().len()), (2, 0));
}

#[tokio::test]
async fn a_recorder_misbehaves_as_it_is_told() {
    let broken = End::Broken(std::io::ErrorKind::ConnectionReset);
    let recorder = Recorder::start(Script::stalls()).await;
    for (script, body, end) in [
        (Script::ok("1\n"), "1\n", End::Whole),
        (Script::until_close("some"), "some", End::Whole),
        (Script::cuts_off("some"), "some", End::Cut),
        (Script::breaks_mid_stream("some"), "some", broken),
        (Script::lies(9, 200, &[], "some"), "some", End::Cut),
        (Script::lies(2, 200, &[], "some"), "so", End::Whole),
        (Script::exception(404, 60, "no"), "Code: 60, e.displayText() = DB::Exception: no\n", End::Whole),
    ] {
        recorder.answers(script);
        let answer = send_plain(address(&recorder.url), post("/", "t", "SELECT 1")).await;
        assert_eq!((answer.text().as_str(), answer.end), (body, end));
    }
    recorder.down().await;
    assert!(tokio::net::TcpStream::connect(address(&recorder.url)).await.is_err());
}

#[tokio::test]
async fn a_recorder_sees_a_caller_leave() {
    let recorder = Recorder::start(Script::stalls_after("first row\n")).await;
    let mut caller = Caller::plain(address(&recorder.url)).await;
    caller.send(post("/", "t", "SELECT 1")).await;
    caller.through("first row").await.unwrap();
    assert_eq!(recorder.requests()[0].ending, None);
    drop(caller);
    assert_eq!(recorder.wait_caller_gone().await.ending, Some(Ending::CallerGone));
}

#[tokio::test]
async fn a_recorder_goes_on_when_its_gate_opens_or_before_it_has_heard_all() {
    let recorder = Recorder::start(Script::stalls()).await;
    let gate = Gate::default();
    recorder.answers(Script::begin(200, &[]).chunk("one").hold(&gate).chunk("two").end());
    let mut caller = Caller::plain(address(&recorder.url)).await;
    caller.send(post("/", "t", "SELECT 1")).await;
    caller.through("one").await.unwrap();
    gate.notify_one();
    caller.through("two").await.unwrap();
    recorder.answers_before_the_body(Script::exception(400, 62, "too early"));
    let half = post("/", "t", "INSERT").replace("Length: 6", "Length: 60");
    assert_eq!(send_plain(address(&recorder.url), half).await.status, 400);
    let unheard = recorder.wait("an ending", |heard| heard.len() == 2 && heard[1].ending.is_some()).await;
    assert!(!unheard[1].whole && unheard[1].text() == "INSERT", "{:?}", unheard[1]);
}

#[tokio::test]
async fn a_recorder_streams_and_breaks_behind_tls_as_well() {
    let recorder = Recorder::start_tls(Script::streams(1_000_000), Certificates::shared()).await;
    let mut caller = Caller::tls(address(&recorder.url)).await;
    caller.send(post("/", "t", "SELECT 1")).await;
    let mut seen = 0;
    let mut good = true;
    let answer = caller
        .answer_into(|bytes| {
            good &= is_data(seen, bytes);
            seen += bytes.len() as u64;
        })
        .await;
    assert_eq!((answer.end, seen, good), (End::Whole, 1_000_000, true));
    recorder.answers(Script::breaks_mid_stream("some"));
    caller.send(post("/", "t", "SELECT 2")).await;
    assert_ne!(caller.answer().await.end, End::Whole);
    let strangers = Certificates::new().client(&[]);
    assert!(Caller::tls_by(address(&recorder.url), strangers).await.is_err());
}

#[tokio::test]
async fn clickhouse_answers_on_both_its_ports() {
    let server = ClickHouse::shared().await;
    assert_eq!(server.run(ANALYST, "SELECT 1").await, "1\n");
    server.run(OWNER, "CREATE TABLE support_works (a UInt8) ENGINE = Memory").await;
    server.run(ANALYST, "INSERT INTO support_works VALUES (7)").await;
    assert_eq!(server.run(ANALYST, "SELECT a FROM support_works").await, "7\n");
    let mut caller = Caller::tls(server.https).await;
    caller.send(get("/?query=SELECT%201", &["X-ClickHouse-User: kh_writer", "X-ClickHouse-Key: wrong"])).await;
    assert_ne!(caller.answer().await.status, 200);
    let mut caller = Caller::tls(server.https).await;
    caller.send(get("/?query=SELECT%201", &["X-ClickHouse-User: kh_writer", "X-ClickHouse-Key: writer-pw-2"])).await;
    assert_eq!(caller.answer().await.text(), "1\n");
}

#[tokio::test]
async fn a_certified_provider_issues_rotates_and_fails() {
    let provider = OidcProvider::start().await;
    let set = fetch(&provider.url, "/jwks").await.json();
    let mut old = Vec::new();
    for alg in ["RS256", "ES256", "EdDSA"] {
        let token = provider.token(alg).await;
        assert!(verifies(&set, &token), "{token}");
        let claims = part(&token, 1);
        assert_eq!(claims["aud"], "clickhouse");
        assert_eq!((&claims["sub"], &claims["groups"]), (&json!("ci"), &json!(["analysts"])));
        old.push(token);
    }
    provider.rotate().await;
    assert!(!verifies(&set, &provider.token("ES256").await));
    assert!(verifies(&fetch(&provider.url, "/jwks").await.json(), &old[0]));
    provider.rotate_and_drop().await;
    assert!(!verifies(&fetch(&provider.url, "/jwks").await.json(), &old[0]));
    provider.key_set_fails(503, 0).await;
    assert_eq!(fetch(&provider.url, "/jwks").await.status, 503);
    assert_eq!(provider.hits().await["jwks"], 4);
}
