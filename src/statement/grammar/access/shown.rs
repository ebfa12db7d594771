//! SHOW of users, roles, grants, quotas, policies and profiles.

use super::super::super::lexer::Kind;
use super::super::cursor::{Cursor, Parsed};
use super::super::{Effect, Is};

use super::{ENTITIES, Entity, Family, USER_OR_ROLE};

/// A SHOW of access control, as `shown_access` finds it.
#[derive(Clone, Copy)]
pub(in crate::statement::grammar) enum ShownAccess {
    /// `SHOW CREATE entity ...`, and the number of tokens of these words.
    Create(&'static Entity, bool, usize),
    /// `SHOW entities ...`
    Entities(&'static Entity, usize),
    /// Words, the node, and the tables of `system`.
    Fixed(&'static str, &'static str, &'static [&'static str]),
    /// `SHOW GRANTS ...`
    Grants,
}

const FIXED: [(&str, &str, &[&str]); 5] = [
    ("SHOW CURRENT ROLES", "SHOW CURRENT ROLES query", &["current_roles"]),
    ("SHOW ENABLED ROLES", "SHOW ENABLED ROLES query", &["enabled_roles"]),
    ("SHOW CURRENT QUOTA", "SHOW CURRENT QUOTA query", &["quota_usage"]),
    ("SHOW QUOTA", "SHOW CURRENT QUOTA query", &["quota_usage"]),
    (
        "SHOW ACCESS",
        "ShowAccessQuery",
        &["users", "roles", "grants", "role_grants", "quotas", "row_policies", "masking_policies", "settings_profiles"],
    ),
];

/// SHOW.
impl Cursor<'_> {
    /// The SHOW of access control that stands here, if any. Some of its words are also names: `SHOW CREATE ROLE` alone
    /// shows a table of that name.
    pub(in crate::statement::grammar) fn shown_access(&mut self) -> Option<ShownAccess> {
        if !self.at_word("SHOW") {
            return None;
        }
        if self.at_word("SHOW GRANTS") {
            return Some(ShownAccess::Grants);
        }
        if self.at_word("SHOW CREATE") {
            return self.shown_creation();
        }
        if let Some((words, node, tables)) = FIXED.iter().find(|(words, _, _)| self.at_word(words)) {
            return Some(ShownAccess::Fixed(words, node, tables));
        }
        ENTITIES.iter().find_map(|entity| self.words_after(1, entity.many).map(|count| ShownAccess::Entities(entity, 1 + count)))
    }

    fn shown_creation(&mut self) -> Option<ShownAccess> {
        for entity in &ENTITIES {
            if let Some(count) = self.words_after(2, entity.many) {
                return Some(ShownAccess::Create(entity, true, 2 + count));
            }
            let Some(count) = self.words_after(2, entity.one) else { continue };
            let named = self.entity_name_after(2 + count);
            let without_name = matches!(entity.family, Family::User | Family::Quota);
            return (named || without_name || count > 1).then_some(ShownAccess::Create(entity, false, 2 + count));
        }
        None
    }

    /// Whether a name stands so many places further on, and not what follows every SHOW.
    fn entity_name_after(&mut self, ahead: usize) -> bool {
        let name = matches!(self.kind_at(ahead), Kind::BareWord | Kind::QuotedIdentifier | Kind::StringLiteral | Kind::HereDoc);
        name && !["FORMAT", "SETTINGS", "INTO OUTFILE", "PARALLEL WITH"].iter().any(|words| self.at_word_after(ahead, words))
    }

    pub(in crate::statement::grammar) fn show_access(&mut self, shown: ShownAccess) -> Parsed<Is> {
        let node = match shown {
            ShownAccess::Fixed(words, node, tables) => {
                self.take(words);
                for table in tables {
                    self.reads(table, words);
                }
                node
            }
            ShownAccess::Grants => self.show_grants()?,
            ShownAccess::Entities(entity, count) => {
                self.skip_tokens(count);
                self.reads(entity.table, "SHOW");
                self.shown_policies(entity)?;
                entity.show
            }
            ShownAccess::Create(entity, many, count) => {
                self.skip_tokens(count);
                self.reads(entity.table, "SHOW CREATE");
                self.show_create_access(entity, many)?
            }
        };
        Ok(Is { effect: Effect::Read, node })
    }

    /// `SHOW GRANTS [FOR users] [WITH IMPLICIT] [FINAL]`
    fn show_grants(&mut self) -> Parsed<&'static str> {
        self.keyword("SHOW GRANTS")?;
        self.reads("grants", "SHOW GRANTS");
        if self.take("FOR") {
            self.roles_or_users(USER_OR_ROLE)?;
        }
        while self.take_any(&["WITH IMPLICIT", "FINAL"]).is_some() {}
        Ok("ShowGrantsQuery")
    }

    /// Policies are shown of a table or of a name.
    fn shown_policies(&mut self, entity: &Entity) -> Parsed {
        if !matches!(entity.family, Family::RowPolicy | Family::MaskingPolicy) {
            return Ok(());
        }
        if self.take("ON") {
            return self.tables_or_asterisks("SHOW POLICIES");
        }
        if self.entity_name_after(0) { self.other(entity.word()) } else { Ok(()) }
    }

    fn show_create_access(&mut self, entity: &Entity, many: bool) -> Parsed<&'static str> {
        let [one, several] = entity.show_create;
        if entity.family == Family::RowPolicy && self.take("ON") {
            self.tables_or_asterisks("SHOW CREATE POLICY")?;
            return Ok(several);
        }
        if !self.entity_name_after(0) {
            let current = matches!(entity.family, Family::User | Family::Quota);
            return match (many, current) {
                (true, _) => Ok(several),
                (false, true) => Ok(one),
                (false, false) => self.expected("a name"),
            };
        }
        if matches!(entity.family, Family::RowPolicy | Family::MaskingPolicy) {
            return self.show_create_policy(entity);
        }
        if entity.family == Family::User && self.current_user()? {
            return Ok(one);
        }
        let begins = self.position();
        self.entity_names(entity)?;
        let comma = self.taken().iter().skip(begins).any(|token| token.kind == Kind::Comma);
        Ok(if comma { several } else { one })
    }

    /// Of a row policy everywhere, of row policies of tables, or of a masking policy.
    fn show_create_policy(&mut self, entity: &Entity) -> Parsed<&'static str> {
        let [one, several] = entity.show_create;
        if entity.family == Family::RowPolicy && self.policy_names_follow() {
            self.row_policy_names()?;
            return Ok(one);
        }
        self.other(entity.word())?;
        if entity.family == Family::MaskingPolicy && self.take("ON") {
            self.target_of_two_parts()?;
        }
        Ok(several)
    }

    /// Whether the name of a policy here is followed by its table, or by another name.
    fn policy_names_follow(&mut self) -> bool {
        self.kind_at(1) == Kind::Comma || self.at_word_after(1, "ON")
    }
}
