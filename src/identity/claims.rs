//! From the claims of a verified token to the caller.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::hints;
use crate::config::{Groups, Provider, Split};
use crate::record::{CallerLine, Rendered};
use crate::refusal::{Reason, Refusal};

/// Longest name of a caller or a group, in bytes.
const LONGEST_NAME: usize = 256;

/// Who asks. Two providers never share a caller: the key is provider and subject together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The provider's name in the config.
    pub provider: String,
    /// The token's `sub`.
    pub subject: String,
    /// The claim that the config maps to the user's name.
    pub username: String,
    /// What is shown beside the name, where the config asks for it; it decides nothing.
    pub display: Option<String>,
    /// What the provider says the caller belongs to.
    pub groups: Vec<String>,
    /// What the token says of the claims that rules ask for; a service account has none.
    pub claims: Map<String, Value>,
    /// What the record tells of them.
    pub line: Line,
}

/// What is written of a caller again and again, made when it is first asked for; it is no part of who the caller is.
#[derive(Debug, Clone, Default)]
pub struct Line {
    rendered: OnceLock<Option<Rendered>>,
    key: OnceLock<Arc<str>>,
}

impl PartialEq for Line {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Line {}

impl Caller {
    /// Provider and subject: no two callers have the same, because a provider's name has no slash.
    pub fn key(&self) -> &Arc<str> {
        self.line.key.get_or_init(|| format!("{}/{}", self.provider, self.subject).into())
    }

    /// What the record tells of them.
    pub fn rendered(&self) -> Option<Rendered> {
        let line = || CallerLine {
            provider: &self.provider,
            subject: &self.subject,
            username: &self.username,
            display: self.display.as_deref(),
            groups: &self.groups,
        };
        self.line.rendered.get_or_init(|| Rendered::of(&line())).clone()
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        let names = self.provider.len() + self.subject.len() + self.username.len() + self.groups.iter().map(|group| group.len() + 24).sum::<usize>();
        // As text, times what trees of it take.
        let claims: usize = self.claims.iter().map(|(name, value)| name.len() + 4 * value.to_string().len() + 64).sum();
        // The record's line has the names once more.
        2 * names + claims
    }

    /// A claim by its literal name, or by a JSON Pointer that begins with `/`.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        find(&self.claims, name)
    }
}

/// Reads the caller out of claims whose signature was verified, and keeps them.
pub(super) fn caller(config: &Provider, kept: Map<String, Value>) -> Result<Caller, Refusal> {
    let claims = &kept;
    let name = |claim: &str| match find(claims, claim) {
        Some(Value::String(text)) => checked(claim, text),
        Some(_) => Err(Refusal::new(Reason::ClaimType, format!("Claim `{claim}` names the caller and must be a string."))),
        None => Err(Refusal::new(
            Reason::ClaimMissing,
            format!("The token has no claim `{claim}`, which names the caller. Have provider {} add it.", config.name),
        )),
    };
    let username = format!("{}{}", config.username_prefix, name(&config.username_claim)?);
    if config.username_claim == "email" && claims.get("email_verified").is_some_and(|verified| *verified != Value::Bool(true)) {
        let says = format!("Claim `email` names the caller, and provider {} has not verified it (`email_verified`).", config.name);
        return Err(Refusal::new(Reason::EmailUnverified, says));
    }
    let subject = name("sub")?;
    let display = config.display_claim.as_ref().and_then(|claim| checked(claim, find(claims, claim)?.as_str()?).ok());
    let groups = match &config.groups {
        Some(mapping) => groups(config, mapping, claims)?,
        None => Vec::new(),
    };
    Ok(Caller { provider: config.name.clone(), subject, username, display, groups, claims: kept, line: Line::default() })
}

/// Checks that the token has every scope that its provider's part of the config asks for (RFC 8693 4.2, Okta's `scp`).
pub(super) fn scopes(config: &Provider, claims: &Map<String, Value>) -> Result<(), Refusal> {
    let scopes: Vec<&str> = match claims.get("scope").or_else(|| claims.get("scp")) {
        Some(Value::String(text)) => text.split(' ').collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    };
    let missing: Vec<&str> = config.required_scopes.iter().map(String::as_str).filter(|scope| !scopes.contains(scope)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let says = format!("The token lacks the scope {}; have the client request it from provider {}.", missing.join(" "), config.name);
    Err(Refusal::new(Reason::InsufficientScope, says).scope(config.required_scopes.join(" ")))
}

/// A list of strings, one string or several in one, or where that is declared an object's keys. Anything else is a mistake,
/// never "no groups".
fn groups(config: &Provider, mapping: &Groups, claims: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let claim = mapping.claim.as_str();
    let wrong = || Refusal::new(Reason::ClaimType, format!("Claim `{claim}` lists the caller's groups and must be a list of strings."));
    let group = |text: &str| checked(claim, text).map(|text| format!("{}{text}", mapping.prefix));
    let several = |text: &str, at: char| text.split(at).filter(|text| !text.is_empty()).map(group).collect();
    let keys = |object: &Map<String, Value>| object.keys().map(|text| group(text)).collect::<Result<Vec<_>, _>>();
    match find(claims, claim) {
        Some(Value::String(text)) => match mapping.split {
            None => Ok(vec![group(text)?]),
            Some(Split::Space) => several(text, ' '),
            Some(Split::Comma) => several(text, ','),
        },
        Some(Value::Object(object)) if mapping.object_keys => keys(object),
        Some(Value::Array(groups)) => {
            let mut names = Vec::with_capacity(groups.len());
            for item in groups {
                match item.as_object().filter(|_| mapping.object_keys) {
                    Some(object) => names.extend(keys(object)?),
                    None => names.push(group(item.as_str().ok_or_else(wrong)?)?),
                }
            }
            Ok(names)
        }
        Some(_) => Err(wrong()),
        // Entra's own words: do not follow the address in `_claim_sources`.
        None if claim == "groups" && (claims.contains_key("_claim_names") || claims.contains_key("hasgroups")) => Err(Refusal::new(
            Reason::GroupsOverage,
            format!(
                "The token has no claim `{claim}`: the caller is in more groups than Entra lists. Use app roles, or only groups assigned to the application."
            ),
        )),
        None => Err(Refusal::new(
            Reason::GroupsMissing,
            format!("The token of provider {} has no claim `{claim}`, so the caller has no groups. {}", config.name, hints::groups(config)),
        )),
    }
}

/// The top-level member that a name or a pointer begins at.
pub(super) fn first(claim: &str) -> Cow<'_, str> {
    match claim.strip_prefix('/') {
        None => Cow::Borrowed(claim),
        Some(pointer) => Cow::Owned(unescaped(pointer.split('/').next().unwrap_or_default())),
    }
}

/// RFC 6901 4.
fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// A top-level member by its name, or what a JSON Pointer (RFC 6901) that begins with `/` leads to.
pub(super) fn find<'a>(claims: &'a Map<String, Value>, claim: &str) -> Option<&'a Value> {
    let Some(pointer) = claim.strip_prefix('/') else {
        return claims.get(claim);
    };
    let mut segments = pointer.split('/').map(unescaped);
    let first = claims.get(&segments.next()?)?;
    segments.try_fold(first, |value, segment| value.get(&segment))
}

/// A name that can stand in records, rules and log comments without misleading anybody.
fn checked(claim: &str, text: &str) -> Result<String, Refusal> {
    let misleading = |c: char| c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // Most are plain, which is seen many bytes at once.
    let plain = text.bytes().fold(true, |all, b| all & matches!(b, b' '..=b'~'));
    if text.is_empty() || text.len() > LONGEST_NAME || (!plain && text.contains(misleading)) {
        return Err(Refusal::new(
            Reason::ClaimValue,
            format!("Claim `{claim}` has a value that is empty, longer than {LONGEST_NAME} bytes or holds control characters."),
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("no object") };
        object
    }

    #[test]
    fn claims_are_found_by_literal_name_and_by_pointer() {
        let claims = object(json!({"cognito:groups": 1, "https://ns/roles": 2, "realm_access": {"roles": 3}}));
        assert_eq!(find(&claims, "cognito:groups"), Some(&json!(1)));
        assert_eq!(find(&claims, "https://ns/roles"), Some(&json!(2)));
        assert_eq!(find(&claims, "/realm_access/roles"), Some(&json!(3)));
        assert_eq!(find(&claims, "/https:~1~1ns~1roles"), Some(&json!(2)));
        assert_eq!(find(&claims, "realm_access.roles"), None);
        assert_eq!(
            ["cognito:groups", "/realm_access/roles", "/https:~1~1ns~1roles"].map(first),
            ["cognito:groups", "realm_access", "https://ns/roles"]
        );
    }

    #[test]
    fn names_that_mislead_are_refused() {
        for text in ["", "a\nb", "\u{202e}nimda", "a\u{0}", &"x".repeat(257)] {
            assert!(checked("sub", text).is_err(), "{text:?}");
        }
        assert!(checked("sub", "Zoë @ ops|42").is_ok());
    }
}
