//! What stands behind FROM: tables, subqueries, table functions, and the joins between them.

use std::borrow::Cow;

use super::super::lexer::Kind;
use super::super::reach::Clause;
use super::cursor::{Cursor, Parsed, Path, Touch};
use super::reaching::{self, Arguments};

impl<'a> Cursor<'a> {
    /// Tables and joins. With `from_first` a SELECT that follows a table is the clause, not the table's name.
    pub(super) fn tables(&mut self, from_first: bool) -> Parsed {
        self.table(from_first)?;
        while self.joined(from_first)? {}
        // The names of the columns of all of them.
        if self.kind() == Kind::OpeningRoundBracket {
            self.bracketed(|cursor| cursor.identifier().map(drop))?;
        }
        Ok(())
    }

    /// One comma, join or ARRAY JOIN with what it joins: whether there was one.
    pub(super) fn joined(&mut self, from_first: bool) -> Parsed<bool> {
        if self.kind() == Kind::Comma {
            if self.select_follows(1, from_first) {
                return Ok(false);
            }
            self.advance();
            return self.table(from_first).map(|()| true);
        }
        if self.kind() != Kind::BareWord {
            return Ok(false);
        }
        if self.take_any(&["ARRAY JOIN", "LEFT ARRAY JOIN", "INNER ARRAY JOIN"]).is_some() {
            return self.list(Self::expression_with_alias).map(|()| true);
        }
        let mark = self.mark();
        let Some(conditional) = self.join_words() else {
            self.back_to(mark);
            return Ok(false);
        };
        self.table(from_first)?;
        if conditional {
            self.join_condition()?;
        }
        Ok(true)
    }

    /// `[GLOBAL | LOCAL] [NATURAL] [strictness] [kind] [strictness] [OUTER] JOIN`: whether a condition has to follow, or
    /// nothing where no join stands here.
    fn join_words(&mut self) -> Option<bool> {
        const STRICTNESS: [&str; 6] = ["ANY", "ALL", "ASOF", "SEMI", "ANTI", "ONLY"];
        self.take_any(&["GLOBAL", "LOCAL"]);
        let natural = self.take("NATURAL");
        self.take_any(&STRICTNESS);
        let kind = self.take_any(&["INNER", "LEFT", "RIGHT", "FULL", "CROSS", "PASTE"]);
        self.take_any(&STRICTNESS);
        if matches!(kind, Some("LEFT" | "RIGHT" | "FULL")) {
            self.take("OUTER");
        }
        self.take("JOIN").then_some(!natural && !matches!(kind, Some("CROSS" | "PASTE")))
    }

    fn join_condition(&mut self) -> Parsed {
        if self.take("ON") {
            return self.expression();
        }
        self.keyword("USING")?;
        if self.kind() == Kind::OpeningRoundBracket {
            return self.bracketed(Self::expression_with_alias);
        }
        self.list(Self::expression_with_alias)
    }

    /// One table with its name, FINAL, SAMPLE and STREAM.
    pub(super) fn table(&mut self, from_first: bool) -> Parsed {
        self.deeper(|cursor| {
            cursor.table_source()?;
            cursor.table_alias(from_first)?;
            cursor.take("FINAL");
            if cursor.take("SAMPLE") {
                cursor.ratio()?;
                if cursor.take("OFFSET") {
                    cursor.ratio()?;
                }
            }
            if cursor.take("STREAM") {
                cursor.stream()?;
            }
            Ok(())
        })
    }

    fn table_source(&mut self) -> Parsed {
        if self.kind() == Kind::OpeningRoundBracket {
            return self.bracketed_tables();
        }
        if self.at_string() {
            let name = self.string_text()?;
            self.table_named(&Path { parts: vec![Some(Cow::Owned(name))] });
            return Ok(());
        }
        if self.call_follows() {
            return self.table_expression_function();
        }
        let path = self.path()?;
        // Which of the two is read, the name or the table of this identifier, differs by version.
        if self.take("UUID") {
            self.string()?;
            self.computed("UUID");
        }
        if path.parts.len() > 2 {
            return self.expected("a name of at most two parts");
        }
        self.table_named(&path);
        Ok(())
    }

    /// A query, VALUES, or tables with joins between them, in brackets.
    fn bracketed_tables(&mut self) -> Parsed {
        if self.at_subquery() {
            return self.subquery();
        }
        self.open()?;
        if self.at_word("VALUES") && self.kind_at(1) == Kind::OpeningRoundBracket && self.take("VALUES") {
            self.touch(Touch::TableFunction(Cow::Borrowed("SQLStandardValues")));
            self.list(Self::expression)?;
            return self.close();
        }
        self.table(false)?;
        if !self.joined(false)? {
            return self.expected("a join");
        }
        while self.joined(false)? {}
        self.close()
    }

    /// A name behind FROM or JOIN: a common table expression where one of this name can be referenced here.
    pub(super) fn table_named(&mut self, path: &Path<'a>) {
        match (path.parts.as_slice(), path.name()) {
            ([Some(name)], _) if self.is_cte(name) => self.touch(Touch::Cte(name.clone())),
            (parts, Some(name)) => {
                if let ([Some(bare)], true) = (parts, self.bodies > 0) {
                    self.touch(Touch::InABody(bare.clone()));
                }
                self.touch(Touch::Table(name));
            }
            (_, None) => self.computed("FROM"),
        }
    }

    fn table_alias(&mut self, from_first: bool) -> Parsed {
        let named = if self.select_follows(0, from_first) {
            false
        } else {
            let before = self.position();
            self.alias(true)?;
            self.position() > before
        };
        // The names of its columns.
        if named && self.kind() == Kind::OpeningRoundBracket {
            self.bracketed(|cursor| cursor.identifier().map(drop))?;
        }
        Ok(())
    }

    /// Whether SELECT stands here as the clause of a query that begins with FROM.
    fn select_follows(&mut self, ahead: usize, from_first: bool) -> bool {
        from_first && self.at_word_after(ahead, "SELECT") && !self.at_word_after(ahead + 1, "SELECT")
    }

    /// A part of a table: `0.1`, `1/10`, `{name:Type}`.
    fn ratio(&mut self) -> Parsed {
        if self.kind() == Kind::OpeningCurlyBrace {
            return self.parameter_value();
        }
        self.token(Kind::Number, "a number")?;
        if self.eat(Kind::Slash) {
            self.token(Kind::Number, "a number")?;
        }
        Ok(())
    }

    /// Behind STREAM.
    fn stream(&mut self) -> Parsed {
        while let Some(word) = self.take_any(&["BOUNDED", "UNBOUNDED", "UNORDERED", "CURSOR"]) {
            if word != "CURSOR" {
                continue;
            }
            self.token(Kind::OpeningCurlyBrace, "{")?;
            while !self.eat(Kind::ClosingCurlyBrace) {
                self.string()?;
                self.token(Kind::Colon, ":")?;
                self.literal_text()?;
                self.eat(Kind::Comma);
            }
        }
        Ok(())
    }

    /// A table function, or a view with parameters, which looks alike.
    pub(super) fn table_expression_function(&mut self) -> Parsed {
        self.deeper(Self::table_function)
    }

    fn table_function(&mut self) -> Parsed {
        let name = self.call_name()?;
        self.open()?;
        self.touch(Touch::TableFunction(name.clone()));
        // What a table function is given is not the query around it: its common table expressions end here.
        let scope = std::mem::take(&mut self.scope);
        let outer = std::mem::replace(&mut self.within_table_function, true);
        let read = self.table_function_arguments(&name);
        self.within_table_function = outer;
        self.scope = scope;
        let arguments = read?;
        self.reach_by_table_function(&name, &arguments);
        Ok(())
    }

    /// Behind the opening bracket.
    fn table_function_arguments(&mut self, name: &str) -> Parsed<Arguments> {
        let mut arguments = Arguments::default();
        if reaching::is_view(name) {
            self.view_arguments(name)?;
            return Ok(arguments);
        }
        if self.eat(Kind::ClosingRoundBracket) {
            return Ok(arguments);
        }
        loop {
            let begins = self.position();
            if self.at_word("SETTINGS") && matches!(self.kind_at(1), Kind::BareWord | Kind::QuotedIdentifier) {
                self.advance();
                self.settings()?;
                self.touch(Touch::Clause(Clause::InnerSettings));
            } else {
                self.element()?;
                arguments.push(begins..self.position());
            }
            if !self.eat(Kind::Comma) {
                break;
            }
        }
        self.close()?;
        Ok(arguments)
    }

    /// `view(SELECT ...)`, `viewIfPermitted(SELECT ... ELSE f(...))`, behind the opening bracket.
    pub(super) fn view_arguments(&mut self, name: &str) -> Parsed {
        self.query()?;
        if name.eq_ignore_ascii_case("viewIfPermitted") {
            self.keyword("ELSE")?;
            self.table_expression_function()?;
        }
        self.close()
    }
}
