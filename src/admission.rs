//! Who may ask now: how many statements begin in a minute, how many run at once, how fast bytes go, and what a window of time has
//! room for. What is over a rate or a window is told when to come again; what finds no slot waits for its turn, or is told so.

mod meter;
mod queue;
mod rate;
mod slots;
mod window;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use meter::{Meter, Metered};
pub use slots::Slot;

use crate::clock;
use crate::config::{Config, Queue, Share, Shares, Window};
use crate::policy::Permitted;
use crate::record::Metrics;
use crate::refusal::{Reason, Refusal};
use crate::sessions::Lease;
use crate::statement::Brake;
use meter::Throttle;
use slots::{Bytes, Held, Place, Spendthrift, State, Turn};

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

    /// What is counted, for whoever tries rules.
    fn of_what(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Caller(_) => "each caller",
            Self::ActAs(_) => "this ClickHouse user",
            Self::Rule(_) => "this rule",
            Self::CallerOfRule(..) => "each caller by this rule",
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

/// All limits that one statement counts for, the narrowest first: that is the one that a caller is told of, and can do something about.
struct Bounds(Vec<(Scope, Share)>);

impl Bounds {
    /// Those that limit this.
    fn of<T>(&self, limit: impl Fn(&Share) -> Option<T>) -> impl Iterator<Item = (Scope, T)> {
        self.0.iter().filter_map(move |(scope, share)| Some((scope.clone(), limit(share)?)))
    }

    fn most(&self, limit: impl Fn(&Share) -> Option<u32>) -> Vec<Bound> {
        self.of(limit).map(|(scope, most)| Bound { scope, most }).collect()
    }

    fn rates(&self, limit: impl Fn(&Share) -> Option<NonZeroU64>) -> Vec<(Scope, NonZeroU64)> {
        self.of(limit).collect()
    }

    fn windows(&self, limits: impl Fn(&Window) -> bool) -> Vec<(Scope, Window)> {
        self.of(|share| share.window.filter(&limits)).collect()
    }
}

/// A permitted statement whose turn it is. Only [`Admission::admit`] makes one.
pub struct Admitted {
    permitted: Permitted,
    terms: Terms,
}

/// How a statement may run.
#[derive(Default)]
pub struct Terms {
    /// What to hold until the last of its answer has gone out.
    pub slot: Option<Slot>,
    /// When it has to be over.
    pub deadline: Option<Instant>,
    /// What holds back the data that goes with it.
    pub brake: Option<Box<dyn Brake>>,
    /// The session that it runs in, to hold as long as the slot.
    pub session: Option<Box<Lease>>,
}

impl Admitted {
    /// The same, in this session.
    pub fn in_session(mut self, session: Option<Box<Lease>>) -> Self {
        self.terms.session = session;
        self
    }

    /// What may run, and how.
    pub fn into_parts(self) -> (Permitted, Terms) {
        (self.permitted, self.terms)
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

    /// Counts a statement that would begin now, and tells what its answer's bytes count for.
    ///
    /// # Errors
    /// 429 with the limit and the time to wait; it counts nowhere then.
    pub fn count(&self, permitted: &Permitted, now: Instant) -> Result<Option<Box<Meter>>, Refusal> {
        let bounds = self.bounds(permitted);
        if bounds.0.is_empty() {
            return Ok(None);
        }
        let windows = bounds.windows(|window| window.answer_bytes.is_some());
        self.state.has_room(&windows, now).map_err(|spent| exhausted(&spent))?;
        self.state.count(&bounds.most(|share| share.per_minute.map(Into::into)), now).map_err(|(bound, wait)| {
            let (whose, place) = (bound.scope.whose(), bound.scope.place("per_minute"));
            let says = format!("{whose} takes {} a minute {place}. Ask again in {}.", statements(bound.most), shown(wait));
            Refusal::new(Reason::RateExceeded, says).retry_after(wait)
        })?;
        Ok(Meter::new(&self.state, bounds.rates(|share| share.answers_per_second), windows))
    }

    /// Gives a statement its slot, when it is its turn, and tells how long it waited where it had to.
    ///
    /// # Errors
    /// 429 where too many wait, its turn does not come in time, or the time that statements may run is used up.
    pub async fn admit(&self, permitted: Permitted, waited: impl FnOnce(Duration)) -> Result<Admitted, Refusal> {
        let bounds = self.bounds(&permitted);
        // What ends a statement must not wait for that one's slot.
        if bounds.0.is_empty() || permitted.permit().kills().is_some() {
            return Ok(Admitted { permitted, terms: Terms::default() });
        }
        let (slots, windows) = (bounds.most(|share| share.concurrent.map(Into::into)), bounds.windows(|window| window.running_time.is_some()));
        let timeout = bounds.of(|share| share.statement_timeout).map(|(_, timeout)| timeout).min();
        let deadline = timeout.map(|timeout| clock::tick() + timeout);
        let rates = if permitted.understood().has_data() { bounds.rates(|share| share.data_per_second) } else { Vec::new() };
        let brake = match rates.is_empty() {
            true => None,
            false => Some(Box::new(Throttle::new(Arc::clone(&self.state), Bytes::Data, rates)) as Box<dyn Brake>),
        };
        let slot = match slots.is_empty() {
            true => (!windows.is_empty()).then(|| self.state.free_slot()),
            false => Some(match self.state.ask(permitted.understood().caller().key(), slots, self.queue.length) {
                Held::Slot(slot) => slot,
                // Boxed, because few wait: every request would carry its room.
                Held::Turn(turn) => Box::pin(self.wait(turn, timeout, waited)).await?,
                Held::Full(bound) => return Err(self.refusal(&bound, None)),
            }),
        };
        let mut terms = Terms { slot, deadline, brake, session: None };
        if !windows.is_empty() {
            let now = clock::tick();
            if let Some(left) = self.state.time_left(&windows, now).map_err(|spent| exhausted(&spent))? {
                terms.deadline = Some(terms.deadline.map_or(now + left, |deadline| deadline.min(now + left)));
            }
            terms.slot = terms.slot.map(|slot| slot.timed(windows.into_iter().map(|(scope, _)| scope).collect(), now));
        }
        Ok(Admitted { permitted, terms })
    }

    async fn wait(&self, mut turn: Turn, timeout: Option<Duration>, waited: impl FnOnce(Duration)) -> Result<Slot, Refusal> {
        let (began, time) = (clock::tick(), timeout.map_or(self.queue.time, |timeout| timeout.min(self.queue.time)));
        let came = tokio::time::timeout(time, turn.comes()).await;
        waited(clock::tick().duration_since(began));
        match came {
            Ok(Some(slot)) => Ok(slot),
            Ok(None) | Err(_) => {
                let Place { number, bound } = turn.place();
                Err(self.refusal(&bound, Some((number, time))))
            }
        }
    }

    /// Every limit that this statement counts for, for people.
    pub fn limits(&self, permitted: &Permitted) -> Vec<String> {
        self.bounds(permitted).0.iter().map(|(scope, share)| format!("{}: {share}", scope.of_what())).collect()
    }

    /// Every limit that this statement counts for.
    fn bounds(&self, permitted: &Permitted) -> Bounds {
        let (permit, caller) = (permitted.permit(), permitted.understood().caller());
        let mut bounds = Vec::new();
        let mut add = |share: &Share, scope: &dyn Fn() -> Scope| {
            if !share.is_open() {
                bounds.push((scope(), *share));
            }
        };
        if let Some(rule) = permit.admission() {
            add(&rule.caller, &|| Scope::CallerOfRule(Arc::clone(caller.key()), Arc::clone(permit.rule())));
        }
        add(&self.shares.caller, &|| Scope::Caller(Arc::clone(caller.key())));
        if let Some(rule) = permit.admission() {
            add(&rule.all, &|| Scope::Rule(Arc::clone(permit.rule())));
        }
        if let Some(share) = self.users.get(permit.act_as().as_ref()) {
            add(share, &|| Scope::ActAs(Arc::clone(permit.act_as())));
        }
        add(&self.shares.all, &|| Scope::All);
        Bounds(bounds)
    }

    fn refusal(&self, bound: &Bound, waited: Option<(usize, Duration)>) -> Refusal {
        let waits = match waited {
            Some((number, time)) => {
                format!("this one waited for {} and is number {number} of those that wait", humantime::format_duration(time))
            }
            None if self.queue.length == 0 => "none may wait (admission.queue.length)".to_owned(),
            None => format!("{} wait already (admission.queue.length)", self.queue.length),
        };
        let (whose, place) = (bound.scope.whose(), bound.scope.place("concurrent"));
        let says = format!("{whose} runs {} at once {place}; {waits}. Ask again in {}.", statements(bound.most), shown(AGAIN));
        Refusal::new(Reason::TooManyStatements, says).retry_after(AGAIN)
    }
}

/// What is told where a window is used up.
fn exhausted(spent: &Spendthrift) -> Refusal {
    let Spendthrift { scope, window, wait } = spent;
    let bytes = window.answer_bytes.map(|most| bytesize::ByteSize(most.get()).to_string());
    let time = window.running_time.map(|most| humantime::format_duration(most).to_string());
    let most: Vec<String> =
        bytes.map(|bytes| format!("{bytes} of answers")).into_iter().chain(time.map(|time| format!("{time} of running"))).collect();
    let length = humantime::format_duration(window.length);
    let (whose, place, wait) = (scope.whose(), scope.place("window"), (*wait).max(Duration::from_secs(1)));
    let says = format!("{whose} gives {} in {length} {place}, and that is used up. Ask again in {}.", most.join(" and "), shown(wait));
    Refusal::new(Reason::WindowExceeded, says).retry_after(wait)
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
