//! Who may do what: the first rule that is meant for the caller judges the statement, alone and finally.
//!
//! [`decide()`] is pure: no clock, no network, no global. What it returns is the only thing that goes to ClickHouse.

mod base;
mod decide;
mod file;
mod index;
mod keeping;
mod means;
mod names;
mod pattern;
mod rows;
mod rule;
mod session;
mod settings;
mod template;
mod whom;
mod windows;

pub use base::is_of_system;
pub use decide::{Denied, Kill, Permit, Permitted, decide};
pub use file::{Choice, Names, Rules, WrittenRules, files, is_test, load};
pub use keeping::{Keeping, SharedWith};
pub use means::{Means, is_filtered_engine, open_tables};
pub use pattern::Pattern;
pub use rule::{Openness, Rule};
pub use session::Session;
pub use settings::{Sent, Why};
pub use whom::Asking;
