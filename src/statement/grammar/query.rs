//! Queries: SELECT with its clauses, set operations, common table expressions, pipes.

use std::borrow::Cow;

use super::super::lexer::Kind;
use super::super::reach::{Clause, Name, Via};
use super::cursor::{Cursor, DEEPEST, Parsed, Touch};
use super::{Effect, Is};

/// Words that can stand behind a row count of LIMIT, so that AFTER or UNTIL before them is the count's name.
const AFTER_A_COUNT: [&str; 14] = [
    "AS",
    "BY",
    "OFFSET",
    "WITH TIES",
    "AFTER",
    "UNTIL",
    "FETCH",
    "SETTINGS",
    "FORMAT",
    "INTO OUTFILE",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "PARALLEL WITH",
];

/// Most common table expressions in one scope: every name behind FROM is looked for among them.
const MOST_CTES: usize = 500;

impl<'a> Cursor<'a> {
    /// A query: one SELECT or several with set operations between them, and pipes behind.
    pub(super) fn query(&mut self) -> Parsed {
        let outer = self.scope.len();
        self.query_that(outer, false)
    }

    /// A query at the beginning of a statement, or `WITH ... INSERT INTO ...`.
    pub(super) fn query_or_insert(&mut self) -> Parsed<Is> {
        let outer = self.scope.len();
        let with = self.take("WITH");
        if with {
            self.with_list()?;
            if self.at_word("INSERT INTO") {
                let insert = self.insert();
                self.scope.truncate(outer);
                return insert;
            }
        }
        self.query_that(outer, with)?;
        Ok(Is { effect: Effect::Read, node: "SelectWithUnionQuery" })
    }

    /// A query whose WITH was read or was not; its common table expressions begin at `outer`.
    fn query_that(&mut self, outer: usize, with_was_read: bool) -> Parsed {
        self.deeper(|cursor| {
            let within = std::mem::replace(&mut cursor.within_table_function, false);
            cursor.arms(outer, with_was_read)?;
            cursor.pipes()?;
            cursor.within_table_function = within;
            cursor.scope.truncate(outer);
            Ok(())
        })
    }

    /// The WITH of the first arm is seen by the pipes, and by the arms that have none of their own
    /// (`enable_global_with_statement`). One that is recursive sees itself from its second arm on.
    fn arms(&mut self, outer: usize, with_was_read: bool) -> Parsed {
        let recursive = self.recursive.take();
        let borrowed = self.borrowed;
        if with_was_read {
            self.select_behind_with()?
        } else {
            self.arm()?
        }
        self.scope.extend(recursive);
        while self.set_operation() {
            let before = self.scope.len();
            self.borrowed = Some(borrowed.map_or(outer, |borrowed| borrowed.min(outer)));
            self.arm()?;
            self.scope.truncate(before);
        }
        self.borrowed = None;
        Ok(())
    }

    fn set_operation(&mut self) -> bool {
        let found = self.take_any(&["UNION", "EXCEPT", "INTERSECT"]).is_some();
        if found {
            self.take_any(&["ALL", "DISTINCT"]);
        }
        found
    }

    pub(super) fn arm(&mut self) -> Parsed {
        if self.kind() == Kind::OpeningRoundBracket { self.subquery() } else { self.select() }
    }

    /// Whether a query begins here.
    pub(super) fn at_query(&mut self) -> bool {
        self.at_word("SELECT") || self.at_word("WITH") || self.at_word("FROM") || (self.kind() == Kind::OpeningRoundBracket && self.at_subquery())
    }

    /// Whether the bracket that opens here holds a query, and not an expression that begins with one.
    ///
    /// Brackets are followed inwards: a query in brackets is one as a whole only where its bracket ends the outer one or
    /// a set operation or a pipe follows.
    pub(super) fn at_subquery(&mut self) -> bool {
        let mut ahead = 0;
        while self.kind_at(ahead + 1) == Kind::OpeningRoundBracket {
            // Nothing that is so deep is read, and each of the brackets would ask again.
            if ahead > usize::from(DEEPEST) {
                return false;
            }
            ahead += 1;
        }
        if !self.begins_a_query(ahead + 1) {
            return false;
        }
        // From the innermost bracket outwards.
        for opening in (1..=ahead).rev() {
            let Some(end) = self.closing_of(opening) else { return false };
            let goes_on = matches!(self.kind_at(end + 1), Kind::ClosingRoundBracket | Kind::PipeOperator)
                || ["UNION", "EXCEPT", "INTERSECT"].iter().any(|word| self.at_word_after(end + 1, word));
            if !goes_on {
                return false;
            }
            if self.kind_at(end + 1) != Kind::ClosingRoundBracket {
                return true;
            }
        }
        true
    }

    /// Whether a query's first word stands so many places further on, and is not a name.
    fn begins_a_query(&mut self, ahead: usize) -> bool {
        let word = self.word_at(ahead);
        let first = ["SELECT", "WITH", "FROM", "EXPLAIN"].iter().find(|known| known.eq_ignore_ascii_case(word));
        let next = self.kind_at(ahead + 1);
        match first.copied() {
            None => false,
            Some("SELECT") => !matches!(next, Kind::ClosingRoundBracket | Kind::Comma | Kind::Dot),
            // A column named from or explain, with an operator behind it, wins over the clause.
            Some("FROM" | "EXPLAIN")
                if ["OR", "AND", "IS", "BETWEEN", "NOT", "LIKE", "ILIKE", "REGEXP", "IN", "GLOBAL", "MOD", "DIV", "AS"]
                    .iter()
                    .any(|operator| self.at_word_after(ahead + 1, operator)) =>
            {
                false
            }
            // An option's name may be quoted, as one with a dollar sign is written anew.
            Some("EXPLAIN") => {
                matches!(next, Kind::BareWord | Kind::OpeningRoundBracket)
                    || (next == Kind::QuotedIdentifier && self.kind_at(ahead + 2) == Kind::Equals)
            }
            Some(_) => {
                matches!(next, Kind::BareWord | Kind::QuotedIdentifier | Kind::OpeningRoundBracket | Kind::OpeningCurlyBrace | Kind::StringLiteral)
                    || (word.eq_ignore_ascii_case("WITH") && matches!(next, Kind::Number | Kind::OpeningSquareBracket | Kind::Minus))
            }
        }
    }

    /// How far ahead the bracket stands that closes this one. All that are followed on the way are kept, so that no
    /// token is looked at twice, however deep it is.
    fn closing_of(&mut self, opening: usize) -> Option<usize> {
        let here = self.position();
        if let Some(known) = self.closings.get(&(here + opening)) {
            return known.map(|at| at - here);
        }
        let (mut open, mut at) = (Vec::new(), here + opening);
        loop {
            let kind = self.kind_at(at - here);
            match kind {
                Kind::OpeningRoundBracket => match self.closings.get(&at) {
                    Some(&Some(closing)) => at = closing,
                    Some(&None) => break,
                    None => open.push(at),
                },
                Kind::ClosingRoundBracket => {
                    self.closings.extend(open.pop().map(|opening| (opening, Some(at))));
                }
                Kind::EndOfStream => break,
                other if other.is_error() => break,
                _ => {}
            }
            if open.is_empty() {
                return Some(at - here);
            }
            at += 1;
        }
        self.closings.extend(open.into_iter().map(|opening| (opening, None)));
        None
    }

    /// `( query )`, and `( EXPLAIN query )`.
    pub(super) fn subquery(&mut self) -> Parsed {
        self.open()?;
        if self.at_word("EXPLAIN") {
            // It is run as a text of its own, which sees nothing of the query around it.
            let scope = std::mem::take(&mut self.scope);
            let read = self.explained_query();
            self.scope = scope;
            read?;
        } else {
            self.query()?;
        }
        self.close()
    }

    /// `SELECT ...`, `WITH ... SELECT ...`, `FROM ... [SELECT ...]`.
    fn select(&mut self) -> Parsed {
        let borrowed = self.borrowed.take();
        if !self.take("WITH") {
            return self.select_behind_with();
        }
        // A WITH of its own takes the place of the borrowed one.
        let beside = borrowed.map(|from| (from, self.scope.split_off(from)));
        self.with_list()?;
        self.select_behind_with()?;
        if let Some((from, names)) = beside {
            self.scope.truncate(from);
            self.scope.extend(names);
        }
        Ok(())
    }

    fn select_behind_with(&mut self) -> Parsed {
        let from_first = self.take("FROM");
        if from_first {
            self.tables(true)?;
        }
        if self.take("SELECT") {
            self.select_head()?;
            self.select_list()?;
        } else if !from_first {
            return self.expected("SELECT");
        }
        if !from_first && self.take("FROM") {
            self.tables(false)?;
        }
        self.filters_and_groups()?;
        self.order_and_limit()?;
        self.settings_of_a_select()
    }

    /// `SETTINGS ...`, if they stand here: those of the whole statement stand at its end.
    pub(super) fn settings_of_a_select(&mut self) -> Parsed {
        if self.take("SETTINGS") {
            self.settings()?;
            let ends = matches!(self.kind(), Kind::EndOfStream | Kind::Semicolon) || self.at_word("FORMAT") || self.at_word("INTO OUTFILE");
            if !ends {
                self.touch(Touch::Clause(Clause::InnerSettings));
            }
        }
        Ok(())
    }

    /// ALL, DISTINCT, DISTINCT ON (...), TOP.
    fn select_head(&mut self) -> Parsed {
        let all = self.take("ALL");
        if self.at_word("DISTINCT ON") && self.kind_at(2) == Kind::OpeningRoundBracket {
            self.keyword("DISTINCT ON")?;
            self.bracketed(Self::expression_with_alias)?;
        } else if self.take("DISTINCT") && all {
            return self.expected("ALL or DISTINCT");
        }
        self.take("ALL");
        if self.take("TOP") {
            let bracket = self.eat(Kind::OpeningRoundBracket);
            self.token(Kind::Number, "a number")?;
            if bracket {
                self.close()?;
            }
            self.take("WITH TIES");
        }
        Ok(())
    }

    /// The list behind SELECT; a comma may stand behind the last expression.
    pub(super) fn select_list(&mut self) -> Parsed {
        loop {
            self.expression_with_bare_alias()?;
            if self.kind() != Kind::Comma {
                return Ok(());
            }
            let ends = self.comma_is_the_last();
            self.advance();
            if ends {
                return Ok(());
            }
        }
    }

    /// Whether FROM behind this comma is the clause, or the query ends there.
    fn comma_is_the_last(&mut self) -> bool {
        match self.kind_at(1) {
            Kind::EndOfStream | Kind::Semicolon | Kind::PipeOperator => return true,
            _ if !self.at_word_after(1, "FROM") => return false,
            _ => {}
        }
        let operators = [
            "OR",
            "AND",
            "IS",
            "BETWEEN",
            "NOT BETWEEN",
            "LIKE",
            "ILIKE",
            "NOT LIKE",
            "NOT ILIKE",
            "REGEXP",
            "IN",
            "NOT IN",
            "GLOBAL IN",
            "GLOBAL NOT IN",
            "MOD",
            "DIV",
            "FROM",
            "AS",
        ];
        let symbol = matches!(
            self.kind_at(2),
            Kind::Comma
                | Kind::Arrow
                | Kind::QuestionMark
                | Kind::Colon
                | Kind::Equals
                | Kind::NotEquals
                | Kind::Spaceship
                | Kind::Less
                | Kind::Greater
                | Kind::LessOrEquals
                | Kind::GreaterOrEquals
                | Kind::Concatenation
                | Kind::Plus
                | Kind::Minus
                | Kind::Asterisk
                | Kind::Slash
                | Kind::Percent
                | Kind::Dot
                | Kind::OpeningSquareBracket
                | Kind::DoubleColon
        );
        !(symbol || operators.iter().any(|word| self.at_word_after(2, word)))
    }

    /// The list behind WITH: common table expressions and expressions with names. A comma may stand behind the last.
    fn with_list(&mut self) -> Parsed {
        let recursive = self.take("RECURSIVE");
        loop {
            self.with_element(recursive)?;
            if !self.eat(Kind::Comma)
                || self.at_word("SELECT")
                || self.at_word("INSERT INTO")
                || (self.at_word("FROM") && self.kind_at(1) != Kind::Comma)
            {
                return Ok(());
            }
        }
    }

    fn with_element(&mut self, recursive: bool) -> Parsed {
        if self.at_word("SELECT") {
            return self.expected("a name other than select");
        }
        let Some(name) = self.attempt(Self::cte_head) else {
            return self.expression_with_alias();
        };
        if self.scope.len() >= MOST_CTES {
            return self.expected("fewer common table expressions");
        }
        self.touch(Touch::CteDefined(name.clone()));
        // A name with a dot would be found by a name of two parts.
        let name = Some(name).filter(|name| !name.contains('.'));
        self.recursive = name.clone().filter(|_| recursive);
        self.bodies += 1;
        self.subquery()?;
        self.bodies -= 1;
        self.scope.extend(name);
        Ok(())
    }

    /// `name [(column, ...)] AS [MATERIALIZED [ENGINE = ...]]` before a query in brackets.
    fn cte_head(&mut self) -> Parsed<Cow<'a, str>> {
        let name = self.identifier()?;
        if self.kind() == Kind::OpeningRoundBracket {
            self.bracketed(|cursor| cursor.identifier().map(drop))?;
        }
        self.keyword("AS")?;
        if self.take("MATERIALIZED") && self.take("ENGINE") {
            self.eat(Kind::Equals);
            let engine = self.identifier()?;
            self.touch(Touch::Also(Name::bare(engine), Via::Other("ENGINE")));
            if self.kind() == Kind::OpeningRoundBracket && !self.at_subquery() {
                self.bracketed(|cursor| if cursor.at_identifier() { cursor.path().map(drop) } else { cursor.literal_text().map(drop) })?;
            }
            if self.take("SETTINGS") {
                self.settings()?;
            }
        }
        if self.kind() == Kind::OpeningRoundBracket && self.at_subquery() { Ok(name) } else { self.expected("a query in brackets") }
    }

    /// PREWHERE to QUALIFY.
    fn filters_and_groups(&mut self) -> Parsed {
        if self.take("PREWHERE") {
            self.touch(Touch::Clause(Clause::Prewhere));
            self.expression_with_alias()?;
        }
        if self.take("WHERE") {
            self.expression_with_alias()?;
        }
        if self.take("GROUP BY") {
            self.group_by()?;
        }
        while self.at_word("WITH") && (self.at_word_after(1, "ROLLUP") || self.at_word_after(1, "CUBE") || self.at_word_after(1, "TOTALS")) {
            self.advance();
            self.advance();
        }
        if self.take("HAVING") {
            self.expression_with_alias()?;
        }
        if self.take("WINDOW") {
            self.list(|cursor| {
                cursor.identifier()?;
                cursor.keyword("AS")?;
                cursor.window_definition()
            })?;
        }
        if self.take("QUALIFY") {
            self.expression_with_alias()?;
        }
        Ok(())
    }

    fn group_by(&mut self) -> Parsed {
        if self.at_word("GROUPING SETS") {
            self.keyword("GROUPING SETS")?;
            return self.bracketed(|cursor| {
                if cursor.kind() != Kind::OpeningRoundBracket || cursor.at_subquery() {
                    return cursor.expression_with_alias();
                }
                cursor.open()?;
                if !cursor.eat(Kind::ClosingRoundBracket) {
                    cursor.expressions()?;
                    cursor.close()?;
                }
                Ok(())
            });
        }
        if (self.at_word("ROLLUP") || self.at_word("CUBE")) && self.kind_at(1) == Kind::OpeningRoundBracket {
            self.advance();
            return self.bracketed(Self::expression_with_alias);
        }
        if self.take("ALL") {
            return Ok(());
        }
        self.expressions()
    }

    /// ORDER BY to FETCH.
    fn order_and_limit(&mut self) -> Parsed {
        if self.take("ORDER BY") {
            self.order_by_clause()?;
        }
        if self.take("LIMIT") {
            self.limit_clause()?;
            if self.take("LIMIT") {
                self.limit_clause()?;
            }
        } else if self.take("OFFSET") {
            self.expression_with_alias()?;
            self.take_any(&["ROWS", "ROW"]);
        }
        if self.take("FETCH") {
            if self.take_any(&["FIRST", "NEXT"]).is_none() {
                return self.expected("FIRST or NEXT");
            }
            self.expression_with_alias()?;
            if self.take_any(&["ROWS", "ROW"]).is_none() {
                return self.expected("ROWS");
            }
            if self.take_any(&["WITH TIES", "ONLY"]).is_none() {
                return self.expected("ONLY or WITH TIES");
            }
        }
        Ok(())
    }

    pub(super) fn order_by_clause(&mut self) -> Parsed {
        let mark = self.mark();
        if self.take("ALL") {
            self.order_direction()?;
            if self.kind() != Kind::Comma {
                return self.interpolate();
            }
            self.back_to(mark);
        }
        self.order_by_list()?;
        self.interpolate()
    }

    /// `expression [ASC | DESC] [NULLS FIRST | LAST] [COLLATE 'x'] [WITH FILL ...], ...`
    pub(super) fn order_by_list(&mut self) -> Parsed {
        self.list(|cursor| {
            cursor.expression_with_alias()?;
            cursor.order_direction()?;
            if cursor.take("COLLATE") {
                cursor.string()?;
            }
            if cursor.take("WITH FILL") {
                for word in ["FROM", "TO", "STEP", "STALENESS"] {
                    if cursor.take(word) {
                        cursor.expression_with_alias()?;
                    }
                }
            }
            Ok(())
        })
    }

    fn order_direction(&mut self) -> Parsed {
        self.take_any(&["ASC", "ASCENDING", "DESC", "DESCENDING"]);
        if self.take("NULLS") && self.take_any(&["FIRST", "LAST"]).is_none() {
            return self.expected("FIRST or LAST");
        }
        Ok(())
    }

    fn interpolate(&mut self) -> Parsed {
        if !self.take("INTERPOLATE") || !self.eat(Kind::OpeningRoundBracket) {
            return Ok(());
        }
        if self.kind() != Kind::ClosingRoundBracket {
            self.list(|cursor| {
                cursor.identifier()?;
                if cursor.take("AS") { cursor.expression() } else { Ok(()) }
            })?;
        }
        self.close()
    }

    /// Behind LIMIT: a range, or counts with what may follow them.
    fn limit_clause(&mut self) -> Parsed {
        if self.limit_range()? {
            return Ok(());
        }
        self.expression_with_alias()?;
        if self.eat(Kind::Comma) || self.take("OFFSET") {
            self.expression_with_alias()?;
        }
        self.take("WITH TIES");
        if self.take("BY") {
            if !self.take("ALL") {
                self.expressions()?;
            }
            return Ok(());
        }
        self.limit_range().map(drop)
    }

    /// `AFTER x [ALL] [UNTIL y]`, `UNTIL y`: whether one stood here.
    fn limit_range(&mut self) -> Parsed<bool> {
        let after = self.at_word("AFTER");
        let follows = |cursor: &mut Self| AFTER_A_COUNT.iter().any(|word| cursor.at_word_after(1, word));
        if !(after || self.at_word("UNTIL")) || follows(self) || !self.an_expression_begins(1) {
            return Ok(false);
        }
        self.advance();
        self.expression_with_alias()?;
        if after {
            self.take("ALL");
            if self.take("UNTIL") {
                self.expression_with_alias()?;
            }
        }
        Ok(true)
    }
}
