//! Where callers come in: sockets, TLS, HTTP/1.1 and HTTP/2, and a limit on everything that a stranger can hold.

mod body;
mod connection;
mod drain;
mod pace;
mod tls;

use std::net::SocketAddr;

use http::request::Parts;
use http::{Request, Version};
use hyper::body::Incoming;

pub use body::Arriving;
pub use connection::{Front, Handler};
pub use drain::Drain;
pub use tls::acceptor;

use crate::refusal::{Reason, Refusal};

/// A request as it arrived. Nothing in it is believed yet.
pub struct Arrived {
    peer: SocketAddr,
    head: Parts,
    body: Arriving,
}

impl Arrived {
    fn new(peer: SocketAddr, request: Request<Incoming>) -> Self {
        let (head, body) = request.into_parts();
        Self { peer, head, body: Arriving::new(body) }
    }

    /// Who connected.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The head.
    pub fn head(&self) -> &Parts {
        &self.head
    }

    /// Whether this is the protocol and the place for statements.
    ///
    /// # Errors
    /// 505 for HTTP/1.0, 404 for every path but `/`.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.head.version < Version::HTTP_11 {
            return Err(Refusal::new(Reason::HttpVersion, "Keyhouse speaks HTTP/1.1 and HTTP/2; use a client that does."));
        }
        if self.head.uri.path() != "/" {
            return Err(Refusal::new(Reason::UnknownPath, "Statements go to the path `/`; there is nothing else here."));
        }
        Ok(())
    }

    /// The parts, for the identity room.
    pub fn into_parts(self) -> (Parts, Arriving) {
        (self.head, self.body)
    }
}
