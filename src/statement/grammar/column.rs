//! Names of columns, `*` and COLUMNS with what may change them.

use super::super::lexer::Kind;
use super::cursor::{Cursor, Parsed, Touch};

impl Cursor<'_> {
    /// The name of a column, with the paths into JSON that only ClickHouse has, or `table.*` and `table.COLUMNS(...)`.
    pub(super) fn column(&mut self) -> Parsed {
        // Without a column of this name 26.9 calls the function.
        if let Some(name) = ["currentRequestURL", "currentHandler"].iter().find(|name| self.at_word(name)) {
            self.function(name);
        }
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
    pub(super) fn columns_matcher(&mut self) -> Parsed {
        self.matched_columns()?;
        self.transformers(false)
    }

    /// The brackets of `COLUMNS`, without what may follow them.
    pub(super) fn matched_columns(&mut self) -> Parsed {
        self.open()?;
        if self.at_string() {
            self.string()?;
        } else {
            self.list(|cursor| cursor.path().map(drop))?;
        }
        self.close()
    }

    /// What may follow `*` and COLUMNS: a pattern of names, APPLY, EXCEPT, REPLACE.
    pub(super) fn transformers(&mut self, pattern: bool) -> Parsed {
        if pattern && (self.at_word("LIKE") || self.at_word("ILIKE")) && self.string_follows() {
            self.advance();
            self.string()?;
        }
        loop {
            if self.take("APPLY") {
                self.apply()?;
            } else if self.at_word("EXCEPT") && !self.a_query_is_excepted() {
                self.advance();
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
                self.behind_a_matcher = self.position();
                return Ok(());
            }
        }
    }

    /// `* EXCEPT (SELECT ...)` is a set operation, and `* EXCEPT (select)` leaves out a column.
    fn a_query_is_excepted(&mut self) -> bool {
        if self.kind_at(1) != Kind::OpeningRoundBracket {
            return false;
        }
        let here = self.position();
        self.go_to(here + 1);
        let query = self.at_subquery();
        self.go_to(here);
        query
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
}
