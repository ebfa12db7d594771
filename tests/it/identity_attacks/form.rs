//! The form of a token: a compact JWS, and one spelling of it.

use serde_json::{Value, json};

use super::{Case, bearer, published::Keys};
use crate::support::token::Token;

pub fn rows(keys: &Keys) -> Vec<Case> {
    [outside(keys), spellings(keys), inside(keys)].into_iter().flatten().collect()
}

fn outside(keys: &Keys) -> Vec<Case> {
    let good = keys.token().make();
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    vec![
        bearer(12, "an opaque token", "Zm9vYmFy", "opaque_token", &["not a JWT"]),
        bearer(12, "a token of Google's API", "ya29.a0AfH6SMBx", "opaque_token", &["Google", "send an ID token"]),
        bearer(12, "a token of GitHub's API", "ghp_16C7e42F292c6912E7", "opaque_token", &["GitHub"]),
        bearer(13, "a JWE", "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d", "encrypted_token", &["encrypted (JWE)", "authentik"]),
        bearer(13, "a JWE in a token's three parts", good.replacen("eyJ", "eyJhbGciOiJkaXIifQ.a.eyJ", 1), "encrypted_token", &["Auth0"]),
        bearer(14, "the JSON form", "{\"payload\":\"e30.\"}", "malformed_token", &["characters"]),
        bearer(15, "four parts", format!("{good}.x"), "malformed_token", &["neither three nor five"]),
        bearer(15, "two parts", unsigned, "malformed_token", &["neither three nor five"]),
        bearer(15, "an empty signature", format!("{unsigned}."), "malformed_token", &["no signature"]),
    ]
}

fn spellings(keys: &Keys) -> Vec<Case> {
    let good = keys.token().make();
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    let (header, rest) = good.split_once('.').unwrap();
    let trailing = keys.token().signed_by(&keys.es256).signature([7; 64]).make();
    let trailing = format!("{}x", &trailing[..trailing.len() - 1]);
    vec![
        bearer(16, "padding", format!("{header}=.{rest}"), "malformed_token", &["characters"]),
        bearer(16, "base64 of the other alphabet", format!("{unsigned}.ab+/"), "malformed_token", &["characters"]),
        bearer(16, "trailing bits", trailing, "malformed_token", &["not base64url"]),
    ]
}

fn inside(keys: &Keys) -> Vec<Case> {
    let plain = |attack, token: Token, what, says| bearer(attack, what, token.make(), "malformed_token", says);
    let unsupported =
        |attack, name, value: Value, what, says| bearer(attack, what, keys.token().header(name, value).make(), "unsupported_header", says);
    let deep = |depth| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let twice = |what, token: Token, says| bearer(20, what, token.make(), "duplicate_claim", says);
    vec![
        plain(17, keys.token().raw_header("["), "a header that is no JSON", &["header"]),
        plain(17, keys.token().raw_header("[]"), "a header that is a list", &["header"]),
        plain(17, keys.token().raw_claims("[]"), "a payload that is a list", &["payload"]),
        plain(17, keys.token().raw_claims("null"), "a payload that is null", &["payload"]),
        plain(17, keys.token().raw_claims(b"{\"sub\":\"\xff\"}"), "a payload that is no UTF-8", &["payload"]),
        plain(17, keys.token().raw_claims(b"\xef\xbb\xbf{}"), "a payload with a BOM", &["payload"]),
        plain(18, keys.token().raw_claims(deep(2000)), "a payload 2000 deep", &["payload"]),
        plain(18, keys.token().raw_header(deep(2000)), "a header 2000 deep", &["header"]),
        plain(18, keys.token().raw_claims("[".repeat(10_000)), "10 kB of brackets", &["payload"]),
        bearer(18, "a payload 10 000 deep", keys.token().raw_claims(deep(10_000)).make(), "token_too_large", &["16384"]),
        plain(19, keys.token().header_again("alg", "none"), "a header member twice", &["twice"]),
        plain(19, keys.token().header_again("kid", keys.es256.kid.as_str()), "two names of keys", &["twice"]),
        twice("groups twice", keys.token().claim_again("groups", json!(["admins"])), &["`groups` twice"]),
        twice("an audience twice", keys.token().claim("aud", "other").claim_again("aud", "clickhouse"), &["`aud` twice"]),
        twice("an inner claim twice", keys.token().raw_claims("{\"a\":{\"b\":1,\"b\":2}}"), &["`b` twice"]),
        unsupported(21, "zip", json!("DEF"), "zip", &["`zip`", "not supported"]),
        unsupported(21, "cty", json!("JWT"), "a token in the token", &["another token"]),
        unsupported(35, "crit", json!(["exp"]), "crit", &["`crit`"]),
        unsupported(35, "crit", json!(["b64"]), "crit for b64", &["`crit`"]),
        unsupported(35, "crit", json!(["http://example.com/UNDEFINED"]), "crit that nobody knows", &["`crit`"]),
        unsupported(35, "crit", json!([]), "crit that is empty", &["`crit`"]),
        unsupported(35, "b64", json!(false), "b64", &["`b64`"]),
    ]
}
