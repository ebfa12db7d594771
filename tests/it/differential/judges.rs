//! Three judges of a token, as strict as each can be told to be.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::SystemTime,
};

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    errors::Result,
    jwk::{Jwk, JwkSet},
};
use keyhouse::start::{self, Prepared};
use serde_json::{Map, Value, json};

use super::made::{AUDIENCE, CLIENT, ISSUER};
use crate::support::{house::Plan, node};

/// Nothing where the token is accepted, or else the judge's words.
pub(super) type Verdict = std::result::Result<(), String>;

/// What providers may sign with; one of them has two names.
const ALGORITHMS: [&str; 10] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"];

pub(super) struct Keyhouse(Prepared);

impl Keyhouse {
    pub(super) fn new(set: &str) -> Self {
        let provider = format!(
            "
  corp:
    issuer: {ISSUER}
    audiences: [{AUDIENCE}]
    allowed_clients: [{CLIENT}]
    jwks_file: corp.jwks.json
    claim_mappings: {{username: {{claim: sub}}, groups: {{claim: groups}}}}"
        );
        let plan = Plan::new(ISSUER, &["https://ch1.example.com:8443"]).section("identity_providers", &provider).file("corp.jwks.json", set);
        let folder = plan.lay_out();
        Self(start::prepare(&folder.path().join("keyhouse.yaml")).unwrap_or_else(|problems| panic!("{problems}")))
    }

    /// Its words are the reason's code.
    pub(super) async fn judge(&self, token: &str, now: SystemTime) -> Verdict {
        self.0.identities().verify(token, now).await.map(|_caller| ()).map_err(|refusal| refusal.reason().code().to_owned())
    }
}

pub(super) struct Jsonwebtoken(JwkSet);

impl Jsonwebtoken {
    pub(super) fn new(set: &str) -> Self {
        Self(serde_json::from_str(set).unwrap())
    }

    pub(super) fn judge(&self, token: &str) -> Verdict {
        let header = decode_header(token).map_err(|error| format!("{:?}", error.kind()))?;
        if !ALGORITHMS.contains(&format!("{:?}", header.alg).as_str()) {
            return Err(format!("{:?} is not in the list", header.alg));
        }
        let keys: Vec<&Jwk> = match &header.kid {
            Some(kid) => self.0.find(kid).into_iter().collect(),
            None => self.0.keys.iter().collect(),
        };
        let mut refused = vec!["no key".to_owned()];
        for key in keys {
            match decoded(token, key, header.alg) {
                Ok(_claims) => return Ok(()),
                Err(error) => refused.push(format!("{:?}", error.kind())),
            }
        }
        Err(refused.join(", "))
    }
}

/// Its claims, by this key and as strictly as it is possible: it does that for one algorithm at a time.
fn decoded(token: &str, key: &Jwk, algorithm: Algorithm) -> Result<Map<String, Value>> {
    let mut validation = Validation::new(algorithm);
    validation.leeway = 0;
    validation.validate_nbf = true;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    Ok(decode(token, &DecodingKey::from_jwk(key)?, &validation)?.claims)
}

pub(super) struct Jose;

impl Jose {
    /// Judges them all: one process, a line for each.
    pub(super) async fn judge(set: &str, tokens: &[&str]) -> Vec<Verdict> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jose");
        assert!(folder.join("node_modules").is_dir(), "run `npm ci` in tests/jose first (deploy/check does)");
        let expected = json!({
            "set": serde_json::from_str::<Value>(set).unwrap(), "issuer": ISSUER, "audience": AUDIENCE, "algorithms": ALGORITHMS,
        });
        let lines = std::iter::once(expected.to_string()).chain(tokens.iter().map(|token| json!(token).to_string()));
        let lines: String = lines.map(|line| line + "\n").collect();
        let count = tokens.len();
        tokio::task::spawn_blocking(move || asked(&folder, lines, count)).await.unwrap()
    }
}

fn asked(folder: &Path, lines: String, count: usize) -> Vec<Verdict> {
    let mut command = Command::new(node());
    command.arg("judge.mjs").current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("node is missing: install it (deploy/check does)");
    let mut input = child.stdin.take().unwrap();
    // Beside the reading, or both would wait for each other.
    let writer = thread::spawn(move || input.write_all(lines.as_bytes()));
    let ended = child.wait_with_output().unwrap();
    writer.join().unwrap().expect("jose reads every token");
    assert!(ended.status.success(), "jose ended with {}; is `npm ci` in tests/jose done anew?", ended.status);
    let said = String::from_utf8(ended.stdout).unwrap();
    let verdicts: Vec<Verdict> = said.lines().map(|line| serde_json::from_str::<Option<String>>(line).unwrap().map_or(Ok(()), Err)).collect();
    assert_eq!(verdicts.len(), count, "jose says something of every token");
    verdicts
}
