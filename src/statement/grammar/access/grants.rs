//! GRANT and REVOKE, and who has which role.

use super::super::super::lexer::Kind;
use super::super::super::reach::{Name, Via};
use super::super::cursor::{Cursor, Parsed, Touch};
use super::super::{Effect, Is};

use super::{USER_OR_ROLE, administers};

/// Privileges whose object is no table: what stands behind ON is the name of something else.
const OF_OTHERS: [(&str, &str); 18] = [
    ("NAMED COLLECTION", "NAMED COLLECTION"),
    ("SHOW NAMED COLLECTIONS", "NAMED COLLECTION"),
    ("CREATE NAMED COLLECTION", "NAMED COLLECTION"),
    ("ALTER NAMED COLLECTION", "NAMED COLLECTION"),
    ("DROP NAMED COLLECTION", "NAMED COLLECTION"),
    ("USE NAMED COLLECTION", "NAMED COLLECTION"),
    ("CREATE USER", "USER"),
    ("ALTER USER", "USER"),
    ("DROP USER", "USER"),
    ("CREATE ROLE", "ROLE"),
    ("ALTER ROLE", "ROLE"),
    ("DROP ROLE", "ROLE"),
    ("IMPERSONATE", "USER"),
    ("EXECUTE AS", "USER"),
    ("SET DEFINER", "USER"),
    ("TABLE ENGINE", "TABLE ENGINE"),
    ("READ", "SOURCE"),
    ("WRITE", "SOURCE"),
];

/// Who is granted what.
impl Cursor<'_> {
    /// `GRANT privileges|roles TO users ...`, `REVOKE privileges|roles FROM users ...`
    pub(in crate::statement::grammar) fn grant(&mut self) -> Parsed<Is> {
        let revoke = self.take("REVOKE");
        if !revoke {
            self.keyword("GRANT")?;
        }
        self.perhaps_on_cluster()?;
        if revoke {
            self.take_any(&["GRANT OPTION FOR", "ADMIN OPTION FOR"]);
        }
        let what = if revoke { "REVOKE" } else { "GRANT" };
        if !revoke && self.take("CURRENT GRANTS") {
            self.current_grants()?;
        } else if self.privileges_follow() {
            self.privileges(what)?;
        } else {
            self.roles_or_users("ROLE")?;
        }
        self.perhaps_on_cluster()?;
        self.keyword(if revoke { "FROM" } else { "TO" })?;
        self.roles_or_users(USER_OR_ROLE)?;
        self.perhaps_on_cluster()?;
        if !revoke {
            self.take_any(&["WITH GRANT OPTION", "WITH ADMIN OPTION"]);
            self.take("WITH REPLACE OPTION");
        }
        self.perhaps_on_cluster()?;
        Ok(administers("GrantQuery"))
    }

    /// `(privileges)`, `ON tables`
    fn current_grants(&mut self) -> Parsed {
        if self.eat(Kind::OpeningRoundBracket) {
            self.privileges("GRANT")?;
            return self.close();
        }
        self.keyword("ON")?;
        self.tables_or_asterisks("GRANT")
    }

    /// Whether privileges stand here and no roles: only they have an ON that is not the cluster's.
    fn privileges_follow(&mut self) -> bool {
        let mut ahead = 0;
        let mut depth = 0_usize;
        loop {
            let kind = self.kind_at(ahead);
            if kind == Kind::OpeningRoundBracket {
                depth += 1;
            } else if kind == Kind::ClosingRoundBracket && depth > 0 {
                depth -= 1;
            } else if depth == 0 && self.at_word_after(ahead, "ON") {
                return !self.name_of_a_cluster_follows(ahead);
            } else {
                let ends = depth == 0 && (self.at_word_after(ahead, "TO") || self.at_word_after(ahead, "FROM"));
                let fits = matches!(kind, Kind::BareWord | Kind::Comma) || (depth > 0 && kind == Kind::QuotedIdentifier);
                if ends || !fits {
                    return false;
                }
            }
            ahead += 1;
        }
    }

    /// `privilege [(columns)], ... ON object, ...`
    pub(in crate::statement::grammar) fn privileges(&mut self, what: &'static str) -> Parsed {
        self.list(|cursor| {
            let mut of_tables = false;
            let mut other = "";
            loop {
                match cursor.privilege()? {
                    Some(word) => other = word,
                    None => of_tables = true,
                }
                if !cursor.eat(Kind::Comma) {
                    break;
                }
            }
            cursor.keyword("ON")?;
            if of_tables { cursor.tables_or_asterisks(what) } else { cursor.other_or_asterisk(other) }
        })
    }

    /// The words of a privilege, with its columns: what it is granted of, where that is no table.
    fn privilege(&mut self) -> Parsed<Option<&'static str>> {
        let other = OF_OTHERS.iter().find(|(words, _)| self.at_word(words)).map(|(_, what)| *what);
        let begins = self.position();
        // A word with `$` would be written in quotes, and no privilege has one.
        while self.kind() == Kind::BareWord && !self.word_at(0).contains('$') && !["ON", "TO", "FROM"].iter().any(|word| self.at_word(word)) {
            self.advance();
        }
        if self.position() == begins {
            return self.expected("a privilege");
        }
        if self.kind() == Kind::OpeningRoundBracket {
            self.bracketed(|cursor| cursor.identifier().map(drop))?;
        }
        Ok(other)
    }

    /// `name`, `name*`, `*`, `*.*`, and for sources `name('regex')`.
    fn other_or_asterisk(&mut self, what: &'static str) -> Parsed {
        if self.eat(Kind::Asterisk) {
            if self.eat(Kind::Dot) {
                self.token(Kind::Asterisk, "*")?;
            }
            self.touch(Touch::Also(Name::bare("*"), Via::Other(what)));
            return Ok(());
        }
        let mut name = self.identifier()?.into_owned();
        if self.kind() == Kind::OpeningRoundBracket && what == "SOURCE" {
            self.open()?;
            self.identifier_or_string()?;
            self.close()?;
        }
        if self.eat(Kind::Asterisk) {
            name.push('*');
        }
        self.touch(Touch::Also(Name::bare(name), Via::Other(what)));
        Ok(())
    }

    /// Whether SET begins a SET ROLE and not the setting `role`.
    pub(in crate::statement::grammar) fn at_set_role(&mut self) -> bool {
        let role = self.at_word("SET ROLE") && matches!(self.kind_at(2), Kind::BareWord | Kind::QuotedIdentifier | Kind::StringLiteral);
        role || self.at_word("SET DEFAULT ROLE")
    }

    /// `SET ROLE DEFAULT`, `SET ROLE roles`, `SET DEFAULT ROLE roles TO users`
    pub(in crate::statement::grammar) fn set_role(&mut self) -> Parsed<Is> {
        if self.take("SET DEFAULT ROLE") {
            self.roles_or_users("ROLE")?;
            self.keyword("TO")?;
            self.roles_or_users("USER")?;
        } else if !self.take("SET ROLE DEFAULT") {
            self.keyword("SET ROLE")?;
            self.roles_or_users("ROLE")?;
        }
        Ok(Is { effect: Effect::Session, node: "SetRoleQuery" })
    }

    /// `EXECUTE AS user`; a statement may follow.
    pub(in crate::statement::grammar) fn execute_as(&mut self) -> Parsed {
        self.keyword("EXECUTE AS")?;
        self.user_name("EXECUTE AS")
    }
}
