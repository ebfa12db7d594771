//! The algorithm and the key of a token: the config says which, and the token only says which of them.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use super::{Case, bearer, good, published::Keys};
use crate::support::{key::Key, token::Token};

pub fn rows(keys: &Keys) -> Vec<Case> {
    [algorithms(keys), kinds(keys), uses(keys), brought(keys), names(keys), signatures(keys)].into_iter().flatten().collect()
}

fn algorithms(keys: &Keys) -> Vec<Case> {
    let alg = |attack, what, value: Value| {
        bearer(attack, what, keys.token().header("alg", value).make(), "alg_not_allowed", &["Token algorithm is", "RS256"])
    };
    let secret = |bytes: &[u8]| keys.token().signed_by(&Key::secret(bytes)).header("kid", keys.rsa.kid.as_str()).make();
    let hs256 = |attack, what, token: String| bearer(attack, what, token, "alg_not_allowed", &["HS256", "signing key"]);
    let set = json!({"keys": [keys.rsa.jwk()]}).to_string();
    vec![
        alg(22, "alg none", json!("none")),
        alg(22, "alg None", json!("None")),
        alg(22, "alg noNE", json!("noNE")),
        alg(22, "an empty alg", json!("")),
        alg(22, "an alg that is a number", json!(7)),
        alg(22, "an alg that is a list", json!(["none"])),
        alg(22, "an alg in small letters", json!("rs256")),
        bearer(22, "no alg", keys.token().without_header("alg").make(), "alg_not_allowed", &["Token algorithm"]),
        hs256(23, "HS256 with the public key", secret(&keys.rsa.public_der())),
        hs256(23, "HS256 with the key's text", secret(keys.rsa.jwk().to_string().as_bytes())),
        hs256(23, "HS256 with the key set's text", secret(set.as_bytes())),
        hs256(24, "HS256 with the client's secret", keys.token().signed_by(&Key::secret(b"client secret")).without_header("kid").make()),
        hs256(31, "HS256 with a secret of the key set", keys.token().signed_by(&keys.shared).make()),
        alg(40, "none, which the provider says it signs with", json!("none")),
        hs256(40, "HS256, which it says too", secret(b"guessed")),
    ]
}

fn kinds(keys: &Keys) -> Vec<Case> {
    let kid = |name: &str| keys.token().header("kid", name);
    let es = |key| keys.token().signed_by(key);
    let other_type = |attack, what, token: Token| bearer(attack, what, token.make(), "key_type_mismatch", &["type of the key"]);
    vec![
        other_type(25, "RS256 and an elliptic key", kid(&keys.es256.kid)),
        other_type(25, "ES256 and an RSA key", es(&keys.es256).header("kid", keys.rsa.kid.as_str())),
        other_type(25, "EdDSA and an elliptic key", es(&keys.ed25519).header("kid", keys.es256.kid.as_str())),
        other_type(26, "ES256 and a key of P-384", es(&keys.es256).header("kid", keys.es384.kid.as_str())),
        other_type(26, "ES384 and a key of P-256", es(&keys.es384).header("kid", keys.es256.kid.as_str())),
        bearer(
            26,
            "a signature of P-384 under a key of P-256",
            es(&keys.es384).header("alg", "ES256").header("kid", keys.es256.kid.as_str()).make(),
            "bad_signature",
            &["does not fit"],
        ),
        bearer(28, "an RSA key of 1024 bits", kid("small").make(), "unknown_key", &["no signing key"]),
        bearer(29, "a key for PS512 alone", kid("ps512-only").make(), "key_alg_mismatch", &["another algorithm"]),
        bearer(
            29,
            "PS256 with a key for RS256",
            kid("spare-1").header("alg", "PS256").signed_as("PS256").make(),
            "key_alg_mismatch",
            &["another algorithm"],
        ),
        bearer(29, "PKCS1 where PSS is said", keys.token().header("alg", "PS256").make(), "bad_signature", &["does not fit"]),
        good(29, "PS512 with its key", kid("ps512-only").header("alg", "PS512").signed_as("PS512").make(), &["corp/alice"]),
        good(39, "Ed25519 by its name", es(&keys.ed25519).make(), &["corp/alice"]),
        good(39, "Ed25519 by its old name", es(&keys.ed25519).header("alg", "EdDSA").make(), &["corp/alice"]),
    ]
}

fn uses(keys: &Keys) -> Vec<Case> {
    let kid = |name: &str| keys.token().header("kid", name).make();
    vec![
        bearer(30, "a key for encryption", kid("for-encryption"), "unknown_key", &["no signing key"]),
        bearer(30, "a key for wrapping", kid("for-wrapping"), "unknown_key", &["no signing key"]),
    ]
}

/// Keys that a token brings, or names an address for.
fn brought(keys: &Keys) -> Vec<Case> {
    let forged = || keys.token().signed_by(&keys.stranger);
    let known = || forged().header("kid", keys.rsa.kid.as_str());
    let at = |path: &str| format!("{}{path}", keys.bait.url);
    let bad = |attack, what, token: Token| bearer(attack, what, token.make(), "bad_signature", &["by the keys of provider corp"]);
    vec![
        bad(32, "the address of a key set", known().header("jku", at("/jwks"))),
        bad(32, "the address of a certificate", known().header("x5u", at("/chain.pem"))),
        bearer(32, "the address of a set with a key of its own", forged().header("jku", at("/jwks")).make(), "unknown_key", &["no signing key"]),
        bad(33, "a key in the header", known().header("jwk", keys.stranger.jwk())),
        bad(33, "a certificate in the header", known().header("x5c", json!([BASE64.encode(keys.stranger.public_der())]))),
        bearer(33, "a key in the header and no name", forged().header("jwk", keys.stranger.jwk()).without_header("kid").make(), "ambiguous_key", &[]),
    ]
}

fn names(keys: &Keys) -> Vec<Case> {
    let kid = |what, name: &str| bearer(34, what, keys.token().header("kid", name).make(), "unknown_key", &["no signing key"]);
    let no_name = |what, value: Value| bearer(34, what, keys.token().header("kid", value).make(), "malformed_token", &["kid"]);
    let of_corp = |key| Token::new(&keys.issuer.url, key);
    vec![
        kid("a path for a kid", "../../dev/null"),
        kid("SQL for a kid", "x' UNION SELECT 'secret"),
        kid("an escape in a kid", "%00%0d%0a"),
        kid("a NUL and a line break in a kid", "a\0b\r\nset-cookie: x"),
        kid("an address for a kid", &keys.bait.url),
        no_name("a kid that is a number", json!(7)),
        no_name("a kid that is a list", json!([keys.rsa.kid])),
        no_name("a kid of 257 bytes", json!("k".repeat(257))),
        no_name("a kid of 10 KB", json!("k".repeat(10_000))),
        good(36, "no kid, one key that fits", keys.token().signed_by(&keys.es256).without_header("kid").make(), &["corp/alice"]),
        bearer(36, "no kid, five keys that fit", keys.token().without_header("kid").make(), "ambiguous_key", &["names no key", "has 5 that fit"]),
        bearer(37, "a key of another provider", of_corp(&keys.of_ci).make(), "unknown_key", &["Provider corp"]),
        bearer(
            37,
            "a key of another provider under a name of ours",
            of_corp(&keys.namesake).header("kid", keys.es256.kid.as_str()).make(),
            "bad_signature",
            &["provider corp"],
        ),
        bearer(37, "our key in a token of another provider", keys.of_ci().signed_by(&keys.rsa).make(), "unknown_key", &["Provider ci"]),
        bearer(37, "a stranger's key", keys.token().signed_by(&keys.stranger).make(), "unknown_key", &["no signing key"]),
    ]
}

fn signatures(keys: &Keys) -> Vec<Case> {
    let signature = keys.token().make().rsplit_once('.').unwrap().1.to_owned();
    let mallory = keys.token().subject("mallory").make();
    let borrowed = format!("{}.{signature}", mallory.rsplit_once('.').unwrap().0);
    let mut flipped = BASE64.decode(&signature).unwrap();
    flipped[100] ^= 1;
    let es = || keys.token().signed_by(&keys.es256);
    let bad = |attack, what, token: Token| bearer(attack, what, token.make(), "bad_signature", &["does not fit"]);
    let stranger = keys.token().groups(&["analysts"]).signed_by(&keys.stranger).header("kid", keys.rsa.kid.as_str());
    vec![
        bad(27, "ECDSA in DER", es().signed_as("ES256-DER")),
        bad(27, "ECDSA of zeros", es().signature([0; 64])),
        bad(27, "ECDSA beyond the order of the curve", es().signature([0xff; 64])),
        bad(27, "ECDSA cut short", es().signature([7; 63])),
        bad(38, "a flipped bit", keys.token().signature(flipped)),
        bearer(38, "another token's signature", borrowed, "bad_signature", &["Get a new token"]),
        bad(38, "a stranger's key under a known kid", stranger),
    ]
}
