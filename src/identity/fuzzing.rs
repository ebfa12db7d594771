//! Doors for tests/fuzz: requests of a caller whom nobody verified, and the readers of what callers and providers write.

use std::sync::Arc;

use http::Uri;
use http::request::Parts;

use super::keys::KeySet;
use super::{BareHead, Caller, Identified, discovery, token};
use crate::listen::Arriving;
use crate::refusal::Refusal;

/// A request as if its caller were known.
pub fn identified(head: Parts, body: Arriving) -> Identified {
    let caller = Caller {
        provider: String::new(),
        subject: String::new(),
        username: String::new(),
        display: None,
        groups: Vec::new(),
        claims: serde_json::Map::new(),
        line: Default::default(),
    };
    Identified { caller: Arc::new(caller), from: std::net::IpAddr::from([127, 0, 0, 1]), head: BareHead::of(head), body }
}

/// What the signature of a token is over, and the signature.
///
/// # Errors
/// 401 where it is no token.
pub fn parse(text: &str) -> Result<(&str, Vec<u8>), Refusal> {
    token::parse(text).map(|parsed| (parsed.signed, parsed.signature))
}

/// The algorithms of every key of a set, and why other members were left out.
///
/// # Errors
/// A sentence where nothing usable is left.
pub fn key_set(json: &[u8]) -> Result<(Vec<Vec<String>>, Vec<String>), String> {
    KeySet::read(json).map(|(set, left_out)| (set.algorithms(), left_out))
}

/// Where the keys of the issuer are, by a document of this address.
///
/// # Errors
/// A sentence where it does not say.
pub fn discovery(json: &[u8], address: &Uri, issuer: &str) -> Result<Uri, String> {
    discovery::keys_address(json, address, issuer)
}
