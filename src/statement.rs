//! What is asked: the SQL exactly as ClickHouse would join it, read before anything is decided, and written anew.
//!
//! Reading is sqlparser's, with its ClickHouse dialect, and its lexer and grammar are not ClickHouse's. Three things
//! keep that safe: only forms of tokens are taken that both read alike, what goes to ClickHouse is written from those
//! tokens, and whatever looks like a call is judged by the tokens alone, whatever the grammar made of it.

mod address;
mod gather;
mod grammar;
mod reach;
mod text;

use std::sync::Arc;

use http::Method;

pub use address::{Address, SETTINGS};
pub use reach::{Name, Reach};

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
    effect: Effect,
    reach: Reach,
    canonical: String,
}

impl Statement {
    /// What it does.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Everything it touches.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The text that goes to ClickHouse, written from the tokens that were understood.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

/// How a statement stands in the record, told as soon as it is known.
#[derive(Debug, Default)]
pub struct Seen {
    /// The statement in the form that the config asks for; nothing where it could not be masked.
    pub statement: Option<String>,
    /// SHA-256 of the text as it came, in hex.
    pub digest: Option<String>,
}

/// A caller and what they ask, understood. Only [`understand`] makes one.
pub struct Understood {
    caller: Arc<Caller>,
    method: Method,
    statement: Statement,
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

/// Stack of a thread that reads statements, in bytes. The longest row that is taken needs about 2 MiB of it in a release
/// build and 45 MiB in a debug one; what is not touched costs nothing.
pub const STACK: usize = 64 * 1024 * 1024;

/// Gathers the SQL of a request and reads it. `seen` takes what the record shows, also of what is then refused.
///
/// # Errors
/// 400 with what could not be read, 413 and 408 for what is too long or too slow, 415 for forms and codings that are
/// not taken, each by its name.
pub async fn understand(identified: Identified, limits: &Limits, form: StatementForm, seen: &mut Seen) -> Result<Understood, Refusal> {
    let (caller, head, body) = identified.into_parts();
    let address = gather::check_head(&head)?;
    let text = gather::text(&head, address.query(), body, limits).await?;
    seen.digest = Some(hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref()));
    if form == StatementForm::Full {
        seen.statement = Some(text.clone());
    }
    let read = text::Text::read(&text)?;
    if form == StatementForm::Masked {
        seen.statement = Some(read.masked());
    }
    let statement = guarded(|| grammar::parse(read))?;
    Ok(Understood { caller, method: head.method().clone(), statement, address })
}

/// A fault of the parser must cost its own request and nothing else.
fn guarded(parse: impl FnOnce() -> Result<Statement, Refusal>) -> Result<Statement, Refusal> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(parse)).unwrap_or_else(|_panic| {
        Err(Refusal::new(Reason::NotUnderstood, "The statement cannot be read; write it in simpler words.").because("the parser panicked"))
    })
}

/// Reads a statement from text alone, as the gate does after gathering it.
///
/// # Errors
/// 400 with what could not be read.
pub fn read(text: &str) -> Result<Statement, Refusal> {
    let read = text::Text::read(text)?;
    guarded(|| grammar::parse(read))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
