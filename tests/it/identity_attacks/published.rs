//! An issuer whose set holds a key for every way to go wrong, another one beside it, and the house that believes both.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{
    house::{House, Plan},
    issuer::{Issuer, Page},
    key::Key,
    recorder::Recorder,
    script::Script,
    token::Token,
};

pub struct Keys {
    pub issuer: Issuer,
    pub rsa: Arc<Key>,
    pub es256: Arc<Key>,
    pub es384: Arc<Key>,
    pub ed25519: Arc<Key>,
    /// A secret that the set shows to everybody.
    pub shared: Arc<Key>,
    /// A key that no set has.
    pub stranger: Arc<Key>,
    /// Another provider, which asks for more.
    pub ci: Issuer,
    pub of_ci: Arc<Key>,
    /// A key of the other provider under the name that `es256` has here.
    pub namesake: Arc<Key>,
    /// Listens at the addresses that tokens bring, and must never be asked.
    pub bait: Issuer,
}

/// A key's public half under another name, with members besides.
fn named(key: &Key, kid: &str, more: Value) -> Value {
    let mut jwk = key.jwk();
    jwk["kid"] = json!(kid);
    for (name, value) in more.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

impl Keys {
    pub async fn publish() -> Self {
        let (issuer, ci, bait) = (Issuer::start().await, Issuer::start().await, Issuer::start().await);
        let [rsa, es256, es384] = [Key::rs256(), Key::fresh("ES256"), Key::fresh("ES384")];
        let (ed25519, stranger, shared) = (Key::fresh("Ed25519"), Key::fresh("RS256"), Key::secret(b"everybody knows"));
        let [of_ci, namesake] = [(); 2].map(|()| Key::fresh("ES256"));
        ci.key_set_is(Page::json(json!({"keys": [of_ci.jwk(), named(&namesake, &es256.kid, json!({}))]}).to_string()));
        let keys = Self { issuer, rsa, es256, es384, ed25519, shared, stranger, ci, of_ci, namesake, bait };
        keys.issuer.key_set_is(Page::json(keys.set().to_string()));
        keys.issuer.discovery_is(Page::json(keys.discovery().to_string()));
        keys
    }

    fn set(&self) -> Value {
        // `alg` of the first is left out, as Entra does; the `spare` ones make a token without `kid` ambiguous.
        let mut first = self.rsa.jwk();
        first.as_object_mut().unwrap().remove("alg");
        let mut set = vec![first, self.es256.jwk(), self.es384.jwk(), self.ed25519.jwk(), self.shared.jwk()];
        set.push(named(&self.rsa, "ps512-only", json!({"alg": "PS512"})));
        set.push(named(&self.rsa, "for-encryption", json!({"use": "enc"})));
        set.push(named(&self.rsa, "for-wrapping", json!({"key_ops": ["wrapKey"]})));
        set.push(json!({"kty": "RSA", "n": "w".repeat(171), "e": "AQAB", "kid": "small"}));
        set.extend(["spare-1", "spare-2", "spare-3", "spare-4"].map(|kid| named(&self.rsa, kid, json!({}))));
        json!({ "keys": set })
    }

    /// It claims to sign in ways that nobody may.
    fn discovery(&self) -> Value {
        let url = &self.issuer.url;
        json!({"issuer": url, "jwks_uri": format!("{url}/jwks"), "id_token_signing_alg_values_supported": ["none", "HS256", "RS256"]})
    }

    /// Alice of the analysts.
    pub fn token(&self) -> Token {
        Token::new(&self.issuer.url, &self.rsa)
    }

    /// The same of the other provider, with all that it asks for.
    pub fn of_ci(&self) -> Token {
        let token = Token::new(&self.ci.url, &self.of_ci).claim("email", "alice@example.com").claim("email_verified", true);
        token.claim("repository_owner_id", "123").claim("protected", true).claim("azp", "grafana").claim("scope", "openid clickhouse:read")
    }

    pub async fn house(&self) -> (House, Recorder) {
        let recorder = Recorder::start(Script::ok("1\n")).await;
        let ci = format!(
            "
  ci:
    issuer: {}
    audiences: [clickhouse]
    allowed_clients: [grafana, dbt]
    bound_claims: {{repository_owner_id: '123', protected: true}}
    required_scopes: ['clickhouse:read']
    claim_mappings: {{username: {{claim: email}}, groups: {{claim: groups}}}}
  corp:",
            self.ci.url
        );
        let plan = Plan::new(&self.issuer.url, &[&recorder.url]).edit("\n  corp:", &ci).policy("10-rules.yaml", RULES);
        (plan.section("limits", "{failed_attempts: 1000000}").log("debug").start().await, recorder)
    }
}

/// The second rule is for one provider only, whatever groups the other one's users make.
const RULES: &str = r#"rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow: [{tables: ["system.one"]}]
  - name: engineers
    whom: {groups: [engineers], providers: [corp]}
    act_as: writer
    allow: [{tables: ["system.one"]}]
"#;
