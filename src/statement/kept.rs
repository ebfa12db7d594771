//! Statements that were understood, kept because dashboards ask the same again and again.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;
use moka::sync::Cache;

use super::grammar::Parameters;
use super::{Name, Opinion, Reach, Statement, Values};
use crate::catalog;
use crate::digest::{Hex, sha256};
use crate::record::{ReachLine, Rendered};

/// What one takes beside its texts, in bytes.
const FIXED: usize = 1024;

/// A statement, and all that is made of it once.
#[derive(Clone)]
pub(super) struct Fact(Arc<Facts>);

pub(super) struct Facts {
    pub(super) statement: Statement,
    /// The second opinion on it.
    pub(super) opinion: Option<Opinion>,
    /// SHA-256 of its text, without data.
    pub(super) digest: Hex<64>,
    /// For the record: the masked text, comments where there are any, the reach.
    pub(super) masked: Option<Rendered>,
    pub(super) comments: Option<Rendered>,
    pub(super) reach: Option<Rendered>,
    /// Calls that may give something else the next time: looked for when it is first asked.
    unstable: OnceLock<Vec<String>>,
}

impl Deref for Fact {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl Fact {
    /// Of a statement with this text, or with this head before its data.
    pub(super) fn of(statement: Statement, text: &str) -> Self {
        let comments = &statement.read.comments;
        Self(Arc::new(Facts {
            opinion: statement.second_opinion(),
            digest: Hex::of(&sha256(text.as_bytes())),
            masked: Rendered::of(&statement.read.masked),
            comments: (!comments.is_empty()).then(|| Rendered::of(comments)).flatten(),
            reach: Rendered::of(&line(&statement.read.reach)),
            unstable: OnceLock::new(),
            statement,
        }))
    }

    /// Calls that are not known to give the same again over the same tables.
    pub(super) fn unstable(&self) -> &[String] {
        self.unstable.get_or_init(|| {
            let reach = self.statement.reach();
            let functions = reach.functions.iter().filter(|name| !catalog::is_deterministic(name));
            functions.chain(reach.table_functions.iter().filter(|name| !catalog::is_base_table_function(name))).cloned().collect()
        })
    }
}

fn line(reach: &Reach) -> ReachLine<'_> {
    let named = |names: &BTreeSet<Name>| names.iter().map(ToString::to_string).collect();
    ReachLine {
        tables: named(&reach.tables),
        targets: named(&reach.targets),
        functions: &reach.functions,
        table_functions: &reach.table_functions,
        also: reach.also.iter().map(|(name, via)| format!("{} {name}", via.word())).collect(),
        settings: reach.settings.keys().map(String::as_str).collect(),
        computed: &reach.computed,
        format: reach.format.as_deref(),
    }
}

/// Everything that changes what is understood: the text, the values of its parameters, what stands behind VALUES.
pub(super) type Key = [u8; 32];

/// Statements by the text that they were read from. What was judged is never kept: rules change, and facts do not. Clones share
/// what they keep.
#[derive(Clone)]
pub struct Kept(Cache<Key, Fact, RandomState>);

impl Kept {
    /// None yet, and together never more than this, in bytes.
    pub fn new(room: u64) -> Self {
        Self(Cache::builder().max_capacity(room).weigher(|_, fact: &Fact| weight(&fact.statement)).build_with_hasher(RandomState::default()))
    }

    pub(super) fn find(&self, key: &Key) -> Option<Fact> {
        self.0.get(key)
    }

    pub(super) fn keep(&self, key: Key, fact: Fact) {
        self.0.insert(key, fact);
    }
}

fn weight(statement: &Statement) -> u32 {
    // Canonical and masked text, names that can be as long together, and the last two once more for the record.
    u32::try_from(FIXED + 6 * statement.canonical().len()).unwrap_or(u32::MAX)
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
