//! Row policies, masking policies and quotas.

use super::super::super::lexer::Kind;
use super::super::cursor::{Cursor, Parsed};

use super::USER_OR_ROLE;

/// What a quota counts, where it is more words than one.
const COUNTED: [&str; 12] = [
    "QUERY SELECTS",
    "QUERY INSERTS",
    "RESULT ROWS",
    "RESULT BYTES",
    "READ ROWS",
    "READ BYTES",
    "WRITTEN BYTES",
    "EXECUTION TIME",
    "FAILED SEQUENTIAL AUTHENTICATIONS",
    "QUERIES PER NORMALIZED HASH",
    "QUERIES",
    "ERRORS",
];

/// Policies and quotas.
impl Cursor<'_> {
    pub(super) fn create_row_policy(&mut self, alter: bool) -> Parsed {
        self.row_policy_names()?;
        while self.clause_of_entity("ROW POLICY", alter)? || self.clause_of_row_policy()? {}
        self.given_to()
    }

    fn clause_of_row_policy(&mut self) -> Parsed<bool> {
        if self.take("AS") {
            return match self.take_any(&["RESTRICTIVE", "PERMISSIVE"]) {
                Some(_) => Ok(true),
                None => self.expected("RESTRICTIVE or PERMISSIVE"),
            };
        }
        if !["FOR", "USING", "WITH CHECK"].iter().any(|word| self.at_word(word)) {
            return Ok(false);
        }
        self.list(Self::policy_filter)?;
        Ok(true)
    }

    /// `[FOR SELECT|ALL, ...] USING x|NONE`
    fn policy_filter(&mut self) -> Parsed {
        if self.take("FOR") {
            self.list(|cursor| match cursor.take_any(&["ALL", "SELECT"]) {
                Some(_) => Ok(()),
                None => cursor.expected("SELECT or ALL"),
            })?;
        }
        let mut filtered = false;
        for word in ["USING", "WITH CHECK"] {
            if self.take(word) {
                filtered = true;
                if !self.take("NONE") {
                    self.expression()?;
                }
            }
        }
        if filtered { Ok(()) } else { self.expected("USING") }
    }

    /// `name ON table [UPDATE a = x, ...] [WHERE x] [TO users] [PRIORITY n] ...`
    pub(super) fn create_masking_policy(&mut self, alter: bool) -> Parsed {
        self.other("MASKING POLICY")?;
        self.keyword("ON")?;
        self.target_of_two_parts()?;
        let mut updates = alter;
        loop {
            if self.take("UPDATE") {
                updates = true;
                self.list(Self::set_column)?;
            } else if self.take("WHERE") {
                self.expression()?;
            } else if self.take("TO") {
                self.roles_or_users(USER_OR_ROLE)?;
            } else if self.take("PRIORITY") {
                self.token(Kind::Number, "a number")?;
            } else if !self.clause_of_entity("MASKING POLICY", alter)? {
                return if updates { Ok(()) } else { self.expected("UPDATE") };
            }
        }
    }

    pub(super) fn create_quota(&mut self, alter: bool) -> Parsed {
        self.list(|cursor| cursor.other("QUOTA"))?;
        while self.clause_of_entity("QUOTA", alter)? || self.clause_of_quota()? {}
        self.given_to()
    }

    fn clause_of_quota(&mut self) -> Parsed<bool> {
        if self.take("NOT KEYED") {
            return Ok(true);
        }
        if self.take_any(&["KEYED BY", "KEY BY"]).is_some() {
            self.list(|cursor| cursor.identifier_or_string().map(drop))?;
        } else if self.take_any(&["IPV4_PREFIX_BITS", "IPV6_PREFIX_BITS"]).is_some() {
            self.token(Kind::Number, "a number")?;
        } else if self.at_word("FOR") {
            self.list(Self::quota_interval)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// `FOR [RANDOMIZED] [INTERVAL] n unit NO LIMITS|TRACKING ONLY|limits`
    fn quota_interval(&mut self) -> Parsed {
        self.keyword("FOR")?;
        self.take("RANDOMIZED");
        self.take("INTERVAL");
        self.literal_text()?;
        if self.unit().is_none() {
            return self.expected("the unit of an interval");
        }
        if self.take_any(&["NO LIMITS", "TRACKING ONLY"]).is_some() {
            return Ok(());
        }
        self.quota_limit()?;
        while self.kind() == Kind::Comma && !self.at_word_after(1, "FOR") {
            self.advance();
            self.quota_limit()?;
        }
        Ok(())
    }

    /// `[MAX] what [MAX] [=] n`
    fn quota_limit(&mut self) -> Parsed {
        self.take("MAX");
        if self.take_any(&COUNTED).is_none() {
            self.identifier()?;
        }
        self.take("MAX");
        self.eat(Kind::Equals);
        self.literal_text().map(drop)
    }
}
