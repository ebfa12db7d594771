//! EXPLAIN and DESCRIBE: what they tell of is read like the statement itself.

use std::borrow::Cow;

use super::super::lexer::Kind;
use super::super::reach::{Clause, Name, Via};
use super::cursor::{Cursor, Parsed, Touch};
use super::{Effect, Is};

const KINDS: [&str; 10] =
    ["AST", "SYNTAX", "QUERY TREE", "PIPELINE", "PLAN", "ESTIMATE", "TABLE OVERRIDE", "CURRENT TRANSACTION", "ANALYZE", "WHATIF"];

impl Cursor<'_> {
    /// `EXPLAIN [kind] [options] statement`. Nothing of the statement is done but what its scalar subqueries read; what it
    /// names as its object is reported as reached.
    pub(super) fn explain(&mut self) -> Parsed<Is> {
        let is = Is { effect: Effect::Read, node: "Explain" };
        let begins = self.mark().touched();
        let kind = self.explain_head()?;
        match kind {
            Some("CURRENT TRANSACTION") => return Ok(is),
            Some("TABLE OVERRIDE") => {
                self.table_expression_function()?;
                self.touch(Touch::Also(Name::bare("TABLE OVERRIDE"), Via::Outside("EXPLAIN")));
                self.table_override()?;
                return Ok(is);
            }
            Some("AST") => {
                let inner = self.deeper(Self::statement_in_brackets_or_not)?;
                self.explained(inner, begins);
                return Ok(is);
            }
            _ => {}
        }
        if self.at_query() {
            let inner = self.query_or_insert()?;
            self.explained(inner, begins);
            return Ok(is);
        }
        let inner = match self.word_at(0).to_ascii_uppercase().as_str() {
            "INSERT" => self.insert()?,
            "CREATE" | "ATTACH" | "REPLACE" => self.create()?,
            "SYSTEM" => self.system()?,
            _ => return self.expected("SELECT, INSERT, CREATE or SYSTEM"),
        };
        self.explained(inner, begins);
        Ok(is)
    }

    /// Within brackets, as a table of its text.
    pub(super) fn explained_query(&mut self) -> Parsed {
        let kind = self.explain_head()?;
        self.touch(Touch::TableFunction(Cow::Borrowed("viewExplain")));
        if kind == Some("CURRENT TRANSACTION") {
            return Ok(());
        }
        if kind == Some("TABLE OVERRIDE") {
            return self.expected("a query");
        }
        self.query()
    }

    fn explain_head(&mut self) -> Parsed<Option<&'static str>> {
        self.keyword("EXPLAIN")?;
        self.touch(Touch::Clause(Clause::Explain));
        let kind = KINDS.iter().copied().find(|kind| self.at_word(kind) && !self.option_follows());
        if let Some(kind) = kind {
            self.keyword(kind)?;
        }
        // Options of EXPLAIN itself, no settings.
        while self.option_follows() {
            self.identifier()?;
            self.token(Kind::Equals, "=")?;
            self.literal_text()?;
            self.eat(Kind::Comma);
        }
        Ok(kind)
    }

    fn option_follows(&mut self) -> bool {
        self.at_identifier() && self.kind_at(1) == Kind::Equals
    }

    /// `EXPLAIN AST` takes any statement.
    fn statement_in_brackets_or_not(&mut self) -> Parsed<Is> {
        if self.kind() == Kind::OpeningRoundBracket && !self.at_subquery() {
            self.open()?;
            let is = self.one_statement()?;
            self.close()?;
            return Ok(is);
        }
        self.one_statement()
    }

    /// A statement that would write is still one that names what it writes.
    fn explained(&mut self, inner: Is, begins: usize) {
        if inner.effect != Effect::Read {
            self.touch(Touch::Also(Name::bare(inner.node), Via::Other("EXPLAIN")));
        }
        for touch in self.touched.iter_mut().skip(begins) {
            if let Touch::Target(name) = touch {
                *touch = Touch::Also(name.clone(), Via::Table("EXPLAIN"));
            }
        }
    }

    /// `DESCRIBE [TABLE] table`, a query or a table function.
    pub(super) fn describe(&mut self) -> Parsed<Is> {
        if self.at_word_after(1, "FILESYSTEM CACHE") && matches!(self.kind_at(3), Kind::StringLiteral | Kind::HereDoc) {
            return self.describe_cache();
        }
        self.advance();
        if self.at_word("TABLE") && !matches!(self.kind_at(1), Kind::EndOfStream | Kind::Semicolon | Kind::Dot) {
            self.advance();
        }
        if self.at_query() && self.kind() != Kind::OpeningRoundBracket {
            self.query()?;
        } else {
            self.table(false)?;
        }
        Ok(Is { effect: Effect::Read, node: "DescribeQuery" })
    }
}
