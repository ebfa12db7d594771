//! What removes, renames and changes objects and rows: DROP, DETACH, TRUNCATE, RENAME, OPTIMIZE, KILL, DELETE, UPDATE.

use super::super::lexer::Kind;
use super::super::reach::{Name, Via};
use super::cursor::{Cursor, Parsed, Touch};
use super::{Effect, Is};

/// What is dropped as `DROP <words> [IF EXISTS] name [ON CLUSTER c]`: the words, the node and the effect.
const NAMED: [(&str, &str, Effect); 5] = [
    ("FUNCTION", "DropFunctionQuery", Effect::Define),
    ("NAMED COLLECTION", "DropNamedCollectionQuery", Effect::Administer),
    ("WORKLOAD", "DropWorkloadQuery", Effect::Administer),
    ("RESOURCE", "DropResourceQuery", Effect::Administer),
    ("HANDLER", "DropHandlerQuery", Effect::Administer),
];

/// How many tokens `query_id = 'text'` has.
const ONE_QUERY_ID: usize = 3;

/// What is killed, and the table of `system` in which the server looks for it.
const KILLED: [(&str, &str); 4] =
    [("QUERY", "processes"), ("MUTATION", "mutations"), ("PART_MOVE_TO_SHARD", "part_moves_between_shards"), ("TRANSACTION", "transactions")];

/// The statements that share one grammar.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removal {
    Drop,
    Detach,
    Truncate,
}

impl Removal {
    fn is(self) -> Is {
        match self {
            Self::Drop => Is { effect: Effect::Define, node: "DropQuery" },
            Self::Detach => Is { effect: Effect::Define, node: "DetachQuery" },
            Self::Truncate => Is { effect: Effect::Change, node: "TruncateQuery" },
        }
    }

    fn of_database(self) -> &'static str {
        match self {
            Self::Drop => "DROP DATABASE",
            Self::Detach => "DETACH DATABASE",
            Self::Truncate => "TRUNCATE DATABASE",
        }
    }
}

impl Cursor<'_> {
    /// `DROP ...` of any object.
    pub(super) fn drop_object(&mut self) -> Parsed<Is> {
        if self.at_access() {
            return self.drop_access();
        }
        self.keyword("DROP")?;
        if self.take("ALL HYPOTHETICAL INDEXES") {
            return Ok(Is { effect: Effect::Session, node: "DropAllHypotheticalIndexes" });
        }
        if self.take("HYPOTHETICAL INDEX") {
            return self.drop_index(Is { effect: Effect::Session, node: "DropHypotheticalIndexQuery" });
        }
        if self.take("HYPOTHETICAL PROJECTION") {
            return self.drop_index(Is { effect: Effect::Session, node: "DropHypotheticalProjectionQuery" });
        }
        if self.take("INDEX") {
            return self.drop_index(Is { effect: Effect::Define, node: "DropIndexQuery" });
        }
        for (words, node, effect) in NAMED {
            if self.take(words) {
                self.take("IF EXISTS");
                let name = self.identifier()?;
                self.touch(Touch::Also(Name::bare(name), Via::Other(words)));
                self.perhaps_on_cluster()?;
                return Ok(Is { effect, node });
            }
        }
        self.removal(Removal::Drop)
    }

    /// `DETACH TABLE|VIEW|DICTIONARY|DATABASE name [PERMANENTLY] [SYNC]`
    pub(super) fn detach(&mut self) -> Parsed<Is> {
        self.keyword("DETACH")?;
        self.removal(Removal::Detach)
    }

    /// `TRUNCATE [TABLE] name`, `TRUNCATE DATABASE name`, `TRUNCATE [ALL] TABLES FROM db [LIKE 'x']`
    pub(super) fn truncate(&mut self) -> Parsed<Is> {
        self.keyword("TRUNCATE")?;
        self.removal(Removal::Truncate)
    }

    /// `[IF EXISTS] name ON table [ON CLUSTER c]`
    fn drop_index(&mut self, is: Is) -> Parsed<Is> {
        self.take("IF EXISTS");
        self.identifier()?;
        self.keyword("ON")?;
        self.target_of_two_parts()?;
        self.perhaps_on_cluster()?;
        Ok(is)
    }

    fn removal(&mut self, removal: Removal) -> Parsed<Is> {
        if self.take("DATABASE") {
            self.if_exists_or_empty();
            self.database_target(removal.of_database())?;
        } else {
            // ClickHouse passes over these words before TABLE, VIEW and DICTIONARY too.
            let tables = self.take("TABLES") || (self.take("ALL") && self.take("TABLES"));
            if tables && removal == Removal::Truncate {
                self.all_tables_from()?;
            } else {
                self.removed_tables(removal)?;
            }
        }
        self.perhaps_on_cluster()?;
        if removal == Removal::Detach {
            self.take("PERMANENTLY");
        }
        self.take_any(&["NO DELAY", "SYNC"]);
        Ok(removal.is())
    }

    /// `FROM [IF EXISTS] db [[NOT] LIKE 'x']`
    fn all_tables_from(&mut self) -> Parsed {
        self.keyword("FROM")?;
        self.take("IF EXISTS");
        self.database_target("TRUNCATE ALL TABLES")?;
        self.take("NOT");
        for word in ["LIKE", "ILIKE"] {
            if self.take(word) {
                self.string()?;
            }
        }
        Ok(())
    }

    /// `[TEMPORARY] TABLE|VIEW|DICTIONARY [IF EXISTS] [IF EMPTY] name`; only DROP takes several names.
    fn removed_tables(&mut self, removal: Removal) -> Parsed {
        self.take("TEMPORARY");
        let word = self.take_any(&["VIEW", "DICTIONARY", "TABLE"]);
        if word.is_none() && removal != Removal::Truncate {
            return self.expected("TABLE, VIEW, DICTIONARY or DATABASE");
        }
        self.if_exists_or_empty();
        self.removed_table()?;
        while removal == Removal::Drop && self.eat(Kind::Comma) {
            self.removed_table()?;
        }
        Ok(())
    }

    fn removed_table(&mut self) -> Parsed {
        self.target_of_two_parts()?;
        if self.take("UUID") {
            self.string()?;
        }
        Ok(())
    }

    fn if_exists_or_empty(&mut self) {
        self.take("IF EXISTS");
        self.take("IF EMPTY");
    }

    /// `UNDROP TABLE name [UUID 'x'] [ON CLUSTER c]`
    pub(super) fn undrop(&mut self) -> Parsed<Is> {
        self.keyword("UNDROP")?;
        self.keyword("TABLE")?;
        self.removed_table()?;
        self.perhaps_on_cluster()?;
        Ok(Is { effect: Effect::Define, node: "UndropQuery" })
    }

    /// `RENAME [TABLE|DICTIONARY] a TO b, ...`, `RENAME DATABASE a TO b`
    pub(super) fn rename(&mut self) -> Parsed<Is> {
        self.keyword("RENAME")?;
        if self.take("DATABASE") {
            self.take("IF EXISTS");
            self.database_target("RENAME DATABASE")?;
            self.keyword("TO")?;
            self.database_target("RENAME DATABASE")?;
        } else {
            self.take_any(&["TABLE", "DICTIONARY"]);
            self.list(|cursor| {
                cursor.take("IF EXISTS");
                cursor.target_of_two_parts()?;
                cursor.keyword("TO")?;
                cursor.target_of_two_parts()
            })?;
        }
        self.perhaps_on_cluster()?;
        Ok(Is { effect: Effect::Define, node: "Rename" })
    }

    /// `EXCHANGE TABLES|DICTIONARIES a AND b, ...`
    pub(super) fn exchange(&mut self) -> Parsed<Is> {
        self.keyword("EXCHANGE")?;
        if self.take_any(&["TABLES", "DICTIONARIES"]).is_none() {
            return self.expected("TABLES or DICTIONARIES");
        }
        self.list(|cursor| {
            cursor.target_of_two_parts()?;
            cursor.keyword("AND")?;
            cursor.target_of_two_parts()
        })?;
        self.perhaps_on_cluster()?;
        Ok(Is { effect: Effect::Define, node: "Rename" })
    }

    /// `OPTIMIZE TABLE name [PARTITION p] [DRY RUN PARTS 'x'] [FINAL|FORCE] [DEDUPLICATE] [CLEANUP] [MANIFEST] [BY columns]`
    pub(super) fn optimize(&mut self) -> Parsed<Is> {
        self.keyword("OPTIMIZE TABLE")?;
        self.target_of_two_parts()?;
        self.perhaps_on_cluster()?;
        if self.take("PARTITION") {
            self.one_partition()?;
        }
        if self.take("DRY RUN") {
            self.keyword("PARTS")?;
            self.list(|cursor| cursor.string().map(drop))?;
        }
        self.take_any(&["FINAL", "FORCE"]);
        let deduplicate = self.take("DEDUPLICATE");
        self.take("CLEANUP");
        self.take("MANIFEST");
        if deduplicate && self.take("BY") {
            self.list(Self::deduplicated_by)?;
        }
        Ok(Is { effect: Effect::Change, node: "OptimizeQuery" })
    }

    /// `column`, `*` or `COLUMNS(...)`, the last two with `EXCEPT ...`.
    fn deduplicated_by(&mut self) -> Parsed {
        if self.eat(Kind::Asterisk) {
            if self.take_any(&["LIKE", "ILIKE"]).is_some() {
                self.string()?;
            }
        } else if self.at_word("COLUMNS") && self.kind_at(1) == Kind::OpeningRoundBracket {
            self.advance();
            self.matched_columns()?;
        } else {
            return self.identifier().map(drop);
        }
        while self.take("EXCEPT") {
            self.take("STRICT");
            self.excepted_columns()?;
        }
        Ok(())
    }

    /// `column`, `'regex'`, or one of these in brackets; names in brackets may be several.
    fn excepted_columns(&mut self) -> Parsed {
        if self.kind() != Kind::OpeningRoundBracket {
            return self.identifier_or_string().map(drop);
        }
        self.bracketed(|cursor| cursor.identifier_or_string().map(drop))
    }

    /// The text in `query_id = 'text'`, where that stands here; nothing is taken.
    fn one_query_id(&mut self) -> Option<String> {
        let is_compared = self.word_at(0) == "query_id" && self.kind_at(1) == Kind::Equals;
        is_compared.then(|| self.string_text_at(2)).flatten()
    }

    /// `KILL QUERY|MUTATION|... [ON CLUSTER c] WHERE x [SYNC|ASYNC|TEST]`
    pub(super) fn kill(&mut self) -> Parsed<Is> {
        self.keyword("KILL")?;
        let Some((_, table)) = KILLED.iter().find(|(word, _)| self.take(word)) else {
            return self.expected("QUERY, MUTATION, PART_MOVE_TO_SHARD or TRANSACTION");
        };
        self.reads(table, "KILL");
        let everywhere = self.at_word("ON");
        self.perhaps_on_cluster()?;
        self.keyword("WHERE")?;
        let query_id = if *table == "processes" && !everywhere { self.one_query_id() } else { None };
        let begin = self.position();
        self.expression()?;
        let is_all = self.position() == begin + ONE_QUERY_ID;
        let mode = self.take_any(&["SYNC", "ASYNC", "TEST"]);
        if let Some(query_id) = query_id.filter(|_| is_all && mode != Some("TEST")) {
            self.touch(Touch::Kills(query_id, mode));
        }
        Ok(Is { effect: Effect::Administer, node: "KillQueryQuery" })
    }

    /// `DELETE FROM t [ON CLUSTER c] [IN PARTITION p, ...] WHERE x [SETTINGS ...]`
    pub(super) fn delete(&mut self) -> Parsed<Is> {
        self.keyword("DELETE")?;
        self.keyword("FROM")?;
        self.target_of_two_parts()?;
        self.perhaps_on_cluster()?;
        self.changed_rows()?;
        Ok(Is { effect: Effect::Change, node: "DeleteQuery" })
    }

    /// `UPDATE t [ON CLUSTER c] SET a = x, ... [IN PARTITION p, ...] WHERE x [SETTINGS ...]`
    pub(super) fn update(&mut self) -> Parsed<Is> {
        self.keyword("UPDATE")?;
        self.target_of_two_parts()?;
        self.perhaps_on_cluster()?;
        self.keyword("SET")?;
        // ClickHouse takes an empty list; a column may be called as the word behind it.
        if !self.at_word("WHERE") || self.kind_at(1) == Kind::Equals {
            self.list(Self::set_column)?;
        }
        self.changed_rows()?;
        Ok(Is { effect: Effect::Change, node: "UpdateQuery" })
    }

    /// `column = x`
    pub(super) fn set_column(&mut self) -> Parsed {
        self.identifier()?;
        self.token(Kind::Equals, "=")?;
        self.expression()
    }

    fn changed_rows(&mut self) -> Parsed {
        if self.take("IN PARTITION") {
            self.list(Self::one_partition)?;
        }
        self.keyword("WHERE")?;
        self.expression()?;
        if self.take("SETTINGS") { self.settings() } else { Ok(()) }
    }

    /// `ALL`, `ID 'x'`, or the value of the partition's key.
    pub(super) fn one_partition(&mut self) -> Parsed {
        if self.take("ALL") {
            return Ok(());
        }
        if self.take("ID") {
            return self.string_or_parameter();
        }
        self.expression()
    }

    /// A string, or a parameter that stands for one.
    pub(super) fn string_or_parameter(&mut self) -> Parsed {
        if self.kind() == Kind::OpeningCurlyBrace { self.parameter_value() } else { self.string().map(drop) }
    }

    /// The object that the statement is about, where ClickHouse takes a name of one part or two.
    pub(super) fn target_of_two_parts(&mut self) -> Parsed {
        let path = self.path()?;
        if path.parts.len() > 2 {
            return self.expected("a name of one part or two");
        }
        match path.name() {
            Some(name) => self.touch(Touch::Target(name)),
            None => self.computed("the statement's object"),
        }
        Ok(())
    }

    /// `ON CLUSTER name`, if ON stands here.
    pub(super) fn perhaps_on_cluster(&mut self) -> Parsed {
        if !self.take("ON") {
            return Ok(());
        }
        self.keyword("CLUSTER")?;
        self.other("ON CLUSTER")
    }
}
