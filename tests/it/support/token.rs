//! Tokens as good or as bad as a test wants them, and signed all the same.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Map, Value, json};

use super::key::Key;

#[derive(Clone)]
pub struct Token {
    header: Part,
    claims: Part,
    key: Arc<Key>,
    signs_as: String,
    signature: Option<Vec<u8>>,
}

#[derive(Clone, Default)]
struct Part {
    members: Map<String, Value>,
    /// Written after the members, so that a name can stand there twice.
    again: Vec<(String, Value)>,
    raw: Option<Vec<u8>>,
}

impl Token {
    /// A good one: alice of the analysts, for `clickhouse`, for five minutes.
    pub fn new(issuer: &str, key: &Arc<Key>) -> Self {
        let now = now();
        let claims = json!({
            "iss": issuer, "aud": ["clickhouse"], "sub": "alice", "groups": ["analysts"],
            "iat": now, "nbf": now, "exp": now + 300,
        });
        let Value::Object(members) = claims else { unreachable!() };
        let token = Self {
            header: Part::default(),
            claims: Part { members, ..Part::default() },
            key: Arc::clone(key),
            signs_as: String::new(),
            signature: None,
        };
        token.header("typ", "JWT").signed_by(key)
    }

    /// These members as they stand, signed as the header says. Its times are moved so that it begins now.
    pub fn written(header: &Value, claims: &Value, key: &Arc<Key>) -> Self {
        let part = |value: &Value| Part { members: value.as_object().unwrap().clone(), ..Part::default() };
        let mut claims = part(claims);
        let begins = claims.members.get("iat").or_else(|| claims.members.get("nbf")).and_then(Value::as_i64).unwrap();
        for name in ["iat", "nbf", "exp"] {
            if let Some(time) = claims.members.get_mut(name) {
                *time = json!(time.as_i64().unwrap() - begins + now());
            }
        }
        let signs_as = header["alg"].as_str().unwrap().to_owned();
        Self { header: part(header), claims, key: Arc::clone(key), signs_as, signature: None }
    }

    /// What a claim says; null where it is not there.
    pub fn says(&self, name: &str) -> Value {
        self.claims.members.get(name).cloned().unwrap_or_default()
    }

    pub fn subject(self, name: &str) -> Self {
        self.claim("sub", name)
    }

    pub fn groups(self, names: &[&str]) -> Self {
        self.claim("groups", names)
    }

    /// Seconds from now; a negative number is in the past.
    pub fn expires_in(self, seconds: i64) -> Self {
        self.claim("exp", now() + seconds)
    }

    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.members.insert(name.to_owned(), value.into());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.claims.members.remove(name);
        self
    }

    /// The claim once more, after the others, whatever it said before.
    pub fn claim_again(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.again.push((name.to_owned(), value.into()));
        self
    }

    pub fn raw_claims(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.claims.raw = Some(bytes.into());
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.members.insert(name.to_owned(), value.into());
        self
    }

    pub fn without_header(mut self, name: &str) -> Self {
        self.header.members.remove(name);
        self
    }

    pub fn header_again(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.again.push((name.to_owned(), value.into()));
        self
    }

    pub fn raw_header(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.header.raw = Some(bytes.into());
        self
    }

    /// Signed by this key, and honest about it: `alg` and `kid` become the key's.
    pub fn signed_by(mut self, key: &Arc<Key>) -> Self {
        self.key = Arc::clone(key);
        self.signs_as = key.alg.to_owned();
        self.header("alg", key.alg).header("kid", key.kid.as_str())
    }

    /// Signed in another way than the key's own, with a header that stays as it is.
    pub fn signed_as(mut self, alg: &str) -> Self {
        self.signs_as = alg.to_owned();
        self
    }

    /// These bytes where a signature should be.
    pub fn signature(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.signature = Some(bytes.into());
        self
    }

    /// The two parts that a signature is made over.
    pub fn unsigned(&self) -> String {
        format!("{}.{}", BASE64.encode(self.header.write()), BASE64.encode(self.claims.write()))
    }

    pub fn make(&self) -> String {
        let message = self.unsigned();
        let signature = match &self.signature {
            Some(bytes) => bytes.clone(),
            None => self.key.sign(&self.signs_as, message.as_bytes()),
        };
        format!("{message}.{}", BASE64.encode(signature))
    }
}

impl Part {
    fn write(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let members = self.members.iter().chain(self.again.iter().map(|(name, value)| (name, value)));
        let members: Vec<String> = members.map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    }
}

/// Seconds since 1970, by the same clock that the house reads.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
