//! Under which settings a rule's statements run: pinned, capped, allowed, and what no rule can open.
//!
//! ClickHouse applies the settings of the address first and those of SETTINGS over them, at every depth; so what is sent is
//! never enough, and each value in the statement is judged by itself.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use super::pattern::glob;
use crate::catalog::{self, Setting};
use crate::config::{Problems, Scalar};
use crate::refusal::{Reason, Refusal};

/// Settings of a rule's statements.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct WrittenSettings {
    /// Settings that are sent with every statement; a caller who sets one is refused.
    #[serde(default)]
    pub pin: BTreeMap<String, Scalar>,
    /// The most that a caller may ask for, a whole number above 0; it is what holds where they ask for nothing. The overflow mode
    /// that belongs to it is sent as `throw`.
    #[serde(default)]
    pub cap: BTreeMap<String, u64>,
    /// Settings that callers may set, by name or with `*`. A star opens those that are known and harmless; nothing opens those
    /// that hold SQL, files or addresses, change who asks or what is logged.
    #[serde(default)]
    pub allow: Vec<String>,
}

/// The same, checked.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pin: BTreeMap<String, String>,
    cap: BTreeMap<String, u64>,
    /// Overflow modes of the limits.
    modes: BTreeSet<&'static str>,
    allow: Vec<String>,
}

/// A setting that goes with a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What is done where the server does not have it.
    pub why: Why,
}

/// Why a setting is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The caller asks for it: it is left out where the server does not have it.
    Asked,
    /// The rule holds the caller to it: without it the statement is refused.
    Held,
    /// The same, and a smaller number holds as well.
    Capped,
    /// A setting of ClickHouse's own making (`custom_settings_prefixes`), which servers do not list.
    Custom,
}

/// What ends a statement that runs into a limit, and not with a part of its answer.
const OVERFLOW: [(&str, &str); 17] = [
    ("max_execution_time", "timeout_overflow_mode"),
    ("max_estimated_execution_time", "timeout_overflow_mode"),
    ("max_execution_time_leaf", "timeout_overflow_mode_leaf"),
    ("max_rows_to_read", "read_overflow_mode"),
    ("max_bytes_to_read", "read_overflow_mode"),
    ("max_rows_to_read_leaf", "read_overflow_mode_leaf"),
    ("max_bytes_to_read_leaf", "read_overflow_mode_leaf"),
    ("max_result_rows", "result_overflow_mode"),
    ("max_result_bytes", "result_overflow_mode"),
    ("max_rows_to_group_by", "group_by_overflow_mode"),
    ("max_rows_to_sort", "sort_overflow_mode"),
    ("max_bytes_to_sort", "sort_overflow_mode"),
    ("max_rows_in_distinct", "distinct_overflow_mode"),
    ("max_bytes_in_distinct", "distinct_overflow_mode"),
    ("max_rows_in_join", "join_overflow_mode"),
    ("max_rows_in_set", "set_overflow_mode"),
    ("max_rows_to_transfer", "transfer_overflow_mode"),
];

const THROW: &str = "throw";

/// What Keyhouse sends of its own, so that no rule does.
const OURS: [&str; 9] = [
    "dialect",
    "readonly",
    "enable_global_with_statement",
    "input_format_values_interpret_expressions",
    "input_format_values_deduce_templates_of_expressions",
    "log_comment",
    "additional_table_filters",
    "cancel_http_readonly_queries_on_client_close",
    "database",
];

impl Settings {
    /// Checks what is written at this place of a policy file.
    pub(super) fn check(written: WrittenSettings, place: &str, problems: &mut Problems) -> Self {
        let WrittenSettings { pin, cap, allow } = written;
        for (place, name) in pin.keys().map(|name| (format!("{place}.pin"), name)).chain(cap.keys().map(|name| (format!("{place}.cap"), name))) {
            if OURS.contains(&name.as_str()) {
                problems.add(format!("{place}.{name}"), "is sent by Keyhouse itself; leave it out");
            } else if !catalog::is_setting_name(name) {
                problems.add(format!("{place}.{name}"), "is no name of a setting; write it as in system.settings");
            } else if catalog::setting(name) == Setting::Unknown {
                problems
                    .warn(format!("{place}.{name}"), "is no setting of ClickHouse 26.9; statements are refused where the server does not have it");
            }
        }
        for name in cap.keys() {
            if pin.contains_key(name) {
                problems.add(format!("{place}.cap.{name}"), "is pinned too; write one of them");
            }
        }
        for (name, _) in cap.iter().filter(|(_, most)| **most == 0) {
            problems.add(format!("{place}.cap.{name}"), "is 0, which means no limit to ClickHouse; write a larger number");
        }
        for (name, value) in &pin {
            if value_of(value).contains(char::is_control) {
                problems.add(format!("{place}.pin.{name}"), "holds control characters; write a plain value");
            }
        }
        for pattern in &allow {
            if pattern.contains('*') {
                if !catalog::is_setting_name(&pattern.replace('*', "a")) {
                    problems.add(format!("{place}.allow"), format!("`{pattern}` is no pattern of settings; write letters, digits, `_` and `*`"));
                }
            } else if !catalog::is_setting_name(pattern) {
                problems.add(format!("{place}.allow"), format!("`{pattern}` is no name of a setting; custom ones go under session_settings"));
            } else if is_closed(pattern) {
                problems.add(format!("{place}.allow"), format!("`{pattern}` can be opened for nobody; pin it where it has to have a value"));
            }
        }
        let modes = OVERFLOW.iter().filter(|(limit, _)| cap.contains_key(*limit)).map(|(_, mode)| *mode).collect();
        Self { pin: pin.into_iter().map(|(name, value)| (name, value_of(&value))).collect(), cap, modes, allow }
    }

    pub(super) fn pins(&self) -> &BTreeMap<String, String> {
        &self.pin
    }

    pub(super) fn caps(&self) -> &BTreeMap<String, u64> {
        &self.cap
    }

    pub(super) fn modes(&self) -> &BTreeSet<&'static str> {
        &self.modes
    }

    /// Every name that may be sent, for the question which of them a server has.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        let (patterns, allowed): (Vec<&str>, Vec<&str>) = self.allow.iter().map(String::as_str).partition(|name| name.contains('*'));
        let mut names: BTreeSet<&str> = self.pin.keys().chain(self.cap.keys()).map(String::as_str).chain(allowed).collect();
        names.extend(&self.modes);
        for pattern in patterns {
            for name in catalog::settings().filter(|name| meets(pattern, name)) {
                names.insert(name);
            }
        }
        names
    }

    /// What is sent where each that the caller asks for in the address was judged good: with the rule's own, each once.
    pub(super) fn sent(&self, asked: &[(String, String)]) -> Vec<Sent> {
        let mut sent = Vec::new();
        let mut capped = self.cap.clone();
        for (name, value) in asked {
            match capped.get_mut(name) {
                Some(most) => *most = (*most).min(plain_number(value).unwrap_or(*most)),
                None => sent.push(Sent { name: name.clone(), value: value.clone(), why: Why::Asked }),
            }
        }
        sent.extend(self.pin.iter().map(|(name, value)| Sent { name: name.clone(), value: value.clone(), why: Why::Held }));
        sent.extend(capped.into_iter().map(|(name, most)| Sent { name, value: most.to_string(), why: Why::Capped }));
        sent.retain(|sent| !self.modes.contains(sent.name.as_str()));
        sent.extend(self.modes.iter().map(|mode| Sent { name: (*mode).to_owned(), value: THROW.to_owned(), why: Why::Held }));
        sent
    }

    /// What is sent under a rule that only observes: the caller's where they ask, and else the rule's.
    pub(super) fn sent_as_asked(&self, asked: &[(String, String)]) -> Vec<Sent> {
        let asked_for = |name: &str| asked.iter().any(|(known, _)| known == name);
        let mut sent = self.sent(&[]);
        sent.retain(|sent| !asked_for(&sent.name));
        sent.extend(asked.iter().map(|(name, value)| Sent { name: name.clone(), value: value.clone(), why: Why::Asked }));
        sent
    }

    /// Judges a setting of the statement's own; no value stands for one that is no literal.
    ///
    /// # Errors
    /// 403 with the name of one that the caller may not set, or not so.
    pub(super) fn of_statement(&self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        self.judge(name, value)?;
        match (self.cap.get(name), value.and_then(plain_number)) {
            (Some(most), Some(asked)) if asked > *most => Err(refused(name, &format!("may be {most} at most; it says {asked}"))),
            _ => Ok(()),
        }
    }

    /// Judges a setting; no value stands for one that is no literal.
    ///
    /// # Errors
    /// 403 with the name of one that the caller may not set, or not so.
    pub(super) fn judge(&self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        if is_closed(name) {
            return Err(closed(name));
        }
        if let Some(pinned) = self.pin.get(name) {
            return Err(refused(name, &format!("is {pinned} by the rule; leave it out")));
        }
        let Some(value) = value else {
            return Err(refused(name, "needs a value that is a literal"));
        };
        if self.cap.contains_key(name) {
            return plain_number(value).map(drop).ok_or_else(|| refused(name, "takes a whole number above 0, in digits alone"));
        }
        if self.modes.contains(name) {
            return if value == THROW { Ok(()) } else { Err(refused(name, "is `throw` where the rule sets a limit")) };
        }
        match catalog::setting(name) {
            Setting::Base => Ok(()),
            Setting::Count if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
            Setting::Count => Err(refused(name, "takes a whole number, in digits alone")),
            Setting::Overflow if value == THROW => Ok(()),
            Setting::Overflow | Setting::Known | Setting::Unknown if self.opens(name) => Ok(()),
            Setting::Overflow | Setting::Known | Setting::Unknown => Err(refused(name, "is not allowed by the rule")),
            Setting::Forbidden | Setting::Transport => Err(closed(name)),
        }
    }

    /// Whether the rule allows it by its name, or by a pattern, which a name has to be known for.
    fn opens(&self, name: &str) -> bool {
        self.allow.iter().any(|allowed| if allowed.contains('*') { meets(allowed, name) } else { allowed == name })
    }
}

/// Whether a pattern opens the setting.
fn meets(pattern: &str, name: &str) -> bool {
    glob(pattern, name) && matches!(catalog::setting(name), Setting::Known | Setting::Overflow)
}

/// Whether the setting can be opened for nobody.
pub(super) fn is_closed(name: &str) -> bool {
    matches!(catalog::setting(name), Setting::Forbidden | Setting::Transport)
}

/// The refusal of one that is.
pub(super) fn closed(name: &str) -> Refusal {
    refused(
        name,
        "can be set by nobody here: it holds SQL, a file or an address, or changes who asks, what is allowed, what is logged or how answers travel",
    )
}

fn refused(name: &str, why: &str) -> Refusal {
    Refusal::new(Reason::SettingNotAllowed, format!("The setting `{}` {why}.", name.escape_debug()))
}

fn value_of(value: &Scalar) -> String {
    match value {
        Scalar::Bool(value) => u8::from(*value).to_string(),
        Scalar::Number(value) => value.to_string(),
        Scalar::Text(value) => value.clone(),
    }
}

/// Digits alone, of a number above 0: what every version reads as this number.
fn plain_number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn settings(yaml: &str) -> Settings {
        let mut problems = Problems::default();
        let settings = Settings::check(serde_saphyr::from_str(yaml).unwrap(), "settings", &mut problems);
        assert!(problems.is_empty(), "{problems}");
        settings
    }

    const RULE: &str = "{pin: {max_threads: 4}, cap: {max_execution_time: 60, max_result_rows: 1000}, allow: ['join_*', max_block_size, new_one]}";

    #[test]
    fn the_smaller_number_is_sent_and_pins_go_along() {
        let asked = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, String)> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let settings = settings(RULE);
            let judged = pairs.iter().try_for_each(|(name, value)| settings.judge(name, Some(value)));
            judged
                .map(|()| settings.sent(&pairs))
                .map(|sent| sent.into_iter().map(|sent| format!("{}={}", sent.name, sent.value)).collect::<Vec<_>>().join(" "))
                .map_err(|refusal| refusal.reason())
        };
        let held = "max_threads=4 max_execution_time=60 max_result_rows=1000 result_overflow_mode=throw timeout_overflow_mode=throw";
        assert_eq!(asked(&[]).unwrap(), held);
        assert_eq!(asked(&[("max_execution_time", "30")]).unwrap(), held.replace("time=60", "time=30"));
        assert_eq!(asked(&[("max_execution_time", "90")]).unwrap(), held);
        assert_eq!(asked(&[("result_overflow_mode", "throw")]).unwrap(), held);
        assert_eq!(asked(&[("join_use_nulls", "1")]).unwrap(), format!("join_use_nulls=1 {held}"));
        for pair in [
            ("max_threads", "4"),
            ("max_execution_time", "0"),
            ("max_execution_time", "1e3"),
            ("max_execution_time", "0x10"),
            ("max_execution_time", "+1"),
            ("max_execution_time", " 1"),
            ("max_execution_time", "01"),
            ("max_execution_time", "-1"),
            ("max_execution_time", "1.5"),
            ("max_execution_time", "99999999999999999999"),
            ("max_execution_time", ""),
            ("timeout_overflow_mode", "break"),
            ("result_overflow_mode", "break"),
            ("max_memory_usage", "1"),
            ("select", "1"),
            ("limit", "(select 1)"),
            ("SQL_tenant", "x"),
        ] {
            assert_eq!(asked(&[pair]), Err(Reason::SettingNotAllowed), "{pair:?}");
        }
    }

    #[test]
    fn in_a_statement_a_larger_number_is_refused() {
        let settings = settings(RULE);
        for (name, value, good) in [
            ("max_execution_time", Some("60"), true),
            ("max_execution_time", Some("61"), false),
            ("max_execution_time", Some("0"), false),
            ("max_execution_time", None, false),
            ("join_algorithm", Some("hash"), true),
            ("max_block_size", Some("1"), true),
            ("new_one", Some("1"), true),
            ("max_threads", Some("1"), false),
            ("additional_table_filters", None, false),
            ("limit", Some("10"), true),
            ("limit", Some("10.0"), false),
            ("output_format_json_quote_64bit_integers", Some("1"), true),
            ("output_format_json_quote_64bit_integers", None, false),
        ] {
            assert_eq!(settings.of_statement(name, value).is_ok(), good, "{name} {value:?}");
        }
    }

    #[test]
    fn a_star_opens_nothing_that_is_closed_or_unknown() {
        let settings = settings("{allow: ['*']}");
        for (name, good) in [
            ("max_threads", true),
            ("join_use_nulls", true),
            ("readonly", false),
            ("select", false),
            ("format_schema", false),
            ("log_queries", false),
            ("profile", false),
            ("sql_tenant", false),
            ("not_a_setting", false),
        ] {
            assert_eq!(settings.of_statement(name, Some("1")).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn mistakes_of_a_rule_are_told() {
        for yaml in [
            "{pin: {readonly: 1}}",
            "{cap: {max_threads: 0}}",
            "{pin: {max_threads: 1}, cap: {max_threads: 2}}",
            "{allow: [select]}",
            "{allow: [SQL_tenant]}",
            "{allow: ['a.*']}",
            "{pin: {'a b': 1}}",
        ] {
            let mut problems = Problems::default();
            Settings::check(serde_saphyr::from_str(yaml).unwrap(), "settings", &mut problems);
            assert_eq!(problems.len(), 1, "{yaml}: {problems}");
        }
    }
}
