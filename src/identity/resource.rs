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
    /// Where it stands, and what it says.
    document: Option<(String, Bytes)>,
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
        // RFC 9728 3.1: between the host and the path of what it is about.
        let (origin, path) = parts(url);
        let place = format!("{METADATA_PATH}{path}");
        let metadata = format!("{origin}{place}");
        let document = serde_json::to_vec(&document).ok().map(|json| (place, Bytes::from(json)));
        Self { realm: Realm { name: url.clone(), metadata: Some(metadata) }, document }
    }

    /// What challenges say.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The document, as JSON, where it stands at this path.
    pub fn document(&self, path: &str) -> Option<Bytes> {
        self.document.as_ref().filter(|(place, _)| place == path).map(|(_, json)| json.clone())
    }
}

/// What an address begins with, and its path, where that is more than the slash behind the host.
fn parts(url: &str) -> (&str, &str) {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(after_scheme..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| after_scheme + at);
    let (origin, path) = url.split_at_checked(path).unwrap_or((url, ""));
    (origin, if path == "/" { "" } else { path })
}

fn is_address(issuer: &str) -> bool {
    issuer.parse::<Uri>().is_ok_and(|uri| Endpoint::of(&uri).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_document_stands_before_the_path() {
        for (url, origin, path) in [
            ("https://ch.example.com", "https://ch.example.com", ""),
            ("https://ch.example.com/", "https://ch.example.com", ""),
            ("https://ch.example.com:8443/a/b", "https://ch.example.com:8443", "/a/b"),
            ("https://ch.example.com/a/", "https://ch.example.com", "/a/"),
        ] {
            assert_eq!(parts(url), (origin, path), "{url}");
        }
    }
}
