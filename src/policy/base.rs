//! The strict base: the calls that no rule has to name, because they compute on their arguments alone.

use std::collections::HashSet;
use std::sync::LazyLock;

static FUNCTIONS: LazyLock<HashSet<String>> = LazyLock::new(|| names(include_str!("functions.txt")));
static AGGREGATES: LazyLock<HashSet<String>> = LazyLock::new(|| names(include_str!("aggregates.txt")));
static TYPES: LazyLock<HashSet<String>> = LazyLock::new(|| names(include_str!("types.txt")));

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
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_lowercase).collect()
}

/// Whether the call computes on its arguments alone. ClickHouse compares some names with case and some without; that
/// a name differs only by case from a harmless one makes it unknown there, never harmful.
pub(super) fn is_plain(call: &str) -> bool {
    let call = call.to_lowercase();
    FUNCTIONS.contains(&call) || TYPES.contains(&call) || is_aggregate(&call, MOST_COMBINATORS)
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
            "Decimal",
            "arrayMap",
            "lagInFrame",
            "version",
        ] {
            assert!(is_plain(call), "{call}");
        }
    }

    #[test]
    fn what_reaches_further_is_not() {
        for call in [
            "in",
            "globalIn",
            "notNullIn",
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
    }
}
