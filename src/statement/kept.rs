//! Statements that were understood, kept because dashboards ask the same again and again.

use std::sync::Arc;

use moka::sync::Cache;

use super::grammar::Parameters;
use super::{Opinion, Statement, Values};
use crate::digest::Hex;

/// What one takes beside its texts, in bytes.
const FIXED: usize = 1024;

/// A statement, the second opinion on it, and SHA-256 of its text, without data.
#[derive(Clone)]
pub(super) struct Fact {
    pub(super) statement: Arc<Statement>,
    pub(super) opinion: Option<Opinion>,
    pub(super) digest: Hex<64>,
}

/// Everything that changes what is understood: the text, the values of its parameters, what stands behind VALUES.
pub(super) type Key = [u8; 32];

/// Statements by the text that they were read from. What was judged is never kept: rules change, and facts do not. Clones share
/// what they keep.
#[derive(Clone)]
pub struct Kept(Cache<Key, Fact>);

impl Kept {
    /// None yet, and together never more than this, in bytes.
    pub fn new(room: u64) -> Self {
        Self(Cache::builder().max_capacity(room).weigher(|_, fact: &Fact| weight(&fact.statement)).build())
    }

    pub(super) fn find(&self, key: &Key) -> Option<Fact> {
        self.0.get(key)
    }

    pub(super) fn keep(&self, key: Key, fact: Fact) {
        self.0.insert(key, fact);
    }
}

fn weight(statement: &Statement) -> u32 {
    // Canonical and masked text, and names that can be as long together.
    u32::try_from(FIXED + 4 * statement.canonical().len()).unwrap_or(u32::MAX)
}

/// The key of a text with these parameters. Lengths stand before values, so that no two lists are written alike.
pub(super) fn key(text: &str, parameters: &Parameters, values: Values) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[u8::from(values == Values::Expressions)]);
    for part in std::iter::once(text).chain(parameters.iter().flat_map(|(name, value)| [name.as_str(), value])) {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::super::Reader;
    use super::*;
    use crate::config::StatementForm;
    use crate::digest::sha256;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_ingredient_changes_the_key() {
        let data = |text: &str, pairs: &[(&str, &str)]| key(text, &parameters(pairs), Values::Data);
        let keys = [
            data("a", &[]),
            data("b", &[]),
            key("a", &parameters(&[]), Values::Expressions),
            data("a", &[("t", "x")]),
            data("a", &[("t", "y")]),
            data("a", &[("u", "x")]),
            data("a", &[("t", "x"), ("u", "")]),
            data("a", &[("t", ""), ("x", "u")]),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(keys.iter().skip(at + 1).all(|other| other != one), "{at}");
        }
    }

    #[test]
    fn data_is_not_kept() {
        let kept = Kept::new(1024 * 1024);
        let reader = Reader { kept: &kept, values: Values::Data, form: StatementForm::Masked };
        for (sql, found) in [("SELECT 1", true), ("INSERT INTO t VALUES (1)", false), ("INSERT INTO t VALUES \n", true)] {
            let fact = reader.fact(sql, &Parameters::new()).unwrap_or_else(|refusal| panic!("{}", refusal.says()));
            let text = sql.get(..fact.statement.data().unwrap_or(sql.len())).unwrap();
            assert_eq!(fact.digest, Hex::of(&sha256(text.as_bytes())), "{sql}");
            let key = key(sql, &Parameters::new(), Values::Data);
            assert_eq!(kept.find(&key).is_some(), found, "{sql}");
        }
    }
}
