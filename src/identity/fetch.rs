//! Fetches what a provider publishes: one GET, no redirects, bounded in time and bytes.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, ETAG, HOST, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
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

/// What goes along with a question.
#[derive(Default)]
pub(super) struct Along {
    /// A bearer token, where the provider asks for one.
    pub(super) bearer: Option<Secret>,
    /// The tag of the document that is known.
    pub(super) etag: Option<HeaderValue>,
}

/// A document, or nothing where it is the one that is known.
pub(super) struct Fetched {
    pub(super) body: Option<Bytes>,
    pub(super) etag: Option<HeaderValue>,
    /// How long the provider says that it stays as it is (RFC 9111 5.2.2.1).
    pub(super) max_age: Option<Duration>,
}

/// Fetches one document.
pub(super) async fn get(dialer: &Dialer, uri: &Uri, along: &Along) -> Result<Fetched, Error> {
    tokio::time::timeout(TIMEOUT, exchange(dialer, uri, along)).await.unwrap_or_else(|_elapsed| Err(Error::Timeout(uri.clone())))
}

async fn exchange(dialer: &Dialer, uri: &Uri, along: &Along) -> Result<Fetched, Error> {
    let endpoint = Endpoint::of(uri).ok_or_else(|| Error::Address(uri.clone()))?;
    let mut sender = dialer.dial::<Empty<Bytes>>(&endpoint).await?;
    let request = request(uri, &endpoint, along)?;
    let answer = sender.send_request(request).await.map_err(|error| Error::Http(uri.clone(), error))?;
    let headers = answer.headers();
    let (etag, max_age) = (headers.get(ETAG).cloned(), max_age(headers));
    match answer.status() {
        StatusCode::OK => {
            let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(|error| Error::Body(uri.clone(), error))?;
            Ok(Fetched { body: Some(body.to_bytes()), etag, max_age })
        }
        StatusCode::NOT_MODIFIED if along.etag.is_some() => Ok(Fetched { body: None, etag: etag.or_else(|| along.etag.clone()), max_age }),
        status => Err(Error::Status(uri.clone(), status)),
    }
}

fn request(uri: &Uri, endpoint: &Endpoint, along: &Along) -> Result<Request<Empty<Bytes>>, Error> {
    let mut request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, endpoint.authority())
        .header(ACCEPT, "application/json, application/jwk-set+json")
        .header(USER_AGENT, concat!("keyhouse/", env!("CARGO_PKG_VERSION")));
    if let Some(etag) = &along.etag {
        request = request.header(IF_NONE_MATCH, etag.clone());
    }
    if let Some(bearer) = &along.bearer {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", bearer.expose())).map_err(|error| Error::Content(error.to_string()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    request.body(Empty::new()).map_err(|error| Error::Content(error.to_string()))
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let seconds = directives.filter_map(|directive| directive.trim().to_ascii_lowercase().strip_prefix("max-age=")?.trim_matches('"').parse().ok());
    seconds.min().map(Duration::from_secs)
}
