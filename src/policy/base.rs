//! Tables and engines of the strict base: what no rule has to name, because it reaches nothing further than what is judged by itself.

use super::rule::Openness;

/// Tables of `system` that hold what every server of a version has: what drivers read when they connect.
pub(super) const TABLES: [&str; 11] = [
    "one",
    "numbers",
    "settings",
    "formats",
    "data_type_families",
    "table_functions",
    "table_engines",
    "time_zones",
    "keywords",
    "build_options",
    "contributors",
];

/// Engines that keep their rows on the server itself and read no other table.
const ENGINES: [&str; 8] = ["Memory", "Log", "TinyLog", "StripeLog", "Null", "Set", "Join", "MergeTree"];

/// Whether the table tells nothing of the server's own data and callers.
pub(super) fn is_plain_table(database: &str, table: &str) -> bool {
    database == "system" && TABLES.contains(&table)
}

/// Tables of `system` that tell names alone, which most clients read when they connect or complete what is typed.
pub(super) const NAMES: [&str; 6] = ["databases", "tables", "columns", "functions", "completions", "documentation"];

/// Whether the database is the server's own.
pub fn is_of_system(database: &str) -> bool {
    database == "system" || is_information_schema(database)
}

fn is_information_schema(database: &str) -> bool {
    database == "information_schema" || database == "INFORMATION_SCHEMA"
}

/// Whether a table of the server's own is open so far.
pub(super) fn is_open(database: &str, table: &str, openness: Openness) -> bool {
    let names = || is_information_schema(database) || (database == "system" && NAMES.contains(&table));
    match openness {
        Openness::None => is_plain_table(database, table),
        Openness::Names => is_plain_table(database, table) || names(),
        Openness::All => is_of_system(database),
    }
}

/// Whether tables of the engine hold their own rows.
pub(super) fn is_plain_engine(name: &str) -> bool {
    ENGINES.contains(&name) || (name.ends_with("MergeTree") && name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_further_is_not_plain() {
        for name in ["Distributed", "Merge", "URL", "S3", "Dictionary", "Buffer", "x.MergeTree"] {
            assert!(!is_plain_engine(name), "{name}");
        }
    }

    #[test]
    fn what_stays_on_the_server_is_plain() {
        assert!(is_plain_table("system", "settings"));
        for (database, table) in
            [("system", "tables"), ("system", "columns"), ("system", "query_log"), ("system", "functions"), ("SYSTEM", "settings"), ("sec", "one")]
        {
            assert!(!is_plain_table(database, table), "{database}.{table}");
        }
        assert!(is_plain_engine("ReplicatedReplacingMergeTree") && is_plain_engine("Memory"));
    }
}
