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
//!   set, and data for the others: refused;
//! - what a common table expression's name means in its own body, in a body before it, in a second arm or below another of
//!   the same name differs by version and by `enable_global_with_statement` (which is sent as 1): where any could take it
//!   for the table of that name, it counts as both;
//! - which of two tables `FROM a UUID '...'` reads differs: it counts as computed;
//! - 26.9 calls a function by its bare name in `arrayMap(f, x)`: counted as a call for all;
//! - what only 26.x has (pipes, FROM without SELECT, joins in brackets) is a syntax error for the others.

mod address;
mod canonical;
#[cfg_attr(not(test), expect(dead_code, reason = "until bodies are decoded by it"))]
mod coding;
mod gather;
mod grammar;
mod kept;
mod lexer;
mod reach;
mod witness;

use std::ops::Range;
use std::sync::Arc;

use http::Method;

use grammar::Problem;
use kept::Fact;
use lexer::{Kind, Lexer};

pub use address::{Address, SETTINGS};
pub use grammar::Parameters;
pub use kept::Kept;
pub use reach::{Name, Reach, Via};
pub use witness::Opinion;

use crate::config::{Limits, StatementForm};
use crate::identity::{Caller, Identified};
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

/// A statement that was read.
#[derive(Debug)]
pub struct Statement {
    read: grammar::Read,
    data: String,
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

    /// The data that follows the head of an INSERT, as it came.
    pub fn data(&self) -> &str {
        &self.data
    }
}

/// How a statement stands in the record, told as soon as it is known.
#[derive(Debug, Default)]
pub struct Seen {
    /// The statement in the form that the config asks for; nothing where it could not be masked.
    pub statement: Option<String>,
    /// SHA-256 of the text as it came, in hex.
    pub digest: Option<String>,
    /// Comments, which do not go to ClickHouse.
    pub comments: Vec<String>,
    /// What another reader made of a read.
    pub opinion: Option<Opinion>,
}

/// A caller and what they ask, understood. Only [`understand`] makes one.
pub struct Understood {
    caller: Arc<Caller>,
    method: Method,
    statement: Arc<Statement>,
    address: Address,
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
        &self.statement
    }

    /// The address parameters that go with it.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// Stack of a thread that reads statements, in bytes: the deepest nesting that is taken needs less than an eighth of it.
pub const STACK: usize = 16 * 1024 * 1024;

/// Gathers the SQL of a request and reads it. `seen` takes what the record shows, also of what is then refused.
///
/// # Errors
/// 400 with what could not be read, 413 and 408 for what is too long or too slow, 415 for forms and codings that are
/// not taken, each by its name.
pub async fn understand(identified: Identified, limits: &Limits, kept: &Kept, form: StatementForm, seen: &mut Seen) -> Result<Understood, Refusal> {
    let (caller, head, body) = identified.into_parts();
    let address = gather::check_head(&head)?;
    let text = gather::text(&head, address.query(), body, limits).await?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    seen.digest = Some(hex(digest.as_ref()));
    if form == StatementForm::Full {
        seen.statement = Some(text.clone());
    }
    let key = kept::key(digest.as_ref(), address.parameters());
    let Fact { statement, opinion } = match kept.find(&key) {
        Some(fact) => fact,
        None => {
            let statement = Arc::new(read(&text, address.parameters())?);
            let fact = Fact { opinion: statement.second_opinion(), statement };
            kept.keep(key, fact.clone());
            fact
        }
    };
    seen.comments.clone_from(&statement.read.comments);
    if form == StatementForm::Masked {
        seen.statement = Some(statement.read.masked.clone());
    }
    seen.opinion = opinion;
    if opinion == Some(Opinion::Disagrees) {
        return Err(Refusal::new(
            Reason::ParsersDisagree,
            "Two readers of SQL disagree on whether this is a read, so it is not passed on; write it in simpler words, and report it.",
        ));
    }
    Ok(Understood { caller, method: head.method().clone(), statement, address })
}

/// Reads a statement from text alone, as the gate does after gathering it. `parameters` are the values of `{name:Type}`.
///
/// # Errors
/// 400 with what could not be read.
pub fn read(text: &str, parameters: &Parameters) -> Result<Statement, Refusal> {
    match grammar::read(text, parameters) {
        Ok(read) => {
            let data = read.data.and_then(|at| text.get(at..)).unwrap_or_default().to_owned();
            Ok(Statement { read, data })
        }
        Err(Problem::Empty) => Err(Refusal::new(
            Reason::EmptyStatement,
            "There is no statement, or only comments, spaces and semicolons; send one as the body or as the address parameter `query`.",
        )),
        Err(Problem::Several) => Err(Refusal::new(Reason::SeveralStatements, "One request carries one statement; send the next one on its own.")),
        Err(Problem::Unread(says)) => Err(Refusal::new(Reason::NotUnderstood, says)),
    }
}

/// The tokens of a text and the bytes that each covers, by the names of ClickHouse's function `tokenizeQuery`: for tools
/// and tests. They cover the whole text, and reading goes on after what is no token.
pub fn tokens(text: &str) -> Vec<(&'static str, Range<usize>)> {
    let mut lexer = Lexer::new(text);
    let tokens = std::iter::from_fn(|| Some(lexer.next_token()).filter(|token| token.kind != Kind::EndOfStream));
    tokens.map(|token| (token.kind.name(), token.start as usize..token.end as usize)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
