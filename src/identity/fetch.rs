//! Fetches what a provider publishes: one GET, no redirects, bounded in time and bytes.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};

use crate::config::{Endpoint, Secret};
use crate::dial::{self, Dialer};

/// Longest document.
const LONGEST: usize = 512 * 1024;

/// For the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0} is no address to fetch from")]
    Address(Uri),
    #[error("no answer from {0} within {TIMEOUT:?}")]
    Timeout(Uri),
    #[error(transparent)]
    Dial(#[from] dial::Error),
    #[error("the request to {0} failed")]
    Http(Uri, #[source] hyper::Error),
    #[error("{0} answered {1}")]
    Status(Uri, StatusCode),
    #[error("the answer of {0} broke off or is longer than {LONGEST} bytes")]
    Body(Uri, #[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("{0}")]
    Content(String),
}

/// Fetches one document, with a bearer token where the provider asks for one.
pub(super) async fn get(dialer: &Dialer, uri: &Uri, bearer: Option<&Secret>) -> Result<Bytes, Error> {
    tokio::time::timeout(TIMEOUT, exchange(dialer, uri, bearer)).await.unwrap_or_else(|_elapsed| Err(Error::Timeout(uri.clone())))
}

async fn exchange(dialer: &Dialer, uri: &Uri, bearer: Option<&Secret>) -> Result<Bytes, Error> {
    let endpoint = Endpoint::of(uri).ok_or_else(|| Error::Address(uri.clone()))?;
    let mut sender = dialer.dial::<Empty<Bytes>>(&endpoint).await?;
    let mut request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, endpoint.authority())
        .header(ACCEPT, "application/json, application/jwk-set+json")
        .header(USER_AGENT, concat!("keyhouse/", env!("CARGO_PKG_VERSION")));
    if let Some(bearer) = bearer {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", bearer.expose())).map_err(|error| Error::Content(error.to_string()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request.body(Empty::new()).map_err(|error| Error::Content(error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(|error| Error::Http(uri.clone(), error))?;
    if answer.status() != StatusCode::OK {
        return Err(Error::Status(uri.clone(), answer.status()));
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(|error| Error::Body(uri.clone(), error))?;
    Ok(body.to_bytes())
}
