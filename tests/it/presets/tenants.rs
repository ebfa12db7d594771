//! Several tenants of Entra behind one issuer with a gap for the tenant's id.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{
    client::ask,
    house::{Plan, run},
    issuer::{Issuer, Page},
    key::Key,
    recorder::Recorder,
    script::Script,
    token::Token,
};

const OURS: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const PARTNERS: &str = "11111111-2222-3333-4444-555555555555";
const STRANGERS: &str = "99999999-2222-3333-4444-555555555555";

/// The tenant of all personal accounts, which has a key of its own.
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

fn issuer(tenant: &str) -> String {
    format!("https://login.microsoftonline.com/{tenant}/v2.0")
}

/// The keys of the one set, by whose tokens they sign.
struct Keys {
    of_all: Arc<Key>,
    of_consumers: Arc<Key>,
    of_ours: Arc<Key>,
    of_nobody: Arc<Key>,
}

impl Keys {
    fn new() -> Self {
        let [of_all, of_consumers] = [(); 2].map(|()| Key::fresh("RS256"));
        let [of_ours, of_nobody] = [(); 2].map(|()| Key::fresh("RS256"));
        Self { of_all, of_consumers, of_ours, of_nobody }
    }

    /// As Entra publishes them: without `alg`, with `issuer`.
    fn set(&self) -> String {
        let owned = [(&self.of_all, "{tenantid}"), (&self.of_consumers, CONSUMERS), (&self.of_ours, OURS)];
        let jwk = |key: &Key| {
            let mut jwk = key.jwk();
            jwk.as_object_mut().unwrap().remove("alg");
            jwk
        };
        let mut keys: Vec<Value> = owned
            .map(|(key, tenant)| {
                let mut jwk = jwk(key);
                jwk["issuer"] = json!(issuer(tenant));
                jwk
            })
            .to_vec();
        keys.push(jwk(&self.of_nobody));
        json!({ "keys": keys }).to_string()
    }
}

/// A good one but for what is said here.
fn token(issuer: &str, tid: impl Into<Value>, key: &Arc<Key>) -> Token {
    let token = Token::new(issuer, key).claim("tid", tid).claim("oid", "690222be-ff1a-4d56-abd1-7e4f7d38e474");
    token.claim("roles", json!(["analysts"])).without("groups")
}

fn plan(bound: &str, node: &str) -> Plan {
    let providers = format!("{{entra: {{preset: entra, issuer: '{}', audiences: [clickhouse], jwks_file: jwks.json{bound}}}}}", issuer("{tenantid}"));
    Plan::new("http://127.0.0.1:1", &[node]).section("identity_providers", &providers)
}

#[tokio::test]
pub async fn a_tenant_is_let_in_by_its_own_issuer_its_own_id_and_a_key_that_signs_for_it() {
    let (keys, recorder) = (Keys::new(), Recorder::start(Script::ok("1\n")).await);
    let house = plan(&format!(", bound_claims: {{tid: [{OURS}, {PARTNERS}]}}"), &recorder.url).file("jwks.json", &keys.set()).start().await;
    let all = &keys.of_all;
    let rows = [
        ("ours", token(&issuer(OURS), OURS, all), None, ""),
        ("a partner's", token(&issuer(PARTNERS), PARTNERS, all), None, ""),
        ("ours by a key of ours alone", token(&issuer(OURS), OURS, &keys.of_ours), None, ""),
        ("a stranger's", token(&issuer(STRANGERS), STRANGERS, all), Some("tenant_not_allowed"), "is of the tenant \"99999999"),
        ("of personal accounts", token(&issuer(CONSUMERS), CONSUMERS, &keys.of_consumers), Some("tenant_not_allowed"), "bound to others"),
        ("ours with a partner's id", token(&issuer(OURS), PARTNERS, all), Some("issuer_mismatch"), "they must be the same"),
        ("a stranger's with our id", token(&issuer(STRANGERS), OURS, all), Some("issuer_mismatch"), "its `tid` is \"72f988bf"),
        ("without an id", token(&issuer(OURS), OURS, all).without("tid"), Some("issuer_mismatch"), "its `tid` is missing"),
        ("with an id that is a list", token(&issuer(OURS), json!([OURS]), all), Some("issuer_mismatch"), "its `tid` is a list"),
        ("of no tenant", token(&issuer("common"), "common", all), Some("issuer_mismatch"), "names the tenant \"common\""),
        ("of the gap itself", token(&issuer("{tenantid}"), "{tenantid}", all), Some("issuer_mismatch"), "{tenantid}"),
        ("ours in capitals", token(&issuer(&OURS.to_uppercase()), OURS.to_uppercase(), all), Some("issuer_mismatch"), "names the tenant \"72F988BF"),
        ("of two tenants", token(&format!("{}/{PARTNERS}/v2.0", issuer(OURS)), OURS, all), Some("issuer_mismatch"), "v2.0"),
        ("ours by the consumers' key", token(&issuer(OURS), OURS, &keys.of_consumers), Some("issuer_mismatch"), "another tenant's"),
        ("a partner's by our key", token(&issuer(PARTNERS), PARTNERS, &keys.of_ours), Some("issuer_mismatch"), "another tenant's"),
        ("ours by a key of nobody", token(&issuer(OURS), OURS, &keys.of_nobody), Some("issuer_mismatch"), "another tenant's"),
        ("of version 1", token(&format!("https://sts.windows.net/{OURS}/"), OURS, all), Some("unknown_issuer"), "token of version 1"),
    ];
    for (what, token, reason, words) in &rows {
        let before = recorder.requests().len();
        // Twice, because the second may be judged by what is remembered of the first.
        for time in 1..=2 {
            let answer = ask(&house, &token.make(), "SELECT 1").await;
            assert_eq!(answer.header("x-keyhouse-reason"), *reason, "{what}, time {time}: {}", answer.text());
            assert_eq!(answer.status, if reason.is_some() { 401 } else { 200 }, "{what}");
            assert!(answer.text().contains(words), "{what}: {words:?} not in {}", answer.text());
        }
        assert_eq!(recorder.requests().len() - before, if reason.is_some() { 0 } else { 2 }, "{what}");
    }
    assert_eq!(house.records_in_the_end().await.len(), 2 * rows.len());
}

#[tokio::test]
async fn the_discovery_of_all_tenants_has_the_gap_in_its_issuer() {
    let (keys, entra, recorder) = (Keys::new(), Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    entra.key_set_is(Page::json(keys.set()));
    entra.discovery_is(Page::json(json!({"issuer": issuer("{tenantid}"), "jwks_uri": format!("{}/jwks", entra.url)}).to_string()));
    let discovery = format!("discovery_url: {}/.well-known/openid-configuration", entra.url);
    let plan = plan(&format!(", bound_claims: {{tid: {OURS}}}"), &recorder.url).edit("jwks_file: jwks.json", &discovery);
    let house = plan.start().await;
    assert_eq!(ask(&house, &token(&issuer(OURS), OURS, &keys.of_all).make(), "SELECT 1").await.text(), "1\n");
    let answer = ask(&house, &token(&issuer(PARTNERS), PARTNERS, &keys.of_all).make(), "SELECT 1").await;
    assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (401, Some("tenant_not_allowed")), "{}", answer.text());
    assert_eq!(recorder.requests().len(), 1);
}

#[tokio::test]
async fn an_issuer_with_a_gap_must_say_which_tenants_are_meant() {
    let keys = Keys::new().set();
    for (bound, good) in
        [(format!(", bound_claims: {{tid: {OURS}}}"), true), (String::new(), false), (", bound_claims: {ver: '2.0'}".to_owned(), false)]
    {
        let folder = plan(&bound, "http://127.0.0.1:1").file("jwks.json", &keys).lay_out();
        let ended = run(folder.path(), &["check", "--config", "keyhouse.yaml"]).await;
        assert_eq!(ended.status.success(), good, "{bound}: {}", ended.err);
        assert_eq!(ended.err.contains("identity_providers.entra.bound_claims.tid: is missing"), !good, "{bound}: {}", ended.err);
    }
}
