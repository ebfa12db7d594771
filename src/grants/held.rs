//! Privileges: from what rules allow to what is granted and taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::quote;
use crate::catalog;
use crate::policy::{Means, Openness, Pattern, open_tables};
use crate::statement::Effect;

/// What a privilege is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    /// A table, or all that a star at the end of a part means.
    Table(String, String),
    /// Where a table function reads or writes.
    Source(&'static str),
    /// An engine of tables.
    Engine(&'static str),
    /// The server.
    Everything,
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(database, table) => write!(f, "{}.{}", part(database), part(table)),
            Self::Source(name) | Self::Engine(name) => f.write_str(name),
            Self::Everything => f.write_str("*.*"),
        }
    }
}

fn part(text: &str) -> String {
    match text.strip_suffix('*') {
        Some("") => "*".to_owned(),
        Some(prefix) => format!("{}*", quote(prefix)),
        None => quote(text),
    }
}

/// One privilege.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Its name in ClickHouse.
    pub privilege: &'static str,
    /// What it is for.
    pub on: On,
}

/// What is granted, and then taken back of it.
#[derive(Debug, Default)]
pub struct Held {
    /// Granted.
    pub grants: BTreeSet<Grant>,
    /// Granted too, for what no rule has to name.
    pub base: BTreeSet<Grant>,
    /// Taken back.
    pub revokes: BTreeSet<Grant>,
    /// What cannot be said so.
    pub notes: Vec<String>,
}

/// Engines whose tables keep their rows on the server; for servers with `table_engines_require_grant`.
const ENGINES: [&str; 14] = [
    "MergeTree",
    "ReplacingMergeTree",
    "SummingMergeTree",
    "AggregatingMergeTree",
    "CollapsingMergeTree",
    "VersionedCollapsingMergeTree",
    "ReplicatedMergeTree",
    "ReplicatedReplacingMergeTree",
    "ReplicatedSummingMergeTree",
    "ReplicatedAggregatingMergeTree",
    "Memory",
    "Log",
    "TinyLog",
    "StripeLog",
];

fn privileges(effect: Effect) -> &'static [&'static str] {
    match effect {
        Effect::Read => &["SELECT"],
        Effect::Insert => &["INSERT"],
        Effect::Change => &["ALTER UPDATE", "ALTER DELETE", "TRUNCATE", "OPTIMIZE"],
        Effect::Define => &[
            "CREATE TABLE",
            "CREATE VIEW",
            "DROP TABLE",
            "DROP VIEW",
            "UNDROP TABLE",
            "ALTER COLUMN",
            "ALTER INDEX",
            "ALTER CONSTRAINT",
            "ALTER TTL",
            "ALTER SETTINGS",
            "ALTER MODIFY COMMENT",
            "ALTER PROJECTION",
        ],
        Effect::Administer | Effect::Session => &[],
    }
}

impl Held {
    /// What these rules allow together.
    pub(super) fn of(rules: &[&Means<'_>]) -> Self {
        let mut held = Self::default();
        for rule in rules {
            held.tables(rule);
            held.table_functions(rule);
            if rule.system == Openness::Names {
                let says = "information_schema.tables, which `system: names` opens, also asks for SELECT ON system.parts, which tells sizes: not granted here.";
                held.note(says.to_owned());
            }
            for (database, table) in open_tables(rule.system) {
                held.base.insert(Grant { privilege: "SELECT", on: On::Table(database.to_owned(), table.to_owned()) });
            }
        }
        for rule in rules {
            held.denied(rule, rules);
        }
        held.hides_inner_tables();
        held
    }

    fn tables(&mut self, rule: &Means<'_>) {
        for (effect, pattern) in &rule.tables {
            let Some((database, table)) = expressible(pattern) else {
                self.note(format!(
                    "Rule `{}`: `{pattern}` cannot be granted, because ClickHouse knows a star only at the end of a name (24.10 and later): GRANT {} on each \
                     table that is meant.",
                    rule.name,
                    privileges(*effect).join(", ")
                ));
                continue;
            };
            if (database.as_str(), table.as_str()) == ("*", "*") {
                self.note(format!("Rule `{}` allows every table, those of the database system too, which tell callers and secrets.", rule.name));
            }
            for privilege in privileges(*effect) {
                self.grants.insert(Grant { privilege, on: On::Table(database.clone(), table.clone()) });
            }
            if *effect == Effect::Define {
                if table == "*" {
                    for privilege in ["CREATE DATABASE", "DROP DATABASE", "CREATE DICTIONARY", "DROP DICTIONARY"] {
                        self.grants.insert(Grant { privilege, on: On::Table(database.clone(), table.clone()) });
                    }
                }
                for engine in ENGINES {
                    self.base.insert(Grant { privilege: "TABLE ENGINE", on: On::Engine(engine) });
                }
            }
        }
        for pattern in &rule.dictionaries {
            match expressible(pattern) {
                Some((database, table)) => drop(self.grants.insert(Grant { privilege: "dictGet", on: On::Table(database, table) })),
                None => self.note(format!("Rule `{}`: `{pattern}` cannot be granted: GRANT dictGet on each dictionary that is meant.", rule.name)),
            }
        }
        if !rule.dictionaries.is_empty() {
            self.note(format!(
                "Rule `{}`: the table function dictionary() also asks for CREATE TEMPORARY TABLE ON *.*; the functions do not.",
                rule.name
            ));
        }
    }

    fn table_functions(&mut self, rule: &Means<'_>) {
        for (effect, name) in &rule.table_functions {
            if let Some(class) = name.strip_prefix("class:") {
                if matches!(class, "outside" | "servers") {
                    self.note(format!(
                        "Rule `{}` allows the table functions of class `{class}`, which leave the server. Nothing is granted for a class: name the \
                         functions in the rule, or grant by hand CREATE TEMPORARY TABLE ON *.* and READ ON URL, S3, FILE, ... as meant.",
                        rule.name
                    ));
                }
                continue;
            }
            if !makes_no_table(name) {
                self.grants.insert(Grant { privilege: "CREATE TEMPORARY TABLE", on: On::Everything });
            }
            for source in sources(name) {
                let privilege = if *effect == "read" { "READ" } else { "WRITE" };
                self.grants.insert(Grant { privilege, on: On::Source(source) });
                self.note(format!(
                    "Rule `{}` allows {name}(), which leaves the server: {privilege} ON {source}; before 25.7 it is GRANT {source} ON *.*.",
                    rule.name
                ));
            }
            if matches!(name.as_str(), "cluster" | "clusterAllReplicas") {
                self.grants.insert(Grant { privilege: "CLUSTER", on: On::Everything });
            }
            if catalog::table_function_class(name).is_none() {
                self.note(format!("Rule `{}` allows {name}(), which 26.9 does not have: grant by hand what it asks for.", rule.name));
            }
        }
    }

    /// Takes back what a rule denies, unless another rule of the same user means it.
    fn denied(&mut self, rule: &Means<'_>, rules: &[&Means<'_>]) {
        for pattern in rule.deny {
            let others = || rules.iter().filter(|other| other.name != rule.name && !other.deny.contains(pattern));
            if let Some(other) = others().find(|other| other.tables.iter().any(|(_, allowed)| allowed.meets(pattern))) {
                self.note(format!(
                    "Rule `{}` denies `{pattern}`, and rule `{}` allows of it under the same user: only Keyhouse tells them apart; give the two rules users \
                     of their own.",
                    rule.name, other.name
                ));
                continue;
            }
            let met: Vec<&'static str> =
                rule.tables.iter().filter(|(_, allowed)| allowed.meets(pattern)).flat_map(|(effect, _)| privileges(*effect)).copied().collect();
            if met.is_empty() {
                continue;
            }
            match expressible(pattern) {
                Some((database, table)) => {
                    self.revokes.extend(met.into_iter().map(|privilege| Grant { privilege, on: On::Table(database.clone(), table.clone()) }));
                }
                None => self.note(format!(
                    "Rule `{}`: `{pattern}` cannot be revoked, and ClickHouse would allow it: REVOKE {} on each table that it means.",
                    rule.name,
                    met.join(", ")
                )),
            }
        }
    }

    /// `.inner.` tables hold what a materialized view keeps: a star of a rule does not name them, one of a grant does.
    fn hides_inner_tables(&mut self) {
        let whole: Vec<Grant> = self.grants.iter().filter(|grant| matches!(&grant.on, On::Table(_, table) if table == "*")).cloned().collect();
        for Grant { privilege, on } in whole {
            let On::Table(database, _) = on else { continue };
            let is_of_rows = matches!(privilege, "SELECT" | "INSERT" | "ALTER UPDATE" | "ALTER DELETE" | "TRUNCATE");
            if is_of_rows && !database.ends_with('*') {
                self.revokes.insert(Grant { privilege, on: On::Table(database, ".inner*".to_owned()) });
            }
        }
    }

    fn note(&mut self, says: String) {
        if !self.notes.contains(&says) {
            self.notes.push(says);
        }
    }

    /// The statements, for this role or user.
    pub(super) fn statements(&self, to: &str) -> Vec<String> {
        let to = quote(to);
        let grants = by_object(self.grants.iter().chain(&self.base));
        let revokes = by_object(self.revokes.iter());
        let granted = grants.into_iter().map(|(on, names)| format!("GRANT {} ON {on} TO {to}", names.join(", ")));
        granted.chain(revokes.into_iter().map(|(on, names)| format!("REVOKE {} ON {on} FROM {to}", names.join(", ")))).collect()
    }
}

fn by_object<'a>(grants: impl Iterator<Item = &'a Grant>) -> BTreeMap<&'a On, Vec<&'static str>> {
    let mut by_object: BTreeMap<&On, Vec<&'static str>> = BTreeMap::new();
    for Grant { privilege, on } in grants {
        let names = by_object.entry(on).or_default();
        if !names.contains(privilege) {
            names.push(privilege);
        }
    }
    by_object
}

/// The two parts, where a star stands only at the end of a part, and nothing is narrowed behind one.
fn expressible(pattern: &Pattern) -> Option<(String, String)> {
    let (database, table) = pattern.parts();
    let at_the_end = |text: &str| !text.strip_suffix('*').unwrap_or(text).contains('*');
    let good = at_the_end(database) && at_the_end(table) && (!database.ends_with('*') || table == "*");
    good.then(|| (database.to_owned(), table.to_owned()))
}

/// Table functions that ClickHouse gives to who may create no temporary table (`allow_readonly` of `system.table_functions`).
fn makes_no_table(name: &str) -> bool {
    const NONE: [&str; 19] = [
        "cluster",
        "clusterAllReplicas",
        "eval",
        "fuzzJSON",
        "fuzzQuery",
        "generateRandom",
        "input",
        "merge",
        "mergeTreeAnalyzeIndexes",
        "mergeTreeAnalyzeIndexesUUID",
        "mergeTreeCodecBlockCounts",
        "mergeTreeIndex",
        "mergeTreeProjection",
        "mergeTreeTextIndex",
        "null",
        "SQLStandardValues",
        "values",
        "view",
        "viewIfPermitted",
    ];
    NONE.contains(&name)
}

/// Where a table function reaches, as ClickHouse calls it.
fn sources(name: &str) -> Vec<&'static str> {
    let (name, local) = match name.trim_end_matches("Cluster").strip_suffix("Local") {
        Some(name) => (name, true),
        None => (name.trim_end_matches("Cluster"), false),
    };
    let of_lake = ["iceberg", "deltaLake", "hudi", "paimon"].iter().find_map(|lake| name.strip_prefix(lake));
    vec![match of_lake.unwrap_or(name) {
        _ if local => "FILE",
        "" | "S3" | "s3" | "gcs" | "oss" | "cosn" => "S3",
        "Azure" | "azureBlobStorage" => "AZURE",
        "HDFS" | "hdfs" => "HDFS",
        "url" => "URL",
        "file" | "filesystem" => "FILE",
        "mysql" => "MYSQL",
        "postgresql" => "POSTGRES",
        "mongodb" => "MONGO",
        "redis" => "REDIS",
        "sqlite" => "SQLITE",
        "jdbc" => "JDBC",
        "odbc" => "ODBC",
        "ytsaurus" => "YTSAURUS",
        "bigquery" => "BIGQUERY",
        "remote" | "remoteSecure" | "cluster" | "clusterAllReplicas" => "REMOTE",
        _ => return Vec::new(),
    }]
}
