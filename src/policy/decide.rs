//! The decision, and the sealed yes.

use std::sync::Arc;

use http::Method;

use super::base;
use super::file::Choice;
use super::keeping::Keeping;
use super::pattern::Pattern;
use super::rule::{Allow, Rule};
use super::session::{self, Session, Under};
use super::settings::{self, Sent, Why};
use crate::catalog::{self, Format};
use crate::config::Shares;
use crate::identity::Caller;
use crate::refusal::{Reason, Refusal};
use crate::statement::{Data, Effect, Name, Reach, Statement, Understood, Upload, Via};

/// The yes to one statement: whose credential carries it, in which database, under which settings, by which rule. Only
/// [`decide`] makes one.
///
/// ```compile_fail,E0451
/// let permit = keyhouse::policy::Permit { rule: "".into(), ..unreachable!() };
/// ```
#[derive(Debug)]
pub struct Permit {
    rule: Arc<str>,
    act_as: Arc<str>,
    roles: Vec<String>,
    quota_key: Option<String>,
    database: Arc<str>,
    settings: Vec<Sent>,
    admission: Option<Arc<Shares>>,
    answers: Option<Arc<Keeping>>,
    session: Option<Box<Session>>,
    kills: Option<Box<Kill>>,
    observed: Option<Refusal>,
}

/// A `KILL QUERY` that names one query by its id.
#[derive(Debug)]
pub struct Kill {
    /// What the caller calls it.
    pub query_id: String,
    /// `SYNC` or `ASYNC`.
    pub mode: Option<&'static str>,
    /// Whether it is for the caller's own queries alone: the rule does not let its callers administer.
    pub own_alone: bool,
}

impl Permit {
    /// The rule that said yes.
    pub fn rule(&self) -> &Arc<str> {
        &self.rule
    }

    /// The name under `clickhouse.users`.
    pub fn act_as(&self) -> &Arc<str> {
        &self.act_as
    }

    /// The roles that are active; none where the user's own default ones are.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// By what ClickHouse counts for its quotas.
    pub fn quota_key(&self) -> Option<&str> {
        self.quota_key.as_deref()
    }

    /// The database of names without one: the one that was judged.
    pub fn database(&self) -> &Arc<str> {
        &self.database
    }

    /// The settings of the rule and those of the address that it lets through, each once.
    pub fn settings(&self) -> &[Sent] {
        &self.settings
    }

    /// How much may be asked by the rule, where it says so.
    pub fn admission(&self) -> Option<&Arc<Shares>> {
        self.admission.as_ref()
    }

    /// Which answers the rule keeps, where it does.
    pub fn answers(&self) -> Option<&Arc<Keeping>> {
        self.answers.as_ref()
    }

    /// The session of ClickHouse that it runs in, where the caller asks for one and the rule gives one.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// The query that it ends, where it names one by its id.
    pub fn kills(&self) -> Option<&Kill> {
        self.kills.as_deref()
    }

    /// The no that a rule under observation would have said.
    pub fn observed(&self) -> Option<&Refusal> {
        self.observed.as_ref()
    }
}

/// A permit with the statement that it was given for; neither can be had without the other. Boxed, because it goes from room to room,
/// and the future of a request would have a place for it in each.
pub struct Permitted(Box<Both>);

struct Both {
    permit: Permit,
    understood: Understood,
}

impl Permitted {
    /// The yes.
    pub fn permit(&self) -> &Permit {
        &self.0.permit
    }

    /// What it was given for.
    pub fn understood(&self) -> &Understood {
        &self.0.understood
    }

    /// Parameters of the caller that were understood and are not sent on.
    pub fn ignored(&self) -> impl Iterator<Item = &'static str> {
        let address = self.understood().address();
        address.ignored().iter().copied().chain(address.of_session().filter(|_| self.permit().session().is_none()))
    }

    /// Takes the data of an INSERT: it can be sent but once.
    pub fn take_data(&mut self) -> Option<Box<Data>> {
        self.0.understood.take_data()
    }
}

/// Judges a statement by the rule that was chosen for its caller.
///
/// # Errors
/// 403 with what is not allowed, and whom to ask where the rule says so.
pub fn decide(choice: Choice<'_>, understood: Understood) -> Result<Permitted, Denied> {
    let rule = match choice {
        Choice::Rule(rule) => rule,
        Choice::Nobody => return Err(nobody(understood.caller())),
        Choice::NotAvailable => {
            let says = "The rule of X-Keyhouse-Rule is not meant for you, or you may not pass over the one before it. Leave the header out.";
            return Err(Denied { rule: None, refusal: Refusal::new(Reason::RuleNotAvailable, says) });
        }
    };
    match permit(rule, &understood) {
        Ok(permit) => Ok(Permitted(Box::new(Both { permit, understood }))),
        Err(refusal) => Err(Denied { rule: Some(rule.name.clone()), refusal }),
    }
}

fn permit(rule: &Rule, understood: &Understood) -> Result<Permit, Refusal> {
    let (caller, address) = (understood.caller(), understood.address());
    let database = address.database().map_or_else(|| Arc::clone(&rule.database), Arc::from);
    never_observed(rule, understood).map_err(|refusal| with_message(rule, refusal))?;
    let kills = kills(rule, understood.statement()).map(Box::new);
    let verdict = match &kills {
        Some(kill) if kill.own_alone => own_kill(rule, understood),
        _ => judge(rule, &database, understood),
    };
    let verdict = verdict.map_err(|refusal| with_message(rule, refusal));
    let observed = match verdict {
        Ok(()) => None,
        Err(refusal) if rule.observe => Some(refusal),
        Err(refusal) => return Err(refusal),
    };
    let mut settings = match observed {
        None => rule.settings.sent(address.settings()),
        Some(_) => rule.settings.sent_as_asked(address.settings()),
    };
    for (name, template) in &rule.session_settings {
        settings.push(Sent { name: name.clone(), value: template.text(caller)?, why: Why::Custom });
    }
    let filters = rule.rows.sent(caller)?;
    settings.retain(|sent| !filters.iter().any(|filter| filter.name == sent.name));
    settings.extend(filters);
    let roles = if address.roles().is_empty() { &rule.roles } else { address.roles() };
    let under = Under { rule: &rule.digest, name: &rule.name, act_as: &rule.act_as, roles, settings: &settings };
    let session = rule.sessions.as_ref().map(|sessions| sessions.of(understood, &under)).transpose()?.flatten().map(Box::new);
    Ok(Permit {
        rule: Arc::clone(&rule.name),
        act_as: Arc::clone(&rule.act_as),
        roles: roles.to_vec(),
        quota_key: rule.quota_key.as_ref().map(|template| template.text(caller)).transpose()?,
        database,
        settings,
        admission: rule.admission.clone(),
        answers: rule.answers.clone(),
        // What runs in a session has it to itself, and may be what is to be ended.
        session: session.filter(|_| kills.is_none()),
        kills,
        observed,
    })
}

/// What no observation lets through: a write that a link could make, another credential than the rule's, and settings that
/// nobody may set.
fn never_observed(rule: &Rule, understood: &Understood) -> Result<(), Refusal> {
    let (statement, address) = (understood.statement(), understood.address());
    if statement.effect() != Effect::Read && understood.method() != Method::POST {
        let says = format!("{} carries reads only; send it with POST.", understood.method());
        return Err(Refusal::new(Reason::WriteByGet, says));
    }
    if statement.effect() != Effect::Read && address.is_readonly() {
        let says = format!("The request asks for `readonly` and the statement is no read (`{}`); leave one of them out.", statement.effect().word());
        return Err(Refusal::new(Reason::ReadonlyAsked, says));
    }
    if let Some(role) = address.roles().iter().find(|role| !rule.roles.contains(role)) {
        let says = format!("Rule `{}` does not have the role `{}`.", rule.name, role.escape_debug());
        return Err(Refusal::new(Reason::RoleNotAllowed, says));
    }
    if rule.sessions.is_some() && address.session().is_some() {
        session::hold(understood)?;
    }
    if !rule.observe {
        return Ok(());
    }
    let mut names = address.settings().iter().map(|(name, _)| name).chain(statement.reach().settings.keys());
    match names.find(|name| settings::is_closed(name) || rule.session_settings.contains_key(*name)) {
        Some(name) => Err(settings::closed(name)),
        None => Ok(()),
    }
}

fn nobody(caller: &Caller) -> Denied {
    let says = format!(
        "Signed in as {} ({}); groups: {:?}. No rule is meant for any of them; ask for one of your groups to be given access.",
        caller.username, caller.provider, caller.groups
    );
    Denied { rule: None, refusal: Refusal::new(Reason::NoRule, says) }
}

/// A no, and the rule that said it.
#[derive(Debug)]
pub struct Denied {
    /// The rule, where one was meant for the caller.
    pub rule: Option<Arc<str>>,
    /// The no.
    pub refusal: Refusal,
}

/// What a statement ends that is nothing but `KILL QUERY WHERE query_id = '...'`. Under a rule that does not let its callers administer
/// that is one of their own, whoever has another of that name.
fn kills(rule: &Rule, statement: &Statement) -> Option<Kill> {
    let (query_id, mode) =
        statement.reach().kills.clone().filter(|_| statement.kind() == "KillQueryQuery" && statement.reach().settings.is_empty())?;
    Some(Kill { query_id, mode, own_alone: !rule.allow.iter().any(|entry| entry.effects.contains(&Effect::Administer)) })
}

/// One of the caller's own is theirs to end: only how it is asked and answered is judged.
fn own_kill(rule: &Rule, understood: &Understood) -> Result<(), Refusal> {
    all_settings(rule, understood)?;
    format(rule, understood)
}

fn judge(rule: &Rule, database: &str, understood: &Understood) -> Result<(), Refusal> {
    let statement = understood.statement();
    let (effect, reach) = (statement.effect(), statement.reach());
    let refuse = |reason, says: String| Err(Refusal::new(reason, says));
    if !rule.allow.iter().any(|entry| entry.effects.contains(&effect)) {
        return refuse(
            Reason::EffectNotAllowed,
            format!("Rule `{}` does not allow `{}`; it allows {}.", rule.name, effect.word(), allowed_effects(rule)),
        );
    }
    if let Some(what) = reach.computed.first().filter(|_| !rule.allow.iter().any(|entry| entry.computed_names)) {
        return refuse(
            Reason::ComputedName,
            format!("An object is named by something that is worked out at run time ({}); write its name.", what.escape_debug()),
        );
    }
    for function in &reach.table_functions {
        table_function(rule, reach, function, effect)?;
    }
    all_settings(rule, understood)?;
    if let Some(function) = reach.functions.iter().find(|function| !has_function(rule, function)) {
        return refuse(Reason::FunctionNotAllowed, what_function(function));
    }
    format(rule, understood)?;
    for Upload { name, .. } in understood.uploads() {
        upload(rule, database, name, reach)?;
    }
    let is_upload = |name: &Name| name.database.is_none() && understood.uploads().iter().any(|upload| upload.name == name.table);
    // Every object by itself: a target by the statement's effect, a source by `read`.
    let sources = reach.tables.iter().filter(|name| !is_upload(name)).map(|name| (name, Effect::Read));
    let targets = reach.targets.iter().filter(|name| !is_database(reach, name)).map(|name| (name, effect));
    for (name, effect) in sources.chain(targets) {
        table(rule, database, name, effect)?;
    }
    for (name, via) in reach.also.iter().filter(|(name, via)| !(is_upload(name) && *via == AS_A_SET)) {
        also(rule, database, name, *via, effect)?;
        // What a function is given as a table, rows go to where they go to the function.
        if let Via::Table(word) = via
            && reach.target_functions.contains(*word)
        {
            table(rule, database, name, effect)?;
        }
    }
    rule.rows.hold(statement, understood.address().settings(), database)
}

/// A table function is judged as what rows come from, and also as what they go to where it is that.
fn table_function(rule: &Rule, reach: &Reach, function: &str, effect: Effect) -> Result<(), Refusal> {
    let class = catalog::table_function_class(function);
    let by_its_dictionary = function == "dictionary" && names_dictionaries(rule);
    let is_named = |effect| rule.allow.iter().any(|entry| entry.effects.contains(&effect) && entry.table_functions.has_table_function(function));
    let as_source = catalog::is_base_table_function(function) || by_its_dictionary || is_named(Effect::Read) || is_view(rule, reach, function);
    if as_source && (!reach.target_functions.contains(function) || is_named(effect)) {
        return Ok(());
    }
    let known = class.map_or_else(|| "is not known".to_owned(), |class| format!("is of the class `{class}`"));
    let says = format!("The table function `{}` {known}, which rule `{}` does not allow.", function.escape_debug(), rule.name);
    Err(Refusal::new(Reason::TableFunctionNotAllowed, says))
}

/// What looks like a table function and is none that is known is a view with parameters where the rule names one table so; it
/// is judged as a table then. A star does not make a view of what a newer ClickHouse may have as a function.
fn is_view(rule: &Rule, reach: &Reach, function: &str) -> bool {
    let name = Name::split(function);
    let by_name = |pattern: &Pattern| pattern.is_of_one_table() && pattern.fits(name.database.as_deref().unwrap_or(&rule.database), &name.table);
    catalog::table_function_class(function).is_none()
        && reach.also.iter().any(|(seen, via)| *seen == name && matches!(via, Via::View(_)))
        && rule.allow.iter().flat_map(|entry| &entry.tables).any(by_name)
}

/// Settings of the address, then of the statement.
fn all_settings(rule: &Rule, understood: &Understood) -> Result<(), Refusal> {
    for (name, value) in understood.address().settings() {
        rule.settings.judge(name, Some(value))?;
    }
    for (name, values) in &understood.statement().reach().settings {
        for value in values {
            rule.settings.of_statement(name, value.as_deref())?;
        }
    }
    Ok(())
}

fn has_function(rule: &Rule, function: &str) -> bool {
    catalog::is_base_function(function)
        || rule.allow.iter().any(|entry| entry.functions.has_function(function))
        || (catalog::function_class(function) == Some("dictionary") && names_dictionaries(rule))
}

/// Whether dictionaries are judged by their names, so that what reads them needs none.
fn names_dictionaries(rule: &Rule) -> bool {
    rule.allow.iter().any(|entry| !entry.dictionaries.is_empty())
}

fn what_function(function: &str) -> String {
    let shown = function.escape_debug();
    match catalog::function_class(function) {
        Some(class) => format!("The function `{shown}` is of the class `{class}`, which the rule does not allow."),
        None => format!("The function `{shown}` is not known to compute on its arguments alone."),
    }
}

/// The format of the answer, or of the data that goes in.
fn format(rule: &Rule, understood: &Understood) -> Result<(), Refusal> {
    let (statement, inserts) = (understood.statement(), understood.statement().effect() == Effect::Insert);
    let asked = statement.reach().format.as_deref().or_else(|| understood.address().default_format().filter(|_| !inserts));
    let Some(asked) = asked else { return Ok(()) };
    let named = || rule.allow.iter().map(|entry| if inserts { &entry.insert_formats } else { &entry.formats });
    let allowed = match named().any(|formats| !formats.is_empty()) {
        true => named().any(|formats| formats.has(asked)),
        false if inserts => catalog::input_format(asked).is_some_and(|format| matches!(format, Format::Base | Format::Code)),
        false => catalog::output_format(asked) == Some(Format::Base),
    };
    if allowed {
        return Ok(());
    }
    let says = format!("The format `{}` is not allowed by rule `{}`.", asked.escape_debug(), rule.name);
    Err(Refusal::new(Reason::FormatNotAllowed, says))
}

/// What is reached by another way than FROM: tables are judged like tables, what lies outside by the function that reaches it;
/// what else the server has is for statements that administer it.
fn also(rule: &Rule, database: &str, name: &Name, via: Via, effect: Effect) -> Result<(), Refusal> {
    let allowed = match via {
        Via::Table(_) | Via::View(_) => return table(rule, database, name, Effect::Read),
        Via::Dictionary(_) => return dictionary(rule, database, name),
        Via::Database(word) => return all_of(rule, name.database.as_deref().unwrap_or(&name.table), effect, word),
        // Names that `system.tables` tells, which has to be allowed too: who may read no table of a database has no use for them.
        Via::Listing(_) => allows(rule, effect, |pattern| pattern.is_of(&name.table)),
        Via::Other("ENGINE") => base::is_plain_engine(&name.table),
        Via::Other(_) => effect == Effect::Administer,
        // The function that reaches it was judged by its name; what a clause reaches is for nobody.
        Via::Outside(word) => catalog::function_class(word).is_some() || catalog::table_function_class(word).is_some(),
    };
    if allowed {
        return Ok(());
    }
    Err(out_of_reach(via.word(), &name.to_string()))
}

fn out_of_reach(word: &str, name: &str) -> Refusal {
    Refusal::new(Reason::ObjectNotAllowed, format!("`{word}` is not allowed to reach `{}`.", name.escape_debug()))
}

/// A table on the right side of IN.
const AS_A_SET: Via = Via::Table("IN");

/// An uploaded table stands before the current database's of its name. It may have none that the rule names, nor one that
/// the statement means otherwise: what is judged must be what is read.
fn upload(rule: &Rule, current: &str, table: &str, reach: &Reach) -> Result<(), Refusal> {
    let patterns = rule.allow.iter().flat_map(|entry| &entry.tables).filter(|pattern| pattern.is_of_one_table()).chain(&rule.deny);
    let by_rule = patterns.into_iter().any(|pattern| pattern.fits(current, table));
    let is_qualified = |name: &Name| name.table == table && name.database.as_deref() == Some(current);
    let by_statement = reach.ctes.contains(table)
        || reach.tables.iter().any(is_qualified)
        || reach.targets.iter().any(|name| name.table == table)
        || reach.also.iter().any(|(name, via)| name.table == table && (*via != AS_A_SET || is_qualified(name)));
    if by_rule || by_statement {
        let says = format!("The table `{table}` that comes with the statement has the name of another; give it a name of its own.");
        return Err(Refusal::new(Reason::UploadNotAllowed, says));
    }
    Ok(())
}

/// Whether the target is a database, which is judged as one.
fn is_database(reach: &Reach, target: &Name) -> bool {
    reach.also.iter().any(|(name, via)| name == target && matches!(via, Via::Database(_)))
}

/// Every table of the database, of any name: the rule must allow them all and deny none.
fn all_of(rule: &Rule, database: &str, effect: Effect, word: &str) -> Result<(), Refusal> {
    // `*`, or `name*` of a grant: many databases, and a `deny` is likely of one of them.
    let many = database.contains('*');
    if let Some(denied) = rule.deny.iter().find(|pattern| many || pattern.is_of(database)) {
        let says = format!("`{word}` reaches all of `{}`, and rule `{}` denies {denied}.", database.escape_debug(), rule.name);
        return Err(Refusal::new(Reason::TableDenied, says));
    }
    if lists(rule, database, effect) { Ok(()) } else { Err(out_of_reach(word, database)) }
}

/// Whether the rule allows a table of any name in the database, whatever it denies there.
fn lists(rule: &Rule, database: &str, effect: Effect) -> bool {
    allows(rule, effect, |pattern| pattern.fits(database, "\u{1}"))
}

fn allows(rule: &Rule, effect: Effect, fits: impl Fn(&Pattern) -> bool) -> bool {
    rule.allow.iter().filter(|entry| entry.effects.contains(&effect)).any(|entry| entry.tables.iter().any(&fits))
}

fn table(rule: &Rule, current: &str, name: &Name, effect: Effect) -> Result<(), Refusal> {
    let database = name.database.as_deref().unwrap_or(current);
    not_denied(rule, database, &name.table)?;
    let plain = effect == Effect::Read && base::is_open(database, &name.table, rule.system);
    if plain || allows(rule, effect, |pattern| pattern.fits(database, &name.table)) {
        return Ok(());
    }
    let says = format!("Rule `{}` does not allow `{}` of the table {database}.{}.", rule.name, effect.word(), name.table);
    Err(Refusal::new(Reason::TableNotAllowed, says))
}

/// A dictionary is also a table.
fn dictionary(rule: &Rule, current: &str, name: &Name) -> Result<(), Refusal> {
    let database = name.database.as_deref().unwrap_or(current);
    not_denied(rule, database, &name.table)?;
    let patterns = |entry: &Allow| entry.dictionaries.iter().chain(&entry.tables).any(|pattern| pattern.fits(database, &name.table));
    if rule.allow.iter().any(|entry| entry.effects.contains(&Effect::Read) && patterns(entry)) {
        return Ok(());
    }
    let says = format!("Rule `{}` does not allow the dictionary {database}.{}.", rule.name, name.table);
    Err(Refusal::new(Reason::TableNotAllowed, says))
}

fn not_denied(rule: &Rule, database: &str, table: &str) -> Result<(), Refusal> {
    if rule.deny.iter().any(|pattern| pattern.fits(database, table)) {
        return Err(Refusal::new(Reason::TableDenied, format!("Rule `{}` denies the table {database}.{table}.", rule.name)));
    }
    Ok(())
}

fn allowed_effects(rule: &Rule) -> String {
    let mut words: Vec<&str> = rule.allow.iter().flat_map(|entry| &entry.effects).map(|effect| effect.word()).collect();
    words.sort_unstable();
    words.dedup();
    words.join(", ")
}

/// The refusal in the rule's own words too: what its owner wants said, and whom to ask.
fn with_message(rule: &Rule, refusal: Refusal) -> Refusal {
    let ask = rule.owner.as_ref().map(|owner| format!("Ask {owner}."));
    let more: Vec<&str> = rule.message.as_deref().into_iter().chain(ask.as_deref()).collect();
    if more.is_empty() { refusal } else { refusal.also(&more.join(" ")) }
}
