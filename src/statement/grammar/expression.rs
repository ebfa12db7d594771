//! Expressions: operands, the operators between them, and what stands behind them.
//!
//! There is no tree and no precedence: what an expression reaches does not depend on which operator binds first, except
//! for what stands right of IN, which is looked at on its own.

use std::borrow::Cow;

use super::super::lexer::Kind;
use super::super::reach::Via;
use super::cursor::{Cursor, Parsed, Touch};

/// Words that are no alias unless AS stands before them.
#[rustfmt::skip]
const RESTRICTED: [&str; 44] = [
    "ALL", "ANTI", "ANY", "ARRAY", "ASOF", "BETWEEN", "CROSS", "ELSE", "EXCEPT", "FINAL", "FORMAT", "FROM", "FULL", "GLOBAL", "GROUP", "HAVING",
    "ILIKE", "INNER", "INTERSECT", "INTO", "JOIN", "LEFT", "LIKE", "LIMIT", "NATURAL", "NOT", "OFFSET", "ON", "ONLY", "ORDER", "PARALLEL",
    "PASTE", "PREWHERE", "QUALIFY", "RIGHT", "SAMPLE", "SEMI", "SETTINGS", "STREAM", "UNION", "USING", "WHERE", "WINDOW", "WITH",
];

/// Where an expression goes on after what was just read.
enum Next {
    Operand,
    Operator,
    End,
}

/// Whether an expression may be given a name.
#[derive(Clone, Copy)]
pub(super) enum Naming {
    No,
    /// With AS.
    As,
    /// With or without AS; these words go on with what is around.
    Bare(&'static [&'static str]),
    /// With or without AS; the unit of an interval follows.
    BeforeUnit,
}

/// What the operator that was just read makes of the operand behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Anything,
    Comparison,
    In,
}

impl<'a> Cursor<'a> {
    /// One expression without alias.
    pub(super) fn expression(&mut self) -> Parsed {
        self.expression_that(Naming::No, false)
    }

    /// One expression, which may be given a name with AS.
    pub(super) fn expression_with_alias(&mut self) -> Parsed {
        self.expression()?;
        self.alias(false)
    }

    /// One expression, which may be given a name with or without AS.
    pub(super) fn expression_with_bare_alias(&mut self) -> Parsed {
        self.expression()?;
        self.alias(true)
    }

    /// One or more expressions, which may be given names with AS.
    pub(super) fn expressions(&mut self) -> Parsed {
        self.list(Self::expression_with_alias)
    }

    /// An element within brackets: may be given a name in the middle, `(1 AS x) + 2` without the brackets.
    pub(super) fn element(&mut self) -> Parsed {
        self.expression_that(Naming::As, false)
    }

    /// The first argument of `position(needle IN haystack)`, where IN is no operator.
    pub(super) fn element_before_in(&mut self) -> Parsed {
        self.expression_that(Naming::Bare(&[]), true)
    }

    /// An argument of the calls with words between their arguments: may be given a name without AS that is none of these.
    pub(super) fn element_before(&mut self, words: &'static [&'static str]) -> Parsed {
        self.expression_that(Naming::Bare(words), false)
    }

    pub(super) fn expression_that(&mut self, naming: Naming, ends_at_in: bool) -> Parsed {
        self.deeper(|cursor| {
            let mut named = matches!(naming, Naming::No);
            let (mut conditions, mut joined) = (0usize, false);
            let mut after = After::Anything;
            loop {
                cursor.operand(after)?;
                loop {
                    if ends_at_in && cursor.at_word("IN") {
                        return Ok(());
                    }
                    match cursor.operator(&mut conditions, &mut after)? {
                        Next::Operand => {
                            joined = true;
                            break;
                        }
                        // What an operator has taken may have a name: `x -> * AS f`.
                        Next::End if joined && cursor.behind_a_matcher == cursor.position() => {
                            cursor.behind_a_matcher = 0;
                            continue;
                        }
                        Next::Operator => {}
                        Next::End if conditions > 0 => return cursor.expected(":"),
                        Next::End if named || !cursor.name_follows(naming) => return Ok(()),
                        Next::End => {
                            cursor.take("AS");
                            cursor.alias_name()?;
                            named = true;
                        }
                    }
                }
            }
        })
    }

    fn name_follows(&mut self, naming: Naming) -> bool {
        if self.at_word("AS") {
            return !matches!(naming, Naming::No);
        }
        match naming {
            Naming::No | Naming::As => false,
            Naming::Bare(words) => self.at_bare_alias() && !words.iter().any(|word| self.at_word(word)),
            Naming::BeforeUnit => self.at_bare_alias() && self.unit_at(0).is_none(),
        }
    }

    /// `AS name`, and with `bare` also a name alone that is none of the words that go on with the query.
    pub(super) fn alias(&mut self, bare: bool) -> Parsed {
        let matcher = self.behind_a_matcher == self.position();
        if self.take("AS") {
            return if matcher { self.expected("no name behind * or COLUMNS") } else { self.alias_name() };
        }
        if bare && self.at_bare_alias() {
            self.alias_name()?;
        }
        Ok(())
    }

    fn at_bare_alias(&mut self) -> bool {
        if !self.at_identifier() {
            return false;
        }
        let word = self.word_at(0);
        // Behind the query of a view or table stands its comment.
        let comment = word.eq_ignore_ascii_case("COMMENT") && self.string_follows();
        !comment && !RESTRICTED.iter().any(|restricted| restricted.eq_ignore_ascii_case(word))
    }

    /// `= ANY (SELECT ...)`, `= ALL (SELECT ...)`, `= SOME (array)`: whether one stood here.
    pub(super) fn quantified(&mut self) -> Parsed<bool> {
        let (any, all) = (self.at_word("ANY"), self.at_word("ALL"));
        if !(any || all || self.at_word("SOME")) || self.kind_at(1) != Kind::OpeningRoundBracket {
            return Ok(false);
        }
        let mark = self.mark();
        self.advance();
        if self.at_subquery() {
            for name in ["in", "notIn", "singleValueOrNull", "min", "max"] {
                self.function(name);
            }
            self.subquery()?;
            return Ok(true);
        }
        if any {
            self.back_to(mark);
            return Ok(false);
        }
        self.function(if all { "arrayAll" } else { "arrayExists" });
        self.open()?;
        self.expression()?;
        self.close()?;
        Ok(true)
    }

    /// Right of IN a name is a table unless a column or a common table expression has it: reported where it could be.
    pub(super) fn right_of_in(&mut self) {
        let mark = self.mark();
        self.name_as_a_set("IN");
        let touched = self.touched.split_off(mark.touched());
        self.back_to(mark);
        // The parameters of the name are seen once more when the operand is read.
        self.touched.extend(
            touched.into_iter().filter(|touch| matches!(touch, Touch::Also(..) | Touch::CteAsASet(..) | Touch::InABody(_) | Touch::Computed(_))),
        );
    }

    /// Reports the name that stands here, in brackets or not, as a table that is used as a set.
    pub(super) fn name_as_a_set(&mut self, via: &'static str) {
        let brackets = self.brackets_and_pluses();
        if !(self.at_identifier() || self.kind() == Kind::OpeningCurlyBrace) || self.call_follows() {
            return;
        }
        let Ok(path) = self.path() else { return };
        for _ in 0..brackets {
            if self.take("AS") && self.identifier_or_parameter().is_err() {
                return;
            }
            if !self.eat(Kind::ClosingRoundBracket) {
                return;
            }
        }
        if self.binds_tighter_than_in() {
            return;
        }
        match path.name() {
            Some(name) if name.database.is_none() && self.is_cte(&name.table) => {
                self.touch(Touch::CteAsASet(Cow::Owned(name.table), Via::Table(via)));
            }
            Some(name) => {
                if name.database.is_none() && self.bodies > 0 {
                    self.touch(Touch::InABody(Cow::Owned(name.table.clone())));
                }
                self.touch(Touch::Also(name, Via::Table(via)));
            }
            None => self.computed(via),
        }
    }

    /// Passes brackets and signs that change nothing, `+ ((x))`: how many brackets.
    pub(super) fn brackets_and_pluses(&mut self) -> usize {
        let mut brackets = 0;
        loop {
            if self.eat(Kind::OpeningRoundBracket) {
                brackets += 1;
            } else if !self.eat(Kind::Plus) {
                return brackets;
            }
        }
    }

    /// Whether an operator follows that takes the name away from IN.
    fn binds_tighter_than_in(&mut self) -> bool {
        match self.kind() {
            Kind::Dot
            | Kind::OpeningSquareBracket
            | Kind::DoubleColon
            | Kind::Plus
            | Kind::Minus
            | Kind::Asterisk
            | Kind::Slash
            | Kind::Percent
            | Kind::Concatenation => true,
            Kind::BareWord => self.at_word("DIV") || self.at_word("MOD"),
            _ => false,
        }
    }

    fn operator(&mut self, conditions: &mut usize, after: &mut After) -> Parsed<Next> {
        let (name, then) = match self.kind() {
            Kind::BareWord => return self.word_operator(after),
            Kind::Equals => ("equals", After::Comparison),
            Kind::NotEquals => ("notEquals", After::Comparison),
            Kind::Less => ("less", After::Comparison),
            Kind::Greater => ("greater", After::Comparison),
            Kind::LessOrEquals => ("lessOrEquals", After::Comparison),
            Kind::GreaterOrEquals => ("greaterOrEquals", After::Comparison),
            Kind::Spaceship => ("isNotDistinctFrom", After::Comparison),
            Kind::Concatenation => ("concat", After::Anything),
            Kind::Plus => ("plus", After::Anything),
            Kind::Minus => ("minus", After::Anything),
            Kind::Asterisk => ("multiply", After::Anything),
            Kind::Slash => ("divide", After::Anything),
            Kind::Percent => ("modulo", After::Anything),
            Kind::Arrow => {
                self.function("tuple");
                ("lambda", After::Anything)
            }
            Kind::QuestionMark => {
                *conditions += 1;
                ("if", After::Anything)
            }
            Kind::Colon if *conditions > 0 => {
                *conditions -= 1;
                ("if", After::Anything)
            }
            Kind::Dot => return self.access(),
            Kind::OpeningSquareBracket => return self.subscript(),
            Kind::DoubleColon => {
                self.advance();
                self.function("CAST");
                self.data_type()?;
                return Ok(Next::Operator);
            }
            _ => return Ok(Next::End),
        };
        self.advance();
        self.function(name);
        *after = then;
        Ok(Next::Operand)
    }

    /// `tuple.1`, `tuple.name`, `(...).*`.
    fn access(&mut self) -> Parsed<Next> {
        self.advance();
        if self.kind() == Kind::Asterisk {
            self.advance();
            self.transformers(false)?;
        } else if self.at_word("COLUMNS") && self.kind_at(1) == Kind::OpeningRoundBracket {
            self.advance();
            self.columns_matcher()?;
        } else {
            self.function("tupleElement");
            if self.at_identifier() {
                self.identifier()?;
            } else {
                return Ok(Next::Operand);
            }
        }
        Ok(Next::Operator)
    }

    fn subscript(&mut self) -> Parsed<Next> {
        self.advance();
        self.function("arrayElement");
        self.element()?;
        self.token(Kind::ClosingSquareBracket, "]")?;
        Ok(Next::Operator)
    }

    fn word_operator(&mut self, after: &mut After) -> Parsed<Next> {
        *after = After::Anything;
        let first = self.word_at(0).as_bytes().first().map_or(0, u8::to_ascii_uppercase);
        let name = match first {
            b'A' if self.take("AND") => "and",
            b'O' if self.take("OR") => "or",
            b'I' if self.at_word("IN") && !self.at_word_after(1, "PARTITION") => {
                self.advance();
                *after = After::In;
                "in"
            }
            b'I' if self.at_word("IS") => return self.is_something(),
            b'I' if self.take("ILIKE") => "ilike",
            b'L' if self.take("LIKE") => "like",
            b'B' if self.take("BETWEEN") => {
                self.function("greaterOrEquals");
                self.function("lessOrEquals");
                "and"
            }
            b'N' => match self.take_any(&["NOT LIKE", "NOT ILIKE", "NOT IN", "NOT BETWEEN"]) {
                Some("NOT LIKE") => "notLike",
                Some("NOT ILIKE") => "notILike",
                Some("NOT IN") => {
                    *after = After::In;
                    "notIn"
                }
                Some(_) => {
                    self.function("less");
                    self.function("greater");
                    "or"
                }
                None => return Ok(Next::End),
            },
            b'G' if self.take("GLOBAL IN") => {
                *after = After::In;
                "globalIn"
            }
            b'G' if self.take("GLOBAL NOT IN") => {
                *after = After::In;
                "globalNotIn"
            }
            b'R' if self.take("REGEXP") => "match",
            b'M' if self.take("MOD") => "modulo",
            b'D' if self.take("DIV") => "intDiv",
            b'E' if self.at_word("ESCAPE") && self.string_follows() => {
                self.advance();
                self.string()?;
                return Ok(Next::Operator);
            }
            _ => return Ok(Next::End),
        };
        self.function(name);
        Ok(Next::Operand)
    }

    /// `IS [NOT] NULL | TRUE | FALSE | UNKNOWN | DISTINCT FROM x`.
    fn is_something(&mut self) -> Parsed<Next> {
        if self.take("IS NOT DISTINCT FROM") {
            self.function("isNotDistinctFrom");
            return Ok(Next::Operand);
        }
        if self.take("IS DISTINCT FROM") {
            self.function("isDistinctFrom");
            return Ok(Next::Operand);
        }
        let name =
            match self.take_any(&["IS NULL", "IS NOT NULL", "IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE", "IS UNKNOWN", "IS NOT UNKNOWN"]) {
                Some("IS NULL" | "IS UNKNOWN") => "isNull",
                Some("IS NOT NULL" | "IS NOT UNKNOWN") => "isNotNull",
                Some("IS TRUE" | "IS FALSE") => "isNotDistinctFrom",
                Some(_) => "isDistinctFrom",
                None => return Ok(Next::End),
            };
        self.function(name);
        Ok(Next::Operator)
    }
}
