//! What the tokens of each provider are like, so that nobody has to look it up. A preset fills only what the config leaves out,
//! and chooses the hints that callers are given.

use super::written::{AudienceClaim, Preset, TokenType};

/// What a preset fills.
pub(super) struct Defaults {
    pub(super) issuer: Option<&'static str>,
    pub(super) algorithms: Option<&'static [&'static str]>,
    pub(super) token_types: &'static [TokenType],
    pub(super) audience_claim: AudienceClaim,
    pub(super) username: &'static str,
    pub(super) display: Option<&'static str>,
    pub(super) groups: Option<&'static str>,
    pub(super) groups_are_keys: bool,
}

/// A provider of which nothing is known.
const PLAIN: Defaults = Defaults {
    issuer: None,
    algorithms: None,
    token_types: &[TokenType::Access],
    audience_claim: AudienceClaim::Aud,
    username: "sub",
    display: None,
    groups: None,
    groups_are_keys: false,
};

/// The algorithms of those who sign with nothing else.
const RS256: Option<&[&str]> = Some(&["RS256"]);

/// Where pods find what they need to ask the API server (Kubernetes, "Accessing the Kubernetes API from a Pod").
pub(super) const POD_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
pub(super) const POD_KEYS: &str = "https://kubernetes.default.svc/openid/v1/jwks";
pub(super) const POD_AUTHORITY: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
pub(super) const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Where Grafana publishes its keys, below its `root_url`.
pub(super) const GRAFANA_KEYS: &str = "/api/signing-keys/keys";

/// What stands in Entra's issuer where the tenant's id belongs, in its own discovery document.
pub const TENANT: &str = "{tenantid}";

/// What a preset fills, in words for the README.
pub fn fills(preset: Preset) -> String {
    let Defaults { issuer, algorithms, token_types, audience_claim, username, display, groups, groups_are_keys } = defaults(Some(preset));
    let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut words = Vec::new();
    words.extend(issuer.map(|issuer| format!("issuer `{issuer}`")));
    words.extend(algorithms.map(|names| format!("algorithms {}", quoted(names))));
    let types: Vec<&str> = token_types.iter().map(|kind| if *kind == TokenType::Id { "id" } else { "access" }).collect();
    words.extend((types != ["access"]).then(|| format!("token_types {}", quoted(&types))));
    words.extend((audience_claim != AudienceClaim::Aud).then(|| format!("audience_claim `{}`", audience_claim.name())));
    words.push(format!("username `{username}`"));
    words.extend(display.map(|display| format!("display `{display}`")));
    words.extend(groups.map(|groups| format!("groups `{groups}`{}", if groups_are_keys { ", an object's keys" } else { "" })));
    words.join("; ")
}

pub(super) fn defaults(preset: Option<Preset>) -> Defaults {
    let Some(preset) = preset else { return PLAIN };
    match preset {
        // `sub` is another one at every application; `preferred_username` is the caller's to change.
        Preset::Entra => Defaults { algorithms: RS256, username: "oid", display: Some("preferred_username"), groups: Some("roles"), ..PLAIN },
        Preset::Okta => Defaults { algorithms: RS256, groups: Some("groups"), ..PLAIN },
        Preset::Keycloak => Defaults { username: "preferred_username", groups: Some("/realm_access/roles"), ..PLAIN },
        Preset::Cognito => {
            Defaults { algorithms: RS256, audience_claim: AudienceClaim::ClientId, username: "username", groups: Some("cognito:groups"), ..PLAIN }
        }
        Preset::Auth0 => Defaults { groups: Some("permissions"), ..PLAIN },
        // Its access tokens are opaque.
        Preset::Google => Defaults {
            issuer: Some("https://accounts.google.com"),
            algorithms: RS256,
            token_types: &[TokenType::Id],
            username: "email",
            display: Some("name"),
            ..PLAIN
        },
        // Names of repositories change hands, their numbers do not.
        Preset::GithubActions => Defaults {
            issuer: Some("https://token.actions.githubusercontent.com"),
            algorithms: RS256,
            username: "repository_id",
            display: Some("repository"),
            ..PLAIN
        },
        Preset::GitlabCi => Defaults { algorithms: RS256, username: "project_path", display: Some("user_login"), ..PLAIN },
        Preset::Kubernetes => Defaults { issuer: Some(POD_ISSUER), ..PLAIN },
        Preset::Grafana => {
            Defaults { algorithms: Some(&["ES256"]), token_types: &[TokenType::Id], username: "username", display: Some("displayName"), ..PLAIN }
        }
        Preset::Teleport => Defaults { username: "username", groups: Some("roles"), ..PLAIN },
        // Its access tokens are made as ID tokens, with the claims that only those have.
        Preset::Dex => Defaults { token_types: &[TokenType::Access, TokenType::Id], display: Some("email"), groups: Some("groups"), ..PLAIN },
        Preset::Zitadel => {
            Defaults { display: Some("preferred_username"), groups: Some("urn:zitadel:iam:org:project:roles"), groups_are_keys: true, ..PLAIN }
        }
        Preset::Authentik => Defaults { username: "preferred_username", groups: Some("groups"), ..PLAIN },
    }
}
