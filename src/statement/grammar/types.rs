//! Data types, as in CAST, `::`, columns and parameters.

use super::super::lexer::Kind;
use super::cursor::{Cursor, Parsed};

/// Second words of types that the SQL standard writes in several.
const SUFFIXES: [(&str, &[&str]); 11] = [
    ("NATIONAL", &["CHARACTER LARGE OBJECT", "CHARACTER VARYING", "CHAR VARYING", "CHARACTER", "CHAR"]),
    ("BINARY", &["LARGE OBJECT", "VARYING"]),
    ("CHARACTER", &["LARGE OBJECT", "VARYING"]),
    ("CHAR", &["LARGE OBJECT", "VARYING"]),
    ("NCHAR", &["LARGE OBJECT", "VARYING"]),
    ("DOUBLE", &["PRECISION"]),
    ("INT", &["SIGNED", "UNSIGNED"]),
    ("INTEGER", &["SIGNED", "UNSIGNED"]),
    ("TINYINT", &["SIGNED", "UNSIGNED"]),
    ("SMALLINT", &["SIGNED", "UNSIGNED"]),
    ("BIGINT", &["SIGNED", "UNSIGNED"]),
];

/// Words that ClickHouse reads as something else before it reads a type.
const NO_TYPES: [&str; 12] =
    ["NOT", "NULL", "DEFAULT", "MATERIALIZED", "EPHEMERAL", "ALIAS", "AUTO", "PRIMARY", "TTL", "COMMENT", "CODEC", "SETTINGS"];

impl Cursor<'_> {
    /// A data type with its arguments.
    pub(super) fn data_type(&mut self) -> Parsed {
        self.deeper(Self::type_and_arguments)
    }

    /// Whether a type could begin here.
    pub(super) fn at_type(&mut self) -> bool {
        let word = self.word_at(0);
        self.at_identifier() && !NO_TYPES.iter().any(|not| not.eq_ignore_ascii_case(word))
    }

    fn type_and_arguments(&mut self) -> Parsed {
        if !self.at_type() {
            return self.expected("a type");
        }
        let name = self.identifier()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        if name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(plain) {
            return self.expected("a type");
        }
        let suffixes = SUFFIXES.iter().find(|(first, _)| first.eq_ignore_ascii_case(&name)).map_or(&[][..], |(_, suffixes)| suffixes);
        self.take_any(suffixes);
        // A comma before the bracket that closes what is around belongs to the type: `Tuple(Int8, String,)`.
        if self.kind() == Kind::Comma && self.kind_at(1) == Kind::ClosingRoundBracket {
            self.advance();
        }
        if self.kind() == Kind::OpeningRoundBracket {
            self.open()?;
            if name.eq_ignore_ascii_case("Nested") || name == "Tuple" {
                self.type_arguments(Self::name_and_type_or_type)?;
            } else if name.eq_ignore_ascii_case("JSON") {
                self.type_arguments(Self::path_argument)?;
            } else {
                self.type_arguments(Self::type_argument)?;
            }
            self.close()?;
        }
        self.take_any(&["SIGNED", "UNSIGNED"]);
        Ok(())
    }

    /// Arguments up to the closing bracket, with a comma behind the last one or not.
    fn type_arguments(&mut self, mut read: impl FnMut(&mut Self) -> Parsed) -> Parsed {
        while self.kind() != Kind::ClosingRoundBracket {
            read(self)?;
            if !self.eat(Kind::Comma) {
                break;
            }
        }
        Ok(())
    }

    /// `name Type`, or a type alone.
    fn name_and_type_or_type(&mut self) -> Parsed {
        let named = self.at_identifier() && matches!(self.kind_at(1), Kind::BareWord | Kind::QuotedIdentifier) && !self.is_two_words();
        if named {
            self.identifier()?;
        }
        self.data_type()
    }

    /// Whether two words here are one type, such as DOUBLE PRECISION.
    fn is_two_words(&mut self) -> bool {
        let first = self.word_at(0);
        let Some((_, suffixes)) = SUFFIXES.iter().find(|(known, _)| known.eq_ignore_ascii_case(first)) else { return false };
        suffixes.iter().any(|suffix| self.at_word_after(1, suffix))
    }

    /// An argument of any other type: a type, a number, `'name' = 1` of an enum, a function and its arguments, the time
    /// zone, the paths of JSON.
    fn type_argument(&mut self) -> Parsed {
        match self.kind() {
            Kind::Number | Kind::Minus | Kind::Plus => {
                if !self.eat(Kind::Minus) {
                    self.eat(Kind::Plus);
                }
                self.token(Kind::Number, "a number")
            }
            Kind::StringLiteral | Kind::HereDoc => {
                self.string()?;
                if self.eat(Kind::Equals) {
                    self.eat(Kind::Minus);
                    self.token(Kind::Number, "a number")?;
                }
                Ok(())
            }
            Kind::OpeningCurlyBrace => self.parameter_value(),
            Kind::OpeningSquareBracket | Kind::OpeningRoundBracket => self.collection(),
            Kind::BareWord if self.at_word("NULL") => {
                self.advance();
                Ok(())
            }
            Kind::BareWord | Kind::QuotedIdentifier => self.named_type_argument(),
            _ => self.expected("an argument of the type"),
        }
    }

    /// An argument that is a word: a parameter of the type, such as `max_types = 8`, or a type or function.
    fn named_type_argument(&mut self) -> Parsed {
        if self.kind_at(1) == Kind::Equals {
            return self.parameter_of_the_type();
        }
        self.data_type()?;
        self.parameters_of_an_aggregate()
    }

    fn parameter_of_the_type(&mut self) -> Parsed {
        self.path()?;
        self.token(Kind::Equals, "=")?;
        self.token(Kind::Number, "a number")
    }

    /// An argument of JSON: `SKIP path`, `SKIP REGEXP '...'`, `path Type`, `max_dynamic_paths = 8`.
    fn path_argument(&mut self) -> Parsed {
        if self.at_word("SKIP") {
            self.advance();
            return if self.take("REGEXP") { self.string().map(drop) } else { self.path().map(drop) };
        }
        let mut ahead = 1;
        while self.kind_at(ahead) == Kind::Dot {
            ahead += 2;
        }
        if self.kind_at(ahead) == Kind::Equals {
            return self.parameter_of_the_type();
        }
        self.path()?;
        self.data_type()
    }

    /// `AggregateFunction(quantiles(0.5, 0.9), UInt64)`: the function's second bracket, if any.
    fn parameters_of_an_aggregate(&mut self) -> Parsed {
        if self.kind() == Kind::OpeningRoundBracket {
            self.open()?;
            self.type_arguments(Self::type_argument)?;
            self.close()?;
        }
        Ok(())
    }
}
