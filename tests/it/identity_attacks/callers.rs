//! Who the caller is made of a good token: groups by their exact names, and names that mislead nobody.

use serde_json::{Value, json};

use super::{Case, bearer, forbidden, good, published::Keys};

pub fn rows(keys: &Keys) -> Vec<Case> {
    [groups(keys), names(keys)].into_iter().flatten().collect()
}

fn groups(keys: &Keys) -> Vec<Case> {
    let groups = |attack, what, names: &[&str], says| forbidden(attack, what, keys.token().groups(names).make(), "no-rule", says);
    let wrong = |attack, what, value: Value, reason, says| bearer(attack, what, keys.token().claim("groups", value).make(), reason, says);
    let more = keys.token().without("groups").claim("_claim_names", json!({"groups": "src1"}));
    let more = more.claim("_claim_sources", json!({"src1": {"endpoint": format!("{}/getMemberObjects", keys.bait.url)}}));
    vec![
        groups(71, "no group", &[], &["groups: []"]),
        groups(71, "groups that no rule names", &["sales"], &["alice (corp)", "[\"sales\"]"]),
        forbidden(72, "no groups claim", keys.token().without("groups").make(), "groups_missing", &["no claim `groups`", "Keycloak: a mapper"]),
        forbidden(73, "more groups than Entra lists", more.make(), "groups_overage", &["app roles", "assigned to the application"]),
        wrong(74, "groups as an object", json!({"analysts": true}), "claim_type", &["`groups`", "list of strings"]),
        wrong(74, "groups as a number", json!(7), "claim_type", &["`groups`"]),
        wrong(74, "groups as null", json!(null), "claim_type", &["`groups`"]),
        wrong(74, "groups in a list", json!(["analysts", ["admins"]]), "claim_type", &["`groups`"]),
        wrong(74, "a number among groups", json!(["analysts", 7]), "claim_type", &["`groups`"]),
        groups(75, "a group with its path", &["/analysts"], &["[\"/analysts\"]"]),
        groups(75, "a group in other case", &["Analysts"], &["[\"Analysts\"]"]),
        groups(75, "a group with a space", &["analysts "], &["[\"analysts \"]"]),
        groups(75, "two groups in one", &["analysts engineers"], &["No rule is meant"]),
        forbidden(75, "another provider's group", keys.of_ci().groups(&["engineers"]).make(), "no-rule", &["(ci)", "[\"engineers\"]"]),
        groups(76, "a star for a group", &["*"], &["[\"*\"]"]),
        groups(76, "a group with quotes", &["analysts' OR 'a'='a", "analysts`; DROP", "analysts;"], &["No rule is meant"]),
        wrong(76, "a group with a line break", json!(["a\nb"]), "claim_value", &["`groups`", "control characters"]),
        wrong(76, "an empty group", json!(["analysts", ""]), "claim_value", &["`groups`", "empty"]),
        good(76, "a strange group beside a good one", keys.token().groups(&["*", "analysts"]).make(), &["\"rule\":\"analysts\""]),
    ]
}

fn names(keys: &Keys) -> Vec<Case> {
    let subject = |what, value: Value, reason, says| bearer(79, what, keys.token().claim("sub", value).make(), reason, says);
    let reserved = |what, name: &str| forbidden(77, what, keys.token().subject(name).make(), "reserved_username", &["prefix", "username"]);
    let mail = |what, verified: Value| bearer(78, what, keys.of_ci().claim("email_verified", verified).make(), "email_unverified", &["not verified"]);
    let scope = |what, scope: &str| forbidden(80, what, keys.of_ci().claim("scope", scope).make(), "insufficient_scope", &["clickhouse:read"]);
    vec![
        reserved("the default user", "default"),
        reserved("a ClickHouse user of the config", "kh_writer"),
        mail("an address that is not verified", json!(false)),
        mail("an address that is said to be", json!("true")),
        bearer(79, "no subject", keys.token().without("sub").make(), "claim_missing", &["`sub`"]),
        subject("an empty subject", json!(""), "claim_value", &["`sub`", "empty"]),
        subject("a subject with a terminal's command", json!("a\u{1b}[2J"), "claim_value", &["`sub`"]),
        subject("a subject with a line break", json!("a\r\nX-ClickHouse-User: default"), "claim_value", &["`sub`"]),
        subject("a subject from right to left", json!("\u{202e}nimda"), "claim_value", &["`sub`"]),
        subject("a subject without an end", json!("x".repeat(257)), "claim_value", &["longer than 256"]),
        subject("a subject that is a number", json!(7), "claim_type", &["`sub`"]),
        good(79, "a subject of other letters", keys.token().subject("Zo\u{eb} @ ops|42").make(), &["corp/Zo\u{eb} @ ops|42"]),
        scope("no scope that counts", "openid"),
        scope("a scope that begins alike", "clickhouse:readonly"),
        good(80, "the scope", keys.of_ci().make(), &["ci/alice"]),
    ]
}
