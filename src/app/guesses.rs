//! Slows the guessing of passwords, per user and per address (OWASP ASVS 5.0, 6.3.1).
//!
//! Only wrong passwords count, so that who knows the password is not kept out by signing in
//! often. Memory is bounded: each of the two limits has a fixed number of places, and a user or
//! address is put in one by a hash that nobody outside can predict.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use super::config::AppConfig;
use crate::Clock;

/// Places of each limit: 512 KiB. Two that share one also share its guesses.
const PLACES: usize = 1 << 16;

/// Who guesses, and whose password.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess<'a> {
    /// The name, folded, whether there is such a user or not.
    pub(super) username: &'a str,
    /// The address, as Rocket's `ip_header` has it.
    pub(super) from: Option<IpAddr>,
}

pub(super) struct Guesses {
    users: Limit,
    addresses: Limit,
    hasher: RandomState,
}

impl Guesses {
    pub(super) fn new(config: &AppConfig, clock: &Arc<dyn Clock>) -> Self {
        let limit = |burst, interval| Limit::new(burst, interval, clock);
        Self {
            users: limit(config.guesses_per_user, config.user_guess_interval),
            addresses: limit(config.guesses_per_address, config.address_guess_interval),
            hasher: RandomState::new(),
        }
    }

    /// How long a guess must wait, if it must.
    pub(super) fn wait(&self, guess: Guess<'_>) -> Option<Duration> {
        let (user, address) = self.places(guess);
        let wait = |limit: &Limit, place| limit.wait(&limit.asks, place);
        wait(&self.users, user).max(address.and_then(|place| wait(&self.addresses, place)))
    }

    /// Counts a guess that was wrong.
    pub(super) fn wrong(&self, guess: Guess<'_>) {
        let (user, address) = self.places(guess);
        self.users.wait(&self.users.counts, user);
        if let Some(place) = address {
            self.addresses.wait(&self.addresses.counts, place);
        }
    }

    fn places(&self, guess: Guess<'_>) -> (usize, Option<usize>) {
        let address = guess.from.map(|address| self.place(network(address)));
        (self.place(guess.username), address)
    }

    fn place(&self, key: impl Hash) -> usize {
        usize::try_from(self.hasher.hash_one(key) % PLACES as u64).unwrap_or_default()
    }
}

/// What one subscriber has: of an IPv6 address, the first 64 bits.
fn network(address: IpAddr) -> [u8; 16] {
    let mut octets = match address.to_canonical() {
        IpAddr::V4(v4) => return v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    octets[8..].fill(0);
    octets
}

impl fmt::Debug for Guesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guesses").finish_non_exhaustive()
    }
}

type Limiter<S> = RateLimiter<usize, S, LimitClock, NoOpMiddleware<Nanos>>;

/// One limit over its places, with two limiters: one counts, the other only asks.
struct Limit {
    counts: Limiter<Places>,
    asks: Limiter<Unchanged>,
    clock: LimitClock,
}

impl Limit {
    fn new(burst: NonZeroU32, interval: Duration, clock: &Arc<dyn Clock>) -> Self {
        let quota = Quota::with_period(interval)
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let places = Places((0..PLACES).map(|_| AtomicU64::new(0)).collect());
        let clock = LimitClock(Arc::clone(clock));
        Self {
            counts: RateLimiter::new(quota, places.clone(), clock.clone()),
            asks: RateLimiter::new(quota, Unchanged(places), clock.clone()),
            clock,
        }
    }

    fn wait<S: StateStore<Key = usize>>(
        &self,
        limiter: &Limiter<S>,
        place: usize,
    ) -> Option<Duration> {
        let refused = limiter.check_key(&place).err()?;
        let now = governor::clock::Clock::now(&self.clock);
        Some(refused.wait_time_from(now))
    }
}

/// The application's clock, in nanoseconds since 1970.
#[derive(Clone)]
struct LimitClock(Arc<dyn Clock>);

impl governor::clock::Clock for LimitClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let nanos = self.0.now().timestamp_nanos_opt().unwrap_or_default();
        Nanos::new(u64::try_from(nanos).unwrap_or_default())
    }
}

/// A fixed number of places; 0 is a place where nothing was counted yet.
#[derive(Clone)]
struct Places(Arc<[AtomicU64]>);

impl StateStore for Places {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, place: &usize, change: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let place = &self.0[place % PLACES];
        let mut before = place.load(Ordering::Acquire);
        loop {
            let (result, after) = change((before != 0).then(|| Nanos::new(before)))?;
            let swapped = place.compare_exchange_weak(
                before,
                after.as_u64(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swapped {
                Ok(_) => return Ok(result),
                Err(newer) => before = newer,
            }
        }
    }
}

/// The same places, which stay as they are.
struct Unchanged(Places);

impl StateStore for Unchanged {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, place: &usize, change: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let state = self.0.0[place % PLACES].load(Ordering::Acquire);
        change((state != 0).then(|| Nanos::new(state))).map(|(result, _)| result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;
    use chrono::TimeDelta;

    fn guesses() -> (Guesses, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::starting_now());
        let shared: Arc<dyn Clock> = clock.clone();
        (Guesses::new(&AppConfig::default(), &shared), clock)
    }

    fn guess<'a>(username: &'a str, from: &str) -> Guess<'a> {
        Guess {
            username,
            from: Some(from.parse().unwrap()),
        }
    }

    #[test]
    fn only_wrong_guesses_count_and_time_forgives_them() {
        let (guesses, clock) = guesses();
        let ada = guess("ada", "192.0.2.1");
        for _ in 0..1000 {
            assert_eq!(guesses.wait(ada), None);
        }
        for _ in 0..10 {
            assert_eq!(guesses.wait(ada), None);
            guesses.wrong(ada);
        }
        let wait = guesses.wait(ada).unwrap();
        assert!(
            wait <= Duration::from_secs(30) && !wait.is_zero(),
            "{wait:?}"
        );
        // From wherever they come; others are not concerned.
        assert!(guesses.wait(guess("ada", "192.0.2.2")).is_some());
        assert_eq!(guesses.wait(guess("bob", "192.0.2.1")), None);
        // What is refused does not count, so that waiting helps.
        for _ in 0..100 {
            guesses.wrong(ada);
        }
        clock.advance(TimeDelta::from_std(wait).unwrap());
        assert_eq!(guesses.wait(ada), None);
        guesses.wrong(ada);
        assert!(guesses.wait(ada).is_some());
        clock.advance(TimeDelta::minutes(5));
        for _ in 0..10 {
            assert_eq!(guesses.wait(ada), None);
            guesses.wrong(ada);
        }
    }

    #[test]
    fn an_address_is_slowed_whomever_it_guesses_at() {
        let (guesses, _) = guesses();
        let names: Vec<String> = (0..50).map(|number| format!("user{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            // A subscriber's many IPv6 addresses are one.
            guesses.wrong(guess(name, &format!("2001:db8:0:1::{number:x}")));
        }
        assert!(guesses.wait(guess("ada", "2001:db8:0:1::ffff")).is_some());
        assert_eq!(guesses.wait(guess("ada", "2001:db8:0:2::1")), None);
        assert_eq!(
            guesses.wait(Guess {
                username: "ada",
                from: None
            }),
            None
        );
    }
}
