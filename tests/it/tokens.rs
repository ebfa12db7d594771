//! Tokens that fit, in every form and place. Those that do not are in `identity_attacks`.

use serde_json::json;

use crate::{
    identity_attacks::published::Keys,
    support::{
        client::{basic, get, post, send},
        house::Plan,
        recorder::Recorder,
        script::Script,
        token::{Token, now},
    },
};

#[tokio::test]
pub async fn every_token_that_fits_is_taken() {
    let keys = Keys::publish().await;
    let (house, recorder) = keys.house().await;
    let rsa = |alg: &str| keys.token().header("alg", alg).signed_as(alg);
    let signed = |key| keys.token().signed_by(key);
    let mut good: Vec<Token> = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].map(rsa).to_vec();
    good.extend([signed(&keys.es256), signed(&keys.es384), signed(&keys.ed25519), signed(&keys.ed25519).header("alg", "EdDSA")]);
    good.extend([signed(&keys.es256), signed(&keys.ed25519)].map(|token| token.without_header("kid")));
    good.push(rsa("PS512").header("kid", "ps512-only"));
    good.extend(["at+jwt", "application/at+jwt", "AT+JWT"].map(|typ| keys.token().header("typ", typ)));
    good.push(keys.token().without_header("typ"));
    good.push(keys.token().claim("typ", "Bearer").claim("token_use", "access").without("nbf").without("iat"));
    good.push(keys.token().claim("aud", "clickhouse"));
    good.push(keys.token().claim("aud", json!(["account", "clickhouse", "other"])));
    good.push(keys.token().claim("groups", "analysts").subject("Zoë @ ops|42"));
    good.push(keys.token().claim("exp", (now() + 100) as f64 + 0.5));
    for (index, token) in good.iter().enumerate() {
        let answer = send(&house, post("/", &token.make(), "SELECT 1")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "token {index}");
    }
    // Within the 60 s that clocks may differ; two of them are left for a slow machine.
    let late = keys.token().expires_in(-58).make();
    assert_eq!(send(&house, post("/", &late, "SELECT 1")).await.status, 200);
    let heard = recorder.wait_requests(good.len() + 1).await;
    assert!(heard.iter().all(|one| one.header("authorization").is_none()), "a token went on to ClickHouse");
}

#[tokio::test]
async fn a_token_is_taken_wherever_a_client_can_put_it_and_goes_nowhere() {
    let keys = Keys::publish().await;
    let recorder = Recorder::start(Script::ok("1\n")).await;
    let plan = Plan::new(&keys.issuer.url, &[&recorder.url]);
    let house = plan.section("allow_tokens_in_addresses_that_logs_keep", "true").start().await;
    let token = keys.token().make();
    let by = |target: &str, headers: &[&str]| get(&format!("/?{target}query=SELECT%201"), headers);
    let bearer = format!("Authorization: Bearer {token}");
    let requests = [
        by("", &[&basic("", &token)]),
        by("", &[&basic("default", &token)]),
        by("", &[&basic("alice", &token)]),
        by("", &[&format!("X-ClickHouse-Key: {token}")]),
        by("", &["X-ClickHouse-User: alice", &format!("X-ClickHouse-Key: {token}")]),
        by("", &[&bearer, "X-ClickHouse-User: default", "X-ClickHouse-SSL-Certificate-Auth: off"]),
        by("user=default&password=&", &[&bearer]),
        by(&format!("user=alice&password={token}&"), &[]),
        by(&format!("password={token}&"), &[&basic("default", "")]),
    ];
    for request in &requests {
        let answer = send(&house, request).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "{request}");
    }
    let heard = recorder.wait_requests(requests.len()).await;
    for one in &heard {
        let said = format!("{}{:?}", one.target(), one.head);
        assert!(!said.contains(&token) && one.header("X-ClickHouse-User") == Some("kh_analyst"), "{said}");
        assert!(one.header("authorization").is_none() && one.parameter("user").is_none() && one.parameter("password").is_none(), "{said}");
    }
    let records = house.wait_records(requests.len()).await;
    let (log, record) = (house.program.log(), serde_json::to_string(&records).unwrap());
    let signature = token.rsplit('.').next().unwrap();
    assert!(!log.contains(signature) && !record.contains(signature), "the token is in the log or in the record");
}

#[tokio::test]
async fn a_refusal_is_json_for_those_who_ask_for_it() {
    let keys = Keys::publish().await;
    let (house, recorder) = keys.house().await;
    let line = format!("Authorization: Bearer {}", keys.token().claim("aud", "other-api").make());
    let answer = send(&house, get("/?query=SELECT%201", &[&line, "Accept: application/json"])).await;
    let json = answer.json();
    assert_eq!((answer.status, answer.header("content-type")), (401, Some("application/json")));
    assert_eq!((&json["reason"], &json["code"], &json["name"]), (&json!("audience_mismatch"), &json!(516), &json!("AUTHENTICATION_FAILED")));
    assert_eq!(json["request_id"].as_str(), answer.header("x-keyhouse-request-id"));
    assert!(json["message"].as_str().unwrap().contains("other-api"), "{json}");
    assert_eq!(house.wait_records(1).await[0]["request_id"], json["request_id"]);
    assert!(recorder.requests().is_empty());
}
