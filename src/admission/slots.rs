//! What runs, what waits and what began lately, counted under one lock that nobody holds while waiting.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::queue::{Queue, Ticket};
use super::rate::Rate;
use super::window::Spent;
use super::{Bound, Scope};
use crate::clock;
use crate::config::Window;
use crate::record::Metrics;

/// So many scopes are counted before those that count nothing any more are looked for.
const FEW: usize = 1024;

/// What is counted, of every config since the start.
pub(super) struct State {
    counts: Mutex<Counts>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Counts {
    scopes: Scopes,
    queue: Queue,
    /// How many scopes there are when the next look is due.
    look_at: usize,
}

#[derive(Default)]
struct Use {
    running: u32,
    rate: Rate,
    answers: Rate,
    data: Rate,
    spent: Spent,
}

/// What bytes are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bytes {
    Answers,
    Data,
}

impl Use {
    fn bytes(&mut self, of: Bytes) -> &mut Rate {
        match of {
            Bytes::Answers => &mut self.answers,
            Bytes::Data => &mut self.data,
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.running == 0 && [self.rate, self.answers, self.data].into_iter().all(|rate| rate.is_over(now)) && self.spent.is_over(now)
    }
}

/// What is counted of each scope.
#[derive(Default)]
struct Scopes(HashMap<Scope, Use>);

/// One statement that runs. Dropped, it makes room for the next.
pub struct Slot {
    state: Arc<State>,
    scopes: Vec<Scope>,
    /// Whose running time it counts for, and since when.
    timed: Option<(Vec<Scope>, Instant)>,
}

/// A window that has no room, and how long it still takes.
pub(super) struct Spendthrift {
    pub(super) scope: Scope,
    pub(super) window: Window,
    pub(super) wait: Duration,
}

/// What comes of asking for a slot.
pub(super) enum Held {
    Slot(Slot),
    Turn(Turn),
    /// Too many wait for what this bounds.
    Full(Bound),
}

/// One that waits. Dropped, it waits no more.
pub(super) struct Turn {
    state: Arc<State>,
    caller: Arc<str>,
    number: u64,
    bounds: Vec<Bound>,
    comes: oneshot::Receiver<Slot>,
}

/// Where one stands that waits.
pub(super) struct Place {
    pub(super) number: usize,
    /// What it waits for.
    pub(super) bound: Bound,
}

impl Scopes {
    /// What there is no room in, of these.
    fn full<'a>(&self, bounds: &'a [Bound]) -> Option<&'a Bound> {
        bounds.iter().find(|bound| self.0.get(&bound.scope).is_some_and(|used| used.running >= bound.most))
    }

    fn of(&mut self, scope: &Scope) -> &mut Use {
        self.0.entry(scope.clone()).or_default()
    }

    fn take(&mut self, bounds: Vec<Bound>) -> Vec<Scope> {
        let scopes: Vec<Scope> = bounds.into_iter().map(|bound| bound.scope).collect();
        for scope in &scopes {
            self.of(scope).running += 1;
        }
        scopes
    }

    fn give_back(&mut self, scopes: Vec<Scope>) {
        for scope in scopes {
            if let Entry::Occupied(mut used) = self.0.entry(scope) {
                used.get_mut().running = used.get().running.saturating_sub(1);
            }
        }
    }
}

impl Counts {
    /// The next that waits and has room now, with its slot's scopes.
    fn next(&mut self) -> Option<(oneshot::Sender<Slot>, Vec<Scope>)> {
        let Self { scopes, queue, .. } = self;
        let Ticket { bounds, give, .. } = queue.pop(|bounds| scopes.full(bounds).is_none())?;
        Some((give, scopes.take(bounds)))
    }

    /// Forgets what counts nothing, now and then: callers come and go.
    fn forget(&mut self, now: Instant) {
        let scopes = &mut self.scopes.0;
        if scopes.len() > self.look_at.max(FEW) {
            scopes.retain(|_, used| !used.is_over(now));
            self.look_at = 2 * scopes.len();
        }
    }
}

impl State {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { counts: Mutex::default(), metrics }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one that begins for each of these, or tells which has to wait and for how long.
    pub(super) fn count(&self, bounds: &[Bound], now: Instant) -> Result<(), (Bound, Duration)> {
        if bounds.is_empty() {
            return Ok(());
        }
        let mut counts = self.counts();
        counts.forget(now);
        let waits = bounds.iter().filter_map(|bound| Some((bound, counts.scopes.0.get(&bound.scope)?.rate.wait(bound.most, now)?)));
        if let Some((bound, wait)) = waits.max_by_key(|(_, wait)| *wait) {
            return Err((bound.clone(), wait));
        }
        for bound in bounds {
            counts.scopes.of(&bound.scope).rate.count(bound.most, now);
        }
        Ok(())
    }

    /// A slot where there is room in all of these, else a turn where fewer than `most` wait.
    pub(super) fn ask(self: &Arc<Self>, caller: &Arc<str>, bounds: Vec<Bound>, most: usize) -> Held {
        let mut counts = self.counts();
        counts.forget(clock::tick());
        let full = counts.scopes.full(&bounds).cloned();
        let full = match full {
            None if !counts.queue.has(caller) => {
                let scopes = counts.scopes.take(bounds);
                drop(counts);
                return Held::Slot(self.slot(scopes));
            }
            // Nothing but the caller's own that waits already.
            None => bounds.first().cloned(),
            Some(full) => Some(full),
        };
        if counts.queue.len() >= most
            && let Some(full) = full
        {
            return Held::Full(full);
        }
        let (give, comes) = oneshot::channel();
        let number = counts.queue.push(caller, bounds.clone(), give);
        drop(counts);
        self.metrics.statements_waiting.inc();
        Held::Turn(Turn { state: Arc::clone(self), caller: Arc::clone(caller), number, bounds, comes })
    }

    fn slot(self: &Arc<Self>, scopes: Vec<Scope>) -> Slot {
        self.metrics.statements_running.inc();
        Slot { state: Arc::clone(self), scopes, timed: None }
    }

    /// A slot that nobody has to wait for.
    pub(super) fn free_slot(self: &Arc<Self>) -> Slot {
        self.slot(Vec::new())
    }

    /// Looks whether each window has room for more bytes of answers.
    pub(super) fn has_room(&self, windows: &[(Scope, Window)], now: Instant) -> Result<(), Spendthrift> {
        if windows.is_empty() {
            return Ok(());
        }
        let mut counts = self.counts();
        counts.forget(now);
        look(&mut counts, windows, now, |spent, window| window.answer_bytes.is_none_or(|most| spent.bytes(window.length, now) < most.get()))
    }

    /// Uses up so many bytes in every window. One without room for them is used up then: whoever asks next is told so, and not given
    /// the beginning of an answer again.
    pub(super) fn spend(&self, windows: &[(Scope, Window)], bytes: u64, now: Instant) -> Result<(), Spendthrift> {
        let mut counts = self.counts();
        for (scope, window) in windows {
            counts.scopes.of(scope).spent.spend(bytes, window.length, now);
        }
        look(&mut counts, windows, now, |spent, window| window.answer_bytes.is_none_or(|most| spent.bytes(window.length, now) <= most.get()))
    }

    /// How long a statement may run by these windows, that would begin now.
    pub(super) fn time_left(&self, windows: &[(Scope, Window)], now: Instant) -> Result<Option<Duration>, Spendthrift> {
        let (mut counts, mut least) = (self.counts(), None);
        look(&mut counts, windows, now, |spent, window| {
            let Some(most) = window.running_time else { return true };
            let left = most.saturating_sub(spent.ran(window.length, now));
            least = Some(least.map_or(left, |least: Duration| least.min(left)));
            !left.is_zero()
        })?;
        Ok(least)
    }

    /// How long bytes have to wait, by these rates.
    pub(super) fn wait_for_bytes(&self, of: Bytes, scopes: &[(Scope, NonZeroU64)], now: Instant) -> Option<Duration> {
        let mut counts = self.counts();
        scopes.iter().filter_map(|(scope, _)| counts.scopes.of(scope).bytes(of).wait_for_bytes(now)).max()
    }

    /// Counts bytes that go.
    pub(super) fn count_bytes(&self, of: Bytes, scopes: &[(Scope, NonZeroU64)], bytes: usize, now: Instant) {
        let mut counts = self.counts();
        for (scope, a_second) in scopes {
            counts.scopes.of(scope).bytes(of).count_bytes(bytes, *a_second, now);
        }
    }

    /// Hands out what is free now.
    fn hand_out(self: &Arc<Self>) {
        loop {
            let Some((give, scopes)) = self.counts().next() else { return };
            // Who left meanwhile drops it, which hands it out again.
            drop(give.send(self.slot(scopes)));
        }
    }
}

/// The first window without room, by what is told of it.
fn look(
    counts: &mut Counts,
    windows: &[(Scope, Window)],
    now: Instant,
    mut has_room: impl FnMut(&mut Spent, &Window) -> bool,
) -> Result<(), Spendthrift> {
    for (scope, window) in windows {
        let spent = &mut counts.scopes.of(scope).spent;
        if !has_room(spent, window) {
            return Err(Spendthrift { scope: scope.clone(), window: *window, wait: spent.left(now) });
        }
    }
    Ok(())
}

impl Slot {
    /// Counts the time from now on for these.
    pub(super) fn timed(mut self, scopes: Vec<Scope>, now: Instant) -> Self {
        let mut counts = self.state.counts();
        for scope in &scopes {
            counts.scopes.of(scope).spent.begins(now);
        }
        drop(counts);
        self.timed = Some((scopes, now));
        self
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.state.metrics.statements_running.dec();
        let mut counts = self.state.counts();
        counts.scopes.give_back(std::mem::take(&mut self.scopes));
        if let Some((scopes, since)) = self.timed.take() {
            let now = clock::tick();
            for scope in &scopes {
                counts.scopes.of(scope).spent.ends(since, now);
            }
        }
        drop(counts);
        self.state.hand_out();
    }
}

impl Turn {
    /// The slot, when it comes; it always does, unless this is dropped.
    pub(super) async fn comes(&mut self) -> Option<Slot> {
        (&mut self.comes).await.ok()
    }

    /// Where it stands, and what it waits for.
    pub(super) fn place(&self) -> Place {
        let counts = self.state.counts();
        let bound = counts.scopes.full(&self.bounds).or(self.bounds.first()).cloned().unwrap_or(Bound { scope: Scope::All, most: 0 });
        Place { number: counts.queue.place(&self.caller, self.number).unwrap_or(1), bound }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.state.metrics.statements_waiting.dec();
        let waited = self.state.counts().queue.remove(&self.caller, self.number);
        if waited {
            // What it stood before may have room.
            self.state.hand_out();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;

    fn bounds(callers: &[Arc<str>], caller: usize, rule: usize) -> Vec<Bound> {
        let rule: Arc<str> = ["a", "b", "c"][rule].into();
        [(Scope::Caller(Arc::clone(&callers[caller])), 2), (Scope::Rule(rule), 3), (Scope::All, 5)].map(|(scope, most)| Bound { scope, most }).into()
    }

    /// Whoever comes, waits and leaves in whatever order: no scope has more than its most, nobody waits who could go, and nothing
    /// is left at the end.
    #[test]
    fn no_slot_is_given_twice_or_lost() {
        let state = Arc::new(State::new(Arc::new(Metrics::new().unwrap())));
        let callers = ["x", "y", "z", "w"].map(Arc::<str>::from);
        let (mut slots, mut turns, mut refused) = (Vec::<Slot>::new(), Vec::<Turn>::new(), 0);
        let mut seed = 1_u64;
        let mut next = |most: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % most
        };
        for _ in 0..20_000 {
            match next(5) {
                0..3 => {
                    let caller = next(4);
                    match state.ask(&callers[caller], bounds(&callers, caller, next(3)), 8) {
                        Held::Slot(slot) => slots.push(slot),
                        Held::Turn(turn) => turns.push(turn),
                        Held::Full(_) => refused += 1,
                    }
                }
                3 if !slots.is_empty() => drop(slots.swap_remove(next(slots.len()))),
                _ if !turns.is_empty() => drop(turns.swap_remove(next(turns.len()))),
                _ => {}
            }
            let mut waiting = Vec::new();
            for mut turn in turns.drain(..) {
                match turn.comes.try_recv() {
                    Ok(slot) => slots.push(slot),
                    Err(_) => waiting.push(turn),
                }
            }
            turns = waiting;
            let counts = state.counts();
            for (scope, used) in &counts.scopes.0 {
                let held = slots.iter().filter(|slot| slot.scopes.contains(scope)).count();
                assert_eq!(held, used.running as usize, "{scope:?}");
            }
            assert!(counts.scopes.0.iter().all(|(scope, used)| used.running
                <= match scope {
                    Scope::Caller(_) => 2,
                    Scope::Rule(_) => 3,
                    Scope::All | Scope::ActAs(_) | Scope::CallerOfRule(..) => 5,
                }));
            // The first of each caller's that waits.
            for caller in &callers {
                let first = turns.iter().filter(|turn| turn.caller == *caller).min_by_key(|turn| turn.number);
                assert!(first.is_none_or(|turn| counts.scopes.full(&turn.bounds).is_some()), "{caller} waits and could go");
            }
            assert_eq!((counts.queue.len(), state.metrics.statements_waiting.get()), (turns.len(), turns.len() as i64));
        }
        assert!(refused > 100 && slots.len() > 1, "nothing was tried");
        drop((slots, turns));
        let counts = state.counts();
        assert!(counts.scopes.0.values().all(|used| used.running == 0) && counts.queue.len() == 0);
        assert_eq!((state.metrics.statements_running.get(), state.metrics.statements_waiting.get()), (0, 0));
    }

    #[test]
    fn what_counts_nothing_is_forgotten() {
        let state = Arc::new(State::new(Arc::new(Metrics::new().unwrap())));
        let now = Instant::now();
        for number in 0..10 * FEW {
            let bound = Bound { scope: Scope::Caller(number.to_string().into()), most: 60 };
            state.count(&[bound], now + Duration::from_secs(number as u64)).unwrap();
        }
        assert!(state.counts().scopes.0.len() <= FEW + 2, "{}", state.counts().scopes.0.len());
    }
}
