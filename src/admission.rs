//! Who may ask now: how many statements begin in a minute, and how many run at once. What is over the first is told when to
//! come again; what is over the second waits for its turn, or is told so.

mod queue;
mod rate;
mod slots;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use slots::Slot;

use crate::clock;
use crate::config::{Config, Queue, Share, Shares};
use crate::policy::Permitted;
use crate::record::Metrics;
use crate::refusal::{Reason, Refusal};
use slots::{Held, Place, State, Turn};

/// What is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Scope {
    /// Every statement.
    All,
    /// Those of one caller, by provider and subject.
    Caller(Arc<str>),
    /// Those under one credential.
    ActAs(Arc<str>),
    /// Those by one rule.
    Rule(Arc<str>),
    /// Those of one caller by one rule, the caller first.
    CallerOfRule(Arc<str>, Arc<str>),
}

impl Scope {
    /// Whose limit it is, for the caller.
    fn whose(&self) -> String {
        match self {
            Self::All | Self::Caller(_) => "Keyhouse".to_owned(),
            Self::ActAs(_) => "The rule's ClickHouse user".to_owned(),
            Self::Rule(name) | Self::CallerOfRule(_, name) => format!("Rule `{name}`"),
        }
    }

    /// What it is called, and where it stands.
    fn place(&self, key: &str) -> String {
        match self {
            Self::All => format!("(admission.{key})"),
            Self::ActAs(_) => format!("(admission.{key} under clickhouse.users)"),
            Self::Rule(_) => format!("(admission.{key} of the rule)"),
            Self::Caller(_) => format!("for each caller (admission.caller.{key})"),
            Self::CallerOfRule(..) => format!("for each caller (admission.caller.{key} of the rule)"),
        }
    }
}

/// A scope and how many of it there may be.
#[derive(Debug, Clone)]
struct Bound {
    scope: Scope,
    most: u32,
}

/// A permitted statement whose turn it is. Only [`Admission::admit`] makes one.
pub struct Admitted {
    permitted: Permitted,
    slot: Option<Slot>,
}

impl Admitted {
    /// What may run, and what to hold until the last of its answer has gone out.
    pub fn into_parts(self) -> (Permitted, Option<Slot>) {
        (self.permitted, self.slot)
    }
}

/// The limits of one config, over counts that outlive it.
pub struct Admission {
    shares: Shares,
    users: BTreeMap<String, Share>,
    queue: Queue,
    state: Arc<State>,
}

impl Admission {
    /// Nothing runs yet.
    pub fn new(config: &Config, metrics: Arc<Metrics>) -> Self {
        Self::over(config, Arc::new(State::new(metrics)))
    }

    /// The limits of another config over what runs.
    pub fn reloaded(&self, config: &Config) -> Self {
        Self::over(config, Arc::clone(&self.state))
    }

    fn over(config: &Config, state: Arc<State>) -> Self {
        let users = config.users.iter().filter(|(_, user)| !user.admission.is_open()).map(|(name, user)| (name.clone(), user.admission)).collect();
        Self { shares: config.admission.shares, users, queue: config.admission.queue, state }
    }

    /// Counts a statement that would begin now.
    ///
    /// # Errors
    /// 429 with the limit and the time to wait; it counts nowhere then.
    pub fn count(&self, permitted: &Permitted, now: Instant) -> Result<(), Refusal> {
        let bounds = self.bounds(permitted, |share| share.per_minute.map(Into::into));
        self.state.count(&bounds, now).map_err(|(bound, wait)| {
            let (whose, place) = (bound.scope.whose(), bound.scope.place("per_minute"));
            let says = format!("{whose} takes {} a minute {place}. Ask again in {}.", statements(bound.most), shown(wait));
            Refusal::new(Reason::RateExceeded, says).retry_after(wait)
        })
    }

    /// Gives a statement its slot, when it is its turn, and tells how long it waited where it had to.
    ///
    /// # Errors
    /// 429 where too many wait, or its turn does not come in time.
    pub async fn admit(&self, permitted: Permitted, waited: impl FnOnce(Duration)) -> Result<Admitted, Refusal> {
        let bounds = self.bounds(&permitted, |share| share.concurrent.map(Into::into));
        if bounds.is_empty() {
            return Ok(Admitted { permitted, slot: None });
        }
        let slot = match self.state.ask(permitted.understood().caller().key(), bounds, self.queue.length) {
            Held::Slot(slot) => slot,
            // Boxed, because few wait: every request would carry its room.
            Held::Turn(turn) => Box::pin(self.wait(turn, waited)).await?,
            Held::Full(bound) => return Err(self.refusal(&bound, None)),
        };
        Ok(Admitted { permitted, slot: Some(slot) })
    }

    async fn wait(&self, mut turn: Turn, waited: impl FnOnce(Duration)) -> Result<Slot, Refusal> {
        let began = clock::tick();
        let came = tokio::time::timeout(self.queue.time, turn.comes()).await;
        waited(clock::tick().duration_since(began));
        match came {
            Ok(Some(slot)) => Ok(slot),
            Ok(None) | Err(_) => {
                let Place { number, bound } = turn.place();
                Err(self.refusal(&bound, Some(number)))
            }
        }
    }

    /// Every limit that this statement counts for.
    fn bounds(&self, permitted: &Permitted, most: impl Fn(&Share) -> Option<u32>) -> Vec<Bound> {
        let (permit, caller) = (permitted.permit(), permitted.understood().caller());
        let rule = permit.admission();
        let mut bounds = Vec::new();
        let mut add = |share: &Share, scope: &dyn Fn() -> Scope| bounds.extend(most(share).map(|most| Bound { scope: scope(), most }));
        // The narrowest first: that is the one that a caller is told of, and can do something about.
        add(&rule.caller, &|| Scope::CallerOfRule(Arc::clone(caller.key()), Arc::clone(permit.rule())));
        add(&self.shares.caller, &|| Scope::Caller(Arc::clone(caller.key())));
        add(&rule.all, &|| Scope::Rule(Arc::clone(permit.rule())));
        if let Some(share) = self.users.get(permit.act_as().as_ref()) {
            add(share, &|| Scope::ActAs(Arc::clone(permit.act_as())));
        }
        add(&self.shares.all, &|| Scope::All);
        bounds
    }

    fn refusal(&self, bound: &Bound, number: Option<usize>) -> Refusal {
        let time = humantime::format_duration(self.queue.time);
        let waits = match number {
            Some(number) => format!("this one waited for {time} and is number {number} of those that wait"),
            None if self.queue.length == 0 => "none may wait (admission.queue.length)".to_owned(),
            None => format!("{} wait already (admission.queue.length)", self.queue.length),
        };
        let (whose, place) = (bound.scope.whose(), bound.scope.place("concurrent"));
        let says = format!("{whose} runs {} at once {place}; {waits}. Ask again in {}.", statements(bound.most), shown(AGAIN));
        Refusal::new(Reason::TooManyStatements, says).retry_after(AGAIN)
    }
}

/// When to ask again where nobody can know when a slot is free.
const AGAIN: Duration = Duration::from_secs(5);

fn statements(count: u32) -> String {
    if count == 1 { "one statement".to_owned() } else { format!("{count} statements") }
}

/// In whole seconds, as `Retry-After` has them.
fn shown(wait: Duration) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    humantime::format_duration(Duration::from_secs(seconds.max(1))).to_string()
}
