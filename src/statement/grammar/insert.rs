//! INSERT: its head, up to where data begins.

use std::borrow::Cow;

use super::super::Values;
use super::super::lexer::Kind;
use super::super::reach::{Name, Via};
use super::cursor::{Cursor, Parsed, Touch};
use super::{Effect, Is, NO_DATA};

impl Cursor<'_> {
    /// `INSERT INTO [TABLE] target [(columns)] [SETTINGS ...]` and where the rows come from. Behind VALUES and FORMAT
    /// begins data, which is not read.
    pub(super) fn insert(&mut self) -> Parsed<Is> {
        self.keyword("INSERT")?;
        self.keyword("INTO")?;
        self.take("TABLE");
        self.insert_target()?;
        if self.kind() == Kind::OpeningRoundBracket && !self.at_subquery() {
            self.insert_columns()?;
        }
        if self.take("SETTINGS") {
            self.settings()?;
        }
        self.insert_rows()?;
        Ok(Is { effect: Effect::Insert, node: "InsertQuery" })
    }

    fn insert_target(&mut self) -> Parsed {
        if !(self.at_word("FUNCTION") && self.function_target_follows()) {
            return self.target();
        }
        self.keyword("FUNCTION")?;
        let begins = self.mark().touched();
        self.table_expression_function()?;
        let function = self.touched.iter().skip(begins).find_map(|touch| if let Touch::TableFunction(name) = touch { Some(name) } else { None });
        if let Some(name) = function.map(|name| name.as_ref().to_owned()) {
            self.touch(Touch::TargetFunction(name));
        }
        if self.take("PARTITION BY") {
            self.expression()?;
        }
        Ok(())
    }

    /// FUNCTION is also a table's name.
    fn function_target_follows(&mut self) -> bool {
        matches!(self.kind_at(1), Kind::BareWord | Kind::QuotedIdentifier) && matches!(self.kind_at(2), Kind::OpeningRoundBracket | Kind::Dot)
    }

    /// The columns in brackets; a comma may stand behind the last.
    fn insert_columns(&mut self) -> Parsed {
        self.open()?;
        loop {
            self.insert_column()?;
            if !self.eat(Kind::Comma) || self.kind() == Kind::ClosingRoundBracket {
                return self.close();
            }
        }
    }

    fn insert_column(&mut self) -> Parsed {
        match self.kind() {
            Kind::Asterisk => self.expression(),
            Kind::BareWord if self.at_word("COLUMNS") && self.kind_at(1) == Kind::OpeningRoundBracket => self.expression(),
            _ if self.call_follows() => self.expected("a column"),
            _ => self.insert_column_by_name(),
        }
    }

    fn insert_column_by_name(&mut self) -> Parsed {
        self.path()?;
        // `table.*`
        if self.kind() == Kind::Dot { self.expected("a column") } else { Ok(()) }
    }

    fn insert_rows(&mut self) -> Parsed {
        if self.take("VALUES") {
            self.touch(Touch::Format(Cow::Borrowed("Values")));
            return self.insert_data(true);
        }
        if self.take("FROM INFILE") {
            let file = self.string_text()?;
            self.touch(Touch::Also(Name::bare(file), Via::Outside("FROM INFILE")));
            if self.take("COMPRESSION") {
                self.string()?;
            }
            if self.take("SETTINGS") {
                self.settings()?;
            }
            if self.at_word("FORMAT") { self.insert_format() } else { Ok(()) }
        } else if self.at_word("FORMAT") {
            self.insert_format()
        } else {
            if !self.at_query() {
                return self.expected("VALUES, FORMAT or SELECT");
            }
            self.query()?;
            if self.at_word("FORMAT") { self.insert_format() } else { Ok(()) }
        }
    }

    fn insert_format(&mut self) -> Parsed {
        self.keyword("FORMAT")?;
        let format = self.identifier()?;
        let values = format.eq_ignore_ascii_case("Values");
        self.touch(Touch::Format(format));
        self.insert_data(values)
    }

    /// Some servers read more of the statement here, others data.
    fn insert_data(&mut self, values: bool) -> Parsed {
        if NO_DATA.iter().any(|keyword| self.at_word(keyword)) {
            return self.expected("data that begins neither with SETTINGS, which stands before FORMAT and VALUES, nor with PARALLEL WITH");
        }
        if values && self.values == Values::Expressions {
            return self.insert_tuples();
        }
        self.data_begins();
        Ok(())
    }

    /// Tuples of expressions, as ClickHouse takes them from data (`ValuesBlockInputFormat.cpp`): a comma may stand between
    /// two or not, a default where its word stands for a column.
    fn insert_tuples(&mut self) -> Parsed {
        self.values_read = true;
        loop {
            self.open()?;
            self.list(|cursor| if cursor.take("DEFAULT") { Ok(()) } else { cursor.expression() })?;
            self.close()?;
            self.eat(Kind::Comma);
            if self.kind() != Kind::OpeningRoundBracket {
                return Ok(());
            }
        }
    }
}
