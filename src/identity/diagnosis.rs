//! Why a token does not fit: every mismatch at once, audience first, with what it had, what was expected and what to do.
//!
//! It reads claims that are not verified yet. That gives nothing away: the token came from the caller, and our
//! audience is public. It can only refuse; what passes here still needs its signature.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::token::Parsed;
use super::{claims, hints, tenant};
use crate::config::{Provider, Scalar, TENANT, TokenType};
use crate::refusal::{Reason, Refusal};

/// The first second of the year 10000: no token means a later one.
pub(super) const YEAR_10000: f64 = 253_402_300_800.0;

/// The `typ` headers of access and ID tokens (RFC 9068 2.1); all others belong to something else (RFC 8725 3.11).
const TOKEN_TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// Claims that only ID tokens have (OpenID Connect Core 1.0, 3.1.3.6 and 3.3.2.11).
const ID_TOKENS: [&str; 2] = ["at_hash", "c_hash"];

/// Where providers say which client a token was issued to.
const CLIENTS: [&str; 4] = ["azp", "client_id", "appid", "cid"];

/// When a token lives, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

impl Times {
    /// Whether now is within them, as far as clocks may differ.
    pub(super) fn fit(&self, config: &Provider, now: SystemTime) -> bool {
        let mut mismatches = Mismatches::default();
        mismatches.times(self, config, now);
        mismatches.0.is_empty()
    }

    /// How long it lives from now on.
    pub(super) fn left(&self, config: &Provider, now: SystemTime) -> Duration {
        Duration::try_from_secs_f64(self.exp + config.clock_skew.as_secs_f64() - seconds(now)).unwrap_or(Duration::ZERO)
    }
}

/// The issuer that the token names.
pub(super) fn issuer<'a>(parsed: &'a Parsed<'_>) -> Result<&'a str, Refusal> {
    match parsed.claims.get("iss") {
        Some(Value::String(issuer)) => Ok(issuer),
        Some(other) => Err(wrong_type("iss", other, "a string").refusal()),
        None => Err(Refusal::new(
            Reason::IssuerMissing,
            "The token has no `iss`, so nobody can say whose keys verify it. Send a token of a configured provider.",
        )),
    }
}

/// The refusal of an issuer that nobody configured. No network is asked for it, ever.
pub(super) fn unknown_issuer(issuer: &str, known: &[&Provider]) -> Refusal {
    let names: Vec<String> = known.iter().map(|provider| format!("{} ({})", quote(&provider.issuer), provider.name)).collect();
    let hint = hints::issuer(issuer, known);
    let hint = hint.as_deref().unwrap_or("Send a token of one of these, or ask for the provider to be added.");
    Refusal::new(Reason::UnknownIssuer, format!("Token issuer is {}; known issuers are {}. {hint}", quote(issuer), names.join(", ")))
}

/// Audience, type and times of a token of this provider. All that does not fit is told in one refusal, whose reason is
/// the first of them.
pub(super) fn examine(parsed: &Parsed<'_>, config: &Provider, token_types: &[TokenType], now: SystemTime) -> Result<Times, Refusal> {
    let mut mismatches = Mismatches::default();
    mismatches.tenant(parsed, config);
    mismatches.audience(parsed, config);
    mismatches.token_type(parsed, token_types);
    mismatches.client(parsed, config);
    mismatches.bound_claims(parsed, config);
    let times = mismatches.read_times(parsed);
    if let Some(times) = &times {
        mismatches.times(times, config, now);
    }
    match (times, mismatches.refusal()) {
        (Some(times), None) => Ok(times),
        (_, Some(refusal)) => Err(refusal),
        (None, None) => Err(Refusal::new(Reason::ClaimMissing, "The token has no `exp`, so it would live for ever.")),
    }
}

#[derive(Debug)]
struct Mismatch {
    reason: Reason,
    says: String,
}

impl Mismatch {
    fn refusal(self) -> Refusal {
        Refusal::new(self.reason, self.says)
    }
}

#[derive(Default)]
struct Mismatches(Vec<Mismatch>);

impl Mismatches {
    fn add(&mut self, reason: Reason, says: impl Into<String>) {
        self.0.push(Mismatch { reason, says: says.into() });
    }

    fn refusal(self) -> Option<Refusal> {
        let reason = self.0.first()?.reason;
        let says: Vec<String> = self.0.into_iter().map(|mismatch| mismatch.says).collect();
        Some(Refusal::new(reason, says.join(" ")))
    }

    /// Of several tenants of Entra, the ones that are ours; the issuer must be the tenant's own.
    fn tenant(&mut self, parsed: &Parsed<'_>, config: &Provider) {
        let Some(named) = parsed.text("iss").and_then(|issuer| tenant::of(&config.issuer, issuer)) else { return };
        let seen = parsed.claims.get("tid");
        if !tenant::is_id(named) || seen.and_then(Value::as_str) != Some(named) {
            let seen = seen.map_or_else(|| "missing".to_owned(), shown);
            self.add(
                Reason::IssuerMismatch,
                format!("The token's issuer names the tenant {}, and its `tid` is {seen}; they must be the same.", quote(named)),
            );
            return;
        }
        if !config.bound_claims.get("tid").zip(seen).is_some_and(|(bound, seen)| bound.iter().any(|id| id.is(seen))) {
            self.add(
                Reason::TenantNotAllowed,
                format!("The token is of the tenant {}; provider {} is bound to others. Have it added, if it is yours.", quote(named), config.name),
            );
        }
    }

    /// RFC 7519 4.1.3: a string or an array of strings; one of them must be ours, byte for byte.
    fn audience(&mut self, parsed: &Parsed<'_>, config: &Provider) {
        let name = config.audience_claim.name();
        let seen: Vec<&str> = match parsed.claims.get(name) {
            None => Vec::new(),
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => {
                let strings: Option<Vec<&str>> = several.iter().map(Value::as_str).collect();
                match strings {
                    Some(strings) => strings,
                    None => return self.0.push(wrong_type(name, &Value::Array(several.clone()), "a string or a list of strings")),
                }
            }
            Some(other) => return self.0.push(wrong_type(name, other, "a string or a list of strings")),
        };
        if seen.iter().any(|audience| config.audiences.iter().any(|ours| ours == audience)) {
            return;
        }
        let ours = list(config.audiences.iter().map(String::as_str));
        let hint = hints::audience(&seen, parsed, config);
        if seen.is_empty() {
            self.add(
                Reason::AudienceMissing,
                format!("Token has no audience (`{name}`); provider {} must issue it for one of {ours}. {hint}", config.name),
            );
        } else {
            let seen = list(seen.iter().copied());
            self.add(
                Reason::AudienceMismatch,
                format!("Token audience is {seen}; this Keyhouse accepts {ours} from provider {}. {hint}", config.name),
            );
        }
    }

    /// Nothing says for certain what a token is for, but all that speaks against what is taken counts.
    fn token_type(&mut self, parsed: &Parsed<'_>, token_types: &[TokenType]) {
        let typ = parsed.header.get("typ").map(|typ| typ.as_str().unwrap_or(""));
        if let Some(typ) = typ.filter(|typ| !TOKEN_TYPES.iter().any(|known| typ.eq_ignore_ascii_case(known))) {
            self.add(
                Reason::WrongTokenType,
                format!("Token type (`typ`) is {}, which is no access token's. {}", quote(typ), hints::send(token_types)),
            );
        }
        let says_access = typ.is_some_and(|typ| typ.to_ascii_lowercase().contains("at+jwt"));
        let said = [("typ", parsed.text("typ").filter(|typ| !typ.eq_ignore_ascii_case("jwt"))), ("token_use", parsed.text("token_use"))];
        let mut kinds =
            vec![says_access.then_some(TokenType::Access), ID_TOKENS.iter().find(|name| parsed.claims.contains_key(**name)).map(|_| TokenType::Id)];
        for (name, kind) in said.into_iter().filter_map(|(name, kind)| Some((name, kind?))) {
            match kind.to_ascii_lowercase().as_str() {
                "bearer" | "access" => kinds.push(Some(TokenType::Access)),
                "id" => kinds.push(Some(TokenType::Id)),
                _ => self.add(
                    Reason::WrongTokenType,
                    format!("This is a token of another kind (`{name}` is {}). {}", quote(kind), hints::send(token_types)),
                ),
            }
        }
        if let Some(other) = kinds.into_iter().flatten().find(|kind| !token_types.contains(kind)) {
            let is = if other == TokenType::Id { "an ID token, which is for the client that the user signed in to" } else { "an access token" };
            self.add(Reason::WrongTokenType, format!("This is {is}. {}", hints::send(token_types)));
        }
        if parsed.claims.contains_key("events") {
            self.add(Reason::WrongTokenType, format!("This is a logout or security event token. {}", hints::send(token_types)));
        }
        if parsed.claims.contains_key("cnf") {
            self.add(
                Reason::SenderConstrained,
                "This token is bound to a key (`cnf`); sent as a plain bearer token it is refused. Ask the provider for an unbound one.",
            );
        }
    }

    /// The client that the token was issued to, where only some are allowed.
    fn client(&mut self, parsed: &Parsed<'_>, config: &Provider) {
        if config.allowed_clients.is_empty() {
            return;
        }
        let client = CLIENTS.iter().find_map(|name| parsed.claims.get(*name));
        if client.and_then(Value::as_str).is_some_and(|client| config.allowed_clients.iter().any(|allowed| allowed == client)) {
            return;
        }
        let seen = client.map_or_else(|| "no client".to_owned(), |client| format!("client {}", shown(client)));
        let allowed = list(config.allowed_clients.iter().map(String::as_str));
        self.add(Reason::ClientNotAllowed, format!("The token was issued to {seen}; provider {} is asked to allow only {allowed}.", config.name));
    }

    /// Values are compared by type too: the text "true" is not true.
    fn bound_claims(&mut self, parsed: &Parsed<'_>, config: &Provider) {
        // The tenant of a token of Entra's was looked at already.
        let bound = config.bound_claims.iter().filter(|(claim, _)| *claim != "tid" || !config.issuer.contains(TENANT));
        for (claim, bound) in bound {
            let seen = claims::find(&parsed.claims, claim);
            let is_bound = |one: &Value| bound.iter().any(|bound| bound.is(one));
            let fits = match seen {
                Some(Value::Array(several)) => several.iter().any(is_bound),
                Some(one) => is_bound(one),
                None => false,
            };
            if !fits {
                let expected: Vec<String> = bound.iter().map(|bound| shown(&json(bound))).collect();
                let seen = seen.map_or_else(|| "is missing".to_owned(), |seen| format!("is {}", shown(seen)));
                self.add(
                    Reason::BoundClaimMismatch,
                    format!(
                        "Claim `{claim}` {seen}; provider {} is bound to {}. The token is good, but not for here.",
                        config.name,
                        expected.join(" or ")
                    ),
                );
            }
        }
    }

    fn read_times(&mut self, parsed: &Parsed<'_>) -> Option<Times> {
        let mut time = |name: &str| match parsed.claims.get(name) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|time| *time > 0.0 && *time < YEAR_10000) {
                Some(time) => Ok(Some(time)),
                None => {
                    self.0.push(wrong_type(name, value, "a number of seconds since 1970"));
                    Err(())
                }
            },
        };
        let (exp, nbf, iat) = (time("exp"), time("nbf"), time("iat"));
        if exp == Ok(None) {
            self.add(Reason::ClaimMissing, "The token has no `exp`, so it would live for ever; have the provider set one.");
        }
        Some(Times { exp: exp.ok()??, nbf: nbf.ok()?, iat: iat.ok()? })
    }

    fn times(&mut self, times: &Times, config: &Provider, now: SystemTime) {
        let (now, skew) = (seconds(now), config.clock_skew.as_secs_f64());
        let allowed = format!("{}s of difference between clocks are allowed", config.clock_skew.as_secs());
        if now >= times.exp + skew {
            self.add(Reason::Expired, format!("Token expired at {}, {:.0}s ago ({allowed}). Get a new one.", rfc3339(times.exp), now - times.exp));
        }
        if let Some(nbf) = times.nbf.filter(|nbf| *nbf > now + skew) {
            self.add(
                Reason::NotYetValid,
                format!("Token is valid from {} on; here it is {} ({allowed}). Check the clocks.", rfc3339(nbf), rfc3339(now)),
            );
        }
        if let Some(iat) = times.iat.filter(|iat| *iat > now + skew) {
            self.add(
                Reason::IssuedInFuture,
                format!("Token was issued at {}; here it is {} ({allowed}). Check the clocks.", rfc3339(iat), rfc3339(now)),
            );
        }
        let begins = times.iat.or(times.nbf).unwrap_or(now);
        if times.exp - begins > config.max_token_lifetime.as_secs_f64() {
            self.add(
                Reason::LifetimeTooLong,
                format!(
                    "Token lives {}, provider {} allows {}. Ask for a shorter one (Kubernetes: project it with expirationSeconds).",
                    humantime::format_duration(Duration::from_secs_f64((times.exp - begins).round())),
                    config.name,
                    humantime::format_duration(config.max_token_lifetime)
                ),
            );
        }
    }
}

fn json(value: &Scalar) -> Value {
    match value {
        Scalar::Bool(value) => Value::from(*value),
        Scalar::Number(value) => Value::from(*value),
        Scalar::Text(value) => Value::from(value.as_str()),
    }
}

/// A claim inside a sentence of ours, with its type to be seen.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) => "a list without it".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn wrong_type(claim: &str, seen: &Value, expected: &str) -> Mismatch {
    let kind = match seen {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number out of range",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Mismatch { reason: Reason::ClaimType, says: format!("Claim `{claim}` is {kind}; it must be {expected}. Only the provider can mend that.") }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

pub(super) fn rfc3339(seconds: f64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs_f64(seconds)).to_string()
}

/// So many characters of somebody else's text, without control characters.
pub(super) fn bounded(text: &str, most: usize) -> String {
    text.chars().take(most).flat_map(char::escape_debug).collect()
}

/// Text of a token inside a sentence of ours: bounded and without control characters.
pub(super) fn quote(text: &str) -> String {
    let mut short = bounded(text, 100);
    if text.chars().nth(100).is_some() {
        short.push('…');
    }
    format!("\"{short}\"")
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = items.take(8).map(quote).collect();
    format!("[{}]", quoted.join(", "))
}

/// For near misses only, never for a decision.
pub(super) fn folded(text: &str) -> String {
    let text = text.trim().trim_end_matches('/').to_lowercase();
    text.trim_start_matches("https://").trim_start_matches("http://").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::issuer::tests::provider;

    #[test]
    fn a_kept_token_is_judged_by_the_clock_of_each_use() {
        let times = Times { exp: 2000.0, nbf: Some(1000.0), iat: Some(1000.0) };
        for (now, fits, left) in [(939, false, 1121), (940, true, 1120), (1500, true, 560), (2059, true, 1), (2060, false, 0), (9000, false, 0)] {
            let at = UNIX_EPOCH + Duration::from_secs(now);
            assert_eq!(times.fit(&provider(), at), fits, "at {now}");
            assert_eq!(times.left(&provider(), at), Duration::from_secs(left), "at {now}");
        }
    }
}
