//! The second opinion: a reader of SQL that is not ours, asked whether a read is one.
//!
//! It is sqlparser with its ClickHouse dialect. It cannot read everything that ClickHouse can, and then it has no opinion;
//! but where it reads a statement that we call a read and finds anything else in it, one of the two is wrong, and the
//! statement goes nowhere. It shares no code with our reader, so a mistake of ours must be made twice to get through.

use sqlparser::ast::{Query, SetExpr, Statement};
use sqlparser::dialect::ClickHouseDialect;
use sqlparser::parser::Parser;

/// Longest statement that it is asked about, in tokens: what it makes is a tree, as deep as a row of operators is long.
const MOST_TOKENS: usize = 600;

/// Deepest brackets: it has been seen to take twice the time for every level.
const DEEPEST: usize = 16;

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
    let read = std::panic::catch_unwind(|| Parser::parse_sql(&ClickHouseDialect {}, canonical));
    match read {
        Ok(Ok(statements)) => match statements.as_slice() {
            [statement] if is_read(statement) => Opinion::Agrees,
            _ => Opinion::Disagrees,
        },
        Ok(Err(_)) | Err(_) => Opinion::None,
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
}
