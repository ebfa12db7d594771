//! What was changed or purged, and since when: an answer that was asked before that is not given any more. Looked at when an answer is
//! found, so that nothing has to be searched for when something changes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many marks are kept apart; beyond, all that was asked before counts as changed.
const MOST: usize = 10_000;

/// What is changed or purged together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Mark {
    /// Every answer.
    All,
    /// What this rule's callers asked, or would be given.
    Rule(Arc<str>),
    /// What this caller asked, or would be given.
    Caller(Arc<str>),
    /// What read this table: cluster, database, table.
    Table(Arc<str>, Box<str>, Box<str>),
    /// What read any table of this database: cluster, database.
    Database(Arc<str>, Box<str>),
}

impl Mark {
    /// What it takes in memory, in bytes: what others share is theirs.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::All | Self::Rule(_) | Self::Caller(_) => 0,
                Self::Table(_, database, table) => database.len() + table.len(),
                Self::Database(_, database) => database.len(),
            }
    }
}

/// A moment in the order of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

/// Every change, of every config since the start.
#[derive(Default)]
pub(super) struct Marks {
    /// The last of `changes`: what was asked since then is good, and most answers were.
    last: AtomicU64,
    changes: Mutex<Changes>,
}

#[derive(Default)]
struct Changes {
    last: u64,
    by_mark: HashMap<Mark, u64>,
    /// What was forgotten is no later than this.
    forgotten: u64,
}

impl Marks {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now.
    pub(super) fn now(&self) -> Moment {
        Moment(self.last.load(Ordering::Acquire))
    }

    /// What bears one of these has changed now.
    pub(super) fn change(&self, marks: impl IntoIterator<Item = Mark>) {
        let mut changes = self.changes();
        changes.last += 1;
        let now = changes.last;
        if changes.by_mark.len() >= MOST {
            changes.by_mark.clear();
            changes.forgotten = now;
        }
        changes.by_mark.extend(marks.into_iter().map(|mark| (mark, now)));
        self.last.store(now, Ordering::Release);
    }

    /// Whether nothing that bears one of these has changed since then.
    pub(super) fn is_unchanged<'a>(&self, since: Moment, marks: impl IntoIterator<Item = &'a Mark>) -> bool {
        if self.now() == since {
            return true;
        }
        let changes = self.changes();
        let later = |mark: &Mark| changes.by_mark.get(mark).is_some_and(|changed| *changed > since.0);
        changes.forgotten <= since.0 && !later(&Mark::All) && !marks.into_iter().any(later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> Mark {
        Mark::Table("main".into(), "default".into(), name.into())
    }

    #[test]
    fn what_was_asked_before_a_change_is_not_good_after_it() {
        let marks = Marks::default();
        let before = marks.now();
        marks.change([table("a")]);
        let after = marks.now();
        assert!(!marks.is_unchanged(before, [&table("a")]) && marks.is_unchanged(after, [&table("a")]));
        assert!(marks.is_unchanged(before, [&table("b")]));
        marks.change([Mark::All]);
        assert!(!marks.is_unchanged(after, [&table("b")]) && !marks.is_unchanged(after, []));
    }

    #[test]
    fn what_was_forgotten_counts_as_changed() {
        let marks = Marks::default();
        let before = marks.now();
        for number in 0..=MOST {
            marks.change([table(&number.to_string())]);
        }
        assert!(!marks.is_unchanged(before, [&table("another")]));
        assert!(marks.is_unchanged(marks.now(), [&table("0")]));
        assert!(marks.changes().by_mark.len() <= MOST);
    }
}
