//! The one place that reads the clock; everything else is handed the time.

use std::time::{Instant, SystemTime};

/// The wall clock, for what tokens and records say.
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// The monotonic clock, for how long something took or may take.
pub fn tick() -> Instant {
    Instant::now()
}
