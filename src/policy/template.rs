//! Values of the caller within a text that a rule writes: `{username}`, `{claims.tenant}`.

use std::fmt;

use serde_json::Value;

use crate::identity::Caller;
use crate::refusal::{Reason, Refusal};
use crate::statement::quoted;

/// Most bytes of one value, and most values of a list: what they make is sent with every statement.
const LONGEST_VALUE: usize = 1024;
const MOST_VALUES: usize = 500;

/// A text with places for values of the caller.
#[derive(Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    One(Source),
    /// Behind IN, in a text of SQL.
    List(Source),
}

#[derive(Debug)]
enum Source {
    Username,
    Subject,
    Provider,
    Groups,
    Claim(String),
}

impl Source {
    fn read(name: &str) -> Option<Self> {
        match name {
            "username" => Some(Self::Username),
            "subject" => Some(Self::Subject),
            "provider" => Some(Self::Provider),
            "groups" => Some(Self::Groups),
            _ => name.strip_prefix("claims.").filter(|claim| !claim.is_empty()).map(|claim| Self::Claim(claim.to_owned())),
        }
    }

    fn one<'a>(&self, caller: &'a Caller) -> Result<&'a str, Refusal> {
        let value = match self {
            Self::Username => caller.username.as_str(),
            Self::Subject => caller.subject.as_str(),
            Self::Provider => caller.provider.as_str(),
            Self::Groups => return Err(lacks("groups", "one string is needed, and groups are a list")),
            Self::Claim(claim) => match caller.claim(claim) {
                Some(Value::String(text)) => text,
                Some(_) => return Err(lacks(claim, "one string is needed")),
                None => return Err(lacks(claim, "it is missing")),
            },
        };
        bounded(self.name(), value)
    }

    fn list<'a>(&self, caller: &'a Caller) -> Result<Vec<&'a str>, Refusal> {
        let values: Vec<&str> = match self {
            Self::Groups => caller.groups.iter().map(String::as_str).collect(),
            Self::Claim(claim) => match caller.claim(claim) {
                Some(Value::Array(items)) => {
                    let texts = items.iter().map(|item| item.as_str().ok_or_else(|| lacks(claim, "a list of strings is needed")));
                    texts.collect::<Result<_, _>>()?
                }
                Some(_) => return Err(lacks(claim, "a list of strings is needed")),
                None => return Err(lacks(claim, "it is missing")),
            },
            Self::Username | Self::Subject | Self::Provider => vec![self.one(caller)?],
        };
        if values.is_empty() || values.len() > MOST_VALUES {
            return Err(lacks(self.name(), "a list of 1 to 500 strings is needed"));
        }
        values.into_iter().map(|value| bounded(self.name(), value)).collect()
    }

    fn name(&self) -> &str {
        match self {
            Self::Username => "username",
            Self::Subject => "subject",
            Self::Provider => "provider",
            Self::Groups => "groups",
            Self::Claim(claim) => claim,
        }
    }
}

fn bounded<'a>(name: &str, value: &'a str) -> Result<&'a str, Refusal> {
    match value {
        "" => Err(lacks(name, "it is empty")),
        _ if value.len() > LONGEST_VALUE || value.contains(char::is_control) => Err(lacks(name, "it is too long or holds control characters")),
        _ => Ok(value),
    }
}

fn lacks(name: &str, why: &str) -> Refusal {
    let says = format!("The rule for you is filled in from `{name}` of your sign-in, which cannot be used: {why}. Ask those who run the provider.");
    Refusal::new(Reason::ClaimNotUsable, says)
}

impl Template {
    /// Whether no value of a caller's is in it.
    pub(super) fn is_the_same_for_all(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// Reads a text in which every brace is a place.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, inside)) = rest.split_once('{') {
            let (name, after) = inside.split_once('}').ok_or_else(|| format!("`{text}` has a `{{` without its `}}`"))?;
            let source = Source::read(name).ok_or_else(|| {
                format!("`{{{name}}}` is no value of a caller; write one of {{username}}, {{subject}}, {{provider}}, {{groups}}, {{claims.NAME}}")
            })?;
            if before.contains('}') {
                return Err(unopened(text));
            }
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(if is_behind_in(before) { Piece::List(source) } else { Piece::One(source) });
            rest = after;
        }
        if rest.contains('}') {
            return Err(unopened(text));
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces })
    }

    /// The claims that have to be kept for it.
    pub(super) fn claims(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::One(Source::Claim(claim)) | Piece::List(Source::Claim(claim)) => Some(claim.as_str()),
            Piece::Text(_) | Piece::One(_) | Piece::List(_) => None,
        })
    }

    /// The text with the caller's values as they are.
    ///
    /// # Errors
    /// 403 where a value is missing, empty or of another form.
    pub(super) fn text(&self, caller: &Caller) -> Result<String, Refusal> {
        let one = |source: &Source| source.one(caller).map(str::to_owned);
        self.filled(one, one)
    }

    /// The text with the caller's values as literals of SQL, behind IN as a list of them.
    ///
    /// # Errors
    /// 403 where a value is missing, empty or of another form.
    pub(super) fn sql(&self, caller: &Caller) -> Result<String, Refusal> {
        self.filled(|source| Ok(quoted(source.one(caller)?)), |source| Ok(listed(&source.list(caller)?)))
    }

    /// The same with made-up values, to see whether it can be read.
    pub(super) fn example(&self) -> String {
        self.filled(|_| Ok(quoted("x")), |_| Ok(listed(&["x", "y"]))).unwrap_or_default()
    }

    fn filled(&self, one: impl Fn(&Source) -> Result<String, Refusal>, list: impl Fn(&Source) -> Result<String, Refusal>) -> Result<String, Refusal> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::One(source) => out.push_str(&one(source)?),
                Piece::List(source) => out.push_str(&list(source)?),
            }
        }
        Ok(out)
    }
}

/// As it is written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::One(Source::Claim(claim)) | Piece::List(Source::Claim(claim)) => write!(f, "{{claims.{claim}}}"),
            Piece::One(source) | Piece::List(source) => write!(f, "{{{}}}", source.name()),
        })
    }
}

fn unopened(text: &str) -> String {
    format!("`{text}` has a `}}` without its `{{`")
}

fn listed(values: &[&str]) -> String {
    let literals: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    format!("({})", literals.join(", "))
}

/// Whether the word before is IN.
fn is_behind_in(text: &str) -> bool {
    let word = text.trim_end().rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next();
    text.ends_with(char::is_whitespace) && word.is_some_and(|word| word.eq_ignore_ascii_case("in"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use serde_json::json;

    use super::*;

    fn caller(claims: &Value) -> Caller {
        Caller {
            provider: "corp".to_owned(),
            subject: "1".to_owned(),
            username: "o'brien".to_owned(),
            display: None,
            groups: vec!["a".to_owned()],
            claims: claims.as_object().cloned().unwrap_or_default(),
            line: Default::default(),
        }
    }

    #[test]
    fn values_are_literals_that_cannot_end_early() {
        let caller = caller(&json!({"tenant": "a'); DROP TABLE x --", "regions": ["eu", "u\\s"]}));
        for (text, sql) in [
            ("tenant = {claims.tenant}", r"tenant = 'a\'); DROP TABLE x --'"),
            ("region IN {claims.regions}", r"region IN ('eu', 'u\\s')"),
            ("region not in\t{claims.regions} AND u = {username}", r"region not in	('eu', 'u\\s') AND u = 'o\'brien'"),
            ("g IN {groups}", "g IN ('a')"),
            ("p = {provider}", "p = 'corp'"),
        ] {
            assert_eq!(Template::read(text).unwrap().sql(&caller).unwrap(), sql);
        }
        assert_eq!(Template::read("t-{claims.tenant}").unwrap().text(&caller).unwrap(), "t-a'); DROP TABLE x --");
    }

    #[test]
    fn what_is_missing_empty_or_of_another_form_is_refused() {
        let caller =
            caller(&json!({"empty": "", "none": null, "n": 1, "list": ["a"], "nobody": [], "mixed": ["a", 1], "holes": ["a", ""], "text": "a"}));
        for claim in ["empty", "none", "n", "list", "absent", "mixed"] {
            let one = Template::read(&format!("x = {{claims.{claim}}}")).unwrap();
            assert_eq!(one.sql(&caller).map_err(|refusal| refusal.reason()), Err(Reason::ClaimNotUsable), "{claim}");
            assert_eq!(one.text(&caller).map_err(|refusal| refusal.reason()), Err(Reason::ClaimNotUsable), "{claim}");
        }
        for claim in ["empty", "none", "n", "nobody", "mixed", "holes", "text", "absent"] {
            let list = Template::read(&format!("x IN {{claims.{claim}}}")).unwrap();
            assert_eq!(list.sql(&caller).map_err(|refusal| refusal.reason()), Err(Reason::ClaimNotUsable), "{claim}");
        }
    }

    #[test]
    fn only_known_places_are_read() {
        for text in ["{", "}", "{}", "{claims.}", "{Username}", "{email}", "a{username", "a}b{username}"] {
            assert!(Template::read(text).is_err(), "{text}");
        }
    }
}
