//! Policy files: `*.yaml` in one folder, read in the order of their names, their rules in the order they stand.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::index::Index;
use super::pattern::Pattern;
use super::whom::{self, Asking, Whom, WrittenWhom};
use crate::config::{Config, Problems, read_yaml};
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
    /// Whether a caller may pass this rule over for a later one, by its name in `X-Keyhouse-Rule`.
    #[serde(default)]
    pub may_be_skipped: bool,
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
pub struct Rules {
    rules: Vec<Rule>,
    index: Index,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    pub(super) name: String,
    whom: Whom,
    may_be_skipped: bool,
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

/// The rule that judges a request, chosen before its statement is read.
#[derive(Debug, Clone, Copy)]
pub enum Choice<'a> {
    /// This one.
    Rule(&'a Rule),
    /// No rule is meant for the caller.
    Nobody,
    /// The one that the caller asks for is not meant for them, or stands behind one that may not be skipped.
    NotAvailable,
}

impl Choice<'_> {
    /// What stands behind VALUES of the caller's INSERTs: it has to be known before they are read.
    pub fn values(self) -> Values {
        match self {
            Choice::Rule(rule) => rule.insert_values,
            Choice::Nobody | Choice::NotAvailable => Values::Data,
        }
    }
}

impl Rules {
    fn new(rules: Vec<Rule>) -> Self {
        let index = Index::of(rules.iter().map(|rule| &rule.whom));
        Self { rules, index }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Every claim that some rule asks for.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| rule.whom.claims.keys().map(String::as_str))
    }

    /// The first rule that is meant for the caller, or the one that they ask for, where it is and all before it may be skipped.
    pub fn choose(&self, asking: &Asking<'_>) -> Choice<'_> {
        let candidates = self.index.candidates(asking.caller).filter_map(|number| self.rules.get(number));
        let mut fitting = candidates.filter(|rule| rule.whom.fits(asking));
        let Some(wanted) = asking.rule else { return fitting.next().map_or(Choice::Nobody, Choice::Rule) };
        for rule in fitting {
            if rule.name == wanted {
                return Choice::Rule(rule);
            }
            if !rule.may_be_skipped {
                break;
            }
        }
        Choice::NotAvailable
    }
}

impl Rule {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The policy files of a folder, in the order in which they are read.
///
/// # Errors
/// Where the folder cannot be read.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")).collect();
    files.sort();
    Ok(files)
}

/// Reads the folder. Mistakes of all files are told together.
pub fn load(config: &Config, problems: &mut Problems) -> Rules {
    let folder = &config.policies;
    let files = match files(folder) {
        Ok(files) => files,
        Err(error) => {
            problems.add("policies", format!("{} cannot be read ({error}); write a folder with *.yaml files", folder.display()));
            return Rules::default();
        }
    };
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
    Rules::new(rules)
}

fn check(written: WrittenRule, place: &str, config: &Config, problems: &mut Problems) -> Rule {
    if written.name.is_empty() || written.name.len() > 100 || written.name.contains(char::is_control) {
        problems.add(format!("{place}.name"), "is empty, longer than 100 bytes or holds control characters; write a short name");
    }
    let whom = whom::check(written.whom, &format!("{place}.whom"), config, problems);
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
        whom,
        may_be_skipped: written.may_be_skipped,
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
