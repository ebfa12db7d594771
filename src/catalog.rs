//! What is known of ClickHouse: its functions, table functions, formats and settings, each name in one list of `catalog/`.
//!
//! The lists hold every name of 26.9's own system tables, sorted by what reaches further than the statement. A person keeps
//! them, because which list is right is a judgement: `tests/it/catalog.rs` compares them with a running 26.9 and says which
//! names are new or gone, and in which folder to write them. Until then a new name is unknown, and refused.
//!
//! A line with `#` is a comment. Behind `# other versions` stand names that 26.9 does not tell: of older versions and other
//! builds, and what the parser makes of syntax.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// A class and the text of its list.
type List = (&'static str, &'static str);

const AGGREGATES: List = ("aggregates", include_str!("catalog/functions/aggregates.txt"));

/// Functions that no rule has to name.
const BASE_FUNCTIONS: [List; 3] =
    [("computing", include_str!("catalog/functions/computing.txt")), AGGREGATES, ("connect", include_str!("catalog/functions/connect.txt"))];

/// Functions that a rule would have to name, by their class.
const OTHER_FUNCTIONS: [List; 12] = [
    ("dictionary", include_str!("catalog/functions/dictionary.txt")),
    ("table", include_str!("catalog/functions/table.txt")),
    ("outside", include_str!("catalog/functions/outside.txt")),
    ("ai", include_str!("catalog/functions/ai.txt")),
    ("introspection", include_str!("catalog/functions/introspection.txt")),
    ("caller", include_str!("catalog/functions/caller.txt")),
    ("settings", include_str!("catalog/functions/settings.txt")),
    ("sleep", include_str!("catalog/functions/sleep.txt")),
    ("error", include_str!("catalog/functions/error.txt")),
    ("writing", include_str!("catalog/functions/writing.txt")),
    ("model", include_str!("catalog/functions/model.txt")),
    ("internal", include_str!("catalog/functions/internal.txt")),
];

/// Table functions that no rule has to name.
const BASE_TABLE_FUNCTIONS: List = ("numbers", include_str!("catalog/table_functions/numbers.txt"));

/// Table functions that a rule would have to name, by their class.
const OTHER_TABLE_FUNCTIONS: [List; 4] = [
    ("data", include_str!("catalog/table_functions/data.txt")),
    ("tables", include_str!("catalog/table_functions/tables.txt")),
    ("servers", include_str!("catalog/table_functions/servers.txt")),
    ("outside", include_str!("catalog/table_functions/outside.txt")),
];

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

/// By names in lowercase.
static FUNCTIONS: LazyLock<HashMap<String, &str>> = LazyLock::new(|| {
    let lists = OTHER_FUNCTIONS.into_iter().chain(BASE_FUNCTIONS);
    lists.flat_map(|(class, list)| names(list).map(move |name| (name.to_lowercase(), class))).collect()
});

/// In lowercase.
static NONDETERMINISTIC: LazyLock<HashSet<String>> =
    LazyLock::new(|| names(include_str!("catalog/functions/nondeterministic.txt")).map(str::to_lowercase).collect());

static TABLE_FUNCTIONS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let lists = OTHER_TABLE_FUNCTIONS.into_iter().chain([BASE_TABLE_FUNCTIONS]);
    lists.flat_map(|(class, list)| names(list).map(move |name| (name, class))).collect()
});

static OUTPUT_FORMATS: LazyLock<HashMap<String, Format>> = LazyLock::new(|| {
    formats([(Format::Server, include_str!("catalog/formats/server.txt")), (Format::Base, include_str!("catalog/formats/output.txt"))])
});

static INPUT_FORMATS: LazyLock<HashMap<String, Format>> = LazyLock::new(|| {
    formats([
        (Format::Base, include_str!("catalog/formats/input.txt")),
        (Format::Server, include_str!("catalog/formats/server.txt")),
        (Format::Code, include_str!("catalog/formats/code.txt")),
    ])
});

/// A name of two lists has the later one's meaning: every name is known, and what is forbidden is nothing else.
static SETTINGS: LazyLock<HashMap<&str, Setting>> = LazyLock::new(|| {
    let lists = [
        (Setting::Known, include_str!("catalog/settings/known.txt")),
        (Setting::Base, include_str!("catalog/settings/base.txt")),
        (Setting::Count, include_str!("catalog/settings/counts.txt")),
        (Setting::Overflow, include_str!("catalog/settings/overflow.txt")),
        (Setting::Transport, include_str!("catalog/settings/transport.txt")),
        (Setting::Forbidden, include_str!("catalog/settings/forbidden.txt")),
    ];
    lists.into_iter().flat_map(|(setting, list)| names(list).map(move |name| (name, setting))).collect()
});

/// What a format needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Nothing but the data.
    Base,
    /// A file of the server, a registry, or the connection of another protocol.
    Server,
    /// That its data may be run as expressions.
    Code,
}

/// What a setting is to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Harmless: no rule has to name it.
    Base,
    /// How many rows are wanted: harmless where its value is a plain number.
    Count,
    /// What happens at a limit: harmless where its value is `throw`.
    Overflow,
    /// How an answer travels, which is for Keyhouse to say: harmless in an address, where it is not passed on as it came.
    Transport,
    /// A way around the policy or the record: no rule can give it.
    Forbidden,
    /// Any other of 26.9.
    Known,
    /// None of 26.9.
    Unknown,
}

fn names(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn formats<const N: usize>(lists: [(Format, &'static str); N]) -> HashMap<String, Format> {
    lists.into_iter().flat_map(|(format, list)| names(list).map(move |name| (name.to_lowercase(), format))).collect()
}

/// The class of a function, operator or aggregate function, with its combinators taken off; nothing where it is unknown.
///
/// ClickHouse compares some names with case and some without; that a name differs only by case from a known one makes it
/// unknown there, never harmful. Aggregate functions outside of the base are known without combinators alone.
pub fn function_class(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    FUNCTIONS.get(&name).copied().or_else(|| is_combined(&name, MOST_COMBINATORS).then_some(AGGREGATES.0))
}

fn is_combined(name: &str, combinators: u8) -> bool {
    let Some(left) = combinators.checked_sub(1) else {
        return false;
    };
    let is_aggregate = |bare: &str| FUNCTIONS.get(bare).is_some_and(|class| *class == AGGREGATES.0) || is_combined(bare, left);
    COMBINATORS.iter().filter_map(|combinator| name.strip_suffix(combinator)).any(is_aggregate)
}

/// Whether the function computes on its arguments alone, or is asked by every driver that connects.
pub fn is_base_function(name: &str) -> bool {
    function_class(name).is_some_and(|class| BASE_FUNCTIONS.iter().any(|(base, _)| *base == class))
}

/// Whether the function is known to give the same for the same arguments, whoever asks and whenever.
pub fn is_deterministic(name: &str) -> bool {
    is_base_function(name) && !NONDETERMINISTIC.contains(&name.to_lowercase())
}

/// Classes of functions that are not the base.
pub fn function_classes() -> Vec<&'static str> {
    OTHER_FUNCTIONS.into_iter().map(|(class, _)| class).collect()
}

/// Table functions that ClickHouse takes in any case.
const IN_ANY_CASE: [&str; 8] = ["values", "view", "viewIfPermitted", "eval", "format", "filesystem", "python", "arrowstream"];

/// The name of a table function as it stands in the lists, where ClickHouse takes it in any case.
pub fn table_function_name(name: &str) -> &str {
    IN_ANY_CASE.iter().copied().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or(name)
}

/// The class of a table function; nothing where it is unknown. A name with a dot, or in another case where that counts, is a
/// view's for ClickHouse.
pub fn table_function_class(name: &str) -> Option<&'static str> {
    TABLE_FUNCTIONS.get(table_function_name(name)).copied()
}

/// Whether the table function reaches nothing.
pub fn is_base_table_function(name: &str) -> bool {
    table_function_class(name) == Some(BASE_TABLE_FUNCTIONS.0)
}

/// Classes of table functions that are not the base.
pub fn table_function_classes() -> Vec<&'static str> {
    OTHER_TABLE_FUNCTIONS.into_iter().map(|(class, _)| class).collect()
}

/// What a format of answers needs; nothing where it is unknown or none of answers.
pub fn output_format(name: &str) -> Option<Format> {
    OUTPUT_FORMATS.get(&name.to_lowercase()).copied()
}

/// What a format of data needs; nothing where it is unknown or none of data.
pub fn input_format(name: &str) -> Option<Format> {
    INPUT_FORMATS.get(&name.to_lowercase()).copied()
}

/// What the setting of exactly this name is.
pub fn setting(name: &str) -> Setting {
    SETTINGS.get(name).copied().unwrap_or(Setting::Unknown)
}

/// Every setting of 26.9, in no order.
pub fn settings() -> impl Iterator<Item = &'static str> {
    SETTINGS.keys().copied()
}

/// Whether it could name a setting of ClickHouse's own: they have no capitals.
pub fn is_setting_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_needs_no_rule() {
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
            "lambda",
        ] {
            assert!(is_base_function(call), "{call}");
        }
        assert!(is_base_table_function("numbers"));
        for name in ["output_format_json_quote_64bit_integers", "session_timezone", "extremes"] {
            assert_eq!(setting(name), Setting::Base, "{name}");
        }
        for name in ["Native", "native", "JSONEachRow", "TSV", "RowBinaryWithNamesAndTypes"] {
            assert_eq!((output_format(name), input_format(name)), (Some(Format::Base), Some(Format::Base)), "{name}");
        }
    }

    #[test]
    fn what_may_answer_otherwise_the_next_time_is_known() {
        for call in ["count", "sumIf", "toDate", "plus", "lagInFrame"] {
            assert!(is_deterministic(call), "{call}");
        }
        for call in ["now", "NOW64", "rand", "currentUser", "version", "dictGet", "getSetting", "a_new_one"] {
            assert!(!is_deterministic(call), "{call}");
        }
    }

    #[test]
    fn what_reaches_further_has_another_class() {
        for (call, class) in [
            ("dictGet", "dictionary"),
            ("dictHas", "dictionary"),
            ("regionToName", "dictionary"),
            ("joinGet", "table"),
            ("hasColumnInTable", "table"),
            ("format", "table"),
            ("file", "outside"),
            ("catboostEvaluate", "outside"),
            ("aiGenerate", "ai"),
            ("hostName", "introspection"),
            ("HOSTNAME", "introspection"),
            ("getServerSetting", "introspection"),
            ("getMacro", "introspection"),
            ("addressToLine", "introspection"),
            ("flameGraph", "introspection"),
            ("showCertificate", "introspection"),
            ("serverUUID", "introspection"),
            ("getClientHTTPHeader", "caller"),
            ("currentRoles", "caller"),
            ("getSetting", "settings"),
            ("sleep", "sleep"),
            ("sleepEachRow", "sleep"),
            ("throwIf", "error"),
            ("generateSerialID", "writing"),
            ("logTrace", "writing"),
            ("evalMLMethod", "model"),
            ("__getScalar", "internal"),
        ] {
            assert!(function_class(call) == Some(class) && !is_base_function(call), "{call}");
        }
        let classes = table_function_classes();
        for (name, class) in [("values", "data"), ("merge", "tables"), ("remote", "servers"), ("url", "outside"), ("file", "outside")] {
            assert!(table_function_class(name) == Some(class) && classes.contains(&class), "{name}");
        }
        assert!(function_classes().iter().all(|class| !BASE_FUNCTIONS.iter().any(|(base, _)| base == class)));
    }

    #[test]
    fn what_is_unknown_has_no_class() {
        for call in [
            "url",
            "merge",
            "remote",
            "view",
            "values",
            "numbersIf",
            "fileIf",
            "numbers",
            "sleepIf",
            "toDateIf",
            "countIfIfIfIfIf",
            "flameGraphIf",
            "a_new_one",
            "",
        ] {
            assert_eq!(function_class(call), None, "{call}");
        }
        for name in ["Numbers", "d.numbers", "numbers ", "a_view", ""] {
            assert_eq!(table_function_class(name), None, "{name}");
        }
        assert_eq!((output_format("a_new_one"), input_format("a_new_one")), (None, None));
    }

    #[test]
    fn what_changes_more_than_the_answer_is_not_the_base() {
        for name in
            ["select", "filter", "format_schema", "format_schema_source", "format_template_row", "output_format_schema", "readonly", "profile"]
        {
            assert_eq!(setting(name), Setting::Forbidden, "{name}");
        }
        // One of each pair is an alias.
        for name in
            ["enable_parallel_replicas", "allow_experimental_parallel_reading_from_replicas", "enable_analyzer", "allow_experimental_analyzer"]
        {
            assert_eq!(setting(name), Setting::Forbidden, "{name}");
        }
        assert_eq!((setting("limit"), setting("offset")), (Setting::Count, Setting::Count));
        assert_eq!(setting("result_overflow_mode"), Setting::Overflow);
        assert_eq!(setting("cancel_http_readonly_queries_on_client_close"), Setting::Transport);
        assert_eq!(setting("max_threads"), Setting::Known);
        for name in ["SQL_tenant", "SELECT", "Max_threads", " limit", ""] {
            assert_eq!(setting(name), Setting::Unknown, "{name}");
        }
        assert_eq!((output_format("Values"), input_format("values")), (Some(Format::Base), Some(Format::Code)));
        for name in ["Protobuf", "Template", "AvroConfluent", "CapnProto"] {
            assert_eq!((output_format(name), input_format(name)), (Some(Format::Server), Some(Format::Server)), "{name}");
        }
        assert_eq!((output_format("Regexp"), input_format("Pretty")), (None, None));
    }
}
