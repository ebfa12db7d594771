//! Every preset with the claims that its provider really issues: let in as whom, and what the wrong token is told.
//!
//! The claims stand in `tests/presets/NAME.json`, each beside the document that they are from. They keep the provider's own
//! `iss`, byte for byte, because the keys come from a `jwks_file`.

mod fetched;
pub mod headers;
pub mod names;
mod providers;
pub mod tenants;
pub mod wrong;

use keyhouse::config::Preset;
use serde_json::{Value, json};

use crate::support::{clickhouse::ANALYST, client::ask};
use providers::{PROVIDERS, Providers};

/// Provider, and what stands in the record: the caller's name, what is shown beside it, groups.
type Row = (&'static str, &'static str, Option<&'static str>, &'static [&'static str]);

/// Everybody who is let in. Where a provider knows no groups, the config maps another claim.
const LET_IN: [Row; 16] = [
    ("entra", "690222be-ff1a-4d56-abd1-7e4f7d38e474", Some("abeli@contoso.example"), &["ClickHouse.Analyst"]),
    ("okta", "nate.barbettini@toto.example", None, &["Everyone", "analysts"]),
    ("keycloak", "zoe", None, &["offline_access", "default-roles-corp", "analysts"]),
    ("cognito", "jdoe", None, &["analysts"]),
    ("cognito-id", "my-test-user", None, &["analysts", "admin-group"]),
    ("auth0", "auth0|6553da60a54af58e29493993", None, &["read:sales"]),
    ("google", "jsmith@example.com", Some("Jane Smith"), &["example.com"]),
    ("github-actions", "74", Some("octo-org/octo-repo"), &["octo-org"]),
    ("gitlab-ci", "my-group/my-project", Some("sample-user"), &["my-group"]),
    ("kubernetes", "system:serviceaccount:etl:loader", None, &["etl"]),
    ("grafana", "zoe", Some("Zoe Smith"), &["org:1"]),
    ("teleport", "alice", None, &["analysts"]),
    ("dex", "CgcyMzQyNzQ5EgZnaXRodWI", Some("jane.doe@example.com"), &["kubernetes-sig-auth:contributors", "analysts"]),
    ("zitadel", "165617850692654601", Some("road.runner@acme.example"), &["analysts"]),
    ("zitadel-list", "165617850692654601", Some("road.runner@acme.example"), &["analysts", "billing"]),
    ("authentik", "zoe", None, &["authentik Admins", "analysts"]),
];

#[tokio::test]
async fn the_token_of_every_provider_is_let_in_as_its_preset_says() {
    let scene = Providers::start().await;
    for (index, (provider, username, display, groups)) in LET_IN.into_iter().enumerate() {
        let token = match provider {
            "zitadel-list" => scene.token("zitadel").claim("urn:zitadel:iam:org:project:roles", json!([{"analysts": {"1": "a"}}, {"billing": {}}])),
            other => scene.token(other),
        };
        let subject = token.says("sub");
        let token = token.make();
        let answer = ask(&scene.house, &token, "SELECT 1").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "{provider}");
        let record = scene.house.record_of(&answer).await;
        let who = json!([record["provider"], record["subject"], record["username"], record["display"], record["groups"], record["outcome"]]);
        let name = provider.trim_end_matches("-list");
        assert_eq!(who, json!([name, subject, username, display, groups, "answered"]), "{provider}");
        let heard = scene.recorder.requests();
        assert_eq!(heard.len(), index + 1, "{provider}");
        let last = heard.last().unwrap();
        assert_eq!((last.header("x-clickhouse-user"), last.header("x-clickhouse-key")), (Some(ANALYST.name), Some(ANALYST.password)), "{provider}");
        let signature = token.rsplit('.').next().unwrap();
        assert!(!format!("{last:?}").contains(signature) && last.header("authorization").is_none(), "{provider}: the token went on: {last:?}");
    }
    assert_eq!(scene.house.records_in_the_end().await.len(), LET_IN.len());
}

#[test]
fn no_preset_is_without_its_token() {
    for preset in Preset::ALL {
        let Value::String(name) = serde_json::to_value(preset).unwrap() else { unreachable!() };
        assert!(LET_IN.iter().any(|(provider, ..)| *provider == name), "{name} has no row");
        assert!(PROVIDERS.iter().any(|(provider, _, config)| *provider == name && config.contains(&format!("preset: {name},"))), "{name}");
    }
}
