//! Statements that wait for a slot: the callers take turns, and each caller's come in their order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Bound, Slot};

/// One that waits.
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) bounds: Vec<Bound>,
    pub(super) give: oneshot::Sender<Slot>,
}

/// All that wait. No caller is in it without a ticket.
#[derive(Default)]
pub(super) struct Queue {
    /// Whose turn it is next.
    turns: VecDeque<Arc<str>>,
    lines: HashMap<Arc<str>, VecDeque<Ticket>>,
    length: usize,
    next: u64,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Whether the caller waits already: nothing of theirs goes before that.
    pub(super) fn has(&self, caller: &str) -> bool {
        self.lines.contains_key(caller)
    }

    /// Lets one wait, and returns its number.
    pub(super) fn push(&mut self, caller: &Arc<str>, bounds: Vec<Bound>, give: oneshot::Sender<Slot>) -> u64 {
        self.next += 1;
        self.length += 1;
        let line = self.lines.entry(Arc::clone(caller)).or_default();
        if line.is_empty() {
            self.turns.push_back(Arc::clone(caller));
        }
        line.push_back(Ticket { number: self.next, bounds, give });
        self.next
    }

    /// The next one that there is room for. Whoever has to wait on keeps their turn.
    pub(super) fn pop(&mut self, has_room: impl Fn(&[Bound]) -> bool) -> Option<Ticket> {
        let fits = |caller: &Arc<str>| self.lines.get(caller).and_then(VecDeque::front).is_some_and(|ticket| has_room(&ticket.bounds));
        let at = self.turns.iter().position(fits)?;
        let caller = self.turns.remove(at)?;
        let ticket = self.lines.get_mut(&caller)?.pop_front()?;
        self.length -= 1;
        self.tidy(caller, true);
        Some(ticket)
    }

    /// Takes one out that waits no more; false where it does not wait.
    pub(super) fn remove(&mut self, caller: &Arc<str>, number: u64) -> bool {
        let Some(line) = self.lines.get_mut(caller) else { return false };
        let before = line.len();
        line.retain(|ticket| ticket.number != number);
        let removed = before - line.len();
        self.length -= removed;
        if line.is_empty() {
            self.turns.retain(|other| other != caller);
            self.tidy(Arc::clone(caller), false);
        }
        removed > 0
    }

    fn tidy(&mut self, caller: Arc<str>, had_a_turn: bool) {
        match self.lines.get(&caller) {
            Some(line) if line.is_empty() => drop(self.lines.remove(&caller)),
            Some(_) if had_a_turn => self.turns.push_back(caller),
            Some(_) | None => {}
        }
    }

    /// Where one stands, from 1, if there were room for all.
    pub(super) fn place(&self, caller: &Arc<str>, number: u64) -> Option<usize> {
        let turn = self.turns.iter().position(|other| other == caller)?;
        let mine = self.lines.get(caller)?.iter().position(|ticket| ticket.number == number)?;
        let before = self.turns.iter().enumerate().map(|(index, other)| {
            let rounds = mine + usize::from(index < turn);
            self.lines.get(other).map_or(0, |line| line.len().min(rounds))
        });
        Some(before.sum::<usize>() + 1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::super::Scope;
    use super::*;

    fn push(queue: &mut Queue, caller: &str, rule: &str) -> u64 {
        let bounds = vec![Bound { scope: Scope::Rule(rule.into()), most: 1 }];
        queue.push(&caller.into(), bounds, oneshot::channel().0)
    }

    #[test]
    fn callers_take_turns_and_each_ones_come_in_order() {
        let mut queue = Queue::default();
        let [a1, a2, a3, b1, b2, c1] = ["a", "a", "a", "b", "b", "c"].map(|caller| push(&mut queue, caller, "r"));
        let place = |queue: &Queue, caller: &str, number| queue.place(&caller.into(), number).unwrap();
        assert_eq!([place(&queue, "a", a3), place(&queue, "b", b2), place(&queue, "c", c1)], [6, 5, 3]);
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop(|_| true)).map(|ticket| ticket.number).collect();
        assert_eq!(order, [a1, b1, c1, a2, b2, a3]);
        assert!(queue.len() == 0 && !queue.has("a") && queue.turns.is_empty());
    }

    #[test]
    fn who_cannot_go_yet_is_passed_and_keeps_their_turn() {
        let mut queue = Queue::default();
        let (a, b) = (push(&mut queue, "a", "full"), push(&mut queue, "b", "free"));
        let free = |bounds: &[Bound]| bounds.iter().all(|bound| bound.scope == Scope::Rule("free".into()));
        assert_eq!(queue.pop(free).unwrap().number, b);
        assert!(queue.pop(free).is_none());
        let b = push(&mut queue, "b", "free");
        assert_eq!(queue.pop(|_| true).unwrap().number, a);
        assert_eq!(queue.pop(|_| true).unwrap().number, b);
    }

    #[test]
    fn who_leaves_leaves_nothing_behind() {
        let mut queue = Queue::default();
        let (first, second) = (push(&mut queue, "a", "r"), push(&mut queue, "a", "r"));
        assert!(queue.remove(&"a".into(), first) && !queue.remove(&"a".into(), first));
        assert_eq!((queue.len(), queue.place(&"a".into(), second)), (1, Some(1)));
        assert!(queue.remove(&"a".into(), second));
        assert!(queue.len() == 0 && !queue.has("a") && queue.turns.is_empty() && queue.lines.is_empty());
    }
}
