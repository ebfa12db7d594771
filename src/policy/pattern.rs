//! Patterns of tables: `database.table`, exact case, `*` within either part.

use std::fmt;

/// One pattern. `*` stands for any characters and never crosses the dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    database: String,
    table: String,
}

impl Pattern {
    /// Reads `database.table`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (database, table) = text.split_once('.')?;
        let part = |part: &str| !part.is_empty() && !part.contains(['`', '"', '\'', ' ']);
        (part(database) && part(table) && !table.contains('.')).then(|| Self { database: database.to_owned(), table: table.to_owned() })
    }

    /// Whether the table is meant.
    pub(super) fn fits(&self, database: &str, table: &str) -> bool {
        // `.inner.` tables hold what a materialized view keeps: a star does not name them.
        let hidden = table.starts_with('.') && !self.table.starts_with('.');
        !hidden && self.is_of(database) && glob(&self.table, table)
    }

    /// All tables of a database.
    pub fn whole(database: &str) -> Option<Self> {
        (!database.is_empty()).then(|| Self::of(database, "*"))
    }

    /// These two parts, with their stars.
    pub fn of(database: &str, table: &str) -> Self {
        Self { database: database.to_owned(), table: table.to_owned() }
    }

    /// Its two parts, with their stars.
    pub fn parts(&self) -> (&str, &str) {
        (&self.database, &self.table)
    }

    /// Whether some table could be meant by both.
    pub fn meets(&self, other: &Self) -> bool {
        let both = |one: &str, other: &str| meet(one.as_bytes(), other.as_bytes());
        both(&self.database, &other.database) && both(&self.table, &other.table)
    }

    /// Whether it names one table of each database.
    pub(super) fn is_of_one_table(&self) -> bool {
        !self.table.contains('*')
    }

    /// Whether it can mean a table of the database.
    pub(super) fn is_of(&self, database: &str) -> bool {
        glob(&self.database, database)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

/// `*` as in file names, in linear time for the usual one or two stars.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether some text fits both.
fn meet(one: &[u8], other: &[u8]) -> bool {
    match (one.split_first(), other.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => meet(rest, other) || other.split_first().is_some_and(|(_, shorter)| meet(one, shorter)),
        (_, Some((b'*', rest))) => meet(one, rest) || one.split_first().is_some_and(|(_, shorter)| meet(shorter, other)),
        (Some((a, one)), Some((b, other))) => a == b && meet(one, other),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_star_does_not_cross_the_dot_and_case_counts() {
        for (pattern, database, table, fits) in [
            ("sales.*", "sales", "orders", true),
            ("sales.*", "sales", "a.b", true),
            ("sales.*", "sales", ".inner.view", false),
            ("*.*", "sales", ".inner_id.1", false),
            ("sales.*", "sales2", "orders", false),
            ("sales.*", "Sales", "orders", false),
            ("*.orders", "any", "orders", true),
            ("*.*", "a", "b", true),
            ("a*.t", "a.b", "t", true),
            ("sales.o*s", "sales", "orders", true),
            ("sales.o*s", "sales", "os", true),
            ("sales.o*s", "sales", "o", false),
            ("sales.a*b*c", "sales", "a1b2c", true),
            ("sales.a*b*c", "sales", "a1c", false),
            ("sales.orders", "sales", "orders", true),
            ("sales.orders", "sales", "orders2", false),
        ] {
            assert_eq!(Pattern::read(pattern).unwrap().fits(database, table), fits, "{pattern} {database} {table}");
        }
    }

    #[test]
    fn patterns_meet_where_a_table_fits_both() {
        for (one, other, meets) in [
            ("sales.*", "sales.salaries", true),
            ("sales.o*", "sales.*s", true),
            ("sales.o*", "sales.s*", false),
            ("*.orders", "sales.*", true),
            ("sales.orders", "sales.orders", true),
            ("sales.orders", "sale.orders", false),
            ("s*.a*b", "sa*.ab*", true),
            ("s*.ac*", "sa*.ab*", false),
        ] {
            let [one, other] = [one, other].map(|text| Pattern::read(text).unwrap());
            assert_eq!((one.meets(&other), other.meets(&one)), (meets, meets), "{one} {other}");
        }
    }

    #[test]
    fn only_two_parts_are_a_pattern() {
        for text in ["", "sales", "sales.", ".orders", "a.b.c", "`a`.b", "a. b"] {
            assert_eq!(Pattern::read(text), None, "{text}");
        }
    }
}
