//! From tokens to effect and reach, by sqlparser's grammar for what it is sure of and by the tokens for the rest.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    DescribeAlias, Expr, FormatClause, Insert, ObjectName, ObjectNamePart, Query, Select, SetExpr, ShowStatementIn, ShowStatementInClause,
    ShowStatementInParentType, ShowStatementOptions, Statement as Parsed, TableFactor, TableObject, Visit, Visitor,
};
use sqlparser::dialect::ClickHouseDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Word};

use super::reach::{Name, Reach};
use super::text::{Text, not_understood};
use super::{Effect, Statement};
use crate::refusal::{Reason, Refusal};

/// Words before a bracket that are syntax and no call.
const SYNTAX: [&str; 43] = [
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CUBE",
    "DISTINCT",
    "DIV",
    "ELSE",
    "EXCEPT",
    "EXISTS",
    "FILTER",
    "FROM",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INTERPOLATE",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LIKE",
    "LIMIT",
    "NOT",
    "OFFSET",
    "ON",
    "OR",
    "OVER",
    "PREWHERE",
    "QUALIFY",
    "ROLLUP",
    "SELECT",
    "SETS",
    "THEN",
    "TIES",
    "UNION",
    "USING",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Words that begin a clause which could change what a read does, in a place where sqlparser may see an alias.
const CLAUSES: [&str; 6] = ["SETTINGS", "INTO", "OUTFILE", "INFILE", "PARALLEL", "VALUES"];

/// Reads one statement.
pub(super) fn parse(text: Text) -> Result<Statement, Refusal> {
    let first = text.significant().next();
    let effect = match first {
        None => return Err(Refusal::new(Reason::EmptyStatement, "There is no statement, only comments.")),
        Some(Token::LParen) => Effect::Read,
        Some(Token::Word(word)) => effect_of(word)?,
        Some(other) => return Err(not_understood(format!("A statement does not begin with `{other}`."))),
    };
    let canonical = text.canonical();
    let calls = calls(&text);
    let clause = clause_in(&text);
    let mut reach = Reach::default();
    match effect {
        Effect::Read => {
            if let Some(clause) = clause {
                return Err(not_understood(format!(
                    "The word {clause} is not read in a statement that reads; leave the clause out, or put the name into backquotes."
                )));
            }
            read_reach(&one(text)?, &mut reach)?;
            reach.functions.extend(calls.into_iter().filter(|call| !reach.table_functions.contains(call)));
        }
        Effect::Insert => {
            insert_reach(&one(text)?, &mut reach)?;
            reach.functions.extend(insert_calls(calls, &reach.targets));
        }
        // No rule can allow these, so that what they reach decides nothing; it is told as far as it is known.
        Effect::Change | Effect::Define | Effect::Administer | Effect::Session => {
            if let Ok(statement) = one(text) {
                let mut names = Names(BTreeSet::new());
                if statement.visit(&mut names).is_continue() {
                    reach.targets = names.0;
                }
            }
        }
    }
    Ok(Statement { effect, reach, canonical })
}

/// What a statement does, by its first word. A word that is not here is not understood.
fn effect_of(word: &Word) -> Result<Effect, Refusal> {
    let effect = match word.value.to_ascii_uppercase().as_str() {
        _ if word.quote_style.is_some() => None,
        "SELECT" | "WITH" | "SHOW" | "DESCRIBE" | "DESC" | "EXPLAIN" => Some(Effect::Read),
        "INSERT" => Some(Effect::Insert),
        "DELETE" | "UPDATE" | "TRUNCATE" | "OPTIMIZE" => Some(Effect::Change),
        "CREATE" | "ALTER" | "DROP" | "RENAME" | "EXCHANGE" | "ATTACH" | "DETACH" | "UNDROP" | "REPLACE" => Some(Effect::Define),
        "GRANT" | "REVOKE" | "SYSTEM" | "KILL" | "BACKUP" | "RESTORE" | "CHECK" | "EXECUTE" | "MOVE" | "WATCH" => Some(Effect::Administer),
        "SET" | "USE" | "BEGIN" | "COMMIT" | "ROLLBACK" => Some(Effect::Session),
        _ => None,
    };
    effect.ok_or_else(|| not_understood(format!("A statement that begins with `{}` is not read.", word.to_string().escape_debug())))
}

fn one(text: Text) -> Result<Parsed, Refusal> {
    let dialect = ClickHouseDialect {};
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(text.into_tokens());
    let statements = parser.parse_statements().map_err(|error| not_understood(format!("The statement cannot be read: {error}.")))?;
    match <[Parsed; 1]>::try_from(statements) {
        Ok([statement]) => Ok(statement),
        Err(_) => Err(Refusal::new(Reason::SeveralStatements, "One request carries one statement; send the next one on its own.")),
    }
}

/// Every word with an opening bracket behind it, except syntax.
fn calls(text: &Text) -> Vec<String> {
    let tokens: Vec<&Token> = text.significant().collect();
    tokens
        .windows(2)
        .filter_map(|pair| match pair {
            [Token::Word(word), Token::LParen] if word.quote_style.is_some() || !is_one_of(word, &SYNTAX) => Some(word.value.clone()),
            _ => None,
        })
        .collect()
}

/// The first word of [`CLAUSES`] that is no part of a compound name.
fn clause_in(text: &Text) -> Option<String> {
    let mut after_dot = false;
    for token in text.significant() {
        if let Token::Word(word) = token
            && !after_dot
            && word.quote_style.is_none()
            && is_one_of(word, &CLAUSES)
        {
            return Some(word.value.to_ascii_uppercase());
        }
        after_dot = matches!(token, Token::Period);
    }
    None
}

fn is_one_of(word: &Word, words: &[&str]) -> bool {
    words.iter().any(|known| word.value.eq_ignore_ascii_case(known))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what is not listed is refused")]
fn read_reach(statement: &Parsed, reach: &mut Reach) -> Result<(), Refusal> {
    match statement {
        Parsed::Query(query) => {
            reach.format = format_of(query)?;
            visit(statement, reach)
        }
        Parsed::Explain { describe_alias: DescribeAlias::Explain, analyze: false, statement, options: None, format: None, .. }
            if matches!(**statement, Parsed::Query(_)) =>
        {
            read_reach(statement, reach)
        }
        Parsed::ExplainTable { describe_alias: DescribeAlias::Describe | DescribeAlias::Desc, hive_format: None, table_name, .. } => {
            reach.tables.insert(name(table_name)?);
            Ok(())
        }
        Parsed::ShowTables { terse: false, history: false, extended: false, full: false, external: false, show_options } => {
            plain_listing(show_options)?;
            reach.tables.insert(system("tables"));
            Ok(())
        }
        Parsed::ShowDatabases { terse: false, history: false, show_options } => {
            plain_listing(show_options)?;
            reach.tables.insert(system("databases"));
            Ok(())
        }
        _ => Err(not_understood("This form of the statement is not read yet.".to_owned())),
    }
}

/// Lists of `SHOW` are those of system tables, and are judged as these.
fn system(table: &str) -> Name {
    Name { database: Some("system".to_owned()), table: table.to_owned() }
}

/// `SHOW ... [FROM database]`; filters are expressions with a reach of their own.
fn plain_listing(options: &ShowStatementOptions) -> Result<(), Refusal> {
    let plain_in = match &options.show_in {
        None => true,
        Some(ShowStatementIn { clause: ShowStatementInClause::FROM | ShowStatementInClause::IN, parent_type, parent_name: Some(_) }) => {
            parent_type.is_none() || matches!(parent_type, Some(ShowStatementInParentType::Database))
        }
        Some(_) => false,
    };
    if plain_in && options.starts_with.is_none() && options.limit.is_none() && options.limit_from.is_none() && options.filter_position.is_none() {
        return Ok(());
    }
    Err(not_understood("SHOW with a filter is not read yet; select from system.tables or system.databases.".to_owned()))
}

fn insert_reach(statement: &Parsed, reach: &mut Reach) -> Result<(), Refusal> {
    let Parsed::Insert(insert) = statement else {
        return Err(not_understood("This form of INSERT is not read yet.".to_owned()));
    };
    let Insert { table: TableObject::TableName(target), source: Some(source), settings: None, format_clause: None, .. } = insert else {
        return Err(not_understood("Only INSERT INTO a table with VALUES or SELECT is read yet: no FORMAT, SETTINGS or FUNCTION.".to_owned()));
    };
    reach.format = format_of(source)?;
    reach.targets.insert(name(target)?);
    visit_with(&**source, reach, true)
}

/// The target's name may have its columns in brackets behind it, and VALUES its rows.
fn insert_calls(calls: Vec<String>, targets: &BTreeSet<Name>) -> BTreeSet<String> {
    let mut target_seen = false;
    calls
        .into_iter()
        .filter(|call| {
            let target = !target_seen && targets.iter().any(|target| target.table == *call);
            target_seen |= target;
            !target && !call.eq_ignore_ascii_case("VALUES")
        })
        .collect()
}

fn format_of(query: &Query) -> Result<Option<String>, Refusal> {
    match &query.format_clause {
        None => Ok(None),
        Some(FormatClause::Null) => Ok(Some("Null".to_owned())),
        Some(FormatClause::Identifier(format)) if format.quote_style.is_none() => Ok(Some(format.value.clone())),
        Some(FormatClause::Identifier(_)) => Err(not_understood("The name of a format stands without quotes.".to_owned())),
    }
}

/// A name of one or two parts.
fn name(object: &ObjectName) -> Result<Name, Refusal> {
    let parts: Option<Vec<&str>> = object
        .0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Some(ident.value.as_str()),
            ObjectNamePart::Function(_) => None,
        })
        .collect();
    match parts.as_deref() {
        Some([table]) => Ok(Name { database: None, table: (*table).to_owned() }),
        Some([database, table]) => Ok(Name { database: Some((*database).to_owned()), table: (*table).to_owned() }),
        _ => Err(not_understood(format!("`{object}` is no name of a table: write database.table."))),
    }
}

/// A call's name without quotes.
fn bare(object: &ObjectName) -> String {
    let parts: Vec<String> = object.0.iter().map(|part| part.as_ident().map_or_else(|| part.to_string(), |ident| ident.value.clone())).collect();
    parts.join(".")
}

fn visit(node: &impl Visit, reach: &mut Reach) -> Result<(), Refusal> {
    visit_with(node, reach, false)
}

fn visit_with(node: &impl Visit, reach: &mut Reach, values: bool) -> Result<(), Refusal> {
    match node.visit(&mut Walk { reach, values, scopes: Vec::new(), pending: Vec::new() }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(refusal),
    }
}

/// Walks every node of a read. Names of CTEs are known from where their own query has ended, in the query that has
/// them and below, as in ClickHouse; a recursive reference counts as a table, which is the safe mistake.
struct Walk<'r> {
    reach: &'r mut Reach,
    /// Whether VALUES may stand there (an INSERT).
    values: bool,
    scopes: Vec<Scope>,
    /// CTEs whose own query is still ahead: the place of the query, and the name.
    pending: Vec<(*const Query, String)>,
}

#[derive(Default)]
struct Scope {
    known: BTreeSet<String>,
}

impl Walk<'_> {
    fn add(&mut self, object: &ObjectName) -> ControlFlow<Refusal> {
        match name(object) {
            Ok(name) => {
                let cte = name.database.is_none() && self.scopes.iter().any(|scope| scope.known.contains(&name.table));
                if !cte {
                    self.reach.tables.insert(name);
                }
                ControlFlow::Continue(())
            }
            Err(refusal) => ControlFlow::Break(refusal),
        }
    }

    fn check_body(&self, body: &SetExpr) -> ControlFlow<Refusal> {
        match body {
            SetExpr::Select(_) | SetExpr::Query(_) => ControlFlow::Continue(()),
            SetExpr::SetOperation { left, right, .. } => {
                self.check_body(left)?;
                self.check_body(right)
            }
            SetExpr::Values(_) if self.values => ControlFlow::Continue(()),
            SetExpr::Values(_) | SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) | SetExpr::Table(_) => {
                refuse("This form of a query is not read.")
            }
        }
    }

    /// `x IN (name)` reads a table of that name where there is one.
    fn add_operand(&mut self, operand: &Expr) -> ControlFlow<Refusal> {
        if let Expr::Identifier(ident) = operand {
            return self.add(&ObjectName::from(vec![ident.clone()]));
        }
        if let Expr::CompoundIdentifier(parts) = operand {
            return self.add(&ObjectName::from(parts.clone()));
        }
        if let Expr::Nested(inner) = operand {
            return self.add_operand(inner);
        }
        ControlFlow::Continue(())
    }
}

fn refuse(says: &str) -> ControlFlow<Refusal> {
    ControlFlow::Break(not_understood(says.to_owned()))
}

impl Visitor for Walk<'_> {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        self.check_body(&query.body)?;
        if query.settings.is_some() || !query.pipe_operators.is_empty() || query.for_clause.is_some() || !query.locks.is_empty() {
            return refuse("This clause of a query is not read.");
        }
        self.scopes.push(Scope::default());
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            if cte.from.is_some() {
                return refuse("This form of WITH is not read.");
            }
            self.pending.push((&raw const *cte.query, cte.alias.name.value.clone()));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        self.scopes.pop();
        let ended: *const Query = query;
        if let Some(at) = self.pending.iter().position(|(inner, _)| *inner == ended) {
            let (_, cte) = self.pending.swap_remove(at);
            if let Some(scope) = self.scopes.last_mut() {
                scope.known.insert(cte);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Refusal> {
        if select.into.is_some() || !select.lateral_views.is_empty() || !select.connect_by.is_empty() {
            return refuse("This clause of SELECT is not read.");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Refusal> {
        // Calls in FROM are relations too; `pre_visit_table_factor` has taken their names.
        if relation.0.len() == 1 && self.reach.table_functions.contains(&bare(relation)) {
            return ControlFlow::Continue(());
        }
        self.add(relation)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not listed is refused")]
    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Refusal> {
        match factor {
            TableFactor::Table {
                args: None, with_hints, version: None, partitions, json_path: None, index_hints, with_ordinality: false, ..
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => ControlFlow::Continue(()),
            TableFactor::Table { name, args: Some(_), .. } => {
                self.reach.table_functions.insert(bare(name));
                ControlFlow::Continue(())
            }
            TableFactor::Derived { lateral: false, .. } | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            _ => refuse("This form of a table in FROM is not read."),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not listed is refused")]
    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Refusal> {
        match expr {
            Expr::InList { list, .. } => list.iter().try_for_each(|operand| self.add_operand(operand)),
            // The tokens told of every call already, but for those that have a keyword's name: in(x, t).
            Expr::Function(function) => {
                self.reach.functions.insert(bare(&function.name));
                ControlFlow::Continue(())
            }
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::CompoundFieldAccess { .. }
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::InSubquery { .. }
            | Expr::Between { .. }
            | Expr::BinaryOp { .. }
            | Expr::UnaryOp { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::Cast { .. }
            | Expr::Extract { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. }
            | Expr::Position { .. }
            | Expr::Substring { .. }
            | Expr::Trim { .. }
            | Expr::Nested(_)
            | Expr::Value(_)
            | Expr::TypedString(_)
            | Expr::Case { .. }
            | Expr::Exists { .. }
            | Expr::Subquery(_)
            | Expr::Tuple(_)
            | Expr::GroupingSets(_)
            | Expr::Cube(_)
            | Expr::Rollup(_)
            | Expr::Array(_)
            | Expr::Interval(_)
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..)
            | Expr::Lambda(_) => ControlFlow::Continue(()),
            _ => refuse("An expression of this form is not read."),
        }
    }
}

/// Every name of an object, for the record of statements that are refused by their effect.
struct Names(BTreeSet<Name>);

impl Visitor for Names {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.0.extend(name(relation).ok());
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn read(sql: &str) -> Statement {
        super::super::read(sql).unwrap_or_else(|refusal| panic!("{sql}: {}", refusal.says()))
    }

    fn tables(sql: &str) -> Vec<String> {
        read(sql).reach().tables.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_table_is_found_wherever_it_stands() {
        for (sql, want) in [
            ("SELECT 1", vec![]),
            ("SELECT * FROM a", vec!["a"]),
            ("SELECT * FROM db.a, b", vec!["b", "db.a"]),
            ("SELECT * FROM a JOIN b USING (x) LEFT JOIN c.d ON a.x = d.x", vec!["a", "b", "c.d"]),
            ("SELECT (SELECT max(x) FROM b) FROM a WHERE y IN (SELECT y FROM c) ORDER BY (SELECT 1 FROM d)", vec!["a", "b", "c", "d"]),
            ("SELECT x FROM a UNION ALL (SELECT x FROM b EXCEPT SELECT x FROM c)", vec!["a", "b", "c"]),
            ("SELECT * FROM (SELECT * FROM (SELECT * FROM a))", vec!["a"]),
            ("SELECT arrayMap(x -> x + (SELECT 1 FROM b), [1]) FROM a", vec!["a", "b"]),
            ("SELECT x IN (sec.secret) FROM a", vec!["a", "sec.secret"]),
            ("SELECT x IN sec.secret FROM a", vec!["a", "sec.secret"]),
            ("SELECT x NOT IN ((secret)) FROM a", vec!["a", "secret"]),
            ("SELECT x IN (1, 2) FROM a", vec!["a"]),
            ("SELECT sum(x) OVER (PARTITION BY (SELECT 1 FROM b) ORDER BY y) FROM a", vec!["a", "b"]),
            ("SELECT CASE WHEN exists(SELECT 1 FROM b) THEN 1 ELSE 2 END FROM a LIMIT 1 BY x", vec!["a", "b"]),
            ("WITH c AS (SELECT * FROM a) SELECT * FROM c", vec!["a"]),
            ("WITH c AS (SELECT * FROM a), d AS (SELECT * FROM c) SELECT * FROM d JOIN c USING (x)", vec!["a"]),
            ("WITH secret AS (SELECT * FROM secret) SELECT * FROM secret", vec!["secret"]),
            ("WITH c AS (SELECT 1) SELECT * FROM db.c", vec!["db.c"]),
            ("SELECT * FROM (WITH c AS (SELECT 1) SELECT * FROM c), c", vec!["c"]),
            ("SELECT * FROM c WHERE x IN (WITH c AS (SELECT 1) SELECT * FROM c)", vec!["c"]),
            ("WITH c AS (SELECT 1) SELECT * FROM (SELECT * FROM (SELECT * FROM c))", vec![]),
            ("EXPLAIN SELECT * FROM a", vec!["a"]),
            ("DESCRIBE TABLE db.a", vec!["db.a"]),
            ("SHOW TABLES FROM db", vec!["system.tables"]),
            ("SHOW DATABASES", vec!["system.databases"]),
        ] {
            assert_eq!(tables(sql), want, "{sql}");
            assert_eq!(read(sql).effect(), Effect::Read, "{sql}");
        }
    }

    #[test]
    fn calls_are_found_by_the_tokens() {
        for (sql, functions, table_functions) in [
            ("SELECT count(), sum (x) FROM a WHERE (y) AND (z)", vec!["count", "sum"], vec![]),
            ("SELECT * FROM merge('sec', '.*')", vec![], vec!["merge"]),
            ("SELECT * FROM `url`('http://x', CSV)", vec![], vec!["url"]),
            ("SELECT dictGet('d', 'x', 1), `file`('x')", vec!["dictGet", "file"], vec![]),
            ("SELECT in(x, sec.secret)", vec!["in"], vec![]),
            ("SELECT CAST(x AS Decimal(10, 2))", vec!["CAST", "Decimal"], vec![]),
        ] {
            let statement = read(sql);
            let found: Vec<&str> = statement.reach().functions.iter().map(String::as_str).collect();
            assert_eq!(found, functions, "{sql}");
            let found: Vec<&str> = statement.reach().table_functions.iter().map(String::as_str).collect();
            assert_eq!(found, table_functions, "{sql}");
        }
    }

    #[test]
    fn an_effect_is_told_by_the_first_word() {
        for (sql, effect) in [
            ("DROP TABLE a", Effect::Define),
            ("create table a (x UInt8) engine = Memory", Effect::Define),
            ("ALTER TABLE a DELETE WHERE 1", Effect::Define),
            ("TRUNCATE TABLE a", Effect::Change),
            ("SYSTEM SHUTDOWN", Effect::Administer),
            ("KILL QUERY WHERE 1", Effect::Administer),
            ("SET readonly = 0", Effect::Session),
            ("USE sec", Effect::Session),
            ("INSERT INTO a VALUES (1)", Effect::Insert),
        ] {
            assert_eq!(read(sql).effect(), effect, "{sql}");
        }
    }

    #[test]
    fn an_insert_has_a_target_and_sources() {
        let statement = read("INSERT INTO db.t (x, y) SELECT x, count() FROM a GROUP BY x");
        assert_eq!(statement.reach().targets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["db.t"]);
        assert_eq!(statement.reach().tables.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a"]);
        assert_eq!(statement.reach().functions.iter().collect::<Vec<_>>(), ["count"]);
        let statement = read("INSERT INTO t(x) VALUES (1), ((SELECT s FROM sec.secret))");
        assert_eq!(statement.reach().tables.iter().map(ToString::to_string).collect::<Vec<_>>(), ["sec.secret"]);
        assert!(statement.reach().functions.is_empty());
    }

    #[test]
    fn what_is_not_read_for_certain_is_refused() {
        for sql in [
            "SELECT 1 SETTINGS select = '(select s from sec.secret)'",
            "SELECT * FROM a SETTINGS max_threads = 1 FORMAT JSON",
            "SELECT * FROM (SELECT 1 SETTINGS readonly = 0)",
            "SELECT 1 INTO OUTFILE 'x'",
            "SELECT * FROM VALUES('x String DEFAULT file(''/etc/passwd'')', 1)",
            "SELECT 1 PARALLEL WITH DROP TABLE a",
            "FROM a |> WHERE x",
            "TABLE sec.secret",
            "(TABLE sec.secret)",
            "SELECT * FROM a.b.c",
            "EXPLAIN ANALYZE SELECT 1",
            "EXPLAIN INSERT INTO a SELECT 1",
            "WITH x AS (SELECT 1) INSERT INTO a SELECT 1",
            "SHOW TABLES WHERE (SELECT 1)",
            "SHOW TABLES LIKE 'a%'",
            "SHOW CREATE TABLE a",
            "SHOW GRANTS",
            "INSERT INTO FUNCTION url('http://x', CSV, 'a String') SELECT 1",
            "INSERT INTO a FORMAT JSONEachRow",
            "INSERT INTO a SETTINGS readonly = 0 VALUES (1)",
            "EXECUTEX AS b SELECT 1",
            "nothing at all",
            "",
            "-- only this",
            "1",
        ] {
            assert!(super::super::read(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn a_keyword_after_a_dot_is_a_name() {
        assert_eq!(tables("SELECT name FROM system.settings"), ["system.settings"]);
        assert_eq!(tables("SELECT `settings` FROM a"), ["a"]);
    }

    /// Shapes that become deep trees or that a parser could try twice at every level.
    fn bombs(size: usize) -> Vec<String> {
        let around = |open: &str, close: &str| format!("SELECT {}1{}", open.repeat(size), close.repeat(size));
        let row = |link: &str| format!("SELECT 1{}", link.repeat(size));
        let mut bombs: Vec<String> = [
            ("(", ")"),
            ("[", "]"),
            ("(SELECT ", ")"),
            ("f(", ")"),
            ("f(x, ", ")"),
            ("NOT (", ")"),
            ("- (", ")"),
            ("(1, ", ")"),
            ("exists(SELECT ", ")"),
            ("x IN (SELECT ", ")"),
            ("CASE WHEN (", ") THEN 1 END"),
            ("CASE WHEN 1 THEN ", " END"),
            ("CAST(", " AS Int8)"),
            ("NOT ", ""),
            ("- ", ""),
            ("x -> ", ""),
            ("INTERVAL ", " day"),
            ("EXPLAIN ", ""),
        ]
        .iter()
        .map(|(open, close)| around(open, close))
        .collect();
        bombs.extend(["+1", " AND x", "::Int8", "[1]", ".b", " BETWEEN 1 AND 1", " IN (1)", " IS NULL", " a", ",1", " UNION ALL SELECT 1"].map(row));
        bombs.push(format!("SELECT 1 FROM a{}", " JOIN a USING (x)".repeat(size)));
        for open in ["(", "(SELECT 1 FROM ", "(a JOIN "] {
            bombs.push(format!("SELECT 1 FROM {}a{}", open.repeat(size), ")".repeat(size)));
        }
        bombs
    }

    #[test]
    fn bombs_end_in_an_answer_and_soon() {
        let reader = std::thread::Builder::new().stack_size(super::super::STACK).spawn(|| {
            let mut read = 0;
            for bomb in [4, 20, 24, 100, 300, 1400, 20_000].into_iter().flat_map(bombs) {
                // What is asserted is that it comes back at all: neither out of stack nor after 2^24 tries.
                read += usize::from(super::super::read(&bomb).is_ok());
            }
            read
        });
        assert!(reader.unwrap().join().unwrap() > 20, "honest sizes are read");
    }
}
