//! What stands in the brackets of CREATE TABLE, and one by one in ALTER TABLE: columns, indexes, constraints, projections.

use super::super::lexer::Kind;
use super::super::reach::Via;
use super::cursor::{Cursor, Parsed, Touch};

/// How a column may be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// With a type or an expression that gives it one: CREATE TABLE, ADD COLUMN.
    Whole,
    /// Only what changes: MODIFY COLUMN.
    Changed,
    /// Only what changes, and TYPE before a type: ALTER COLUMN.
    ChangedWithType,
}

/// What was said of a column behind its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Something,
}

impl<'a> Cursor<'a> {
    /// One or more columns, indexes, ..., with a comma behind the last one or not; the brackets are the caller's.
    pub(super) fn table_properties(&mut self) -> Parsed {
        self.table_property()?;
        while self.eat(Kind::Comma) {
            if self.kind() == Kind::ClosingRoundBracket {
                break;
            }
            self.table_property()?;
        }
        Ok(())
    }

    fn table_property(&mut self) -> Parsed {
        if self.take("INDEX") {
            self.index_declaration()
        } else if self.take("CONSTRAINT") {
            self.constraint_declaration()
        } else if self.take("PROJECTION") {
            self.projection_declaration()
        } else if self.take("PRIMARY KEY") {
            self.expression()
        } else if self.take("FOREIGN KEY") {
            self.foreign_key()
        } else {
            self.identifier()?;
            self.column_behind_its_name(Column::Whole).map(drop)
        }
    }

    /// `name expr TYPE type [GRANULARITY n]`.
    pub(super) fn index_declaration(&mut self) -> Parsed {
        self.identifier()?;
        self.expression()?;
        self.keyword("TYPE")?;
        self.name_with_arguments()?;
        self.granularity()
    }

    /// `[GRANULARITY n]`.
    pub(super) fn granularity(&mut self) -> Parsed {
        if !self.take("GRANULARITY") {
            return Ok(());
        }
        let number = self.peek(0);
        if number.kind == Kind::Number && self.text_of(number).bytes().all(|byte| byte.is_ascii_digit()) {
            self.advance();
            return Ok(());
        }
        self.expected("a number of granules")
    }

    /// `name CHECK expr` or `name ASSUME expr`.
    pub(super) fn constraint_declaration(&mut self) -> Parsed {
        self.identifier()?;
        match self.take_any(&["CHECK", "ASSUME"]) {
            Some(_) => self.expression(),
            None => self.expected("CHECK or ASSUME"),
        }
    }

    /// `column, ... [TYPE type, ...]`.
    pub(super) fn statistics_declaration(&mut self, with_types: bool) -> Parsed {
        self.list(|cursor| cursor.identifier().map(drop))?;
        if with_types {
            self.keyword("TYPE")?;
            self.list(|cursor| cursor.name_with_arguments().map(drop))?;
        }
        Ok(())
    }

    /// `name (SELECT ...)` or `name INDEX expr TYPE type`, and the projection's settings.
    pub(super) fn projection_declaration(&mut self) -> Parsed {
        self.identifier()?;
        self.projection()
    }

    /// The same behind the name.
    pub(super) fn projection(&mut self) -> Parsed {
        if self.take("INDEX") {
            self.expressions()?;
            self.keyword("TYPE")?;
            self.name_with_arguments()?;
        } else {
            self.open()?;
            self.projection_query()?;
            self.close()?;
        }
        if self.take("WITH SETTINGS") {
            self.open()?;
            self.settings()?;
            self.close()?;
        }
        Ok(())
    }

    /// A query without FROM: it is over the rows of the projection's table.
    fn projection_query(&mut self) -> Parsed {
        if self.take("WITH") {
            self.expressions()?;
        }
        self.keyword("SELECT")?;
        self.list(Self::expression_with_bare_alias)?;
        if self.take("WHERE") {
            self.expression_with_alias()?;
        }
        if self.take("GROUP BY") {
            self.list(Self::expression)?;
        }
        if self.take("ORDER BY") {
            self.list(Self::expression)?;
        }
        Ok(())
    }

    /// `expr REFERENCES table expr [ON DELETE ...] [ON UPDATE ...]`, which ClickHouse reads and forgets.
    fn foreign_key(&mut self) -> Parsed {
        self.expression()?;
        self.keyword("REFERENCES")?;
        self.table_name(|name| Touch::Also(name, Via::Table("REFERENCES")))?;
        self.expression()?;
        while self.take("ON") {
            if self.take_any(&["DELETE", "UPDATE"]).is_none() {
                return self.expected("DELETE or UPDATE");
            }
            if self.take_any(&["RESTRICT", "CASCADE", "SET NULL", "NO ACTION", "SET DEFAULT"]).is_none() {
                return self.expected("RESTRICT, CASCADE, SET NULL, NO ACTION or SET DEFAULT");
            }
        }
        Ok(())
    }

    /// Everything of a column behind its name.
    pub(super) fn column_behind_its_name(&mut self, column: Column) -> Parsed<Said> {
        let begins = self.position();
        if column != Column::Whole && ["REMOVE", "MODIFY SETTING", "RESET SETTING", "ADD ENUM VALUES"].iter().any(|what| self.at_word(what)) {
            return Ok(Said::Nothing);
        }
        let typed = self.type_of_a_column(column)?;
        let nullable = self.null_or_not_null()?;
        let default = self.default_of_a_column(typed)?;
        if column == Column::Whole && !typed && !default {
            return self.expected("a type or a default");
        }
        if (typed || default) && !nullable {
            self.null_or_not_null()?;
        }
        self.once_each(&[
            ("COMMENT", |cursor| cursor.string().map(drop)),
            ("CODEC", Self::names_with_arguments),
            ("STATISTICS", Self::names_with_arguments),
            ("TTL", Self::expression),
            ("COLLATE", Self::collation),
            ("PRIMARY KEY", |_| Ok(())),
            // Without a bracket they are the query's.
            ("SETTINGS (", |cursor| cursor.bracketed(|cursor| cursor.setting(false))),
        ])?;
        if self.position() == begins {
            return self.expected("a type");
        }
        Ok(Said::Something)
    }

    /// The type, unless a word stands there that goes on with the column; and its collation.
    fn type_of_a_column(&mut self, column: Column) -> Parsed<bool> {
        let without_type = ["NULL", "NOT NULL", "DEFAULT", "MATERIALIZED", "EPHEMERAL", "ALIAS", "AUTO_INCREMENT", "TTL", "PRIMARY KEY"];
        let changed_without_type = ["COMMENT", "CODEC", "STATISTICS", "SETTINGS"];
        if without_type.iter().any(|word| self.at_word(word))
            || (column != Column::Whole && changed_without_type.iter().any(|word| self.at_word(word)))
        {
            return Ok(false);
        }
        if column == Column::ChangedWithType {
            self.keyword("TYPE")?;
        }
        self.data_type()?;
        if self.take("COLLATE") {
            self.collation()?;
        }
        Ok(true)
    }

    fn null_or_not_null(&mut self) -> Parsed<bool> {
        if self.take("NOT") {
            return self.keyword("NULL").map(|()| true);
        }
        Ok(self.take("NULL"))
    }

    /// Where the column's values come from: whether anything was said that gives it a type.
    fn default_of_a_column(&mut self, typed: bool) -> Parsed<bool> {
        if self.take_any(&["DEFAULT", "MATERIALIZED", "ALIAS"]).is_some() {
            return self.expression().map(|()| true);
        }
        if self.take("EPHEMERAL") {
            let without_value =
                self.at_word("COMMENT") || matches!(self.kind(), Kind::Comma | Kind::ClosingRoundBracket | Kind::Semicolon | Kind::EndOfStream);
            if !without_value {
                return self.expression().map(|()| true);
            }
            return if typed { Ok(true) } else { self.expected("a value") };
        }
        Ok(self.take("AUTO_INCREMENT"))
    }

    /// The name of a collation: only a few endings are one.
    fn collation(&mut self) -> Parsed {
        let mark = self.mark();
        let name = self.identifier()?;
        if name == "binary" || ["_bin", "_ci", "_cs", "_ks"].iter().any(|ending| name.ends_with(ending)) {
            return Ok(());
        }
        self.back_to(mark);
        self.expected("a collation")
    }
}
