//! Keyhouse: an identity-aware reverse proxy in front of ClickHouse's HTTP interface.
//!
//! This page is the architecture. A request walks through the rooms in this order, written as one function in
//! [`gate`]; each stage consumes the one before and can be made nowhere else:
//!
//! | room | makes | what can no longer happen |
//! | --- | --- | --- |
//! | [`listen`] | `Arrived` | nothing in it is believed yet |
//! | [`identity`] | `Identified` | forwarding a token or password; an unknown caller |
//! | [`statement`] | `Understood` | an unread statement; another text than the judged one |
//! | [`policy`] | `Permitted` | a permit for one statement used for another |
//! | [`answers`] | `Found` | an answer for anyone but who may see just that; asking twice what is being asked |
//! | [`sessions`] | `Lease` | a session of more callers than one, or at two nodes |
//! | [`admission`] | `Admitted` | a statement beyond its limits; a slot that is free while its rows still flow |
//! | [`upstream`] | `Answer` | a request to ClickHouse that Keyhouse did not write |
//!
//! A room may name the rooms before it and never one after, but for [`answers`], which keeps what [`upstream`] gave. [`record`], [`refusal`], [`config`], [`dial`], [`digest`],
//! [`workers`] and [`clock`] are shelves: every room may reach them, they name no room; so is [`catalog`], what is known of ClickHouse. [`trial`] walks
//! from the caller to the decision without a server. [`start`] builds the house from a config, [`reload`] from
//! a new one under running requests, [`admin`] tells how it is, [`cli`] is its front door. [`grants`] writes
//! what ClickHouse has to hold the rules to, should all of this err, and [`live`] asks it whether it does.
//!
//! # Invariants, as absences
//!
//! - No caller's request is sent to ClickHouse but by `upstream::forward`, whose only argument of substance is an [`admission::Admitted`], which is made of a [`policy::Permitted`] alone.
//!   What Keyhouse asks of its own are constant questions: for settings, and those of `keyhouse check --live`.
//! - No incoming header or parameter reaches the outgoing request: `upstream::outgoing` has no access to the head.
//! - No credential leaves `identity::credential`: the head that goes on is without them. No ClickHouse password enters
//!   the rooms before [`upstream`].
//! - No decision reads a clock, a socket or a global: `policy::decide` takes a rule and a statement, and
//!   the rule is chosen by a caller, an address and a time that are handed in.
//! - No request changes threads: each of the [`workers`] accepts, reads, asks and answers by itself.
//! - No answer waits to be whole: frames go on as they come, and an answer that breaks on one side breaks on the other.
//! - No request without a record: it is opened before the walk and closed by whatever drops it.
//! - No issuer: nothing here makes a token. The demo's stands in a program of its own (`src/bin/keyhouse-demo`), which
//!   is built only where the feature `demo` is asked for.
//! - No `_` arm that lets through: a match on what a library may extend refuses what it does not know.

pub mod admin;
pub mod admission;
pub mod answers;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dial;
pub mod digest;
pub mod gate;
pub mod grants;
pub mod identity;
pub mod listen;
pub mod live;
pub mod policy;
pub mod record;
pub mod refusal;
pub mod reload;
pub mod sessions;
pub mod start;
pub mod statement;
pub mod trial;
pub mod upstream;
pub mod workers;
