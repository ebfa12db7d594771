//! Everything a statement touches.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// An object as the statement names it, escapes decoded; without a database it is one of the current database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The database, where the statement says one.
    pub database: Option<String>,
    /// The table, view or dictionary.
    pub table: String,
}

impl Name {
    /// A name of the current database.
    pub fn bare(table: impl Into<String>) -> Self {
        Self { database: None, table: table.into() }
    }

    /// A name with its database.
    pub fn of(database: impl Into<String>, table: impl Into<String>) -> Self {
        Self { database: Some(database.into()), table: table.into() }
    }

    /// A name out of a string such as `'db.dictionary'`, as ClickHouse splits it: at the first dot.
    pub fn split(text: &str) -> Self {
        text.split_once('.').map_or_else(|| Self::bare(text), |(database, table)| Self::of(database, table))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "{database}.")?;
        }
        f.write_str(&self.table)
    }
}

/// How a name is reached that stands neither after FROM nor as the statement's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// A table: the right side of IN, the argument of a function or of a table function.
    Table(&'static str),
    /// A dictionary.
    Dictionary(&'static str),
    /// A whole database, or all of its tables that fit a pattern.
    Database(&'static str),
    /// The names of what a database holds.
    Listing(&'static str),
    /// A view with parameters, which looks like a table function.
    View(&'static str),
    /// Something outside of the server: an address, a file, a backup.
    Outside(&'static str),
    /// Any other object of the server: a user, a role, a named collection, a SQL function.
    Other(&'static str),
}

impl Via {
    /// The clause or function that reaches it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Table(word)
            | Self::Dictionary(word)
            | Self::Database(word)
            | Self::Listing(word)
            | Self::View(word)
            | Self::Outside(word)
            | Self::Other(word) => word,
        }
    }
}

/// A clause that tells more of a table, or reads more of it, than filters of its rows would let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clause {
    /// PREWHERE, which is worked out before such filters.
    Prewhere,
    /// EXPLAIN, as a statement or as a table.
    Explain,
    /// SETTINGS of anything but the whole statement.
    InnerSettings,
    /// WHERE of SHOW, over all columns of a table of `system`.
    ShowWhere,
    /// A column that every part of a table has by itself (`_part`, `_partition_value`): conditions over these are worked out
    /// for all parts, to leave some out.
    PartColumn,
}

impl Clause {
    /// How it is called.
    pub fn word(self) -> &'static str {
        match self {
            Self::Prewhere => "PREWHERE",
            Self::Explain => "EXPLAIN",
            Self::InnerSettings => "SETTINGS of a part of the statement",
            Self::ShowWhere => "WHERE of SHOW",
            Self::PartColumn => "a column of parts (`_part...`)",
        }
    }
}

/// What a statement reaches, each name once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Tables that it reads by FROM, JOIN or DESCRIBE.
    pub tables: BTreeSet<Name>,
    /// Common table expressions that FROM or JOIN references.
    pub ctes: BTreeSet<String>,
    /// What the statement names as its object: INSERT INTO, DROP, SHOW CREATE, EXISTS.
    pub targets: BTreeSet<Name>,
    /// What is reached otherwise.
    pub also: BTreeSet<(Name, Via)>,
    /// Functions, aggregates and operators under ClickHouse's names, types that stand where a value does.
    pub functions: BTreeSet<String>,
    /// Calls where a table is expected.
    pub table_functions: BTreeSet<String>,
    /// Those of them that rows are written to: INSERT INTO FUNCTION.
    pub target_functions: BTreeSet<String>,
    /// Clauses that read a table by another way than the rest of a statement.
    pub clauses: BTreeSet<Clause>,
    /// Settings of SETTINGS clauses at any depth and of SET, each with every value that it gets; nothing stands for one that is
    /// no literal.
    pub settings: BTreeMap<String, BTreeSet<Option<String>>>,
    /// Parameters `{name:Type}` and their types.
    pub parameters: BTreeMap<String, String>,
    /// The format that it asks for, or that its data has.
    pub format: Option<String>,
    /// What names an object by something other than a literal.
    pub computed: BTreeSet<String>,
    /// The one query that a `KILL QUERY WHERE query_id = '...'` ends, and whether it waits for that (`SYNC`, `ASYNC`).
    pub kills: Option<(String, Option<&'static str>)>,
}
