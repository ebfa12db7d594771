//! Failed attempts slow an address down: whoever forges or guesses has to wait, and a token that was verified before never does.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use moka::sync::Cache;

use crate::clock;
use crate::refusal::{Reason, Refusal};

/// Most addresses that are remembered; those that failed least are forgotten first.
const ADDRESSES: u64 = 100_000;

/// How long an address is remembered after its last failure.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Refusals that somebody with a genuine token does not cause: forgeries and guesses. What is wrong with a genuine one (its
/// audience, its time) is a set-up to be mended, and often of many people behind one address.
const FORGED: [Reason; 13] = [
    Reason::MalformedToken,
    Reason::OpaqueToken,
    Reason::TokenTooLarge,
    Reason::DuplicateClaim,
    Reason::UnsupportedHeader,
    Reason::IssuerMissing,
    Reason::UnknownIssuer,
    Reason::AlgNotAllowed,
    Reason::KeyTypeMismatch,
    Reason::KeyAlgMismatch,
    Reason::UnknownKey,
    Reason::BadSignature,
    Reason::UnknownServiceKey,
];

/// Who failed lately, and how often that may be.
pub(super) struct Attempts {
    quota: Quota,
    by_address: Cache<IpAddr, Arc<Address>>,
}

struct Address {
    limiter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Instant>>,
    /// Until when it has to wait.
    waits: Mutex<Option<Instant>>,
}

impl Attempts {
    /// So many failures a minute, and so many at once.
    pub(super) fn new(a_minute: NonZeroU32) -> Self {
        let by_address = Cache::builder().max_capacity(ADDRESSES).time_to_idle(REMEMBERED).build();
        Self { quota: Quota::per_minute(a_minute), by_address }
    }

    /// Whether this address may try now.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub(super) fn may(&self, from: IpAddr) -> Result<(), Refusal> {
        let address = self.by_address.get(&network(from));
        let waits = address.and_then(|address| *address.waits.lock().unwrap_or_else(PoisonError::into_inner));
        let left = waits.map_or(Duration::ZERO, |until| until.saturating_duration_since(clock::tick()));
        if left.is_zero() {
            return Ok(());
        }
        let says =
            "Too many attempts from this address failed lately. A credential that was not verified before has to wait; mend the one that fails.";
        Err(Refusal::new(Reason::TooManyFailures, says).retry_after(left))
    }

    /// Remembers how an attempt went.
    pub(super) fn went<T>(&self, from: IpAddr, result: &Result<T, Refusal>) {
        if !result.as_ref().is_err_and(|refusal| FORGED.contains(&refusal.reason())) {
            return;
        }
        let address = self.by_address.get_with(network(from), || Arc::new(Address::new(self.quota)));
        if let Err(until) = address.limiter.check() {
            *address.waits.lock().unwrap_or_else(PoisonError::into_inner) = Some(until.earliest_possible());
        }
    }
}

impl Address {
    fn new(quota: Quota) -> Self {
        Self { limiter: RateLimiter::direct_with_clock(quota, MonotonicClock), waits: Mutex::new(None) }
    }
}

/// One caller's address, or of IPv6 the network that one caller has to choose from.
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn fail(attempts: &Attempts, from: &str, reason: Reason) {
        attempts.went::<()>(from.parse().unwrap(), &Err(Refusal::new(reason, "no")));
    }

    #[test]
    fn who_forges_waits_and_nobody_else() {
        let attempts = Attempts::new(NonZeroU32::new(3).unwrap());
        let may = |from: &str| attempts.may(from.parse().unwrap());
        for _ in 0..10 {
            fail(&attempts, "192.0.2.1", Reason::AudienceMismatch);
            fail(&attempts, "192.0.2.1", Reason::Expired);
            attempts.went("192.0.2.1".parse().unwrap(), &Ok(()));
        }
        assert!(may("192.0.2.1").is_ok(), "genuine tokens that do not fit");
        for _ in 0..3 {
            fail(&attempts, "192.0.2.1", Reason::BadSignature);
            assert!(may("192.0.2.1").is_ok(), "within the quota");
        }
        fail(&attempts, "192.0.2.1", Reason::BadSignature);
        let refusal = may("192.0.2.1").unwrap_err();
        assert_eq!(refusal.reason(), Reason::TooManyFailures);
        assert!(refusal.retry().unwrap() <= Duration::from_secs(20) && refusal.retry().unwrap() > Duration::from_secs(10), "{:?}", refusal.retry());
        assert!(may("::ffff:192.0.2.1").is_err(), "the same address in IPv6");
        assert!(may("192.0.2.2").is_ok());
    }

    #[test]
    fn of_ipv6_a_network_is_one_caller() {
        let attempts = Attempts::new(NonZeroU32::MIN);
        for last in 1..4 {
            fail(&attempts, &format!("2001:db8::{last}"), Reason::UnknownServiceKey);
        }
        assert!(attempts.may("2001:db8::9".parse().unwrap()).is_err());
        assert!(attempts.may("2001:db8:0:1::9".parse().unwrap()).is_ok());
    }
}
