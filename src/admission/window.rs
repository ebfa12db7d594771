//! What was used up in a window of time: bytes of answers, and the time that statements ran.

use std::time::{Duration, Instant};

/// What one scope used up in its window, which begins with the first that uses something.
#[derive(Debug, Default)]
pub(super) struct Spent {
    began: Option<Instant>,
    length: Duration,
    bytes: u64,
    /// How long statements ran that have ended.
    ran: Duration,
    /// When those began that still run; before this window is as if with it.
    running: Vec<Instant>,
}

impl Spent {
    /// Begins the next window where this one is over.
    fn turn(&mut self, length: Duration, now: Instant) {
        self.length = length;
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= length) {
            *self = Self { began: Some(now), length, running: std::mem::take(&mut self.running), ..Self::default() };
        }
    }

    /// Bytes of answers so far, in windows of this length.
    pub(super) fn bytes(&mut self, length: Duration, now: Instant) -> u64 {
        self.turn(length, now);
        self.bytes
    }

    /// How long statements ran so far, with those that still do.
    pub(super) fn ran(&mut self, length: Duration, now: Instant) -> Duration {
        self.turn(length, now);
        let began = self.began.unwrap_or(now);
        self.ran + self.running.iter().map(|since| now.saturating_duration_since(began.max(*since))).sum::<Duration>()
    }

    /// How long until the next window.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.began.map_or(Duration::ZERO, |began| (began + self.length).saturating_duration_since(now))
    }

    /// Uses up bytes, and tells how many that makes.
    pub(super) fn spend(&mut self, bytes: u64, length: Duration, now: Instant) -> u64 {
        self.turn(length, now);
        self.bytes += bytes;
        self.bytes
    }

    pub(super) fn begins(&mut self, now: Instant) {
        self.running.push(now);
    }

    /// One ends that began then.
    pub(super) fn ends(&mut self, since: Instant, now: Instant) {
        if let Some(index) = self.running.iter().position(|began| *began == since) {
            self.running.swap_remove(index);
            // Where the window is over, the next look begins another.
            self.ran += now.saturating_duration_since(self.began.map_or(since, |began| began.max(since)));
        }
    }

    /// Whether it is as if nothing had ever been used.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.running.is_empty() && self.left(now).is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(60);

    #[test]
    fn a_window_begins_with_the_first_use_and_forgets_with_its_end() {
        let (mut spent, begun) = (Spent::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(spent.spend(100, LENGTH, at(10)), 100);
        assert_eq!((spent.bytes(LENGTH, at(69)), spent.left(at(69))), (100, Duration::from_secs(1)));
        assert_eq!((spent.bytes(LENGTH, at(70)), spent.left(at(70))), (0, LENGTH));
        assert!(!spent.is_over(at(129)) && spent.is_over(at(130)));
    }

    #[test]
    fn what_runs_counts_while_it_runs_and_in_each_window_for_itself() {
        let (mut spent, begun) = (Spent::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(spent.ran(LENGTH, at(0)), Duration::ZERO);
        spent.begins(at(0));
        spent.begins(at(10));
        assert_eq!(spent.ran(LENGTH, at(20)), Duration::from_secs(30));
        spent.ends(at(10), at(30));
        assert_eq!(spent.ran(LENGTH, at(30)), Duration::from_secs(50));
        assert_eq!(spent.ran(LENGTH, at(60)), Duration::ZERO);
        assert_eq!(spent.ran(LENGTH, at(70)), Duration::from_secs(10));
        spent.ends(at(0), at(80));
        assert_eq!(spent.ran(LENGTH, at(90)), Duration::from_secs(20));
        assert!(spent.is_over(at(120)));
    }
}
