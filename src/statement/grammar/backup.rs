//! BACKUP, RESTORE, SNAPSHOT, COPY, and transactions.

use super::super::lexer::Kind;
use super::super::reach::{Name, Via};
use super::cursor::{Cursor, Parsed, Touch};
use super::{Effect, Is};

/// The nodes of transactions' statements have one name.
const TRANSACTION: Is = Is { effect: Effect::Session, node: "ASTTransactionControl" };

impl Cursor<'_> {
    /// `BACKUP elements [ON CLUSTER c] TO place [SETTINGS ...] [ASYNC|SYNC]`, `BACKUP FROM SNAPSHOT place TO place`
    pub(super) fn backup(&mut self) -> Parsed<Is> {
        self.keyword("BACKUP")?;
        if self.take("FROM SNAPSHOT") {
            self.backup_place("BACKUP")?;
        } else {
            self.list(|cursor| cursor.backup_element("BACKUP"))?;
        }
        self.perhaps_on_cluster()?;
        self.keyword("TO")?;
        self.backup_place("BACKUP")?;
        self.backup_settings("BACKUP")?;
        Ok(Is { effect: Effect::Administer, node: "BackupQuery" })
    }

    /// `RESTORE elements [ON CLUSTER c] FROM place [SETTINGS ...] [ASYNC|SYNC]`
    pub(super) fn restore(&mut self) -> Parsed<Is> {
        self.keyword("RESTORE")?;
        self.list(|cursor| cursor.backup_element("RESTORE"))?;
        self.perhaps_on_cluster()?;
        self.keyword("FROM")?;
        self.backup_place("RESTORE")?;
        self.backup_settings("RESTORE")?;
        Ok(Is { effect: Effect::Administer, node: "RestoreQuery" })
    }

    /// `SNAPSHOT TABLE t TO place`, `SNAPSHOT ALL [EXCEPT ...] TO place`
    pub(super) fn snapshot(&mut self) -> Parsed<Is> {
        self.keyword("SNAPSHOT")?;
        if self.take("TABLE") {
            self.backup_table()?;
        } else {
            self.keyword("ALL")?;
            self.backup_of_all("SNAPSHOT")?;
        }
        self.keyword("TO")?;
        self.backup_place("SNAPSHOT")?;
        if self.take("SETTINGS") {
            self.settings()?;
        }
        Ok(Is { effect: Effect::Administer, node: "SnapshotQuery" })
    }

    /// `TABLE t [AS u] [PARTITIONS ...]`, `TEMPORARY TABLE t [AS u]`, `DATABASE d [AS e] [EXCEPT TABLES ...]`, `ALL [EXCEPT ...]`
    fn backup_element(&mut self, what: &'static str) -> Parsed {
        if self.take("TEMPORARY TABLE") {
            self.backup_name_and_new(|cursor| {
                let name = cursor.identifier()?;
                cursor.touch(Touch::Target(Name::bare(name)));
                Ok(())
            })
        } else if self.take("DATABASE") {
            self.backup_name_and_new(|cursor| if cursor.at_identifier() { cursor.database_target(what) } else { cursor.expected("a database") })?;
            self.excepted_tables(what)
        } else if self.take("ALL") {
            self.backup_of_all(what)
        } else if self.take_any(&["TABLE", "DICTIONARY", "VIEW"]).is_some() {
            self.backup_name_and_new(Self::backup_table)?;
            if self.take_any(&["PARTITIONS", "PARTITION"]).is_some() { self.partitions_before_an_element() } else { Ok(()) }
        } else {
            self.expected("TABLE, DICTIONARY, VIEW, TEMPORARY TABLE, DATABASE or ALL")
        }
    }

    /// `name [AS name]`
    fn backup_name_and_new(&mut self, read: impl Fn(&mut Self) -> Parsed) -> Parsed {
        read(self)?;
        if self.take("AS") { read(self) } else { Ok(()) }
    }

    /// A table by a name without parameters.
    fn backup_table(&mut self) -> Parsed {
        if self.at_identifier() { self.target_of_two_parts() } else { self.expected("a table's name") }
    }

    /// The partitions of one element end where the next element begins.
    fn partitions_before_an_element(&mut self) -> Parsed {
        self.one_partition()?;
        while self.kind() == Kind::Comma && !self.element_follows_the_comma() {
            self.advance();
            self.one_partition()?;
        }
        Ok(())
    }

    fn element_follows_the_comma(&mut self) -> bool {
        ["TABLE", "DICTIONARY", "VIEW", "TEMPORARY TABLE", "DATABASE"].iter().any(|word| self.at_word_after(1, word))
    }

    /// Behind ALL: `[EXCEPT DATABASES d, ...] [EXCEPT TABLES t, ...]`
    fn backup_of_all(&mut self, what: &'static str) -> Parsed {
        self.touch(Touch::Also(Name::bare("*"), Via::Database(what)));
        if self.take_any(&["EXCEPT DATABASES", "EXCEPT DATABASE"]).is_some() {
            self.list(|cursor| {
                let name = cursor.identifier()?;
                cursor.touch(Touch::Also(Name::bare(name), Via::Database(what)));
                Ok(())
            })?;
        }
        self.excepted_tables(what)
    }

    fn excepted_tables(&mut self, what: &'static str) -> Parsed {
        if self.take_any(&["EXCEPT TABLES", "EXCEPT TABLE"]).is_none() {
            return Ok(());
        }
        self.list(|cursor| cursor.object(|name| Touch::Also(name, Via::Table(what)), what))
    }

    /// Where a backup lies: `Disk('d', 'path')`, `S3(...)`, or a name alone.
    pub(super) fn backup_place(&mut self, what: &'static str) -> Parsed {
        let mark = self.mark();
        let name = self.identifier()?;
        let called = self.kind() == Kind::OpeningRoundBracket;
        if called {
            self.back_to(mark);
        }
        self.touch(Touch::Also(Name::bare(name.as_ref()), Via::Outside(what)));
        if !called {
            self.touch(Touch::Function(name));
            return Ok(());
        }
        // A name as the first argument is that of a named collection.
        let collection = self.word_at(2);
        if !collection.is_empty() && matches!(self.kind_at(3), Kind::Comma | Kind::ClosingRoundBracket) {
            self.touch(Touch::Also(Name::bare(collection), Via::Other("NAMED COLLECTION")));
        }
        self.call()
    }

    /// `[SETTINGS name = value, base_backup = place, ...] [ASYNC|SYNC]`
    fn backup_settings(&mut self, what: &'static str) -> Parsed {
        if self.take("SETTINGS") {
            self.list(|cursor| cursor.backup_setting(what))?;
        }
        self.take_any(&["ASYNC", "SYNC"]);
        Ok(())
    }

    fn backup_setting(&mut self, what: &'static str) -> Parsed {
        if self.at_word("base_backup") && self.kind_at(1) == Kind::Equals && self.kind_at(2) == Kind::BareWord {
            self.advance();
            self.advance();
            return self.backup_place(what);
        }
        if self.at_word("cluster_host_ids") && self.kind_at(1) == Kind::Equals {
            self.advance();
            self.advance();
            return self.expression();
        }
        self.setting(false)
    }

    /// `COPY table [(columns)] TO|FROM name ...`, `COPY (query) TO name ...`; the options as PostgreSQL has them.
    pub(super) fn copy(&mut self) -> Parsed<Is> {
        self.keyword("COPY")?;
        if self.kind() == Kind::OpeningRoundBracket {
            self.expression_with_alias()?;
            self.keyword("TO")?;
        } else {
            self.target()?;
            if self.kind() == Kind::OpeningRoundBracket {
                self.bracketed(|cursor| cursor.identifier().map(drop))?;
            }
            if self.take_any(&["TO", "FROM"]).is_none() {
                return self.expected("TO or FROM");
            }
        }
        let place = self.identifier()?;
        self.touch(Touch::Also(Name::bare(place), Via::Outside("COPY")));
        self.copy_options()?;
        Ok(Is { effect: Effect::Administer, node: "CopyQuery" })
    }

    /// `[('path')] [WITH] [FORMAT name | name] [(option, ...)]`
    fn copy_options(&mut self) -> Parsed {
        if self.kind() == Kind::OpeningRoundBracket {
            self.bracketed(Self::copy_option)?;
        }
        self.take("WITH");
        if self.take("FORMAT") {
            self.identifier()?;
        } else {
            self.take_any(&["CSV", "BINARY", "TEXT"]);
        }
        if self.kind() == Kind::OpeningRoundBracket { self.bracketed(Self::copy_option) } else { Ok(()) }
    }

    /// Names and literals, without any structure.
    fn copy_option(&mut self) -> Parsed {
        loop {
            if self.at_identifier() {
                self.identifier()?;
            } else {
                self.literal_text()?;
            }
            if matches!(self.kind(), Kind::Comma | Kind::ClosingRoundBracket) {
                return Ok(());
            }
        }
    }

    /// `BEGIN TRANSACTION`, `START TRANSACTION`, `COMMIT`, `ROLLBACK`, `SET TRANSACTION SNAPSHOT n`
    pub(super) fn transaction(&mut self) -> Parsed<Is> {
        if self.take("SET TRANSACTION SNAPSHOT") {
            self.token(Kind::Number, "a number")?;
            return Ok(TRANSACTION);
        }
        match self.take_any(&["BEGIN TRANSACTION", "START TRANSACTION", "COMMIT", "ROLLBACK"]) {
            Some(_) => Ok(TRANSACTION),
            None => self.expected("BEGIN TRANSACTION, COMMIT or ROLLBACK"),
        }
    }
}
