//! When a token lives, and what its claims must be.

use serde_json::{Value, json};

use super::{Case, bearer, good, published::Keys};
use crate::support::token::now;

pub fn rows(keys: &Keys) -> Vec<Case> {
    [times(keys), bound(keys)].into_iter().flatten().collect()
}

fn times(keys: &Keys) -> Vec<Case> {
    let claim = |attack, what, name, value: Value, reason, says| bearer(attack, what, keys.token().claim(name, value).make(), reason, says);
    let exp = |what, value: Value, says| claim(63, what, "exp", value, "claim_type", says);
    vec![
        // First, because it has only seconds left; the exact minute is in `tokens`.
        good(62, "expired 40 s ago", keys.token().expires_in(-40).make(), &["corp/alice"]),
        bearer(62, "expired 61 s ago", keys.token().expires_in(-61).make(), "expired", &["Token expired at", "60s of difference"]),
        bearer(63, "no exp", keys.token().without("exp").make(), "claim_missing", &["`exp`"]),
        exp("exp as text", json!("9999999999"), &["`exp` is a string"]),
        exp("exp as null", json!(null), &["`exp` is null"]),
        exp("exp before 1970", json!(-1), &["`exp`"]),
        exp("exp of another universe", json!(1e300), &["`exp`"]),
        exp("exp as large as numbers get", json!(u64::MAX), &["`exp`"]),
        claim(64, "nbf in an hour", "nbf", json!(now() + 3600), "not_yet_valid", &["valid from", "Check the clocks"]),
        claim(64, "nbf as text", "nbf", json!("0"), "claim_type", &["`nbf` is a string"]),
        claim(65, "iat in an hour", "iat", json!(now() + 3600), "issued_in_future", &["issued at", "Check the clocks"]),
        claim(65, "iat as text", "iat", json!("0"), "claim_type", &["`iat` is a string"]),
        claim(66, "a life of a year", "exp", json!(now() + 365 * 86400), "lifetime_too_long", &["allows 2days", "expirationSeconds"]),
        bearer(
            66,
            "a life of a year that says no beginning",
            keys.token().without("iat").without("nbf").claim("exp", now() + 365 * 86400).make(),
            "lifetime_too_long",
            &["allows 2days"],
        ),
    ]
}

fn bound(keys: &Keys) -> Vec<Case> {
    let protected = |what, value: Value, says| bearer(68, what, keys.of_ci().claim("protected", value).make(), "bound_claim_mismatch", says);
    let cnf = |what, value: Value| bearer(69, what, keys.token().claim("cnf", value).make(), "sender_constrained", &["bound to a key"]);
    vec![
        protected("the text of a truth", json!("true"), &["is \"true\"", "bound to true"]),
        protected("a number for a truth", json!(1), &["is 1", "bound to true"]),
        bearer(
            68,
            "a number for its text",
            keys.of_ci().claim("repository_owner_id", 123).make(),
            "bound_claim_mismatch",
            &["`repository_owner_id` is 123", "\"123\""],
        ),
        cnf("a token bound to a key of DPoP", json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})),
        cnf("a token bound to a certificate", json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"})),
        cnf("a token bound to nothing that is known", json!(null)),
    ]
}
