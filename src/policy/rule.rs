//! One rule: as it is written, and as it is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::file::Names;
use super::keeping::{Keeping, WrittenAnswers};
use super::names::{Calls, Named};
use super::pattern::Pattern;
use super::rows::{self, Rows};
use super::session::{Sessions, WrittenSessions};
use super::settings::{Settings, WrittenSettings};
use super::template::Template;
use super::whom::{self, Whom, WrittenWhom};
use crate::catalog;
use crate::config::share::WrittenShares;
use crate::config::{Problems, Shares};
use crate::digest::sha256;
use crate::statement::{Effect, Values};

/// One rule as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WrittenRule {
    /// Its name, in records and log comments.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// Whom it is meant for.
    pub whom: WrittenWhom,
    /// The name under `clickhouse.users` whose credential is used.
    pub act_as: String,
    /// Roles of that user that are active (`role=`, ClickHouse 24.4 and later); a caller's `role=` picks some of them. Left out:
    /// the user's own default roles, and no `role=` of a caller.
    #[serde(default)]
    pub roles: Vec<String>,
    /// By what ClickHouse counts for a quota `KEYED BY client_key`, as `{username}`; places as in `session_settings`.
    pub quota_key: Option<String>,
    /// What it allows; every object of a statement needs one entry that allows it.
    pub allow: Vec<WrittenAllow>,
    /// What stands behind VALUES of an INSERT: `data`, so that ClickHouse evaluates nothing in it, or `expressions`, which are
    /// read and judged like the rest of the statement.
    #[serde(default)]
    pub insert_values: Values,
    /// How much of database `system` (and `information_schema`) is open: `none`, what every server of a version has in common;
    /// `names`, also databases, tables, columns and functions, as far as ClickHouse's grants show them, which most clients read
    /// when they connect; `all`.
    #[serde(default)]
    pub system: Openness,
    /// Under which settings statements run.
    #[serde(default)]
    pub settings: WrittenSettings,
    /// Settings that row policies and views ask for (`getSetting('SQL_tenant')`), with a value of the caller's, as
    /// `{claims.tenant}`; also `{username}`, `{subject}`, `{provider}`. Only Keyhouse can set them.
    #[serde(default)]
    pub session_settings: BTreeMap<String, String>,
    /// Which rows of a table are seen, as `region IN {claims.regions}`: values of the caller's as literals, behind IN as a list.
    /// Statements that could read around it are refused. A ROW POLICY of ClickHouse is stronger.
    #[serde(default)]
    pub rows: BTreeMap<String, String>,
    /// How much may be asked by this rule.
    #[serde(default)]
    pub admission: WrittenShares,
    /// Keeps answers of reads, so that what is asked again and again is answered without ClickHouse. Left out: none.
    pub answers: Option<WrittenAnswers>,
    /// Gives callers sessions of ClickHouse (`session_id`), each of one caller alone: temporary tables, which are judged as tables of the
    /// current database, and `SET`, for entries with the effect `session`. Left out: none, and `session_id` is not sent.
    pub sessions: Option<WrittenSessions>,
    /// What a refused caller is told besides.
    pub message: Option<String>,
    /// Whom a refused caller is told to ask.
    pub owner: Option<String>,
    /// Whether a caller may pass this rule over for a later one, by its name in `X-Keyhouse-Rule`.
    #[serde(default)]
    pub may_be_skipped: bool,
    /// Whether its verdicts are only recorded: what it would refuse passes, under its own `act_as`. Statements that cannot be
    /// read and settings that nobody may set stay refused.
    #[serde(default)]
    pub observe: bool,
}

/// What one entry of a rule allows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct WrittenAllow {
    /// What is done with the objects of this entry: `read`, `insert`, `change`, `define`, `administer`, `session`; default only
    /// `read`.
    #[serde(default = "read")]
    pub effects: Vec<String>,
    /// Tables as `database.table`; `*` within a part.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Databases as a whole: all their tables, and what is done with the database itself.
    #[serde(default)]
    pub databases: Vec<String>,
    /// Tables that stay closed, whatever any entry of the rule allows.
    #[serde(default)]
    pub deny: Vec<String>,
    /// Dictionaries as `database.dictionary`, for the functions and the table function that read them.
    #[serde(default)]
    pub dictionaries: Vec<String>,
    /// Functions besides those that compute on their arguments alone: by name, or `class:sleep` for all of a class.
    #[serde(default)]
    pub functions: Vec<String>,
    /// Table functions besides those that make numbers: by name, or `class:data` for all of a class.
    #[serde(default)]
    pub table_functions: Vec<String>,
    /// Formats of answers, `*` for any characters; left out: all that need nothing but the data.
    #[serde(default)]
    pub formats: Vec<String>,
    /// Formats of the data of INSERTs, in the same way.
    #[serde(default)]
    pub insert_formats: Vec<String>,
    /// Whether objects may be named by something that is worked out when the statement runs. Only ClickHouse's grants hold
    /// what is reached so.
    #[serde(default)]
    pub computed_names: bool,
}

fn read() -> Vec<String> {
    vec![Effect::Read.word().to_owned()]
}

/// How much of database `system` is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Openness {
    /// What every server of a version has in common.
    None,
    /// Names of databases, tables, columns and functions too.
    #[default]
    Names,
    /// All of it.
    All,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    pub(super) name: Arc<str>,
    /// File and line.
    pub(super) place: String,
    pub(super) whom: Whom,
    pub(super) may_be_skipped: bool,
    pub(super) observe: bool,
    pub(super) act_as: Arc<str>,
    pub(super) roles: Vec<String>,
    pub(super) quota_key: Option<Template>,
    /// The database of names without one, by the user that it acts as.
    pub(super) database: Arc<str>,
    pub(super) allow: Vec<Allow>,
    pub(super) deny: Vec<Pattern>,
    pub(super) insert_values: Values,
    pub(super) system: Openness,
    pub(super) settings: Settings,
    pub(super) session_settings: BTreeMap<String, Template>,
    pub(super) rows: Rows,
    /// How much may be asked by it, where it says so.
    pub(super) admission: Option<Arc<Shares>>,
    pub(super) answers: Option<Arc<Keeping>>,
    pub(super) sessions: Option<Sessions>,
    /// SHA-256 of all that it says but for its answers.
    pub(super) digest: [u8; 32],
    pub(super) message: Option<String>,
    pub(super) owner: Option<String>,
}

#[derive(Debug)]
pub(super) struct Allow {
    pub(super) effects: Vec<Effect>,
    pub(super) tables: Vec<Pattern>,
    pub(super) dictionaries: Vec<Pattern>,
    pub(super) functions: Calls,
    pub(super) table_functions: Calls,
    pub(super) formats: Named,
    pub(super) insert_formats: Named,
    pub(super) computed_names: bool,
}

impl Rule {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name under `clickhouse.users` whose credential is used.
    pub fn act_as(&self) -> &str {
        &self.act_as
    }

    /// Where it is written: file and line.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Every setting that its statements may be sent with, but for custom ones.
    pub(super) fn sends(&self) -> BTreeSet<&str> {
        let mut names = self.settings.names();
        names.extend(rows::SETTINGS.iter().filter(|_| !self.rows.is_empty()));
        names
    }

    /// Every claim that it asks for or is filled in from.
    pub(super) fn claims(&self) -> impl Iterator<Item = &str> {
        let templates = self.session_settings.values().chain(&self.quota_key).flat_map(Template::claims);
        self.whom.claims.keys().map(String::as_str).chain(templates).chain(self.rows.claims())
    }
}

/// Checks what is written at this place of a policy file.
pub(super) fn check(written: WrittenRule, file: &Path, place: &str, known: Names<'_>, problems: &mut Problems) -> Rule {
    let line = written.name.referenced.line();
    let name = written.name.value;
    if name.is_empty() || name.len() > 100 || name.contains(char::is_control) {
        problems.add(format!("{place}.name"), "is empty, longer than 100 bytes or holds control characters; write a short name");
    }
    let whom = whom::check(written.whom, &format!("{place}.whom"), known, problems);
    if let Some(others) = known.other_users(&written.act_as) {
        problems
            .add(format!("{place}.act_as"), format!("there is no `{}` under clickhouse.users; write one of: {}", written.act_as, others.join(", ")));
    }
    if written.allow.is_empty() {
        problems.add(format!("{place}.allow"), "is empty, so the rule refuses everything; write at least one entry");
    }
    for role in written.roles.iter().filter(|role| role.is_empty() || role.contains(char::is_control)) {
        problems.add(format!("{place}.roles"), format!("`{}` is no name of a role", role.escape_debug()));
    }
    let mut deny = Vec::new();
    let mut allow = Vec::new();
    for (index, entry) in written.allow.into_iter().enumerate() {
        let place = format!("{place}.allow[{index}]");
        deny.extend(patterns(&entry.deny, &format!("{place}.deny"), problems));
        allow.push(entry_of(&entry, &place, problems));
    }
    let mut template = |key: String, text: &str| Template::read(text).map_err(|says| problems.add(key, says)).ok();
    let quota_key = written.quota_key.and_then(|text| template(format!("{place}.quota_key"), &text));
    let mut session_settings = BTreeMap::new();
    for (name, text) in written.session_settings {
        if let Some(template) = template(format!("{place}.session_settings.{name}"), &text) {
            session_settings.insert(name, template);
        }
    }
    for name in session_settings.keys().filter(|name| !is_custom(name)) {
        let says = "is no custom setting; write a name with the prefix that the server's custom_settings_prefixes has, as SQL_tenant";
        problems.add(format!("{place}.session_settings.{name}"), says);
    }
    for name in session_settings.keys().filter(|name| written.settings.allow.contains(name)) {
        problems.add(format!("{place}.settings.allow"), format!("`{name}` is one of session_settings, which callers never set; leave it out"));
    }
    let filters = !written.rows.is_empty();
    let rows = Rows::check(written.rows, &format!("{place}.rows"), problems);
    if filters && allow.iter().flat_map(|entry| &entry.effects).any(|effect| !matches!(effect, Effect::Read | Effect::Insert)) {
        problems.add(format!("{place}.rows"), "hold in reads alone, and the rule allows more than read and insert; write two rules");
    }
    if written.observe {
        problems.warn(format!("{place}.observe"), format!("rule `{name}` is observed and not enforced: what it would refuse passes"));
    }
    let mut rule = Rule {
        name: name.into(),
        // Where it stands is no part of what it says.
        place: String::new(),
        whom,
        may_be_skipped: written.may_be_skipped,
        observe: written.observe,
        roles: written.roles,
        quota_key,
        database: known.database(&written.act_as).into(),
        act_as: written.act_as.into(),
        allow,
        deny,
        insert_values: written.insert_values,
        system: written.system,
        settings: Settings::check(written.settings, &format!("{place}.settings"), problems),
        session_settings,
        rows,
        admission: Some(written.admission.check(&format!("{place}.admission"), problems)).filter(|shares| !shares.are_open()).map(Arc::new),
        answers: None,
        sessions: written.sessions.map(|written| Sessions::check(&written, &format!("{place}.sessions"), problems)),
        digest: [0; 32],
        message: written.message,
        owner: written.owner,
    };
    rule.digest = sha256(format!("{rule:?}").as_bytes());
    rule.answers = written.answers.map(|written| Arc::new(Keeping::check(written, &format!("{place}.answers"), &rule, problems)));
    rule.place = format!("{}:{line}", file.display());
    rule
}

/// ClickHouse's own settings have no capitals, and a custom one has a prefix.
fn is_custom(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && name.starts_with(|c: char| c.is_ascii_alphabetic());
    plain && name.len() <= 100 && name.contains('_') && (!catalog::is_setting_name(name) || catalog::setting(name) == catalog::Setting::Unknown)
}

fn entry_of(entry: &WrittenAllow, place: &str, problems: &mut Problems) -> Allow {
    let effects = effects(&entry.effects, &format!("{place}.effects"), problems);
    let mut tables = patterns(&entry.tables, &format!("{place}.tables"), problems);
    let databases: Vec<String> = entry.databases.iter().map(|database| format!("{database}.*")).collect();
    tables.extend(patterns(&databases, &format!("{place}.databases"), problems));
    let named =
        [&entry.tables, &entry.databases, &entry.dictionaries, &entry.functions, &entry.table_functions, &entry.formats, &entry.insert_formats];
    let without_objects = effects.iter().any(|effect| matches!(effect, Effect::Administer | Effect::Session));
    let says_something = without_objects || entry.computed_names || named.iter().any(|names| !names.is_empty());
    if effects.is_empty() || !says_something {
        problems.add(place, "allows nothing; write effects (or leave them out, for `read`) and tables");
    }
    Allow {
        effects,
        tables,
        dictionaries: patterns(&entry.dictionaries, &format!("{place}.dictionaries"), problems),
        functions: Calls::of_functions(&entry.functions, &format!("{place}.functions"), problems),
        table_functions: Calls::of_table_functions(&entry.table_functions, &format!("{place}.table_functions"), problems),
        formats: Named::check(&entry.formats, &format!("{place}.formats"), problems),
        insert_formats: Named::check(&entry.insert_formats, &format!("{place}.insert_formats"), problems),
        computed_names: entry.computed_names,
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

fn effects(written: &[String], place: &str, problems: &mut Problems) -> Vec<Effect> {
    let mut read = Vec::new();
    for word in written {
        match Effect::ALL.iter().find(|effect| effect.word() == word) {
            Some(effect) => read.push(*effect),
            None => problems.add(place, format!("`{word}` is no effect; write read, insert, change, define, administer or session")),
        }
    }
    read
}
