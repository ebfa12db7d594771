//! What stands between operators: literals, names, calls, brackets.

use std::borrow::Cow;

use super::super::lexer::Kind;
use super::cursor::{Cursor, Parsed, Stop, Touch, is_parameter_name};
use super::expression::After;

impl<'a> Cursor<'a> {
    pub(super) fn operand(&mut self, after: After) -> Parsed {
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
        self.touch(Touch::Parameter(Cow::Borrowed(name), Cow::Owned(written)));
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
            // Literals, and never the beginning of a name.
            b'N' | b'T' | b'F' if ["NULL", "TRUE", "FALSE"].iter().any(|literal| word.eq_ignore_ascii_case(literal)) => {
                self.advance();
                Ok(())
            }
            b'T' if word.eq_ignore_ascii_case("TIMESTAMP") && self.string_follows() => {
                self.function("toDateTime");
                self.advance();
                self.string().map(drop)
            }
            _ => self.named_operand(),
        }
    }

    pub(super) fn string_follows(&mut self) -> bool {
        matches!(self.kind_at(1), Kind::StringLiteral | Kind::HereDoc)
    }

    /// Whether an expression could begin so many places further on, and no operator or clause does.
    pub(super) fn an_expression_begins(&mut self, ahead: usize) -> bool {
        const GOING_ON: [&str; 22] = [
            "AS", "FROM", "AND", "OR", "IN", "IS", "BETWEEN", "LIKE", "ILIKE", "REGEXP", "GLOBAL", "DIV", "MOD", "WHERE", "GROUP", "ORDER", "LIMIT",
            "HAVING", "SETTINGS", "FORMAT", "UNION", "END",
        ];
        match self.kind_at(ahead) {
            Kind::BareWord => !GOING_ON.iter().any(|word| self.at_word_after(ahead, word)),
            Kind::QuotedIdentifier
            | Kind::Number
            | Kind::StringLiteral
            | Kind::HereDoc
            | Kind::OpeningRoundBracket
            | Kind::OpeningSquareBracket
            | Kind::OpeningCurlyBrace
            | Kind::Minus
            | Kind::Plus
            | Kind::Asterisk
            | Kind::DoubleAt => true,
            _ => false,
        }
    }

    /// INTERVAL and CASE are also names. What cannot be read as the one is read as the other, so often and no more.
    fn or_a_name(&mut self, read: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if !self.an_expression_begins(1) {
            return self.named_operand();
        }
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
}
