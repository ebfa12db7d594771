//! The demo's identity provider: discovery and one key over HTTP. Tokens are signed in this process and cannot be asked
//! for from outside.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::trouble::Trouble;

const KEY_ID: &str = "demo-1";

/// Coordinates of a point on P-256, in bytes.
const COORDINATE: usize = 32;

/// For a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Whom a token is about, and whom it is for.
#[derive(Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) subject: &'static str,
    pub(crate) groups: &'static [&'static str],
    pub(crate) audience: &'static str,
}

/// An issuer on a port of its own, until the process ends.
pub(crate) struct Issuer {
    pub(crate) url: String,
    key: EcdsaKeyPair,
}

impl Issuer {
    pub(crate) async fn start() -> Result<Self, Trouble> {
        let failed = |error| Trouble::new("the identity provider cannot listen on 127.0.0.1").because(error);
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|error| Trouble::new("no key can be made").because(error))?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let pages = Arc::new(Pages { discovery: discovery(&url).to_string(), keys: key_set(&key)?.to_string() });
        tokio::spawn(listen(listener, pages));
        Ok(Self { url, key })
    }

    /// A token that lives this long from now.
    pub(crate) fn token(&self, identity: &Identity, life: Duration) -> Result<String, Trouble> {
        let now = keyhouse::clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": KEY_ID});
        let claims = json!({
            "iss": self.url, "aud": identity.audience, "sub": identity.subject, "groups": identity.groups,
            "iat": now.as_secs(), "exp": (now + life).as_secs(),
        });
        let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let signature =
            self.key.sign(&SystemRandom::new(), message.as_bytes()).map_err(|error| Trouble::new("the token cannot be signed").because(error))?;
        Ok(format!("{message}.{}", BASE64.encode(signature)))
    }
}

/// All that the issuer ever answers.
struct Pages {
    discovery: String,
    keys: String,
}

fn discovery(url: &str) -> Value {
    json!({
        "issuer": url,
        "jwks_uri": format!("{url}/keys"),
        "authorization_endpoint": format!("{url}/authorize"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

fn key_set(key: &EcdsaKeyPair) -> Result<Value, Trouble> {
    // An uncompressed point: one byte that says so, then x and y.
    let point = key.public_key().as_ref().get(1..).filter(|point| point.len() == 2 * COORDINATE);
    let (x, y) = point.map(|point| point.split_at(COORDINATE)).ok_or_else(|| Trouble::new("the key has no point on P-256"))?;
    Ok(json!({"keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID, "x": BASE64.encode(x), "y": BASE64.encode(y),
    }]}))
}

async fn listen(listener: TcpListener, pages: Arc<Pages>) {
    while let Ok((stream, _peer)) = listener.accept().await {
        let pages = Arc::clone(&pages);
        tokio::spawn(async move {
            let service = service_fn(|request: http::Request<_>| {
                let answer = answer(&pages, request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection =
                http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).serve_connection(TokioIo::new(stream), service);
            // Who hangs up early misses a page and nothing else.
            drop(connection.await);
        });
    }
}

fn answer(pages: &Pages, path: &str) -> Response<Full<Bytes>> {
    let page = match path {
        "/.well-known/openid-configuration" => Some(&pages.discovery),
        "/keys" => Some(&pages.keys),
        _ => None,
    };
    let mut response = Response::new(Full::from(page.cloned().unwrap_or_default()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if page.is_none() {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}
