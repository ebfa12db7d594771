//! `|> operator`: steps behind a query, each on the result of the one before.

use super::super::lexer::Kind;
use super::cursor::{Cursor, Parsed};

impl Cursor<'_> {
    /// All steps that follow here. Each is a query around the one before for ClickHouse.
    pub(super) fn pipes(&mut self) -> Parsed {
        while self.eat(Kind::PipeOperator) {
            self.pipe()?;
            self.settings_of_a_select()?;
        }
        Ok(())
    }

    fn pipe(&mut self) -> Parsed {
        const STEPS: [&str; 14] = [
            "WHERE",
            "SELECT",
            "EXTEND",
            "SET",
            "DROP",
            "AS",
            "AGGREGATE",
            "DISTINCT",
            "ORDER BY",
            "LIMIT",
            "OFFSET",
            "UNION",
            "INTERSECT",
            "EXCEPT",
        ];
        match self.take_any(&STEPS) {
            Some("WHERE") => self.expression_with_alias(),
            Some("SELECT") => {
                self.take("DISTINCT");
                self.select_list()
            }
            Some("EXTEND") => self.select_list(),
            Some("SET") => self.list(Self::set_column),
            Some("DROP") => self.list(|cursor| cursor.identifier_or_parameter().map(drop)),
            Some("AS") => self.identifier().map(drop),
            Some("AGGREGATE") => {
                self.select_list()?;
                if self.take("GROUP BY") { self.list(Self::expression_with_bare_alias) } else { Ok(()) }
            }
            Some("DISTINCT") => Ok(()),
            Some("ORDER BY") => self.order_by_clause(),
            Some("LIMIT") => {
                self.expression_with_alias()?;
                if self.take("OFFSET") { self.expression_with_alias() } else { Ok(()) }
            }
            Some("OFFSET") => self.expression_with_alias(),
            Some(_) => {
                self.take_any(&["ALL", "DISTINCT"]);
                self.list(Self::piped_arm)
            }
            None => self.piped_join(),
        }
    }

    /// A query of a set operation, which sees the common table expressions before it and leaves none of its own.
    fn piped_arm(&mut self) -> Parsed {
        let before = self.scope.len();
        self.arm()?;
        self.scope.truncate(before);
        Ok(())
    }

    /// `|> [kind] JOIN table ...`, `|> ARRAY JOIN ...`, `|> , table`, and more of them.
    fn piped_join(&mut self) -> Parsed {
        if !self.joined(false)? {
            return self.expected("WHERE, SELECT, JOIN or another step");
        }
        while self.joined(false)? {}
        Ok(())
    }
}
