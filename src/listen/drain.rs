//! The end of listening: told to every connection, and waited for.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// Tells every connection to finish, and knows when the last has.
pub struct Drain {
    tell: watch::Sender<bool>,
    alive: mpsc::Receiver<()>,
    token: mpsc::Sender<()>,
}

/// One connection's side of it: while it lives, the drain waits.
#[derive(Clone)]
pub(super) struct Draining {
    told: watch::Receiver<bool>,
    _alive: mpsc::Sender<()>,
}

impl Drain {
    /// A drain that has not begun.
    pub fn new() -> Self {
        let (token, alive) = mpsc::channel(1);
        Self { tell: watch::Sender::new(false), alive, token }
    }

    pub(super) fn member(&self) -> Draining {
        Draining { told: self.tell.subscribe(), _alive: self.token.clone() }
    }

    /// Begins, and waits until the last connection has ended or the time is over. Says whether all ended.
    pub async fn finish(mut self, within: Duration) -> bool {
        self.tell.send_replace(true);
        drop(self.token);
        tokio::time::timeout(within, self.alive.recv()).await.is_ok()
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Draining {
    /// Returns when the drain has begun.
    pub(super) async fn begun(&mut self) {
        // An error means that the other side is gone, which is an end too.
        if self.told.wait_for(|told| *told).await.is_err() {
            tracing::debug!("the drain's own side is gone");
        }
    }
}
