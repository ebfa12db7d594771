//! Expressions: operands, the operators between them, and what stands behind them.
//!
//! There is no tree and no precedence: what an expression reaches does not depend on which operator binds first, except
//! for what stands right of IN, which is looked at on its own.

use std::borrow::Cow;

use super::super::lexer::Kind;
use super::super::reach::Via;
use super::cursor::{Cursor, Parsed, Stop, Touch, is_parameter_name};

/// Words that are no alias unless AS stands before them.
const RESTRICTED: [&str; 44] = [
    "ALL",
    "ANTI",
    "ANY",
    "ARRAY",
    "ASOF",
    "BETWEEN",
    "CROSS",
    "ELSE",
    "EXCEPT",
    "FINAL",
    "FORMAT",
    "FROM",
    "FULL",
    "GLOBAL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "INNER",
    "INTERSECT",
    "INTO",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NATURAL",
    "NOT",
    "OFFSET",
    "ON",
    "ONLY",
    "ORDER",
    "PARALLEL",
    "PASTE",
    "PREWHERE",
    "QUALIFY",
    "RIGHT",
    "SAMPLE",
    "SEMI",
    "SETTINGS",
    "STREAM",
    "UNION",
    "USING",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// A unit of INTERVAL, of EXTRACT and of the functions that add and subtract dates.
pub(super) struct Unit {
    words: &'static [&'static str],
    /// The function that makes an interval of it.
    pub(super) interval: &'static str,
    /// The function that takes it out of a date.
    pub(super) part: &'static str,
}

#[rustfmt::skip]
const UNITS: [Unit; 11] = [
    Unit { words: &["NANOSECOND", "NANOSECONDS", "SQL_TSI_NANOSECOND", "NS"], interval: "toIntervalNanosecond", part: "toNanosecond" },
    Unit { words: &["MICROSECOND", "MICROSECONDS", "SQL_TSI_MICROSECOND"], interval: "toIntervalMicrosecond", part: "toMicrosecond" },
    Unit { words: &["MILLISECOND", "MILLISECONDS", "SQL_TSI_MILLISECOND", "MS"], interval: "toIntervalMillisecond", part: "toMillisecond" },
    Unit { words: &["SECOND", "SECONDS", "SQL_TSI_SECOND", "SS", "S"], interval: "toIntervalSecond", part: "toSecond" },
    Unit { words: &["MINUTE", "MINUTES", "SQL_TSI_MINUTE", "MI", "N"], interval: "toIntervalMinute", part: "toMinute" },
    Unit { words: &["HOUR", "HOURS", "SQL_TSI_HOUR", "HH", "H"], interval: "toIntervalHour", part: "toHour" },
    Unit { words: &["DAY", "DAYS", "SQL_TSI_DAY", "DD", "D"], interval: "toIntervalDay", part: "toDayOfMonth" },
    Unit { words: &["WEEK", "WEEKS", "SQL_TSI_WEEK", "WK", "WW"], interval: "toIntervalWeek", part: "toISOWeek" },
    Unit { words: &["MONTH", "MONTHS", "SQL_TSI_MONTH", "MM", "M"], interval: "toIntervalMonth", part: "toMonth" },
    Unit { words: &["QUARTER", "QUARTERS", "SQL_TSI_QUARTER", "QQ", "Q"], interval: "toIntervalQuarter", part: "toQuarter" },
    Unit { words: &["YEAR", "YEARS", "SQL_TSI_YEAR", "YYYY", "YY"], interval: "toIntervalYear", part: "toYear" },
];

/// Where an expression goes on after what was just read.
enum Next {
    Operand,
    Operator,
    End,
}

/// Whether an expression may be given a name.
#[derive(Clone, Copy)]
enum Naming {
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
enum After {
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

    fn expression_that(&mut self, naming: Naming, ends_at_in: bool) -> Parsed {
        self.deeper(|cursor| {
            let mut named = matches!(naming, Naming::No);
            let mut conditions = 0usize;
            let mut after = After::Anything;
            loop {
                cursor.operand(after)?;
                loop {
                    if ends_at_in && cursor.at_word("IN") {
                        return Ok(());
                    }
                    match cursor.operator(&mut conditions, &mut after)? {
                        Next::Operand => break,
                        Next::Operator => {}
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
        if self.take("AS") {
            return self.alias_name();
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

    /// The unit of an interval, as a keyword.
    pub(super) fn unit(&mut self) -> Option<&'static Unit> {
        let unit = self.unit_at(0);
        if unit.is_some() {
            self.advance();
        }
        unit
    }

    fn unit_at(&mut self, ahead: usize) -> Option<&'static Unit> {
        let word = self.word_at(ahead);
        UNITS.iter().find(|unit| unit.words.iter().any(|known| known.eq_ignore_ascii_case(word)))
    }

    /// The unit behind what an interval has of it.
    fn interval_unit(&mut self) -> Parsed {
        let Some(unit) = self.unit() else { return self.expected("a unit, such as DAY") };
        self.function(unit.interval);
        Ok(())
    }

    fn operand(&mut self, after: After) -> Parsed {
        let mut after = after;
        loop {
            match self.kind() {
                Kind::Plus => self.advance(),
                Kind::Minus => {
                    self.function("negate");
                    self.advance();
                    after = After::Anything;
                }
                Kind::BareWord if self.at_word("NOT") => {
                    self.function("not");
                    self.advance();
                    after = After::Anything;
                }
                _ => break,
            }
        }
        match after {
            After::Anything => {}
            After::Comparison if self.quantified()? => return Ok(()),
            After::Comparison => {}
            After::In => self.right_of_in(),
        }
        self.plain_operand()
    }

    fn plain_operand(&mut self) -> Parsed {
        match self.kind() {
            Kind::BareWord => self.word_operand(),
            Kind::QuotedIdentifier => self.named_operand(),
            Kind::Number => {
                self.advance();
                Ok(())
            }
            Kind::StringLiteral | Kind::HereDoc => self.string().map(drop),
            Kind::Asterisk => {
                self.advance();
                self.transformers(true)
            }
            Kind::OpeningRoundBracket if self.at_subquery() => self.subquery(),
            Kind::OpeningRoundBracket => self.group(),
            Kind::OpeningSquareBracket => self.array(),
            Kind::OpeningCurlyBrace => self.parameter_operand(),
            Kind::DoubleAt => self.global_variable(),
            _ => self.expected("an expression"),
        }
    }

    /// `@@name` and `@@session.name`.
    fn global_variable(&mut self) -> Parsed {
        self.advance();
        self.function("globalVariable");
        self.identifier()?;
        if self.eat(Kind::Dot) {
            self.identifier()?;
        }
        Ok(())
    }

    /// `(a, b)`, `(a)`, `()`, `(a,)`.
    fn group(&mut self) -> Parsed {
        self.open()?;
        let mut tuple = self.kind() == Kind::ClosingRoundBracket;
        while self.kind() != Kind::ClosingRoundBracket {
            self.element()?;
            if !self.eat(Kind::Comma) {
                break;
            }
            tuple = true;
        }
        if tuple {
            self.function("tuple");
        }
        self.close()
    }

    fn array(&mut self) -> Parsed {
        self.token(Kind::OpeningSquareBracket, "[")?;
        self.function("array");
        if !self.eat(Kind::ClosingSquareBracket) {
            self.list(Self::element)?;
            self.token(Kind::ClosingSquareBracket, "]")?;
        }
        Ok(())
    }

    /// `{name:Type}`, and `{name:Identifier}` as the beginning of a name.
    fn parameter_operand(&mut self) -> Parsed {
        if self.word_at(3) == "Identifier" && self.kind_at(4) == Kind::ClosingCurlyBrace {
            return self.column();
        }
        self.parameter_value()
    }

    /// `{name:Type}` where a value is expected.
    pub(super) fn parameter_value(&mut self) -> Parsed {
        self.token(Kind::OpeningCurlyBrace, "{")?;
        let name = self.word_at(0);
        if !is_parameter_name(name) || self.kind_at(1) != Kind::Colon {
            return self.expected("a parameter, such as {name:String}");
        }
        self.advance();
        self.advance();
        let begins = self.position();
        self.data_type()?;
        let written = self.written(begins);
        self.touch(Touch::Parameter(Cow::Borrowed(name), written));
        self.token(Kind::ClosingCurlyBrace, "}")
    }

    /// An operand that begins with a bare word.
    fn word_operand(&mut self) -> Parsed {
        let word = self.word_at(0);
        let first = word.as_bytes().first().map_or(0, u8::to_ascii_uppercase);
        match first {
            b'I' if word.eq_ignore_ascii_case("INTERVAL") => self.or_a_name(Self::interval),
            b'C' if word.eq_ignore_ascii_case("CASE") => self.or_a_name(Self::case),
            b'C' if word.eq_ignore_ascii_case("COLUMNS") && self.kind_at(1) == Kind::OpeningRoundBracket => {
                self.advance();
                self.columns_matcher()
            }
            b'D' if word.eq_ignore_ascii_case("DATE") && self.string_follows() => {
                self.function("toDate");
                self.advance();
                self.string().map(drop)
            }
            b'T' if word.eq_ignore_ascii_case("TIMESTAMP") && self.string_follows() => {
                self.function("toDateTime");
                self.advance();
                self.string().map(drop)
            }
            _ => self.named_operand(),
        }
    }

    fn string_follows(&mut self) -> bool {
        matches!(self.kind_at(1), Kind::StringLiteral | Kind::HereDoc)
    }

    /// INTERVAL and CASE are also names. What cannot be read as the one is read as the other, so often and no more.
    fn or_a_name(&mut self, read: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        let mark = self.mark();
        match read(self) {
            Ok(()) => Ok(()),
            Err(Stop) => {
                self.spend_a_retry()?;
                self.back_to(mark);
                self.named_operand()
            }
        }
    }

    fn interval(&mut self) -> Parsed {
        self.keyword("INTERVAL")?;
        if self.at_string() && self.at_word_after(2, "TO") {
            self.advance();
            self.interval_unit()?;
            self.function("tuple");
            self.keyword("TO")?;
            return self.interval_unit();
        }
        if self.at_string() && self.unit_at(1).is_none() && self.interval_in_a_string()? {
            return Ok(());
        }
        self.expression_that(Naming::BeforeUnit, false)?;
        self.interval_unit()
    }

    /// `INTERVAL '1 day 2 hours'`: whether the string is one; it may also be a part of an expression.
    fn interval_in_a_string(&mut self) -> Parsed<bool> {
        let mark = self.mark();
        let text = self.string_text()?;
        let mut words = text.split_ascii_whitespace().skip(1).step_by(2).peekable();
        if words.peek().is_none() {
            self.back_to(mark);
            return Ok(false);
        }
        for word in words {
            match UNITS.iter().find(|unit| unit.words.iter().any(|known| known.eq_ignore_ascii_case(word))) {
                Some(unit) => self.function(unit.interval),
                None => return self.expected("an interval, such as '1 day'"),
            }
        }
        Ok(true)
    }

    fn case(&mut self) -> Parsed {
        const WORDS: [&str; 4] = ["WHEN", "THEN", "ELSE", "END"];
        self.keyword("CASE")?;
        if self.at_word("WHEN") {
            self.function("multiIf");
        } else {
            self.function("caseWithExpression");
            self.element_before(&WORDS)?;
        }
        if !self.at_word("WHEN") {
            return self.expected("WHEN");
        }
        while self.take("WHEN") {
            self.element_before(&WORDS)?;
            self.keyword("THEN")?;
            self.element_before(&WORDS)?;
        }
        if self.take("ELSE") {
            self.element_before(&WORDS)?;
        }
        self.keyword("END")
    }

    /// A name, or a call.
    fn named_operand(&mut self) -> Parsed {
        if self.call_follows() {
            return self.call();
        }
        self.column()
    }

    /// Whether a name and an opening bracket stand here.
    pub(super) fn call_follows(&mut self) -> bool {
        let mut ahead = 0;
        loop {
            if !matches!(self.kind_at(ahead), Kind::BareWord | Kind::QuotedIdentifier) {
                return false;
            }
            match self.kind_at(ahead + 1) {
                // `table.COLUMNS(...)` is no call.
                Kind::OpeningRoundBracket => return ahead == 0 || !self.at_word_after(ahead, "COLUMNS"),
                Kind::Dot => ahead += 2,
                _ => return false,
            }
        }
    }

    /// The name of a column, with the paths into JSON that only ClickHouse has, or `table.*` and `table.COLUMNS(...)`.
    fn column(&mut self) -> Parsed {
        self.identifier_or_parameter()?;
        loop {
            match (self.kind(), self.kind_at(1)) {
                (Kind::Dot, Kind::Asterisk) => {
                    self.advance();
                    self.advance();
                    return self.transformers(true);
                }
                (Kind::Dot, Kind::BareWord) if self.at_word_after(1, "COLUMNS") && self.kind_at(2) == Kind::OpeningRoundBracket => {
                    self.advance();
                    self.advance();
                    return self.columns_matcher();
                }
                (Kind::Dot, Kind::BareWord | Kind::QuotedIdentifier | Kind::OpeningCurlyBrace) => {
                    self.advance();
                    self.identifier_or_parameter()?;
                }
                (Kind::Dot, Kind::Caret) => {
                    self.advance();
                    self.advance();
                    self.identifier()?;
                }
                (Kind::Dot, Kind::Colon) => {
                    self.advance();
                    self.advance();
                    self.json_type()?;
                }
                (Kind::OpeningSquareBracket, Kind::ClosingSquareBracket) => {
                    self.advance();
                    self.advance();
                }
                _ => return Ok(()),
            }
        }
    }

    /// The type of a path into JSON: `a.:Int64`, ``a.:`Array(JSON)` ``.
    fn json_type(&mut self) -> Parsed {
        if self.kind() == Kind::QuotedIdentifier { self.identifier().map(drop) } else { self.data_type() }
    }

    /// `COLUMNS('regular expression')` and `COLUMNS(a, b)`, behind the word.
    fn columns_matcher(&mut self) -> Parsed {
        self.open()?;
        if self.at_string() {
            self.string()?;
        } else {
            self.list(|cursor| cursor.path().map(drop))?;
        }
        self.close()?;
        self.transformers(false)
    }

    /// What may follow `*` and COLUMNS: a pattern of names, APPLY, EXCEPT, REPLACE.
    fn transformers(&mut self, pattern: bool) -> Parsed {
        if pattern && (self.at_word("LIKE") || self.at_word("ILIKE")) && self.string_follows() {
            self.advance();
            self.string()?;
        }
        loop {
            if self.take("APPLY") {
                self.apply()?;
            } else if self.take("EXCEPT") {
                self.take("STRICT");
                self.one_or_bracketed(
                    |cursor| {
                        if cursor.at_string() { cursor.string().map(drop) } else { cursor.identifier_or_parameter().map(drop) }
                    },
                )?;
            } else if self.take("REPLACE") {
                self.take("STRICT");
                self.one_or_bracketed(|cursor| {
                    cursor.expression()?;
                    cursor.keyword("AS")?;
                    cursor.identifier().map(drop)
                })?;
            } else {
                return Ok(());
            }
        }
    }

    fn one_or_bracketed(&mut self, mut read: impl FnMut(&mut Self) -> Parsed) -> Parsed {
        if self.kind() == Kind::OpeningRoundBracket { self.bracketed(read) } else { read(self) }
    }

    /// `APPLY f`, `APPLY(f)`, `APPLY(f(parameters), 'prefix')`, `APPLY(x -> ...)`.
    fn apply(&mut self) -> Parsed {
        let lambda = |cursor: &mut Self, ahead: usize| {
            cursor.kind_at(ahead + 1) == Kind::Arrow
                || (cursor.kind_at(ahead) == Kind::OpeningRoundBracket
                    && cursor.kind_at(ahead + 2) == Kind::ClosingRoundBracket
                    && cursor.kind_at(ahead + 3) == Kind::Arrow)
        };
        let bracket = self.kind() == Kind::OpeningRoundBracket && !lambda(self, 0);
        if bracket {
            self.advance();
        }
        if lambda(self, 0) {
            self.expression()?;
        } else {
            let name = self.identifier()?;
            self.touch(Touch::Function(name));
            if self.eat(Kind::OpeningRoundBracket) {
                if self.kind() != Kind::ClosingRoundBracket {
                    self.expressions()?;
                }
                self.close()?;
            }
        }
        if bracket {
            if self.eat(Kind::Comma) {
                self.string()?;
            }
            self.close()?;
        }
        Ok(())
    }

    /// `= ANY (SELECT ...)`, `= ALL (SELECT ...)`, `= SOME (array)`: whether one stood here.
    fn quantified(&mut self) -> Parsed<bool> {
        let any = self.at_word("ANY");
        if !(any || self.at_word("ALL") || self.at_word("SOME")) || self.kind_at(1) != Kind::OpeningRoundBracket {
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
        self.function("arrayExists");
        self.open()?;
        self.expression()?;
        self.close()?;
        Ok(true)
    }

    /// Right of IN a name is a table unless a column or a common table expression has it: reported where it could be.
    fn right_of_in(&mut self) {
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
        let mut brackets = 0usize;
        while self.kind_at(brackets) == Kind::OpeningRoundBracket {
            brackets += 1;
        }
        self.go_to(self.position() + brackets);
        if !(self.at_identifier() || self.kind() == Kind::OpeningCurlyBrace) || self.call_follows() {
            return;
        }
        let Ok(path) = self.path() else { return };
        for _ in 0..brackets {
            if self.take("AS") && self.identifier().is_err() {
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
