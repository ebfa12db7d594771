//! What a discovery document says of the keys: where they are, if it is of the right issuer.

use http::Uri;
use openidconnect::{IssuerUrl, JsonWebKeySetUrl};
use serde_json::Value;

use super::diagnosis::folded;
use super::json::{self, Flaw};
use crate::config::Endpoint;

/// Where the keys of this issuer are, by a document that was fetched from `address`. Of OpenID Connect Discovery 1.0 only
/// two members are asked for: providers of machine identities (GitHub Actions, Kubernetes) publish no authorization endpoint.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn keys_address(json: &[u8], address: &Uri, issuer: &str) -> Result<Uri, String> {
    let no_document = |why: String| format!("{address} is no discovery document ({why})");
    let document = json::object(json).map_err(|flaw| match flaw {
        Flaw::Twice(name) => no_document(format!("it has {name:?} twice")),
        Flaw::Malformed => no_document("it is no plain JSON object".to_owned()),
    })?;
    let text = |name: &str| match document.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(no_document(format!("it has no text `{name}`"))),
    };
    let of = IssuerUrl::new(text("issuer")?).map_err(|error| no_document(format!("`issuer` is no URL: {error}")))?;
    let keys = JsonWebKeySetUrl::new(text("jwks_uri")?).map_err(|error| no_document(format!("`jwks_uri` is no URL: {error}")))?;
    if of.as_str() != issuer {
        let near = if folded(of.as_str()) == folded(issuer) { " (they differ only by case, scheme or a slash)" } else { "" };
        return Err(format!("{address} is of the issuer {:?}, configured is {issuer:?}{near}; they must be the same, byte for byte", of.as_str()));
    }
    let found: Option<Uri> = keys.as_str().parse().ok();
    found
        .filter(|found| Endpoint::of(found).is_some_and(|endpoint| endpoint.tls || endpoint.is_loopback()))
        .ok_or_else(|| format!("{address} names keys at {:?}, which is not https", keys.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_object_leads_to_keys() {
        let found = |json: &[u8]| keys_address(json, &Uri::from_static("https://idp/d"), "https://idp");
        assert_eq!(found(br#"{"issuer":"https://idp","jwks_uri":"https://idp/k","more":[]}"#), Ok(Uri::from_static("https://idp/k")));
        assert_eq!(found(br#"{"issuer":"https://idp","jwks_uri":"http://127.0.0.1:1/k"}"#), Ok(Uri::from_static("http://127.0.0.1:1/k")));
        // Entra's document of all tenants is of a template.
        let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
        let entra = format!(r#"{{"issuer":"{template}","jwks_uri":"https://idp/k"}}"#);
        assert_eq!(keys_address(entra.as_bytes(), &Uri::from_static("https://idp/d"), template), Ok(Uri::from_static("https://idp/k")));
        for json in [
            &br#"["https://idp","https://idp/k"]"#[..],
            b"{\"issuer\":\"https://idp\",\"jwks_uri\":\"https://idp/k\",\"more\":\"\xff\"}",
            br#"{"issuer":"https://idp","jwks_uri":"https://idp/k","jwks_uri":"https://evil/k"}"#,
            br#"{"issuer":"https://idp/","jwks_uri":"https://idp/k"}"#,
            br#"{"issuer":"https://idp","jwks_uri":"http://idp/k"}"#,
            br#"{"issuer":"https://idp","jwks_uri":7}"#,
            b"<html>",
        ] {
            assert!(found(json).is_err(), "{}", String::from_utf8_lossy(json));
        }
    }
}
