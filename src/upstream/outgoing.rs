//! The outgoing request, built from nothing: a permit, the canonical text, the mapped credential, known parameters.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::node::{Failure, Node};
use super::{Outgoing, User, settings};
use crate::policy::Permitted;
use crate::record::RequestId;
use crate::refusal::{Reason, Refusal};

/// Not `Authorization`: with these two, any other credential on the same request is an error in ClickHouse.
const USER: HeaderName = HeaderName::from_static("x-clickhouse-user");
const KEY: HeaderName = HeaderName::from_static("x-clickhouse-key");

/// The request for a permitted statement.
pub(super) fn build(permitted: &Permitted, id: &RequestId, user: &User, node: &Node, settings: &[(&str, String)]) -> Result<Outgoing, Refusal> {
    let mut parameters = vec![("database", permitted.permit().database()), ("query_id", id.as_str())];
    if let Some(format) = permitted.understood().address().default_format() {
        parameters.push(("default_format", format));
    }
    parameters.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
    let understood = permitted.understood();
    // An identifier's value stands in the text already.
    let values: Vec<(String, &str)> = understood
        .statement()
        .reach()
        .parameters
        .iter()
        .filter(|(_, kind)| kind.as_str() != "Identifier")
        .filter_map(|(name, _)| understood.address().parameters().get(name).map(|value| (format!("param_{name}"), value.as_str())))
        .collect();
    parameters.extend(values.iter().map(|(name, value)| (name.as_str(), *value)));
    let text = Bytes::from([understood.statement().canonical(), understood.statement().data()].concat());
    request(user, node, &parameters, text)
        .map_err(|error| Refusal::new(Reason::Internal, "The request to ClickHouse cannot be built.").because(error))
}

/// The question for the settings that the server has for this user.
pub(super) fn ask_settings(user: &User, node: &Node) -> Result<Outgoing, Failure> {
    request(user, node, &[("database", "default")], Bytes::from(settings::question()))
        .map_err(|error| Failure::new(Reason::Internal, "The request to ClickHouse cannot be built.").because(error))
}

fn request(user: &User, node: &Node, parameters: &[(&str, &str)], text: Bytes) -> Result<Outgoing, http::Error> {
    let mut target = String::from("/");
    for (index, (name, value)) in parameters.iter().enumerate() {
        target.push(if index == 0 { '?' } else { '&' });
        target.push_str(name);
        target.push('=');
        target.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    let mut key = HeaderValue::from_str(user.config.password.expose())?;
    key.set_sensitive(true);
    Request::post(target)
        .header(HOST, node.authority())
        .header(USER, user.config.user.as_str())
        .header(KEY, key)
        .header(CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(USER_AGENT, concat!("keyhouse/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(text))
}
