//! The parameters after the `?`: decoded once, each known by its exact name, none twice.

use std::collections::BTreeMap;

use http::HeaderValue;
use percent_encoding::percent_decode_str;

use super::coding::Coding;
use super::grammar::Parameters;
use crate::catalog::{self, Setting};
use crate::refusal::{Reason, Refusal};

/// Longest name of a database or format, in bytes.
const LONGEST_NAME: usize = 128;

/// Most parameters of a statement.
const MOST_PARAMETERS: usize = 1000;

/// Most settings, and longest value of one, in bytes.
const MOST_SETTINGS: usize = 200;
const LONGEST_VALUE: usize = 4096;

/// Most roles.
const MOST_ROLES: usize = 50;

/// Parameters that are no settings, although they look like some: credentials, codings and sessions of ClickHouse's interface
/// (`HTTPHandler.cpp`, `reserved_param_names`), and what newer versions build a query from.
const RESERVED: [&str; 11] = [
    "user",
    "password",
    "quota_key",
    "compression",
    "stacktrace",
    "buffer_size",
    "close_session",
    "framing_output_format",
    "filter",
    "sort",
    "order",
];

/// Parameters that drivers send by themselves and that a single statement does without, as progress in headers, which would come with
/// the answer's beginning and not before it, and pages that may ask, which the config's `cors` says. The answer names them in
/// `X-Keyhouse-Ignored`.
const IGNORED: [&str; 6] = [
    "add_http_cors_header",
    "wait_end_of_query",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "http_zlib_compression_level",
    "cancel_http_readonly_queries_on_client_close",
];

/// What a caller names a session by, how many seconds it is to be kept, and whether it must be there.
const SESSION: [&str; 3] = ["session_id", "session_timeout", "session_check"];

/// What a caller names a query by.
const QUERY_ID: &str = "query_id";

/// The setting by which ClickHouse codes answers as `Accept-Encoding` says.
pub const COMPRESSION: &str = "enable_http_compression";

/// How parameters end that describe an uploaded table.
const DESCRIBING: [&str; 3] = ["_format", "_structure", "_types"];

/// The address parameters that Keyhouse understands. Everything else in an address is refused by its name: for
/// ClickHouse an unknown parameter is a setting, and settings can carry SQL.
#[derive(Debug, Default)]
pub struct Address {
    query: Option<String>,
    database: Option<String>,
    default_format: Option<String>,
    /// Whether a header said the format, too.
    format_in_header: bool,
    query_id: Option<HeaderValue>,
    protocol_version: Option<u32>,
    readonly: bool,
    settings: Vec<(String, String)>,
    roles: Vec<String>,
    parameters: Parameters,
    ignored: Vec<&'static str>,
    session: [Option<String>; SESSION.len()],
    decompress: Option<bool>,
    compress: Option<bool>,
    http_compression: Option<bool>,
    accepts: Option<Coding>,
    /// What describes uploaded tables, where the body is a form.
    described: Option<BTreeMap<String, String>>,
}

impl Address {
    /// SQL before the body's.
    pub fn query(&self) -> &str {
        self.query.as_deref().unwrap_or("")
    }

    /// The database of names without one.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// The format of answers whose statement says none.
    pub fn default_format(&self) -> Option<&str> {
        self.default_format.as_deref()
    }

    /// The format that a header says: newer servers take it even where the statement says another.
    pub(super) fn format_in_header(&self) -> Option<&str> {
        self.default_format().filter(|_| self.format_in_header)
    }

    /// What the caller calls the query; ClickHouse knows it by another id.
    pub fn query_id(&self) -> Option<&HeaderValue> {
        self.query_id.as_ref()
    }

    /// The revision of ClickHouse's protocol that the caller reads `Native` by.
    pub fn protocol_version(&self) -> Option<u32> {
        self.protocol_version
    }

    /// Whether the caller wants nothing but a read to pass (`readonly=1`).
    pub fn is_readonly(&self) -> bool {
        self.readonly
    }

    /// Settings that the caller wants, each once; none that is open to nobody.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// Roles that the caller wants to be active, and no others.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// Values of the statement's parameters, by their names without `param_`.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Parameters that were understood and are not sent on.
    pub fn ignored(&self) -> &[&'static str] {
        &self.ignored
    }

    /// The caller's name of a session, and as they were written how long it is to be kept and whether it must be there.
    pub fn session(&self) -> Option<(&str, Option<&str>, Option<&str>)> {
        let [id, timeout, check] = self.session.each_ref().map(Option::as_deref);
        id.map(|id| (id, timeout, check))
    }

    /// What was said of a session, by the parameters' names.
    pub fn of_session(&self) -> impl Iterator<Item = &'static str> {
        SESSION.into_iter().zip(&self.session).filter(|(_, said)| said.is_some()).map(|(name, _)| name)
    }

    /// Whether the body is in ClickHouse's compressed blocks.
    pub(super) fn decompress(&self) -> bool {
        self.decompress.unwrap_or_default()
    }

    /// Whether the caller wants the answer in ClickHouse's compressed blocks (`compress=1`).
    pub fn wants_blocks(&self) -> bool {
        self.compress.unwrap_or_default()
    }

    /// The coding to ask ClickHouse for: one that the caller takes, unless it wants none.
    pub fn accepts(&self) -> Option<Coding> {
        self.accepts.filter(|_| self.http_compression != Some(false))
    }

    /// Whether the caller asks by a setting that the answer be coded, and takes a coding.
    pub fn wants_coding(&self) -> bool {
        self.http_compression == Some(true) && self.accepts.is_some()
    }

    /// What describes uploaded tables, by the parameters' names.
    pub(super) fn take_described(&mut self) -> BTreeMap<String, String> {
        self.described.take().unwrap_or_default()
    }

    /// Reads what stands after the `?`, of a request whose body is a form or not.
    pub(super) fn read(query: Option<&str>, form: bool) -> Result<Self, Refusal> {
        let mut address = Self { described: form.then(BTreeMap::new), ..Self::default() };
        for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let slot = match name.as_str() {
                "query" => &mut address.query,
                "database" => &mut address.database,
                "default_format" => &mut address.default_format,
                _ => {
                    address.other(&name, &value)?;
                    continue;
                }
            };
            if slot.replace(value).is_some() {
                return Err(twice(&name));
            }
        }
        address.database = named("database", address.database, |c| !c.is_control())?;
        address.default_format = named("default_format", address.default_format, |c| c.is_ascii_alphanumeric())?;
        Ok(address)
    }

    /// Takes a field of a form. ClickHouse joins fields called `query`, the address's first; here there is one.
    pub(super) fn field(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match (name, name.strip_prefix("param_")) {
            ("query", _) if self.query.as_deref().is_some_and(|query| !query.is_empty()) => Err(twice(name)),
            ("query", _) => {
                self.query = Some(value.to_owned());
                Ok(())
            }
            (_, Some(parameter)) => self.parameter(parameter, value),
            _ if self.describes(name, value)? => Ok(()),
            _ => {
                let says = format!("The field `{}` of the form is not passed on; settings and the database stand in the address.", shown(name));
                Err(Refusal::new(Reason::ParameterNotAllowed, says))
            }
        }
    }

    /// Whether the parameter describes an uploaded table, as far as its name tells; it is kept then.
    fn describes(&mut self, name: &str, value: &str) -> Result<bool, Refusal> {
        let Some(described) = self.described.as_mut().filter(|_| DESCRIBING.iter().any(|end| name.ends_with(end))) else {
            return Ok(false);
        };
        match described.insert(name.to_owned(), value.to_owned()) {
            Some(_) => Err(twice(name)),
            None => Ok(true),
        }
    }

    /// Takes the database that a header says: the same as the parameter's, where both are there.
    pub(super) fn also_says_database(&mut self, value: &str) -> Result<(), Refusal> {
        also_says("database", &mut self.database, named("database", Some(value.to_owned()), |c| !c.is_control())?)
    }

    /// Takes the format that a header says: the same as the parameter's, where both are there.
    pub(super) fn also_says_format(&mut self, value: &str) -> Result<(), Refusal> {
        let said = named("X-ClickHouse-Format", Some(value.to_owned()), |c| c.is_ascii_alphanumeric())?;
        self.format_in_header = said.is_some();
        also_says("format", &mut self.default_format, said)
    }

    /// Takes what the caller calls the query. One that could not stand in a header is no name for anybody else.
    pub(super) fn names_query(&mut self, value: &str) -> Result<(), Refusal> {
        let id = HeaderValue::from_str(value)
            .ok()
            .filter(|_| !value.is_empty() && value.len() <= LONGEST_NAME && value.bytes().all(|b| b.is_ascii_graphic()));
        match (&self.query_id, id) {
            (Some(before), Some(id)) if *before != id => Err(malformed("The request has two ids for the query; send one.".to_owned())),
            (_, Some(id)) => {
                self.query_id = Some(id);
                Ok(())
            }
            (_, None) => {
                self.ignored.push(QUERY_ID);
                Ok(())
            }
        }
    }

    /// Takes what the caller says of codings, in one value of `Accept-Encoding`.
    pub(super) fn accept(&mut self, value: &str) {
        self.accepts = Coding::accepted(value).into_iter().chain(self.accepts).min_by_key(|coding| coding.rank());
    }

    fn protocol(&mut self, value: &str) -> Result<(), Refusal> {
        let digits = !value.is_empty() && value.len() <= 9 && value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse().ok().filter(|_| digits) {
            Some(version) if self.protocol_version.replace(version).is_none() => Ok(()),
            Some(_) => Err(twice("client_protocol_version")),
            None => Err(malformed("The address parameter `client_protocol_version` takes a number.".to_owned())),
        }
    }

    fn other(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match (name, value) {
            (QUERY_ID, _) => return self.names_query(value),
            ("client_protocol_version", _) => return self.protocol(value),
            // Held here, and not sent: with it ClickHouse would take no other setting.
            ("readonly", "1" | "2" | "true") => {
                self.readonly = true;
                return Ok(());
            }
            ("decompress", _) => return once(name, value, &mut self.decompress),
            // Says nothing: what the caller may do is for the rule.
            ("readonly", "0" | "false") => return Ok(()),
            ("compress", _) => return once(name, value, &mut self.compress),
            (COMPRESSION, _) => return once(name, value, &mut self.http_compression),
            _ => {}
        }
        if let Some((_, slot)) = SESSION.iter().zip(&mut self.session).find(|(known, _)| **known == name) {
            return if slot.replace(value.to_owned()).is_some() { Err(twice(name)) } else { Ok(()) };
        }
        if let Some(ignored) = IGNORED.iter().find(|known| **known == name) {
            // Twice or once, nothing of it is sent.
            self.ignored.push(ignored);
            return Ok(());
        }
        if let Some(name) = name.strip_prefix("param_") {
            return self.parameter(name, value);
        }
        if name == "role" {
            return self.role(value);
        }
        // ClickHouse takes a name for a description of a table only where it has no such setting.
        let kind = catalog::setting(name);
        if kind == Setting::Unknown && self.describes(name, value)? {
            return Ok(());
        }
        if kind == Setting::Forbidden || RESERVED.contains(&name) || !catalog::is_setting_name(name) {
            let says = format!(
                "The address parameter `{}` is not passed on; `query`, `database`, `default_format`, `param_...` and the settings that a rule allows are.",
                shown(name)
            );
            return Err(Refusal::new(Reason::ParameterNotAllowed, says));
        }
        self.setting(name, value)
    }

    /// A setting, for the rule to judge.
    fn setting(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        if self.settings.iter().any(|(known, _)| known == name) {
            return Err(twice(name));
        }
        if self.settings.len() >= MOST_SETTINGS || name.len() > LONGEST_NAME || value.len() > LONGEST_VALUE {
            return Err(malformed(format!(
                "The address has more than {MOST_SETTINGS} settings, or one with a value of more than {LONGEST_VALUE} bytes."
            )));
        }
        self.settings.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    fn role(&mut self, value: &str) -> Result<(), Refusal> {
        if self.roles.len() >= MOST_ROLES {
            return Err(malformed(format!("The address has more than {MOST_ROLES} roles.")));
        }
        if named("role", Some(value.to_owned()), |c| !c.is_control())?.is_none() {
            return Err(malformed("The address parameter `role` holds no name.".to_owned()));
        }
        self.roles.push(value.to_owned());
        Ok(())
    }

    /// `param_name=value`. In ClickHouse the first of two of one name wins; here there is one.
    fn parameter(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let plain = !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !plain {
            return Err(malformed(format!("`param_{}` names no parameter: letters, digits and underscores do.", shown(name))));
        }
        if self.parameters.len() >= MOST_PARAMETERS {
            return Err(malformed(format!("The address has more than {MOST_PARAMETERS} parameters for the statement.")));
        }
        if self.parameters.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(twice(&format!("param_{name}")));
        }
        Ok(())
    }
}

/// Yes or no, said once: of two values the first counts for some servers and the last for others.
fn once(name: &str, value: &str, slot: &mut Option<bool>) -> Result<(), Refusal> {
    let yes = match value {
        "1" | "true" => true,
        "0" | "false" => false,
        _ => return Err(malformed(format!("The address parameter `{name}` takes one of: 0, 1, false, true."))),
    };
    if slot.replace(yes).is_some() { Err(twice(name)) } else { Ok(()) }
}

fn twice(name: &str) -> Refusal {
    malformed(format!("The address parameter `{name}` stands there twice; send it once."))
}

/// Takes what another place of the request says: nothing, or the same as before.
fn also_says(what: &str, before: &mut Option<String>, said: Option<String>) -> Result<(), Refusal> {
    match (&*before, said) {
        (Some(before), Some(said)) if *before != said => {
            Err(malformed(format!("The {what} is `{}` in one place of the request and `{}` in another; say it once.", shown(before), shown(&said))))
        }
        (None, said @ Some(_)) => {
            *before = said;
            Ok(())
        }
        (Some(_) | None, _) => Ok(()),
    }
}

/// An empty value says nothing, as in ClickHouse; any other must be a name.
fn named(parameter: &str, value: Option<String>, allowed: impl Fn(char) -> bool) -> Result<Option<String>, Refusal> {
    match value {
        Some(name) if name.len() > LONGEST_NAME || !name.chars().all(allowed) => {
            Err(malformed(format!("The address parameter `{parameter}` holds no name.")))
        }
        name => Ok(name.filter(|name| !name.is_empty())),
    }
}

/// `application/x-www-form-urlencoded` as ClickHouse reads addresses: `+` is a space, every `%` has two hex digits.
fn decode(text: &str) -> Result<String, Refusal> {
    let bytes = text.as_bytes();
    let complete = |at: usize| bytes.get(at + 1).is_some_and(u8::is_ascii_hexdigit) && bytes.get(at + 2).is_some_and(u8::is_ascii_hexdigit);
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'%' && !complete(at)) {
        return Err(malformed("The address has a `%` without two hex digits; encode it as %25.".to_owned()));
    }
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        Ok(_) => Err(malformed("The address holds a NUL (%00), which is not passed on.".to_owned())),
        Err(_) => Err(malformed("The address does not decode to UTF-8 text.".to_owned())),
    }
}

fn malformed(says: String) -> Refusal {
    Refusal::new(Reason::MalformedParameter, says)
}

fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn what_clickhouse_would_read_is_read_once() {
        let address = Address::read(Some("qu%65ry=SELECT+%27a%2Bb%27&database=sales&default_format=JSON"), false).unwrap();
        assert_eq!(address.query(), "SELECT 'a+b'");
        assert_eq!(address.database(), Some("sales"));
        assert_eq!(address.default_format(), Some("JSON"));
        assert_eq!(Address::read(None, false).unwrap().query(), "");
        assert_eq!(Address::read(Some("query=%2527"), false).unwrap().query(), "%27");
    }

    #[test]
    fn what_drivers_send_by_themselves_is_understood() {
        let address =
            Address::read(Some("session_id=a&session_check=0&query_id=b&wait_end_of_query=1&date_time_input_format=best_effort"), false).unwrap();
        assert_eq!(address.ignored(), ["wait_end_of_query"]);
        assert_eq!(address.session(), Some(("a", None, Some("0"))));
        assert!(address.of_session().eq(["session_id", "session_check"]));
        assert_eq!(address.query_id().unwrap(), "b");
        assert_eq!(address.settings(), [("date_time_input_format".to_owned(), "best_effort".to_owned())]);
    }

    #[test]
    fn one_coding_that_the_caller_takes_is_asked_for() {
        let chosen = |query: &str, values: &[&str]| {
            let mut address = Address::read(Some(query), false).unwrap();
            values.iter().for_each(|value| address.accept(value));
            (address.accepts().map(Coding::name), address.wants_coding())
        };
        for (value, name) in [
            ("gzip", Some("gzip")),
            ("GZIP;q=0.5", Some("gzip")),
            ("deflate, gzip, br, zstd", Some("zstd")),
            ("lz4, gzip", Some("lz4")),
            ("zstd;q=0, gzip", Some("gzip")),
            ("zstd; Q=0.000", None),
            ("zstd;q=0.001", Some("zstd")),
            ("abracadabra, *", None),
            ("identity", None),
            ("", None),
        ] {
            assert_eq!(chosen("", &[value]), (name, false), "{value}");
            assert_eq!(chosen("enable_http_compression=1", &[value]), (name, name.is_some()), "{value}");
            assert_eq!(chosen("enable_http_compression=0", &[value]), (None, false), "{value}");
        }
        assert_eq!(chosen("", &["gzip", "br", "deflate"]).0, Some("br"));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for (query, reason) in [
            ("query=1&query=2", Reason::MalformedParameter),
            ("QUERY=1", Reason::ParameterNotAllowed),
            ("%EF%BB%BFquery=1", Reason::ParameterNotAllowed),
            ("query=%zz", Reason::MalformedParameter),
            ("query=%4", Reason::MalformedParameter),
            ("query=%", Reason::MalformedParameter),
            ("query=%ff", Reason::MalformedParameter),
            ("query=%c0%a7", Reason::MalformedParameter),
            ("query=%00", Reason::MalformedParameter),
            ("=1", Reason::ParameterNotAllowed),
            ("Session_id=1", Reason::ParameterNotAllowed),
            ("session_id=1&session_id=1", Reason::MalformedParameter),
            ("cast_string_to_dynamic_use_inference=1&cast_string_to_dynamic_use_inference=0", Reason::MalformedParameter),
            ("compress=2", Reason::MalformedParameter),
            ("compress=1&compress=0", Reason::MalformedParameter),
            ("enable_http_compression=yes", Reason::MalformedParameter),
            ("query=1;max_threads=1&readonly=3", Reason::ParameterNotAllowed),
            ("max_threads=1&max_threads=1", Reason::MalformedParameter),
            ("Max_threads=1", Reason::ParameterNotAllowed),
            ("SQL_tenant=1", Reason::ParameterNotAllowed),
            ("max_threads%20=1", Reason::ParameterNotAllowed),
            ("role=", Reason::MalformedParameter),
            ("Role=a", Reason::ParameterNotAllowed),
            ("select=1", Reason::ParameterNotAllowed),
            ("default_format=../x", Reason::MalformedParameter),
            ("database=a%0ab", Reason::MalformedParameter),
        ] {
            assert_eq!(Address::read(Some(query), false).unwrap_err().reason(), reason, "{query}");
        }
    }
}
