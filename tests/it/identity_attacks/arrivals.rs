//! Where a credential stands, and what stands beside it.

use serde_json::json;

use super::{Case, bearer, forbidden, good, permitted, published::Keys, refused};
use crate::support::client::{basic, get, post};

/// A read with these headers.
fn with(headers: &[&str]) -> String {
    get("/?query=SELECT%201", headers)
}

pub fn rows(keys: &Keys) -> Vec<Case> {
    [nothing(keys), two(keys), in_addresses(keys), schemes(keys), not_configured(keys), names(keys), sizes(keys), of_clickhouse(keys)]
        .into_iter()
        .flatten()
        .collect()
}

fn nothing(keys: &Keys) -> Vec<Case> {
    let token = keys.token().make();
    vec![
        refused(1, "no token", with(&[]), 401, "no_credentials", &["Authorization: Bearer <token>"]),
        refused(1, "a ClickHouse user alone", with(&["X-ClickHouse-User: default"]), 401, "no_credentials", &["brings no token"]),
        refused(1, "a name with an empty password", with(&[&basic("default", "")]), 401, "no_credentials", &["brings no token"]),
        refused(
            102,
            "no credential for a statement in the body",
            post("/", "", "SELECT 1").replace("Bearer ", "Basic Og=="),
            401,
            "no_credentials",
            &[],
        ),
        forbidden(102, "somebody whom no rule means", keys.token().groups(&["nobodies"]).make(), "no-rule", &["alice (corp)"]),
        refused(101, "a token in a header of others", with(&[&format!("X-ClickHouse-JWT-Token: {token}")]), 401, "no_credentials", &["is not read"]),
        refused(
            101,
            "the same beside a token",
            with(&[&format!("Authorization: Bearer {token}"), &format!("X-ClickHouse-JWT-Token: {token}")]),
            400,
            "multiple_credentials",
            &["X-ClickHouse-JWT-Token"],
        ),
    ]
}

fn two(keys: &Keys) -> Vec<Case> {
    let token = keys.token().make();
    let line = format!("Authorization: Bearer {token}");
    let many = |attack, what, headers: &[&str], says| refused(attack, what, with(headers), 400, "multiple_credentials", says);
    vec![
        many(2, "two Authorization headers", &[&line, &line], &["two `authorization`"]),
        many(2, "Bearer and Basic", &[&line, "Authorization: Basic YTpi"], &["exactly one"]),
        many(100, "the good one after ClickHouse's own", &["Authorization: Basic YWRtaW46", &line], &["two `authorization`"]),
        refused(100, "a scheme of ClickHouse's", with(&["Authorization: never"]), 401, "no_credentials", &["another scheme"]),
        refused(100, "an admin without a password", with(&["Authorization: Basic YWRtaW46"]), 401, "no_credentials", &["brings no token"]),
        many(4, "a key beside the token", &[&line, &format!("X-ClickHouse-Key: {token}")], &["exactly one"]),
        many(97, "a user's password beside the token", &[&line, "X-ClickHouse-User: admin", "X-ClickHouse-Key: x"], &["exactly one"]),
        many(
            97,
            "two keys",
            &["X-ClickHouse-User: admin", "X-ClickHouse-Key: x", &format!("X-ClickHouse-Key: {token}")],
            &["two `x-clickhouse-key`"],
        ),
        many(99, "a certificate beside the token", &[&line, "X-ClickHouse-SSL-Certificate-Auth: on"], &["certificate"]),
        many(99, "a certificate of a user", &["X-ClickHouse-SSL-Certificate-Auth: on", "X-ClickHouse-User: admin"], &["names nobody here"]),
    ]
}

fn in_addresses(keys: &Keys) -> Vec<Case> {
    let token = keys.token().make();
    let beside = |attack, what, target: &str, says| refused(attack, what, post(target, &token, "SELECT 1"), 400, "token_in_url", says);
    let (expired, unsigned) = (keys.token().expires_in(-600).make(), keys.token().header("alg", "none").make());
    let foreign = keys.token().claim("aud", json!(["other-api"])).make();
    let and_another =
        |what, first: &str| refused(112, what, post(&format!("/?password={token}"), first, "SELECT 1"), 400, "token_in_url", &["where logs keep it"]);
    vec![
        refused(5, "?access_token=", get(&format!("/?access_token={token}"), &[]), 400, "token_in_url", &["where logs keep it"]),
        refused(5, "?token=", get(&format!("/?query=SELECT%201&token={token}"), &[]), 400, "token_in_url", &["known to others"]),
        refused(5, "the token as ?password=", get(&format!("/?query=SELECT%201&password={token}"), &[]), 400, "token_in_url", &["where logs"]),
        beside(5, "?ACCESS_TOKEN= beside the token", "/?ACCESS_TOKEN=x", &["header"]),
        beside(101, "?token= of other builds beside the token", "/?token=x", &["A token stands in the address"]),
        beside(95, "a user and a password beside the token", "/?user=admin&password=x", &["A token or password"]),
        beside(96, "the same in capitals", "/?USER=admin&PASSWORD=x", &["A token or password"]),
        beside(96, "the same with an escape", "/?us%65r=admin&pass%77ord=x", &["where logs keep it"]),
        and_another("a token that has expired, and a good one as password", &expired),
        and_another("a token without a signature, and a good one as password", &unsigned),
        and_another("a token for others, and a good one as password", &foreign),
    ]
}

fn schemes(keys: &Keys) -> Vec<Case> {
    let token = keys.token().make();
    let line = format!("Authorization: Bearer {token}");
    let malformed = |attack, what, header: String, says| refused(attack, what, with(&[&header]), 401, "malformed_token", says);
    vec![
        permitted(6, "a scheme in other case, and more spaces", with(&[&format!("authorization: bEaReR   {token}")]), &["corp/alice"]),
        malformed(6, "a tab after the space", format!("Authorization: Bearer \t{token}"), &["one space and one token"]),
        malformed(6, "a tab for the space", format!("Authorization: Bearer\t{token}"), &["one space and one token"]),
        malformed(7, "two tokens in one header", format!("{line} {token}"), &["one space and one token"]),
        malformed(7, "a list of tokens", format!("{line},{token}"), &["one token"]),
        malformed(7, "a list of schemes", format!("{line}, Basic YTpi"), &["one token"]),
        malformed(11, "a token that is no ASCII", format!("Authorization: Bearer \u{e9}{token}"), &["one space and one token"]),
        malformed(11, "an escape in the token", format!("Authorization: Bearer %0d%0a{token}"), &["characters that no JWT has"]),
    ]
}

fn not_configured(keys: &Keys) -> Vec<Case> {
    let (token, bob) = (keys.token().make(), keys.token().subject("bob").make());
    let line = format!("Authorization: Bearer {token}");
    let beside = |what, header: &str| permitted(8, what, with(&[&line, header]), &["corp/alice"]);
    vec![
        beside("a name of a proxy", "X-Forwarded-User: admin"),
        beside("a token of Grafana's", &format!("X-Grafana-Id: {bob}")),
        beside("an ID token", &format!("X-Id-Token: {bob}")),
        beside("a session", &format!("Cookie: session={bob}")),
        beside("a credential for proxies", "Proxy-Authorization: Basic YWRtaW46eA=="),
        refused(8, "a quota's key", with(&[&line, "X-ClickHouse-Quota: admin"]), 400, "header-not-allowed", &["x-clickhouse-quota"]),
        refused(8, "a header of Keyhouse's own", with(&[&line, "X-Keyhouse-Caller: bob"]), 400, "header-not-allowed", &["x-keyhouse-caller"]),
        permitted(98, "a user with underscores", with(&[&line, "x_clickhouse_user: admin", "x_clickhouse_key: x"]), &["corp/alice"]),
    ]
}

fn names(keys: &Keys) -> Vec<Case> {
    let token = keys.token().make();
    let line = format!("Authorization: Bearer {token}");
    let other = |attack, what, request: String, says| refused(attack, what, request, 401, "user_mismatch", says);
    vec![
        // Tools send a name and an empty password of themselves; they mean nothing here, and go nowhere.
        permitted(4, "the default user without a password", post("/?user=default&password=", &token, "SELECT 1"), &["corp/alice"]),
        permitted(4, "the default user in a header", with(&[&line, "X-ClickHouse-User: default", "X-ClickHouse-Key: "]), &["corp/alice"]),
        permitted(4, "the caller's own name", post("/?user=alice", &token, "SELECT 1"), &["corp/alice"]),
        other(4, "another user beside the token", with(&[&line, "X-ClickHouse-User: bob"]), &["for `alice`", "names `bob`"]),
        other(4, "another user in the address", post("/?user=ALICE", &token, "SELECT 1"), &["leave the user empty"]),
        other(95, "a user without a password beside the token", post("/?user=admin", &token, "SELECT 1"), &["names `admin`"]),
        other(96, "the same with an escape", post("/?us%65r=admin", &token, "SELECT 1"), &["names `admin`"]),
        refused(96, "a user in capitals", post("/?USER=admin", &token, "SELECT 1"), 400, "parameter-not-allowed", &["USER"]),
        other(9, "another user before the password", with(&[&basic("bob", &token)]), &["for `alice`", "names `bob`"]),
        other(9, "ClickHouse's name for what the rule acts as", with(&[&basic("kh_analyst", &token)]), &["names `kh_analyst`"]),
        permitted(9, "the caller's own before the password", with(&[&basic("alice", &token)]), &["corp/alice"]),
        refused(9, "a password that is no token", with(&["Authorization: Basic YTpi"]), 401, "opaque_token", &["a Basic password is no token"]),
        refused(
            9,
            "a key that is no token",
            with(&["X-ClickHouse-User: a", "X-ClickHouse-Key: b"]),
            401,
            "opaque_token",
            &["X-ClickHouse-Key is no"],
        ),
    ]
}

fn sizes(keys: &Keys) -> Vec<Case> {
    let grown = |groups| keys.token().claim("groups", vec!["g".repeat(100); groups]).make();
    vec![
        bearer(10, "17 KiB", grown(130), "token_too_large", &["16384", "fewer groups"]),
        forbidden(10, "15 KiB", grown(100), "no-rule", &["alice (corp)"]),
    ]
}

/// What ClickHouse itself takes for a name when nobody stands before it.
fn of_clickhouse(keys: &Keys) -> Vec<Case> {
    vec![good(95, "nothing but the token", keys.token().make(), &["corp/alice"])]
}
