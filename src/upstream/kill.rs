//! The end of statements that Keyhouse gave up: ClickHouse goes on with most of them when only their connection closes.

use std::sync::Arc;

use http::StatusCode;
use tokio::runtime::Handle;

use super::node::Node;
use super::running::Named;
use super::{Upstream, unreachable};
use crate::clock;
use crate::record::{Draft, Outcome, RequestId};
use crate::refusal::Refusal;
use crate::statement::quoted;

/// A statement that may be running. Dropped before it has ended, it is killed at its node, and that leaves a record of its own.
#[derive(Default)]
pub(super) struct Sent {
    killing: Option<Box<Killing>>,
    /// Its caller may end it by a name meanwhile.
    named: Option<Box<Named>>,
}

struct Killing {
    upstream: Arc<Upstream>,
    /// Who kills, as `clickhouse.users` has them.
    user: Arc<str>,
    node: Arc<Node>,
    id: RequestId,
    draft: Draft,
}

impl Sent {
    /// A statement that is about to be sent to this node, where somebody is named who may kill it.
    pub(super) fn new(upstream: &Arc<Upstream>, user: Option<&Arc<str>>, node: &Arc<Node>, id: &RequestId, draft: Option<&Draft>) -> Self {
        let killing = user.zip(draft).map(|(user, draft)| {
            let (upstream, user, node) = (Arc::clone(upstream), Arc::clone(user), Arc::clone(node));
            Box::new(Killing { upstream, user, node, id: *id, draft: draft.clone() })
        });
        Self { killing, named: None }
    }

    /// The same, under a name of its caller's.
    pub(super) fn named(mut self, named: Option<Box<Named>>) -> Self {
        self.named = named;
        self
    }

    /// It runs no more, or never did, or is sent once more under the same id.
    pub(super) fn ended(&mut self) {
        self.killing = None;
        self.named = None;
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let (Some(killing), Ok(runtime)) = (self.killing.take(), Handle::try_current()) {
            runtime.spawn(killing.kill());
        }
    }
}

impl Killing {
    async fn kill(self: Box<Self>) {
        let Self { upstream, user, node, id, draft } = *self;
        let sql = format!("KILL QUERY WHERE query_id = {} FORMAT TabSeparated", quoted(id.as_str()));
        let mut recording = draft.open(clock::now(), clock::tick());
        let entry = recording.entry();
        entry.kills(Arc::clone(&user), id);
        let told = ask(&upstream, &user, &node, sql).await;
        let (outcome, status) = match &told {
            Ok(Ok(_)) => (Outcome::Answered, StatusCode::OK),
            Ok(Err(_)) => (Outcome::Answered, StatusCode::INTERNAL_SERVER_ERROR),
            Err(refusal) => (Outcome::Refused, refusal.reason().status()),
        };
        entry.node = Some(Arc::clone(node.shown()));
        entry.answer_begins(status, clock::tick());
        match told {
            Ok(Ok(is_told)) => entry.is_killed = Some(is_told),
            Ok(Err((code, text))) => {
                tracing::warn!(request_id = %id, user = &*user, %node, code, text, "ClickHouse does not kill a statement that was given up (clickhouse.clusters.NAME.kill_as)");
                entry.clickhouse_code = Some(code);
            }
            Err(refusal) => {
                tracing::warn!(request_id = %id, user = &*user, %node, cause = refusal.chain(), "a statement that was given up could not be killed");
                entry.reason = Some(refusal.reason().code());
            }
        }
        recording.ends(outcome);
    }
}

/// Whether there was something to kill.
async fn ask(upstream: &Upstream, user: &str, node: &Node, sql: String) -> Result<Result<bool, (u16, String)>, Refusal> {
    let (user, _) = upstream.destination(user)?;
    let mut connection = node.connection(true).await.map_err(unreachable)?;
    let told = connection.ask(user, node, sql, None).await.map_err(|failure| failure.refusal(node))?;
    Ok(told.map(|body| !body.is_empty()).map_err(|(code, body)| (code, String::from_utf8_lossy(&body).into_owned())))
}
