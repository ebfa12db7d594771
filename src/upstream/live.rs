//! What the servers themselves say of a user, for `keyhouse check --live`: asked as the gate asks, over the same connections, with
//! the user's own credential; no caller has a part in it.

use std::sync::Arc;

use bytes::Bytes;

use super::node::{Connection, Node};
use super::settings::Known;
use super::{Upstream, User, unreachable};
use crate::policy::Sent;
use crate::refusal::Refusal;

/// One node, as one user sees it.
pub struct Seen<'a> {
    known: Arc<Known>,
    connection: Connection,
    node: Arc<Node>,
    user: &'a User,
}

/// A setting that Keyhouse would have to send and that the server does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unset {
    /// Its name.
    pub name: String,
    /// The value that it has to have.
    pub value: String,
    /// Whether the server has it at all (164 then, and 115 where it has not).
    pub is_known: bool,
}

impl Upstream {
    /// Every node of the user's cluster, as that user, or why it cannot be asked.
    pub async fn look(&self, name: &str) -> Vec<(String, Result<Seen<'_>, Refusal>)> {
        let (user, cluster) = match self.destination(name) {
            Ok(destination) => destination,
            Err(refusal) => return vec![(String::new(), Err(refusal))],
        };
        let mut seen = Vec::new();
        for node in &cluster.nodes {
            let asked = async {
                let mut connection = node.connection(true).await.map_err(unreachable)?;
                let known = connection.settings_of(user, node).await.map_err(|failure| failure.refusal(node))?;
                Ok(Seen { known, connection, node: Arc::clone(node), user })
            };
            let asked = asked.await;
            seen.push((node.to_string(), asked));
        }
        seen
    }
}

impl Seen<'_> {
    /// What of a rule's settings, and of Keyhouse's own for its effects, cannot be sent: judged as before every statement.
    pub fn cannot_be_set(&self, sent: &[Sent], reads: bool, inserts: bool) -> Vec<Unset> {
        self.known.cannot_be_set(sent, reads, inserts)
    }

    /// Whether the server takes the name of the caller for its query log.
    pub fn names_callers(&self) -> bool {
        self.known.names_callers()
    }

    /// Asks one statement of Keyhouse's own, under a role where one is named; ClickHouse's code and words where it answers an
    /// error.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn ask(&mut self, sql: &str, role: Option<&str>) -> Result<Result<String, (u16, String)>, Refusal> {
        // A server may hang up behind an answer.
        self.connection = self.node.connection(true).await.map_err(unreachable)?;
        let told = self.connection.ask(self.user, &self.node, sql.to_owned(), role).await.map_err(|failure| failure.refusal(&self.node))?;
        let text = |body: Bytes| String::from_utf8_lossy(&body).into_owned();
        Ok(told.map(text).map_err(|(code, body)| (code, text(body))))
    }
}
