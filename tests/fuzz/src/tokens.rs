//! A house whose provider's key is known to nobody here, so that no token is good, and tokens for it.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD as BASE64, Engine};
use keyhouse::identity::Identities;
use keyhouse::start::{self, Prepared};

/// Providers with everything that a config can ask of a token.
const CONFIG: &str = r#"
listen: [{address: "127.0.0.1:0"}]
identity_providers:
  corp: {issuer: "https://corp", audiences: [clickhouse], jwks_file: keys.json, claim_mappings: {username: {claim: sub}, groups: {claim: groups}}}
  pool:
    issuer: "https://pool"
    audiences: [app]
    audience_claim: client_id
    jwks_file: keys.json
    claim_mappings: {username: {claim: email}, display: {claim: name}, groups: {claim: "cognito:groups", split: comma}}
  ids:
    issuer: "https://ids"
    audiences: ["org:1", "https://ch/"]
    token_types: [id]
    allowed_clients: [grafana]
    jwks_file: keys.json
    claim_mappings: {username: {claim: sub}, groups: {claim: /a/roles, object_keys: true}}
  ci:
    issuer: "https://ci"
    audiences: [clickhouse]
    bound_claims: {owner: "1", protected: true, attempt: [1, 2], /ref/name: main}
    algorithms: [RS256]
    jwks_file: keys.json
    claim_mappings: {username: {claim: sub}, groups: {claim: scope, split: space}}
clickhouse:
  clusters: {main: {nodes: ["http://127.0.0.1:1"]}}
  users: {analyst: {cluster: main, user: analyst, password: {file: password}}}
policies: policies/
record: {to: {file: record.jsonl}}
"#;

const RULES: &str = "rules: [{name: all, whom: {groups: [analysts]}, act_as: analyst, allow: [{tables: [default.*]}]}]";

/// The public key of RFC 8037, A.2.
const KEYS: &str = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "a"}]}"#;

/// When tokens are judged: always at the same time, so that an input is judged the same tomorrow.
pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// The house's judges.
pub fn identities() -> &'static Identities {
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    PREPARED.get_or_init(prepare).identities()
}

fn prepare() -> Prepared {
    let folder = std::env::temp_dir().join(format!("keyhouse-fuzz-{}", std::process::id()));
    fs::create_dir_all(folder.join("policies")).expect("a folder");
    for (name, text) in [("keyhouse.yaml", CONFIG), ("policies/rules.yaml", RULES), ("password", "secret"), ("keys.json", KEYS)] {
        fs::write(folder.join(name), text).expect("a file");
    }
    let prepared = start::prepare(&folder.join("keyhouse.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
    fs::remove_dir_all(folder).expect("a folder that can go");
    prepared
}

/// A token's text: as it is, or of `header NUL claims NUL signature`, which are encoded.
pub fn text(input: &[u8]) -> Option<String> {
    if !input.contains(&0) {
        return std::str::from_utf8(input).ok().map(str::to_owned);
    }
    let parts: Vec<String> = input.splitn(3, |byte| *byte == 0).map(|part| BASE64.encode(part)).collect();
    Some(parts.join("."))
}
