//! How much may be asked: statements at once and in a minute, bytes in a second, what a while has room for.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::checked::{duration, size};
use super::problems::Problems;

/// Longest window.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Shortest time for a statement.
const SHORTEST: Duration = Duration::from_secs(1);

/// How much may be asked; what is left out has no limit.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct WrittenShare {
    /// Statements that run at once.
    pub concurrent: Option<u32>,
    /// Statements that begin in a minute: so many at once, and then one for each part of it.
    pub per_minute: Option<u32>,
    /// Bytes of answers that go out in a second, as `10MiB`; more of them waits.
    pub answers_per_second: Option<String>,
    /// Bytes of INSERTs' data that go on in a second, as `10MiB`; more of it waits.
    pub data_per_second: Option<String>,
    /// What may be used up in a window of time.
    pub window: Option<WrittenWindow>,
    /// How long a statement may take, with its wait, as `5m`; ClickHouse is told what is left of it (`max_execution_time`).
    pub statement_timeout: Option<String>,
}

/// How much may be asked together, and by each caller; what is left out has no limit.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct WrittenShares {
    /// Statements that run at once, of all callers together.
    pub concurrent: Option<u32>,
    /// Statements that begin in a minute, of all callers together.
    pub per_minute: Option<u32>,
    /// Bytes of answers that go out in a second, of all callers together.
    pub answers_per_second: Option<String>,
    /// Bytes of INSERTs' data that go on in a second, of all callers together.
    pub data_per_second: Option<String>,
    /// What may be used up in a window of time, by all callers together.
    pub window: Option<WrittenWindow>,
    /// How long each statement may take, with its wait, as `5m`; ClickHouse is told what is left of it (`max_execution_time`).
    pub statement_timeout: Option<String>,
    /// The same for each caller.
    #[serde(default)]
    pub caller: WrittenShare,
}

/// What may be used up in a window of time, which begins with the first statement behind the last one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct WrittenWindow {
    /// How long it is, as `1h`.
    pub length: String,
    /// Bytes of answers, as `10GiB`; an answer that goes beyond is cut off.
    pub answer_bytes: Option<String>,
    /// How long statements run, added up, as `30m`; one that runs longer than what was left when it began is ended.
    pub running_time: Option<String>,
}

/// How much may be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Statements that run at once; any number without.
    pub concurrent: Option<NonZeroU32>,
    /// Statements that begin in a minute; any number without.
    pub per_minute: Option<NonZeroU32>,
    /// Bytes of answers in a second; any number without.
    pub answers_per_second: Option<NonZeroU64>,
    /// Bytes of data in a second; any number without.
    pub data_per_second: Option<NonZeroU64>,
    /// What may be used up in a while.
    pub window: Option<Window>,
    /// How long a statement may take; for ever without.
    pub statement_timeout: Option<Duration>,
}

/// What may be used up in a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How long it is.
    pub length: Duration,
    /// Bytes of answers; any number without.
    pub answer_bytes: Option<NonZeroU64>,
    /// How long statements run, added up; for ever without.
    pub running_time: Option<Duration>,
}

/// How much may be asked of something, and of that by each caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shares {
    /// All together.
    pub all: Share,
    /// Each caller.
    pub caller: Share,
}

impl Share {
    /// Whether it limits nothing.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// What it limits, for people: nothing where it limits nothing.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { concurrent, per_minute, answers_per_second, data_per_second, window, statement_timeout } = self;
        let size = |bytes: &NonZeroU64| bytesize::ByteSize(bytes.get());
        let time = |time: &Duration| humantime::format_duration(*time);
        let limits = [
            concurrent.map(|most| format!("{most} at once")),
            per_minute.map(|most| format!("{most} a minute")),
            answers_per_second.map(|most| format!("{} of answers a second", size(&most))),
            data_per_second.map(|most| format!("{} of data a second", size(&most))),
            window.and_then(|window| Some(format!("{} of answers in {}", size(&window.answer_bytes?), time(&window.length)))),
            window.and_then(|window| Some(format!("{} of running in {}", time(&window.running_time?), time(&window.length)))),
            statement_timeout.map(|timeout| format!("{} for each statement", time(&timeout))),
        ];
        f.write_str(&limits.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

impl Shares {
    /// Whether they limit nothing.
    pub fn are_open(&self) -> bool {
        *self == Self::default()
    }
}

impl WrittenWindow {
    fn check(&self, key: &str, problems: &mut Problems) -> Window {
        if self.answer_bytes.is_none() && self.running_time.is_none() {
            problems.add(key, "limits nothing; write `answer_bytes` or `running_time`");
        }
        let window = Window {
            length: duration(format!("{key}.length"), &self.length, problems),
            answer_bytes: bytes(self.answer_bytes.as_ref(), &format!("{key}.answer_bytes"), problems),
            running_time: self.running_time.as_ref().map(|text| duration(format!("{key}.running_time"), text, problems)),
        };
        if window.length > LONGEST {
            problems.add(format!("{key}.length"), "is longer than a month; write at most 30days");
        }
        window
    }
}

impl WrittenShare {
    /// Checks what is written at this key.
    pub fn check(&self, key: &str, problems: &mut Problems) -> Share {
        let mut most = |name, written: Option<u32>| {
            let most = written.map(NonZeroU32::new);
            if most == Some(None) {
                problems.add(format!("{key}.{name}"), "is 0, which would let nobody ask; write a larger number, or leave it out for no limit");
            }
            most.flatten()
        };
        let (concurrent, per_minute) = (most("concurrent", self.concurrent), most("per_minute", self.per_minute));
        let statement_timeout = self.statement_timeout.as_ref().map(|text| duration(format!("{key}.statement_timeout"), text, problems));
        if statement_timeout.is_some_and(|timeout| timeout < SHORTEST) {
            problems.add(format!("{key}.statement_timeout"), "is less than a second, which ClickHouse does not count; write at least 1s");
        }
        Share {
            concurrent,
            per_minute,
            answers_per_second: bytes(self.answers_per_second.as_ref(), &format!("{key}.answers_per_second"), problems),
            data_per_second: bytes(self.data_per_second.as_ref(), &format!("{key}.data_per_second"), problems),
            window: self.window.as_ref().map(|window| window.check(&format!("{key}.window"), problems)),
            statement_timeout,
        }
    }
}

fn bytes(written: Option<&String>, key: &str, problems: &mut Problems) -> Option<NonZeroU64> {
    NonZeroU64::new(size(key, written?, problems) as u64)
}

impl WrittenShares {
    /// Checks what is written at this key.
    pub fn check(self, key: &str, problems: &mut Problems) -> Shares {
        let Self { concurrent, per_minute, answers_per_second, data_per_second, window, statement_timeout, caller } = self;
        let all = WrittenShare { concurrent, per_minute, answers_per_second, data_per_second, window, statement_timeout };
        Shares { all: all.check(key, problems), caller: caller.check(&format!("{key}.caller"), problems) }
    }
}
