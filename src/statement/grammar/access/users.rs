//! CREATE and ALTER of users and roles: proofs, hosts, defaults.

use super::super::super::lexer::Kind;
use super::super::super::reach::{Name, Via};
use super::super::Is;
use super::super::cursor::{Cursor, Parsed, Touch};

use super::{USER_OR_ROLE, administers};

/// What a user proves itself by, and what stands behind the word.
#[derive(Clone, Copy)]
enum Proof {
    Nothing,
    /// `BY 'x'`
    By,
    /// `BY 'x' [SALT 'x']`
    Salted,
    /// `SERVER 'x'`
    Server,
    /// `SERVER 'x' [SCHEME 'x']`
    Http,
    /// `[REALM 'x']`
    Realm,
    /// `CN|SAN 'x', ...`
    Names,
    /// `BY KEY 'x' TYPE 'x', ...`
    Keys,
}

const PROOFS: [(&str, Proof); 16] = [
    ("NO_PASSWORD", Proof::Nothing),
    ("NO_AUTHENTICATION", Proof::Nothing),
    ("PLAINTEXT_PASSWORD", Proof::By),
    ("SHA256_PASSWORD", Proof::By),
    ("DOUBLE_SHA1_PASSWORD", Proof::By),
    ("BCRYPT_PASSWORD", Proof::By),
    ("SCRAM_SHA256_PASSWORD", Proof::By),
    ("SHA256_HASH", Proof::Salted),
    ("SCRAM_SHA256_HASH", Proof::Salted),
    ("DOUBLE_SHA1_HASH", Proof::By),
    ("BCRYPT_HASH", Proof::By),
    ("LDAP", Proof::Server),
    ("KERBEROS", Proof::Realm),
    ("SSL_CERTIFICATE", Proof::Names),
    ("SSH_KEY", Proof::Keys),
    ("HTTP", Proof::Http),
];

/// Users.
impl Cursor<'_> {
    pub(super) fn create_user(&mut self, alter: bool) -> Parsed {
        self.list(Self::user_name_or_parameter)?;
        while self.clause_of_user(alter)? || self.clause_of_entity("USER", alter)? || self.settings_clause(alter)? {}
        Ok(())
    }

    fn clause_of_user(&mut self, alter: bool) -> Parsed<bool> {
        if self.take("NOT IDENTIFIED") {
            self.valid_and_grants()?;
        } else if self.take("IDENTIFIED") || (alter && self.take("ADD IDENTIFIED")) {
            self.proofs()?;
        } else if self.take("HOST") || (alter && self.take_any(&["ADD HOST", "DROP HOST"]).is_some()) {
            self.list(Self::user_host)?;
        } else if self.take("DEFAULT ROLE") || (!alter && self.take("ROLE")) {
            self.roles_or_users("ROLE")?;
        } else if self.take("DEFAULT DATABASE") {
            let name = self.identifier_or_string()?;
            self.touch(Touch::Also(Name::bare(name), Via::Database("DEFAULT DATABASE")));
        } else if self.take("GRANTEES") {
            self.roles_or_users(USER_OR_ROLE)?;
        } else {
            return Ok((alter && self.take("RESET AUTHENTICATION METHODS TO NEW")) || self.validity()?);
        }
        Ok(true)
    }

    /// What every entity may be given: another name, a cluster, a storage.
    pub(super) fn clause_of_entity(&mut self, what: &'static str, alter: bool) -> Parsed<bool> {
        if alter && self.take("RENAME TO") {
            self.user_name(what)?;
        } else if self.at_word("ON CLUSTER") {
            self.perhaps_on_cluster()?;
        } else if self.take("IN") {
            self.other("ACCESS STORAGE")?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// `WITH type ... [, [type] ...]`, `BY 'x' [, [type] ...]`
    fn proofs(&mut self) -> Parsed {
        if self.take("WITH") {
            let Some(proof) = self.type_of_proof() else {
                return self.expected("the type of a proof, such as SHA256_PASSWORD");
            };
            self.proven_by(proof)?;
        } else {
            self.proven_by(Proof::By)?;
        }
        while self.eat(Kind::Comma) {
            let proof = self.type_of_proof().unwrap_or(Proof::By);
            self.proven_by(proof)?;
        }
        Ok(())
    }

    fn type_of_proof(&mut self) -> Option<Proof> {
        PROOFS.iter().find(|(word, _)| self.take(word)).map(|(_, proof)| *proof)
    }

    fn proven_by(&mut self, proof: Proof) -> Parsed {
        match proof {
            Proof::Nothing => {}
            Proof::By => self.word_and_text("BY")?,
            Proof::Salted => {
                self.word_and_text("BY")?;
                self.perhaps_word_and_text("SALT")?;
            }
            Proof::Server => self.word_and_text("SERVER")?,
            Proof::Http => {
                self.word_and_text("SERVER")?;
                self.perhaps_word_and_text("SCHEME")?;
            }
            Proof::Realm => self.perhaps_word_and_text("REALM")?,
            Proof::Names => {
                if self.take_any(&["CN", "SAN"]).is_none() {
                    return self.expected("CN or SAN");
                }
                self.texts()?;
            }
            Proof::Keys => self.ssh_keys()?,
        }
        self.valid_and_grants()
    }

    /// `BY KEY 'x' TYPE 'x', KEY ...`
    fn ssh_keys(&mut self) -> Parsed {
        self.keyword("BY")?;
        loop {
            self.keyword("KEY")?;
            self.identifier_or_string()?;
            self.keyword("TYPE")?;
            self.identifier_or_string()?;
            if self.kind() != Kind::Comma || !self.at_word_after(1, "KEY") {
                return Ok(());
            }
            self.advance();
        }
    }

    fn word_and_text(&mut self, word: &'static str) -> Parsed {
        self.keyword(word)?;
        self.string_or_parameter()
    }

    fn perhaps_word_and_text(&mut self, word: &'static str) -> Parsed {
        if self.take(word) { self.string_or_parameter() } else { Ok(()) }
    }

    /// Strings; a comma before something else is not theirs.
    fn texts(&mut self) -> Parsed {
        self.string_or_parameter()?;
        while self.kind() == Kind::Comma && matches!(self.kind_at(1), Kind::StringLiteral | Kind::HereDoc | Kind::OpeningCurlyBrace) {
            self.advance();
            self.string_or_parameter()?;
        }
        Ok(())
    }

    fn valid_and_grants(&mut self) -> Parsed {
        self.validity()?;
        self.grants_clause().map(drop)
    }

    /// `VALID UNTIL 'x'`, `VALID FOR interval`, if it stands here.
    fn validity(&mut self) -> Parsed<bool> {
        if self.take("VALID UNTIL") {
            self.string_or_parameter()?;
        } else if self.take("VALID FOR") {
            self.expression()?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// `GRANTS (privileges)`, if it stands here.
    fn grants_clause(&mut self) -> Parsed<bool> {
        if !self.take("GRANTS") {
            return Ok(false);
        }
        self.open()?;
        self.privileges("GRANTS")?;
        self.close()?;
        Ok(true)
    }

    /// Behind `CREATE TOKEN`: `[VALID ...] [GRANTS (...)]` in any order.
    pub(super) fn create_token(&mut self) -> Parsed<Is> {
        while self.validity()? || self.grants_clause()? {}
        Ok(administers("CreateTokenQuery"))
    }

    fn user_host(&mut self) -> Parsed {
        if self.take_any(&["NONE", "ANY", "LOCAL"]).is_some() {
            return Ok(());
        }
        match self.take_any(&["REGEXP", "NAME", "IP", "LIKE"]) {
            Some(_) => self.texts(),
            None => self.expected("ANY, NONE, LOCAL, NAME, REGEXP, IP or LIKE"),
        }
    }
}
