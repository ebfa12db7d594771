//! The wrong token, as the users of each provider meet it, and the hint that mends it.

use serde_json::{Value, json};

use super::providers::Providers;
use crate::support::{
    client::{ask, post, send},
    issuer::Issuer,
    token::{Token, now},
};

/// What a token has instead of a good one's.
type Change = fn(Token) -> Token;

/// Provider, what the token is, its change, status, reason, words of the sentence.
type Row = (&'static str, &'static str, Change, u16, &'static str, &'static [&'static str]);

const OF_PEOPLE: &[Row] = &[
    (
        "entra",
        "for Graph, as Grafana's default scopes ask for it",
        |token| token.claim("aud", "00000003-0000-0000-c000-000000000000"),
        401,
        "audience_mismatch",
        &["only Graph can verify", "api://<your app>/.default"],
    ),
    ("entra", "for Graph by its address", |token| token.claim("aud", "https://graph.microsoft.com"), 401, "audience_mismatch", &["only Graph"]),
    (
        "entra",
        "for the App ID URI",
        |token| token.claim("aud", "api://6e74172b-be56-4843-9ff4-e66a39bb12e3"),
        401,
        "audience_mismatch",
        &["bare client id \"6e74172b", "version 1", "list both"],
    ),
    ("entra", "of another application", |token| token.claim("aud", "11111111-be56-4843-9ff4-e66a39bb12e3"), 401, "audience_mismatch", &["/.default"]),
    (
        "entra",
        "of version 1",
        |token| token.claim("iss", "https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47/").claim("ver", "1.0"),
        401,
        "unknown_issuer",
        &["token of version 1", "entra is version 2", "requestedAccessTokenVersion"],
    ),
    ("entra", "without app roles", |token| token.without("roles"), 403, "groups_missing", &["`roles`", "add app roles"]),
    ("entra", "an ID token", |token| token.without("azp").claim("c_hash", "x"), 401, "wrong_token_type", &["an ID token", "Send the access token"]),
    ("entra-groups", "without groups", |token| token, 403, "groups_missing", &["`groups`", "optional claim groups"]),
    (
        "entra-groups",
        "with more groups than fit, by the implicit flow",
        |token| token.claim("hasgroups", true),
        403,
        "groups_overage",
        &["app roles"],
    ),
    ("okta-org", "of the org server", |token| token.claim("aud", "https://dev-11111111.okta.com"), 401, "audience_mismatch", &["/oauth2/default"]),
    (
        "okta-org",
        "of the org server since 2024",
        |token| token.claim("aud", "https://dev-11111111.okta.com").header("typ", "application/okta-internal-at+jwt"),
        401,
        "audience_mismatch",
        &["Okta alone", "okta-internal-at+jwt", "no access token's"],
    ),
    (
        "okta",
        "of the org server beside the one that is configured",
        |token| token.claim("iss", "https://dev-04880516.okta.com").claim("aud", "https://dev-04880516.okta.com"),
        401,
        "unknown_issuer",
        &["Okta's org server", "authorization server of okta, https://dev-04880516.okta.com/oauth2/default"],
    ),
    (
        "okta",
        "of another org",
        |token| token.claim("iss", "https://dev-0488.okta.com/oauth2/default"),
        401,
        "unknown_issuer",
        &["ask for the provider to be added"],
    ),
    ("okta", "of another API", |token| token.claim("aud", "api://default"), 401, "audience_mismatch", &["Security, API", "\"api://clickhouse\""]),
    ("okta", "without groups", |token| token.without("groups"), 403, "groups_missing", &["custom authorization server"]),
    ("keycloak", "without a mapper", |token| token.claim("aud", "account"), 401, "audience_mismatch", &["Audience mapper", "client \"grafana\""]),
    ("keycloak", "without an audience", |token| token.without("aud"), 401, "audience_missing", &["Audience mapper with \"clickhouse\""]),
    ("keycloak", "an ID token", |token| token.claim("typ", "ID"), 401, "wrong_token_type", &["an ID token"]),
    ("keycloak", "a refresh token", |token| token.claim("typ", "Refresh"), 401, "wrong_token_type", &["another kind", "\"Refresh\""]),
    ("keycloak", "without roles", |token| token.without("realm_access"), 403, "groups_missing", &["role mapper"]),
    (
        "keycloak",
        "of a Keycloak before 17",
        |token| token.claim("iss", "https://sso.example.com/auth/realms/corp"),
        401,
        "unknown_issuer",
        &["that of keycloak", "by the path /auth"],
    ),
    ("cognito", "of another app client", |token| token.claim("client_id", "other"), 401, "audience_mismatch", &["app client's id"]),
    (
        "cognito",
        "an ID token",
        |token| token.claim("token_use", "id").claim("aud", "1example23456789").without("client_id"),
        401,
        "audience_missing",
        &["no audience (`client_id`)", "an ID token"],
    ),
    ("cognito", "of somebody in no group", |token| token.without("cognito:groups"), 403, "groups_missing", &["no group of the pool"]),
    ("cognito-aud", "an access token, which has no aud", |token| token, 401, "audience_missing", &["set audience_claim: client_id", "`resource=`"]),
    (
        "cognito-aud",
        "an ID token with the audience",
        |token| token.claim("token_use", "id").claim("aud", "clickhouse"),
        401,
        "wrong_token_type",
        &["an ID token", "Send the access token"],
    ),
    ("cognito-id", "an access token", |token| token.claim("token_use", "access").without("at_hash"), 401, "wrong_token_type", &["an access token"]),
    (
        "auth0",
        "for no API",
        |token| token.claim("aud", "https://tenant.auth0.example/userinfo"),
        401,
        "audience_mismatch",
        &["audience=\"https://cl"],
    ),
    ("auth0", "without RBAC", |token| token.without("permissions"), 403, "groups_missing", &["RBAC"]),
    ("google", "of another Workspace", |token| token.claim("hd", "example.org"), 401, "bound_claim_mismatch", &["`hd` is \"example.org\""]),
    ("google", "of a consumer account", |token| token.without("hd"), 401, "bound_claim_mismatch", &["`hd` is missing", "\"example.com\""]),
    ("google", "of an address that is not verified", |token| token.claim("email_verified", false), 401, "email_unverified", &["not verified"]),
    ("google", "of another client", |token| token.claim("aud", "other.apps.googleusercontent.com"), 401, "audience_mismatch", &["OAuth client's id"]),
    (
        "google",
        "with the issuer of old",
        |token| token.claim("iss", "accounts.google.com"),
        401,
        "unknown_issuer",
        &["that of google only", "scheme"],
    ),
    ("dex", "of another client", |token| token.claim("aud", "argo"), 401, "audience_mismatch", &["audience:server:client_id:clickhouse"]),
    ("dex", "without the scope groups", |token| token.without("groups"), 403, "groups_missing", &["Dex: groups"]),
    ("dex-access", "as Dex makes access tokens", |token| token, 401, "wrong_token_type", &["an ID token"]),
    ("zitadel", "for another project", |token| token.claim("aud", json!(["1@clickhouse"])), 401, "audience_mismatch", &["project:id:<project>:aud"]),
    (
        "zitadel",
        "without roles",
        |token| token.without("urn:zitadel:iam:org:project:roles"),
        403,
        "groups_missing",
        &["Assert Roles on Authentication"],
    ),
    ("authentik", "of another application", |token| token.claim("aud", "other"), 401, "audience_mismatch", &["client id of authentik's provider"]),
    ("authentik", "without the scope profile", |token| token.without("groups"), 403, "groups_missing", &["authentik: profile"]),
    ("authentik", "without a signing key", |token| token.header("alg", "HS256"), 401, "alg_not_allowed", &["authentik: Provider, Signing Key"]),
];

const OF_MACHINES: &[Row] = &[
    (
        "github-actions",
        "with GitHub's own audience",
        |token| token.claim("aud", "https://github.com/octo-org"),
        401,
        "audience_mismatch",
        &["GitHub's default", "core.getIDToken(\"https://ch.example.com\")"],
    ),
    (
        "github-actions",
        "of a stranger's repository",
        |token| token.claim("repository_owner_id", "66"),
        401,
        "bound_claim_mismatch",
        &["`repository_owner_id` is \"66\"", "good, but not for here"],
    ),
    (
        "gitlab-ci",
        "for another service",
        |token| token.claim("aud", "https://vault.example.com"),
        401,
        "audience_mismatch",
        &["id_tokens: {TOKEN: {aud:"],
    ),
    (
        "gitlab-ci",
        "with a truth instead of its text",
        |token| token.claim("ref_protected", true),
        401,
        "bound_claim_mismatch",
        &["`ref_protected` is true", "bound to \"true\""],
    ),
    (
        "kubernetes",
        "for the API server",
        |token| token.claim("aud", json!(["https://kubernetes.default.svc.cluster.local"])),
        401,
        "audience_mismatch",
        &["the API server's audience", "--audience \"clickhouse\""],
    ),
    (
        "kubernetes",
        "as every pod has it, for a year",
        |token| token.claim("exp", now() + 31_536_000),
        401,
        "lifetime_too_long",
        &["expirationSeconds"],
    ),
    (
        "grafana",
        "of another organisation",
        |token| token.claim("aud", json!(["org:2"])),
        401,
        "audience_mismatch",
        &["Grafana's own ID token", "[\"org:2\"]"],
    ),
    ("grafana", "with another algorithm", |token| token.header("alg", "RS256"), 401, "alg_not_allowed", &["\"RS256\"", "ES256"]),
    (
        "grafana-plain",
        "of a Grafana that is taken for another provider",
        |token| token,
        401,
        "audience_mismatch",
        &["preset: grafana", "audiences: [\"org:1\"]"],
    ),
    ("teleport", "of another application", |token| token.claim("aud", json!(["http://127.0.0.1:1"])), 401, "audience_mismatch", &["internal URI"]),
    ("teleport", "of another cluster", |token| token.claim("iss", "leaf"), 401, "unknown_issuer", &["\"leaf\"", "\"aws\" (teleport)"]),
    ("teleport", "of a person at the web", |token| token.without("roles"), 403, "groups_missing", &["application carries roles"]),
];

#[tokio::test]
pub async fn the_wrong_token_of_every_provider_is_told_what_mends_it() {
    let scene = Providers::start().await;
    let rows: Vec<&Row> = OF_PEOPLE.iter().chain(OF_MACHINES).collect();
    for (provider, what, change, status, reason, words) in &rows {
        let answer = ask(&scene.house, &change(scene.token(provider)).make(), "SELECT 1").await;
        let text = answer.text();
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (*status, Some(*reason)), "{provider}, {what}: {text}");
        assert!(words.iter().all(|words| text.contains(words)), "{provider}, {what}: {words:?} not all in {text}");
        let record = scene.house.record_of(&answer).await;
        assert_eq!((&record["outcome"], &record["reason"]), (&json!("refused"), &json!(reason)), "{provider}, {what}");
    }
    assert!(scene.recorder.requests().is_empty(), "a wrong token reached ClickHouse");
    assert_eq!(scene.house.records_in_the_end().await.len(), rows.len());
}

#[tokio::test]
pub async fn what_is_no_signed_token_is_told_whose_it_may_be() {
    let scene = Providers::start().await;
    let rows = [
        ("ya29.a0AfH6SMBx-_x", "opaque_token", "send an ID token"),
        ("ghs_16C7e42F292c6912E7", "opaque_token", "request an OIDC token"),
        ("2YotnFZFEjr1zCsicMWpAA", "opaque_token", "asks for an audience (Auth0)"),
        ("eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwiaXNzIjoiaHR0cHM6Ly90ZW5hbnQuYXV0aDAuZXhhbXBsZS8ifQ..a.b.c", "encrypted_token", "Auth0 encrypts"),
    ];
    for (token, reason, words) in rows {
        let answer = send(&scene.house, post("/", token, "SELECT 1")).await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (401, Some(reason)), "{}", answer.text());
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    assert!(scene.recorder.requests().is_empty());
}

#[tokio::test]
pub async fn nobody_asks_the_address_that_a_token_names_for_its_groups() {
    let (scene, bait) = (Providers::start().await, Issuer::start().await);
    let sources = json!({"src1": {"endpoint": format!("{}/users/690222be/getMemberObjects", bait.url)}});
    let token = scene.token("entra-groups").claim("_claim_names", json!({"groups": "src1"})).claim("_claim_sources", sources);
    let answer = ask(&scene.house, &token.make(), "SELECT 1").await;
    assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (403, Some("groups_overage")), "{}", answer.text());
    assert!(answer.text().contains("more groups than Entra lists") && answer.text().contains("assigned to the application"), "{}", answer.text());
    assert_eq!((bait.asked(), scene.recorder.requests().len()), (vec![], 0));
    // The same names say nothing about roles, which Entra never leaves out.
    let roles = scene.token("entra").claim("_claim_names", json!({"groups": "src1"}));
    assert_eq!(ask(&scene.house, &roles.make(), "SELECT 1").await.status, 200);
    let none: Value = json!([]);
    let answer = ask(&scene.house, &scene.token("entra").claim("roles", none).make(), "SELECT 1").await;
    assert_eq!(answer.header("x-keyhouse-reason"), Some("no-rule"), "{}", answer.text());
}
