//! Statements that run, by what their callers call them: a caller ends one by that name, and nobody else's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;

use super::node::Node;
use crate::policy::{Kill, Permitted};
use crate::record::RequestId;
use crate::statement::{quoted, written_name};

/// A caller, and what it calls a query.
type Name = (Arc<str>, HeaderValue);

/// Statements that run and have a name of their callers', of every config since the start.
#[derive(Default)]
pub(super) struct Running(Mutex<HashMap<Name, Vec<One>>>);

struct One {
    id: RequestId,
    node: Arc<str>,
}

/// One that runs, until this is dropped.
pub(super) struct Named {
    running: Arc<Running>,
    name: Name,
    id: RequestId,
}

/// A `KILL QUERY` as ClickHouse hears it.
pub(super) struct Killing {
    /// The node that runs what is to be ended, where one is known.
    pub(super) node: Option<Arc<str>>,
    /// The statement.
    pub(super) text: String,
}

impl Running {
    fn names(&self) -> MutexGuard<'_, HashMap<Name, Vec<One>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a statement that is about to be sent to this node, where its caller calls it by a name.
    pub(super) fn begins(self: &Arc<Self>, permitted: &Permitted, id: &RequestId, node: &Node) -> Option<Box<Named>> {
        let understood = permitted.understood();
        let name = (Arc::clone(understood.caller().key()), understood.address().query_id()?.clone());
        self.names().entry(name.clone()).or_default().push(One { id: *id, node: Arc::clone(node.shown()) });
        Some(Box::new(Named { running: Arc::clone(self), name, id: *id }))
    }

    /// What a `KILL QUERY` means: of the caller's own by that name those at one node, each under the id that ClickHouse knows. Where there
    /// are none, a rule that lets its callers end anybody's sends what was asked, and any other nothing that could be somebody's.
    pub(super) fn killing(&self, permitted: &Permitted, kill: &Kill) -> Option<Killing> {
        let names = self.names();
        // What could stand in no header is nobody's name.
        let name = HeaderValue::from_str(&kill.query_id).ok().map(|name| (Arc::clone(permitted.understood().caller().key()), name));
        let own = name.and_then(|name| names.get(&name)).map(Vec::as_slice).unwrap_or_default();
        let Some(first) = own.first() else {
            return kill.own_alone.then(|| Killing { node: None, text: text(kill, permitted, "''") });
        };
        let ids: Vec<String> = own.iter().filter(|one| one.node == first.node).map(|one| quoted(one.id.as_str())).collect();
        Some(Killing { node: Some(Arc::clone(&first.node)), text: text(kill, permitted, &ids.join(", ")) })
    }
}

fn text(kill: &Kill, permitted: &Permitted, ids: &str) -> String {
    let mut text = format!("KILL QUERY WHERE query_id IN ({ids})");
    if let Some(mode) = kill.mode {
        text.push(' ');
        text.push_str(mode);
    }
    if let Some(format) = &permitted.understood().statement().reach().format {
        text.push_str(" FORMAT ");
        text.push_str(&written_name(format));
    }
    text
}

impl Drop for Named {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.running.names().entry(self.name.clone()) {
            entry.get_mut().retain(|one| one.id != self.id);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }
}
