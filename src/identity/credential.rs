//! The only place where credentials are looked for: exactly one secret, and nothing that another part of the request could
//! be taken for. Many clients cannot send a bearer token, so it may also come where they put a password.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use super::diagnosis::bounded;
use super::{Caller, KEY_PREFIX, token};
use crate::digest::sha256;
use crate::listen::stands;
use crate::refusal::{Reason, Refusal};

/// The secret of a request, and the names beside it; no `Debug` prints it.
pub(super) struct Credential {
    secret: String,
    place: Place,
    names: Vec<String>,
    /// The bearer token that a configured header took the place of.
    beside: Option<String>,
}

/// Where a secret came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Bearer,
    Basic,
    Key,
    Address,
    /// One of the configured headers, by its number.
    Header(usize),
}

impl Place {
    fn shown(self) -> &'static str {
        match self {
            Place::Bearer => "a bearer token",
            Place::Basic => "a Basic password",
            Place::Key => "X-ClickHouse-Key",
            Place::Address => "`password` in the address",
            Place::Header(_) => "a header of `from_headers`",
        }
    }
}

const USER: HeaderName = HeaderName::from_static("x-clickhouse-user");
const KEY: HeaderName = HeaderName::from_static("x-clickhouse-key");
/// Says whether the TLS certificate names the caller, which it does not here.
const CERTIFICATE: HeaderName = HeaderName::from_static("x-clickhouse-ssl-certificate-auth");
/// Where some builds of ClickHouse take a token from.
const JWT: HeaderName = HeaderName::from_static("x-clickhouse-jwt-token");

/// Address parameters that hold a token somewhere (RFC 6750 2.3, Altinity's builds).
const TOKENS: [&str; 4] = ["access_token", "token", "id_token", "jwt"];

/// RFC 7617, as clients really send it: with padding or without.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

impl Credential {
    /// The secret.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// The number of the configured header that it came in.
    pub(super) fn header(&self) -> Option<usize> {
        match self.place {
            Place::Header(number) => Some(number),
            Place::Bearer | Place::Basic | Place::Key | Place::Address => None,
        }
    }

    /// Names this token together with the bearer token that it took the place of, where it did.
    pub(super) fn pair(&self) -> Option<[u8; 32]> {
        let beside = self.beside.as_ref()?;
        Some(sha256(&[sha256(self.secret.as_bytes()), sha256(beside.as_bytes())].concat()))
    }

    /// Checks that a bearer token which a header took the place of is not another person's. Providers' own access tokens often
    /// cannot be read, and are nobody's then.
    ///
    /// # Errors
    /// 400 where it is a service account's key, or where both are of one issuer and of two people.
    pub(super) fn same_person(&self) -> Result<(), Refusal> {
        let Some(beside) = self.beside.as_deref() else { return Ok(()) };
        if beside.starts_with(KEY_PREFIX) {
            return Err(multiple("a token and a service account's key"));
        }
        let (Ok(taken), Ok(beside)) = (token::parse(&self.secret), token::parse(beside)) else { return Ok(()) };
        let same = |name| taken.claims.get(name) == beside.claims.get(name);
        // Entra's `sub` is another one at every application, its `oid` is not.
        let person = same("sub") || (taken.claims.contains_key("oid") && same("oid"));
        if same("iss") && !person {
            return Err(multiple("two tokens of two people"));
        }
        Ok(())
    }

    /// Checks the names that came beside the secret. They say nothing about the caller, and go nowhere.
    ///
    /// # Errors
    /// 401 where one is neither empty nor `default` nor the caller's own.
    pub(super) fn names_fit(&self, caller: &Caller) -> Result<(), Refusal> {
        match self.names.iter().find(|name| !["", "default", &caller.username].contains(&name.as_str())) {
            None => Ok(()),
            Some(other) => {
                let shown = bounded(other, 64);
                let says =
                    format!("The credential is for `{}`, and the request names `{shown}`; leave the user empty or name that one.", caller.username);
                Err(Refusal::new(Reason::UserMismatch, says))
            }
        }
    }

    /// The same refusal in the words of the place where the secret came from.
    pub(super) fn explain(&self, refusal: Refusal) -> Refusal {
        if refusal.reason() != Reason::OpaqueToken || self.place == Place::Bearer {
            return refusal;
        }
        let says = format!(
            "What came as {} is no token, and ClickHouse's passwords are not taken here: send a token of your identity provider there.",
            self.place.shown()
        );
        Refusal::new(Reason::OpaqueToken, says)
    }
}

/// Takes the credential out of the head, together with every other place where one could stand. `in_addresses` says whether
/// the address may have one, `from_headers` which headers may.
pub(super) fn take(head: &mut Parts, in_addresses: bool, from_headers: &[HeaderName]) -> Result<Credential, Refusal> {
    let mut found = Found::default();
    let looked = found.look(head, in_addresses, from_headers);
    for name in from_headers.iter().chain(&TAKEN_AWAY).filter(|name| stands(&head.headers, name)).cloned().collect::<Vec<_>>() {
        head.headers.remove(name);
    }
    looked?;
    found.one()
}

/// Every header that may hold a credential.
const TAKEN_AWAY: [HeaderName; 7] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, USER, KEY, CERTIFICATE, JWT];

#[derive(Default)]
struct Found {
    secrets: Vec<(Place, String)>,
    names: Vec<String>,
}

impl Found {
    fn look(&mut self, head: &mut Parts, in_addresses: bool, from_headers: &[HeaderName]) -> Result<(), Refusal> {
        self.in_address(&mut head.uri, in_addresses)?;
        for (number, name) in from_headers.iter().enumerate() {
            if let Some(value) = only(&head.headers, name)? {
                self.secret(Place::Header(number), text(name, value)?);
            }
        }
        if let Some(authorization) = only(&head.headers, &AUTHORIZATION)? {
            self.in_authorization(authorization)?;
        }
        if let Some(key) = only(&head.headers, &KEY)? {
            self.secret(Place::Key, text(&KEY, key)?);
        }
        if let Some(user) = only(&head.headers, &USER)? {
            self.names.push(text(&USER, user)?.to_owned());
        }
        match only(&head.headers, &CERTIFICATE)? {
            Some(certificate) if !certificate.as_bytes().eq_ignore_ascii_case(b"off") => {
                return Err(multiple("a TLS certificate (X-ClickHouse-SSL-Certificate-Auth), which names nobody here"));
            }
            Some(_) | None => {}
        }
        if stands(&head.headers, &JWT) {
            return Err(match self.secrets.is_empty() {
                true => Refusal::new(Reason::NoCredentials, "X-ClickHouse-JWT-Token is not read; send `Authorization: Bearer <token>`."),
                false => multiple("X-ClickHouse-JWT-Token and another credential"),
            });
        }
        Ok(())
    }

    /// The scheme without case, one or more spaces, the credential (RFC 6750 2.1, RFC 7617 2).
    fn in_authorization(&mut self, value: &HeaderValue) -> Result<(), Refusal> {
        let value = std::str::from_utf8(value.as_bytes()).map_err(|error| malformed().because(error))?;
        // A tab is no space, and would else stand in the name of a scheme that nobody knows.
        if value.contains('\t') {
            return Err(malformed());
        }
        let (scheme, rest) = value.split_once(' ').ok_or_else(other_scheme)?;
        let rest = rest.trim_start_matches(' ');
        if scheme.eq_ignore_ascii_case("bearer") {
            // Without a way out of the middle many bytes are looked at in one step.
            if rest.is_empty() || rest.bytes().fold(false, |bad, b| bad | (b <= b' ') | (b >= 0x7f) | (b == b',')) {
                return Err(malformed());
            }
            self.secret(Place::Bearer, rest);
            return Ok(());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(other_scheme());
        }
        let decoded = BASE64.decode(rest.trim_end()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (name, secret) =
            pair.ok_or_else(|| Refusal::new(Reason::MalformedToken, "The Authorization header is not `Basic` and base64 of `name:token`."))?;
        self.names.push(name.to_owned());
        self.secret(Place::Basic, secret);
        Ok(())
    }

    /// `user` and `password` are taken out of the address; ClickHouse finds them in any case, here only this one is known.
    fn in_address(&mut self, uri: &mut Uri, in_addresses: bool) -> Result<(), Refusal> {
        let Some(query) = uri.query() else { return Ok(()) };
        let mut kept = Vec::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decode_str(name).decode_utf8_lossy();
            let value = || percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned();
            let folded = name.to_ascii_lowercase();
            if TOKENS.contains(&folded.as_str()) {
                return Err(in_url("A token"));
            }
            match name.as_ref() {
                "user" => self.names.push(value()),
                "password" => match value() {
                    secret if secret.is_empty() => {}
                    secret if in_addresses => self.secret(Place::Address, &secret),
                    _ => return Err(in_url("A token or password")),
                },
                _ if folded == "password" => return Err(in_url("A token or password")),
                _ => kept.push(pair),
            }
        }
        let without = format!("{}?{}", uri.path(), kept.join("&"));
        let unreadable = |error| Refusal::new(Reason::MalformedParameter, "The address cannot be read.").because(error);
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(without).map_err(|error| unreadable(http::Error::from(error)))?);
        *uri = Uri::from_parts(parts).map_err(|error| unreadable(http::Error::from(error)))?;
        Ok(())
    }

    fn secret(&mut self, place: Place, secret: &str) {
        if !secret.is_empty() {
            self.secrets.push((place, secret.to_owned()));
        }
    }

    fn one(mut self) -> Result<Credential, Refusal> {
        // What forwards a person's token in a header of its own sends the bearer token of the same sign-in too.
        let in_header = self.secrets.iter().any(|(place, _)| matches!(place, Place::Header(_)));
        let displaced = self.secrets.iter().position(|(place, _)| in_header && *place == Place::Bearer);
        let beside = displaced.map(|index| self.secrets.remove(index).1);
        let mut secrets = self.secrets.into_iter();
        match (secrets.next(), secrets.next()) {
            (Some((place, secret)), None) => Ok(Credential { secret, place, names: self.names, beside }),
            (Some((first, _)), Some((second, _))) => Err(multiple(&format!("{} and {}", first.shown(), second.shown()))),
            (None, _) if self.names.iter().any(|name| !name.is_empty()) => Err(Refusal::new(
                Reason::NoCredentials,
                "The request names a user and brings no token. Send `Authorization: Bearer <token>` with a token of your identity provider, or the token as the password.",
            )),
            (None, _) => Err(Refusal::new(
                Reason::NoCredentials,
                "Send `Authorization: Bearer <token>` with a token of your identity provider; clients that cannot may send it as the password.",
            )),
        }
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Refusal> {
    if !stands(headers, name) {
        return Ok(None);
    }
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(multiple(&format!("two `{name}` headers"))),
        (first, None) => Ok(first),
    }
}

fn text<'a>(name: &HeaderName, value: &'a HeaderValue) -> Result<&'a str, Refusal> {
    let unreadable = |error| Refusal::new(Reason::MalformedToken, format!("The header `{name}` is not plain text.")).because(error);
    value.to_str().map_err(unreadable)
}

fn multiple(what: &str) -> Refusal {
    Refusal::new(Reason::MultipleCredentials, format!("The request brings {what}. Send exactly one credential: `Authorization: Bearer <token>`."))
}

fn in_url(what: &str) -> Refusal {
    let says = format!(
        "{what} stands in the address, where logs keep it. Send it as the header `Authorization: Bearer <token>`, and treat this one as known to others."
    );
    Refusal::new(Reason::TokenInUrl, says)
}

fn malformed() -> Refusal {
    Refusal::new(Reason::MalformedToken, "The Authorization header is not `Bearer`, one space and one token.")
}

fn other_scheme() -> Refusal {
    Refusal::new(
        Reason::NoCredentials,
        "The Authorization header is of another scheme than Bearer and Basic. Send `Authorization: Bearer <token>` with a token of your identity provider.",
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

    /// `default:a.b.c`, and the same name without a secret.
    const BASIC: &str = "Basic ZGVmYXVsdDphLmIuYw==";
    const NAME_ALONE: &str = "Basic ZGVmYXVsdDo=";

    #[test]
    fn one_token_is_taken_wherever_clients_can_put_it_and_nothing_of_it_stays() {
        for (target, headers, in_addresses, names, left) in [
            ("/", vec![("authorization", "bEaReR   a.b.c"), ("cookie", "x=y"), ("accept", "*/*")], false, vec![], ""),
            ("/", vec![("authorization", BASIC), ("accept", "*/*")], false, vec!["default"], ""),
            ("/", vec![("authorization", BASIC.trim_end_matches('=')), ("accept", "*/*")], false, vec!["default"], ""),
            ("/", vec![("x-clickhouse-key", "a.b.c"), ("accept", "*/*")], false, vec![], ""),
            ("/", vec![("x-clickhouse-user", "zoe"), ("x-clickhouse-key", "a.b.c"), ("accept", "*/*")], false, vec!["zoe"], ""),
            (
                "/",
                vec![("authorization", "Bearer a.b.c"), ("x-clickhouse-user", "zoe"), ("x-clickhouse-key", ""), ("accept", "*/*")],
                false,
                vec!["zoe"],
                "",
            ),
            ("/", vec![("authorization", "Bearer a.b.c"), ("x-clickhouse-ssl-certificate-auth", "OFF"), ("accept", "*/*")], false, vec![], ""),
            ("/?a=1&user=zo%65+x&b=2&password=", vec![("authorization", "Bearer a.b.c"), ("accept", "*/*")], false, vec!["zoe x"], "a=1&b=2"),
            ("/?password=a.b.c&query=1", vec![("accept", "*/*")], true, vec![], "query=1"),
            ("/?user=zoe", vec![("authorization", NAME_ALONE), ("x-clickhouse-key", "a.b.c"), ("accept", "*/*")], false, vec!["zoe", "default"], ""),
        ] {
            let mut head = head(target, &headers);
            let credential = take(&mut head, in_addresses, &[]).unwrap_or_else(|refusal| panic!("{target} {headers:?}: {}", refusal.says()));
            assert_eq!(
                (credential.secret(), credential.names.clone()),
                ("a.b.c", names.iter().map(|name| (*name).to_owned()).collect()),
                "{target} {headers:?}"
            );
            assert_eq!((head.headers.len(), head.uri.query().unwrap_or("")), (1, left), "{target} {headers:?}");
        }
    }

    #[test]
    fn anything_but_one_credential_is_refused() {
        for (target, headers, reason) in [
            ("/", vec![], Reason::NoCredentials),
            ("/", vec![("authorization", "Basic")], Reason::NoCredentials),
            ("/", vec![("authorization", "Negotiate a.b.c")], Reason::NoCredentials),
            ("/", vec![("authorization", "never")], Reason::NoCredentials),
            ("/", vec![("authorization", NAME_ALONE)], Reason::NoCredentials),
            ("/", vec![("authorization", "Basic %%%")], Reason::MalformedToken),
            ("/", vec![("authorization", "Basic YWJj")], Reason::MalformedToken),
            ("/", vec![("authorization", "Bearer")], Reason::NoCredentials),
            ("/", vec![("x-clickhouse-user", "default")], Reason::NoCredentials),
            ("/?user=default", vec![], Reason::NoCredentials),
            ("/", vec![("x-clickhouse-jwt-token", "a.b.c")], Reason::NoCredentials),
            ("/", vec![("authorization", "Bearer a.b.c"), ("authorization", "Bearer a.b.c")], Reason::MultipleCredentials),
            ("/", vec![("authorization", "Bearer a.b.c"), ("x-clickhouse-key", "a.b.c")], Reason::MultipleCredentials),
            ("/", vec![("authorization", BASIC), ("x-clickhouse-key", "x")], Reason::MultipleCredentials),
            ("/", vec![("x-clickhouse-key", "a"), ("x-clickhouse-key", "b")], Reason::MultipleCredentials),
            ("/", vec![("x-clickhouse-user", "a"), ("x-clickhouse-user", "b"), ("x-clickhouse-key", "x")], Reason::MultipleCredentials),
            ("/", vec![("authorization", "Bearer a.b.c"), ("x-clickhouse-jwt-token", "a.b.c")], Reason::MultipleCredentials),
            ("/", vec![("authorization", "Bearer a.b.c"), ("x-clickhouse-ssl-certificate-auth", "on")], Reason::MultipleCredentials),
            ("/?PASSWORD=x", vec![("authorization", "Bearer a.b.c")], Reason::TokenInUrl),
            ("/?pass%77ord=x", vec![("authorization", "Bearer a.b.c")], Reason::TokenInUrl),
            ("/?access_token=x", vec![], Reason::TokenInUrl),
            ("/?q=1&Token=x", vec![("authorization", "Bearer a.b.c")], Reason::TokenInUrl),
            ("/", vec![("authorization", "Bearer a.b.c, Bearer d.e.f")], Reason::MalformedToken),
            ("/", vec![("authorization", "Bearer a b")], Reason::MalformedToken),
            ("/", vec![("authorization", "Bearer \ta")], Reason::MalformedToken),
            ("/", vec![("authorization", "Bearer\ta.b.c")], Reason::MalformedToken),
            ("/", vec![("authorization", "Bearer  ")], Reason::MalformedToken),
        ] {
            let mut head = head(target, &headers);
            let refusal = take(&mut head, false, &[]).err().unwrap_or_else(|| panic!("{target} {headers:?}"));
            assert_eq!(refusal.reason(), reason, "{target} {headers:?}");
        }
        let refusal = take(&mut head("/?password=x&password=y", &[]), true, &[]).err().unwrap();
        assert_eq!(refusal.reason(), Reason::MultipleCredentials, "two passwords in one address");
    }

    /// A token that says this; its signature is looked at elsewhere.
    fn saying(claims: &str) -> String {
        let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part("{}"), part(claims))
    }

    #[test]
    fn what_a_header_takes_the_place_of_is_the_same_persons() {
        let header = HeaderName::from_static("x-id-token");
        let alice = r#"{"iss":"a","sub":"1","oid":"o"}"#;
        for (taken, beside, same) in [
            (alice, saying(r#"{"iss":"a","sub":"1"}"#), true),
            (alice, saying(r#"{"iss":"b","sub":"2"}"#), true),
            (alice, saying(r#"{"iss":"a","sub":"2"}"#), false),
            (alice, saying(r#"{"iss":"a","sub":"2","oid":"o"}"#), true),
            (alice, saying(r#"{"iss":"a","sub":"2","oid":"p"}"#), false),
            (r#"{"iss":"a","sub":"1"}"#, saying(r#"{"iss":"a","sub":"2"}"#), false),
            (alice, "ya29.nobody-can-read-it".to_owned(), true),
            (alice, format!("{KEY_PREFIX}0123"), false),
        ] {
            let (taken, bearer) = (saying(taken), format!("Bearer {beside}"));
            let mut head = head("/", &[("x-id-token", &taken), ("authorization", &bearer)]);
            let credential = take(&mut head, false, std::slice::from_ref(&header)).unwrap_or_else(|refusal| panic!("{beside}: {}", refusal.says()));
            assert_eq!((credential.secret(), head.headers.len()), (taken.as_str(), 0), "{beside}");
            let reason = credential.same_person().err().map(|refusal| refusal.reason());
            assert_eq!(reason, (!same).then_some(Reason::MultipleCredentials), "{beside}");
        }
    }
}
