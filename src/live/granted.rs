//! What `SHOW GRANTS` tells.

use crate::grants::{Grant, On};
use crate::policy::Pattern;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Granted {
    pub(super) lines: Vec<Line>,
    /// Lines of another form.
    pub(super) unread: Vec<String>,
}

/// One privilege on one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) is_revoke: bool,
    pub(super) privilege: String,
    pub(super) on: String,
    pub(super) grant_option: bool,
}

impl Granted {
    /// Reads the answer; names of roles, which FINAL has taken apart, are passed over.
    pub(super) fn read(text: &str) -> Self {
        let mut granted = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            // TabSeparated writes a backslash twice.
            let line = line.replace("\\\\", "\\").replace("\\'", "'");
            match read_line(&line) {
                Some(read) => granted.lines.extend(read),
                None => granted.unread.push(line),
            }
        }
        granted
    }
}

fn read_line(line: &str) -> Option<Vec<Line>> {
    let (is_revoke, rest) = match (line.strip_prefix("GRANT "), line.strip_prefix("REVOKE ")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest.trim_start_matches("GRANT OPTION FOR ")),
        (None, None) => return None,
    };
    if is_revoke && line.starts_with("REVOKE GRANT OPTION FOR ") {
        return Some(Vec::new());
    }
    let (what, to) = rest.rsplit_once(if is_revoke { " FROM " } else { " TO " })?;
    let Some((privileges, on)) = what.rsplit_once(" ON ") else {
        // Roles.
        return Some(Vec::new());
    };
    let line = |privilege: String| Line { is_revoke, privilege, on: on.to_owned(), grant_option: to.ends_with(" WITH GRANT OPTION") };
    Some(split(privileges).into_iter().map(line).collect())
}

/// Commas outside of parentheses: `SELECT(a, b), INSERT`.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_u32);
    for c in text.chars() {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

impl Line {
    /// Whether it is this privilege, or one that holds it.
    pub(super) fn is_of(&self, grant: &Grant) -> bool {
        let own = self.name();
        let group = match grant.privilege {
            name if name.starts_with("ALTER ") => ["ALTER", "ALTER TABLE"].contains(&own),
            name if name.starts_with("CREATE ") => own == "CREATE" || own == "CREATE ARBITRARY TEMPORARY TABLE",
            name if name.starts_with("DROP ") => own == "DROP",
            _ => false,
        };
        own == grant.privilege || group || matches!(own, "ALL" | "ALL PRIVILEGES")
    }

    /// Whether it is for everything that this is for. Some columns are not all.
    pub(super) fn covers(&self, grant: &Grant) -> bool {
        if self.privilege.contains('(') {
            return false;
        }
        match (&grant.on, self.parts()) {
            (On::Table(database, table), Some((own_database, own_table))) => within(database, &own_database) && within(table, &own_table),
            (On::Everything, _) => self.on == "*.*",
            (on, _) => self.on == "*" || self.on == "*.*" || self.on == on.to_string(),
        }
    }

    /// Whether some object is for both.
    pub(super) fn meets(&self, grant: &Grant) -> bool {
        let On::Table(database, table) = &grant.on else { return self.covers(grant) };
        let Some((own_database, own_table)) = self.parts() else { return false };
        let [one, other] = [Pattern::of(database, table), Pattern::of(&own_database, &own_table)];
        one.meets(&other)
    }

    /// Whether it allows nothing that this does not.
    pub(super) fn is_within(&self, grant: &Grant) -> bool {
        let own = self.name();
        // What is granted may also be seen.
        let shows = matches!(own, "SHOW TABLES" | "SHOW COLUMNS" | "SHOW DATABASES" | "SHOW DICTIONARIES");
        let same = own == grant.privilege;
        // What a table function reads with is in no other form in old servers; USAGE is nothing.
        own == "USAGE"
            || match (&grant.on, self.parts()) {
                (On::Table(database, table), Some((own_database, own_table))) => {
                    (same || shows) && within(&own_database, database) && within(&own_table, table)
                }
                (on, _) => same && self.on == on.to_string(),
            }
    }

    /// The privilege, without its columns.
    fn name(&self) -> &str {
        self.privilege.split('(').next().unwrap_or_default().trim()
    }

    /// `database.table` without quotes.
    fn parts(&self) -> Option<(String, String)> {
        let (mut parts, mut quoted) = (vec![String::new()], false);
        for c in self.on.chars() {
            match c {
                '`' => quoted = !quoted,
                '.' if !quoted => parts.push(String::new()),
                _ => parts.last_mut()?.push(c),
            }
        }
        let table = parts.pop()?;
        parts.pop().map(|database| (database, table)).filter(|_| parts.is_empty())
    }

    /// Why it is dangerous beyond a rule.
    pub(super) fn danger(&self) -> &'static str {
        match self.name() {
            "ALL" | "ALL PRIVILEGES" => "it holds everything: reading all tables, leaving the server, managing users",
            "READ" | "WRITE" | "SOURCES" | "URL" | "S3" | "FILE" | "REMOTE" | "HDFS" | "AZURE" | "MYSQL" | "POSTGRES" | "MONGO" | "REDIS"
            | "SQLITE" | "ODBC" | "JDBC" | "KAFKA" | "NATS" | "RABBITMQ" | "CLUSTER" => {
                "data leaves the server, or its files and neighbours are read, where Keyhouse errs"
            }
            "BACKUP" => "whole tables are written to elsewhere, also under readonly",
            "CREATE TEMPORARY TABLE" | "CREATE ARBITRARY TEMPORARY TABLE" => "most table functions, and names that shadow tables, need only this",
            "IMPERSONATE" | "CREATE TOKEN" | "ROLE ADMIN" | "ACCESS MANAGEMENT" | "CREATE USER" | "ALTER USER" => {
                "who gets past Keyhouse becomes somebody else, or stays"
            }
            "dictGet" => "dictionaries are read by name, as values of functions",
            name if name.starts_with("SYSTEM") || name.starts_with("KILL") => "others are stopped or disturbed",
            name if name.contains("NAMED COLLECTION") => "named collections hold credentials",
            name if name.starts_with("SHOW") => "it tells what no rule tells",
            _ => "where Keyhouse errs, ClickHouse would let it through",
        }
    }
}

/// Whether a name, or all that a star at its end means, is within the other.
fn within(narrow: &str, wide: &str) -> bool {
    match wide.strip_suffix('*') {
        Some(prefix) => narrow.strip_suffix('*').unwrap_or(narrow).starts_with(prefix),
        None => narrow == wide,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;

    fn select(database: &str, table: &str) -> Grant {
        Grant { privilege: "SELECT", on: On::Table(database.to_owned(), table.to_owned()) }
    }

    #[test]
    fn lines_are_taken_apart() {
        let told = "GRANT SELECT(a, b), INSERT ON sales.`.inner`* TO u WITH GRANT OPTION\nGRANT r1, r2 TO u\nREVOKE SELECT ON sales.pay FROM u\nGRANT READ ON URL TO u\nwhat?\n";
        let granted = Granted::read(told);
        let lines: Vec<(&str, &str, bool, bool)> =
            granted.lines.iter().map(|line| (line.privilege.as_str(), line.on.as_str(), line.is_revoke, line.grant_option)).collect();
        assert_eq!(
            lines,
            [
                ("SELECT(a, b)", "sales.`.inner`*", false, true),
                ("INSERT", "sales.`.inner`*", false, true),
                ("SELECT", "sales.pay", true, false),
                ("READ", "URL", false, false)
            ]
        );
        assert_eq!(granted.unread, ["what?"]);
    }

    #[test]
    fn a_wider_grant_covers_and_a_narrower_is_within() {
        for (on, grant, covers, is_within, meets) in [
            ("sales.*", select("sales", "orders"), true, false, true),
            ("sales.orders", select("sales", "*"), false, true, true),
            ("*.*", select("sales", "*"), true, false, true),
            ("sal*.*", select("sales", "*"), true, false, true),
            ("sales.`.inner`*", select("sales", "*"), false, true, true),
            ("hr.*", select("sales", "*"), false, false, false),
        ] {
            let line = Line { is_revoke: false, privilege: "SELECT".to_owned(), on: on.to_owned(), grant_option: false };
            assert_eq!((line.covers(&grant), line.is_within(&grant), line.meets(&grant)), (covers, is_within, meets), "{on} {grant:?}");
        }
    }
}
