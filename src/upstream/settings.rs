//! The settings that Keyhouse sends of its own, and to which servers.
//!
//! A server that does not know a setting refuses the whole query (115), so each goes only to a server whose
//! `system.settings` has it. One that protects is left out only where the feature that it closes is missing too.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::json;

use super::User;
use super::node::{Failure, Node};
use crate::policy::Permitted;
use crate::record::RequestId;
use crate::refusal::{Reason, Refusal};
use crate::statement::{Effect, SETTINGS};

/// Which statements a setting goes with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum With {
    All,
    Reads,
    /// INSERTs whose values are data.
    Inserts,
}

/// A setting that closes something.
struct Closing {
    name: &'static str,
    value: &'static str,
    with: With,
    /// Whether a server without it is without the feature too.
    came_with_the_feature: bool,
}

/// Settings that close what a caller must not have, whatever the user's profile says.
const CLOSING: [Closing; 5] = [
    // Other dialects would read another statement out of the same text.
    Closing { name: "dialect", value: "clickhouse", with: With::All, came_with_the_feature: true },
    // CTEs were judged as visible below; without it a table of the same name would be read.
    Closing { name: "enable_global_with_statement", value: "1", with: With::Reads, came_with_the_feature: true },
    // Values are data here and never code (clickhouse-http R11).
    Closing { name: "input_format_values_interpret_expressions", value: "0", with: With::Inserts, came_with_the_feature: false },
    Closing { name: "input_format_values_deduce_templates_of_expressions", value: "0", with: With::Inserts, came_with_the_feature: true },
    // A second lock behind our own reading. Last: from there on some servers take no change.
    Closing { name: READONLY, value: "2", with: With::Reads, came_with_the_feature: false },
];

const READONLY: &str = "readonly";

/// Ends a read whose caller left, at its next progress: ClickHouse would go on otherwise. It takes `readonly` above 0.
const CANCEL: &str = "cancel_http_readonly_queries_on_client_close";

/// Tells `system.query_log` who it was.
const LOG_COMMENT: &str = "log_comment";

/// The question for what a server has, as one statement.
pub(super) fn question() -> String {
    let names = CLOSING.iter().map(|closing| closing.name).chain(SETTINGS.iter().map(|(name, _)| *name)).chain([LOG_COMMENT, CANCEL]);
    let names: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    format!("SELECT * FROM system.settings WHERE name IN ({}) FORMAT JSONEachRow", names.join(", "))
}

/// What a server told of one setting. Old servers do not say whether it may be changed.
#[derive(Deserialize)]
struct Row {
    name: String,
    value: String,
    #[serde(default)]
    readonly: u8,
}

/// Settings for one statement.
pub(super) struct Wanted {
    pub(super) settings: Vec<(&'static str, String)>,
    /// Parameters of the caller that are not sent on.
    pub(super) ignored: Vec<&'static str>,
}

/// What a server told of the settings that Keyhouse sends, for one user.
pub(super) struct Known(BTreeMap<String, Row>);

impl Known {
    /// Reads the answer to [`question`].
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        let mut rows = BTreeMap::new();
        for row in serde_json::Deserializer::from_slice(body).into_iter::<Row>() {
            let row =
                row.map_err(|error| Failure::new(Reason::UpstreamBroken, "ClickHouse's answer about its settings cannot be read.").because(error))?;
            rows.insert(row.name.clone(), row);
        }
        Ok(Self(rows))
    }

    /// The settings that go with this statement, and the caller's that do not because the server has them not.
    ///
    /// # Errors
    /// 502 `upstream-settings` where one that protects cannot be sent and does not hold already.
    pub(super) fn wanted(&self, permitted: &Permitted, id: &RequestId, user: &User, node: &Node) -> Result<Wanted, Refusal> {
        let understood = permitted.understood();
        let effect = understood.statement().effect();
        let mut wanted = Wanted { settings: Vec::new(), ignored: understood.address().ignored().to_vec() };
        for (name, value) in understood.address().settings() {
            match self.may_change(name) {
                true => wanted.settings.push((name, (*value).to_owned())),
                false => wanted.ignored.push(name),
            }
        }
        if self.may_change(LOG_COMMENT) {
            wanted.settings.push((LOG_COMMENT, log_comment(permitted, id)));
        }
        if effect == Effect::Read && self.may_change(CANCEL) {
            wanted.settings.push((CANCEL, "1".to_owned()));
        }
        for closing in &CLOSING {
            let goes_along = match closing.with {
                With::All => true,
                With::Reads => effect == Effect::Read,
                With::Inserts => effect == Effect::Insert && !understood.statement().values_are_expressions(),
            };
            if goes_along && self.must_be_sent(closing).ok_or_else(|| cannot_be_set(closing, user, node))? {
                wanted.settings.push((closing.name, closing.value.to_owned()));
            }
        }
        Ok(wanted)
    }

    /// Whether a protecting setting has to be sent; nothing where it would have to be and cannot.
    fn must_be_sent(&self, closing: &Closing) -> Option<bool> {
        match self.0.get(closing.name) {
            None => closing.came_with_the_feature.then_some(false),
            Some(row) if row.value == closing.value || (closing.name == READONLY && self.is_readonly()) => Some(false),
            Some(_) => self.may_change(closing.name).then_some(true),
        }
    }

    fn may_change(&self, name: &str) -> bool {
        let locked = self.0.get(READONLY).is_some_and(|row| row.value == "1");
        self.0.get(name).is_some_and(|row| row.readonly == 0 && !locked)
    }

    /// 1 and 2 both keep a read from writing.
    fn is_readonly(&self) -> bool {
        self.0.get(READONLY).is_some_and(|row| row.value == "1" || row.value == "2")
    }
}

impl User {
    /// Notes that the settings are known, and says once where statements go unnamed.
    pub(super) fn settings_known(&self, known: &Known, node: &Node) {
        self.asked.store(true, Ordering::Relaxed);
        if !known.may_change(LOG_COMMENT) && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                user = self.config.name,
                node = %node,
                "the server does not have or not allow `log_comment`: its query_log will not tell which caller a query was for; our record does, by query_id"
            );
        }
    }
}

fn cannot_be_set(closing: &Closing, user: &User, node: &Node) -> Refusal {
    Refusal::new(Reason::UpstreamSettings, "A setting that must protect this statement cannot be set in ClickHouse. Tell those who run Keyhouse.")
        .because(format!(
            "node {node}, user {}: `{}` must be {}; set it so in the user's profile, or let the user change it",
            user.config.name, closing.name, closing.value
        ))
}

/// JSON, so that queries over `system.query_log` can take it apart.
fn log_comment(permitted: &Permitted, id: &RequestId) -> String {
    let caller = permitted.understood().caller();
    json!({"keyhouse": {"request_id": id.as_str(), "caller": caller.key(), "rule": permitted.permit().rule()}}).to_string()
}

/// What an error instead of settings means.
pub(super) fn failed(code: Option<u16>, body: &[u8]) -> Failure {
    let text: String = String::from_utf8_lossy(body).chars().take(300).collect();
    let failure = match code {
        // UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED
        Some(192..=194 | 516) => Failure::new(
            Reason::UpstreamCredentials,
            "ClickHouse does not accept the credential that this rule acts as. Tell those who run Keyhouse.",
        ),
        _ => Failure::new(Reason::UpstreamBroken, "ClickHouse answers an error when asked for its settings. Tell those who run Keyhouse."),
    };
    failure.because(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;

    fn known(rows: &str) -> Known {
        Known::read(rows.as_bytes()).ok().unwrap()
    }

    fn sent(known: &Known, name: &str) -> Option<bool> {
        known.must_be_sent(CLOSING.iter().find(|closing| closing.name == name).unwrap())
    }

    #[test]
    fn a_protecting_setting_is_left_out_only_where_the_feature_is_missing() {
        let old = known(r#"{"name":"readonly","value":"0","changed":0,"description":"x"}"#);
        assert_eq!(sent(&old, "dialect"), Some(false));
        assert_eq!(sent(&old, "input_format_values_deduce_templates_of_expressions"), Some(false));
        assert_eq!(sent(&old, "input_format_values_interpret_expressions"), None);
        assert_eq!(sent(&old, READONLY), Some(true));
    }

    #[test]
    fn a_setting_that_may_not_change_must_hold_already() {
        let locked = known(
            "{\"name\":\"readonly\",\"value\":\"1\"}\n{\"name\":\"dialect\",\"value\":\"prql\",\"readonly\":1}\n{\"name\":\"log_comment\",\"value\":\"\"}",
        );
        assert_eq!(sent(&locked, READONLY), Some(false));
        assert_eq!(sent(&locked, "dialect"), None);
        assert!(!locked.may_change(LOG_COMMENT));
        let good = known("{\"name\":\"readonly\",\"value\":\"2\"}\n{\"name\":\"dialect\",\"value\":\"clickhouse\",\"readonly\":1}");
        assert_eq!(sent(&good, "dialect"), Some(false));
        assert_eq!(sent(&good, READONLY), Some(false));
    }

    #[test]
    fn readonly_is_the_last_one_set() {
        assert_eq!(CLOSING[CLOSING.len() - 1].name, READONLY);
    }
}
