//! Users, roles, quotas, policies and profiles, and who is granted what.

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

/// A SHOW of access control, as `shown_access` finds it.
#[derive(Clone, Copy)]
pub(super) enum ShownAccess {
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

const SETTINGS_WORDS: [&str; 2] = ["SETTINGS", "SETTING"];
const PROFILE_WORDS: [&str; 3] = ["PROFILES", "PROFILE", "INHERIT"];
const CONSTRAINTS: [&str; 4] = ["READONLY", "CONST", "WRITABLE", "CHANGEABLE_IN_READONLY"];
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

/// SHOW.
impl Cursor<'_> {
    /// The SHOW of access control that stands here, if any. Some of its words are also names: `SHOW CREATE ROLE` alone
    /// shows a table of that name.
    pub(super) fn shown_access(&mut self) -> Option<ShownAccess> {
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

    pub(super) fn show_access(&mut self, shown: ShownAccess) -> Parsed<Is> {
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

/// Who is granted what.
impl Cursor<'_> {
    /// `GRANT privileges|roles TO users ...`, `REVOKE privileges|roles FROM users ...`
    pub(super) fn grant(&mut self) -> Parsed<Is> {
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
    pub(super) fn privileges(&mut self, what: &'static str) -> Parsed {
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
        while self.kind() == Kind::BareWord && !["ON", "TO", "FROM"].iter().any(|word| self.at_word(word)) {
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
    pub(super) fn at_set_role(&mut self) -> bool {
        let role = self.at_word("SET ROLE") && matches!(self.kind_at(2), Kind::BareWord | Kind::QuotedIdentifier | Kind::StringLiteral);
        role || self.at_word("SET DEFAULT ROLE")
    }

    /// `SET ROLE DEFAULT`, `SET ROLE roles`, `SET DEFAULT ROLE roles TO users`
    pub(super) fn set_role(&mut self) -> Parsed<Is> {
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
    pub(super) fn execute_as(&mut self) -> Parsed {
        self.keyword("EXECUTE AS")?;
        self.user_name("EXECUTE AS")
    }
}

/// Users.
impl Cursor<'_> {
    fn create_user(&mut self, alter: bool) -> Parsed {
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
    fn clause_of_entity(&mut self, what: &'static str, alter: bool) -> Parsed<bool> {
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
    fn create_token(&mut self) -> Parsed<Is> {
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

/// Settings of users, roles and profiles.
impl Cursor<'_> {
    fn clauses_of_settings(&mut self, what: &'static str, alter: bool) -> Parsed {
        while self.clause_of_entity(what, alter)? || self.settings_clause(alter)? {}
        Ok(())
    }

    /// `SETTINGS ...`, `PROFILE 'x', ...`, and with ALTER what adds, modifies and drops them; if it stands here.
    fn settings_clause(&mut self, alter: bool) -> Parsed<bool> {
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

/// Policies and quotas.
impl Cursor<'_> {
    fn create_row_policy(&mut self, alter: bool) -> Parsed {
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
    fn create_masking_policy(&mut self, alter: bool) -> Parsed {
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

    fn create_quota(&mut self, alter: bool) -> Parsed {
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
