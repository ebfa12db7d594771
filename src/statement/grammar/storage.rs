//! Where and how a table keeps its rows: its engine, its keys, its TTL and its settings.

use std::borrow::Cow;

use super::super::lexer::Kind;
use super::super::reach::{Name, Via};
use super::cursor::{Cursor, Parsed, Stop, Touch};

/// A clause by its keyword, and what reads it behind that. Of `WORD (` the bracket only has to follow.
pub(super) type Clause<'a> = (&'static str, fn(&mut Cursor<'a>) -> Parsed);

/// Whether a storage definition stood there, and whether its engine keeps its rows in tables that the statement names.
#[derive(Default)]
pub(super) struct Storage {
    pub(super) found: bool,
    time_series: bool,
}

impl<'a> Cursor<'a> {
    /// Reads these clauses in any order, each at most once: one bit for each that stood there.
    pub(super) fn once_each(&mut self, clauses: &[Clause<'a>]) -> Parsed<u32> {
        let mut found = 0;
        loop {
            let next = clauses.iter().enumerate().find(|(index, (keyword, _))| found & (1 << index) == 0 && self.take_clause(keyword));
            let Some((index, (_, read))) = next else { return Ok(found) };
            found |= 1 << index;
            read(self)?;
        }
    }

    fn take_clause(&mut self, keyword: &str) -> bool {
        match keyword.strip_suffix(" (") {
            Some(word) => self.kind_at(1) == Kind::OpeningRoundBracket && self.take(word),
            None => self.take(keyword),
        }
    }

    /// `[ENGINE = ...] [PARTITION BY ...] [ORDER BY ...] ... [SETTINGS ...]` of a table.
    pub(super) fn storage_of_a_table(&mut self) -> Parsed<Storage> {
        let mut storage = self.engine_and_keys()?;
        if self.take("SETTINGS") {
            self.settings()?;
            storage.found = true;
        }
        if storage.time_series {
            self.time_series_targets()?;
        }
        Ok(storage)
    }

    /// The same of a database, whose SETTINGS without an engine are the query's.
    pub(super) fn storage_of_a_database(&mut self) -> Parsed {
        let with_engine = self.at_word("ENGINE");
        self.engine_and_keys()?;
        if with_engine && self.take("SETTINGS") {
            self.settings()?;
        }
        Ok(())
    }

    fn engine_and_keys(&mut self) -> Parsed<Storage> {
        let mut storage = Storage::default();
        if self.take("ENGINE") {
            self.eat(Kind::Equals);
            let engine = self.name_with_arguments()?;
            storage.found = true;
            storage.time_series = engine == "TimeSeries";
            self.touch(Touch::Also(Name::bare(engine), Via::Other("ENGINE")));
        }
        let keys = self.once_each(&[
            ("PARTITION BY", Self::expression),
            ("PRIMARY KEY", Self::expression),
            ("ORDER BY", Self::sorting_key),
            ("UNIQUE KEY", Self::expression),
            ("SAMPLE BY", Self::expression),
            ("TTL", Self::ttl_list),
        ])?;
        storage.found |= keys != 0;
        Ok(storage)
    }

    /// `name` or `name(arguments)`, dotted only before brackets: an engine, a codec, a type of index. It is no function.
    pub(super) fn name_with_arguments(&mut self) -> Parsed<Cow<'a, str>> {
        if !self.call_follows() {
            return self.identifier();
        }
        let name = self.call_name()?;
        self.elements_in_brackets()?;
        // What aggregate functions have, ClickHouse reads here too.
        if self.kind() == Kind::OpeningRoundBracket {
            self.bracketed(Self::element)?;
        }
        Ok(name)
    }

    /// `(expr, ...)` or `()`.
    pub(super) fn elements_in_brackets(&mut self) -> Parsed {
        self.open()?;
        if self.eat(Kind::ClosingRoundBracket) {
            return Ok(());
        }
        self.list(Self::element)?;
        self.close()
    }

    /// `(name(arguments), ...)`: the codecs or the statistics of a column.
    pub(super) fn names_with_arguments(&mut self) -> Parsed {
        self.bracketed(|cursor| cursor.name_with_arguments().map(drop))
    }

    /// `expr [ASC|DESC]`, or several in brackets.
    fn sorting_key(&mut self) -> Parsed {
        let mark = self.mark();
        match self.sorting_key_element() {
            Ok(()) => Ok(()),
            // A direction within the brackets is no expression. A key is never within another, so this is read twice at most.
            Err(Stop) => {
                self.back_to(mark);
                if self.word_at(0) == "tuple" {
                    self.advance();
                }
                self.bracketed(Self::sorting_key_element)
            }
        }
    }

    fn sorting_key_element(&mut self) -> Parsed {
        self.expression()?;
        self.take_any(&["ASC", "ASCENDING", "DESC", "DESCENDING"]);
        Ok(())
    }

    /// The list behind TTL.
    pub(super) fn ttl_list(&mut self) -> Parsed {
        self.ttl_element()?;
        while self.kind() == Kind::Comma && !self.ttl_command_follows() {
            self.advance();
            self.ttl_element()?;
        }
        Ok(())
    }

    /// `, MATERIALIZE TTL` goes on with the commands of ALTER.
    fn ttl_command_follows(&mut self) -> bool {
        ["MATERIALIZE TTL", "REMOVE TTL", "MODIFY TTL"].iter().any(|command| self.at_word_after(1, command))
    }

    /// When, and what happens then: rows are deleted, moved, aggregated or compressed again.
    fn ttl_element(&mut self) -> Parsed {
        self.expression()?;
        if self.take_any(&["TO DISK", "TO VOLUME"]).is_some() {
            self.take("IF EXISTS");
            return self.string().map(drop);
        }
        if self.take("GROUP BY") {
            self.expressions()?;
            return if self.take("SET") { self.ttl_assignments() } else { Ok(()) };
        }
        if self.take("RECOMPRESS") {
            self.keyword("CODEC")?;
            return self.names_with_arguments();
        }
        self.take("DELETE");
        if self.take("WHERE") { self.expression() } else { Ok(()) }
    }

    /// `column = expr, ...`, up to a comma behind which the next element of the TTL stands.
    fn ttl_assignments(&mut self) -> Parsed {
        self.set_column()?;
        while self.kind() == Kind::Comma && matches!(self.kind_at(1), Kind::BareWord | Kind::QuotedIdentifier) && self.kind_at(2) == Kind::Equals {
            self.advance();
            self.set_column()?;
        }
        Ok(())
    }

    /// The tables in which a table of the engine TimeSeries keeps its parts.
    fn time_series_targets(&mut self) -> Parsed {
        while self.take_any(&["SAMPLES", "DATA", "RECENT SAMPLES", "TAGS", "METRIC FAMILIES", "METRICS"]).is_some() {
            if self.take("INNER UUID") {
                self.string()?;
            } else if self.take("INNER COLUMNS") {
                self.open()?;
                self.table_properties()?;
                self.close()?;
            } else {
                let inner = self.take("INNER");
                let storage = self.engine_and_keys()?.found;
                let settings = self.take("SETTINGS");
                if settings {
                    self.settings()?;
                }
                if inner && !storage && !settings {
                    return self.expected("ENGINE");
                }
                if !storage && !settings {
                    self.table_name(Touch::Target)?;
                }
            }
        }
        Ok(())
    }

    /// `[DEFINER = user] [SQL SECURITY ...]`, in any order: whether one of them stood there.
    pub(super) fn sql_security(&mut self) -> Parsed<bool> {
        let definer = self.definer()?;
        if !self.take("SQL SECURITY") {
            return Ok(definer);
        }
        let Some(security) = self.take_any(&["DEFINER", "INVOKER", "NONE"]) else {
            return self.expected("DEFINER, INVOKER or NONE");
        };
        let definer = definer || self.definer()?;
        match security {
            // Without a name it is who runs the statement.
            "DEFINER" if !definer => self.touch(Touch::Also(Name::bare("CURRENT_USER"), Via::Other("DEFINER"))),
            "NONE" => self.touch(Touch::Also(Name::bare("NONE"), Via::Other("SQL SECURITY"))),
            _ => {}
        }
        Ok(true)
    }

    /// `DEFINER = user[@host]`, with whose rights a view is read.
    fn definer(&mut self) -> Parsed<bool> {
        if !self.take("DEFINER") {
            return Ok(false);
        }
        self.eat(Kind::Equals);
        let user = if self.take("CURRENT_USER") { "CURRENT_USER".to_owned() } else { self.user_of_a_definer()? };
        self.touch(Touch::Also(Name::bare(user), Via::Other("DEFINER")));
        Ok(true)
    }

    fn user_of_a_definer(&mut self) -> Parsed<String> {
        let quoted = self.at_string();
        let user = self.identifier_or_string()?;
        if !quoted && self.eat(Kind::At) {
            self.identifier_or_string()?;
        }
        Ok(user)
    }

    /// Behind REFRESH: when a materialized view is computed again, and after which others.
    pub(super) fn refresh(&mut self) -> Parsed {
        let scheduled = match self.take_any(&["AFTER", "EVERY"]) {
            Some("EVERY") => {
                self.time_interval()?;
                if self.take("OFFSET") {
                    self.time_interval()?;
                }
                true
            }
            Some(_) => {
                self.time_interval()?;
                true
            }
            None => false,
        };
        if self.take("RANDOMIZE FOR") {
            self.time_interval()?;
        }
        if self.take("DEPENDS ON") {
            self.list(|cursor| cursor.table_name_without_parameters(|name| Touch::Also(name, Via::Table("DEPENDS ON"))))?;
        } else if !scheduled {
            return self.expected("AFTER, EVERY or DEPENDS ON");
        }
        if self.take("SETTINGS") {
            self.settings()?;
        }
        if self.take("APPEND") {
            self.take("INCREMENTAL");
        }
        Ok(())
    }

    /// One or more of `number unit`.
    fn time_interval(&mut self) -> Parsed {
        self.number_and_unit()?;
        while self.kind() == Kind::Number {
            self.number_and_unit()?;
        }
        Ok(())
    }

    fn number_and_unit(&mut self) -> Parsed {
        let number = self.peek(0);
        let plain = number.kind == Kind::Number && !self.text_of(number).contains('.');
        if !plain {
            return self.expected("a whole number");
        }
        self.advance();
        if self.unit().is_some() { Ok(()) } else { self.expected("a unit, such as DAY") }
    }
}
