//! What a rule means, told to those who set up ClickHouse for it: grants, constraints and the questions of `check --live`.

use std::collections::{BTreeMap, BTreeSet};

use super::base;
use super::pattern::Pattern;
use super::rule::{Openness, Rule};
use super::settings::Sent;
use crate::catalog;
use crate::statement::{Effect, Values};

/// A rule as far as ClickHouse has a part in it.
#[derive(Debug)]
pub struct Means<'a> {
    /// Its name.
    pub name: &'a str,
    /// File and line.
    pub place: &'a str,
    /// The name under `clickhouse.users`.
    pub act_as: &'a str,
    /// Roles that are active; none where the user's own default ones are.
    pub roles: &'a [String],
    /// What is done with which tables.
    pub tables: Vec<(Effect, &'a Pattern)>,
    /// Tables that stay closed.
    pub deny: &'a [Pattern],
    /// Dictionaries that functions read.
    pub dictionaries: Vec<&'a Pattern>,
    /// Every effect of it.
    pub effects: BTreeSet<&'static str>,
    /// Functions that it names, of other classes than the base; classes as `class:NAME`.
    pub functions: BTreeSet<String>,
    /// Table functions that it names, each with the word of the effect; classes as `class:NAME`.
    pub table_functions: BTreeSet<(&'static str, String)>,
    /// Whether names may be worked out at run time.
    pub computed_names: bool,
    /// How much of `system` is open.
    pub system: Openness,
    /// Settings with one value.
    pub pins: &'a BTreeMap<String, String>,
    /// Settings with a most.
    pub caps: &'a BTreeMap<String, u64>,
    /// Overflow modes that are `throw`.
    pub modes: &'a BTreeSet<&'static str>,
    /// Custom settings, and what they are filled in from.
    pub session_settings: Vec<(&'a str, String)>,
    /// Tables with filters, and the filters as they are written.
    pub rows: Vec<(String, String)>,
    /// Whether what stands behind VALUES may be expressions.
    pub expressions: bool,
    /// Whether it only observes.
    pub observe: bool,
    /// What goes with every statement that it permits, whoever asks and whatever else they ask for.
    pub always_sent: Vec<Sent>,
}

impl Rule {
    /// What it means to ClickHouse.
    pub fn means(&self) -> Means<'_> {
        let mut always_sent = self.settings.sent(&[]);
        always_sent.extend(self.rows.sent_to_all());
        let entries = || self.allow.iter().flat_map(|entry| entry.effects.iter().map(move |effect| (entry, *effect)));
        let named = entries().flat_map(|(entry, effect)| entry.table_functions.written().map(move |name| (effect.word(), name)));
        Means {
            name: &self.name,
            place: &self.place,
            act_as: &self.act_as,
            roles: &self.roles,
            tables: entries().flat_map(|(entry, effect)| entry.tables.iter().map(move |pattern| (effect, pattern))).collect(),
            deny: &self.deny,
            dictionaries: self.allow.iter().flat_map(|entry| &entry.dictionaries).collect(),
            effects: entries().map(|(_, effect)| effect.word()).collect(),
            functions: self.allow.iter().flat_map(|entry| entry.functions.written()).collect(),
            table_functions: named.filter(|(_, name)| !catalog::is_base_table_function(name)).collect(),
            computed_names: self.allow.iter().any(|entry| entry.computed_names),
            system: self.system,
            pins: self.settings.pins(),
            caps: self.settings.caps(),
            modes: self.settings.modes(),
            session_settings: self.session_settings.iter().map(|(name, template)| (name.as_str(), template.to_string())).collect(),
            rows: self.rows.written().collect(),
            expressions: self.insert_values == Values::Expressions,
            observe: self.observe,
            always_sent,
        }
    }
}

/// Tables of the server's own that are open so far, as `database.table` or `database.*`.
pub fn open_tables(openness: Openness) -> Vec<(&'static str, &'static str)> {
    match openness {
        Openness::None => base::TABLES.iter().map(|table| ("system", *table)).collect(),
        Openness::Names => {
            let names = base::TABLES.iter().chain(&base::NAMES).map(|table| ("system", *table));
            names.chain([("INFORMATION_SCHEMA", "*"), ("information_schema", "*")]).collect()
        }
        Openness::All => vec![("system", "*"), ("INFORMATION_SCHEMA", "*"), ("information_schema", "*")],
    }
}

/// Whether tables of the engine are read in the plain way, so that a filter which comes with the query holds.
pub fn is_filtered_engine(name: &str) -> bool {
    name.ends_with("MergeTree") && base::is_plain_engine(name)
}
