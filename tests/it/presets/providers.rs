//! One house that believes all of them side by side, each with a key of its own.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde_json::{Value, json};

use crate::support::{
    house::{House, Plan},
    key::Key,
    recorder::Recorder,
    script::Script,
    token::Token,
};

/// A provider's name, whose claims its tokens have, and what an operator writes for it.
type Row = (&'static str, &'static str, &'static str);

/// Behind those with the presets' names: the same providers set up as people set them up wrongly, or otherwise.
pub const PROVIDERS: [Row; 20] = [
    (
        "entra",
        "entra",
        "preset: entra, issuer: https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0, audiences: [6e74172b-be56-4843-9ff4-e66a39bb12e3]",
    ),
    ("okta", "okta", "preset: okta, issuer: https://dev-04880516.okta.com/oauth2/default, audiences: ['api://clickhouse']"),
    ("keycloak", "keycloak", "preset: keycloak, issuer: https://sso.example.com/realms/corp, audiences: [clickhouse]"),
    ("cognito", "cognito", "preset: cognito, issuer: https://cognito-idp.us-west-2.amazonaws.com/us-west-2_EXaMPLe1, audiences: [1example23456789]"),
    ("auth0", "auth0", "preset: auth0, issuer: https://tenant.auth0.example/, audiences: ['https://clickhouse.example.com']"),
    (
        "google",
        "google",
        "preset: google, audiences: [1234987819200.apps.googleusercontent.com], bound_claims: {hd: example.com}, claim_mappings: {groups: {claim: hd}}",
    ),
    (
        "github-actions",
        "github-actions",
        "preset: github-actions, audiences: ['https://ch.example.com'], bound_claims: {repository_owner_id: '65', ref: refs/heads/main}, claim_mappings: {groups: {claim: repository_owner}}",
    ),
    (
        "gitlab-ci",
        "gitlab-ci",
        "preset: gitlab-ci, issuer: https://gitlab.example.com, audiences: ['https://ch.example.com'], bound_claims: {namespace_id: '72', ref_protected: 'true'}, claim_mappings: {groups: {claim: namespace_path}}",
    ),
    ("kubernetes", "kubernetes", "preset: kubernetes, audiences: [clickhouse], claim_mappings: {groups: {claim: /kubernetes.io/namespace}}"),
    ("grafana", "grafana", "preset: grafana, issuer: https://grafana.example.com/, audiences: ['org:1'], claim_mappings: {groups: {claim: aud}}"),
    ("teleport", "teleport", "preset: teleport, issuer: aws, audiences: ['http://127.0.0.1:34679']"),
    ("dex", "dex", "preset: dex, issuer: https://dex.example.com/dex, audiences: [clickhouse]"),
    ("zitadel", "zitadel", "preset: zitadel, issuer: https://corp.zitadel.example, audiences: ['170086363054473473']"),
    (
        "authentik",
        "authentik",
        "preset: authentik, issuer: https://authentik.example.com/application/o/clickhouse/, audiences: [MvDPSq1qpUYVQtJGmUSXYDEoYiUWWGaMvDPSq1qp]",
    ),
    // ID tokens of another pool.
    (
        "cognito-id",
        "cognito-id",
        "preset: cognito, token_types: [id], issuer: https://cognito-idp.us-west-2.amazonaws.com/us-west-2_EXaMPLe2, audiences: [2example23456789]",
    ),
    // An audience asked for where there is none.
    (
        "cognito-aud",
        "cognito",
        "preset: cognito, audience_claim: aud, issuer: https://cognito-idp.us-west-2.amazonaws.com/us-west-2_EXaMPLe3, audiences: [clickhouse]",
    ),
    // Groups instead of app roles.
    (
        "entra-groups",
        "entra",
        "preset: entra, issuer: https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0, audiences: [6e74172b-be56-4843-9ff4-e66a39bb12e3], claim_mappings: {groups: {claim: groups}}",
    ),
    // The org's own server.
    ("okta-org", "okta", "preset: okta, issuer: https://dev-11111111.okta.com, audiences: ['api://clickhouse']"),
    // Grafana taken for any provider.
    ("grafana-plain", "grafana", "issuer: https://other-grafana.example.com/, audiences: [clickhouse]"),
    // Dex where only its ID tokens' opposite is taken.
    ("dex-access", "dex", "preset: dex, token_types: [access], issuer: https://other-dex.example.com/dex, audiences: [clickhouse]"),
];

/// One rule for everybody, by what each provider has for groups.
const RULES: &str = r#"rules:
  - name: analysts
    whom: {groups: [analysts, ClickHouse.Analyst, "read:sales", example.com, octo-org, my-group, etl, "org:1"]}
    act_as: analyst
    allow: [{tables: ["system.one"]}]
"#;

pub struct Providers {
    pub house: House,
    pub recorder: Recorder,
    fixtures: BTreeMap<&'static str, Fixture>,
}

/// Claims and header of a provider's token, and the key that signs it here.
struct Fixture {
    header: Value,
    claims: Value,
    key: Arc<Key>,
}

impl Providers {
    pub async fn start() -> Self {
        let fixtures: BTreeMap<&str, Fixture> = PROVIDERS.iter().map(|(_, fixture, _)| *fixture).map(|name| (name, Fixture::read(name))).collect();
        let recorder = Recorder::start(Script::ok("1\n")).await;
        let section: String =
            PROVIDERS.iter().map(|(name, fixture, config)| format!("\n  {name}: {{{config}, jwks_file: {fixture}.jwks.json}}")).collect();
        let plan = Plan::new("https://idp.example.com", &[&recorder.url]).section("identity_providers", &section).policy("10-rules.yaml", RULES);
        let plan = fixtures.iter().fold(plan.log("debug"), |plan, (name, fixture)| plan.file(&format!("{name}.jwks.json"), &fixture.key_set(name)));
        Self { house: plan.start().await, recorder, fixtures }
    }

    /// A good token of this provider, as far as its config lets one be good.
    pub fn token(&self, provider: &str) -> Token {
        let (_, name, config) = PROVIDERS.iter().find(|(name, ..)| *name == provider).unwrap();
        let fixture = &self.fixtures[name];
        let token = Token::written(&fixture.header, &fixture.claims, &fixture.key);
        match config.split_once("issuer: ") {
            Some((_, rest)) => token.claim("iss", rest.split(", ").next().unwrap()),
            None => token,
        }
    }
}

impl Fixture {
    fn read(name: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/presets").join(name).with_extension("json");
        let written: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert!(written["document"].as_str().is_some_and(|document| document.len() > 20), "{name} does not say where its claims are from");
        let alg = if written["header"]["alg"] == "ES256" { "ES256" } else { "RS256" };
        Self { header: written["header"].clone(), claims: written["claims"].clone(), key: Key::fresh(alg) }
    }

    /// Its key as the provider publishes it: under the name that the header says, if it says one.
    fn key_set(&self, name: &str) -> String {
        let mut jwk = self.key.jwk();
        let members = jwk.as_object_mut().unwrap();
        match self.header.get("kid") {
            Some(kid) => members.insert("kid".to_owned(), kid.clone()),
            None => members.remove("kid"),
        };
        if name == "entra" {
            members.remove("alg");
            members.insert("issuer".to_owned(), json!("https://login.microsoftonline.com/{tenantid}/v2.0"));
        }
        json!({"keys": [jwk]}).to_string()
    }
}
