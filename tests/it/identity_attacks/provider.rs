//! A certified provider of the world outside that rotates its keys, fails, stalls and lies.

use std::time::Instant;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::json;

use crate::{
    keys::{self, metric, upstream},
    support::{
        client::{Answer, Caller, ask, post},
        house::{House, Plan},
        issuer::Issuer,
        key::Key,
        oidc_provider::OidcProvider,
        recorder::Recorder,
        token::Token,
        until,
    },
};

/// The usual house, whose keys are kept like this.
fn plan(provider: &OidcProvider, recorder: &Recorder, cache: &str) -> Plan {
    keys::plan(&provider.url, &recorder.url, &format!("jwks_cache: {{{cache}}}")).section("limits", "{failed_attempts: 1000000}")
}

/// Status and reason, which is empty where it was answered.
fn verdict(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("x-keyhouse-reason").unwrap_or_default())
}

async fn failed_fetches(house: &House) -> u64 {
    metric(house, "keyhouse_jwks_fetches_total{provider=\"corp\",result=\"failed\"}").await
}

/// Forged tokens, each with a key's name that nobody knows, and what they are told.
async fn flood(house: &House, provider: &OidcProvider, from: usize, expected: (u16, &str)) {
    let forged = Token::new(&provider.url, &Key::fresh("ES256"));
    let mut caller = Caller::plain(house.http()).await;
    for number in from..from + 100 {
        caller.send(post("/", &forged.clone().header("kid", format!("random-{number}")).make(), "SELECT 1")).await;
        assert_eq!(verdict(&caller.answer().await), expected, "token {number}");
    }
}

#[tokio::test]
pub async fn a_flood_of_unknown_keys_is_one_question_whether_the_provider_answers_or_not() {
    let (provider, recorder) = (OidcProvider::start().await, upstream().await);
    let good = [provider.token("RS256").await, provider.token("ES256").await, provider.token("EdDSA").await];
    let house = plan(&provider, &recorder, "refresh: 1h, cooldown: 1h").start().await;
    assert_eq!(provider.hits().await["jwks"], 1, "fetched at start");
    let unknown = (401, "unknown_key");
    let callers = async {
        for token in good.iter().cycle().take(30) {
            assert_eq!(verdict(&ask(&house, token, "SELECT 1").await), (200, ""), "a good token beside the flood");
        }
    };
    tokio::join!(flood(&house, &provider, 0, unknown), flood(&house, &provider, 100, unknown), callers);
    assert_eq!(provider.hits().await["jwks"], 2, "one fetch within the cooldown");
    // While it fails, too; what it asks by itself comes after 2 s, 4 s and so on.
    provider.key_set_fails(503, 0).await;
    let waiting = plan(&provider, &recorder, "refresh: 1h, cooldown: 1h").start_unready().await;
    let begun = Instant::now();
    flood(&waiting, &provider, 0, (503, "keys_unavailable")).await;
    flood(&waiting, &provider, 100, (503, "keys_unavailable")).await;
    let asked = provider.hits().await["jwks"].as_u64().unwrap() - 2;
    let by_itself = 1 + (begun.elapsed().as_secs_f64() / 2.0 + 1.0).log2() as u64;
    assert!((1..=by_itself + 2).contains(&asked), "{asked} questions in {:?}", begun.elapsed());
    assert_eq!(recorder.requests().len(), 30, "a forged token reached ClickHouse");
}

#[tokio::test]
pub async fn a_rotated_key_is_taken_at_once_and_a_dropped_one_ends() {
    let (provider, recorder) = (OidcProvider::start().await, upstream().await);
    let old = provider.token("ES256").await;
    let house = plan(&provider, &recorder, "refresh: 500ms, cooldown: 100ms").start().await;
    assert_eq!(verdict(&ask(&house, &old, "SELECT 1").await), (200, ""));
    provider.rotate().await;
    assert_eq!(verdict(&ask(&house, &provider.token("ES256").await, "SELECT 1").await), (200, ""), "on its first request");
    assert_eq!(verdict(&ask(&house, &old, "SELECT 1").await), (200, ""), "the old one is still published");
    provider.rotate_and_drop().await;
    let ended = async || (verdict(&ask(&house, &old, "SELECT 1").await) == (401, "unknown_key")).then_some(());
    until("the end of a dropped key, although the token was kept", ended).await;
    let served = recorder.requests().len();
    assert_eq!(verdict(&ask(&house, &old, "SELECT 1").await), (401, "unknown_key"));
    assert_eq!(recorder.requests().len(), served);
}

#[tokio::test]
pub async fn what_a_provider_answers_instead_of_keys_leaves_the_last_good_ones_in_service() {
    let (provider, recorder, elsewhere) = (OidcProvider::start().await, upstream().await, Issuer::start().await);
    let house = plan(&provider, &recorder, "refresh: 100ms, cooldown: 100ms").start().await;
    let bait = format!("{}/jwks", elsewhere.url);
    for trouble in ["500", "html", "empty", "huge", "redirect", "stall"] {
        let before = failed_fetches(&house).await;
        match trouble {
            "500" => provider.key_set_fails(500, 0).await,
            "stall" => provider.key_set_fails(0, 60_000).await,
            lie => provider.key_set_is(lie, &bait).await,
        }
        // Two, because the first may have begun before; a stalled one takes its 5 s.
        let more = if trouble == "stall" { 1 } else { 2 };
        until(trouble, async || (failed_fetches(&house).await >= before + more).then_some(())).await;
        let answer = ask(&house, &provider.token("ES256").await, "SELECT 1").await;
        assert_eq!(verdict(&answer), (200, ""), "{trouble}: {}", answer.text());
        provider.key_set_is("", "").await;
    }
    assert_eq!(elsewhere.asked(), [], "a redirect was followed");
    let log = house.program.log();
    for words in ["answered 500", "is not JSON", "no usable signing key", "longer than 524288 bytes", "answered 302", "no answer from"] {
        assert!(log.contains(words), "the log does not say {words:?}");
    }
}

#[tokio::test]
pub async fn a_provider_that_fails_from_the_start_is_waited_for() {
    let (provider, recorder) = (OidcProvider::start().await, upstream().await);
    provider.discovery_fails(503).await;
    let house = plan(&provider, &recorder, "refresh: 300ms, cooldown: 300ms, max_stale: 3s").start_unready().await;
    let token = provider.token("RS256").await;
    let answer = ask(&house, &token, "SELECT 1").await;
    assert_eq!((verdict(&answer), answer.header("retry-after")), ((503, "keys_unavailable"), Some("1")), "{}", answer.text());
    assert_eq!((answer.header("www-authenticate"), house.admin_get("/-/ready").await.status), (None, 503));
    assert!(recorder.requests().is_empty());
    provider.discovery_fails(0).await;
    let serves = async || (verdict(&ask(&house, &token, "SELECT 1").await) == (200, "")).then_some(());
    until("a provider that came up", serves).await;
    // Later it fails for good: its keys serve for a while, and then nobody is judged by what is too old.
    provider.key_set_fails(500, 0).await;
    let ended = async || (verdict(&ask(&house, &token, "SELECT 1").await) == (503, "keys_unavailable")).then_some(());
    until("the end of keys that are too old", ended).await;
    let served = recorder.requests().len();
    assert_eq!(verdict(&ask(&house, &token, "SELECT 1").await), (503, "keys_unavailable"));
    assert_eq!(recorder.requests().len(), served);
}

#[tokio::test]
pub async fn a_provider_that_lies_about_itself_gives_no_keys() {
    let elsewhere = Issuer::start().await;
    for (lie, to, says) in [
        ("issuer", "https://evil.example", vec![r#"of the issuer \"https://evil.example\""#, r#"configured is \"http://127.0.0.1:"#]),
        ("keys_elsewhere", "http://192.0.2.1/jwks", vec!["http://192.0.2.1/jwks", "not https"]),
        ("html", "", vec!["no discovery document"]),
        ("redirect", elsewhere.url.as_str(), vec!["answered 302"]),
    ] {
        let (provider, recorder) = (OidcProvider::start().await, upstream().await);
        provider.discovery_is(lie, to).await;
        let house = plan(&provider, &recorder, "refresh: 1h").start_unready().await;
        let line = house.program.wait_line("keys cannot be fetched").await;
        assert!(says.iter().all(|words| line.contains(words)), "{lie}: {line}");
        let token = provider.token("RS256").await;
        assert_eq!(verdict(&ask(&house, &token, "SELECT 1").await), (503, "keys_unavailable"), "{lie}");
        // The claims of a real token, and a key that the lie may have brought.
        let claims = BASE64.decode(token.split('.').nth(1).unwrap()).unwrap();
        let forged = elsewhere.token().raw_claims(claims).make();
        assert_eq!(verdict(&ask(&house, &forged, "SELECT 1").await), (503, "keys_unavailable"), "{lie}");
        assert_eq!((provider.hits().await["jwks"].clone(), recorder.requests().len()), (json!(0), 0), "{lie}");
    }
    assert_eq!(elsewhere.asked(), [], "a redirect was followed");
}
