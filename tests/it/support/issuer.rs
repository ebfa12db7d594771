//! An OpenID issuer inside the test that signs anything, and whose key set can fail in every way.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;

use super::{
    door::Door,
    key::{Key, key_set},
    token::Token,
};

pub struct Issuer {
    pub url: String,
    door: Door,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    keys: Vec<Arc<Key>>,
    discovery: Option<Page>,
    key_set: Option<Page>,
    hits: Hits,
    asked: Vec<Asked>,
}

/// One request that came, whatever it was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub path: String,
    pub authorization: Option<String>,
    /// The tag of what the asker has (`If-None-Match`).
    pub known: Option<String>,
}

/// What stands at an address instead of the truth.
#[derive(Clone)]
pub struct Page {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    pub discovery: usize,
    pub key_set: usize,
}

impl Issuer {
    pub async fn start() -> Self {
        let issuer = Self::down_from_the_start();
        issuer.up().await;
        issuer
    }

    /// With an address that refuses connections until `up`.
    pub fn down_from_the_start() -> Self {
        let state = Arc::new(Mutex::new(State { keys: vec![Key::rs256()], ..State::default() }));
        let shared = Arc::clone(&state);
        let door = Door::new(move |stream| {
            let shared = Arc::clone(&shared);
            async move {
                let local = stream.local_addr().unwrap();
                let service = service_fn(move |request| answer(format!("http://{local}"), Arc::clone(&shared), request));
                // A caller who leaves early is no trouble of this test.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        });
        Self { url: format!("http://{}", door.address()), door, state }
    }

    /// Refuses connections, and ends those that stand.
    pub async fn down(&self) {
        self.door.shut().await;
    }

    /// Back on the same port.
    pub async fn up(&self) {
        self.door.open().await;
    }

    /// A good token, signed by the first published key.
    pub fn token(&self) -> Token {
        let key = Arc::clone(&self.state.lock().unwrap().keys[0]);
        Token::new(&self.url, &key)
    }

    /// Publishes these keys and no others; `token` signs with the first.
    pub fn publish(&self, keys: &[Arc<Key>]) {
        self.state.lock().unwrap().keys = keys.to_vec();
    }

    /// Answers this for its key set until told otherwise; `None` is the truth again.
    pub fn key_set_is(&self, page: impl Into<Option<Page>>) {
        self.state.lock().unwrap().key_set = page.into();
    }

    pub fn discovery_is(&self, page: impl Into<Option<Page>>) {
        self.state.lock().unwrap().discovery = page.into();
    }

    pub fn hits(&self) -> Hits {
        self.state.lock().unwrap().hits
    }

    /// Every request that came, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }
}

impl Page {
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::of(200, "application/json", body)
    }

    pub fn of(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// What an honest issuer says of itself.
pub fn discovery(issuer: &str) -> String {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/jwks"),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "ES384", "EdDSA"],
    })
    .to_string()
}

async fn answer(issuer: String, state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name: &str| request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let (authorization, known) = (header("authorization"), header("if-none-match"));
    let asked = Asked { path: request.uri().path().to_owned(), authorization, known: known.clone() };
    let mut page = state.lock().unwrap().page(&issuer, asked);
    if known.is_some() && page.headers.iter().any(|(name, value)| *name == "ETag" && known.as_ref() == Some(value)) {
        page = Page { status: 304, headers: Vec::new(), body: Vec::new() };
    }
    let mut response = Response::builder().status(page.status);
    for (name, value) in page.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::from(page.body)).unwrap())
}

impl State {
    fn page(&mut self, issuer: &str, asked: Asked) -> Page {
        let path = asked.path.clone();
        self.asked.push(asked);
        match path.as_str() {
            "/.well-known/openid-configuration" => {
                self.hits.discovery += 1;
                self.discovery.clone().unwrap_or_else(|| Page::json(discovery(issuer)))
            }
            "/jwks" => {
                self.hits.key_set += 1;
                self.key_set.clone().unwrap_or_else(|| Page::of(200, "application/jwk-set+json", key_set(&self.keys)))
            }
            _ => Page::of(404, "text/plain", "nothing here"),
        }
    }
}
