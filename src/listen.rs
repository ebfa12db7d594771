//! Where callers come in: sockets, TLS, HTTP/1.1 and HTTP/2, and a limit on everything that a stranger can hold.

mod body;
mod connection;
mod drain;
mod pace;
mod tls;

use std::net::SocketAddr;

use http::Request;
use http::request::Parts;
use hyper::body::Incoming;

pub use body::Arriving;
pub use connection::{Front, Handler};
pub use drain::Drain;
pub use tls::acceptor;

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

    /// The parts, for the identity room.
    pub fn into_parts(self) -> (Parts, Arriving) {
        (self.head, self.body)
    }
}
