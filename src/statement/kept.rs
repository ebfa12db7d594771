//! Statements that were understood, kept because dashboards ask the same again and again.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use moka::sync::Cache;

use super::grammar::Parameters;
use super::{Opinion, Statement};

/// Memory that kept statements may take, in bytes.
const ROOM: u64 = 64 * 1024 * 1024;

/// What one takes beside its texts, in bytes.
const FIXED: usize = 1024;

/// A statement and the second opinion on it.
#[derive(Clone)]
pub(super) struct Fact {
    pub(super) statement: Arc<Statement>,
    pub(super) opinion: Option<Opinion>,
}

/// Everything that changes what is understood: the text, and the values of its parameters.
pub(super) type Key = [u8; 32];

/// Statements by the text that they were read from. What was judged is never kept: rules change, and facts do not.
pub struct Kept(Cache<Key, Fact>);

impl Kept {
    /// None yet.
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(ROOM).weigher(|_, fact: &Fact| weight(&fact.statement)).build())
    }

    pub(super) fn find(&self, key: &Key) -> Option<Fact> {
        self.0.get(key)
    }

    /// Keeps it, unless it carries data: that comes but once.
    pub(super) fn keep(&self, key: Key, fact: Fact) {
        if fact.statement.data().is_empty() {
            self.0.insert(key, fact);
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::new()
    }
}

fn weight(statement: &Statement) -> u32 {
    // Canonical and masked text, and names that can be as long together.
    u32::try_from(FIXED + 4 * statement.canonical().len()).unwrap_or(u32::MAX)
}

/// The key of a text with these parameters. Lengths stand before values, so that no two lists are written alike.
pub(super) fn key(digest: &[u8], parameters: &Parameters) -> Key {
    let mut context = Context::new(&SHA256);
    context.update(digest);
    for text in parameters.iter().flat_map(|(name, value)| [name, value]) {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut key = Key::default();
    key.copy_from_slice(context.finish().as_ref());
    key
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_ingredient_changes_the_key() {
        let keys = [
            key(b"a", &parameters(&[])),
            key(b"b", &parameters(&[])),
            key(b"a", &parameters(&[("t", "x")])),
            key(b"a", &parameters(&[("t", "y")])),
            key(b"a", &parameters(&[("u", "x")])),
            key(b"a", &parameters(&[("t", "x"), ("u", "")])),
            key(b"a", &parameters(&[("t", ""), ("x", "u")])),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(keys.iter().skip(at + 1).all(|other| other != one), "{at}");
        }
    }

    #[test]
    fn data_is_not_kept() {
        let kept = Kept::new();
        for (sql, found) in [("SELECT 1", true), ("INSERT INTO t VALUES (1)", false)] {
            let statement = super::super::read(sql, &Parameters::new()).unwrap_or_else(|refusal| panic!("{}", refusal.says()));
            let key = key(sql.as_bytes(), &Parameters::new());
            kept.keep(key, Fact { statement: Arc::new(statement), opinion: None });
            assert_eq!(kept.find(&key).is_some(), found, "{sql}");
        }
    }
}
