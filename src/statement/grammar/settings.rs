//! `SETTINGS name = value, ...` wherever it stands, and SET.

use std::borrow::Cow;

use super::super::lexer::Kind;
use super::super::reach::{Name, Via};
use super::cursor::{Cursor, Parsed, Touch};
use super::{Effect, Is};

impl<'a> Cursor<'a> {
    /// The list behind SETTINGS.
    pub(super) fn settings(&mut self) -> Parsed {
        self.list(|cursor| cursor.setting(true))
    }

    /// `SET name = value`, `SET param_x = ...`, `SET TIME ZONE 'UTC'`.
    pub(super) fn set(&mut self) -> Parsed<Is> {
        self.keyword("SET")?;
        if self.take("TIME ZONE") {
            self.eat(Kind::Equals);
            let value = self.setting_value()?;
            self.touch(Touch::Setting(Cow::Borrowed("session_timezone"), value));
        } else {
            self.settings()?;
        }
        Ok(Is { effect: Effect::Session, node: "Set" })
    }

    /// `name = value`; with `shorthand` also a name alone, which means true.
    pub(super) fn setting(&mut self, shorthand: bool) -> Parsed {
        let name = self.setting_name()?;
        if !self.eat(Kind::Equals) {
            if !shorthand {
                return self.expected("=");
            }
            self.touch(Touch::Setting(name, Some("1".to_owned())));
            return Ok(());
        }
        let value = if name.starts_with("param_") {
            self.value_of_a_set_parameter()?;
            None
        } else {
            self.setting_value()?
        };
        self.touch(Touch::Setting(name, value));
        Ok(())
    }

    fn setting_name(&mut self) -> Parsed<Cow<'a, str>> {
        self.call_name()
    }

    /// The value as text, where it is a literal.
    fn setting_value(&mut self) -> Parsed<Option<String>> {
        if self.take("DEFAULT") {
            return Ok(None);
        }
        if self.at_word("disk") && self.kind_at(1) == Kind::OpeningRoundBracket {
            self.touch(Touch::Also(Name::bare("disk"), Via::Outside("SETTINGS disk")));
            return self.call().map(|()| None);
        }
        if self.kind() == Kind::OpeningCurlyBrace {
            if self.kind_at(1) == Kind::BareWord && self.kind_at(2) == Kind::Colon {
                self.computed("SETTINGS");
                return self.parameter_value().map(|()| None);
            }
            return self.map_of_strings().map(|()| None);
        }
        self.literal_text().map(Some)
    }

    fn map_of_strings(&mut self) -> Parsed {
        self.token(Kind::OpeningCurlyBrace, "{")?;
        if self.eat(Kind::ClosingCurlyBrace) {
            return Ok(());
        }
        self.list(|cursor| {
            cursor.string()?;
            cursor.token(Kind::Colon, ":")?;
            cursor.string().map(drop)
        })?;
        self.token(Kind::ClosingCurlyBrace, "}")
    }

    /// A number, a string, NULL, true or false; as text.
    pub(super) fn literal_text(&mut self) -> Parsed<String> {
        if self.at_string() {
            return self.string_or_bytes();
        }
        let begins = self.position();
        if self.take_any(&["NULL", "TRUE", "FALSE", "INF", "NAN"]).is_some() {
            return Ok(self.written(begins));
        }
        let signed = self.eat(Kind::Minus) || self.eat(Kind::Plus);
        if signed && self.take_any(&["INF", "NAN"]).is_some() {
            return Ok(self.written(begins));
        }
        self.token(Kind::Number, "a literal")?;
        Ok(self.written(begins))
    }

    fn string_or_bytes(&mut self) -> Parsed<String> {
        self.string().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Behind `param_x =`: a name, a literal, or collections of literals.
    fn value_of_a_set_parameter(&mut self) -> Parsed {
        match self.kind() {
            Kind::QuotedIdentifier | Kind::BareWord if !self.at_word("NULL") => self.call_name().map(drop),
            Kind::OpeningSquareBracket | Kind::OpeningRoundBracket | Kind::OpeningCurlyBrace => self.collection(),
            _ => self.literal_text().map(drop),
        }
    }

    /// An array, tuple or map of literals.
    pub(super) fn collection(&mut self) -> Parsed {
        self.deeper(|cursor| {
            let closing = match cursor.kind() {
                Kind::OpeningSquareBracket => Kind::ClosingSquareBracket,
                Kind::OpeningRoundBracket => Kind::ClosingRoundBracket,
                Kind::OpeningCurlyBrace => Kind::ClosingCurlyBrace,
                _ => return cursor.literal_text().map(drop),
            };
            cursor.advance();
            while !cursor.eat(closing) {
                cursor.collection()?;
                if !(cursor.eat(Kind::Comma) || cursor.eat(Kind::Colon)) && cursor.kind() != closing {
                    return cursor.expected("a comma or the closing bracket");
                }
            }
            Ok(())
        })
    }
}
