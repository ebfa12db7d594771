//! The settings that Keyhouse sends of its own, and to which servers.
//!
//! A server that does not know a setting refuses the whole query (115), so each goes only to a server whose
//! `system.settings` has it. One that protects is left out only where the feature that it closes is missing too.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::node::{Failure, Node};
use super::{Unset, User, outgoing};
use crate::policy::{Permitted, Sent, Why};
use crate::record::RequestId;
use crate::refusal::{Reason, Refusal};
use crate::statement::{COMPRESSION, Effect, quoted};

/// Which statements a setting goes with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum With {
    All,
    Reads,
    /// INSERTs whose values are data.
    Inserts,
}

impl With {
    /// Whether it goes with a statement that reads, or that inserts data.
    fn goes_along(self, reads: bool, inserts: bool) -> bool {
        match self {
            Self::All => true,
            Self::Reads => reads,
            Self::Inserts => inserts,
        }
    }
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

/// The parameter that says by which revision `Native` is written; servers that do not know it refuse the query.
const PROTOCOL: &str = "client_protocol_version";

/// Came after that parameter (23.9): a server that has it knows that, too.
const AFTER_PROTOCOL: &str = "http_write_exception_in_output_format";

/// Ends a statement in ClickHouse after so many seconds.
const TIME: &str = "max_execution_time";

/// Tells `system.query_log` who it was.
const LOG_COMMENT: &str = "log_comment";

/// The question for what a server has of what may be sent, as one statement.
pub(super) struct Question {
    names: Vec<String>,
}

impl Question {
    /// For Keyhouse's own settings and these.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: BTreeSet<&str> =
            CLOSING.iter().map(|closing| closing.name).chain([LOG_COMMENT, CANCEL, TIME, AFTER_PROTOCOL, COMPRESSION]).chain(names).collect();
        Self { names: names.into_iter().map(str::to_owned).collect() }
    }

    /// What a server tells that has all of them and lets them be changed.
    pub(super) fn all_known(&self) -> Known {
        let row = |name: &String| (name.clone(), Row { name: name.clone(), value: String::new(), readonly: 0 });
        Known::of(self.names.iter().map(row).collect())
    }

    /// The statement. Servers before 19 have no column for whether a setting may be changed; of them, and of those that may be
    /// one, every column is asked for, which any server answers.
    pub(super) fn text(&self, old: bool) -> String {
        let columns = if old { "*" } else { "name, value, readonly" };
        let names: Vec<String> = self.names.iter().map(|name| quoted(name)).collect();
        format!("SELECT {columns} FROM system.settings WHERE name IN ({}) FORMAT JSONEachRow", names.join(","))
    }
}

/// UNKNOWN_IDENTIFIER: the server does not have a column.
pub(super) const UNKNOWN_COLUMN: u16 = 47;

/// What a server told of one setting. Old servers do not say whether it may be changed.
#[derive(Deserialize)]
struct Row {
    name: String,
    value: String,
    #[serde(default)]
    readonly: u8,
}

/// Settings for one statement.
pub(super) struct Wanted<'a> {
    pub(super) settings: Vec<(&'a str, Cow<'a, str>)>,
    /// Parameters of the caller that are not sent on.
    pub(super) ignored: Vec<Cow<'static, str>>,
}

/// What a server told of the settings that Keyhouse sends, for one user, and what follows from it for every statement.
pub(super) struct Known {
    rows: HashMap<String, Row>,
    /// Whether each of [`CLOSING`] has to be sent; nothing where it would have to be and cannot.
    closing: [Option<bool>; CLOSING.len()],
    /// Whether its query log can be told which caller it was.
    names_callers: bool,
    cancels: bool,
}

impl Known {
    /// Reads the answer to a [`Question`].
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        let unreadable = |error| Failure::new(Reason::UpstreamBroken, "ClickHouse's answer about its settings cannot be read.").because(error);
        Self::rows(body).map_err(unreadable)
    }

    /// Reads the same answer from a file.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(super) fn from_file(file: &Path) -> Result<Self, String> {
        let write = "write what the server answers to SELECT name, value, readonly FROM system.settings FORMAT JSONEachRow";
        let body = std::fs::read(file).map_err(|error| format!("{} cannot be read ({error}); {write}", file.display()))?;
        Self::rows(&body).map_err(|error| format!("{} holds no settings ({error}); {write}", file.display()))
    }

    fn rows(body: &[u8]) -> serde_json::Result<Self> {
        let rows = serde_json::Deserializer::from_slice(body).into_iter::<Row>();
        rows.map(|row| row.map(|row| (row.name.clone(), row))).collect::<Result<_, _>>().map(Self::of)
    }

    fn of(rows: HashMap<String, Row>) -> Self {
        let mut known = Self { rows, closing: [None; CLOSING.len()], names_callers: false, cancels: false };
        known.closing = CLOSING.each_ref().map(|closing| known.must_be_sent(closing));
        (known.names_callers, known.cancels) = (known.may_change(LOG_COMMENT), known.may_change(CANCEL));
        known
    }

    /// The settings that go with this statement, and the caller's that do not because the server has them not.
    ///
    /// # Errors
    /// 502 `upstream-settings` where one that protects cannot be sent and does not hold already.
    pub(super) fn wanted<'a>(
        &self,
        permitted: &'a Permitted,
        id: &RequestId,
        user: &User,
        node: &Node,
        left: Option<Duration>,
    ) -> Result<Wanted<'a>, Refusal> {
        let understood = permitted.understood();
        let effect = understood.statement().effect();
        let ignored = permitted.ignored().map(Cow::Borrowed).collect();
        let mut wanted = Wanted { settings: Vec::new(), ignored };
        for sent in permitted.permit().settings() {
            match self.how(sent, permitted.permit().session().is_some()) {
                How::Send => wanted.settings.push((&sent.name, Cow::Borrowed(&sent.value))),
                How::Holds => {}
                How::Ignore => wanted.ignored.push(Cow::Owned(sent.name.clone())),
                How::Refuse => return Err(cannot_be_set(&sent.name, &sent.value, user, node)),
            }
        }
        match understood.address().protocol_version() {
            Some(version) if self.rows.contains_key(AFTER_PROTOCOL) => wanted.settings.push((PROTOCOL, Cow::Owned(version.to_string()))),
            Some(_) => wanted.ignored.push(Cow::Borrowed(PROTOCOL)),
            None => {}
        }
        if understood.address().wants_coding()
            && outgoing::coding(permitted).is_some()
            && self.rows.get(COMPRESSION).is_none_or(|row| row.value != "1")
        {
            match self.may_change(COMPRESSION) {
                true => wanted.settings.push((COMPRESSION, Cow::Borrowed("1"))),
                false => wanted.ignored.push(Cow::Borrowed(COMPRESSION)),
            }
        }
        if let Some(left) = left {
            self.take_time(&mut wanted.settings, left);
        }
        wanted.settings.extend(self.comment(permitted, id).map(|(name, text)| (name, Cow::Owned(text))));
        if effect == Effect::Read && self.cancels {
            wanted.settings.push((CANCEL, Cow::Borrowed("1")));
        }
        let inserts = effect == Effect::Insert && !understood.statement().values_are_expressions();
        for (closing, must_be_sent) in CLOSING.iter().zip(self.closing) {
            if closing.name == READONLY && asks_for_settings(permitted) {
                continue;
            }
            if closing.with.goes_along(effect == Effect::Read, inserts)
                && must_be_sent.ok_or_else(|| cannot_be_set(closing.name, closing.value, user, node))?
            {
                wanted.settings.push((closing.name, Cow::Borrowed(closing.value)));
            }
        }
        Ok(wanted)
    }

    /// Tells the server what is left of the statement's time, where that is less than it has: in whole seconds, begun ones too. Where
    /// it may not be told, Keyhouse ends the statement alone.
    fn take_time(&self, settings: &mut Vec<(&str, Cow<'_, str>)>, left: Duration) {
        let left = (left.as_secs() + u64::from(left.subsec_nanos() > 0)).to_string();
        match settings.iter_mut().find(|(name, _)| *name == TIME) {
            Some((_, value)) if is_no_more(value, &left) => {}
            Some((_, value)) => *value = Cow::Owned(left),
            None if self.rows.get(TIME).is_some_and(|row| is_no_more(&row.value, &left)) => {}
            None if self.may_change(TIME) => settings.push((TIME, Cow::Owned(left))),
            None => {}
        }
    }

    /// Whether a protecting setting has to be sent; nothing where it would have to be and cannot.
    fn must_be_sent(&self, closing: &Closing) -> Option<bool> {
        match self.rows.get(closing.name) {
            None => closing.came_with_the_feature.then_some(false),
            Some(row) if row.value == closing.value || (closing.name == READONLY && self.is_readonly()) => Some(false),
            Some(_) => self.may_change(closing.name).then_some(true),
        }
    }

    /// What is done with a setting of the rule's or the caller's. In a session another value may have been set before.
    fn how(&self, sent: &Sent, in_session: bool) -> How {
        let row = self.rows.get(&sent.name);
        let if_it_may = |or| if self.may_change(&sent.name) { How::Send } else { or };
        match (sent.why, row) {
            (Why::Custom, _) => How::Send,
            (_, Some(row)) if row.value == sent.value && in_session => if_it_may(How::Holds),
            (_, Some(row)) if row.value == sent.value => How::Holds,
            (Why::Asked, _) => if_it_may(How::Ignore),
            (Why::Capped, Some(row)) if is_no_more(&row.value, &sent.value) => How::Holds,
            (Why::Held | Why::Capped, _) => if_it_may(How::Refuse),
        }
    }

    /// What of these, and of what protects statements of these effects, cannot be sent and does not hold.
    pub(super) fn cannot_be_set(&self, sent: &[Sent], reads: bool, inserts: bool) -> Vec<Unset> {
        let unset = |name: &str, value: &str| Unset { name: name.to_owned(), value: value.to_owned(), is_known: self.rows.contains_key(name) };
        let of_rule = sent.iter().filter(|sent| matches!(self.how(sent, false), How::Refuse)).map(|sent| unset(&sent.name, &sent.value));
        let ours =
            CLOSING.iter().zip(self.closing).filter(|(closing, must_be_sent)| closing.with.goes_along(reads, inserts) && must_be_sent.is_none());
        of_rule.chain(ours.map(|(closing, _)| unset(closing.name, closing.value))).collect()
    }

    /// Which caller it was, where its query log can be told.
    pub(super) fn comment(&self, permitted: &Permitted, id: &RequestId) -> Option<(&'static str, String)> {
        self.names_callers().then(|| (LOG_COMMENT, log_comment(permitted, id)))
    }

    /// Whether its query log can be told which caller it was.
    pub(super) fn names_callers(&self) -> bool {
        self.names_callers
    }

    fn may_change(&self, name: &str) -> bool {
        let locked = self.rows.get(READONLY).is_some_and(|row| row.value == "1");
        self.rows.get(name).is_some_and(|row| row.readonly == 0 && !locked)
    }

    /// 1 and 2 both keep a read from writing.
    fn is_readonly(&self) -> bool {
        self.rows.get(READONLY).is_some_and(|row| row.value == "1" || row.value == "2")
    }
}

impl User {
    /// Notes that the settings are known, and says once where statements go unnamed.
    pub(super) fn settings_known(&self, known: &Known, node: &Node) {
        self.asked.store(true, Ordering::Relaxed);
        if !known.names_callers() && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                user = self.config.name,
                node = %node,
                "the server does not have or not allow `log_comment`: its query_log will not tell which caller a query was for; our record does, by query_id"
            );
        }
    }
}

/// Whether it reads `system.settings` and nothing else. Drivers ask there whether they are held to reads by the server: with our own lock
/// they would believe so, and leave out the `readonly` that somebody told them to send (mcp-clickhouse with its writes switched off).
fn asks_for_settings(permitted: &Permitted) -> bool {
    let reach = permitted.understood().statement().reach();
    let mut tables = reach.tables.iter();
    let (first, second) = (tables.next(), tables.next());
    let is_it = first.is_some_and(|name| name.table == "settings" && name.database.as_deref().unwrap_or(permitted.permit().database()) == "system");
    is_it && second.is_none() && reach.also.is_empty() && reach.table_functions.is_empty() && reach.computed.is_empty() && reach.targets.is_empty()
}

/// What is done with a setting.
enum How {
    Send,
    /// The server has it so, or holds the caller to less.
    Holds,
    Ignore,
    Refuse,
}

/// Whether a limit that the server has is one, and no more than this.
fn is_no_more(has: &str, most: &str) -> bool {
    matches!((has.parse::<f64>(), most.parse::<f64>()), (Ok(has), Ok(most)) if has > 0.0 && has <= most)
}

fn cannot_be_set(name: &str, value: &str, user: &User, node: &Node) -> Refusal {
    Refusal::new(Reason::UpstreamSettings, "A setting that must hold for this statement cannot be set in ClickHouse. Tell those who run Keyhouse.")
        .because(format!(
            "node {node}, user {}: `{name}` must be {value}; set it so in the user's profile, or let the user change it",
            user.config.name
        ))
}

/// JSON, so that queries over `system.query_log` can take it apart.
#[derive(Serialize)]
struct LogComment<'a> {
    keyhouse: Request<'a>,
}

#[derive(Serialize)]
struct Request<'a> {
    caller: &'a str,
    request_id: &'a str,
    rule: &'a str,
}

fn log_comment(permitted: &Permitted, id: &RequestId) -> String {
    let caller = permitted.understood().caller().key();
    let keyhouse = Request { caller, request_id: id.as_str(), rule: permitted.permit().rule() };
    // Texts alone cannot fail.
    serde_json::to_string(&LogComment { keyhouse }).unwrap_or_default()
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
    fn what_the_rule_holds_to_is_sent_or_holds_already_or_refuses() {
        let known = known(concat!(
            "{\"name\":\"readonly\",\"value\":\"0\",\"readonly\":0}\n",
            "{\"name\":\"max_execution_time\",\"value\":\"30\",\"readonly\":0}\n",
            "{\"name\":\"max_result_rows\",\"value\":\"0\",\"readonly\":0}\n",
            "{\"name\":\"max_threads\",\"value\":\"8\",\"readonly\":1}\n",
            "{\"name\":\"extremes\",\"value\":\"1\",\"readonly\":1}",
        ));
        for (name, value, why, is) in [
            ("max_execution_time", "60", Why::Capped, "holds"),
            ("max_execution_time", "30", Why::Capped, "holds"),
            ("max_execution_time", "20", Why::Capped, "sent"),
            ("max_result_rows", "20", Why::Capped, "sent"),
            ("max_threads", "8", Why::Held, "holds"),
            ("max_threads", "4", Why::Held, "refused"),
            ("max_threads", "4", Why::Capped, "refused"),
            ("max_threads", "4", Why::Asked, "ignored"),
            ("extremes", "1", Why::Asked, "holds"),
            ("missing", "1", Why::Asked, "ignored"),
            ("missing", "1", Why::Held, "refused"),
            ("missing", "1", Why::Capped, "refused"),
            ("SQL_x", "1", Why::Custom, "sent"),
        ] {
            let how = match known.how(&Sent { name: name.to_owned(), value: value.to_owned(), why }, false) {
                How::Send => "sent",
                How::Holds => "holds",
                How::Ignore => "ignored",
                How::Refuse => "refused",
            };
            assert_eq!(how, is, "{name} {value} {why:?}");
        }
    }

    #[test]
    fn readonly_is_the_last_one_set() {
        assert_eq!(CLOSING[CLOSING.len() - 1].name, READONLY);
    }
}
