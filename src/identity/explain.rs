//! What a token says and what is made of it, for the person who asks why it does not work.

use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderName;
use serde_json::Value;

use super::diagnosis::{self, YEAR_10000, bounded, rfc3339};
use super::{Caller, Identities, Issuer, token};
use crate::refusal::{Reason, Refusal};

/// A token taken apart, and judged as the gate would.
pub struct Explained {
    /// What stands in it, as names and values. Never its signature, and of claims only those that are judged.
    pub says: Vec<(&'static str, String)>,
    /// The provider whose token it is, where that is known.
    pub provider: Option<String>,
    /// Whom it lets in, or what the caller would be told.
    pub judged: Result<Arc<Caller>, Refusal>,
}

/// Members of the header and claims that are shown, in this order; a claim's name may stand in both.
const SHOWN: [(bool, &str); 14] = [
    (true, "alg"),
    (true, "kid"),
    (true, "typ"),
    (false, "iss"),
    (false, "aud"),
    (false, "azp"),
    (false, "client_id"),
    (false, "appid"),
    (false, "cid"),
    (false, "token_use"),
    (false, "sub"),
    (false, "iat"),
    (false, "nbf"),
    (false, "exp"),
];

impl Identities {
    /// Judges a token, as if it came in this header where one is named. With `offline` its signature is not looked at.
    pub async fn explain(&self, text: &str, header: Option<&HeaderName>, now: SystemTime, offline: bool) -> Explained {
        let number = header.and_then(|name| self.from_headers.iter().position(|known| known == name));
        if let Some(name) = header.filter(|_| number.is_none()) {
            let says = format!("The header `{name}` stands in no provider's from_headers, so nothing in it is read.");
            return Explained { says: Vec::new(), provider: None, judged: Err(Refusal::new(Reason::NoCredentials, says)) };
        }
        let parsed = match token::parse(text) {
            Ok(parsed) => parsed,
            Err(refusal) => return Explained { says: Vec::new(), provider: None, judged: Err(refusal) },
        };
        let says = SHOWN.iter().filter_map(|(header, name)| {
            let value = if *header { parsed.header.get(*name) } else { parsed.claims.get(*name) };
            Some((*name, shown(name, value?)))
        });
        let says = says.collect();
        let provider = self.issuer_of(&parsed).ok().map(|issuer| issuer.config().name.clone());
        let judged = if offline { self.explain_offline(&parsed, number, now) } else { self.judge(text, number, None, now).await };
        Explained { says, provider, judged }
    }

    fn explain_offline(&self, parsed: &token::Parsed<'_>, header: Option<usize>, now: SystemTime) -> Result<Arc<Caller>, Refusal> {
        let issuer: &Arc<Issuer> = self.issuer_of(parsed)?;
        diagnosis::examine(parsed, issuer.config(), self.types_taken(issuer.config(), header)?, now)?;
        issuer.algorithm_of(parsed)?;
        self.caller(issuer.config(), parsed.claims.clone()).map(Arc::new)
    }
}

/// A value on one line; times also as people read them.
fn shown(name: &str, value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let text = bounded(&text, 200);
    let since = value.as_u64().filter(|_| ["iat", "nbf", "exp"].contains(&name)).map(|since| since as f64);
    match since.filter(|since| *since < YEAR_10000) {
        Some(since) => format!("{text} ({})", rfc3339(since)),
        None => text,
    }
}
