//! Everything a statement touches.

use std::collections::BTreeSet;
use std::fmt;

/// A table as the statement names it; without a database it is one of the current database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The database, where the statement says one.
    pub database: Option<String>,
    /// The table.
    pub table: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "{database}.")?;
        }
        f.write_str(&self.table)
    }
}

/// What a statement reaches, each name once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Tables that it reads.
    pub tables: BTreeSet<Name>,
    /// Tables that it writes.
    pub targets: BTreeSet<Name>,
    /// Whatever looks like a call and is no syntax: functions, aggregates, types with parameters.
    pub functions: BTreeSet<String>,
    /// Calls where a table is expected.
    pub table_functions: BTreeSet<String>,
    /// The format that it asks for.
    pub format: Option<String>,
}
