//! ALTER of tables, databases, named collections and handlers.

use super::super::lexer::Kind;
use super::super::reach::{Name, Via};
use super::columns::{Column, Said};
use super::cursor::{Cursor, Parsed, Touch};
use super::{Effect, Is};

/// What a command of ALTER TABLE changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Changes {
    /// The table's definition.
    Definition,
    /// Only rows, or where they are.
    Rows,
}

impl<'a> Cursor<'a> {
    /// Everything that begins with ALTER, but not what concerns users, roles and their like.
    pub(super) fn alter(&mut self) -> Parsed<Is> {
        self.keyword("ALTER")?;
        if self.take("DATABASE") {
            self.alter_database()?;
            return Ok(Is { effect: Effect::Define, node: "AlterQuery" });
        }
        if self.take("NAMED COLLECTION") {
            self.alter_named_collection()?;
            return Ok(Is { effect: Effect::Administer, node: "AlterNamedCollectionQuery" });
        }
        if self.take("HANDLER") {
            self.handler(false)?;
            return Ok(Is { effect: Effect::Administer, node: "CreateHandlerQuery" });
        }
        // The word changes nothing: the table may be any.
        self.take("TEMPORARY");
        self.keyword("TABLE")?;
        self.target_of_two_parts()?;
        self.perhaps_on_cluster()?;
        let effect = match self.alter_commands(Self::alter_command)? {
            Changes::Definition => Effect::Define,
            Changes::Rows => Effect::Change,
        };
        Ok(Is { effect, node: "AlterQuery" })
    }

    fn alter_database(&mut self) -> Parsed {
        self.database_target("ALTER DATABASE")?;
        self.perhaps_on_cluster()?;
        self.alter_commands(|cursor| {
            if cursor.take("MODIFY SETTING") {
                cursor.settings()?;
            } else {
                cursor.keyword("MODIFY COMMENT")?;
                cursor.string()?;
            }
            Ok(Changes::Definition)
        })
        .map(drop)
    }

    /// Commands separated by commas: each in brackets, or none.
    fn alter_commands(&mut self, mut read: impl FnMut(&mut Self) -> Parsed<Changes>) -> Parsed<Changes> {
        let bracketed = self.kind() == Kind::OpeningRoundBracket;
        let mut changes = Changes::Rows;
        self.list(|cursor| {
            if bracketed {
                cursor.open()?;
            }
            if read(cursor)? == Changes::Definition {
                changes = Changes::Definition;
            }
            if bracketed { cursor.close() } else { Ok(()) }
        })?;
        Ok(changes)
    }

    fn alter_command(&mut self) -> Parsed<Changes> {
        let definition = |()| Changes::Definition;
        let rows = |()| Changes::Rows;
        match self.take_any(&["ADD", "DROP", "MODIFY", "ALTER COLUMN", "RENAME COLUMN", "COMMENT COLUMN", "REMOVE", "RESET SETTING", "EXECUTE"]) {
            Some("ADD") => self.alter_add().map(definition),
            Some("DROP") => self.alter_drop(),
            Some("MODIFY") => self.alter_modify().map(definition),
            Some("ALTER COLUMN") => self.alter_column(Column::ChangedWithType).map(definition),
            Some("RENAME COLUMN") => self.rename_column().map(definition),
            Some("COMMENT COLUMN") => self.comment_column().map(definition),
            Some("REMOVE") => self.alter_remove().map(definition),
            Some("RESET SETTING") => self.names_of_settings().map(definition),
            Some(_) => self.execute_command().map(definition),
            None => self.alter_of_rows().map(rows),
        }
    }

    /// Commands that leave the definition as it is.
    fn alter_of_rows(&mut self) -> Parsed {
        match self.take_any(&["UPDATE", "DELETE", "CLEAR", "MATERIALIZE", "APPLY DELETED MASK", "APPLY PATCHES", "REWRITE PARTS"]) {
            Some("UPDATE") => self.alter_update(),
            Some("DELETE") => {
                self.in_partition()?;
                self.where_of_a_mutation()
            }
            Some("CLEAR") => self.alter_clear(),
            Some("MATERIALIZE") => self.alter_materialize(),
            Some(_) => self.in_partition(),
            None => self.alter_of_partitions(),
        }
    }

    fn alter_of_partitions(&mut self) -> Parsed {
        match self.take_any(&["DETACH", "ATTACH", "REPLACE PARTITION", "MOVE", "FETCH", "FORGET PARTITION", "FREEZE", "UNFREEZE", "UNLOCK SNAPSHOT"])
        {
            Some("DETACH") => self.partition_or_part().map(drop),
            Some("ATTACH") => self.attach_partition(),
            Some("REPLACE PARTITION") => {
                self.one_partition()?;
                self.keyword("FROM")?;
                self.table_in_alter(|name| Touch::Also(name, Via::Table("REPLACE PARTITION FROM")))
            }
            Some("MOVE") => self.move_partition(),
            Some("FETCH") => {
                self.partition_or_part()?;
                self.keyword("FROM")?;
                self.outside("FETCH FROM")
            }
            Some("FORGET PARTITION") => self.one_partition(),
            Some("FREEZE") => self.freeze().map(drop),
            Some("UNFREEZE") if !self.freeze()? => self.expected("WITH NAME"),
            Some("UNFREEZE") => Ok(()),
            Some(_) => self.unlock_snapshot(),
            None => self.expected("a command of ALTER TABLE"),
        }
    }

    /// `PARTITION ...` or `PART 'name'`: whether it is a whole partition.
    fn partition_or_part(&mut self) -> Parsed<bool> {
        if self.take("PARTITION") {
            return self.one_partition().map(|()| true);
        }
        self.keyword("PART")?;
        self.string_or_parameter().map(|()| false)
    }

    /// `[IN PARTITION ...]`.
    pub(super) fn in_partition(&mut self) -> Parsed {
        if self.take("IN PARTITION") { self.one_partition() } else { Ok(()) }
    }

    fn where_of_a_mutation(&mut self) -> Parsed {
        self.keyword("WHERE")?;
        self.expression()
    }

    fn alter_update(&mut self) -> Parsed {
        self.list(Self::set_column)?;
        self.in_partition()?;
        self.where_of_a_mutation()
    }

    /// `[database.]table`, where no parameter can stand.
    fn table_in_alter(&mut self, touch: impl FnOnce(Name) -> Touch<'a>) -> Parsed {
        let first = self.identifier()?;
        let name = if self.eat(Kind::Dot) { Name::of(first, self.identifier()?) } else { Name::bare(first) };
        self.touch(touch(name));
        Ok(())
    }

    /// A path or an address as a string.
    fn outside(&mut self, what: &'static str) -> Parsed {
        let path = self.string_text()?;
        self.touch(Touch::Also(Name::bare(path), Via::Outside(what)));
        Ok(())
    }

    fn attach_partition(&mut self) -> Parsed {
        let whole = self.partition_or_part()?;
        if !self.take("FROM") {
            return Ok(());
        }
        if whole { self.table_in_alter(|name| Touch::Also(name, Via::Table("ATTACH PARTITION FROM"))) } else { self.outside("ATTACH PART FROM") }
    }

    fn move_partition(&mut self) -> Parsed {
        let whole = self.partition_or_part()?;
        if self.take_any(&["TO DISK", "TO VOLUME"]).is_some() {
            return self.string().map(drop);
        }
        if whole {
            self.keyword("TO TABLE")?;
            return self.table_in_alter(Touch::Target);
        }
        self.keyword("TO SHARD")?;
        self.outside("MOVE PART TO SHARD")
    }

    /// `[PARTITION ...] [WITH NAME 'name']`: whether there was a name.
    fn freeze(&mut self) -> Parsed<bool> {
        if self.take("PARTITION") {
            self.one_partition()?;
        }
        if !self.take("WITH") {
            return Ok(false);
        }
        self.keyword("NAME")?;
        self.string().map(|_| true)
    }

    fn unlock_snapshot(&mut self) -> Parsed {
        self.string()?;
        if self.take("FROM") {
            let place = self.name_with_arguments()?;
            self.touch(Touch::Also(Name::bare(place), Via::Outside("UNLOCK SNAPSHOT FROM")));
        }
        Ok(())
    }

    fn alter_clear(&mut self) -> Parsed {
        match self.take_any(&["COLUMN", "INDEX", "PROJECTION", "STATISTICS"]) {
            Some("STATISTICS") => self.all_statistics_or_some(),
            Some(_) => {
                self.take("IF EXISTS");
                self.call_name()?;
                self.in_partition()
            }
            None => self.expected("COLUMN, INDEX, PROJECTION or STATISTICS"),
        }
    }

    fn alter_materialize(&mut self) -> Parsed {
        match self.take_any(&["COLUMN", "INDEX", "PROJECTION", "STATISTICS", "TTL"]) {
            Some("STATISTICS") => return self.all_statistics_or_some(),
            Some("TTL") => {}
            Some("COLUMN") => self.call_name().map(drop)?,
            Some(_) => {
                self.take("IF EXISTS");
                self.call_name()?;
            }
            None => return self.expected("COLUMN, INDEX, PROJECTION, STATISTICS or TTL"),
        }
        self.in_partition()
    }

    fn all_statistics_or_some(&mut self) -> Parsed {
        if self.take("ALL") {
            return Ok(());
        }
        self.take("IF EXISTS");
        self.statistics_declaration(false)?;
        self.in_partition()
    }

    fn alter_add(&mut self) -> Parsed {
        let Some(what) = self.take_any(&["COLUMN", "INDEX", "PROJECTION", "CONSTRAINT", "STATISTICS"]) else {
            return self.expected("COLUMN, INDEX, PROJECTION, CONSTRAINT or STATISTICS");
        };
        self.take("IF NOT EXISTS");
        match what {
            "CONSTRAINT" => return self.constraint_declaration(),
            "STATISTICS" => return self.statistics_declaration(true),
            "COLUMN" => {
                self.call_name()?;
                self.column_behind_its_name(Column::Whole)?;
            }
            "INDEX" => self.index_declaration()?,
            _ => self.projection_declaration()?,
        }
        self.first_or_after()
    }

    fn first_or_after(&mut self) -> Parsed {
        if !self.take("FIRST") && self.take("AFTER") {
            self.call_name()?;
        }
        Ok(())
    }

    /// Columns and their like are of the definition, partitions and parts are rows.
    fn alter_drop(&mut self) -> Parsed<Changes> {
        if self.take("DETACHED") || self.at_word("PARTITION") || self.at_word("PART") {
            return self.partition_or_part().map(|_| Changes::Rows);
        }
        match self.take_any(&["COLUMN", "INDEX", "PROJECTION", "CONSTRAINT", "STATISTICS"]) {
            Some("STATISTICS") => {
                self.take("IF EXISTS");
                self.statistics_declaration(false)?;
            }
            Some(_) => {
                self.take("IF EXISTS");
                self.call_name()?;
            }
            None => return self.expected("COLUMN, INDEX, PROJECTION, CONSTRAINT, STATISTICS, PARTITION or PART"),
        }
        Ok(Changes::Definition)
    }

    fn alter_modify(&mut self) -> Parsed {
        if self.at_word("DEFINER") || self.at_word("SQL SECURITY") {
            return self.sql_security().map(drop);
        }
        match self.take_any(&[
            "COLUMN",
            "ORDER BY",
            "SAMPLE BY",
            "TTL",
            "SETTING",
            "QUERY",
            "REFRESH",
            "COMMENT",
            "STATISTICS",
            "CONSTRAINT",
            "PROJECTION",
        ]) {
            Some("COLUMN") => self.alter_column(Column::Changed),
            Some("ORDER BY" | "SAMPLE BY") => self.expression_with_alias(),
            Some("TTL") if ["MATERIALIZE", "REMOVE", "MODIFY"].iter().any(|word| self.at_word(word)) => self.expected("an expression"),
            Some("TTL") => self.ttl_list(),
            Some("SETTING") => self.settings(),
            Some("QUERY") => self.query(),
            Some("REFRESH") => self.refresh(),
            Some("COMMENT") => self.string().map(drop),
            Some("STATISTICS") => self.statistics_declaration(true),
            Some("CONSTRAINT") => {
                self.take("IF EXISTS");
                self.constraint_declaration()
            }
            Some(_) => {
                self.take("IF EXISTS");
                self.projection_declaration()
            }
            None => self.expected("what MODIFY changes"),
        }
    }

    /// `MODIFY COLUMN` and `ALTER COLUMN`: a declaration of what changes, or one property.
    fn alter_column(&mut self, column: Column) -> Parsed {
        self.take("IF EXISTS");
        self.call_name()?;
        if self.column_behind_its_name(column)? == Said::Something {
            return self.first_or_after();
        }
        match self.take_any(&["REMOVE", "MODIFY SETTING", "RESET SETTING", "ADD ENUM VALUES"]) {
            Some("REMOVE") => match self.take_any(&["DEFAULT", "MATERIALIZED", "ALIAS", "COMMENT", "CODEC", "TTL", "SETTINGS"]) {
                Some(_) => Ok(()),
                None => self.expected("a property of the column"),
            },
            Some("MODIFY SETTING") => self.settings(),
            Some("RESET SETTING") => self.names_of_settings(),
            Some(_) => self.elements_in_brackets(),
            None => self.expected("what changes of the column"),
        }
    }

    fn names_of_settings(&mut self) -> Parsed {
        self.list(|cursor| cursor.identifier().map(drop))
    }

    fn rename_column(&mut self) -> Parsed {
        self.take("IF EXISTS");
        self.call_name()?;
        self.keyword("TO")?;
        self.call_name().map(drop)
    }

    fn comment_column(&mut self) -> Parsed {
        self.take("IF EXISTS");
        self.call_name()?;
        self.string().map(drop)
    }

    fn alter_remove(&mut self) -> Parsed {
        match self.take_any(&["TTL", "SAMPLE BY"]) {
            Some(_) => Ok(()),
            None => self.expected("TTL or SAMPLE BY"),
        }
    }

    /// `EXECUTE command(arguments)`: what it does is the engine's.
    fn execute_command(&mut self) -> Parsed {
        let command = self.identifier()?;
        self.touch(Touch::Also(Name::bare(command), Via::Other("EXECUTE")));
        self.elements_in_brackets()
    }
}
