//! How often something may begin: the generic cell rate algorithm (ITU-T I.371), as nginx's `limit_req` and `governor` have it.
//! Written here because a statement counts for several scopes at once, or for none of them.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// How far bytes may go ahead of their rate: a piece of usual size waits for nothing after a pause.
const AHEAD: Duration = Duration::from_millis(100);

/// When the next one would be due if all came evenly; nothing where none is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rate(Option<Instant>);

impl Rate {
    /// How long one more has to wait, of so many a minute; nothing where it may begin now. So many may begin at once, and then
    /// one for every part of the minute.
    pub(super) fn wait(self, a_minute: u32, now: Instant) -> Option<Duration> {
        let ahead = MINUTE.saturating_sub(MINUTE / a_minute.max(1));
        self.behind(ahead, now)
    }

    /// Counts one.
    pub(super) fn count(&mut self, a_minute: u32, now: Instant) {
        self.add(MINUTE / a_minute.max(1), now);
    }

    /// How long the next bytes have to wait; nothing where they may go now.
    pub(super) fn wait_for_bytes(self, now: Instant) -> Option<Duration> {
        self.behind(AHEAD, now)
    }

    /// Counts so many bytes, of so many a second.
    pub(super) fn count_bytes(&mut self, bytes: usize, a_second: NonZeroU64, now: Instant) {
        self.add(Duration::from_secs_f64(bytes as f64 / a_second.get() as f64), now);
    }

    fn behind(self, ahead: Duration, now: Instant) -> Option<Duration> {
        let wait = self.0?.saturating_duration_since(now).saturating_sub(ahead);
        (!wait.is_zero()).then_some(wait)
    }

    fn add(&mut self, takes: Duration, now: Instant) {
        self.0 = Some(self.0.map_or(now, |due| due.max(now)) + takes);
    }

    /// Whether it is as if nothing had ever begun.
    pub(super) fn is_over(self, now: Instant) -> bool {
        self.0.is_none_or(|due| due <= now)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_for_each_part_of_the_minute() {
        let (mut rate, begun) = (Rate::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        for _ in 0..6 {
            assert_eq!(rate.wait(6, at(0)), None);
            rate.count(6, at(0));
        }
        assert_eq!(rate.wait(6, at(0)), Some(Duration::from_secs(10)));
        assert_eq!(rate.wait(6, at(4)), Some(Duration::from_secs(6)));
        assert_eq!(rate.wait(6, at(10)), None);
        rate.count(6, at(10));
        assert_eq!(rate.wait(6, at(10)), Some(Duration::from_secs(10)));
        assert!(!rate.is_over(at(69)) && rate.is_over(at(70)));
    }

    #[test]
    fn bytes_go_at_their_rate_whatever_their_pieces_are() {
        let (a_second, begun) = (NonZeroU64::new(1000).unwrap(), Instant::now());
        for piece in [1, 10, 250, 2000] {
            let (mut rate, mut now, mut went) = (Rate::default(), begun, 0);
            while went < 10_000 {
                if let Some(wait) = rate.wait_for_bytes(now) {
                    now += wait;
                }
                rate.count_bytes(piece, a_second, now);
                went += piece;
            }
            let (took, last) = (now - begun, Duration::from_secs_f64(piece as f64 / 1000.0));
            let full = Duration::from_secs(10);
            assert!(took <= full && took + AHEAD + last >= full, "{piece}: {took:?}");
        }
    }

    #[test]
    fn one_a_minute_is_one_a_minute() {
        let (mut rate, begun) = (Rate::default(), Instant::now());
        rate.count(1, begun);
        assert_eq!(rate.wait(1, begun), Some(MINUTE));
        assert_eq!(rate.wait(1, begun + MINUTE), None);
    }
}
