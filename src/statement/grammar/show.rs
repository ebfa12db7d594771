//! What shows and checks: SHOW, EXISTS, CHECK, USE and DESCRIBE FILESYSTEM CACHE.

use super::super::lexer::Kind;
use super::super::reach::{Clause, Name, Via};
use super::cursor::{Cursor, Parsed, Touch};
use super::{Effect, Is};

/// What may stand behind the words of a SHOW.
#[derive(Clone, Copy)]
enum Clauses {
    Nothing,
    /// `[FROM db] [[NOT] LIKE 'x' | WHERE x] [LIMIT n]`
    OfDatabase,
    /// `[[NOT] LIKE 'x'] [LIMIT n]`
    LikeAndLimit,
    /// `[LIKE 'x']`
    MaybeLike,
    /// `LIKE 'x'`
    Like,
    /// The name of a cluster.
    Cluster,
    /// The name of a setting.
    Setting,
}

/// A SHOW that the server answers by reading a table of `system`.
struct Shown {
    /// With SHOW, as it is reported.
    words: &'static str,
    node: &'static str,
    reads: &'static str,
    clauses: Clauses,
}

impl Shown {
    fn behind_show(&self) -> &'static str {
        self.words.strip_prefix("SHOW ").unwrap_or(self.words)
    }
}

const fn shown(words: &'static str, node: &'static str, reads: &'static str, clauses: Clauses) -> Shown {
    Shown { words, node, reads, clauses }
}

/// FULL may stand before these.
const LISTS: [Shown; 9] = [
    shown("SHOW TABLES", "ShowTables", "tables", Clauses::OfDatabase),
    shown("SHOW DICTIONARIES", "ShowTables", "dictionaries", Clauses::OfDatabase),
    shown("SHOW DATABASES", "ShowTables", "databases", Clauses::LikeAndLimit),
    shown("SHOW CLUSTERS", "ShowTables", "clusters", Clauses::LikeAndLimit),
    shown("SHOW CLUSTER", "ShowTables", "clusters", Clauses::Cluster),
    shown("SHOW MERGES", "ShowTables", "merges", Clauses::LikeAndLimit),
    shown("SHOW FILESYSTEM CACHES", "ShowTables", "filesystem_cache_settings", Clauses::Nothing),
    shown("SHOW CHANGED SETTINGS", "ShowTables", "settings", Clauses::Like),
    shown("SHOW SETTINGS", "ShowTables", "settings", Clauses::Like),
];

const OTHERS: [Shown; 5] = [
    shown("SHOW ENGINES", "ShowEngineQuery", "table_engines", Clauses::Nothing),
    shown("SHOW FUNCTIONS", "ShowFunctions", "functions", Clauses::MaybeLike),
    shown("SHOW PROCESSLIST", "ShowProcesslistQuery", "processes", Clauses::Nothing),
    shown("SHOW PRIVILEGES", "ShowPrivilegesQuery", "privileges", Clauses::Nothing),
    shown("SHOW SETTING", "ShowSetting", "settings", Clauses::Setting),
];

/// Objects whose definition is shown and whose existence is asked for: the word, and the two nodes.
const OBJECTS: [(&str, &str, &str); 3] = [
    ("TABLE", "ShowCreateTableQuery", "ExistsTableQuery"),
    ("VIEW", "ShowCreateViewQuery", "ExistsViewQuery"),
    ("DICTIONARY", "ShowCreateDictionaryQuery", "ExistsDictionaryQuery"),
];

const INDEXES: [&str; 4] = ["INDEX", "INDEXES", "INDICES", "KEYS"];

impl Cursor<'_> {
    /// `SHOW ...`
    pub(super) fn show(&mut self) -> Parsed<Is> {
        if let Some(shown) = self.shown_access() {
            return self.show_access(shown);
        }
        self.keyword("SHOW")?;
        if self.take("CREATE") {
            return self.show_create(true);
        }
        if self.take("EXTENDED") {
            self.take("FULL");
            return self.show_columns_or_indexes();
        }
        if self.at_columns(0) || self.at_indexes() {
            return self.show_columns_or_indexes();
        }
        if self.at_word("FULL") && self.at_columns(1) {
            self.advance();
            return self.show_columns_or_indexes();
        }
        if let Some(shown) = self.shown_list() {
            return self.shown_clauses(shown);
        }
        self.show_create(false)
    }

    /// Takes the words of a SHOW that lists, with FULL and TEMPORARY.
    fn shown_list(&mut self) -> Option<&'static Shown> {
        let mark = self.mark();
        let full = self.take("FULL");
        // TEMPORARY stands before two of them only; before anything else it belongs to an object.
        let temporary = self.take("TEMPORARY");
        let lists = LISTS.iter().filter(|shown| !temporary || matches!(shown.clauses, Clauses::OfDatabase));
        let others = OTHERS.iter().filter(|_| !full && !temporary);
        for shown in lists.chain(others) {
            if self.take(shown.behind_show()) {
                return Some(shown);
            }
        }
        self.back_to(mark);
        None
    }

    fn shown_clauses(&mut self, shown: &Shown) -> Parsed<Is> {
        self.reads(shown.reads, shown.words);
        match shown.clauses {
            Clauses::Nothing => {}
            Clauses::OfDatabase => self.shown_of_database(shown.words)?,
            Clauses::LikeAndLimit => {
                self.shown_like()?;
                self.shown_limit()?;
            }
            Clauses::MaybeLike => {
                if self.take_any(&["LIKE", "ILIKE"]).is_some() {
                    self.string()?;
                }
            }
            Clauses::Like => {
                if self.take_any(&["LIKE", "ILIKE"]).is_none() {
                    return self.expected("LIKE or ILIKE");
                }
                self.string()?;
            }
            Clauses::Cluster => self.other("CLUSTER")?,
            Clauses::Setting => {
                self.identifier()?;
            }
        }
        Ok(Is { effect: Effect::Read, node: shown.node })
    }

    /// Records that the server answers from this table of its own.
    pub(super) fn reads(&mut self, table: &str, words: &'static str) {
        self.touch(Touch::Also(Name::of("system", table), Via::Table(words)));
    }

    fn shown_of_database(&mut self, words: &'static str) -> Parsed {
        if self.take_any(&["FROM", "IN"]).is_some() {
            match self.identifier_or_parameter()? {
                Some(database) => self.touch(Touch::Also(Name::bare(database), Via::Listing(words))),
                None => self.computed(words),
            }
        }
        if !self.shown_like()? {
            self.shown_where()?;
        }
        self.shown_limit()
    }

    /// `[NOT] LIKE 'x'`, if it stands here.
    fn shown_like(&mut self) -> Parsed<bool> {
        let negated = self.take("NOT");
        if self.take_any(&["LIKE", "ILIKE"]).is_some() {
            self.string()?;
            return Ok(true);
        }
        if negated { self.expected("LIKE or ILIKE") } else { Ok(false) }
    }

    fn shown_where(&mut self) -> Parsed {
        if self.take("WHERE") {
            self.touch(Touch::Clause(Clause::ShowWhere));
            return self.expression_with_alias();
        }
        Ok(())
    }

    fn shown_limit(&mut self) -> Parsed {
        if self.take("LIMIT") { self.expression_with_alias() } else { Ok(()) }
    }

    fn at_columns(&mut self, ahead: usize) -> bool {
        self.at_word_after(ahead, "COLUMNS") || self.at_word_after(ahead, "FIELDS")
    }

    fn at_indexes(&mut self) -> bool {
        INDEXES.iter().any(|word| self.at_word(word))
    }

    /// `COLUMNS FROM table [FROM db] ...` and `INDEX FROM table [FROM db] ...`.
    fn show_columns_or_indexes(&mut self) -> Parsed<Is> {
        let columns = self.at_columns(0);
        if !columns && !self.at_indexes() {
            return self.expected("COLUMNS or INDEX");
        }
        self.advance();
        let (node, words, reads) =
            if columns { ("ShowColumns", "SHOW COLUMNS", "columns") } else { ("ShowIndexes", "SHOW INDEX", "data_skipping_indices") };
        self.reads(reads, words);
        self.shown_table()?;
        let like = columns && self.shown_like()?;
        if !like {
            self.shown_where()?;
        }
        if columns {
            self.shown_limit()?;
        }
        Ok(Is { effect: Effect::Read, node })
    }

    /// `FROM table`, `FROM db.table`, `FROM table FROM db`; parameters cannot stand here.
    fn shown_table(&mut self) -> Parsed {
        if self.take_any(&["FROM", "IN"]).is_none() {
            return self.expected("FROM");
        }
        if !self.at_identifier() {
            return self.expected("a table's name");
        }
        let path = self.path()?;
        // Of more than two parts ClickHouse takes the first for the database and the last for the table.
        let name = match path.parts.as_slice() {
            [Some(table)] if self.take_any(&["FROM", "IN"]).is_some() => {
                let database = self.identifier()?;
                Name::of(database, table.as_ref())
            }
            [Some(table)] => Name::bare(table.as_ref()),
            [Some(database), .., Some(table)] => Name::of(database.as_ref(), table.as_ref()),
            _ => return self.expected("a name without parameters"),
        };
        self.touch(Touch::Target(name));
        Ok(())
    }

    /// `[CREATE] [TEMPORARY] [TABLE|VIEW|DICTIONARY|DATABASE] name`, where one of the first and the third must stand.
    fn show_create(&mut self, create: bool) -> Parsed<Is> {
        self.take("TEMPORARY");
        if self.take("DATABASE") {
            self.database_target("SHOW CREATE DATABASE")?;
            return Ok(Is { effect: Effect::Read, node: "ShowCreateDatabaseQuery" });
        }
        let object = OBJECTS.iter().find(|(word, _, _)| self.take(word));
        if object.is_none() && !create {
            return self.expected("what to show, such as TABLES or CREATE TABLE");
        }
        self.target_of_two_parts()?;
        Ok(Is { effect: Effect::Read, node: object.map_or("ShowCreateTableQuery", |(_, node, _)| node) })
    }

    /// `EXISTS [TEMPORARY] [TABLE|VIEW|DICTIONARY] name`, `EXISTS DATABASE name`.
    pub(super) fn exists(&mut self) -> Parsed<Is> {
        self.keyword("EXISTS")?;
        if self.take("DATABASE") {
            self.database_target("EXISTS DATABASE")?;
            return Ok(Is { effect: Effect::Read, node: "ExistsDatabaseQuery" });
        }
        self.take("TEMPORARY");
        let object = OBJECTS.iter().find(|(word, _, _)| self.take(word));
        self.target_of_two_parts()?;
        Ok(Is { effect: Effect::Read, node: object.map_or("ExistsTableQuery", |(_, _, node)| node) })
    }

    /// `CHECK TABLE t [PARTITION x | PART 'x']`, `CHECK ALL TABLES`, `CHECK DATABASE d`, `CHECK GRANT ...`.
    pub(super) fn check(&mut self) -> Parsed<Is> {
        self.keyword("CHECK")?;
        let node = if self.take("ALL TABLES") {
            self.touch(Touch::Also(Name::bare("*"), Via::Database("CHECK ALL TABLES")));
            "CheckAllQuery"
        } else if self.take("DATABASE") {
            self.database_target("CHECK DATABASE")?;
            "CheckQuery"
        } else if self.take("GRANT") {
            self.privileges("CHECK GRANT")?;
            "CheckGrantQuery"
        } else if self.take("TABLE") {
            self.target_of_two_parts()?;
            if self.take("PARTITION") {
                self.one_partition()?;
            } else if self.take("PART") {
                self.string()?;
            }
            "CheckQuery"
        } else {
            return self.expected("TABLE, ALL TABLES, DATABASE or GRANT");
        };
        Ok(Is { effect: Effect::Read, node })
    }

    /// `USE [DATABASE] name`
    pub(super) fn use_database(&mut self) -> Parsed<Is> {
        self.keyword("USE")?;
        // Alone the word is the database's name.
        if self.at_word("DATABASE") && matches!(self.kind_at(1), Kind::BareWord | Kind::QuotedIdentifier | Kind::OpeningCurlyBrace) {
            self.advance();
        }
        self.database_target("USE")?;
        Ok(Is { effect: Effect::Session, node: "UseQuery" })
    }

    /// `DESCRIBE FILESYSTEM CACHE 'name'`
    pub(super) fn describe_cache(&mut self) -> Parsed<Is> {
        if self.take_any(&["DESCRIBE", "DESC"]).is_none() {
            return self.expected("DESCRIBE");
        }
        self.keyword("FILESYSTEM CACHE")?;
        let name = self.string_text()?;
        self.touch(Touch::Also(Name::bare(name), Via::Other("FILESYSTEM CACHE")));
        Ok(Is { effect: Effect::Read, node: "DescribeCacheQuery" })
    }

    /// A database that the statement is about: its name alone, and that all it holds is reached.
    pub(super) fn database_target(&mut self, what: &'static str) -> Parsed {
        match self.identifier_or_parameter()? {
            Some(database) => {
                self.touch(Touch::Target(Name::bare(database.as_ref())));
                self.touch(Touch::Also(Name::bare(database), Via::Database(what)));
            }
            None => self.computed(what),
        }
        Ok(())
    }
}
