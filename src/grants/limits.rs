//! Settings: what stays as it is whoever asks, and what Keyhouse has to be able to send.

use std::collections::BTreeSet;

use super::Holder;
use crate::catalog::{self, Setting};

/// What becomes of one setting of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its name.
    pub name: String,
    /// Its value, where it gets one.
    pub value: Option<String>,
    /// Who may change it.
    pub hold: Hold,
}

/// Who may change a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Nobody.
    Const,
    /// Who stays between two numbers.
    Between(u64, u64),
    /// Anybody: Keyhouse sends it.
    Free,
}

/// Settings that hold SQL or say what a statement without FROM or with a bare name reads, at what a server has by itself; since
/// 26.8 each is also a parameter of the address. Not `database` and `default_format`, which Keyhouse sends, nor `limit` and
/// `offset`, which are numbers and callers' own: a constant makes 26.9 refuse the parameter too (452).
const OF_THE_ADDRESS: [(&str, &str); 10] = [
    ("select", ""),
    ("filter", ""),
    ("order", ""),
    ("sort", ""),
    ("page", "0"),
    ("format", ""),
    ("input_format", ""),
    ("output_format", ""),
    ("compression", ""),
    ("implicit_table_at_top_level", ""),
];

/// Sent by Keyhouse with values of its own, or judged by ClickHouse itself; `profile` is no setting of a profile.
const SENT: [&str; 5] = ["readonly", "log_comment", "database", "default_format", "profile"];

/// The limits of one of these users, but for [`closed`]; `has` says which settings the server has.
pub fn limits(holder: &Holder<'_>, holders: &[Holder<'_>], has: impl Fn(&str) -> bool) -> Vec<Limit> {
    let mut limits = own(holder);
    // What another user is sent stands not among what is closed to all.
    let others: BTreeSet<String> = holders.iter().flat_map(own).map(|limit| limit.name).collect();
    let others = others.into_iter().filter(|name| is_closed(name) && !limits.iter().any(|limit| limit.name == *name));
    let others: Vec<Limit> = others.map(|name| Limit { name, value: None, hold: Hold::Const }).collect();
    limits.extend(others);
    // A second lock behind Keyhouse's own reading: 2 takes every setting but this one. Who also writes is sent it with reads.
    if holder.only_reads() {
        limits.push(Limit { name: "readonly".to_owned(), value: Some("2".to_owned()), hold: Hold::Free });
    }
    limits.retain(|limit| has(&limit.name));
    limits
}

/// What its own rules come to.
fn own(holder: &Holder<'_>) -> Vec<Limit> {
    let mut limits = Vec::new();
    let fixed = |name: &str, value: &str| Limit { name: name.to_owned(), value: Some(value.to_owned()), hold: Hold::Const };
    let free = |name: &str| Limit { name: name.to_owned(), value: None, hold: Hold::Free };
    let rules = &holder.rules;
    let names = |of: &dyn Fn(&crate::policy::Means<'_>) -> Vec<String>| rules.iter().flat_map(of).collect::<BTreeSet<String>>();
    for name in names(&|rule| rule.pins.keys().cloned().collect()) {
        let values: BTreeSet<Option<&String>> = rules.iter().map(|rule| rule.pins.get(&name)).collect();
        limits.push(match values.first() {
            Some(Some(value)) if values.len() == 1 => fixed(&name, value),
            _ => free(&name),
        });
    }
    for name in names(&|rule| rule.caps.keys().cloned().collect()) {
        let most: Option<Vec<u64>> = rules.iter().map(|rule| rule.caps.get(&name).copied()).collect();
        limits.push(match most.and_then(|most| most.into_iter().max()) {
            Some(most) if !limits.iter().any(|limit| limit.name == name) => {
                Limit { name, value: Some(most.to_string()), hold: Hold::Between(1, most) }
            }
            _ => free(&name),
        });
    }
    for mode in names(&|rule| rule.modes.iter().map(|mode| (*mode).to_owned()).collect()) {
        let all = rules.iter().all(|rule| rule.modes.contains(mode.as_str()));
        limits.push(if all { fixed(&mode, "throw") } else { free(&mode) });
    }
    let known: BTreeSet<String> = limits.iter().map(|limit| limit.name.clone()).collect();
    let mut ours = OF_THE_ADDRESS.map(|(name, value)| fixed(name, value)).to_vec();
    ours.push(fixed("dialect", "clickhouse"));
    ours.push(fixed("enable_global_with_statement", "1"));
    let expressions = rules.iter().any(|rule| rule.expressions);
    for name in ["input_format_values_interpret_expressions", "input_format_values_deduce_templates_of_expressions"] {
        ours.push(if expressions { free(name) } else { fixed(name, "0") });
    }
    if rules.iter().any(|rule| !rule.rows.is_empty()) {
        ours.push(free("additional_table_filters"));
    }
    limits.extend(ours.into_iter().filter(|limit| !known.contains(&limit.name)));
    limits
}

/// Nobody's to change; two of them only the engine within Python has.
fn is_closed(name: &str) -> bool {
    catalog::setting(name) == Setting::Forbidden && !SENT.contains(&name) && name != "chdb_client_name" && name != "allow_python_table_function"
}

/// Settings that no rule can give and none of these users is sent, as their profile has them.
pub fn closed(holders: &[Holder<'_>], has: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let own: BTreeSet<String> = holders.iter().flat_map(own).map(|limit| limit.name).collect();
    let closed: BTreeSet<&str> = catalog::settings().filter(|name| is_closed(name) && !own.contains(*name) && has(name)).collect();
    closed.into_iter().collect()
}
