//! Real requests over real connections, one connection each.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use keyhouse::config::Endpoint;
use keyhouse::dial::Dialer;

use crate::trouble::Trouble;

/// For a whole exchange.
const WITHIN: Duration = Duration::from_secs(30);

/// The longest answer that is shown.
const LONGEST: usize = 64 * 1024;

/// Asks, and trusts one certificate authority.
pub(crate) struct Asker(Dialer);

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Asker {
    pub(crate) fn new(ca_file: &Path) -> Result<Self, Trouble> {
        Dialer::new(Some(ca_file), WITHIN).map(Self).map_err(Trouble::new)
    }

    /// A statement to Keyhouse, with a token or without.
    pub(crate) async fn post(&self, url: &str, token: Option<&str>, statement: &str) -> Result<Answer, Trouble> {
        let mut request = Request::post("/");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        self.exchange(url, request, statement).await
    }

    pub(crate) async fn get(&self, url: &str, path: &str) -> Result<Answer, Trouble> {
        self.exchange(url, Request::get(path), "").await
    }

    async fn exchange(&self, url: &str, request: http::request::Builder, body: &str) -> Result<Answer, Trouble> {
        let within = tokio::time::timeout(WITHIN, self.carry(url, request, body)).await;
        within.unwrap_or_else(|_elapsed| Err(Trouble::new(format!("no answer from {url} within {} s", WITHIN.as_secs()))))
    }

    async fn carry(&self, url: &str, request: http::request::Builder, body: &str) -> Result<Answer, Trouble> {
        let failed = || Trouble::new(format!("no answer from {url}"));
        let uri: Uri = url.parse().map_err(|error| failed().because(error))?;
        let endpoint = Endpoint::of(&uri).ok_or_else(failed)?;
        let request = request.header(HOST, endpoint.authority()).body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        let mut sender = self.0.dial(&endpoint).await.map_err(|error| failed().because(error))?;
        let answer = sender.send_request(request.map_err(|error| failed().because(error))?).await.map_err(|error| failed().because(error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LONGEST).collect().await.map_err(|error| failed().because(error))?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
