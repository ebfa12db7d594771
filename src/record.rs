//! What is left of every request: one line, and numbers.

mod audit;
mod body;
mod entry;
mod metrics;

pub use audit::{Audit, Lost};
pub use body::{Draft, Recorded, Recording, Stopped, Told};
pub use entry::{CallerLine, Entry, Outcome, ReachLine, Rendered, RequestId};
pub use metrics::Metrics;
