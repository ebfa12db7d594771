//! Which rows of a table a rule's callers see: the light form, `additional_table_filters`, and what reads around it.
//!
//! The strong form is a ROW POLICY of ClickHouse over `session_settings`. A filter that comes with the query holds only where the
//! table is read in the plain way: everything else that could read it is refused under a rule that has one.
//!
//! Measured with 26.9 (tests/it/rows.rs). The filter holds, before what the caller asks is worked out, in FROM and JOIN at every
//! depth, with FINAL, SAMPLE, projections, counts and limits of all kinds, for every engine under its own name, views, Merge,
//! Buffer, Distributed and dictionaries too. It does not hold in `merge()`, `mergeTreeIndex()` and their like, `joinGet`,
//! `dictGet`, a Set behind IN, PREWHERE, EXPLAIN and tables of sizes, which are refused; and not where a table of another name
//! reads this one by itself, which no name tells: Merge, Buffer, Alias, a materialized view, a view with SQL SECURITY DEFINER, a
//! dictionary. These need a filter of their own, or no grant.
//!
//! What no refusal can close: conditions are worked out over all parts where a part might be left out by its index, so a skip
//! index of the type `set` or a key gives errors (which may quote) and counts of rows read that depend on hidden rows. A ROW
//! POLICY has the same bound. Settings that change when conditions are worked out are refused too, and the one that
//! matters is sent: without it the filter and the caller's conditions are worked out together. A ROW POLICY does not need that.

use std::collections::BTreeMap;

use super::base;
use super::settings::{Sent, Why};
use super::template::Template;
use crate::catalog;
use crate::config::Problems;
use crate::identity::Caller;
use crate::refusal::{Reason, Refusal};
use crate::statement::{self, Clause, Effect, Name, Parameters, Statement, Via, is_plain_name, quoted};

/// The setting of ClickHouse that carries them.
const SETTING: &str = "additional_table_filters";

/// Without it 26.9 works a filter and the caller's conditions out together, and an error of theirs tells of a row behind the
/// filter.
const IN_STEPS: &str = "enable_multiple_prewhere_read_steps";

/// The settings that a rule with filters sends.
pub(super) const SETTINGS: [&str; 2] = [SETTING, IN_STEPS];

/// Filters of a rule.
#[derive(Debug, Default)]
pub(super) struct Rows {
    filters: BTreeMap<Name, Template>,
}

/// Statements that read a table in the plain way, or tell its columns, by their names in ClickHouse's tree.
const PLAIN_KINDS: [&str; 9] = [
    "SelectWithUnionQuery",
    "InsertQuery",
    "DescribeQuery",
    "ExistsTableQuery",
    "ExistsViewQuery",
    "ExistsDatabaseQuery",
    "ShowTables",
    "ShowColumns",
    "ShowCreateTableQuery",
];

impl Rows {
    /// Checks what is written at this place of a policy file.
    pub(super) fn check(written: BTreeMap<String, String>, place: &str, problems: &mut Problems) -> Self {
        let mut filters = BTreeMap::new();
        for (key, text) in written {
            let place = format!("{place}.{key}");
            let Some(name) = plain_table(&key) else {
                problems.add(&place, "is no table that a filter can name; write database.table, of letters, digits and `_`");
                continue;
            };
            let read = Template::read(&text).and_then(|template| expression(&template.example()).map(|()| template));
            match read {
                Ok(template) => drop(filters.insert(name, template)),
                Err(says) => problems.add(&place, says),
            }
        }
        Self { filters }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Each table with its filter as it is written.
    pub(super) fn written(&self) -> impl Iterator<Item = (String, String)> {
        self.filters.iter().map(|(name, template)| (name.to_string(), template.to_string()))
    }

    /// The claims that have to be kept for them.
    pub(super) fn claims(&self) -> impl Iterator<Item = &str> {
        self.filters.values().flat_map(Template::claims)
    }

    /// What is sent for this caller.
    ///
    /// # Errors
    /// 403 where a value of the caller's is missing, empty or of another form.
    pub(super) fn sent(&self, caller: &Caller) -> Result<Vec<Sent>, Refusal> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        Ok(sent(self.filters(caller)?))
    }

    /// The same for nobody in particular.
    pub(super) fn sent_to_all(&self) -> Vec<Sent> {
        if self.is_empty() { Vec::new() } else { sent("(filters)".to_owned()) }
    }

    fn filters(&self, caller: &Caller) -> Result<String, Refusal> {
        let mut pairs = Vec::new();
        for (name, template) in &self.filters {
            pairs.push(format!("{}:{}", quoted(&name.to_string()), quoted(&format!("({})", template.sql(caller)?))));
        }
        Ok(format!("{{{}}}", pairs.join(",")))
    }

    /// Refuses what could read a table around its filter; the settings are those of the address.
    ///
    /// # Errors
    /// 403 with what could.
    pub(super) fn hold(&self, statement: &Statement, settings: &[(String, String)], current: &str) -> Result<(), Refusal> {
        if self.is_empty() {
            return Ok(());
        }
        let reach = statement.reach();
        let refuse = |what: &str| {
            let says = format!("The rule filters rows, and {what} could read around its filters; write it without.");
            Err(Refusal::new(Reason::RowFilter, says))
        };
        if !PLAIN_KINDS.contains(&statement.kind()) {
            return refuse(&format!("a statement of this kind ({})", statement.kind()));
        }
        if let Some(clause) = reach.clauses.iter().find(|clause| closes(**clause)) {
            return refuse(clause.word());
        }
        let mut settings = settings.iter().map(|(name, _)| name).chain(reach.settings.keys());
        if let Some(name) = settings.find(|name| orders_conditions(name)) {
            return refuse(&format!("the setting `{name}`"));
        }
        let reads_tables = |function: &&String| !matches!(catalog::table_function_class(function), Some("numbers" | "data"));
        if let Some(function) = reach.table_functions.iter().find(reads_tables) {
            return refuse(&format!("the table function `{}`", function.escape_debug()));
        }
        let filtered = |name: &Name| {
            let database = name.database.as_deref().unwrap_or(current);
            self.filters.keys().any(|known| known.table == name.table && known.database.as_deref() == Some(database))
        };
        let by_name = |via: &Via| matches!(via, Via::Table(_) | Via::View(_) | Via::Dictionary(_));
        if let Some((name, via)) = reach.also.iter().find(|(name, via)| by_name(via) && filtered(name)) {
            return refuse(&format!("`{}` of {}", via.word(), name.to_string().escape_debug()));
        }
        let sized = |name: &&Name| {
            let database = name.database.as_deref().unwrap_or(current);
            base::is_of_system(database) && !base::is_plain_table(database, &name.table)
        };
        if let Some(name) = reach.tables.iter().find(sized) {
            return refuse(&format!("{}, which tells sizes,", name.to_string().escape_debug()));
        }
        Ok(())
    }
}

fn sent(filters: String) -> Vec<Sent> {
    let values = [filters, "1".to_owned()];
    SETTINGS.into_iter().zip(values).map(|(name, value)| Sent { name: name.to_owned(), value, why: Why::Held }).collect()
}

fn closes(clause: Clause) -> bool {
    match clause {
        Clause::Prewhere | Clause::Explain | Clause::InnerSettings | Clause::ShowWhere | Clause::PartColumn => true,
    }
}

/// Whether a setting changes when conditions are worked out. Rules may allow these.
fn orders_conditions(name: &str) -> bool {
    name.contains("prewhere") || name.contains("short_circuit") || name.starts_with("optimize_") || name.starts_with("query_plan_")
}

/// `database.table` that needs no quotes: ClickHouse compares the key with the name as it is written without them.
fn plain_table(text: &str) -> Option<Name> {
    let (database, table) = text.split_once('.')?;
    (is_plain_name(database) && is_plain_name(table)).then(|| Name::of(database, table))
}

/// Whether a filter is one expression that computes on the table's columns alone.
fn expression(text: &str) -> Result<(), String> {
    let read = |sql: String| statement::read(&sql, &Parameters::new());
    let alone = read(format!("SELECT 1 WHERE {text}")).and_then(|_| read(format!("SELECT 1 WHERE ({text})")));
    let statement = alone.map_err(|refusal| format!("is no expression: {}", refusal.says()))?;
    let reach = statement.reach();
    let nothing = reach.tables.is_empty()
        && reach.also.is_empty()
        && reach.targets.is_empty()
        && reach.table_functions.is_empty()
        && reach.settings.is_empty()
        && reach.computed.is_empty()
        && reach.parameters.is_empty()
        && statement.effect() == Effect::Read;
    if !nothing {
        return Err("reaches more than the table's columns; write an expression over these alone".to_owned());
    }
    match reach.functions.iter().find(|function| !catalog::is_base_function(function)) {
        Some(function) => Err(format!("calls `{function}`, which does not compute on its arguments alone")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn rows(key: &str, text: &str) -> Result<Rows, String> {
        let mut problems = Problems::default();
        let rows = Rows::check(BTreeMap::from([(key.to_owned(), text.to_owned())]), "rows", &mut problems);
        if problems.is_empty() { Ok(rows) } else { Err(problems.to_string()) }
    }

    #[test]
    fn a_filter_names_a_plain_table_and_computes_on_its_columns() {
        for key in ["orders", "sales.", ".orders", "a.b.c", "`a`.b", "a.b-c", "sales.1x", "a. b", "sales.*", "sálés.orders"] {
            assert!(rows(key, "1").is_err(), "{key}");
        }
        for text in [
            "",
            "region =",
            "1) OR (1",
            "1; DROP TABLE x",
            "1 SETTINGS max_threads = 1",
            "1 -- ",
            "id IN (SELECT id FROM b)",
            "id IN other",
            "dictGet('d', 'x', id) = 1",
            "sleep(1)",
            "x = {p:String}",
            "x = {claims.}",
            "1 FORMAT CSV",
            "1 UNION ALL SELECT 1",
        ] {
            assert!(rows("sales.orders", text).is_err(), "{text}");
        }
        for text in ["region IN {claims.regions}", "tenant = {claims.tenant} AND id % 2 = 0", "lower(x) LIKE 'a%'", "has(list, {username})"] {
            assert!(rows("sales.orders", text).is_ok(), "{text}");
        }
    }
}
