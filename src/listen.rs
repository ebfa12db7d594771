//! Where callers come in: sockets, TLS, HTTP/1.1 and HTTP/2, and a limit on everything that a stranger can hold.

mod body;
mod connection;
mod cors;
mod drain;
#[cfg(keyhouse_fuzz)]
pub mod fuzzing;
mod origin;
mod pace;
mod tls;

use std::net::{IpAddr, SocketAddr};

use body::Unwanted;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Version};
use hyper::body::Incoming;
use ipnet::IpNet;
use origin::Malformed;
use pace::Pace;

pub use body::Arriving;
pub use connection::{Front, Handler, Spoken};
pub use cors::Cors;
pub use drain::Drain;
pub use tls::acceptor;

use crate::refusal::{Reason, Refusal};

/// Where OAuth clients find out who issues tokens for this server (RFC 9728 3).
pub const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// Whether the header is there. Among the few of a request that is seen sooner than a name is hashed.
pub(crate) fn stands(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys().any(|known| known == name)
}

/// A request as it arrived. Nothing in it is believed yet.
pub struct Arrived {
    peer: SocketAddr,
    /// Where it comes from, unless a trusted proxy says that in a way that cannot be read.
    from: Result<IpAddr, Malformed>,
    head: Parts,
    body: Arriving,
}

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// A statement to run.
    Statement,
    /// Whether anybody is there.
    Ping,
    /// Who issues tokens for this server.
    Metadata,
    /// Whether a web page may ask.
    Preflight,
}

impl Arrived {
    /// A request on a connection of `peer`, which comes from `origin`. Boxed, because it goes from room to room, and the future of
    /// a request would have a place for it in each. With what will be left of its body.
    fn new(peer: SocketAddr, origin: IpAddr, trusted_proxies: &[IpNet], pace: Pace, request: Request<Incoming>) -> (Box<Self>, Unwanted) {
        let (head, body) = request.into_parts();
        let (body, unwanted) = Arriving::new(body, pace);
        (Box::new(Self { peer, from: origin::forwarded(origin, &head.headers, trusted_proxies), head, body }), unwanted)
    }

    /// Who connected.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address that the request comes from: the peer's, or the one that trusted proxies tell.
    pub fn from(&self) -> IpAddr {
        self.from.as_ref().copied().unwrap_or_else(|Malformed| self.peer.ip().to_canonical())
    }

    /// The head.
    pub fn head(&self) -> &Parts {
        &self.head
    }

    /// Whether this is the protocol and the place for statements, or for the question whether anybody is there.
    ///
    /// # Errors
    /// 505 for HTTP/1.0, 400 where a trusted proxy's `X-Forwarded-For` cannot be read, 404 for every path but `/` and `/ping`, 405 for a ping that is no GET or HEAD.
    pub fn check(&self) -> Result<Asked, Refusal> {
        if self.head.version < Version::HTTP_11 {
            return Err(Refusal::new(Reason::HttpVersion, "Keyhouse speaks HTTP/1.1 and HTTP/2; use a client that does."));
        }
        if self.from == Err(Malformed) {
            return Err(Refusal::new(
                Reason::MalformedForwarded,
                "The proxy before Keyhouse sent an `X-Forwarded-For` that is no list of addresses. Tell those who run it.",
            ));
        }
        match (self.head.uri.path(), &self.head.method) {
            ("/" | "/ping", &Method::OPTIONS) if cors::is_preflight(&self.head.headers) => Ok(Asked::Preflight),
            (path, &Method::OPTIONS) if path.starts_with(METADATA_PATH) && cors::is_preflight(&self.head.headers) => Ok(Asked::Preflight),
            ("/", _) => Ok(Asked::Statement),
            ("/ping", &Method::GET | &Method::HEAD) => Ok(Asked::Ping),
            ("/ping", _) => Err(Refusal::new(Reason::MethodNotAllowed, "A ping is a GET.")),
            (path, &Method::GET | &Method::HEAD) if path.starts_with(METADATA_PATH) => Ok(Asked::Metadata),
            _ => Err(Refusal::new(Reason::UnknownPath, "Statements go to the path `/`; there is nothing else here but `/ping`.")),
        }
    }

    /// The parts, for the identity room.
    pub fn into_parts(self) -> (Parts, Arriving) {
        (self.head, self.body)
    }
}
