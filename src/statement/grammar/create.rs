//! CREATE, ATTACH and REPLACE of tables, views and databases; the other objects are next door.

use super::super::lexer::Kind;
use super::super::reach::{Name, Via};
use super::cursor::{Cursor, Parsed, Touch};
use super::{Effect, Is};

/// How the statement begins.
#[derive(Clone, Copy)]
pub(super) struct Beginning {
    /// ATTACH in the place of CREATE.
    pub(super) attach: bool,
    /// REPLACE, or CREATE OR REPLACE: IF NOT EXISTS may not follow.
    pub(super) replace: bool,
}

impl Beginning {
    fn is(self, effect: Effect) -> Is {
        Is { effect, node: if self.attach { "AttachQuery" } else { "CreateQuery" } }
    }
}

impl<'a> Cursor<'a> {
    /// Everything that begins with CREATE, ATTACH or REPLACE, but not what concerns users, roles and their like.
    pub(super) fn create(&mut self) -> Parsed<Is> {
        let attach = self.take("ATTACH");
        if !attach && self.take("REPLACE") {
            return self.replace();
        }
        if !attach {
            self.keyword("CREATE")?;
        }
        let beginning = Beginning { attach, replace: self.take("OR REPLACE") };
        if self.at_a_view() {
            return self.create_view(beginning);
        }
        if self.take("FUNCTION") {
            return self.create_function(beginning);
        }
        if attach && beginning.replace {
            return self.expected("VIEW or FUNCTION");
        }
        let temporary = self.take("TEMPORARY");
        if self.take("TABLE") {
            return self.create_table(beginning, temporary);
        }
        if temporary {
            return self.expected("TABLE or VIEW");
        }
        if self.take("DICTIONARY") {
            return self.create_dictionary(beginning).map(|()| beginning.is(Effect::Define));
        }
        if !beginning.replace && self.take("DATABASE") {
            return self.create_database().map(|()| beginning.is(Effect::Define));
        }
        if attach {
            return self.expected("an object to attach");
        }
        self.create_another_object(beginning)
    }

    /// Behind REPLACE alone.
    fn replace(&mut self) -> Parsed<Is> {
        let beginning = Beginning { attach: false, replace: true };
        if self.take("DICTIONARY") {
            return self.create_dictionary(beginning).map(|()| beginning.is(Effect::Define));
        }
        let temporary = self.take("TEMPORARY");
        self.keyword("TABLE")?;
        self.create_table(beginning, temporary)
    }

    /// `IF NOT EXISTS`, where it may stand.
    pub(super) fn unless_it_exists(&mut self, beginning: Beginning) {
        if !beginning.replace {
            self.take("IF NOT EXISTS");
        }
    }

    /// `[database.]table [UUID '...']`.
    pub(super) fn table_name(&mut self, touch: impl FnOnce(Name) -> Touch<'a>) -> Parsed {
        let path = self.path()?;
        if path.parts.len() > 2 {
            return self.expected("a name of a database and a table");
        }
        match path.name() {
            Some(name) => self.touch(touch(name)),
            None => self.computed("the statement's object"),
        }
        self.uuid()
    }

    /// The same where no parameter can stand.
    pub(super) fn table_name_without_parameters(&mut self, touch: impl FnOnce(Name) -> Touch<'a>) -> Parsed {
        if self.kind() == Kind::OpeningCurlyBrace || self.kind_at(2) == Kind::OpeningCurlyBrace {
            return self.expected("a name that is no parameter");
        }
        self.table_name(touch)
    }

    fn uuid(&mut self) -> Parsed {
        if self.at_word("UUID") && matches!(self.kind_at(1), Kind::StringLiteral | Kind::HereDoc) {
            self.advance();
            self.string()?;
        }
        Ok(())
    }

    /// `[COMMENT 'text']`: whether it stood there.
    pub(super) fn comment_clause(&mut self) -> Parsed<bool> {
        if !self.take("COMMENT") {
            return Ok(false);
        }
        self.string().map(|_| true)
    }

    /// Behind TABLE.
    fn create_table(&mut self, beginning: Beginning, temporary: bool) -> Parsed<Is> {
        self.unless_it_exists(beginning);
        self.table_name(Touch::Target)?;
        if self.take("TO INNER UUID") {
            self.string()?;
        }
        if beginning.attach {
            self.attached_from()?;
            self.perhaps_on_cluster()?;
            self.as_replicated()?;
        } else {
            self.perhaps_on_cluster()?;
        }
        if self.eat(Kind::OpeningRoundBracket) {
            self.table_properties()?;
            self.close()?;
            self.table_behind_columns(temporary)?;
        } else {
            self.table_without_columns()?;
        }
        Ok(beginning.is(if temporary { Effect::Session } else { Effect::Define }))
    }

    /// `FROM 'path'` of ATTACH, and `AS [NOT] REPLICATED`.
    fn attached_from(&mut self) -> Parsed {
        if self.take("FROM") {
            let path = self.string_text()?;
            self.touch(Touch::Also(Name::bare(path), Via::Outside("ATTACH FROM")));
        }
        self.as_replicated()
    }

    fn as_replicated(&mut self) -> Parsed {
        if self.take("AS") {
            self.take("NOT");
            self.keyword("REPLICATED")?;
        }
        Ok(())
    }

    /// The storage, and a query or a table function that gives the rows.
    fn table_behind_columns(&mut self, temporary: bool) -> Parsed {
        let storage = self.storage_of_a_table()?;
        let (must_have_rows, commented) = self.between_storage_and_as()?;
        if self.take("AS") {
            if storage.found || temporary {
                self.query()?;
            } else {
                self.table_expression_function()?;
            }
        } else if must_have_rows {
            return self.expected("AS");
        }
        if !commented {
            self.comment_clause()?;
        }
        Ok(())
    }

    /// The same where no columns stand: AS may also name a table, which gives the columns.
    fn table_without_columns(&mut self) -> Parsed {
        let storage = self.storage_of_a_table()?;
        let (must_have_rows, commented) = self.between_storage_and_as()?;
        if self.take("AS") {
            if self.at_query() {
                self.query()?;
            } else if !storage.found && self.call_follows() {
                self.table_expression_function()?;
            } else {
                self.table_as(storage.found)?;
            }
        } else if must_have_rows {
            return self.expected("AS");
        }
        if !commented {
            self.comment_clause()?;
        }
        Ok(())
    }

    fn table_as(&mut self, with_storage: bool) -> Parsed {
        let first = self.identifier()?;
        let name = if self.eat(Kind::Dot) { Name::of(first, self.identifier()?) } else { Name::bare(first) };
        self.touch(Touch::Table(name));
        if !with_storage {
            self.storage_of_a_table()?;
        }
        Ok(())
    }

    /// EMPTY or CLONE, the rights and the comment: whether AS has to follow, and whether a comment stood there.
    fn between_storage_and_as(&mut self) -> Parsed<(bool, bool)> {
        let early = self.take_any(&["EMPTY", "CLONE"]).is_some();
        self.sql_security()?;
        let commented = self.comment_clause()?;
        let late = !early && self.take_any(&["EMPTY", "CLONE"]).is_some();
        Ok((early || late, commented))
    }

    fn at_a_view(&mut self) -> bool {
        ["VIEW", "MATERIALIZED", "TEMPORARY VIEW", "DEFINER", "SQL SECURITY"].iter().any(|word| self.at_word(word))
    }

    fn create_view(&mut self, beginning: Beginning) -> Parsed<Is> {
        let secured = self.sql_security()?;
        let materialized = self.take("MATERIALIZED");
        let temporary = !materialized && !beginning.replace && self.take("TEMPORARY");
        self.keyword("VIEW")?;
        self.unless_it_exists(beginning);
        self.table_name(Touch::Target)?;
        self.perhaps_on_cluster()?;
        let filled = if materialized { self.materialized_view()? } else { self.view_columns().map(|()| true)? };
        if !secured {
            self.sql_security()?;
        }
        let filled = filled || self.take_any(&["POPULATE", "EMPTY"]).is_some();
        let commented = self.comment_clause()?;
        if !filled {
            self.take_any(&["POPULATE", "EMPTY"]);
        }
        self.keyword("AS")?;
        self.query()?;
        if !commented {
            self.comment_clause()?;
        }
        Ok(beginning.is(if temporary { Effect::Session } else { Effect::Define }))
    }

    /// When the view is computed, and where its rows go: whether POPULATE or EMPTY stood there.
    fn materialized_view(&mut self) -> Parsed<bool> {
        if self.take("REFRESH") {
            self.refresh()?;
        }
        let to_a_table = !self.at_word("TO INNER UUID") && self.take("TO");
        if to_a_table {
            self.table_name(Touch::Target)?;
        } else if self.take("TO INNER UUID") {
            self.string()?;
        }
        self.view_columns()?;
        if !to_a_table {
            self.storage_of_a_table()?;
        }
        Ok(self.take_any(&["POPULATE", "EMPTY"]).is_some())
    }

    /// `(columns)`, `(names)` or `(columns) (names)`.
    fn view_columns(&mut self) -> Parsed {
        if self.kind() != Kind::OpeningRoundBracket {
            return Ok(());
        }
        if matches!(self.kind_at(2), Kind::Comma | Kind::ClosingRoundBracket) {
            return self.view_names();
        }
        self.open()?;
        self.table_properties()?;
        self.close()?;
        if self.kind() == Kind::OpeningRoundBracket { self.view_names() } else { Ok(()) }
    }

    fn view_names(&mut self) -> Parsed {
        self.bracketed(|cursor| cursor.identifier().map(drop))
    }

    /// Behind DATABASE.
    fn create_database(&mut self) -> Parsed {
        self.take("IF NOT EXISTS");
        self.database_target("CREATE DATABASE")?;
        self.uuid()?;
        self.perhaps_on_cluster()?;
        self.storage_of_a_database()?;
        self.comment_clause()?;
        if self.at_word("TABLE OVERRIDE") {
            self.list(Self::named_table_override)?;
        }
        Ok(())
    }

    fn named_table_override(&mut self) -> Parsed {
        self.keyword("TABLE OVERRIDE")?;
        self.identifier()?;
        self.open()?;
        self.table_override()?;
        self.close()
    }

    /// What is different in a table that is replicated from another system.
    pub(super) fn table_override(&mut self) -> Parsed {
        self.once_each(&[
            ("COLUMNS", Self::overridden_columns),
            ("PARTITION BY", Self::expression),
            ("PRIMARY KEY", Self::expression),
            ("ORDER BY", Self::expression),
            ("SAMPLE BY", Self::expression),
            ("TTL", Self::ttl_list),
        ])
        .map(drop)
    }

    fn overridden_columns(&mut self) -> Parsed {
        self.open()?;
        self.table_properties()?;
        self.close()
    }
}
