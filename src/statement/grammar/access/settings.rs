//! SETTINGS of users, roles and profiles, with their constraints.

use super::super::super::lexer::Kind;
use super::super::cursor::{Cursor, Parsed, Touch};

const SETTINGS_WORDS: [&str; 2] = ["SETTINGS", "SETTING"];
const PROFILE_WORDS: [&str; 3] = ["PROFILES", "PROFILE", "INHERIT"];
const CONSTRAINTS: [&str; 4] = ["READONLY", "CONST", "WRITABLE", "CHANGEABLE_IN_READONLY"];

/// Settings of users, roles and profiles.
impl Cursor<'_> {
    pub(super) fn clauses_of_settings(&mut self, what: &'static str, alter: bool) -> Parsed {
        while self.clause_of_entity(what, alter)? || self.settings_clause(alter)? {}
        Ok(())
    }

    /// `SETTINGS ...`, `PROFILE 'x', ...`, and with ALTER what adds, modifies and drops them; if it stands here.
    pub(super) fn settings_clause(&mut self, alter: bool) -> Parsed<bool> {
        if self.take_any(&SETTINGS_WORDS).is_some() || PROFILE_WORDS.iter().any(|word| self.at_word(word)) {
            self.profile_elements()?;
        } else if alter && self.change_of_settings_follows(0) {
            self.changes_of_settings()?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn change_of_settings_follows(&mut self, ahead: usize) -> bool {
        let changes = ["ADD", "MODIFY", "DROP"].iter().any(|word| self.at_word_after(ahead, word));
        let words = ["SETTINGS", "SETTING", "PROFILES", "PROFILE", "ALL"];
        self.at_word_after(ahead, "SET") || (changes && words.iter().any(|word| self.at_word_after(ahead + 1, word)))
    }

    fn changes_of_settings(&mut self) -> Parsed {
        loop {
            self.change_of_settings()?;
            if self.kind() != Kind::Comma {
                return Ok(());
            }
            self.advance();
        }
    }

    /// `DROP ALL SETTINGS`, `DROP SETTINGS a, ...`, `ADD SETTINGS a = 1, ...`, `ADD PROFILES 'x', ...`, `SET a = 1`
    fn change_of_settings(&mut self) -> Parsed {
        if self.take_any(&["DROP ALL SETTINGS", "DROP ALL PROFILES"]).is_some() {
            return Ok(());
        }
        if self.take_any(&["DROP SETTINGS", "DROP SETTING"]).is_some() {
            return self.before_changes(|cursor| cursor.call_name().map(drop));
        }
        if self.take_any(&["ADD PROFILES", "ADD PROFILE", "DROP PROFILES", "DROP PROFILE"]).is_some() {
            return self.before_changes(|cursor| cursor.other("SETTINGS PROFILE"));
        }
        if self.take_any(&["ADD SETTINGS", "ADD SETTING", "MODIFY SETTINGS", "MODIFY SETTING", "SET"]).is_some() {
            return self.before_changes(Self::added_setting);
        }
        self.expected("ADD, MODIFY or DROP of SETTINGS or PROFILES")
    }

    /// A setting, or a profile among settings.
    fn added_setting(&mut self) -> Parsed {
        if self.at_profile() { self.one_profile() } else { self.constrained_setting() }
    }

    /// Whether a profile stands here, and not the setting of that name.
    fn at_profile(&mut self) -> bool {
        PROFILE_WORDS.iter().any(|word| self.at_word(word)) && self.kind_at(1) != Kind::Equals
    }

    /// `PROFILE 'x'`
    fn one_profile(&mut self) -> Parsed {
        self.take_any(&["PROFILES", "INHERIT PROFILE", "INHERIT", "PROFILE"]);
        self.other("SETTINGS PROFILE")
    }

    /// A list that ends where a comma is followed by the next change.
    fn before_changes(&mut self, read: impl Fn(&mut Self) -> Parsed) -> Parsed {
        read(self)?;
        while self.kind() == Kind::Comma && !self.change_of_settings_follows(1) {
            self.advance();
            read(self)?;
        }
        Ok(())
    }

    /// `NONE`, `name = value MIN x MAX y READONLY`, `PROFILE 'x'`, and more profiles behind one.
    fn profile_elements(&mut self) -> Parsed {
        let mut profile = false;
        loop {
            if self.at_profile() {
                self.one_profile()?;
                profile = true;
            } else if profile && self.only_a_name() {
                self.other("SETTINGS PROFILE")?;
            } else if !self.take("NONE") {
                self.constrained_setting()?;
                profile = false;
            }
            if !self.eat(Kind::Comma) {
                return Ok(());
            }
        }
    }

    /// Whether a name or string stands here that is given no value.
    fn only_a_name(&mut self) -> bool {
        let constrained = ["MIN", "MAX"].iter().chain(&CONSTRAINTS).any(|word| self.at_word_after(1, word));
        self.at_string() || (self.at_identifier() && !constrained && !matches!(self.kind_at(1), Kind::Equals | Kind::Dot))
    }

    /// `name [= value] [MIN [=] x] [MAX [=] y] [READONLY|CONST|WRITABLE|CHANGEABLE_IN_READONLY]`, at least one of them.
    fn constrained_setting(&mut self) -> Parsed {
        let name = self.call_name()?;
        let mut value = None;
        let begins = self.position();
        loop {
            if self.eat(Kind::Equals) {
                value = Some(self.literal_text()?);
            } else if self.take_any(&["MIN", "MAX"]).is_some() {
                self.eat(Kind::Equals);
                self.literal_text()?;
            } else if self.take_any(&CONSTRAINTS).is_none() {
                break;
            }
        }
        if self.position() == begins {
            return self.expected("= and a value, or a constraint");
        }
        self.touch(Touch::Setting(name, value));
        Ok(())
    }
}
