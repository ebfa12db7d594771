//! The decision, and the sealed yes.

use http::Method;

use super::base;
use super::catalog::{self, Setting};
use super::file::{Choice, Rule};
use super::pattern::Pattern;
use crate::identity::Caller;
use crate::refusal::{Reason, Refusal};
use crate::statement::{Data, Effect, Name, Reach, Understood, Upload, Via};

/// The yes to one statement: whose credential carries it, in which database, by which rule. Only [`decide`] makes one.
///
/// ```compile_fail,E0451
/// let permit = keyhouse::policy::Permit { rule: String::new(), act_as: String::new(), database: String::new() };
/// ```
#[derive(Debug)]
pub struct Permit {
    rule: String,
    act_as: String,
    database: String,
}

impl Permit {
    /// The rule that said yes.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The name under `clickhouse.users`.
    pub fn act_as(&self) -> &str {
        &self.act_as
    }

    /// The database of names without one: the one that was judged.
    pub fn database(&self) -> &str {
        &self.database
    }
}

/// A permit with the statement that it was given for; neither can be had without the other.
pub struct Permitted {
    permit: Permit,
    understood: Understood,
}

impl Permitted {
    /// The yes.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// What it was given for.
    pub fn understood(&self) -> &Understood {
        &self.understood
    }

    /// Takes the data of an INSERT: it can be sent but once.
    pub fn take_data(&mut self) -> Option<Data> {
        self.understood.take_data()
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
    let database = understood.address().database().unwrap_or(&rule.database).to_owned();
    judge(rule, &database, &understood).map_err(|refusal| Denied { rule: Some(rule.name.clone()), refusal })?;
    Ok(Permitted { permit: Permit { rule: rule.name.clone(), act_as: rule.act_as.clone(), database }, understood })
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
    pub rule: Option<String>,
    /// The no.
    pub refusal: Refusal,
}

fn judge(rule: &Rule, database: &str, understood: &Understood) -> Result<(), Refusal> {
    let statement = understood.statement();
    let (effect, reach) = (statement.effect(), statement.reach());
    let refuse = |reason, says: String| Err(Refusal::new(reason, with_message(rule, says)));
    if effect != Effect::Read && understood.method() != Method::POST {
        return refuse(Reason::WriteByGet, format!("{} carries reads only; send it with POST.", understood.method()));
    }
    if !rule.allow.iter().any(|entry| entry.effects.contains(&effect)) {
        return refuse(
            Reason::EffectNotAllowed,
            format!("Rule `{}` does not allow `{}`; it allows {}.", rule.name, effect.word(), allowed_effects(rule)),
        );
    }
    if let Some(what) = reach.computed.first() {
        return refuse(
            Reason::ComputedName,
            format!("An object is named by something that is worked out at run time ({}); write its name.", what.escape_debug()),
        );
    }
    if let Some(function) = reach.table_functions.iter().find(|function| !catalog::is_base_table_function(function)) {
        return refuse(Reason::TableFunctionNotAllowed, format!("The table function `{}` is not allowed.", function.escape_debug()));
    }
    if let Some(setting) = reach.settings.keys().find(|setting| catalog::setting(setting) != Setting::Base) {
        return refuse(
            Reason::SettingNotAllowed,
            format!("The setting `{}` is not allowed in a statement; those of formats are.", setting.escape_debug()),
        );
    }
    if let Some(function) = reach.functions.iter().find(|function| !catalog::is_base_function(function)) {
        return refuse(
            Reason::FunctionNotAllowed,
            format!("The function `{}` is not known to compute on its arguments alone.", function.escape_debug()),
        );
    }
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
    }
    Ok(())
}

/// What is reached by another way than FROM: tables are judged like tables; what lies outside is for nobody; what else the
/// server has is for statements that administer it.
fn also(rule: &Rule, database: &str, name: &Name, via: Via, effect: Effect) -> Result<(), Refusal> {
    let allowed = match via {
        Via::Table(_) | Via::View(_) | Via::Dictionary(_) => return table(rule, database, name, Effect::Read),
        Via::Database(word) => return all_of(rule, name.database.as_deref().unwrap_or(&name.table), effect, word),
        // Names that `system.tables` tells, which has to be allowed too.
        Via::Listing(_) => lists(rule, &name.table, effect),
        Via::Other("ENGINE") => base::is_plain_engine(&name.table),
        Via::Other(_) => effect == Effect::Administer,
        Via::Outside(_) => false,
    };
    if allowed {
        return Ok(());
    }
    Err(out_of_reach(rule, via.word(), &name.to_string()))
}

fn out_of_reach(rule: &Rule, word: &str, name: &str) -> Refusal {
    let says = format!("`{word}` is not allowed to reach `{}`.", name.escape_debug());
    Refusal::new(Reason::ObjectNotAllowed, with_message(rule, says))
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
        return Err(Refusal::new(Reason::UploadNotAllowed, with_message(rule, says)));
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
        return Err(Refusal::new(Reason::TableDenied, with_message(rule, says)));
    }
    if lists(rule, database, effect) { Ok(()) } else { Err(out_of_reach(rule, word, database)) }
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
    let shown = format!("{database}.{}", name.table);
    if rule.deny.iter().any(|pattern| pattern.fits(database, &name.table)) {
        return Err(Refusal::new(Reason::TableDenied, with_message(rule, format!("Rule `{}` denies the table {shown}.", rule.name))));
    }
    let plain = effect == Effect::Read && base::is_plain_table(database, &name.table);
    if !(plain || allows(rule, effect, |pattern| pattern.fits(database, &name.table))) {
        return Err(Refusal::new(
            Reason::TableNotAllowed,
            with_message(rule, format!("Rule `{}` does not allow `{}` of the table {shown}.", rule.name, effect.word())),
        ));
    }
    Ok(())
}

fn allowed_effects(rule: &Rule) -> String {
    let mut words: Vec<&str> = rule.allow.iter().flat_map(|entry| &entry.effects).map(|effect| effect.word()).collect();
    words.sort_unstable();
    words.dedup();
    words.join(", ")
}

fn with_message(rule: &Rule, says: String) -> String {
    match &rule.message {
        Some(message) => format!("{says} {message}"),
        None => says,
    }
}
