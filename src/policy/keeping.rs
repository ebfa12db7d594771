//! Which answers a rule keeps, for how long, and for whom.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::Rule;
use super::template::Template;
use crate::catalog;
use crate::config::Problems;
use crate::config::checked::{duration, size};
use crate::digest::sha256;

/// Longest time that an answer is kept.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Classes of functions that tell of whoever asked.
const OF_THE_CALLER: [&str; 2] = ["caller", "settings"];

/// What a rule keeps, as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WrittenAnswers {
    /// How long an answer is kept, as `30s`; at most a day.
    pub ttl: String,
    /// How much longer it is given while it is asked again behind its callers; left out: not at all.
    pub stale_while_refreshing: Option<String>,
    /// A longer answer is not kept.
    #[serde(default = "max_entry_bytes")]
    pub max_entry_bytes: String,
    /// Who is given an answer that was asked by one: the same `caller` alone, all callers of the `rule`, or of every rule with this
    /// `act_as` that says so too. Other than `caller` only where the rule has no `rows` and no `session_settings` with a caller's values.
    #[serde(default)]
    pub shared_with: SharedWith,
    /// Functions and table functions that do not keep an answer from being kept although it could be another one the next time: `now`,
    /// `today`, `url`.
    #[serde(default)]
    pub functions: Vec<String>,
}

fn max_entry_bytes() -> String {
    "1MiB".to_owned()
}

/// Who is given an answer that one has asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SharedWith {
    /// The same caller.
    #[default]
    Caller,
    /// Every caller of the rule.
    Rule,
    /// Every caller of a rule with the same ClickHouse user.
    ActAs,
}

/// What a rule keeps.
#[derive(Debug)]
pub struct Keeping {
    /// How long an answer is kept.
    pub ttl: Duration,
    /// How much longer it is given while it is asked again.
    pub stale_while_refreshing: Duration,
    /// Most bytes of one.
    pub max_entry_bytes: usize,
    /// Who is given it.
    pub shared_with: SharedWith,
    /// SHA-256 of all that the rule says: another rule of the same name is another one.
    pub rule: [u8; 32],
    functions: BTreeSet<String>,
}

/// What becomes of an answer, for people.
impl fmt::Display for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kept for {}", humantime::format_duration(self.ttl))?;
        if !self.stale_while_refreshing.is_zero() {
            write!(f, ", and {} more while it is asked again", humantime::format_duration(self.stale_while_refreshing))?;
        }
        let whom = match self.shared_with {
            SharedWith::Caller => "this caller",
            SharedWith::Rule => "all callers of the rule",
            SharedWith::ActAs => "all callers of this ClickHouse user",
        };
        write!(f, ", for {whom}, where it has at most {}", bytesize::ByteSize(self.max_entry_bytes as u64))
    }
}

impl Keeping {
    /// Checks what is written at this place, for a rule that is complete but for it.
    pub(super) fn check(written: WrittenAnswers, place: &str, rule: &Rule, problems: &mut Problems) -> Self {
        let fingerprint = sha256(format!("{:?}{written:?}", rule.digest).as_bytes());
        let ttl = duration(format!("{place}.ttl"), &written.ttl, problems);
        let stale = written.stale_while_refreshing.map(|text| duration(format!("{place}.stale_while_refreshing"), &text, problems));
        let stale_while_refreshing = stale.unwrap_or_default();
        if ttl.max(stale_while_refreshing) > LONGEST {
            problems.add(place, "keeps answers for longer than a day; write at most 24h for `ttl` and for `stale_while_refreshing`");
        }
        if written.shared_with != SharedWith::Caller {
            if !rule.rows.is_empty() || !rule.session_settings.values().all(Template::is_the_same_for_all) {
                let says =
                    "shares answers of a rule that gives each caller others (`rows`, or `session_settings` with a caller's values); write `caller`";
                problems.add(format!("{place}.shared_with"), says);
            }
            let of_the_caller = |name: &&String| catalog::function_class(name).is_some_and(|class| OF_THE_CALLER.contains(&class));
            for name in written.functions.iter().filter(of_the_caller) {
                problems.add(format!("{place}.functions"), format!("`{name}` tells of whoever asked, and the answers are shared; leave it out"));
            }
        }
        for name in written.functions.iter().filter(|name| name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control())) {
            problems
                .add(format!("{place}.functions"), format!("`{}` is no name of a function; write one as in system.functions", name.escape_debug()));
        }
        Self {
            ttl,
            stale_while_refreshing,
            max_entry_bytes: size(format!("{place}.max_entry_bytes"), &written.max_entry_bytes, problems),
            shared_with: written.shared_with,
            rule: fingerprint,
            functions: written.functions.iter().map(|name| name.to_lowercase()).collect(),
        }
    }

    /// Whether this call does not keep an answer from being kept.
    pub fn takes(&self, function: &str) -> bool {
        self.functions.contains(&function.to_lowercase())
    }
}
