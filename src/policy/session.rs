//! Sessions of ClickHouse, by rules that give them: whose they are, and what may not be said in one.
//!
//! ClickHouse keeps a session by its user and its id, and many callers have one user. What is sent is an id of one caller by one rule,
//! made of all that decides what that caller may see; nobody else can have it.
//!
//! What stays in a session is what `SET` was allowed to set and temporary tables. These are judged as tables of the current
//! database: a name without one may be either, and so the rule has to allow the table of that name.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::settings::{Sent, Why};
use crate::config::Problems;
use crate::config::checked::duration;
use crate::digest::{Hex, Parts};
use crate::refusal::{Reason, Refusal};
use crate::statement::{Effect, Understood};

/// What ClickHouse keeps a session for where nobody says how long, and at most (`default_session_timeout`, `max_session_timeout`).
const USUAL: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Longest name of a session, in bytes.
const LONGEST_NAME: usize = 256;

/// Statements that leave something in a session that does not change what others mean.
const KINDS: [&str; 2] = ["Set", "CreateQuery"];

/// What a rule gives, as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WrittenSessions {
    /// Most sessions that one caller has at once; clickhouse-connect begins one for each client that is made.
    #[serde(default = "per_caller")]
    pub per_caller: u32,
    /// How long ClickHouse keeps one between two statements, at most (`session_timeout`), as `10m`; no more than an hour.
    #[serde(default = "timeout")]
    pub timeout: String,
}

fn per_caller() -> u32 {
    100
}

fn timeout() -> String {
    "10m".to_owned()
}

/// What a rule gives.
#[derive(Debug)]
pub(super) struct Sessions {
    per_caller: u32,
    timeout: Duration,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    /// What ClickHouse knows it by: SHA-256, of which nobody can make one for another caller or rule.
    pub id: Hex<64>,
    /// The caller, and the rule.
    pub whose: (Arc<str>, Arc<str>),
    /// How many these may have at once.
    pub most: u32,
    /// How long ClickHouse keeps it between two statements, in whole seconds.
    pub timeout: Duration,
    /// Whether it must be there.
    pub check: bool,
}

/// Under what a session is asked for.
pub(super) struct Under<'a> {
    /// SHA-256 of all that the rule says.
    pub(super) rule: &'a [u8; 32],
    pub(super) name: &'a Arc<str>,
    pub(super) act_as: &'a str,
    pub(super) roles: &'a [String],
    pub(super) settings: &'a [Sent],
}

impl Sessions {
    /// Checks what is written at this place.
    pub(super) fn check(written: &WrittenSessions, place: &str, problems: &mut Problems) -> Self {
        if written.per_caller == 0 {
            problems.add(format!("{place}.per_caller"), "is 0, which gives nobody one; leave `sessions` out");
        }
        let timeout = duration(format!("{place}.timeout"), &written.timeout, problems);
        if timeout > LONGEST || timeout.as_secs() == 0 || timeout.subsec_nanos() > 0 {
            problems.add(format!("{place}.timeout"), "is no time of whole seconds up to an hour, which is what ClickHouse keeps sessions for");
        }
        Self { per_caller: written.per_caller, timeout }
    }

    /// The session that the request asks for.
    ///
    /// # Errors
    /// 400 where what it says of one cannot be read.
    pub(super) fn of(&self, understood: &Understood, under: &Under<'_>) -> Result<Option<Session>, Refusal> {
        let Some((name, timeout, check)) = understood.address().session() else { return Ok(None) };
        let malformed = |says: &str| Err(Refusal::new(Reason::MalformedParameter, says));
        if name.is_empty() || name.len() > LONGEST_NAME {
            return malformed("The address parameter `session_id` is empty or longer than 256 bytes; give the session a short name.");
        }
        let timeout = match timeout.map(str::parse::<u32>) {
            None => USUAL,
            Some(Ok(seconds)) if seconds > 0 => Duration::from_secs(seconds.into()),
            Some(_) => return malformed("The address parameter `session_timeout` takes a number of seconds."),
        };
        let check = match check {
            None | Some("0" | "false") => false,
            Some("1" | "true") => true,
            Some(_) => return malformed("The address parameter `session_check` takes one of: 0, 1, false, true."),
        };
        let caller = understood.caller().key();
        let mut parts = Parts::default();
        parts.add(caller.as_bytes());
        parts.add(under.rule);
        parts.add(under.act_as.as_bytes());
        parts.add_all(under.roles.iter().map(String::as_str));
        for sent in under.settings.iter().filter(|sent| sent.why != Why::Asked) {
            parts.add(sent.name.as_bytes());
            parts.add(sent.value.as_bytes());
        }
        parts.add(name.as_bytes());
        let whose = (Arc::clone(caller), Arc::clone(under.name));
        Ok(Some(Session { id: Hex::of(&parts.sha256()), whose, most: self.per_caller, timeout: timeout.min(self.timeout), check }))
    }
}

/// Refuses what would stay in a session and change how later statements are read or judged, and what rests on something that may have
/// stayed there.
///
/// # Errors
/// 403 for such a statement, 400 where a parameter has no value in this request.
pub(super) fn hold(understood: &Understood) -> Result<(), Refusal> {
    let (statement, reach) = (understood.statement(), understood.statement().reach());
    let stays = |what: &str| {
        let says = format!(
            "{what} would stay in the session (`session_id`) and change what later statements mean; say it with each request instead (`database=`, `role=`, `param_...`), or ask without a session."
        );
        Err(Refusal::new(Reason::SessionStatement, says))
    };
    if statement.kind() == "ExecuteAsQuery" || (statement.effect() == Effect::Session && !KINDS.contains(&statement.kind())) {
        return stays(&format!("A statement of this kind ({})", statement.kind()));
    }
    if statement.kind() == "Set"
        && let Some((name, _)) = reach.settings.iter().find(|(name, values)| name.starts_with("param_") || values.contains(&None))
    {
        return stays(&format!("`SET {}`, as it is written,", name.escape_debug()));
    }
    let given = understood.address().parameters();
    match reach.parameters.keys().find(|name| !given.contains_key(*name)) {
        Some(name) => {
            let says = format!("The statement has a parameter `{}` and the request no `param_{}`; in a session each comes along.", name, name);
            Err(Refusal::new(Reason::MalformedParameter, says))
        }
        None => Ok(()),
    }
}
