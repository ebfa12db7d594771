//! ClickHouse's grammar, read by one walk over the tokens that keeps what the statement touches and no tree.
//!
//! It follows the parser of 26.9 (`src/Parsers`). Every form that is not listed is refused: a word that an older or newer
//! version would take for something else never gets as far as a server.

#![expect(clippy::wildcard_enum_match_arm, reason = "there are many kinds of tokens: an arm for the others refuses, or ends what is read")]

mod call;
mod column;
mod cursor;
mod explain;
mod expression;
mod insert;
mod interval;
mod operand;
mod pipe;
mod query;
mod reaching;
mod settings;
mod table;
mod types;

mod access;
mod alter;
mod backup;
mod columns;
mod create;
mod dictionary;
mod drop;
mod objects;
mod show;
mod storage;
mod system;

use std::collections::BTreeSet;
use std::ops::Range;

use super::canonical;
use super::lexer::{Kind, Lexer};
use super::reach::{Name, Reach, Via};
use super::{Effect, Values};
pub use cursor::Parameters;
use cursor::{Cursor, Parsed, Stop, Touch};

/// What a statement is: what it does, and the name of its node in ClickHouse's tree.
#[derive(Debug, Clone, Copy)]
struct Is {
    effect: Effect,
    node: &'static str,
}

/// A statement that was understood.
#[derive(Debug)]
pub(super) struct Read {
    /// What it does.
    pub(super) effect: Effect,
    /// The name of its node in ClickHouse's tree (`EXPLAIN AST`).
    pub(super) kind: &'static str,
    /// Everything it touches.
    pub(super) reach: Reach,
    /// The text that goes to ClickHouse; of an INSERT with data its head.
    pub(super) canonical: String,
    /// The canonical text with `?` for literals.
    pub(super) masked: String,
    /// Where the data of an INSERT begins in the text as it came, in bytes.
    pub(super) data: Option<usize>,
    /// What was left out.
    pub(super) comments: Vec<String>,
    /// How many tokens the canonical text has.
    pub(super) tokens: usize,
    /// How deep its brackets are.
    pub(super) deepest: usize,
    /// Whether what stands behind VALUES was read as expressions.
    pub(super) values_read: bool,
}

/// Why a statement was not understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// There is nothing but spaces and comments.
    Empty,
    /// Another statement follows.
    Several,
    /// What stands where, and what was expected.
    Unread(String),
}

/// Reads one statement. `parameters` are the request's, by their names without `param_`; `values` says what stands behind
/// VALUES.
///
/// # Errors
/// See [`Problem`].
pub(super) fn read(text: &str, parameters: &Parameters, values: Values) -> Result<Read, Problem> {
    if u32::try_from(text.len()).is_err() {
        return Err(Problem::Unread("The statement is longer than 4 GiB.".to_owned()));
    }
    let mut cursor = Cursor::new(text, parameters);
    cursor.values = values;
    if cursor.kind() == Kind::EndOfStream || (cursor.kind() == Kind::Semicolon && cursor.only_semicolons()) {
        return Err(Problem::Empty);
    }
    let is = match cursor.whole_statement() {
        Ok(is) => is,
        Err(Stop) => return Err(Problem::Unread(cursor.why())),
    };
    let end = cursor.end_of_taken();
    let (mut reach, replaced) = fold(std::mem::take(&mut cursor.touched));
    reach.computed.extend(cursor.names_of_values().into_iter().map(str::to_owned));
    let canonical = canonical::write(text, cursor.taken(), &replaced);
    let masked = canonical::masked(text, cursor.taken());
    let (data, comments) = (cursor.has_data().then_some(end), cursor.comments_before(end));
    if data.is_none() {
        cursor.ends()?;
    }
    let (tokens, deepest) = (cursor.taken().len(), cursor.deepest_brackets());
    Ok(Read { effect: is.effect, kind: is.node, reach, canonical, masked, data, comments, tokens, deepest, values_read: cursor.values_read })
}

/// Whether a statement was pasted behind the data of an INSERT: where the data is JSON, an empty line and a word end it for
/// ClickHouse's clients, which run what follows, and break it for its servers.
pub(super) fn a_statement_follows(format: &str, data: &str) -> bool {
    let is_json = format.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("json"));
    let is_word = |line: &str| {
        let word = line.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        !word.is_empty() && !["true", "false", "null", "nan", "inf"].contains(&word)
    };
    is_json && data.split("\n\n").skip(1).any(|part| is_word(part.trim_start()))
}

/// What data begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// What is data for every version.
    Data,
    /// What some servers take for a part of the statement, see [`NO_DATA`].
    Statement,
    /// Too little of it is here.
    Unknown,
}

/// What data begins with that stands behind FORMAT or VALUES: `bytes`, and no more where it has `ended`.
pub(super) fn data_begins(bytes: &[u8], ended: bool) -> Begins {
    let (text, more) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, !ended),
        Err(error) => {
            (bytes.get(..error.valid_up_to()).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default(), error.error_len().is_none())
        }
    };
    let begins = NO_DATA.map(|keyword| begins_with(text, more, keyword));
    let is = |wanted| begins.iter().find(|begins| **begins == wanted).copied();
    is(Begins::Statement).or_else(|| is(Begins::Unknown)).unwrap_or(Begins::Data)
}

fn begins_with(text: &str, more: bool, keyword: &str) -> Begins {
    let mut lexer = Lexer::new(text);
    for word in keyword.split(' ') {
        let token = loop {
            let token = lexer.next_token();
            if token.kind.is_significant() {
                break token;
            }
        };
        let shown = text.get(token.start as usize..token.end as usize).unwrap_or_default();
        // What stands at the end may go on: a word, a comment, what becomes one with the next byte.
        let may_go_on = more && token.end as usize == text.len();
        match token.kind {
            Kind::BareWord if shown.eq_ignore_ascii_case(word) && !may_go_on => {}
            Kind::BareWord if may_go_on && word.get(..shown.len()).is_some_and(|start| start.eq_ignore_ascii_case(shown)) => return Begins::Unknown,
            Kind::BareWord => return Begins::Data,
            Kind::EndOfStream | Kind::ErrorMultilineCommentIsNotClosed if more => return Begins::Unknown,
            _ if may_go_on && shown.len() <= 2 => return Begins::Unknown,
            _ => return Begins::Data,
        }
    }
    Begins::Statement
}

/// What stands behind FORMAT or VALUES and is a part of the statement: SETTINGS for servers before 22.4 and where
/// `allow_settings_after_format_in_insert` is set, and another statement behind PARALLEL WITH for 26.9.
const NO_DATA: [&str; 2] = ["SETTINGS", "PARALLEL WITH"];

/// A list of names and types and nothing else, written anew.
pub(super) fn structure(text: &str) -> Option<String> {
    written_list(text, |cursor| {
        cursor.identifier()?;
        cursor.data_type()
    })
}

/// A list of types and nothing else, written anew.
pub(super) fn types(text: &str) -> Option<String> {
    written_list(text, |cursor| cursor.data_type())
}

fn written_list(text: &str, item: impl FnMut(&mut Cursor<'_>) -> Parsed) -> Option<String> {
    let parameters = Parameters::new();
    let mut cursor = Cursor::new(text, &parameters);
    cursor.list(item).ok()?;
    (cursor.kind() == Kind::EndOfStream).then(|| canonical::write(text, cursor.taken(), &[]))
}

/// What was touched, each once; and the tokens that are written as something else.
fn fold(touched: Vec<Touch<'_>>) -> (Reach, Vec<(Range<usize>, String)>) {
    let mut reach = Reach::default();
    let mut replaced: Vec<(Range<usize>, String)> = Vec::new();
    let certain = ctes_are_certain(&touched);
    for touch in touched {
        match touch {
            Touch::Table(name) => drop(reach.tables.insert(name)),
            Touch::Cte(name) => {
                if !certain {
                    reach.tables.insert(Name::bare(name.as_ref()));
                }
                reach.ctes.insert(name.into_owned());
            }
            Touch::CteAsASet(name, via) => {
                if !certain {
                    reach.also.insert((Name::bare(name), via));
                }
            }
            Touch::CteDefined(_) | Touch::InABody(_) => {}
            Touch::Target(name) => drop(reach.targets.insert(name)),
            Touch::Also(name, via) => drop(reach.also.insert((name, via))),
            Touch::Function(name) => {
                if !reach.functions.contains(name.as_ref()) {
                    reach.functions.insert(name.into_owned());
                }
            }
            Touch::TableFunction(name) => drop(reach.table_functions.insert(name.into_owned())),
            Touch::TargetFunction(name) => drop(reach.target_functions.insert(name)),
            Touch::Clause(clause) => drop(reach.clauses.insert(clause)),
            Touch::Setting(name, value) => drop(reach.settings.entry(name.into_owned()).or_default().insert(value)),
            // One that is used as a value too is sent as one.
            Touch::Parameter(name, kind) if kind == "Identifier" => drop(reach.parameters.entry(name.into_owned()).or_insert(kind.into_owned())),
            Touch::Parameter(name, kind) => drop(reach.parameters.insert(name.into_owned(), kind.into_owned())),
            Touch::Format(name) => reach.format = Some(name.into_owned()),
            Touch::Computed(what) => drop(reach.computed.insert(what.into_owned())),
            Touch::Kills(query_id, mode) => reach.kills = Some((query_id, mode)),
            Touch::Replaced(range, value) => replaced.push((range, value)),
        }
    }
    replaced.sort_by_key(|(range, _)| range.start);
    replaced.dedup();
    (reach, replaced)
}

/// Whether a name that common table expressions have is surely theirs wherever it stands in their scope.
///
/// ClickHouse resolves the body of a common table expression where it is used, not where it stands (26.9), and a name that
/// is being resolved falls through to the table. Where all names differ and no body names one that it does not see, no
/// version can take one for another; otherwise each counts as the table too.
fn ctes_are_certain(touched: &[Touch<'_>]) -> bool {
    let defined: Vec<&str> =
        touched.iter().filter_map(|touch| if let Touch::CteDefined(name) = touch { Some(name.as_ref()) } else { None }).collect();
    if defined.is_empty() {
        return true;
    }
    let names: BTreeSet<&str> = defined.iter().copied().collect();
    let captured = |touch: &Touch<'_>| matches!(touch, Touch::InABody(name) if names.contains(name.as_ref()));
    names.len() == defined.len() && !touched.iter().any(captured)
}

impl Cursor<'_> {
    fn only_semicolons(&mut self) -> bool {
        let mut ahead = 0;
        while self.kind_at(ahead) == Kind::Semicolon {
            ahead += 1;
        }
        self.kind_at(ahead) == Kind::EndOfStream
    }

    /// Semicolons may follow, and nothing else.
    fn ends(&mut self) -> Result<(), Problem> {
        let semicolon = self.kind() == Kind::Semicolon;
        while self.eat(Kind::Semicolon) {}
        match self.kind() {
            Kind::EndOfStream => Ok(()),
            _ if semicolon => Err(Problem::Several),
            _ => {
                self.note("the end of the statement");
                Err(Problem::Unread(self.why()))
            }
        }
    }

    /// What stands at the furthest place that was reached, and what was expected there.
    fn why(&mut self) -> String {
        let (token, expected) = self.furthest();
        let (line, column) = self.place_of(token);
        let shown: String = self.text_of(token).chars().take(40).flat_map(char::escape_debug).collect();
        if token.kind == Kind::EndOfStream {
            return format!("The statement ends at line {line}, column {column}, where {expected} was expected.");
        }
        if token.kind.is_error() {
            return format!("`{shown}` at line {line}, column {column} cannot be read ({}).", token.kind.name());
        }
        format!("`{shown}` stands at line {line}, column {column}, where {expected} was expected.")
    }

    /// A statement, others that run beside it, and where its answer goes.
    fn whole_statement(&mut self) -> Parsed<Is> {
        if self.at_word("EXECUTE AS") {
            self.execute_as()?;
            // Alone it makes the session another user's.
            if !matches!(self.kind(), Kind::EndOfStream | Kind::Semicolon) {
                self.whole_statement_as_oneself()?;
            }
            return Ok(Is { effect: Effect::Administer, node: "ExecuteAsQuery" });
        }
        self.whole_statement_as_oneself()
    }

    fn whole_statement_as_oneself(&mut self) -> Parsed<Is> {
        let mut is = self.one_statement()?;
        while self.take("PARALLEL WITH") {
            let next = self.one_statement()?;
            // Of different effects none may stand for the others, and ClickHouse runs nothing beside another that answers.
            let effect = if next.effect == is.effect && is.effect != Effect::Read { is.effect } else { Effect::Administer };
            is = Is { effect, node: "ParallelWithQuery" };
        }
        Ok(is)
    }

    /// One statement with its INTO OUTFILE, FORMAT and SETTINGS.
    fn one_statement(&mut self) -> Parsed<Is> {
        let is = self.bare_statement()?;
        if is.effect != Effect::Insert && is.node != "Set" {
            self.output()?;
        }
        Ok(is)
    }

    fn bare_statement(&mut self) -> Parsed<Is> {
        if self.at_query() || self.at_word("WITH") {
            return self.query_or_insert();
        }
        let word = self.word_at(0).to_ascii_uppercase();
        match word.as_str() {
            "EXPLAIN" => self.explain(),
            "DESCRIBE" | "DESC" => self.describe(),
            "SHOW" => self.show(),
            "EXISTS" => self.exists(),
            "CHECK" => self.check(),
            "USE" => self.use_database(),
            "SET" if self.at_set_role() => self.set_role(),
            "SET" if self.at_word_after(1, "TRANSACTION") => self.transaction(),
            "SET" => self.set(),
            "BEGIN" | "COMMIT" | "ROLLBACK" | "START" => self.transaction(),
            "INSERT" => self.insert(),
            "CREATE" | "ALTER" if self.at_access() => self.create_access(),
            "CREATE" | "ATTACH" | "REPLACE" => self.create(),
            "ALTER" => self.alter(),
            "DROP" if self.at_access() => self.drop_access(),
            "DROP" => self.drop_object(),
            "DETACH" => self.detach(),
            "TRUNCATE" => self.truncate(),
            "UNDROP" => self.undrop(),
            "RENAME" => self.rename(),
            "EXCHANGE" => self.exchange(),
            "OPTIMIZE" => self.optimize(),
            "KILL" => self.kill(),
            "DELETE" => self.delete(),
            "UPDATE" => self.update(),
            "GRANT" | "REVOKE" => self.grant(),
            "MOVE" => self.move_access(),
            "SYSTEM" => self.system(),
            "BACKUP" => self.backup(),
            "RESTORE" => self.restore(),
            "COPY" => self.copy(),
            "SNAPSHOT" => self.snapshot(),
            _ => self.expected("a statement"),
        }
    }

    /// `INTO OUTFILE 'file' ...`, `FORMAT name`, `SETTINGS ...` behind a statement that answers.
    fn output(&mut self) -> Parsed {
        if self.take("INTO OUTFILE") {
            let file = self.string_text()?;
            self.touch(Touch::Also(Name::bare(file), Via::Outside("INTO OUTFILE")));
            while self.take_any(&["APPEND", "TRUNCATE", "AND STDOUT"]).is_some() {}
            if self.take("COMPRESSION") {
                self.string()?;
                if self.take("LEVEL") {
                    self.token(Kind::Number, "a number")?;
                }
            }
        }
        let (mut format, mut settings) = (false, false);
        loop {
            if !format && self.take("FORMAT") {
                format = true;
                let name = self.identifier()?;
                self.touch(Touch::Format(name));
            } else if !settings && self.take("SETTINGS") {
                settings = true;
                self.settings()?;
            } else {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn data_begins_where_no_version_reads_settings() {
        for (data, unfinished, whole) in [
            ("", Begins::Unknown, Begins::Data),
            (" \n", Begins::Unknown, Begins::Data),
            ("(1)", Begins::Data, Begins::Data),
            ("(", Begins::Unknown, Begins::Data),
            ("1,", Begins::Data, Begins::Data),
            ("settings a=1", Begins::Statement, Begins::Statement),
            (" -- x\n\tSETTINGS\n", Begins::Statement, Begins::Statement),
            ("/* ( */SETTINGS ", Begins::Statement, Begins::Statement),
            ("SETTINGS", Begins::Unknown, Begins::Statement),
            ("SETT", Begins::Unknown, Begins::Data),
            ("SETTLE", Begins::Data, Begins::Data),
            ("SETTINGSX", Begins::Data, Begins::Data),
            ("SETTINGS_", Begins::Data, Begins::Data),
            ("`SETTINGS` ", Begins::Data, Begins::Data),
            ("-", Begins::Unknown, Begins::Data),
            ("-- x", Begins::Unknown, Begins::Data),
            ("/* x", Begins::Unknown, Begins::Data),
            ("'an open quote", Begins::Data, Begins::Data),
            ("\0", Begins::Unknown, Begins::Data),
            ("\0\0\0", Begins::Data, Begins::Data),
        ] {
            assert_eq!(data_begins(data.as_bytes(), false), unfinished, "{data:?}");
            assert_eq!(data_begins(data.as_bytes(), true), whole, "{data:?}, and no more");
        }
        assert_eq!(data_begins(b"\xff", false), Begins::Data);
        assert_eq!(data_begins(b"SETT\xffINGS", false), Begins::Data);
        assert_eq!(data_begins(b"SETTINGS\xff", false), Begins::Statement);
        assert_eq!(data_begins(b"\xe2\x80", false), Begins::Unknown, "it may become a blank");
    }

    #[test]
    fn a_structure_is_names_and_types_alone() {
        let written = Some("id UInt64, `a b` Array(Nullable(String))".to_owned());
        assert_eq!(structure("id /* x */ UInt64, \"a b\" Array(Nullable(String))"), written);
        assert_eq!(types("UInt8, Enum8('a' = 1)").as_deref(), Some("UInt8, Enum8('a' = 1)"));
        for text in
            ["", "id", "id UInt8 DEFAULT 1", "id UInt8 ALIAS file('x')", "id UInt8, ", "id UInt8; x", "id UInt8 -- x\n, y", "1 UInt8", "id UInt8)"]
        {
            assert_eq!(structure(text), None, "{text}");
        }
        for text in ["", "UInt8,", "id UInt8", "UInt8 DEFAULT 1", "'x'"] {
            assert_eq!(types(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_read_where_they_are_expressions() {
        let read = |sql: &str| super::read(sql, &Parameters::new(), Values::Expressions);
        let insert = read("INSERT INTO t VALUES (1, upper('a')), (DEFAULT, (SELECT s FROM sec.secret)) -- x\n;").unwrap();
        assert_eq!(insert.canonical, "INSERT INTO t VALUES (1, upper('a')), (DEFAULT, (SELECT s FROM sec.secret))");
        assert_eq!((insert.data, insert.values_read), (None, true));
        assert!(insert.reach.tables.contains(&Name::of("sec", "secret")) && insert.reach.functions.contains("upper"));
        let csv = read("INSERT INTO t FORMAT CSV\n1, upper('a')").unwrap();
        assert_eq!((csv.data, csv.values_read), (Some(24), false));
        for sql in [
            "INSERT INTO t VALUES",
            "INSERT INTO t VALUES 1",
            "INSERT INTO t VALUES (1",
            "INSERT INTO t VALUES (1); SELECT 1",
            "INSERT INTO t VALUES (1) SELECT 1",
            "INSERT INTO t FORMAT Values SETTINGS a = 1 (1)",
        ] {
            assert!(read(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn what_is_known_of_data_is_what_the_whole_says() {
        for (data, begins) in [
            ("", Begins::Data),
            ("1,2", Begins::Data),
            (" settings a = 1", Begins::Statement),
            ("SETTINGSa", Begins::Data),
            ("/* x */ SETTINGS\n", Begins::Statement),
            ("PARALLEL WITH DROP TABLE x", Begins::Statement),
            ("parallel -- x\n/**/ with\n", Begins::Statement),
            ("parallel -- x\n/**/ without\n", Begins::Data),
            ("parallel - with", Begins::Data),
            ("PARALLEL,WITH\n", Begins::Data),
            ("'SETTINGS'", Begins::Data),
        ] {
            assert_eq!(data_begins(data.as_bytes(), true), begins, "{data}");
            for end in 0..data.len() {
                let so_far = data_begins(data.as_bytes().get(..end).unwrap(), false);
                assert!(so_far == Begins::Unknown || so_far == begins, "{so_far:?} of the first {end} of {data}");
            }
            let read = read(&format!("INSERT INTO t FORMAT CSV\n{data}"), &Parameters::new(), Values::Data);
            assert_eq!(read.is_ok(), begins == Begins::Data, "{data}");
        }
    }
}
