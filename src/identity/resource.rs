//! What OAuth clients are told of this server: OAuth 2.0 Protected Resource Metadata (RFC 9728).

use bytes::Bytes;
use http::Uri;
use serde::Serialize;

use crate::config::{Config, Endpoint};
use crate::listen::METADATA_PATH;
use crate::refusal::Realm;

/// The document. It is made of `public_url` alone, never of a request's `Host`, which a stranger could choose.
pub struct Resource {
    realm: Realm,
    document: Option<Bytes>,
}

/// RFC 9728 2.
#[derive(Serialize)]
struct Document<'a> {
    resource: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_servers: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
    resource_name: &'static str,
}

impl Resource {
    /// What the config makes of it; there is no document without a `public_url`.
    pub fn new(config: &Config) -> Self {
        let Some(url) = &config.public_url else {
            return Self { realm: Realm { name: "clickhouse".to_owned(), metadata: None }, document: None };
        };
        // RFC 9728 2: these are issuers with metadata of their own, which only an https address can have.
        let servers: Vec<&str> = config.providers.iter().map(|provider| provider.issuer.as_str()).filter(|issuer| is_address(issuer)).collect();
        let document = Document { resource: url, authorization_servers: servers, bearer_methods_supported: ["header"], resource_name: "ClickHouse" };
        let metadata = format!("{}{METADATA_PATH}", url.trim_end_matches('/'));
        Self { realm: Realm { name: url.clone(), metadata: Some(metadata) }, document: serde_json::to_vec(&document).ok().map(Bytes::from) }
    }

    /// What challenges say.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The document, as JSON.
    pub fn document(&self) -> Option<Bytes> {
        self.document.clone()
    }
}

fn is_address(issuer: &str) -> bool {
    issuer.parse::<Uri>().is_ok_and(|uri| Endpoint::of(&uri).is_some())
}
