//! How many statements may run at once and begin in a minute, as it is written and as it is checked.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use super::problems::Problems;

/// How much may be asked; what is left out has no limit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct WrittenShare {
    /// Statements that run at once.
    pub concurrent: Option<u32>,
    /// Statements that begin in a minute: so many at once, and then one for each part of it.
    pub per_minute: Option<u32>,
}

/// How much may be asked by one rule; what is left out has no limit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct WrittenShares {
    /// Statements that run at once, of all its callers together.
    pub concurrent: Option<u32>,
    /// Statements that begin in a minute, of all its callers together.
    pub per_minute: Option<u32>,
    /// The same for each of its callers.
    #[serde(default)]
    pub caller: WrittenShare,
}

/// How much may be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Statements that run at once; any number without.
    pub concurrent: Option<NonZeroU32>,
    /// Statements that begin in a minute; any number without.
    pub per_minute: Option<NonZeroU32>,
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

    /// Checks what is written at this key.
    pub fn check(concurrent: Option<u32>, per_minute: Option<u32>, key: &str, problems: &mut Problems) -> Self {
        let mut most = |name, written: Option<u32>| {
            let most = written.map(NonZeroU32::new);
            if most == Some(None) {
                problems.add(format!("{key}.{name}"), "is 0, which would let nobody ask; write a larger number, or leave it out for no limit");
            }
            most.flatten()
        };
        Self { concurrent: most("concurrent", concurrent), per_minute: most("per_minute", per_minute) }
    }
}

impl WrittenShare {
    /// Checks what is written at this key.
    pub fn check(&self, key: &str, problems: &mut Problems) -> Share {
        Share::check(self.concurrent, self.per_minute, key, problems)
    }
}

impl WrittenShares {
    /// Checks what is written at this key.
    pub fn check(&self, key: &str, problems: &mut Problems) -> Shares {
        let all = Share::check(self.concurrent, self.per_minute, key, problems);
        Shares { all, caller: self.caller.check(&format!("{key}.caller"), problems) }
    }
}
