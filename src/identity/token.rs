//! The form of a token: a compact JWS (RFC 7515 7.1), nothing else, decoded strictly so that one token has one spelling.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::diagnosis::bounded;
use super::json::{self, Flaw};
use crate::refusal::{Reason, Refusal};

/// A token taken apart. Nothing in it is believed yet.
pub(super) struct Parsed<'a> {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    /// What the signature is over.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
}

/// Longest `kid`; what is longer is no name of a key.
const LONGEST_KID: usize = 256;

impl Parsed<'_> {
    /// The key's name, where the token says one.
    pub(super) fn kid(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// A claim that is text.
    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }
}

/// Takes a token apart.
pub(super) fn parse(token: &str) -> Result<Parsed<'_>, Refusal> {
    // Google's have a dot and are no JWT for all that.
    if token.starts_with("ya29.") {
        return Err(opaque(token));
    }
    // To its end whatever comes, because a loop without a way out is compiled to one that looks at many bytes at once.
    let allowed = |b: u8| b.is_ascii_alphanumeric() | matches!(b, b'-' | b'_' | b'.');
    if !token.bytes().fold(true, |all, b| all & allowed(b)) {
        return Err(if token.contains('.') { malformed("holds characters that no JWT has") } else { opaque(token) });
    }
    let segments: Vec<&str> = token.split('.').collect();
    let (header, claims, signature) = match segments.as_slice() {
        [header, claims, signature] => (*header, *claims, *signature),
        [_, _, _, _, _] => {
            return Err(Refusal::new(
                Reason::EncryptedToken,
                "The token is encrypted (JWE). Configure the provider to issue signed access tokens; Auth0 encrypts where the client asked for no audience, authentik where an encryption key is set.",
            ));
        }
        [_] => return Err(opaque(token)),
        _ => return Err(malformed("has neither three nor five parts")),
    };
    let signature = decode(signature, "signature")?;
    if signature.is_empty() {
        return Err(malformed("has no signature"));
    }
    let header = object(header, "header")?;
    let claims = object(claims, "payload")?;
    refuse_unsupported(&header)?;
    // Safe: both come from the same string, and ASCII was checked.
    let signed = token.rsplit_once('.').map_or("", |(signed, _signature)| signed);
    Ok(Parsed { header, claims, signed, signature })
}

/// The refusal of a token that is too long.
pub(super) fn too_large(length: usize, limit: usize) -> Refusal {
    Refusal::new(
        Reason::TokenTooLarge,
        format!("The token is {length} bytes, the limit is {limit}. Put fewer groups into it (app roles, a group filter)."),
    )
}

fn object(segment: &str, what: &str) -> Result<Map<String, Value>, Refusal> {
    json::object(&decode(segment, what)?).map_err(|flaw| match flaw {
        Flaw::Twice(name) if what == "payload" => {
            let name = bounded(&name, 100);
            Refusal::new(Reason::DuplicateClaim, format!("The token has the claim `{name}` twice; only the provider can mend that."))
        }
        Flaw::Twice(_) => malformed("has a header with a member that stands twice"),
        Flaw::Malformed => malformed(&format!("has a {what} that is no plain JSON object")),
    })
}

/// Base64url without padding and with zero trailing bits (RFC 7515 2): a lenient reader would take several spellings
/// of one token for different tokens.
fn decode(segment: &str, what: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|error| malformed(&format!("has a {what} that is not base64url")).because(error))
}

/// What would change how a token is read, and is never done: `crit` and `b64` (RFC 7515 4.1.11, RFC 7797), `zip`, a
/// nested JWT. `jku`, `x5u`, `jwk` and `x5c` are not refused: nothing ever reads them.
fn refuse_unsupported(header: &Map<String, Value>) -> Result<(), Refusal> {
    for name in ["crit", "b64", "zip"] {
        if header.contains_key(name) {
            return Err(Refusal::new(Reason::UnsupportedHeader, format!("The token's header has `{name}`, which is not supported.")));
        }
    }
    match header.get("cty") {
        Some(Value::String(cty)) if !["jwt", "application/jwt"].iter().any(|nested| cty.eq_ignore_ascii_case(nested)) => {}
        Some(Value::String(_)) => {
            return Err(Refusal::new(Reason::UnsupportedHeader, "The token holds another token (`cty: JWT`), which is not supported."));
        }
        Some(_) => return Err(malformed("has a `cty` that is no content type")),
        None => {}
    }
    match header.get("kid") {
        None => Ok(()),
        Some(Value::String(kid)) if kid.len() <= LONGEST_KID => Ok(()),
        Some(_) => Err(malformed("has a `kid` that is no name of a key")),
    }
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(
        Reason::MalformedToken,
        format!("The token {what}. Send the access token exactly as the provider issued it: header.payload.signature."),
    )
}

fn opaque(token: &str) -> Refusal {
    let hint = if token.starts_with("ya29.") {
        " Google's access tokens are opaque: send an ID token."
    } else if ["gho_", "ghp_", "ghs_", "github_pat_"].iter().any(|start| token.starts_with(start)) {
        " This is a token for GitHub's API: request an OIDC token."
    } else {
        " Some providers issue a JWT only when the client asks for an audience (Auth0) or an API's scope."
    };
    Refusal::new(Reason::OpaqueToken, format!("The token is not a JWT, so nothing can be read from it.{hint}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn b64(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn reason_of(token: &str) -> Reason {
        parse(token).err().map_or_else(|| panic!("{token} was taken"), |refusal| refusal.reason())
    }

    #[test]
    fn only_the_compact_form_is_read() {
        let (header, claims) = (b64(r#"{"alg":"RS256"}"#), b64("{}"));
        let good = format!("{header}.{claims}.c2ln");
        assert_eq!(parse(&good).ok().unwrap().signed, format!("{header}.{claims}"));
        for (token, reason) in [
            ("opaque".to_owned(), Reason::OpaqueToken),
            ("ya29/x".to_owned(), Reason::OpaqueToken),
            ("ya29.a0Af-x_y".to_owned(), Reason::OpaqueToken),
            ("a.b".to_owned(), Reason::MalformedToken),
            ("a.b.c.d".to_owned(), Reason::MalformedToken),
            ("a.b.c.d.e".to_owned(), Reason::EncryptedToken),
            (format!("{header}.{claims}."), Reason::MalformedToken),
            (format!("{header}.{claims}.c2ln="), Reason::MalformedToken),
            (format!("{header}.{claims}.c2lnA"), Reason::MalformedToken),
            (format!("{header}.{claims}.c2l+"), Reason::MalformedToken),
            // "ab" encodes to YWI; YWJ has the same bytes in a lenient reader.
            (format!("{header}.{claims}.YWJ"), Reason::MalformedToken),
            (format!("{}.{claims}.c2ln", b64("[]")), Reason::MalformedToken),
            (format!("{header}.{}.c2ln", b64("nothing")), Reason::MalformedToken),
            (format!("{}.{claims}.c2ln", b64(r#"{"alg":"a","alg":"b"}"#)), Reason::MalformedToken),
            (format!("{header}.{}.c2ln", b64(r#"{"groups":["a"],"groups":["admin"]}"#)), Reason::DuplicateClaim),
            (format!("{}.{claims}.c2ln", b64(r#"{"crit":[]}"#)), Reason::UnsupportedHeader),
            (format!("{}.{claims}.c2ln", b64(r#"{"b64":false}"#)), Reason::UnsupportedHeader),
            (format!("{}.{claims}.c2ln", b64(r#"{"zip":"DEF"}"#)), Reason::UnsupportedHeader),
            (format!("{}.{claims}.c2ln", b64(r#"{"cty":"jwt"}"#)), Reason::UnsupportedHeader),
            (format!("{}.{claims}.c2ln", b64(r#"{"cty":"Application/JWT"}"#)), Reason::UnsupportedHeader),
            (format!("{}.{claims}.c2ln", b64(r#"{"cty":["JWT"]}"#)), Reason::MalformedToken),
            (format!("{}.{claims}.c2ln", b64(r#"{"kid":7}"#)), Reason::MalformedToken),
            (format!("{}.{claims}.c2ln", b64(&format!(r#"{{"kid":"{}"}}"#, "k".repeat(257)))), Reason::MalformedToken),
        ] {
            assert_eq!(reason_of(&token), reason, "{token}");
        }
    }
}
