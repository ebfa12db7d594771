//! Sessions of ClickHouse that are open: how many a caller has, and at which node each is. A session lives at one node alone, and what
//! is asked in it goes there.
//!
//! Which session a request is in, and what may be said in one, is for `policy`. Counts outlive a reload.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::Config;
use crate::digest::Hex;
use crate::policy::Session;
use crate::refusal::{Reason, Refusal};

/// How often at most all are looked through for those that are over.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

type Id = Hex<64>;

/// A caller, and the rule that gave the sessions.
type Whose = (Arc<str>, Arc<str>);

/// The sessions that are open, of all callers.
pub struct Sessions {
    most: usize,
    store: Arc<Store>,
}

#[derive(Default)]
struct Store(Mutex<State>);

#[derive(Default)]
struct State {
    sessions: HashMap<Id, Open>,
    by_whose: HashMap<Whose, Vec<Id>>,
    looked: Option<Instant>,
}

struct Open {
    whose: Whose,
    node: Option<Arc<str>>,
    /// How many statements are on their way in it; ClickHouse refuses all but one.
    running: u32,
    /// When ClickHouse lets go of it, while nothing runs in it.
    until: Instant,
}

impl Open {
    fn is_over(&self, now: Instant) -> bool {
        self.running == 0 && self.until <= now
    }
}

/// A statement that runs in a session. ClickHouse's clock for the session begins when this is dropped.
pub struct Lease {
    store: Arc<Store>,
    id: Id,
    timeout: Duration,
}

impl Sessions {
    /// No sessions yet.
    pub fn new(config: &Config) -> Self {
        Self { most: config.limits.sessions, store: Arc::default() }
    }

    /// The same sessions, under another config.
    pub fn reloaded(&self, config: &Config) -> Self {
        Self { most: config.limits.sessions, store: Arc::clone(&self.store) }
    }

    /// Takes part in a session, which is begun where there is none.
    ///
    /// # Errors
    /// 429 where the caller has as many as the rule gives, or all callers as many as the config.
    pub fn open(&self, session: &Session, now: Instant) -> Result<Box<Lease>, Refusal> {
        let mut state = self.store.state();
        if state.sessions.get(&session.id).is_some_and(|open| open.is_over(now)) {
            state.close(&session.id);
        }
        if !state.sessions.contains_key(&session.id) {
            if state.count(&session.whose, now) >= session.most as usize {
                let says = format!(
                    "Rule `{}` gives each caller {} sessions at once (sessions.per_caller), and you have them; use one of them again, or wait until one is over, {} after its last statement.",
                    session.whose.1,
                    session.most,
                    humantime::format_duration(session.timeout)
                );
                return Err(Refusal::new(Reason::TooManySessions, says).retry_after(session.timeout));
            }
            if !state.has_room(self.most, now) {
                let says = format!("Keyhouse has {} sessions (limits.sessions), which is all that it keeps; ask without one, or later.", self.most);
                return Err(Refusal::new(Reason::TooManySessions, says).retry_after(session.timeout));
            }
            state.by_whose.entry(session.whose.clone()).or_default().push(session.id);
            state.sessions.insert(session.id, Open { whose: session.whose.clone(), node: None, running: 0, until: now });
        }
        if let Some(open) = state.sessions.get_mut(&session.id) {
            open.running += 1;
        }
        Ok(Box::new(Lease { store: Arc::clone(&self.store), id: session.id, timeout: session.timeout }))
    }
}

impl Store {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self, id: &Id) {
        let Some(open) = self.sessions.remove(id) else { return };
        if let Some(ids) = self.by_whose.get_mut(&open.whose) {
            ids.retain(|known| known != id);
            if ids.is_empty() {
                self.by_whose.remove(&open.whose);
            }
        }
    }

    /// How many these have, without those that are over.
    fn count(&mut self, whose: &Whose, now: Instant) -> usize {
        let ids = self.by_whose.get(whose).cloned().unwrap_or_default();
        let (over, open): (Vec<Id>, Vec<Id>) = ids.into_iter().partition(|id| self.sessions.get(id).is_none_or(|open| open.is_over(now)));
        over.iter().for_each(|id| self.close(id));
        open.len()
    }

    /// Whether there may be one more; all are looked through once in a while.
    fn has_room(&mut self, most: usize, now: Instant) -> bool {
        if self.sessions.len() >= most && self.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK_AGAIN) {
            self.looked = Some(now);
            let over: Vec<Id> = self.sessions.iter().filter(|(_, open)| open.is_over(now)).map(|(id, _)| *id).collect();
            over.iter().for_each(|id| self.close(id));
        }
        self.sessions.len() < most
    }
}

impl Lease {
    /// The node that has the session, by its address.
    pub fn node(&self) -> Option<Arc<str>> {
        self.store.state().sessions.get(&self.id)?.node.clone()
    }

    /// The session is begun at this node, unless it was at another meanwhile.
    pub fn begins_at(&self, node: &Arc<str>) {
        if let Some(open) = self.store.state().sessions.get_mut(&self.id) {
            open.node.get_or_insert_with(|| Arc::clone(node));
        }
    }

    /// Its node cannot be reached: the next statement begins it anew, wherever its turn leads.
    pub fn is_lost(&self) {
        if let Some(open) = self.store.state().sessions.get_mut(&self.id) {
            open.node = None;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.store.state();
        if let Some(open) = state.sessions.get_mut(&self.id) {
            open.running = open.running.saturating_sub(1);
            open.until = clock::tick() + self.timeout;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;
    use crate::digest::sha256;

    fn session(caller: &str, name: u32, most: u32) -> Session {
        let id = Hex::of(&sha256(format!("{caller} {name}").as_bytes()));
        Session { id, whose: (caller.into(), "rule".into()), most, timeout: Duration::from_secs(60), check: false }
    }

    fn sessions(most: usize) -> Sessions {
        Sessions { most, store: Arc::default() }
    }

    #[test]
    fn nobody_has_more_than_the_rule_gives_and_all_no_more_than_the_config() {
        let (sessions, now) = (sessions(5), clock::tick());
        let open = |caller: &str, name: u32, later: u64| sessions.open(&session(caller, name, 2), now + Duration::from_secs(later)).map(drop);
        let refused = |result: Result<(), Refusal>, says: &str| assert!(result.unwrap_err().says().contains(says));
        open("alice", 1, 0).unwrap();
        open("alice", 2, 0).unwrap();
        open("alice", 1, 0).unwrap();
        refused(open("alice", 3, 0), "sessions.per_caller");
        for (caller, name) in [("bob", 1), ("bob", 2), ("carol", 1)] {
            open(caller, name, 0).unwrap();
        }
        refused(open("carol", 2, 0), "limits.sessions");
        // All are over by then: one's own are let go of when one needs room, and all when nobody has any.
        open("alice", 3, 61).unwrap();
        assert_eq!(sessions.store.state().sessions.len(), 4);
        open("dora", 1, 61).unwrap();
        open("eve", 1, 63).unwrap();
        let state = sessions.store.state();
        assert_eq!((state.sessions.len(), state.by_whose.len()), (1, 1));
    }

    #[test]
    fn one_in_which_a_statement_runs_is_not_over() {
        let (sessions, now) = (sessions(1), clock::tick());
        let lease = sessions.open(&session("alice", 1, 1), now).unwrap();
        lease.begins_at(&"a".into());
        lease.begins_at(&"b".into());
        let later = now + Duration::from_secs(3600);
        assert!(sessions.open(&session("bob", 1, 1), later).is_err());
        assert_eq!(sessions.open(&session("alice", 1, 1), later).unwrap().node().as_deref(), Some("a"));
        drop(lease);
        let later = clock::tick() + Duration::from_secs(61);
        assert_eq!(sessions.open(&session("alice", 1, 1), later).unwrap().node(), None, "ClickHouse has forgotten it");
    }

    #[test]
    fn whose_node_is_gone_begins_anew() {
        let sessions = sessions(1);
        let lease = sessions.open(&session("alice", 1, 1), clock::tick()).unwrap();
        lease.begins_at(&"a".into());
        lease.is_lost();
        assert_eq!(lease.node(), None);
    }
}
