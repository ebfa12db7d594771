//! Policy files: `*.yaml` in one folder, read in the order of their names, their rules in the order they stand.

use std::collections::{BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::Deserialize;

use super::pattern::Pattern;
use crate::config::{Config, Problems, read_yaml};
use crate::identity::Caller;
use crate::statement::{Effect, Values};

/// One policy file.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WrittenRules {
    /// The rules, the first that fits the caller first.
    pub rules: Vec<WrittenRule>,
}

/// One rule as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WrittenRule {
    /// Its name, in records and log comments.
    pub name: String,
    /// Whom it is meant for.
    pub whom: WrittenWhom,
    /// The name under `clickhouse.users` whose credential is used.
    pub act_as: String,
    /// What it allows; every table of a statement needs one entry that allows it.
    pub allow: Vec<WrittenAllow>,
    /// What stands behind VALUES of an INSERT: `data`, so that ClickHouse evaluates nothing in it, or `expressions`, which are
    /// read and judged like the rest of the statement.
    #[serde(default)]
    pub insert_values: Values,
    /// What a refused caller is told besides.
    pub message: Option<String>,
}

/// Whom a rule is meant for: a caller that fits every key that is there.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WrittenWhom {
    /// The caller is in one of these groups.
    pub groups: Vec<String>,
    /// The caller's token is of one of these providers; any where it is left out.
    pub providers: Option<Vec<String>>,
}

/// What one entry of a rule allows.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WrittenAllow {
    /// `read`, `insert`; default only `read`.
    #[serde(default = "read")]
    pub effects: Vec<String>,
    /// Tables as `database.table`; `*` within a part.
    pub tables: Vec<String>,
    /// Tables that stay closed, whatever any entry of the rule allows.
    #[serde(default)]
    pub deny: Vec<String>,
}

fn read() -> Vec<String> {
    vec![Effect::Read.word().to_owned()]
}

/// Every rule, in order.
#[derive(Debug, Default)]
pub struct Rules(Vec<Rule>);

/// One rule.
#[derive(Debug)]
pub struct Rule {
    pub(super) name: String,
    pub(super) groups: BTreeSet<String>,
    pub(super) providers: Option<BTreeSet<String>>,
    pub(super) act_as: String,
    /// The database of names without one, by the user that it acts as.
    pub(super) database: String,
    pub(super) allow: Vec<Allow>,
    pub(super) deny: Vec<Pattern>,
    pub(super) insert_values: Values,
    pub(super) message: Option<String>,
}

#[derive(Debug)]
pub(super) struct Allow {
    pub(super) effects: Vec<Effect>,
    pub(super) tables: Vec<Pattern>,
}

impl Rules {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What stands behind VALUES of this caller's INSERTs: it has to be known before they are read.
    pub fn values_of(&self, caller: &Caller) -> Values {
        self.for_caller(caller).map_or(Values::Data, |rule| rule.insert_values)
    }

    /// The name of the rule that judges this caller.
    pub fn rule_for(&self, caller: &Caller) -> Option<&str> {
        self.for_caller(caller).map(|rule| rule.name.as_str())
    }

    /// The first that is meant for the caller.
    pub(super) fn for_caller(&self, caller: &Caller) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.fits(caller))
    }
}

impl Rule {
    fn fits(&self, caller: &Caller) -> bool {
        self.providers.as_ref().is_none_or(|providers| providers.contains(&caller.provider))
            && caller.groups.iter().any(|group| self.groups.contains(group))
    }
}

/// Reads the folder. Mistakes of all files are told together.
pub fn load(config: &Config, problems: &mut Problems) -> Rules {
    let folder = &config.policies;
    let mut files: Vec<_> = match std::fs::read_dir(folder) {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"))
            .collect(),
        Err(error) => {
            problems.add("policies", format!("{} cannot be read ({error}); write a folder with *.yaml files", folder.display()));
            return Rules::default();
        }
    };
    files.sort();
    if files.is_empty() {
        problems.add("policies", format!("{} has no *.yaml file; without a rule nobody may do anything", folder.display()));
    }
    let mut names = HashMap::new();
    let mut rules = Vec::new();
    for file in files {
        let Some(written) = read_yaml::<WrittenRules>(&file, problems) else { continue };
        for (index, rule) in written.rules.into_iter().enumerate() {
            let place = format!("{}: rules[{index}]", file.display());
            if let Some(other) = names.insert(rule.name.clone(), place.clone()) {
                problems.add(format!("{place}.name"), format!("`{}` is the name of {other} too; records could not tell them apart", rule.name));
            }
            rules.push(check(rule, &place, config, problems));
        }
    }
    Rules(rules)
}

fn check(written: WrittenRule, place: &str, config: &Config, problems: &mut Problems) -> Rule {
    if written.name.is_empty() || written.name.len() > 100 || written.name.contains(char::is_control) {
        problems.add(format!("{place}.name"), "is empty, longer than 100 bytes or holds control characters; write a short name");
    }
    if written.whom.groups.is_empty() {
        problems.add(format!("{place}.whom.groups"), "is empty, so the rule is meant for nobody; write at least one group");
    }
    for provider in written.whom.providers.iter().flatten() {
        if !config.provider_names.contains(provider) {
            problems.add(format!("{place}.whom.providers"), format!("there is no provider `{provider}`; write names of identity_providers"));
        }
    }
    if !config.user_names.contains(&written.act_as) {
        let known: Vec<&str> = config.user_names.iter().map(String::as_str).collect();
        problems
            .add(format!("{place}.act_as"), format!("there is no `{}` under clickhouse.users; write one of: {}", written.act_as, known.join(", ")));
    }
    if written.allow.is_empty() {
        problems.add(format!("{place}.allow"), "is empty, so the rule refuses everything; write at least one entry");
    }
    let mut deny = Vec::new();
    let mut allow = Vec::new();
    for (index, entry) in written.allow.into_iter().enumerate() {
        let place = format!("{place}.allow[{index}]");
        deny.extend(patterns(&entry.deny, &format!("{place}.deny"), problems));
        if entry.effects.is_empty() || entry.tables.is_empty() {
            problems.add(&place, "allows nothing; write effects (or leave them out, for `read`) and tables");
        }
        allow.push(Allow {
            effects: effects(&entry.effects, &format!("{place}.effects"), problems),
            tables: patterns(&entry.tables, &format!("{place}.tables"), problems),
        });
    }
    Rule {
        name: written.name,
        groups: written.whom.groups.into_iter().collect(),
        providers: written.whom.providers.map(|providers| providers.into_iter().collect()),
        database: config.users.get(&written.act_as).map(|user| user.database.clone()).unwrap_or_default(),
        act_as: written.act_as,
        allow,
        deny,
        insert_values: written.insert_values,
        message: written.message,
    }
}

fn patterns(written: &[String], place: &str, problems: &mut Problems) -> Vec<Pattern> {
    let mut read = Vec::new();
    for text in written {
        match Pattern::read(text) {
            Some(pattern) => read.push(pattern),
            None => problems.add(place, format!("`{text}` is no table; write database.table, with * within a part where you mean many")),
        }
    }
    read
}

/// Only effects whose reach is understood can be allowed.
fn effects(written: &[String], place: &str, problems: &mut Problems) -> Vec<Effect> {
    let mut read = Vec::new();
    for word in written {
        match word.as_str() {
            "read" => read.push(Effect::Read),
            "insert" => read.push(Effect::Insert),
            "change" | "define" | "administer" | "session" => {
                problems.add(place, format!("`{word}` cannot be allowed yet: what such statements reach is not read; write read or insert"));
            }
            _ => problems.add(place, format!("`{word}` is no effect; write read or insert")),
        }
    }
    read
}
