//! Who may do what: the first rule that is meant for the caller judges the statement, alone and finally.
//!
//! [`decide()`] is pure: no clock, no network, no global. What it returns is the only thing that goes to ClickHouse.

mod base;
mod catalog;
mod decide;
mod file;
mod index;
mod pattern;
mod whom;
mod windows;

pub use decide::{Permit, Permitted, decide};
pub use file::{Choice, Rule, Rules, WrittenRules, files, load};
pub use whom::Asking;
