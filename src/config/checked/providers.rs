//! Identity providers: what each may say, and what would let strangers in.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;

use super::{Checks, Endpoint, KeySource, Provider, SERVICE_ACCOUNT, Scalar};
use crate::config::written;

/// Issuers that give anybody a token for any audience.
const OPEN_TO_ALL: [&str; 3] = ["https://token.actions.githubusercontent.com", "https://gitlab.com", "https://accounts.google.com"];

impl Checks<'_> {
    pub(super) fn providers(&mut self, written: &BTreeMap<String, written::Provider>) -> Vec<Provider> {
        if written.is_empty() {
            self.problems.add("identity_providers", "is empty; write at least one, or nobody can come in");
        }
        let mut issuers = BTreeMap::new();
        for (name, provider) in written {
            if let Some(other) = issuers.insert(&provider.issuer, name) {
                self.problems.add(
                    format!("identity_providers.{name}.issuer"),
                    format!("is the issuer of `{other}` too; a token must have exactly one provider"),
                );
            }
        }
        written.iter().filter_map(|(name, provider)| self.provider(name, provider)).collect()
    }

    fn provider(&mut self, name: &str, written: &written::Provider) -> Option<Provider> {
        let key = |part: &str| format!("identity_providers.{name}.{part}");
        self.name(&format!("identity_providers.{name}"), name);
        if name == SERVICE_ACCOUNT {
            self.problems.add(format!("identity_providers.{name}"), "is the provider of service accounts; write another name");
        }
        if written.issuer.is_empty() {
            self.problems.add(key("issuer"), "is empty; write the `iss` of its tokens, byte for byte");
        }
        if written.audiences.is_empty() {
            self.problems.add(key("audiences"), "is empty; write the audience that tokens for this Keyhouse carry (there is no \"any\")");
        }
        for audience in &written.audiences {
            if audience.is_empty() || audience.contains([' ', ',']) {
                self.problems.add(key("audiences"), format!("`{audience}` is not one audience; write each as its own list entry"));
            }
        }
        if written.token_types.is_empty() {
            self.problems.add(key("token_types"), "is empty, so no token is taken; write access, or id");
        }
        let bound_claims: BTreeMap<String, Vec<Scalar>> = written.bound_claims.iter().map(|(claim, bound)| (claim.clone(), bound.values())).collect();
        if let Some((claim, _)) = bound_claims.iter().find(|(_, values)| values.is_empty()) {
            self.problems.add(key(&format!("bound_claims.{claim}")), "is empty, so no token fits; write the value that it must be");
        }
        if bound_claims.is_empty() && OPEN_TO_ALL.contains(&written.issuer.trim_end_matches('/')) {
            self.problems.add(
                key("bound_claims"),
                "is empty, and anybody can have a token of this issuer for any audience; bind what is yours, as repository_owner_id, namespace_id, hd or sub",
            );
        }
        let clock_skew = self.duration(&key("clock_skew"), &written.clock_skew);
        if clock_skew > Duration::from_secs(300) {
            self.problems.add(key("clock_skew"), "is more than 300s; set the clocks instead");
        }
        let keys = self.key_source(name, written);
        Some(Provider {
            name: name.to_owned(),
            issuer: written.issuer.clone(),
            audiences: written.audiences.clone(),
            audience_claim: written.audience_claim,
            token_types: written.token_types.clone(),
            allowed_clients: written.allowed_clients.clone(),
            bound_claims,
            keys: keys?,
            ca_file: written.ca_file.as_ref().map(|file| self.base.join(file)),
            algorithms: written.algorithms.clone(),
            clock_skew,
            max_token_lifetime: self.duration(&key("max_token_lifetime"), &written.max_token_lifetime),
            max_token_size: self.size(&key("max_token_size"), &written.max_token_size),
            username_claim: written.claim_mappings.username.claim.clone(),
            display_claim: written.claim_mappings.display.as_ref().map(|display| display.claim.clone()),
            groups_claim: written.claim_mappings.groups.as_ref().map(|groups| groups.claim.clone()),
            groups_split: written.claim_mappings.groups.as_ref().and_then(|groups| groups.split),
            groups_are_keys: written.claim_mappings.groups.as_ref().is_some_and(|groups| groups.object_keys),
            refresh: self.duration(&key("jwks_cache.refresh"), &written.jwks_cache.refresh),
            cooldown: self.duration(&key("jwks_cache.cooldown"), &written.jwks_cache.cooldown),
            max_stale: self.duration(&key("jwks_cache.max_stale"), &written.jwks_cache.max_stale),
        })
    }

    fn key_source(&mut self, name: &str, written: &written::Provider) -> Option<KeySource> {
        let key = |part: &str| format!("identity_providers.{name}.{part}");
        match (&written.discovery_url, &written.jwks_uri, &written.jwks_file) {
            (None, None, Some(file)) => Some(KeySource::File(self.base.join(file))),
            (None, Some(address), None) => self.https(&key("jwks_uri"), address).map(KeySource::Address),
            (Some(address), None, None) => self.https(&key("discovery_url"), address).map(KeySource::Discovery),
            (None, None, None) => {
                let issuer = self.https(&key("issuer"), &written.issuer)?;
                let address = format!("{}/.well-known/openid-configuration", issuer.to_string().trim_end_matches('/'));
                self.https(&key("issuer"), &address).map(KeySource::Discovery)
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

impl written::BoundClaim {
    fn values(&self) -> Vec<Scalar> {
        match self {
            Self::One(value) => vec![value.clone()],
            Self::AnyOf(values) => values.clone(),
        }
    }
}
