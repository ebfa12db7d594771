//! What a provider's part of the config asks of its tokens, each rule with a token that fits and tokens that do not.

use serde_json::{Value, json};

use crate::support::{
    client::{get, post, send},
    house::{Plan, run},
    issuer::Issuer,
    recorder::Recorder,
    script::Script,
    token::Token,
};

/// A provider's name, and what stands in its part of the config beside the issuer.
const PROVIDERS: [(&str, &str); 7] = [
    ("cognito", "audiences: [app], audience_claim: client_id, claim_mappings: {groups: {claim: 'cognito:groups'}}"),
    ("signed-in", "audiences: ['org:1'], token_types: [id], claim_mappings: {groups: {claim: groups}}"),
    (
        "ci",
        "audiences: [clickhouse], bound_claims: {repository_owner_id: '123', protected: true, attempt: [1, 2], /ref/name: main}, claim_mappings: {groups: {claim: groups}}",
    ),
    ("clients", "audiences: [clickhouse], allowed_clients: [grafana, dbt], claim_mappings: {groups: {claim: groups}}"),
    ("zitadel", "audiences: [clickhouse], claim_mappings: {groups: {claim: 'urn:zitadel:iam:org:project:roles', object_keys: true}}"),
    ("scopes", "audiences: [clickhouse], claim_mappings: {username: {claim: oid}, display: {claim: name}, groups: {claim: scope, split: space}}"),
    ("mail", "audiences: [clickhouse], claim_mappings: {username: {claim: email}, groups: {claim: groups, split: comma}}"),
];

/// Provider, what the token is, what it has instead of a good one's claims (nothing takes one away), reason (nothing where it
/// is taken), words of the sentence.
type Row = (&'static str, &'static str, Vec<(&'static str, Option<Value>)>, Option<&'static str>, &'static [&'static str]);

fn rows() -> Vec<Row> {
    let is = |value: Value| Some(value);
    let ci = |other: (&'static str, Option<Value>)| {
        let good = [("repository_owner_id", json!("123")), ("protected", json!(true)), ("attempt", json!(2)), ("ref", json!({"name": "main"}))];
        good.into_iter().map(|(name, value)| (name, Some(value))).chain([other]).collect::<Vec<_>>()
    };
    let cognito = |others: Vec<(&'static str, Option<Value>)>| {
        let good =
            vec![("aud", None), ("client_id", is(json!("app"))), ("token_use", is(json!("access"))), ("cognito:groups", is(json!(["analysts"])))];
        good.into_iter().chain(others).collect::<Vec<_>>()
    };
    vec![
        ("cognito", "an access token", cognito(vec![]), None, &[]),
        (
            "cognito",
            "of another client",
            cognito(vec![("client_id", is(json!("other")))]),
            Some("audience_mismatch"),
            &["\"other\"", "\"app\"", "Ask the client"],
        ),
        ("cognito", "without a client", cognito(vec![("client_id", None)]), Some("audience_missing"), &["\"app\""]),
        ("cognito", "with a number for a client", cognito(vec![("client_id", is(json!(1)))]), Some("claim_type"), &["`client_id`"]),
        (
            "cognito",
            "an ID token",
            cognito(vec![("token_use", is(json!("id")))]),
            Some("wrong_token_type"),
            &["an ID token", "Send the access token"],
        ),
        ("signed-in", "an ID token", vec![("aud", is(json!("org:1"))), ("at_hash", is(json!("x")))], None, &[]),
        ("signed-in", "a token that does not say", vec![("aud", is(json!("org:1")))], None, &[]),
        (
            "signed-in",
            "an access token",
            vec![("aud", is(json!("org:1"))), ("typ", is(json!("Bearer")))],
            Some("wrong_token_type"),
            &["an access token", "Send the ID token"],
        ),
        ("ci", "of the owner", ci(("sub", is(json!("repo:a/b")))), None, &[]),
        ("ci", "in a list", ci(("attempt", is(json!([7, 1])))), None, &[]),
        (
            "ci",
            "of a stranger",
            ci(("repository_owner_id", is(json!("124")))),
            Some("bound_claim_mismatch"),
            &["`repository_owner_id` is \"124\"", "\"123\""],
        ),
        ("ci", "with the text of a truth", ci(("protected", is(json!("true")))), Some("bound_claim_mismatch"), &["is \"true\"", "bound to true"]),
        ("ci", "with another number", ci(("attempt", is(json!(3)))), Some("bound_claim_mismatch"), &["is 3", "1 or 2"]),
        ("ci", "with a number as text", ci(("attempt", is(json!("2")))), Some("bound_claim_mismatch"), &["is \"2\""]),
        ("ci", "without the claim", ci(("ref", None)), Some("bound_claim_mismatch"), &["`/ref/name` is missing"]),
        ("clients", "of a client", vec![("azp", is(json!("grafana")))], None, &[]),
        ("clients", "of a client by another name", vec![("cid", is(json!("dbt")))], None, &[]),
        (
            "clients",
            "of another client",
            vec![("azp", is(json!("evil"))), ("client_id", is(json!("grafana")))],
            Some("client_not_allowed"),
            &["\"evil\"", "\"dbt\""],
        ),
        ("clients", "of no client", vec![], Some("client_not_allowed"), &["no client"]),
        ("zitadel", "with roles", vec![("urn:zitadel:iam:org:project:roles", is(json!({"analysts": {"1": "acme"}})))], None, &[]),
        ("zitadel", "with a list of roles", vec![("urn:zitadel:iam:org:project:roles", is(json!([{"x": {}}, {"analysts": {}}])))], None, &[]),
        ("zitadel", "with a number", vec![("urn:zitadel:iam:org:project:roles", is(json!(1)))], Some("claim_type"), &["list of strings"]),
        ("scopes", "with scopes", vec![("scope", is(json!("openid analysts"))), ("oid", is(json!("o-1"))), ("name", is(json!("Alice")))], None, &[]),
        ("scopes", "with one other", vec![("scope", is(json!("openid,analysts"))), ("oid", is(json!("o-1")))], Some("no-rule"), &[]),
        (
            "scopes",
            "with an object",
            vec![("scope", is(json!({"analysts": 1}))), ("oid", is(json!("o-1")))],
            Some("claim_type"),
            &["list of strings"],
        ),
        (
            "mail",
            "of a verified address",
            vec![("email", is(json!("a@b"))), ("email_verified", is(json!(true))), ("groups", is(json!("x,analysts")))],
            None,
            &[],
        ),
        ("mail", "of an address", vec![("email", is(json!("a@b")))], None, &[]),
        (
            "mail",
            "of an address that is not verified",
            vec![("email", is(json!("a@b"))), ("email_verified", is(json!(false)))],
            Some("email_unverified"),
            &["not verified"],
        ),
        (
            "mail",
            "of one that is said to be",
            vec![("email", is(json!("a@b"))), ("email_verified", is(json!("true")))],
            Some("email_unverified"),
            &[],
        ),
    ]
}

fn section(issuers: &[Issuer]) -> String {
    PROVIDERS.iter().zip(issuers).map(|((name, rest), issuer)| format!("\n  {name}: {{issuer: {}, {rest}}}", issuer.url)).collect()
}

fn token(issuer: &Issuer, claims: &[(&'static str, Option<Value>)]) -> Token {
    claims.iter().fold(issuer.token(), |token, (name, value)| match value {
        Some(value) => token.claim(name, value.clone()),
        None => token.without(name),
    })
}

#[tokio::test]
pub async fn tokens_are_held_to_what_their_provider_is_asked_for() {
    let mut issuers = Vec::new();
    for _ in PROVIDERS {
        issuers.push(Issuer::start().await);
    }
    let recorder = Recorder::start(Script::ok("1\n")).await;
    let house = Plan::new(&issuers[0].url, &[&recorder.url]).section("identity_providers", &section(&issuers)).start().await;
    let rows = rows();
    let mut taken = 0;
    for (provider, what, claims, reason, words) in &rows {
        let (index, _) = PROVIDERS.iter().enumerate().find(|(_, (name, _))| name == provider).unwrap();
        let answer = send(&house, post("/", &token(&issuers[index], claims).make(), "SELECT 1")).await;
        assert_eq!(answer.header("x-keyhouse-reason"), *reason, "{provider} {what}: {}", answer.text());
        assert!(words.iter().all(|words| answer.text().contains(words)), "{provider} {what}: {}", answer.text());
        taken += usize::from(reason.is_none());
    }
    assert_eq!(recorder.wait_requests(taken).await.len(), taken, "as many statements as tokens that fit");
    let records = house.wait_records(rows.len()).await;
    assert_eq!(records.len(), rows.len());
    let shown = records.iter().find(|record| record["provider"] == "scopes" && record["outcome"] == "answered").unwrap();
    assert_eq!(json!([shown["username"], shown["display"], shown["groups"]]), json!(["o-1", "Alice", ["openid", "analysts"]]));
}

#[tokio::test]
pub async fn an_issuer_that_is_open_to_all_is_refused_without_bound_claims() {
    let plan = |rest: &str| {
        let providers = format!("{{ci: {{issuer: https://token.actions.githubusercontent.com, audiences: [clickhouse]{rest}}}}}");
        Plan::new("http://127.0.0.1:1", &["http://127.0.0.1:1"]).section("identity_providers", &providers)
    };
    for (rest, says) in [
        ("", "identity_providers.ci.bound_claims: is empty, and anybody can have a token of this issuer"),
        (", bound_claims: {sub: []}", "identity_providers.ci.bound_claims.sub: is empty"),
        (", bound_claims: {sub: x}, token_types: []", "identity_providers.ci.token_types: is empty"),
    ] {
        let ended = run(plan(rest).lay_out().path(), &["check", "--config", "keyhouse.yaml"]).await;
        assert!(ended.status.code() == Some(1) && ended.err.contains(says), "{rest}: {}", ended.err);
    }
    let good = plan(", bound_claims: {repository_owner_id: '1'}")
        .policy("10-rules.yaml", "rules: [{name: a, whom: {groups: [a]}, act_as: analyst, allow: [{tables: ['a.b']}]}]\n");
    let ended = run(good.lay_out().path(), &["check", "--config", "keyhouse.yaml"]).await;
    assert!(ended.status.success(), "{}", ended.err);
}

#[tokio::test]
async fn oauth_clients_are_told_who_issues_tokens_whatever_host_they_name() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).section("public_url", "https://ch.example.com").start().await;
    let path = "/.well-known/oauth-protected-resource";
    let evil = get(path, &[]).replacen("Host: localhost", "Host: evil.example.com", 1);
    assert!(evil.contains("evil.example.com"));
    let answer = send(&house, evil).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let expected = json!({
        "resource": "https://ch.example.com", "authorization_servers": [issuer.url],
        "bearer_methods_supported": ["header"], "resource_name": "ClickHouse",
    });
    assert_eq!(answer.json(), expected);
    let named = "resource_metadata=\"https://ch.example.com/.well-known/oauth-protected-resource\"";
    for headers in [vec![], vec!["Authorization: Bearer a.b.c"], vec!["Authorization: Bearer a.b.c", "Authorization: Bearer a.b.c"]] {
        let answer = send(&house, get("/?query=SELECT%201", &headers)).await;
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer realm=\"https://ch.example.com\"") && challenge.contains(named), "{challenge}");
        assert_eq!(challenge.contains("error="), !headers.is_empty(), "{challenge}");
    }
    let answer = send(&house, post(path, &issuer.token().make(), "SELECT 1")).await;
    assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (404, Some("unknown-path")));
    assert!(recorder.requests().is_empty());
    assert_eq!(house.wait_records(5).await.len(), 5);
}

#[tokio::test]
async fn metadata_of_an_address_with_a_path_stands_before_it() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).section("public_url", "https://example.com/clickhouse").start().await;
    let path = "/.well-known/oauth-protected-resource";
    let refused = send(&house, get("/?query=SELECT%201", &[])).await;
    let named = format!("resource_metadata=\"https://example.com{path}/clickhouse\"");
    assert!(refused.header("www-authenticate").unwrap().contains(&named), "{refused:?}");
    let found = send(&house, get(&format!("{path}/clickhouse"), &[])).await;
    assert_eq!((found.status, &found.json()["resource"]), (200, &json!("https://example.com/clickhouse")));
    for other in [path.to_owned(), format!("{path}/"), format!("{path}/other"), format!("{path}x")] {
        assert_eq!(send(&house, get(&other, &[])).await.status, 404, "{other}");
    }
}

#[tokio::test]
async fn a_token_is_explained_in_the_words_of_the_gate_and_its_signature_is_not_printed() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let plan = Plan::new(&issuer.url, &[&recorder.url]);
    let house = plan.start().await;
    let stranger = Issuer::start().await;
    for (what, token, offline, reason, words) in [
        ("a good one", issuer.token(), false, None, "lets in alice (corp/alice), in analysts; judged by rule `analysts`"),
        ("a good one offline", issuer.token(), true, None, "the signature was not looked at"),
        ("one without a rule", issuer.token().groups(&["x"]), false, None, "no rule is meant for them"),
        ("of another audience", issuer.token().claim("aud", "other"), false, Some("audience_mismatch"), "aud              other"),
        ("of another audience offline", issuer.token().claim("aud", "other").expires_in(-500), true, Some("audience_mismatch"), "Token expired at"),
        ("changed", issuer.token().signature(*b"nonsense"), false, Some("bad_signature"), "provider         corp"),
        ("of a stranger", stranger.token(), false, Some("unknown_issuer"), "none of the config"),
    ] {
        let (folder, token) = (plan.clone().file("token", &format!("Authorization: Bearer {}\n", token.make())).lay_out(), token.make());
        let mut arguments = vec!["token", "explain", "--config", "keyhouse.yaml", "token"];
        arguments.extend(offline.then_some("--offline"));
        let ended = run(folder.path(), &arguments).await;
        assert_eq!(ended.status.success(), reason.is_none(), "{what}: {}{}", ended.out, ended.err);
        assert!(ended.out.contains(words), "{what}: {}{}", ended.out, ended.err);
        let signature = token.rsplit('.').next().unwrap();
        assert!(!ended.out.contains(signature) && !ended.err.contains(signature), "{what}: {}", ended.out);
        if let Some(reason) = reason.filter(|_| !offline) {
            // The sentence is the one that the caller gets, but for the seconds that have passed.
            let answer = send(&house, post("/", &token, "SELECT 1")).await;
            let told = ended.out.lines().find_map(|line| line.strip_prefix(&format!("refused ({reason}): "))).unwrap();
            assert!(answer.text().contains(told), "{what}: {told} is not in {}", answer.text());
        }
    }
    assert!(recorder.requests().is_empty());
}
