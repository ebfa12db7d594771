//! What is asked: the SQL exactly as ClickHouse would join it, read before anything is decided, and written anew.
//!
//! The lexer gives ClickHouse's own tokens, byte for byte; the grammar walks over them as ClickHouse's parser of 26.9 does
//! and keeps what the statement touches; the canonical text is written from the tokens that the grammar took and from
//! nothing else. So what was judged is what runs, whatever another lexer would have made of the text as it came.
//!
//! Where versions differ, the newest (26.9) is followed and the others are kept safe:
//!
//! - numbers with separators, hex and binary strings, Unicode quotes and spaces, and heredocs (whose tags could hold anything
//!   before 25.8) are not known to all: each is written in the one form that every version reads;
//! - a word with `$` may end there for older lexers: such words are quoted, and parameters with `$` in their names refused;
//! - SETTINGS behind FORMAT of an INSERT are settings before 22.4 and where `allow_settings_after_format_in_insert` is
//!   set, PARALLEL WITH is a part of the statement for 26.9, and both are data for the others: refused;
//! - what a common table expression's name means in its own body, in a body before it, in a second arm or below another of
//!   the same name differs by version and by `enable_global_with_statement` (which is sent as 1): where any could take it
//!   for the table of that name, it counts as both;
//! - which of two tables `FROM a UUID '...'` reads differs: it counts as computed;
//! - 26.9 calls a function by its bare name in `arrayMap(f, x)`: counted as a call for all;
//! - what only 26.x has (pipes, FROM without SELECT, joins in brackets) is a syntax error for the others.

mod address;
mod cache_control;
mod canonical;
mod coding;
mod data;
mod form;
#[cfg(keyhouse_fuzz)]
pub mod fuzzing;
mod gather;
mod grammar;
mod kept;
mod lexer;
mod pieces;
mod reach;
mod witness;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use gather::{Gathered, Shape};
use grammar::Problem;
use kept::Fact;
use lexer::{Kind, Lexer};
use pieces::Pieces;

pub use address::{Address, COMPRESSION};
pub use cache_control::CacheControl;
pub use canonical::{is_plain_name, quoted, quoted_name, written_name};
pub use coding::Coding;
pub(crate) use coding::block;
pub use data::{Brake, Cut, Data, Turn};
pub use form::{Columns, Upload};
pub use grammar::Parameters;
pub use kept::Kept;
pub use reach::{Clause, Name, Reach, Via};
pub use witness::Opinion;

use crate::config::{Limits, StatementForm};
use crate::digest::{Hex, sha256};
use crate::identity::{Caller, Identified};
use crate::record::Rendered;
use crate::refusal::{Reason, Refusal};

/// What a statement does to data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Reads.
    Read,
    /// Adds rows.
    Insert,
    /// Changes or removes rows.
    Change,
    /// Makes, alters or drops objects.
    Define,
    /// Users, grants, SYSTEM, KILL and the like.
    Administer,
    /// Changes what later statements of a session mean.
    Session,
}

impl Effect {
    /// Every effect.
    pub const ALL: [Self; 6] = [Self::Read, Self::Insert, Self::Change, Self::Define, Self::Administer, Self::Session];

    /// The word for it in policies and records.
    pub fn word(self) -> &'static str {
        match self {
            Effect::Read => "read",
            Effect::Insert => "insert",
            Effect::Change => "change",
            Effect::Define => "define",
            Effect::Administer => "administer",
            Effect::Session => "session",
        }
    }
}

/// What stands behind VALUES of an INSERT, as rules say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Values {
    /// Data, which goes on unread and which ClickHouse must not take for anything else.
    #[default]
    Data,
    /// Tuples of expressions, which are read as SQL.
    Expressions,
}

/// A statement that was read.
#[derive(Debug)]
pub struct Statement {
    read: grammar::Read,
}

impl Statement {
    /// What it does.
    pub fn effect(&self) -> Effect {
        self.read.effect
    }

    /// The name of its node in ClickHouse's tree, as `EXPLAIN AST` prints it.
    pub fn kind(&self) -> &'static str {
        self.read.kind
    }

    /// Everything it touches.
    pub fn reach(&self) -> &Reach {
        &self.read.reach
    }

    /// The text that goes to ClickHouse, written from the tokens that were understood; of an INSERT with data its head.
    pub fn canonical(&self) -> &str {
        &self.read.canonical
    }

    /// What another reader of SQL makes of a read; it has no say in anything else.
    pub fn second_opinion(&self) -> Option<Opinion> {
        let read = &self.read;
        (read.effect == Effect::Read).then(|| witness::ask(&read.canonical, read.tokens, read.deepest))
    }

    /// Where the data of an INSERT begins in the text as it came, in bytes.
    pub fn data(&self) -> Option<usize> {
        self.read.data
    }

    /// Whether what stands behind VALUES was read, and is a part of the canonical text.
    pub fn values_are_expressions(&self) -> bool {
        self.read.values_read
    }
}

/// How a statement stands in the record, told as soon as it is known.
#[derive(Debug, Default)]
pub struct Seen {
    /// The statement in the form that the config asks for; nothing where it could not be masked.
    pub statement: Option<Rendered>,
    /// SHA-256 of the text as it came, in hex.
    pub digest: Option<Hex<64>>,
    /// Comments, which do not go to ClickHouse.
    pub comments: Option<Rendered>,
    /// What another reader made of a read.
    pub opinion: Option<Opinion>,
}

/// A caller and what they ask, understood. Only [`understand`] makes one.
pub struct Understood {
    caller: Arc<Caller>,
    method: Method,
    fact: Fact,
    address: Address,
    cache_control: CacheControl,
    uploads: Vec<Upload>,
    /// Boxed, because most statements have none.
    data: Option<Box<Data>>,
}

impl Understood {
    /// Who asks.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// The HTTP method it came by.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// What is asked.
    pub fn statement(&self) -> &Statement {
        &self.fact.statement
    }

    /// What the record tells of its reach.
    pub fn reach_rendered(&self) -> Option<Rendered> {
        self.fact.reach.clone()
    }

    /// The functions and table functions that may give something else the next time, over the same tables.
    pub fn unstable(&self) -> &[String] {
        self.fact.unstable()
    }

    /// Which kept answers the caller takes.
    pub fn cache_control(&self) -> CacheControl {
        self.cache_control
    }

    /// The address parameters that go with it.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The tables that come with it.
    pub fn uploads(&self) -> &[Upload] {
        &self.uploads
    }

    /// How many bytes of data went on so far, where there is any.
    pub fn data_passed(&self) -> Option<Arc<AtomicU64>> {
        self.data.as_deref().map(Data::passed)
    }

    /// Whether data goes with it.
    pub fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// Takes the data of an INSERT: it can be sent but once.
    pub fn take_data(&mut self) -> Option<Box<Data>> {
        self.data.take()
    }
}

/// Stack of a thread that reads statements, in bytes: the deepest nesting that is taken needs less than an eighth of it.
pub const STACK: usize = 16 * 1024 * 1024;

/// Gathers the SQL of a request and reads it. `seen` takes what the record shows, also of what is then refused.
///
/// # Errors
/// 400 with what could not be read, 413 and 408 for what is too long or too slow, 415 for forms and codings that are
/// not taken, each by its name.
pub async fn understand(identified: Identified, limits: &Limits, reader: Reader<'_>, seen: &mut Seen) -> Result<Understood, Refusal> {
    let (caller, head, body) = identified.into_parts();
    let (mut address, shape) = gather::check_head(&head)?;
    let (uploads, gathered) = match shape {
        Shape::Form(boundary) => {
            let uploads = gather::in_time(limits.body_timeout, Box::pin(form::read(body, boundary, &mut address, limits))).await??;
            (uploads, Gathered::whole(address.query(), limits)?)
        }
        Shape::Text(codings) => {
            let pieces = Pieces::new(body, &codings, limits);
            let read = |text: &str| reader.fact(text, address.parameters()).ok();
            (Vec::new(), gather::in_time(limits.body_timeout, gather::text(&head, address.query(), pieces, limits, read)).await??)
        }
    };
    let Gathered { text, fact, data } = gathered;
    let fact = match fact {
        Some(fact) => fact,
        None => reader.whole(&text, address.parameters()).inspect_err(|_| reader.shows(&text, None, seen))?,
    };
    let begins = fact.statement.data().unwrap_or(text.len()).min(text.len());
    reader.shows(&text.slice(..begins), Some(&fact), seen);
    if fact.opinion == Some(Opinion::Disagrees) {
        return Err(Refusal::new(
            Reason::ParsersDisagree,
            "Two readers of SQL disagree on whether this is a read, so it is not passed on; write it in simpler words, and report it.",
        ));
    }
    let statement = &fact.statement;
    if !uploads.is_empty() && statement.data().is_some() {
        return Err(Refusal::new(Reason::NotUnderstood, "An INSERT with data takes no tables along; send them with INSERT ... SELECT."));
    }
    // That of an INSERT is its data's, which the header does not change; drivers send it with every statement.
    let answers = statement.effect() != Effect::Insert;
    if let Some((says, own)) = address.format_in_header().zip(statement.reach().format.as_deref()).filter(|(says, own)| answers && says != own) {
        let says = format!("The statement says FORMAT {} and X-ClickHouse-Format says {says}; say it once.", own.escape_debug());
        return Err(Refusal::new(Reason::MalformedParameter, says));
    }
    let data = data.or_else(|| statement.data().map(|_| Data::undone(text.slice(begins..), Pieces::none(limits), limits)));
    let cache_control = CacheControl::of(head.headers());
    Ok(Understood { caller, method: head.method().clone(), fact, address, cache_control, uploads, data })
}

/// What statements are read with.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Statements that were understood before.
    pub kept: &'a Kept,
    /// What stands behind VALUES of this caller's INSERTs.
    pub values: Values,
    /// How statements stand in the record.
    pub form: StatementForm,
}

impl Reader<'_> {
    /// What is understood of a text, read now or kept from before.
    fn fact(self, text: &str, parameters: &Parameters) -> Result<Fact, Refusal> {
        let key = kept::key(text, parameters, self.values);
        if let Some(fact) = self.kept.find(&key) {
            return Ok(fact);
        }
        let statement = read_as(text, parameters, self.values)?;
        let data = statement.data().and_then(|at| text.split_at_checked(at));
        let fact = Fact::of(statement, data.map_or(text, |(head, _)| head));
        // Data comes but once.
        if data.is_none_or(|(_, data)| data.trim().is_empty()) {
            self.kept.keep(key, fact.clone());
        }
        Ok(fact)
    }

    /// The same of bytes, which only in the data of an INSERT may be anything but UTF-8.
    fn whole(self, text: &[u8], parameters: &Parameters) -> Result<Fact, Refusal> {
        let not_utf8 = |error| Refusal::new(Reason::NotUtf8, "The statement is not UTF-8.").because(error);
        match std::str::from_utf8(text) {
            Ok(text) => self.fact(text, parameters),
            Err(error) => {
                self.fact(gather::readable(text), parameters).ok().filter(|fact| fact.statement.data().is_some()).ok_or_else(|| not_utf8(error))
            }
        }
    }

    /// What the record shows of it.
    fn shows(self, text: &[u8], fact: Option<&Fact>, seen: &mut Seen) {
        seen.digest = Some(fact.map_or_else(|| Hex::of(&sha256(text)), |fact| fact.digest));
        if let Some(fact) = fact {
            seen.comments = fact.comments.clone();
            seen.opinion = fact.opinion;
        }
        seen.statement = match self.form {
            StatementForm::Full => Rendered::of(&String::from_utf8_lossy(text)),
            StatementForm::Masked => fact.and_then(|fact| fact.masked.clone()),
            StatementForm::Digest => None,
        };
    }
}

/// Reads a statement from text alone, as the gate does after gathering it, and as a client does, for whom a statement may
/// end before its text: the gate never has all of an INSERT's data. `parameters` are the values of `{name:Type}`.
///
/// # Errors
/// 400 with what could not be read.
pub fn read(text: &str, parameters: &Parameters) -> Result<Statement, Refusal> {
    let statement = read_as(text, parameters, Values::Data)?;
    let data = statement.data().and_then(|at| text.get(at..)).unwrap_or_default();
    let follows = statement.reach().format.as_deref().is_some_and(|format| grammar::a_statement_follows(format, data));
    if follows { Err(several()) } else { Ok(statement) }
}

fn read_as(text: &str, parameters: &Parameters, values: Values) -> Result<Statement, Refusal> {
    match grammar::read(text, parameters, values) {
        Ok(read) => Ok(Statement { read }),
        Err(Problem::Empty) => Err(Refusal::new(
            Reason::EmptyStatement,
            "There is no statement, or only comments, spaces and semicolons; send one as the body or as the address parameter `query`.",
        )),
        Err(Problem::Several) => Err(several()),
        Err(Problem::Unread(says)) => Err(Refusal::new(Reason::NotUnderstood, says)),
    }
}

fn several() -> Refusal {
    Refusal::new(Reason::SeveralStatements, "One request carries one statement; send the next one on its own.")
}

/// The tokens of a text and the bytes that each covers, by the names of ClickHouse's function `tokenizeQuery`: for tools
/// and tests. They cover the whole text, and reading goes on after what is no token.
pub fn tokens(text: &str) -> Vec<(&'static str, Range<usize>)> {
    let mut lexer = Lexer::new(text);
    let tokens = std::iter::from_fn(|| Some(lexer.next_token()).filter(|token| token.kind != Kind::EndOfStream));
    tokens.map(|token| (token.kind.name(), token.start as usize..token.end as usize)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(text: &str) -> Reach {
        let read = read(text, &Parameters::new());
        let Ok(Statement { read }) = read else { return Reach::default() };
        read.reach
    }

    #[test]
    fn every_value_of_a_setting_is_kept() {
        let reach = reach("SELECT * FROM (SELECT 1 SETTINGS max_threads = 9) SETTINGS max_threads = 1, max_threads = DEFAULT");
        let values = reach.settings.get("max_threads").map(|values| values.iter().map(Option::as_deref).collect::<Vec<_>>());
        assert_eq!(values, Some(vec![None, Some("1"), Some("9")]));
    }

    #[test]
    fn clauses_around_filters_are_told() {
        for (text, clauses) in [
            ("SELECT 1 FROM t SETTINGS a = 1", vec![]),
            ("SELECT 1 FROM t SETTINGS a = 1 FORMAT CSV", vec![]),
            ("SELECT 1 FROM t FORMAT CSV SETTINGS a = 1", vec![]),
            ("SELECT 1 FROM (SELECT 2 FROM t SETTINGS a = 1)", vec![Clause::InnerSettings]),
            ("SELECT 1 FROM t SETTINGS a = 1 UNION ALL SELECT 2", vec![Clause::InnerSettings]),
            ("FROM t |> WHERE 1 SETTINGS a = 1 |> LIMIT 1", vec![Clause::InnerSettings]),
            ("SELECT 1 FROM format(CSV, '1', SETTINGS a = 1)", vec![Clause::InnerSettings]),
            ("SELECT 1 FROM t PREWHERE x", vec![Clause::Prewhere]),
            ("SELECT (SELECT 1 FROM t PREWHERE x)", vec![Clause::Prewhere]),
            ("EXPLAIN SELECT 1 FROM t", vec![Clause::Explain]),
            ("SELECT * FROM (EXPLAIN SELECT 1 FROM t)", vec![Clause::Explain]),
            ("SHOW TABLES FROM d WHERE total_rows > 1", vec![Clause::ShowWhere]),
            ("SHOW TABLES FROM d LIKE 'x'", vec![]),
            ("SELECT 1 FROM t WHERE _partition_value.1 = ''", vec![Clause::PartColumn]),
            ("SELECT x._part FROM t AS x", vec![Clause::PartColumn]),
            ("SELECT `_p\\x61rt` FROM t", vec![Clause::PartColumn]),
            ("SELECT COLUMNS(_part) FROM t", vec![Clause::PartColumn]),
            ("SELECT a -> _part FROM t", vec![Clause::PartColumn]),
            ("SELECT '_part', part, a_part, _table FROM t", vec![]),
        ] {
            assert_eq!(reach(text).clauses.into_iter().collect::<Vec<_>>(), clauses, "{text}");
        }
    }

    #[test]
    fn what_is_written_anew_is_read_again() {
        let text = "SELECT * FROM (EXPLAIN a$b = 1 SELECT 1)";
        let canonical = read(text, &Parameters::new()).map(|statement| statement.canonical().to_owned()).unwrap_or_default();
        assert_eq!(canonical, "SELECT * FROM (EXPLAIN `a$b` = 1 SELECT 1)");
        assert!(read(&canonical, &Parameters::new()).is_ok());
    }

    #[test]
    fn a_function_that_rows_go_to_is_told_from_one_that_they_come_from() {
        let reach = reach("INSERT INTO FUNCTION file('a.csv', CSV) SELECT * FROM url('http://a/', CSV)");
        assert_eq!(reach.table_functions.len(), 2);
        assert_eq!(reach.target_functions.into_iter().collect::<Vec<_>>(), ["file"]);
    }

    #[test]
    fn a_pasted_script_is_told_of_a_whole_text_alone() {
        let parameters = Parameters::new();
        let pasted = "INSERT INTO t FORMAT JSONEachRow {}\n\nSELECT 1";
        assert_eq!(read(pasted, &parameters).map_err(|refusal| refusal.reason()).err(), Some(Reason::SeveralStatements));
        // The same may come to the gate in pieces, of which it reads the first.
        assert!(read_as(pasted, &parameters, Values::Data).is_ok());
    }
}
