//! A provider's keys, and its tokens: right ones in every spelling, and all the others.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{claims, headers, oddities};
use crate::{
    generated::Random,
    support::{
        key::Key,
        token::{Token, now},
    },
};

pub(super) const ISSUER: &str = "https://idp.example.com";
pub(super) const AUDIENCE: &str = "clickhouse";
pub(super) const CLIENT: &str = "grafana";

/// What is known of a token by how it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    Right,
    Wrong,
    /// Nothing: the judges may disagree as far as they are allowed to.
    Odd,
}

pub(super) struct Sample {
    pub(super) what: String,
    pub(super) token: String,
    pub(super) made: Made,
}

impl Sample {
    pub(super) fn new(made: Made, what: impl Into<String>, token: String) -> Self {
        Self { what: what.into(), token, made }
    }
}

/// Keys of every kind, and some that no token may be verified with.
pub(super) struct Provider {
    pub(super) rsa: Arc<Key>,
    es256: Arc<Key>,
    pub(super) es384: Arc<Key>,
    ed25519: Arc<Key>,
    /// Not in the set.
    strangers: [Arc<Key>; 4],
    /// In the set, as careless providers have it.
    pub(super) secret: Arc<Key>,
    pub(super) set: String,
}

pub(super) const ALGORITHMS: [&str; 10] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"];

/// The `kid` of a key that is published for encryption.
pub(super) const ENCRYPTS: &str = "for-encryption";

impl Provider {
    pub(super) fn new() -> Self {
        let [es256, es384, ed25519] = ["ES256", "ES384", "Ed25519"].map(Key::fresh);
        let (rsa, spare, secret) = (Key::rs256(), Key::fresh("RS256"), Key::secret(b"a secret that everybody may read"));
        let strangers = ["RS256", "ES256", "ES384", "Ed25519"].map(Key::fresh);
        // No `alg`, as Entra has it: one RSA key is for six of them. The spare one makes RSA tokens without `kid` ambiguous.
        let without_alg = |key: &Key| {
            let mut jwk = key.jwk();
            jwk.as_object_mut().unwrap().remove("alg");
            jwk
        };
        let mut set = [&rsa, &spare, &es256, &es384, &ed25519].map(|key| without_alg(key)).to_vec();
        let mut encrypts = without_alg(&rsa);
        encrypts["kid"] = json!(ENCRYPTS);
        encrypts["use"] = json!("enc");
        set.extend([encrypts, secret.jwk()]);
        Self { rsa, es256, es384, ed25519, strangers, secret, set: json!({ "keys": set }).to_string() }
    }

    pub(super) fn key(&self, algorithm: &str) -> &Arc<Key> {
        match algorithm {
            "ES256" => &self.es256,
            "ES384" => &self.es384,
            "EdDSA" | "Ed25519" => &self.ed25519,
            _ => &self.rsa,
        }
    }

    pub(super) fn stranger(&self, algorithm: &str) -> &Arc<Key> {
        self.strangers.iter().find(|key| key.alg == self.key(algorithm).alg).unwrap()
    }

    /// The one that all judges take.
    pub(super) fn token(&self, algorithm: &str) -> Token {
        let token = Token::new(ISSUER, self.key(algorithm)).header("alg", algorithm).signed_as(algorithm).claim("azp", CLIENT);
        token.groups(&["analysts", "Zoë's"]).expires_in(3600)
    }

    /// One of those, in one of its many spellings.
    pub(super) fn any(&self, random: &mut Random) -> Token {
        let mut token = self.token(random.of(&ALGORITHMS));
        token = token.claim("aud", random.of(&[json!(AUDIENCE), json!([AUDIENCE]), json!(["account", AUDIENCE])].each_ref()).clone());
        token = token.claim("exp", random.of(&[json!(now() + 3600), json!((now() + 3600) as f64 + 0.5), json!(now() + 80_000)].each_ref()).clone());
        token = match random.below(4) {
            0 => token.without("nbf"),
            1 => token.without("iat"),
            2 => token.claim("nbf", (now() - 100) as f64 + 0.25).claim("jti", "\u{0}\"\\/\u{1F600}"),
            _ => token.subject("Zoë|42").claim("realm_access", json!({"roles": ["a", null, 1.5, {"b": []}]})),
        };
        if random.below(4) == 0 { token.header("typ", "jwt") } else { token }
    }
}

/// All samples; the same ones for the same seed, but for their keys and times.
pub(super) fn samples(provider: &Provider, seed: u64) -> Vec<Sample> {
    let mut random = Random::new(seed);
    let mut samples: Vec<Sample> = (0..400).map(|_| Sample::new(Made::Right, "any", provider.any(&mut random).make())).collect();
    samples.extend(right(provider).into_iter().chain(headers::samples(provider)).chain(claims::samples(provider)));
    samples.extend(oddities::samples(provider, &mut random));
    samples
}

/// What Keyhouse takes and a stricter judge may not.
fn right(provider: &Provider) -> Vec<Sample> {
    let right = |what: &str, token: Token| Sample::new(Made::Right, what, token.make());
    let of_each = |algorithm: &&str| {
        let token = || provider.token(algorithm);
        let types = ["at+jwt", "AT+JWT", "application/at+jwt"].map(|typ| right("its type", token().header("typ", typ)));
        let late = token().expires_in(-30).claim("nbf", now() - 200).claim("iat", now() - 200);
        let rest = [
            right("no type", token().without_header("typ")),
            right("no kid", token().without_header("kid")),
            right("expired within the skew", late),
            right("valid within the skew", token().claim("nbf", now() + 30)),
        ];
        types.into_iter().chain(rest).collect::<Vec<_>>()
    };
    ALGORITHMS.iter().flat_map(of_each).collect()
}

/// Something of every type that JSON has.
pub(super) fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("JWT"),
        json!("exp"),
        json!("DEF"),
        json!("https://127.0.0.1:1/"),
        json!([]),
        json!(["exp"]),
        json!(["b64"]),
        json!([[]]),
        json!({}),
        json!({"a": 1}),
        json!({"kty": "RSA"}),
    ]
}
