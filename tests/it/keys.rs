//! The life of a provider's keys: fetched, asked for, rotated, withdrawn, out of reach.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{
    clickhouse::ClickHouse,
    client::{Answer, Caller, ask, post},
    house::{House, Plan},
    issuer::{Hits, Issuer, Page, discovery},
    key::{Key, key_set},
    oidc_provider::OidcProvider,
    recorder::Recorder,
    script::Script,
    token::Token,
    until,
};

/// The usual house whose provider has this besides.
pub fn plan(issuer: &str, node: &str, more: &str) -> Plan {
    Plan::new(issuer, &[node]).edit("    audiences: [clickhouse]", &format!("    audiences: [clickhouse]\n    {more}"))
}

pub async fn upstream() -> Recorder {
    Recorder::start(Script::ok("1\n")).await
}

async fn answer(house: &House, token: &Token) -> Answer {
    ask(house, &token.make(), "SELECT 1").await
}

/// Status and reason, which is empty where it was answered.
async fn verdict(house: &House, token: &Token) -> (u16, String) {
    let answer = answer(house, token).await;
    (answer.status, answer.header("x-keyhouse-reason").unwrap_or_default().to_owned())
}

fn said(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

async fn until_verdict(what: &str, house: &House, token: &Token, expected: (u16, String)) {
    until(what, async || (verdict(house, token).await == expected).then_some(())).await;
}

/// A number of `/metrics`, by its name with its labels.
pub async fn metric(house: &House, name: &str) -> u64 {
    let text = house.admin_get("/metrics").await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |number| number.parse().unwrap())
}

#[tokio::test]
pub async fn a_flood_of_unknown_keys_costs_one_fetch_and_hinders_nobody() {
    let (issuer, recorder) = (Issuer::start().await, upstream().await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).section("limits", "{failed_attempts: 1000000}").start().await;
    assert_eq!(issuer.hits(), Hits { discovery: 1, key_set: 1 }, "fetched at start");
    let strangers = async |from: usize| {
        let mut caller = Caller::plain(house.http()).await;
        for number in from..from + 50 {
            caller.send(post("/", &issuer.token().header("kid", format!("random-{number}")).make(), "SELECT 1")).await;
            let answer = caller.answer().await;
            assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (401, Some("unknown_key")));
        }
    };
    let callers = async || {
        let mut caller = Caller::plain(house.http()).await;
        for number in 0..30 {
            caller.send(post("/", &issuer.token().subject(&format!("caller-{number}")).make(), "SELECT 1")).await;
            assert_eq!(caller.answer().await.status, 200);
        }
    };
    tokio::join!(strangers(0), strangers(50), callers(), strangers(100), strangers(150));
    assert_eq!(issuer.hits(), Hits { discovery: 1, key_set: 2 }, "one fetch within the cooldown");
    assert_eq!(recorder.requests().len(), 30);
}

#[tokio::test]
pub async fn a_new_key_is_taken_on_its_first_request() {
    let (issuer, recorder) = (Issuer::start().await, upstream().await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).start().await;
    let old = issuer.token();
    assert_eq!(answer(&house, &old).await.status, 200);
    issuer.publish(&[Key::fresh("ES256"), Key::rs256()]);
    assert_eq!(answer(&house, &issuer.token()).await.text(), "1\n");
    assert_eq!(answer(&house, &old).await.status, 200);
    assert_eq!(issuer.hits(), Hits { discovery: 1, key_set: 2 });
}

#[tokio::test]
pub async fn a_withdrawn_key_stops_even_a_token_that_was_kept() {
    let (issuer, recorder) = (Issuer::start().await, upstream().await);
    let house = plan(&issuer.url, &recorder.url, "jwks_cache: {refresh: 1s}").start().await;
    let old = issuer.token();
    for _ in 0..2 {
        assert_eq!(answer(&house, &old).await.status, 200);
    }
    assert_eq!(metric(&house, "keyhouse_token_cache_total{found=\"hit\"}").await, 1);
    issuer.publish(&[Key::fresh("Ed25519")]);
    until_verdict("the end of a withdrawn key", &house, &old, said(401, "unknown_key")).await;
    assert_eq!(answer(&house, &issuer.token()).await.status, 200);
}

#[tokio::test]
pub async fn a_kept_token_is_found_again_and_ends_when_it_expires() {
    let (issuer, recorder) = (Issuer::start().await, upstream().await);
    let house = plan(&issuer.url, &recorder.url, "clock_skew: 1s").start().await;
    let token = issuer.token().expires_in(4);
    for _ in 0..2 {
        assert_eq!(answer(&house, &token).await.status, 200);
    }
    assert_eq!(metric(&house, "keyhouse_token_cache_total{found=\"hit\"}").await, 1);
    assert_eq!(metric(&house, "keyhouse_token_cache_total{found=\"miss\"}").await, 1);
    until_verdict("the end of a kept token", &house, &token, said(401, "expired")).await;
}

#[tokio::test]
pub async fn a_provider_that_fails_leaves_its_last_good_keys_in_service() {
    let (issuer, recorder, elsewhere) = (Issuer::start().await, upstream().await, Issuer::start().await);
    let house = plan(&issuer.url, &recorder.url, "jwks_cache: {refresh: 100ms, cooldown: 100ms}").start().await;
    let failures = async || metric(&house, "keyhouse_jwks_fetches_total{provider=\"corp\",result=\"failed\"}").await;
    let away = Page::of(302, "text/plain", "").header("location", &format!("{}/jwks", elsewhere.url));
    let huge = format!("{}{}", key_set(&[Key::rs256()]), " ".repeat(600 * 1024));
    for page in [
        Page::of(500, "text/plain", "no"),
        Page::of(200, "text/html", "<html>Sign in</html>"),
        Page::json(r#"{"keys":[]}"#),
        Page::json(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#),
        Page::json(huge),
        away.clone(),
    ] {
        let before = failures().await;
        issuer.key_set_is(page);
        // Two, because the first may have begun before this page stood there.
        until("two failed fetches", async || (failures().await >= before + 2).then_some(())).await;
        assert_eq!(verdict(&house, &issuer.token().subject(&before.to_string())).await, said(200, ""));
        issuer.key_set_is(None);
    }
    let before = failures().await;
    issuer.discovery_is(away);
    issuer.down().await;
    until("two more", async || (failures().await >= before + 2).then_some(())).await;
    assert_eq!(verdict(&house, &issuer.token().subject("bob")).await, said(200, ""));
    issuer.up().await;
    let before = failures().await;
    until("two redirected discoveries", async || (failures().await >= before + 2).then_some(())).await;
    assert_eq!(elsewhere.hits(), Hits::default(), "a redirect was followed");
}

#[tokio::test]
pub async fn keys_that_are_too_old_serve_nobody_until_the_provider_is_back() {
    let (issuer, recorder) = (Issuer::start().await, upstream().await);
    let house = plan(&issuer.url, &recorder.url, "jwks_cache: {cooldown: 1s, max_stale: 2s}").start().await;
    let (kept, fresh) = (issuer.token(), issuer.token().subject("bob"));
    assert_eq!(answer(&house, &kept).await.status, 200);
    issuer.down().await;
    until_verdict("the end of old keys", &house, &kept, said(503, "keys_unavailable")).await;
    let served = recorder.requests().len();
    let refused = answer(&house, &fresh).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.text());
    assert_eq!(refused.header("www-authenticate"), None, "a new token would not help");
    assert_eq!((house.admin_get("/-/ready").await.status, recorder.requests().len()), (503, served));
    until("the records of the two", async || (waited_for_keys(&house) >= 2).then_some(())).await;
    issuer.up().await;
    until_verdict("the return of the keys", &house, &fresh, said(200, "")).await;
}

/// How many requests had a token that could not be verified for want of keys; their records tell of nobody.
fn waited_for_keys(house: &House) -> usize {
    let waited: Vec<Value> = house.records().into_iter().filter(|record| record["status"] == 503).collect();
    for record in &waited {
        assert_eq!((&record["outcome"], &record["reason"]), (&json!("refused"), &json!("keys_unavailable")), "{record}");
        for unknown in ["subject", "username", "rule", "act_as", "node", "query_id"] {
            assert_eq!(record[unknown], Value::Null, "{unknown} in {record}");
        }
    }
    waited.len()
}

#[tokio::test]
pub async fn a_provider_that_is_down_at_the_start_costs_only_its_own_callers() {
    let (issuer, recorder, key) = (Issuer::down_from_the_start(), upstream().await, Key::fresh("ES256"));
    let ci = "
  ci:
    issuer: https://ci.example.com
    jwks_file: ci.jwks.json
    audiences: [clickhouse]
    claim_mappings: {groups: {claim: groups}}
  corp:";
    let plan = plan(&issuer.url, &recorder.url, "jwks_cache: {refresh: 500ms, cooldown: 500ms}").edit("\n  corp:", ci);
    let house = plan.file("ci.jwks.json", &key_set(&[Arc::clone(&key)])).start().await;
    let ready = house.admin_get("/-/ready").await.json();
    assert_eq!(ready["identity_providers"], json!({"ci": "ready", "corp": "waiting for keys"}));
    assert_eq!(verdict(&house, &issuer.token()).await, said(503, "keys_unavailable"));
    let of_ci = Token::new("https://ci.example.com", &key);
    assert_eq!(verdict(&house, &of_ci).await, said(200, ""));
    assert_eq!(recorder.requests().len(), 1, "the one of ci");
    assert_eq!(verdict(&house, &issuer.token().signed_by(&key)).await, said(503, "keys_unavailable"), "the other's key is not asked");
    house.wait_records(3).await;
    let waited = waited_for_keys(&house);
    assert_eq!((waited, house.records().len(), recorder.requests().len()), (2, 3, 1), "one record each, and nothing of the two was forwarded");
    issuer.up().await;
    until_verdict("the keys of a provider that came up", &house, &issuer.token(), said(200, "")).await;
    assert_eq!(verdict(&house, &issuer.token().signed_by(&key)).await, said(401, "unknown_key"));
    let records = house.records_in_the_end().await;
    let served = records.iter().filter(|record| record["outcome"] == "answered");
    let mut who: Vec<&str> = served.map(|record| record["provider"].as_str().unwrap()).collect();
    who.sort_unstable();
    assert_eq!(who, ["ci", "corp"]);
}

#[tokio::test]
pub async fn a_discovery_that_does_not_fit_is_told_and_gives_no_keys() {
    for (page, says) in [
        (discovery("http://127.0.0.1:1"), [r#"of the issuer \"http://127.0.0.1:1\""#, r#"configured is \"http://127.0.0.1:"#]),
        (String::new(), ["http://192.0.2.1/jwks", "not https"]),
        ("<html>".to_owned(), ["/.well-known/openid-configuration", "no discovery document"]),
    ] {
        let (issuer, recorder) = (Issuer::start().await, upstream().await);
        let page = if page.is_empty() { json!({"issuer": issuer.url, "jwks_uri": "http://192.0.2.1/jwks"}).to_string() } else { page };
        issuer.discovery_is(Page::json(page));
        let house = Plan::new(&issuer.url, &[&recorder.url]).start_unready().await;
        let line = house.program.wait_line("keys cannot be fetched").await;
        assert!(says.iter().all(|words| line.contains(words)), "{line}");
        assert_eq!(verdict(&house, &issuer.token()).await, said(503, "keys_unavailable"));
        assert_eq!(house.admin_get("/-/ready").await.status, 503);
        assert_eq!((issuer.hits().key_set, recorder.requests().len()), (0, 0));
    }
}

#[tokio::test]
async fn one_odd_key_does_not_cost_the_others() {
    let (issuer, recorder) = (Issuer::start().await, upstream().await);
    let [rsa, es384, numbered] = [Key::rs256(), Key::fresh("ES384"), Key::fresh("ES256")];
    let mut number = numbered.jwk();
    number["kid"] = json!(7);
    let small = json!({"kty": "RSA", "n": "w".repeat(171), "e": "AQAB", "kid": "small"});
    let secret = Key::secret(b"everybody knows");
    let set = json!({"keys": [secret.jwk(), number, small, "nothing", rsa.jwk(), {"kty": "OKP", "crv": "X25519"}, es384.jwk()]});
    issuer.key_set_is(Page::json(set.to_string()));
    let house = Plan::new(&issuer.url, &[&recorder.url]).start().await;
    for key in [&rsa, &es384] {
        assert_eq!(verdict(&house, &issuer.token().signed_by(key)).await, said(200, ""));
    }
    assert_eq!(verdict(&house, &issuer.token().signed_by(&numbered)).await, said(401, "unknown_key"));
    assert_eq!(verdict(&house, &issuer.token().signed_by(&secret)).await, said(401, "alg_not_allowed"));
    let left_out = house.program.wait_lines(5, "left out").await.join("\n");
    for words in ["publishes to everybody", "`kid` that is no string", "bits; 2048 to 8192", "X25519"] {
        assert!(left_out.contains(words), "{words:?} not in {left_out}");
    }
}

#[tokio::test]
pub async fn a_certified_provider_and_a_real_clickhouse_work_together_through_rotations() {
    let (provider, clickhouse) = (OidcProvider::start().await, ClickHouse::shared().await);
    let house = plan(&provider.url, &clickhouse.https_url(), "jwks_cache: {refresh: 300ms, cooldown: 300ms}").start().await;
    let mut old = Vec::new();
    for alg in ["RS256", "ES256", "EdDSA"] {
        let token = provider.token(alg).await;
        let answer = ask(&house, &token, "SELECT count() FROM system.one").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "{alg}");
        old.push(token);
    }
    let record = house.wait_records(3).await.remove(2);
    assert_eq!((&record["provider"], &record["subject"], &record["rule"]), (&json!("corp"), &json!("ci"), &json!("analysts")));
    provider.rotate().await;
    let second = provider.token("ES256").await;
    assert_eq!(ask(&house, &second, "SELECT 1").await.status, 200, "a rotated key on its first request");
    assert_eq!(ask(&house, &old[0], "SELECT 1").await.status, 200, "the old one is still published");
    provider.rotate_and_drop().await;
    for token in old.iter().chain([&second]) {
        until("the end of a dropped key", async || (ask(&house, token, "SELECT 1").await.status == 401).then_some(())).await;
    }
    assert_eq!(ask(&house, &provider.token("EdDSA").await, "SELECT 1").await.text(), "1\n");
}

#[tokio::test]
async fn a_key_set_with_a_tag_is_asked_for_by_it_and_kept_while_it_is_the_same() {
    let (issuer, recorder) = (Issuer::start().await, upstream().await);
    let first = Page::json(key_set(&[Key::rs256()])).header("ETag", "\"1\"");
    issuer.key_set_is(first.clone());
    let house = plan(&issuer.url, &recorder.url, "jwks_cache: {refresh: 50ms, max_stale: 300ms}").start().await;
    let asked_by = |tag: &str| issuer.asked().iter().filter(|asked| asked.known.as_deref() == Some(tag)).count();
    // Long enough for the set to be too old, had the answers that it is the same not counted.
    until("questions by the tag", async || (asked_by("\"1\"") > 15).then_some(())).await;
    assert_eq!(answer(&house, &issuer.token()).await.status, 200);
    let fresh = Key::fresh("RS256");
    issuer.key_set_is(Page::json(key_set(&[Arc::clone(&fresh)])).header("ETag", "\"2\""));
    until("questions by the new tag", async || (asked_by("\"2\"") > 0).then_some(())).await;
    assert_eq!(answer(&house, &issuer.token()).await.header("x-keyhouse-reason"), Some("unknown_key"), "the old key is gone");
    assert_eq!(answer(&house, &issuer.token().signed_by(&fresh)).await.status, 200);
    // Nobody who was asked without a tag may say that nothing has changed.
    issuer.key_set_is(Page::json(key_set(&[fresh])));
    let untagged = || issuer.asked().iter().rev().take(2).all(|asked| asked.known.is_none());
    until("questions without a tag", async || untagged().then_some(())).await;
    issuer.key_set_is(Page::of(304, "text/plain", ""));
    until("a fetch that failed", async || failed(&house).await.then_some(())).await;
}

async fn failed(house: &House) -> bool {
    house.admin_get("/metrics").await.text().contains("keyhouse_jwks_fetches_total{provider=\"corp\",result=\"failed\"}")
}
