//! Identity providers: what each may say, and what would let strangers in.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, Uri};

use super::{Checks, Endpoint, FromHeader, Groups, KeySource, Provider, SERVICE_ACCOUNT, Scalar};
use crate::config::preset::{self, Defaults, TENANT};
use crate::config::written::{self, AudienceClaim, Preset, TokenType};

/// Issuers that give anybody a token for any audience.
const OPEN_TO_ALL: [&str; 3] = ["https://token.actions.githubusercontent.com", "https://gitlab.com", "https://accounts.google.com"];

/// Microsoft Graph: its tokens are signed so that nobody else can verify them.
const GRAPH: [&str; 2] = ["00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com"];

/// Entra's issuers, and names in its tokens that are no identity ("Access token claims reference").
const ENTRA: [&str; 2] = ["https://login.microsoftonline.com/", "https://sts.windows.net/"];
const MUTABLE_AT_ENTRA: [&str; 4] = ["email", "upn", "preferred_username", "unique_name"];

/// Audiences that providers give to every application (Keycloak's account console, Okta's default server).
const SHARED: [&str; 2] = ["account", "api://default"];

/// Headers that cannot hold a provider's token, because they mean something else.
const OTHER_HEADERS: [&str; 8] =
    ["authorization", "proxy-authorization", "cookie", "host", "content-type", "content-length", "content-encoding", "accept"];

impl Checks<'_> {
    pub(super) fn providers(&mut self, written: &BTreeMap<String, written::Provider>) -> Vec<Provider> {
        if written.is_empty() {
            self.problems.add("identity_providers", "is empty; write at least one, or nobody can come in");
        }
        let providers: Vec<Provider> = written.iter().filter_map(|(name, provider)| self.provider(name, provider)).collect();
        let mut issuers = BTreeMap::new();
        for (name, provider) in written {
            let issuer = issuer_of(provider, &preset::defaults(provider.preset));
            if let Some(other) = issuer.and_then(|issuer| issuers.insert(issuer, name)) {
                self.problems.add(
                    format!("identity_providers.{name}.issuer"),
                    format!("is the issuer of `{other}` too; a token must have exactly one provider"),
                );
            }
        }
        providers
    }

    fn provider(&mut self, name: &str, written: &written::Provider) -> Option<Provider> {
        let key = |part: &str| format!("identity_providers.{name}.{part}");
        self.name(&format!("identity_providers.{name}"), name);
        if name == SERVICE_ACCOUNT {
            self.problems.add(format!("identity_providers.{name}"), "is the provider of service accounts; write another name");
        }
        let defaults = preset::defaults(written.preset);
        let Some(issuer) = issuer_of(written, &defaults).filter(|issuer| !issuer.is_empty()) else {
            self.problems.add(key("issuer"), "is missing or empty; write the `iss` of its tokens, byte for byte");
            return None;
        };
        self.audiences(&key("audiences"), &written.audiences);
        let token_types = written.token_types.clone().unwrap_or_else(|| defaults.token_types.to_vec());
        if token_types.is_empty() {
            self.problems.add(key("token_types"), "is empty, so no token is taken; write access, or id");
        }
        let bound_claims = self.bound_claims(&key("bound_claims"), issuer, written);
        let clock_skew = self.duration(&key("clock_skew"), &written.clock_skew);
        if clock_skew > Duration::from_secs(300) {
            self.problems.add(key("clock_skew"), "is more than 300s; set the clocks instead");
        }
        let from_headers = self.headers(&key("from_headers"), &written.from_headers, &token_types);
        let keys = self.key_source(name, issuer, written);
        let in_pod = in_pod(issuer, written);
        let file =
            |written: &Option<String>, in_a_pod: &'static str| written.as_deref().or(in_pod.then_some(in_a_pod)).map(|file| self.base.join(file));
        let mappings = &written.claim_mappings;
        let username = mappings.username.as_ref().and_then(|username| username.claim.clone()).unwrap_or_else(|| defaults.username(&token_types));
        if MUTABLE_AT_ENTRA.contains(&username.as_str()) && ENTRA.iter().any(|entra| issuer.starts_with(entra)) {
            let says = format!("`{username}` can be changed at Entra, also to another person's; write oid, and this one under display");
            self.problems.warn(key("claim_mappings.username"), says);
        }
        Some(Provider {
            name: name.to_owned(),
            preset: written.preset,
            issuer: issuer.to_owned(),
            audiences: written.audiences.clone(),
            audience_claim: written.audience_claim.unwrap_or_else(|| defaults.audience_claim(&token_types)),
            allowed_clients: written.allowed_clients.clone(),
            bound_claims,
            required_scopes: written.required_scopes.clone(),
            from_headers,
            keys: keys?,
            ca_file: file(&written.ca_file, preset::POD_AUTHORITY),
            bearer_token_file: file(&written.bearer_token_file, preset::POD_TOKEN),
            algorithms: written.algorithms.clone().or_else(|| Some(defaults.algorithms?.iter().map(|name| (*name).to_owned()).collect())),
            clock_skew,
            max_token_lifetime: self.duration(&key("max_token_lifetime"), &written.max_token_lifetime),
            max_token_size: self.size(&key("max_token_size"), &written.max_token_size),
            username_claim: username,
            username_prefix: mappings.username.as_ref().map_or_else(String::new, |username| username.prefix.clone()),
            display_claim: mappings.display.as_ref().map(|display| display.claim.clone()).or_else(|| defaults.display.map(str::to_owned)),
            groups: mappings.groups.as_ref().map(Groups::written).or_else(|| defaults.groups()),
            token_types,
            refresh: self.duration(&key("jwks_cache.refresh"), &written.jwks_cache.refresh),
            cooldown: self.duration(&key("jwks_cache.cooldown"), &written.jwks_cache.cooldown),
            max_stale: self.duration(&key("jwks_cache.max_stale"), &written.jwks_cache.max_stale),
        })
    }

    fn audiences(&mut self, key: &str, audiences: &[String]) {
        if audiences.is_empty() {
            self.problems.add(key, "is empty; write the audience that tokens for this Keyhouse carry (there is no \"any\")");
        }
        for audience in audiences {
            if audience.is_empty() || audience.contains([' ', ',']) {
                self.problems.add(key, format!("`{audience}` is not one audience; write each as its own list entry"));
            }
            if SHARED.contains(&audience.as_str()) {
                self.problems.warn(key, format!("other applications of this provider receive `{audience}` too; write an audience of Keyhouse's own"));
            }
            if GRAPH.contains(&audience.trim_end_matches('/')) {
                self.problems.add(
                    key,
                    format!("`{audience}` is Microsoft Graph, whose tokens only Graph can verify; write your application's id, and have clients request api://<it>/.default"),
                );
            }
        }
    }

    fn bound_claims(&mut self, key: &str, issuer: &str, written: &written::Provider) -> BTreeMap<String, Vec<Scalar>> {
        let bound_claims: BTreeMap<String, Vec<Scalar>> = written.bound_claims.iter().map(|(claim, bound)| (claim.clone(), bound.values())).collect();
        if let Some((claim, _)) = bound_claims.iter().find(|(_, values)| values.is_empty()) {
            self.problems.add(format!("{key}.{claim}"), "is empty, so no token fits; write the value that it must be");
        }
        let open = OPEN_TO_ALL.contains(&issuer.trim_end_matches('/')) || matches!(written.preset, Some(Preset::GithubActions | Preset::GitlabCi));
        if bound_claims.is_empty() && open {
            self.problems.add(
                key,
                "is empty, and anybody can have a token of this issuer for any audience; bind what is yours, as repository_owner_id, namespace_id, hd or sub",
            );
        }
        if issuer.contains(TENANT) && !bound_claims.contains_key("tid") {
            self.problems.add(
                format!("{key}.tid"),
                format!("is missing, and `{TENANT}` in the issuer stands for every tenant of Entra; write the tenants' ids"),
            );
        }
        bound_claims
    }

    fn headers(&mut self, key: &str, written: &[written::FromHeader], token_types: &[TokenType]) -> Vec<FromHeader> {
        let header = |header: &written::FromHeader| {
            let name = header.name.parse::<HeaderName>().ok();
            let name = name.filter(|name| !OTHER_HEADERS.contains(&name.as_str()) && !name.as_str().starts_with("x-clickhouse-"));
            if name.is_none() {
                self.problems.add(key, format!("`{}` is no header that could hold a token; write one as X-Id-Token", header.name));
            }
            Some(FromHeader { name: name?, token_types: header.token_types.clone().unwrap_or_else(|| token_types.to_vec()) })
        };
        written.iter().filter_map(header).collect()
    }

    fn key_source(&mut self, name: &str, issuer: &str, written: &written::Provider) -> Option<KeySource> {
        let key = |part: &str| format!("identity_providers.{name}.{part}");
        match (&written.discovery_url, &written.jwks_uri, &written.jwks_file) {
            (None, None, Some(file)) => Some(KeySource::File(self.base.join(file))),
            (None, Some(address), None) => self.https(&key("jwks_uri"), address).map(KeySource::Address),
            (Some(address), None, None) => self.https(&key("discovery_url"), address).map(KeySource::Discovery),
            (None, None, None) if in_pod(issuer, written) => self.https(&key("jwks_uri"), preset::POD_KEYS).map(KeySource::Address),
            (None, None, None) => {
                // Entra's own document of all tenants.
                let base = issuer.replace(TENANT, "common");
                let base = self.https(&key("issuer"), &base)?.to_string();
                let base = base.trim_end_matches('/');
                if written.preset == Some(Preset::Grafana) {
                    return self.https(&key("issuer"), &format!("{base}{}", preset::GRAFANA_KEYS)).map(KeySource::Address);
                }
                self.https(&key("issuer"), &format!("{base}/.well-known/openid-configuration")).map(KeySource::Discovery)
            }
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                self.problems.add(format!("identity_providers.{name}"), "says more than one of discovery_url, jwks_uri and jwks_file; keep one");
                None
            }
        }
    }

    /// An address that keys may be fetched from: https, or http on this machine.
    fn https(&mut self, key: &str, text: &str) -> Option<Uri> {
        let uri = Uri::from_str(text).ok();
        let endpoint = uri.as_ref().and_then(Endpoint::of);
        match (uri, endpoint) {
            (Some(uri), Some(endpoint)) if endpoint.tls || endpoint.is_loopback() => Some(uri),
            _ => {
                self.problems.add(
                    key,
                    format!("keys cannot be fetched from `{text}`; write an https:// address (http:// on loopback only), or jwks_uri or jwks_file"),
                );
                None
            }
        }
    }
}

fn issuer_of<'a>(written: &'a written::Provider, defaults: &Defaults) -> Option<&'a str> {
    written.issuer.as_deref().or(defaults.issuer)
}

/// Whether the API server's keys are asked for from one of its pods: not where the issuer is another one's public address.
fn in_pod(issuer: &str, written: &written::Provider) -> bool {
    written.preset == Some(Preset::Kubernetes)
        && issuer == preset::POD_ISSUER
        && written.discovery_url.is_none()
        && written.jwks_uri.is_none()
        && written.jwks_file.is_none()
}

impl Groups {
    fn written(groups: &written::GroupsClaim) -> Self {
        Self { claim: groups.claim.clone(), split: groups.split, object_keys: groups.object_keys, prefix: groups.prefix.clone() }
    }
}

impl Defaults {
    fn groups(&self) -> Option<Groups> {
        Some(Groups { claim: self.groups?.to_owned(), split: None, object_keys: self.groups_are_keys, prefix: String::new() })
    }

    /// Cognito's ID tokens have an audience and another name for the user.
    fn audience_claim(&self, token_types: &[TokenType]) -> AudienceClaim {
        if token_types == [TokenType::Id] { AudienceClaim::Aud } else { self.audience_claim }
    }

    fn username(&self, token_types: &[TokenType]) -> String {
        let cognito = self.audience_claim == AudienceClaim::ClientId;
        if cognito && token_types == [TokenType::Id] { "cognito:username" } else { self.username }.to_owned()
    }
}

impl written::BoundClaim {
    /// The values that it may be.
    pub fn values(&self) -> Vec<Scalar> {
        match self {
            Self::One(value) => vec![value.clone()],
            Self::AnyOf(values) => values.clone(),
        }
    }
}
