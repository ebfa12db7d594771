//! Right tokens with one thing wrong in the header or in the signature.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use super::made::{ALGORITHMS, ENCRYPTS, Made, Provider, Sample, values};
use crate::support::{key::Key, token::Token};

pub(super) fn samples(provider: &Provider) -> Vec<Sample> {
    [algorithms, signatures, members, embedded_keys].iter().flat_map(|of_kind| of_kind(provider)).collect()
}

/// What `alg` may be instead of the truth.
const NAMES: [&str; 22] = [
    "none",
    "None",
    "NONE",
    "nOnE",
    "",
    " ",
    "HS256",
    "HS384",
    "HS512",
    "rs256",
    "RS256 ",
    "RS1",
    "RS256\u{0}",
    "ES256K",
    "ES512",
    "EDDSA",
    "Ed448",
    "ed25519",
    "RSA-OAEP",
    "dir",
    "A128KW",
    "PBES2-HS256+A128KW",
];

fn algorithms(provider: &Provider) -> Vec<Sample> {
    let wrong = |what: String, token: &Token| Sample::new(Made::Wrong, what, token.make());
    let of_each = |algorithm: &&str| {
        let key = provider.key(algorithm);
        let is_same = |name: &str| name == *algorithm || (name.starts_with("Ed") && key.alg == "Ed25519" && ALGORITHMS.contains(&name));
        let others = NAMES.iter().chain(&ALGORITHMS).filter(|name| !is_same(name));
        let named = others.map(|name| wrong(format!("{algorithm} as {name:?}"), &provider.token(algorithm).header("alg", *name)));
        let none = wrong("none, without a signature".to_owned(), &provider.token(algorithm).header("alg", "none").signature([]));
        let missing = wrong("no alg".to_owned(), &provider.token(algorithm).without_header("alg"));
        let secrets = [key.public_der(), key.jwk().to_string().into_bytes(), provider.set.clone().into_bytes(), Vec::new()];
        let confused = secrets.map(|secret| {
            let token = provider.token(algorithm).signed_by(&Key::secret(&secret)).header("kid", key.kid.as_str());
            wrong(format!("HS256 with what is known of the {algorithm} key"), &token)
        });
        named.chain([none, missing]).chain(confused).collect::<Vec<_>>()
    };
    let published = wrong("HS256 with a published secret".to_owned(), &provider.token("RS256").signed_by(&provider.secret));
    let encrypts = wrong("a key for encryption".to_owned(), &provider.token("RS256").header("kid", ENCRYPTS));
    ALGORITHMS.iter().flat_map(of_each).chain([published, encrypts]).collect()
}

fn signatures(provider: &Provider) -> Vec<Sample> {
    let of_each = |algorithm: &&str| {
        let token = provider.token(algorithm);
        let good = BASE64.decode(token.make().rsplit_once('.').unwrap().1).unwrap();
        let half = good.len() / 2;
        let instead = [
            ("empty", Vec::new()),
            ("zeros", vec![0; good.len()]),
            ("ones", vec![0xff; good.len()]),
            ("all 1", [vec![0; half - 1], vec![1], vec![0; half - 1], vec![1]].concat()),
            ("its first half zero", [vec![0; half], good[half..].to_vec()].concat()),
            ("its second half zero", [good[..half].to_vec(), vec![0; half]].concat()),
            ("its halves swapped", [&good[half..], &good[..half]].concat()),
            ("cut", good[..good.len() - 1].to_vec()),
            ("longer", [good.as_slice(), &[0]].concat()),
            ("longer before", [&[0], good.as_slice()].concat()),
            ("a stranger's", provider.stranger(algorithm).sign(algorithm, token.unsigned().as_bytes())),
            ("of another token", provider.key(algorithm).sign(algorithm, b"another")),
        ];
        let mut samples: Vec<Sample> =
            instead.map(|(what, bytes)| Sample::new(Made::Wrong, format!("{algorithm}, {what}"), token.clone().signature(bytes).make())).into();
        if algorithm.starts_with("ES") {
            let der = token.clone().signed_as(&format!("{algorithm}-DER"));
            samples.push(Sample::new(Made::Wrong, format!("{algorithm} in DER"), der.make()));
        }
        samples
    };
    ALGORITHMS.iter().flat_map(of_each).collect()
}

const MEMBERS: [&str; 18] =
    ["crit", "b64", "zip", "cty", "typ", "kid", "alg", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "enc", "url", "nonce", "epk", "iss"];

/// Members of the header with values that they should not have.
fn members(provider: &Provider) -> Vec<Sample> {
    let is_wrong = |name: &str, value: &Value| match name {
        "crit" | "b64" | "zip" | "kid" | "alg" => true,
        "typ" => value != "JWT",
        "cty" => value == "JWT" || !value.is_string(),
        _ => false,
    };
    let of_each = |name: &&str| {
        let sample = |value: Value| {
            let made = if is_wrong(name, &value) { Made::Wrong } else { Made::Odd };
            Sample::new(made, format!("header {name}: {value}"), provider.token("ES256").header(name, value).make())
        };
        values().into_iter().map(sample).collect::<Vec<_>>()
    };
    let critical = provider.token("ES256").header("crit", json!(["b64"])).header("b64", true);
    let kids = ["../../dev/null", "' OR 1=1", "%00", &"k".repeat(300), &provider.rsa.kid, &provider.es384.kid, &provider.secret.kid];
    let kids = kids.map(|kid| Sample::new(Made::Wrong, format!("kid {kid:?}"), provider.token("ES256").header("kid", kid).make()));
    MEMBERS.iter().flat_map(of_each).chain(kids).chain([Sample::new(Made::Wrong, "b64 is critical", critical.make())]).collect()
}

/// A forger's key, which the token brings along.
fn embedded_keys(provider: &Provider) -> Vec<Sample> {
    let of_each = |algorithm: &&str| {
        let stranger = provider.stranger(algorithm);
        let forged = || provider.token(algorithm).signed_by(stranger).header("alg", *algorithm).signed_as(algorithm);
        let tokens = [
            forged(),
            forged().header("kid", provider.key(algorithm).kid.as_str()),
            forged().header("jwk", stranger.jwk()),
            forged().without_header("kid").header("jwk", stranger.jwk()),
            forged().header("kid", provider.key(algorithm).kid.as_str()).header("jwk", stranger.jwk()).header("jku", "https://127.0.0.1:1/"),
            forged().header("x5c", json!([BASE64.encode(stranger.public_der())])),
        ];
        tokens.map(|token| Sample::new(Made::Wrong, format!("{algorithm} by a stranger"), token.make()))
    };
    ALGORITHMS.iter().flat_map(of_each).collect()
}
