//! The house as a whole: the built program between real sockets, one binary for all integration tests.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    clippy::map_err_ignore,
    clippy::panic,
    clippy::string_slice,
    clippy::unreachable,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]
#![allow(missing_docs, unreachable_pub, reason = "nobody depends on a test")]

mod support;

mod accounts;
mod admission;
mod answers;
mod attacks;
mod attempts;
mod bombs;
mod catalog;
mod check;
mod chproxy;
mod clients;
mod codings;
mod corpus;
mod cors;
mod credentials;
mod deadlines;
#[cfg(feature = "demo")]
mod demo;
mod diagnosis;
mod differential;
mod egress;
mod explain;
mod faults;
mod generated;
mod grants;
mod identity_attacks;
mod keys;
mod kill;
mod listen;
mod modern;
mod oracle;
mod origin;
mod presets;
mod properties;
mod providers;
mod readme;
mod reload;
mod rows;
mod sessions;
mod statements;
mod streaming;
mod support_works;
mod tokens;
mod told;
mod under_load;
mod verdicts;
mod walk;
mod ways;
mod whom;
mod workers;
