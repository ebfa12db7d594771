//! The second opinion: a reader of SQL that is not ours, asked whether a read is one.
//!
//! It is sqlparser with its ClickHouse dialect. It cannot read everything that ClickHouse can, and then it has no opinion;
//! but where it reads a statement that we call a read and finds anything else in it, one of the two is wrong, and the
//! statement goes nowhere. It shares no code with our reader, so a mistake of ours must be made twice to get through.

use std::any::TypeId;
use std::cell::Cell;
use std::panic;

use sqlparser::ast::{Expr, Query, SetExpr, Statement};
use sqlparser::dialect::{ClickHouseDialect, Dialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Tokenizer;

/// Longest statement that it is asked about, in tokens: what it makes is a tree, as deep as a row of operators is long.
const MOST_TOKENS: usize = 600;

/// Deepest brackets: it has been seen to take twice the time for every level.
const DEEPEST: usize = 16;

/// How often it may ask about its dialect while it reads a statement: honest ones of 600 tokens make it ask less than 1500
/// times, and so many take a few milliseconds.
const MOST_WORK: u32 = 20_000;

/// What the other reader makes of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion {
    /// It is a read.
    Agrees,
    /// It cannot read it.
    None,
    /// It is something else.
    Disagrees,
    /// It was not asked: the statement is too long or too deep for it.
    NotAsked,
}

impl Opinion {
    /// The word for it in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Opinion::Agrees => "agrees",
            Opinion::None => "none",
            Opinion::Disagrees => "disagrees",
            Opinion::NotAsked => "not-asked",
        }
    }
}

/// What the other reader makes of the text of a read, which has so many tokens and brackets so deep.
pub(super) fn ask(canonical: &str, tokens: usize, deepest: usize) -> Opinion {
    if tokens > MOST_TOKENS || deepest > DEEPEST {
        return Opinion::NotAsked;
    }
    // A fault of the other reader must cost nothing but its opinion.
    match panic::catch_unwind(|| read(canonical)) {
        Ok(Ok(statements)) => match statements.as_slice() {
            [statement] if is_read(statement) => Opinion::Agrees,
            _ => Opinion::Disagrees,
        },
        Ok(Err(_)) | Err(_) => Opinion::None,
    }
}

fn read(canonical: &str) -> Result<Vec<Statement>, ParserError> {
    let tokens = Tokenizer::new(&ClickHouseDialect {}, canonical).tokenize_with_location()?;
    Parser::new(&Bounded { left: Cell::new(MOST_WORK) }).with_tokens_with_locations(tokens).parse_statements()
}

/// The ClickHouse dialect, which the other reader asks about whatever it tries, and so the place to end a reading that takes
/// too long: what it tries as one thing and then as another, and again at every level, would take years.
#[derive(Debug)]
struct Bounded {
    left: Cell<u32>,
}

impl Bounded {
    fn spend(&self) {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            // There is no other way to stop it, and unlike a panic this prints nothing.
            None => panic::resume_unwind(Box::new("the other reader takes too long")),
        }
    }
}

/// What the ClickHouse dialect answers.
macro_rules! as_clickhouse {
    ($($method:ident)*) => {
        $(fn $method(&self) -> bool {
            self.spend();
            ClickHouseDialect {}.$method()
        })*
    };
}

impl Dialect for Bounded {
    fn dialect(&self) -> TypeId {
        self.spend();
        TypeId::of::<ClickHouseDialect>()
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ClickHouseDialect {}.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ClickHouseDialect {}.is_identifier_part(ch)
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        ClickHouseDialect {}.identifier_quote_style(identifier)
    }

    fn parse_prefix(&self, _parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        self.spend();
        None
    }

    // Every method that ClickHouseDialect has of its own.
    as_clickhouse! {
        supports_string_literal_backslash_escape supports_select_wildcard_except describe_requires_table_keyword
        require_interval_qualifier supports_limit_comma supports_insert_table_function supports_insert_format
        supports_numeric_literal_underscores supports_partition_by_after_order_by supports_array_join_syntax
        supports_dictionary_syntax supports_in_unparenthesized_expr supports_lambda_functions supports_from_first_select
        supports_order_by_all supports_group_by_expr supports_group_by_with_modifier supports_nested_comments
        supports_optimize_table supports_prewhere supports_with_fill supports_limit_by supports_interpolate supports_settings
        supports_select_format supports_select_wildcard_replace supports_comma_separated_trim
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what is not listed is no read")]
fn is_read(statement: &Statement) -> bool {
    match statement {
        Statement::Query(query) => is_query_a_read(query),
        // Without ANALYZE nothing of it is done.
        Statement::Explain { analyze: false, .. } => true,
        Statement::Explain { statement, .. } => is_read(statement),
        Statement::ExplainTable { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowDatabases { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowFunctions { .. }
        | Statement::ShowCreate { .. }
        | Statement::ShowVariable { .. }
        | Statement::ShowVariables { .. }
        | Statement::ShowViews { .. }
        | Statement::ShowStatus { .. }
        | Statement::ShowSchemas { .. }
        | Statement::ShowCatalogs { .. }
        | Statement::ShowProcessList { .. } => true,
        _ => false,
    }
}

fn is_query_a_read(query: &Query) -> bool {
    let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
    ctes.map(|cte| &cte.query).all(|query| is_query_a_read(query)) && is_body_a_read(&query.body)
}

fn is_body_a_read(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.into.is_none(),
        SetExpr::Query(query) => is_query_a_read(query),
        SetExpr::SetOperation { left, right, .. } => is_body_a_read(left) && is_body_a_read(right),
        SetExpr::Values(_) | SetExpr::Table(_) => true,
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_reader_finds_is_told() {
        for (sql, opinion) in [
            ("SELECT 1", Opinion::Agrees),
            ("WITH a AS (SELECT 1) SELECT * FROM a UNION ALL SELECT 2", Opinion::Agrees),
            ("SHOW TABLES", Opinion::Agrees),
            ("SELECT * FROM t ARRAY JOIN {", Opinion::None),
            ("DROP TABLE t", Opinion::Disagrees),
            ("INSERT INTO t SELECT 1", Opinion::Disagrees),
            ("SELECT 1; SELECT 2", Opinion::Disagrees),
        ] {
            assert_eq!(ask(sql, 10, 1), opinion, "{sql}");
        }
        assert_eq!(ask("SELECT 1", MOST_TOKENS + 1, 1), Opinion::NotAsked);
        assert_eq!(ask("SELECT 1", 1, DEEPEST + 1), Opinion::NotAsked);
    }

    #[test]
    fn a_reading_that_takes_too_long_is_ended() {
        // Without an end the first takes years, and the second is understood after a second.
        for (open, middle, close, times) in [("(x, y) -> ", "a.^b", "", 40), ("position(", "1", ")", DEEPEST)] {
            let sql = format!("SELECT {}{middle}{}", open.repeat(times), close.repeat(times));
            assert_eq!(ask(&sql, MOST_TOKENS, DEEPEST), Opinion::None, "{sql}");
        }
    }

    #[test]
    fn the_bounded_dialect_is_that_of_clickhouse() {
        for sql in [
            "SELECT * EXCEPT (a) REPLACE (1 AS b), 'it\\'s', f((x, y) -> x + 1_000), {'a': 1}, INTERVAL 1 DAY FROM t ARRAY JOIN a",
            "SELECT a FROM t PREWHERE a IN b GROUP BY ALL WITH TOTALS ORDER BY a WITH FILL INTERPOLATE LIMIT 1, 2 BY a SETTINGS b = 1 FORMAT JSON",
            "FROM t SELECT trim(a, 'b') ORDER BY ALL",
            "DESCRIBE TABLE t",
            "SELECT FROM WHERE",
        ] {
            assert_eq!(read(sql), Parser::parse_sql(&ClickHouseDialect {}, sql), "{sql}");
        }
    }
}
