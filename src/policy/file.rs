//! Policy files: `*.yaml` in one folder, read in the order of their names, their rules in the order they stand.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::index::Index;
use super::rule::{self, Rule, WrittenRule};
use super::whom::Asking;
use crate::catalog::{self, Setting};
use crate::config::{Config, Problems, read_yaml};
use crate::statement::Values;

/// One policy file.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WrittenRules {
    /// The rules, the first that fits the caller first.
    pub rules: Vec<WrittenRule>,
}

/// What the names of a rule have to be among.
#[derive(Clone, Copy)]
pub enum Names<'a> {
    /// Those of this config.
    Of(&'a Config),
    /// Anything: the rules are tried alone.
    Any,
}

impl Names<'_> {
    pub(super) fn has_provider(self, name: &str) -> bool {
        match self {
            Self::Of(config) => config.provider_names.contains(name),
            Self::Any => true,
        }
    }

    pub(super) fn has_service_account(self, name: &str) -> bool {
        match self {
            Self::Of(config) => config.service_accounts.iter().any(|account| account.name == name),
            Self::Any => true,
        }
    }

    /// The users that there are, where this one is not among them.
    pub(super) fn other_users(self, name: &str) -> Option<Vec<String>> {
        match self {
            Self::Of(config) => (!config.user_names.contains(name)).then(|| config.user_names.iter().cloned().collect()),
            Self::Any => None,
        }
    }

    /// The database of names without one.
    pub(super) fn database(self, user: &str) -> String {
        match self {
            Self::Of(config) => config.users.get(user).map(|user| user.database.clone()).unwrap_or_default(),
            Self::Any => "default".to_owned(),
        }
    }
}

/// Every rule, in order.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    index: Index,
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

    /// One by one, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Every claim that some rule asks for or is filled in from.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(Rule::claims)
    }

    /// Every setting that statements of this `act_as` may be sent with.
    pub fn settings_of(&self, act_as: &str) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for name in catalog::settings().filter(|name| matches!(catalog::setting(name), Setting::Base | Setting::Count | Setting::Overflow)) {
            names.insert(name);
        }
        names.extend(self.rules.iter().filter(|rule| *rule.act_as == *act_as).flat_map(Rule::sends));
        names
    }

    /// The first rule that is meant for the caller, or the one that they ask for, where it is and all before it may be skipped.
    pub fn choose(&self, asking: &Asking<'_>) -> Choice<'_> {
        let candidates = self.index.candidates(asking.caller).filter_map(|number| self.rules.get(number));
        let mut fitting = candidates.filter(|rule| rule.whom.fits(asking));
        let Some(wanted) = asking.rule else { return fitting.next().map_or(Choice::Nobody, Choice::Rule) };
        for rule in fitting {
            if *rule.name == *wanted {
                return Choice::Rule(rule);
            }
            if !rule.may_be_skipped {
                break;
            }
        }
        Choice::NotAvailable
    }
}

/// The policy files of a folder, in the order in which they are read.
///
/// # Errors
/// Where the folder cannot be read.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut files: Vec<PathBuf> = entries.filter(|path| is_yaml(path) && !is_test(path)).collect();
    files.sort();
    Ok(files)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Whether the file holds tests of rules, `NAME.test.yaml`, and no rules.
pub fn is_test(path: &Path) -> bool {
    is_yaml(path) && path.file_stem().is_some_and(|stem| Path::new(stem).extension().is_some_and(|extension| extension == "test"))
}

/// Reads the folder. Mistakes of all files are told together.
pub fn load(folder: &Path, known: Names<'_>, problems: &mut Problems) -> Rules {
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
            if let Some(other) = names.insert(rule.name.value.clone(), place.clone()) {
                problems.add(format!("{place}.name"), format!("`{}` is the name of {other} too; records could not tell them apart", rule.name.value));
            }
            rules.push(rule::check(rule, &file, &place, known, problems));
        }
    }
    Rules::new(rules)
}
