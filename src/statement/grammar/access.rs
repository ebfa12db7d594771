//! Users, roles, quotas, policies and profiles, and who is granted what.

mod grants;
mod policies;
mod settings;
mod shown;
mod users;

use super::super::lexer::Kind;
use super::super::reach::{Name, Via};
use super::cursor::{Cursor, Parsed, Touch};
use super::{Effect, Is};

/// What an entity of access control is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    User,
    Role,
    RowPolicy,
    MaskingPolicy,
    Profile,
    Quota,
}

/// The words and the nodes of an entity.
pub(super) struct Entity {
    family: Family,
    one: &'static [&'static str],
    many: &'static [&'static str],
    /// The table of `system` that lists them.
    table: &'static str,
    create: &'static str,
    drop: &'static str,
    moved: &'static str,
    show: &'static str,
    /// Of one and of several.
    show_create: [&'static str; 2],
}

const ENTITIES: [Entity; 6] = [
    Entity {
        family: Family::User,
        one: &["USER"],
        many: &["USERS"],
        table: "users",
        create: "CreateUserQuery",
        drop: "DROP USER query",
        moved: "MOVE USER query",
        show: "SHOW USERS query",
        show_create: ["SHOW CREATE USER query", "SHOW CREATE USERS query"],
    },
    Entity {
        family: Family::Role,
        one: &["ROLE"],
        many: &["ROLES"],
        table: "roles",
        create: "CreateRoleQuery",
        drop: "DROP ROLE query",
        moved: "MOVE ROLE query",
        show: "SHOW ROLES query",
        show_create: ["SHOW CREATE ROLE query", "SHOW CREATE ROLES query"],
    },
    Entity {
        family: Family::RowPolicy,
        one: &["ROW POLICY", "POLICY"],
        many: &["ROW POLICIES", "POLICIES"],
        table: "row_policies",
        create: "CREATE ROW POLICY or ALTER ROW POLICY query",
        drop: "DROP ROW POLICY query",
        moved: "MOVE ROW POLICY query",
        show: "SHOW ROW POLICIES query",
        show_create: ["SHOW CREATE ROW POLICY query", "SHOW CREATE ROW POLICIES query"],
    },
    Entity {
        family: Family::MaskingPolicy,
        one: &["MASKING POLICY"],
        many: &["MASKING POLICIES"],
        table: "masking_policies",
        create: "CREATE MASKING POLICY or ALTER MASKING POLICY query",
        drop: "DROP MASKING POLICY query",
        moved: "MOVE MASKING POLICY query",
        show: "SHOW MASKING POLICIES query",
        show_create: ["SHOW CREATE MASKING POLICIES query", "SHOW CREATE MASKING POLICIES query"],
    },
    Entity {
        family: Family::Profile,
        one: &["SETTINGS PROFILE", "PROFILE"],
        many: &["SETTINGS PROFILES", "PROFILES"],
        table: "settings_profiles",
        create: "CreateSettingsProfileQuery",
        drop: "DROP SETTINGS PROFILE query",
        moved: "MOVE SETTINGS PROFILE query",
        show: "SHOW SETTINGS PROFILES query",
        show_create: ["SHOW CREATE SETTINGS PROFILE query", "SHOW CREATE SETTINGS PROFILES query"],
    },
    Entity {
        family: Family::Quota,
        one: &["QUOTA"],
        many: &["QUOTAS"],
        table: "quotas",
        create: "CreateQuotaQuery",
        drop: "DROP QUOTA query",
        moved: "MOVE QUOTA query",
        show: "SHOW QUOTAS query",
        show_create: ["SHOW CREATE QUOTA query", "SHOW CREATE QUOTAS query"],
    },
];

impl Entity {
    /// The word under which a name is reported.
    fn word(&self) -> &'static str {
        self.one.first().copied().unwrap_or_default()
    }
}

const USER_OR_ROLE: &str = "USER OR ROLE";

fn administers(node: &'static str) -> Is {
    Is { effect: Effect::Administer, node }
}

/// Which entity, and how.
impl Cursor<'_> {
    /// Whether CREATE, ALTER, DROP, MOVE or SHOW stands here with an entity of access control.
    pub(super) fn at_access(&mut self) -> bool {
        self.at_word("CREATE TOKEN") || self.entity_after(1).is_some() || self.shown_access().is_some()
    }

    /// The entity whose words stand so many places further on, and how many tokens they are.
    fn entity_after(&mut self, ahead: usize) -> Option<(&'static Entity, usize)> {
        ENTITIES.iter().find_map(|entity| self.words_after(ahead, entity.one).map(|count| (entity, count)))
    }

    fn words_after(&mut self, ahead: usize, phrases: &[&str]) -> Option<usize> {
        let phrase = phrases.iter().find(|phrase| self.at_word_after(ahead, phrase))?;
        Some(phrase.split(' ').count())
    }

    fn skip_tokens(&mut self, count: usize) {
        for _ in 0..count {
            self.advance();
        }
    }

    /// `CREATE|ALTER entity ...`, `CREATE TOKEN ...`
    pub(super) fn create_access(&mut self) -> Parsed<Is> {
        if self.take("CREATE TOKEN") {
            return self.create_token();
        }
        let alter = self.at_word("ALTER");
        if !alter && !self.at_word("CREATE") {
            return self.expected("CREATE or ALTER");
        }
        let Some((entity, count)) = self.entity_after(1) else {
            return self.expected("USER, ROLE, QUOTA, POLICY or PROFILE");
        };
        self.skip_tokens(1 + count);
        if alter {
            self.take("IF EXISTS");
        } else {
            self.take_any(&["IF NOT EXISTS", "OR REPLACE"]);
        }
        match entity.family {
            Family::User => self.create_user(alter)?,
            Family::Role => {
                self.list(|cursor| cursor.user_name(entity.word()))?;
                self.clauses_of_settings(entity.word(), alter)?;
            }
            Family::Profile => {
                self.list(|cursor| cursor.other(entity.word()))?;
                self.clauses_of_settings(entity.word(), alter)?;
                self.given_to()?;
            }
            Family::RowPolicy => self.create_row_policy(alter)?,
            Family::MaskingPolicy => self.create_masking_policy(alter)?,
            Family::Quota => self.create_quota(alter)?,
        }
        Ok(administers(entity.create))
    }

    /// `DROP entity [IF EXISTS] names [FROM storage] [ON CLUSTER c]`
    pub(super) fn drop_access(&mut self) -> Parsed<Is> {
        let Some((entity, count)) = self.entity_after(1).filter(|_| self.at_word("DROP")) else {
            return self.expected("DROP and an entity of access control");
        };
        self.skip_tokens(1 + count);
        self.take("IF EXISTS");
        if entity.family == Family::MaskingPolicy {
            self.other(entity.word())?;
            // ClickHouse takes the table without ON too.
            self.take("ON");
            self.target_of_two_parts()?;
        } else {
            self.entity_names(entity)?;
        }
        if self.take("FROM") && (self.at_identifier() || self.at_string()) {
            self.other("ACCESS STORAGE")?;
        }
        self.perhaps_on_cluster()?;
        Ok(administers(entity.drop))
    }

    /// `MOVE entity names TO storage [ON CLUSTER c]`
    pub(super) fn move_access(&mut self) -> Parsed<Is> {
        let Some((entity, count)) = self.entity_after(1).filter(|_| self.at_word("MOVE")) else {
            return self.expected("MOVE and an entity of access control");
        };
        self.skip_tokens(1 + count);
        self.entity_names(entity)?;
        self.keyword("TO")?;
        self.other("ACCESS STORAGE")?;
        self.perhaps_on_cluster()?;
        Ok(administers(entity.moved))
    }

    fn entity_names(&mut self, entity: &Entity) -> Parsed {
        match entity.family {
            Family::User | Family::Role => self.list(|cursor| cursor.user_name(entity.word())),
            Family::RowPolicy => self.row_policy_names(),
            Family::MaskingPolicy | Family::Profile | Family::Quota => self.list(|cursor| cursor.other(entity.word())),
        }
    }
}

/// Names.
impl Cursor<'_> {
    /// `CURRENT_USER`, `currentUser()`
    fn current_user(&mut self) -> Parsed<bool> {
        if self.take_any(&["CURRENT_USER", "CURRENTUSER"]).is_none() {
            return Ok(false);
        }
        if self.eat(Kind::OpeningRoundBracket) {
            self.close()?;
        }
        Ok(true)
    }

    /// `name`, `name@host`, `'name'`
    fn user_name(&mut self, what: &'static str) -> Parsed {
        let quoted = self.at_string();
        let mut name = self.identifier_or_string()?;
        if !quoted && self.eat(Kind::At) {
            let host = self.identifier_or_string()?;
            name = format!("{name}@{host}");
        }
        self.touch(Touch::Also(Name::bare(name), Via::Other(what)));
        Ok(())
    }

    /// The same with a parameter as the name.
    fn user_name_or_parameter(&mut self) -> Parsed {
        if self.kind() != Kind::OpeningCurlyBrace {
            return self.user_name("USER");
        }
        match self.identifier_or_parameter()? {
            Some(name) => self.touch(Touch::Also(Name::bare(name), Via::Other("USER"))),
            None => self.computed("USER"),
        }
        if self.eat(Kind::At) { self.identifier_or_string().map(drop) } else { Ok(()) }
    }

    /// Names, with NONE, ALL, ANY and CURRENT_USER among them, and those that are excepted.
    fn roles_or_users(&mut self, what: &'static str) -> Parsed {
        self.list(|cursor| cursor.role_or_user(what))?;
        if self.take("EXCEPT") { self.list(|cursor| cursor.role_or_user(what)) } else { Ok(()) }
    }

    fn role_or_user(&mut self, what: &'static str) -> Parsed {
        if self.take("NONE") {
            return Ok(());
        }
        if self.current_user()? {
            self.touch(Touch::Also(Name::bare("CURRENT_USER"), Via::Other(what)));
            return Ok(());
        }
        self.user_name(what)
    }

    /// `TO users`, if it stands here.
    fn given_to(&mut self) -> Parsed {
        if self.take("TO") {
            self.roles_or_users(USER_OR_ROLE)?;
        }
        self.perhaps_on_cluster()
    }

    /// `policy [, policy] [ON CLUSTER c] ON table [, table] [, policy ON table] [ON CLUSTER c]`
    fn row_policy_names(&mut self) -> Parsed {
        loop {
            self.list(|cursor| cursor.other("ROW POLICY"))?;
            if self.at_word("ON CLUSTER") && self.name_of_a_cluster_follows(0) {
                self.perhaps_on_cluster()?;
            }
            self.keyword("ON")?;
            self.tables_or_asterisks("ROW POLICY")?;
            while self.kind() == Kind::Comma && !self.policy_follows_the_comma() {
                self.advance();
                self.tables_or_asterisks("ROW POLICY")?;
            }
            if self.at_word("ON CLUSTER") {
                self.perhaps_on_cluster()?;
            }
            if !self.eat(Kind::Comma) {
                return Ok(());
            }
        }
    }

    /// Behind a comma, a name before ON is another policy's, if ON is not that of the cluster.
    fn policy_follows_the_comma(&mut self) -> bool {
        matches!(self.kind_at(1), Kind::StringLiteral | Kind::HereDoc) || (self.at_word_after(2, "ON") && !self.name_of_a_cluster_follows(2))
    }

    /// Whether `ON CLUSTER name` stands so many places further on, and not `ON table` with a table of that name.
    fn name_of_a_cluster_follows(&mut self, ahead: usize) -> bool {
        let kind = self.kind_at(ahead + 2);
        let word = kind == Kind::BareWord && !["TO", "FROM"].iter().any(|word| self.at_word_after(ahead + 2, word));
        (word || matches!(kind, Kind::StringLiteral | Kind::QuotedIdentifier)) && self.at_word_after(ahead, "ON CLUSTER")
    }

    /// `table`, `db.table`, `db.*`, `*.*`, `*`, and names that end in an asterisk.
    fn tables_or_asterisks(&mut self, what: &'static str) -> Parsed {
        if self.eat(Kind::Asterisk) {
            let via = if self.kind() == Kind::Dot && self.kind_at(1) == Kind::Asterisk {
                self.skip_tokens(2);
                Via::Database(what)
            } else {
                Via::Table(what)
            };
            self.touch(Touch::Also(Name::bare("*"), via));
            return Ok(());
        }
        let first = self.identifier()?;
        let first_ends = self.eat(Kind::Asterisk);
        if !self.eat(Kind::Dot) {
            let touch = if first_ends { Touch::Also(Name::bare(format!("{first}*")), Via::Table(what)) } else { Touch::Target(Name::bare(first)) };
            self.touch(touch);
            return Ok(());
        }
        if self.eat(Kind::Asterisk) {
            let name = if first_ends { format!("{first}*") } else { first.into_owned() };
            self.touch(Touch::Also(Name::bare(name), Via::Database(what)));
            return Ok(());
        }
        if first_ends {
            return self.expected("*");
        }
        let second = self.identifier()?;
        let touch = if self.eat(Kind::Asterisk) {
            Touch::Also(Name::of(first, format!("{second}*")), Via::Table(what))
        } else {
            Touch::Target(Name::of(first, second))
        };
        self.touch(touch);
        Ok(())
    }
}
