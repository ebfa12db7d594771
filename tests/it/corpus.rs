//! ClickHouse's own tests against the statement room, by what ClickHouse's own parser made of them.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Command, Stdio},
};

use keyhouse::statement::{self, Effect, Opinion, Parameters, STACK, Statement};
use serde_json::Value;

/// Roots of ClickHouse's tree that are reads.
const READS: [&str; 6] = ["SelectWithUnionQuery", "Explain", "Describe", "Exists", "Show", "DescribeCacheQuery"];

/// Of these either verdict is right: they read what only an administrator asks for.
const EITHER: [&str; 5] = ["CheckQuery", "CheckGrantQuery", "SHOW", "ShowAccessQuery", "ShowGrantsQuery"];

/// Reads that name their object without a node of a table.
const NAMED: [&str; 5] = ["ShowCreate", "Exists", "ShowColumns", "ShowIndexes", "ShowTables"];

/// One statement and what ClickHouse's parser made of it.
pub(crate) struct Row {
    pub(crate) sql: String,
    pub(crate) accepted: bool,
    root: String,
    tables: BTreeSet<String>,
    table_functions: BTreeSet<String>,
}

impl Row {
    fn read(line: &str) -> Self {
        let row: Value = serde_json::from_str(line).unwrap();
        let set = |field: &str| row[field].as_array().map(|list| list.iter().map(|name| name.as_str().unwrap().to_owned()).collect());
        Self {
            sql: row["sql"].as_str().unwrap().to_owned(),
            accepted: row["accepted"] == true,
            root: row["root"].as_str().unwrap_or_default().to_owned(),
            tables: set("tables").unwrap_or_default(),
            table_functions: set("table_functions").unwrap_or_default(),
        }
    }

    fn begins(&self, roots: &[&str]) -> bool {
        roots.iter().any(|root| self.root.starts_with(root))
    }

    fn is_read(&self) -> bool {
        self.begins(&READS) && !EITHER.contains(&self.root.split(' ').next().unwrap())
    }
}

/// The statements, or nothing where the corpus is not there.
pub(crate) fn corpus() -> Option<Vec<Row>> {
    let folder = std::env::var_os("KEYHOUSE_CORPUS").map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from);
    let file = folder.join("clickhouse-statements.jsonl.gz");
    if !file.exists() {
        eprintln!("NOT RUN: there is no corpus at {}; say where it is with KEYHOUSE_CORPUS", file.display());
        return None;
    }
    let unpacked = Command::new("gzip").arg("-dc").arg(file).stdin(Stdio::null()).output().unwrap();
    assert!(unpacked.status.success());
    Some(String::from_utf8(unpacked.stdout).unwrap().lines().map(Row::read).collect())
}

/// The names that a statement reaches by FROM or as its object.
fn named(statement: &Statement) -> BTreeSet<String> {
    let reach = statement.reach();
    let also = reach.also.iter().map(|(name, _)| name);
    reach.tables.iter().chain(&reach.targets).chain(also).map(ToString::to_string).chain(reach.ctes.iter().cloned()).collect()
}

/// What is wrong about our reading of one accepted statement.
fn faults(row: &Row, statement: &Statement) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let mut fault = |is: bool, what| faults.extend(is.then_some(what));
    let reach = statement.reach();
    let reads = statement.effect() == Effect::Read;
    let either = row.begins(&EITHER);
    fault(reads && !row.is_read() && !either, "a write is called a read");
    fault(!reads && row.is_read(), "a read is called a write");
    fault(!row.tables.is_subset(&named(statement)), "a table is missed");
    fault(statement.kind().split(' ').next() != row.root.split(' ').next(), "the kind is another");
    if row.is_read() {
        fault(!reach.ctes.is_subset(&row.tables), "a common table expression is invented");
        fault(row.table_functions != reach.table_functions.iter().cloned().collect(), "table functions differ");
    }
    if row.is_read() && !row.begins(&NAMED) {
        fault(!reach.targets.is_empty(), "a read has a target");
        fault(reach.tables.iter().any(|table| !row.tables.contains(&table.to_string())), "a table is too many");
    }
    faults
}

#[test]
fn clickhouses_own_statements_are_read_as_clickhouse_reads_them() {
    let Some(corpus) = corpus() else { return };
    let (mut reads, mut others, mut refused_reads, mut refused_others, mut wrong) = (0, 0, Vec::new(), Vec::new(), Vec::new());
    for row in corpus.iter().filter(|row| row.accepted) {
        let (count, refused) = if row.is_read() { (&mut reads, &mut refused_reads) } else { (&mut others, &mut refused_others) };
        *count += 1;
        match statement::read(&row.sql, &Parameters::new()) {
            Ok(statement) => wrong.extend(faults(row, &statement).into_iter().map(|fault| (fault, &row.sql))),
            Err(refusal) => refused.push((refusal.says().to_owned(), &row.sql)),
        }
    }
    eprintln!("refused: {} of {reads} reads, {} of {others} others", refused_reads.len(), refused_others.len());
    assert!(reads > 30_000 && others > 20_000, "{reads} reads and {others} others: this is not the corpus");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(refused_reads.len() * 1000 <= reads, "{refused_reads:#?}");
    assert!(refused_others.len() * 100 <= others, "{refused_others:#?}");
}

/// What changes when the canonical text is read: nothing may, but that an INSERT is left without its data.
pub(crate) fn changed(first: &Statement) -> Option<String> {
    let again = match statement::read(first.canonical(), &Parameters::new()) {
        Ok(again) => again,
        Err(refusal) => return Some(refusal.says().to_owned()),
    };
    let differs = |what: &str, again: &dyn std::fmt::Debug, first: &dyn std::fmt::Debug| Some(format!("{what}: {again:?}, and was {first:?}"));
    if again.canonical() != first.canonical() {
        return differs("the text", &again.canonical(), &first.canonical());
    }
    if (again.effect(), again.kind()) != (first.effect(), first.kind()) {
        return differs("the kind", &(again.effect(), again.kind()), &(first.effect(), first.kind()));
    }
    if again.reach() != first.reach() {
        return differs("the reach", again.reach(), first.reach());
    }
    again.data().filter(|at| *at < first.canonical().len()).map(|at| format!("data from byte {at}"))
}

#[test]
fn the_canonical_text_is_read_as_the_same_again() {
    let Some(corpus) = corpus() else { return };
    let (mut compared, mut wrong) = (0, Vec::new());
    for row in &corpus {
        let Ok(first) = statement::read(&row.sql, &Parameters::new()) else { continue };
        wrong.extend(changed(&first).map(|changed| (changed, &row.sql)));
        compared += 1;
    }
    wrong.sort_by_key(|(_, sql)| sql.len());
    assert!(wrong.is_empty(), "{} of {compared} change: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(compared > 50_000, "{compared}");
}

#[test]
fn what_is_told_is_told_of_the_canonical_text() {
    for (sql, told) in [
        ("SELECT {x:Array(/**/UInt8)}", "Array( UInt8)"),
        ("SELECT {x:Tuple(a$b \"String\")}", "Tuple(`a$b` `String`)"),
        ("SELECT 1 SETTINGS x = −/**/1_0", "- 10"),
    ] {
        let read = statement::read(sql, &Parameters::new()).unwrap_or_else(|refusal| panic!("{sql}: {}", refusal.says()));
        let (parameter, setting) = (read.reach().parameters.get("x").map(String::as_str), read.reach().settings.get("x"));
        assert_eq!(parameter.or(setting.and_then(|values| values.first()?.as_deref())), Some(told), "{sql}");
        assert_eq!(changed(&read), None, "{sql}");
    }
}

#[test]
fn a_number_without_the_digits_of_its_exponent_is_none() {
    for sql in ["SELECT 1e ", "SELECT 1e−1", "SELECT 1e- , 2", "SELECT .5E\n", "SELECT 0x1p , 2", "SELECT x FROM t WHERE 1e ", "SET a = 1e ;"] {
        assert!(statement::read(sql, &Parameters::new()).is_err(), "{sql}");
    }
    for sql in ["SELECT 1e", "SELECT t.1e , 2", "SELECT 0x1e , 1e5−1, 1e-5 , 0x1p5 "] {
        let read = statement::read(sql, &Parameters::new()).unwrap_or_else(|refusal| panic!("{sql}: {}", refusal.says()));
        assert_eq!(changed(&read), None, "{sql}");
    }
}

#[test]
fn a_privilege_has_no_dollar_sign() {
    for sql in ["REVOKE a$b ON c FROM d", "GRANT SELECT, x$ ON t TO u"] {
        assert!(statement::read(sql, &Parameters::new()).is_err(), "{sql}");
    }
    let read =
        statement::read("GRANT SELECT(a), ALTER UPDATE ON t TO `u$`", &Parameters::new()).unwrap_or_else(|refusal| panic!("{}", refusal.says()));
    assert_eq!(changed(&read), None);
}

/// The other reader's trees need the stack that threads of the gate have.
fn with_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap()
}

#[test]
fn the_second_opinion_refuses_no_honest_read() {
    let Some(corpus) = corpus() else { return };
    let (mut counts, mut disagrees) = (std::collections::BTreeMap::new(), Vec::new());
    let opinions = with_stack(move || {
        let reads = corpus.into_iter().filter(|row| row.accepted && row.is_read());
        let opinion = |row: Row| statement::read(&row.sql, &Parameters::new()).ok()?.second_opinion().map(|opinion| (row.sql, opinion));
        reads.filter_map(opinion).collect::<Vec<_>>()
    });
    for (sql, opinion) in opinions {
        *counts.entry(opinion.word()).or_insert(0) += 1;
        if opinion == Opinion::Disagrees {
            disagrees.push(sql);
        }
    }
    eprintln!("the other reader: {counts:?}");
    assert!(counts["agrees"] > 20_000, "{counts:?}");
    assert!(disagrees.is_empty(), "{disagrees:#?}");
}
