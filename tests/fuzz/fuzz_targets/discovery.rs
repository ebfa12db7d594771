//! A discovery document leads to keys by TLS or on this machine, and only where it is of the very issuer that was asked for.
#![no_main]

use http::Uri;
use keyhouse::identity::fuzzing;
use keyhouse_fuzz::is_a_sentence;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;

const ISSUER: &str = "https://idp.example.com";

fuzz_target!(|input: &[u8]| -> Corpus {
    let address = Uri::from_static("https://idp.example.com/.well-known/openid-configuration");
    let document: Option<Value> = serde_json::from_slice(input).ok();
    let says = |name: &str| document.as_ref().and_then(|document| document.get(name)?.as_str());
    // The document's own issuer too, so that all documents come to their keys.
    for issuer in [ISSUER, says("issuer").unwrap_or_default()] {
        match fuzzing::discovery(input, &address, issuer) {
            Ok(keys) => {
                assert_eq!(says("issuer"), Some(issuer), "another issuer");
                leads_to(&keys, says("jwks_uri").expect("an address"));
            }
            Err(sentence) => is_a_sentence(&sentence, usize::MAX),
        }
    }
    Corpus::Keep
});

fn leads_to(keys: &Uri, said: &str) {
    let host = keys.host().expect("a host").trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    assert!(keys.scheme_str() == Some("https") || (keys.scheme_str() == Some("http") && is_loopback), "{keys} is fetched in the clear");
    assert_eq!(said.parse::<Uri>().ok().as_ref(), Some(keys), "another address");
    // What reads it twice must not come to two hosts.
    let authority = keys.authority().expect("an authority").as_str();
    assert!(!authority.contains('@'), "{keys} holds a user");
}
