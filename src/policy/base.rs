//! The strict base: what no rule has to name, because it reaches nothing further than what is judged by itself.

use std::collections::HashSet;
use std::sync::LazyLock;

static FUNCTIONS: LazyLock<HashSet<String>> = LazyLock::new(|| names(include_str!("functions.txt")));
static AGGREGATES: LazyLock<HashSet<String>> = LazyLock::new(|| names(include_str!("aggregates.txt")));

/// Settings of formats, by their exact names.
static SETTINGS: LazyLock<HashSet<&str>> = LazyLock::new(|| lines(include_str!("settings.txt")).collect());

/// Table functions that make rows out of numbers. A name in another case or with a dot is a view's for ClickHouse.
const TABLE_FUNCTIONS: [&str; 7] = ["numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generateSeries", "generate_series"];

/// Tables of `system` that hold what every server of a version has: what drivers read when they connect.
const TABLES: [&str; 11] = [
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

/// What may be put behind the name of an aggregate function, in lowercase.
const COMBINATORS: [&str; 15] = [
    "simplestate",
    "mergestate",
    "argmin",
    "argmax",
    "resample",
    "ordefault",
    "distinct",
    "foreach",
    "ornull",
    "merge",
    "state",
    "array",
    "map",
    "if",
    "tuple",
];

/// Most combinators of one name.
const MOST_COMBINATORS: u8 = 4;

fn names(text: &str) -> HashSet<String> {
    lines(text).map(str::to_lowercase).collect()
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Whether the setting says how values are written and read, and nothing else.
pub(super) fn is_setting_of_formats(name: &str) -> bool {
    SETTINGS.contains(name)
}

/// Whether the table function reaches nothing.
pub(super) fn is_plain_table_function(name: &str) -> bool {
    TABLE_FUNCTIONS.contains(&name)
}

/// Whether the table tells nothing of the server's own data and callers.
pub(super) fn is_plain_table(database: &str, table: &str) -> bool {
    database == "system" && TABLES.contains(&table)
}

/// Whether tables of the engine hold their own rows.
pub(super) fn is_plain_engine(name: &str) -> bool {
    ENGINES.contains(&name) || (name.ends_with("MergeTree") && name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whether the call computes on its arguments alone. ClickHouse compares some names with case and some without; that
/// a name differs only by case from a harmless one makes it unknown there, never harmful.
pub(super) fn is_plain(call: &str) -> bool {
    let call = call.to_lowercase();
    FUNCTIONS.contains(&call) || is_aggregate(&call, MOST_COMBINATORS)
}

fn is_aggregate(call: &str, combinators: u8) -> bool {
    if AGGREGATES.contains(call) {
        return true;
    }
    let Some(left) = combinators.checked_sub(1) else {
        return false;
    };
    COMBINATORS.iter().filter_map(|combinator| call.strip_suffix(combinator)).any(|bare| is_aggregate(bare, left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_computes_is_plain() {
        for call in [
            "count",
            "sumIf",
            "COUNT",
            "uniqMergeState",
            "quantilesTDigest",
            "toDate",
            "CAST",
            "substring",
            "arrayMap",
            "equals",
            "globalNotIn",
            "tupleElement",
            "lagInFrame",
            "version",
        ] {
            assert!(is_plain(call), "{call}");
        }
    }

    #[test]
    fn what_reaches_further_is_not() {
        for call in [
            "dictGet",
            "dictHas",
            "joinGet",
            "file",
            "url",
            "merge",
            "remote",
            "sleep",
            "sleepEachRow",
            "throwIf",
            "getSetting",
            "getServerSetting",
            "getMacro",
            "hasColumnInTable",
            "generateSerialID",
            "logTrace",
            "addressToLine",
            "evalMLMethod",
            "aiGenerate",
            "hostName",
            "getClientHTTPHeader",
            "view",
            "values",
            "format",
            "numbersIf",
            "fileIf",
            "showCertificate",
            "serverUUID",
            "currentRoles",
            "numbers",
            "",
        ] {
            assert!(!is_plain(call), "{call}");
        }
        for name in ["Numbers", "d.numbers", "merge", "values", "url", "view", "numbers "] {
            assert!(!is_plain_table_function(name), "{name}");
        }
        for name in ["select", "format_schema", "format_schema_source", "format_template_row", "output_format_schema", "readonly", "max_threads"] {
            assert!(!is_setting_of_formats(name), "{name}");
        }
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
        assert!(is_plain_table_function("numbers"));
        assert!(is_setting_of_formats("output_format_json_quote_64bit_integers"));
        assert!(is_plain_engine("ReplicatedReplacingMergeTree") && is_plain_engine("Memory"));
    }
}
