//! The only place where credentials are looked for: exactly one bearer token, and nothing that another part of the
//! request could be taken for.

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::request::Parts;
use http::{HeaderName, Uri};

use crate::refusal::{Reason, Refusal};

/// A token as it came; no `Debug` prints it.
pub(super) struct Token(String);

impl Token {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Headers that ClickHouse or its builds read credentials from.
const CLICKHOUSE: [HeaderName; 4] = [
    HeaderName::from_static("x-clickhouse-user"),
    HeaderName::from_static("x-clickhouse-key"),
    HeaderName::from_static("x-clickhouse-ssl-certificate-auth"),
    HeaderName::from_static("x-clickhouse-jwt-token"),
];

/// Address parameters that hold a token somewhere (RFC 6750 2.3, Altinity's builds), and ClickHouse's own pair.
const TOKENS: [&str; 4] = ["access_token", "token", "id_token", "jwt"];
const PASSWORDS: [&str; 2] = ["user", "password"];

/// Takes the token out of the head, together with every other place where a credential could stand.
pub(super) fn take(head: &mut Parts) -> Result<Token, Refusal> {
    let in_address = credential_in(&head.uri);
    if in_address == Some(Kind::Token) {
        return Err(Refusal::new(
            Reason::TokenInUrl,
            "A token stands in the address, where logs keep it. Send it as the header `Authorization: Bearer <token>`, and treat this one as known to others.",
        ));
    }
    let clickhouse = CLICKHOUSE.iter().filter(|name| head.headers.remove(*name).is_some()).count() > 0;
    let mut authorizations = head.headers.get_all(AUTHORIZATION).into_iter();
    let first = authorizations.next().cloned();
    let more = authorizations.next().is_some();
    for name in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE] {
        head.headers.remove(name);
    }
    match first {
        Some(_) if more => Err(multiple("two Authorization headers")),
        Some(_) if clickhouse => Err(multiple("an Authorization header and X-ClickHouse-User or -Key")),
        Some(_) if in_address.is_some() => Err(multiple("an Authorization header and user or password in the address")),
        Some(value) => bearer(value.as_bytes()),
        None if clickhouse || in_address.is_some() => Err(Refusal::new(
            Reason::NoCredentials,
            "ClickHouse users and passwords are not taken here. Send `Authorization: Bearer <token>` with a token of your identity provider.",
        )),
        None => Err(Refusal::new(Reason::NoCredentials, "Send `Authorization: Bearer <token>` with a token of your identity provider.")),
    }
}

#[derive(PartialEq, Eq)]
enum Kind {
    Token,
    Password,
}

fn credential_in(uri: &Uri) -> Option<Kind> {
    let mut found = None;
    for pair in uri.query()?.split('&') {
        let name = pair.split_once('=').map_or(pair, |(name, _value)| name);
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
        if TOKENS.contains(&name.as_str()) {
            return Some(Kind::Token);
        }
        if PASSWORDS.contains(&name.as_str()) {
            found = Some(Kind::Password);
        }
    }
    found
}

fn multiple(what: &str) -> Refusal {
    Refusal::new(Reason::MultipleCredentials, format!("The request brings {what}. Send exactly one credential: `Authorization: Bearer <token>`."))
}

/// RFC 6750 2.1: the scheme without case, one or more spaces, the token.
fn bearer(value: &[u8]) -> Result<Token, Refusal> {
    let Ok(value) = std::str::from_utf8(value) else {
        return Err(malformed());
    };
    let Some((scheme, rest)) = value.split_once(' ') else {
        return Err(other_scheme());
    };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(other_scheme());
    }
    let token = rest.trim_start_matches(' ');
    if token.is_empty() || token.bytes().any(|b| b <= b' ' || b >= 0x7f || b == b',') {
        return Err(malformed());
    }
    Ok(Token(token.to_owned()))
}

fn malformed() -> Refusal {
    Refusal::new(Reason::MalformedToken, "The Authorization header is not `Bearer`, one space and one token.")
}

fn other_scheme() -> Refusal {
    Refusal::new(
        Reason::NoCredentials,
        "The Authorization header is not of the scheme Bearer. Send `Authorization: Bearer <token>` with a token of your identity provider.",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn head(target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn one_bearer_token_is_taken_and_nothing_of_it_stays() {
        let mut head = head("/", &[("authorization", "bEaReR   a.b.c"), ("cookie", "x=y"), ("accept", "*/*")]);
        assert_eq!(take(&mut head).ok().unwrap().as_str(), "a.b.c");
        assert_eq!(head.headers.len(), 1);
    }

    #[test]
    fn anything_but_one_credential_is_refused() {
        for (target, headers, reason) in [
            ("/", vec![], Reason::NoCredentials),
            ("/", vec![("authorization", "Basic YTpi")], Reason::NoCredentials),
            ("/", vec![("authorization", "Bearer")], Reason::NoCredentials),
            ("/", vec![("x-clickhouse-user", "default")], Reason::NoCredentials),
            ("/?user=default", vec![], Reason::NoCredentials),
            ("/", vec![("authorization", "Bearer a.b.c"), ("authorization", "Bearer a.b.c")], Reason::MultipleCredentials),
            ("/", vec![("authorization", "Bearer a.b.c"), ("x-clickhouse-key", "")], Reason::MultipleCredentials),
            ("/?PASSWORD=x", vec![("authorization", "Bearer a.b.c")], Reason::MultipleCredentials),
            ("/?us%65r=x", vec![("authorization", "Bearer a.b.c")], Reason::MultipleCredentials),
            ("/?access_token=x", vec![], Reason::TokenInUrl),
            ("/?q=1&Token=x", vec![("authorization", "Bearer a.b.c")], Reason::TokenInUrl),
            ("/", vec![("authorization", "Bearer a.b.c, Bearer d.e.f")], Reason::MalformedToken),
            ("/", vec![("authorization", "Bearer a b")], Reason::MalformedToken),
            ("/", vec![("authorization", "Bearer \ta")], Reason::MalformedToken),
            ("/", vec![("authorization", "Bearer  ")], Reason::MalformedToken),
        ] {
            let mut head = head(target, &headers);
            let refusal = take(&mut head).err().unwrap_or_else(|| panic!("{target} {headers:?}"));
            assert_eq!(refusal.reason(), reason, "{target} {headers:?}");
        }
    }
}
