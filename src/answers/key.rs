//! What an answer is found by: everything that can change its bytes, or who may see them.
//!
//! What Keyhouse sends with every statement alike is no part of it: the settings that close something, the headers. Nothing of a
//! caller's head goes to ClickHouse, and no answer is coded for its caller; what is not sent cannot change an answer.

use super::Target;
use crate::digest::Parts;
use crate::policy::{Keeping, Permitted, SharedWith};

/// SHA-256 of all that.
pub(super) type Key = [u8; 32];

/// The key of a statement that was permitted by a rule that keeps answers, at the place where its user's statements go.
pub(super) fn key(permitted: &Permitted, keeping: &Keeping, target: &Target) -> Key {
    let (permit, understood) = (permitted.permit(), permitted.understood());
    let mut parts = Parts::default();
    // Who may be given it. What is shared beyond a rule is of no rule: each has judged the statement by itself.
    match keeping.shared_with {
        SharedWith::Caller => {
            parts.add(b"caller");
            parts.add(understood.caller().key().as_bytes());
            parts.add(&keeping.rule);
        }
        SharedWith::Rule => {
            parts.add(b"rule");
            parts.add(permit.rule().as_bytes());
            parts.add(&keeping.rule);
        }
        SharedWith::ActAs => parts.add(b"act_as"),
    }
    parts.add(permit.act_as().as_bytes());
    parts.add(&target.digest);
    parts.add(permit.database().as_bytes());
    parts.add_all(permit.roles().iter().map(String::as_str));
    let settings = permit.settings();
    parts.count(settings.len());
    for sent in settings {
        parts.add(sent.name.as_bytes());
        parts.add(sent.value.as_bytes());
        parts.add(&[sent.why as u8]);
    }
    parts.add(understood.statement().canonical().as_bytes());
    parts.add_one(understood.address().default_format());
    parts.add(&understood.address().protocol_version().unwrap_or_default().to_be_bytes());
    let given = understood.address().parameters();
    let used = understood.statement().reach().parameters.keys();
    parts.count(used.len());
    for name in used {
        parts.add(name.as_bytes());
        parts.add_one(given.get(name).map(String::as_str));
    }
    parts.sha256()
}
