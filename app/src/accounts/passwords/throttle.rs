//! Slows the guessing of passwords, per user and per address (OWASP ASVS 5.0, 6.3.1).
//!
//! A guess is counted before it is checked, so that many at once do not evade the limit. It is taken
//! back if it was right, so that signing in often keeps no one out. Guesses at a user from one network
//! have a narrow limit, and those from all networks have one ten times as wide. So a stranger cannot
//! easily keep a user out.
//!
//! An address has two limits of its own: one for its wrong guesses at all users, and one for the
//! accounts that it makes. They do not apply where the address is unknown.
//!
//! Memory is bounded. Each limit has a fixed number of places, and what it counts is assigned to one
//! by a hash that no one outside can predict.

mod limit;

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::settings::config::AppConfig;
use rocket_diesel_sessions::{Clock, SessionHandle};

use limit::Limit;

/// What was done too often, as the errors say it.
pub(in crate::accounts) const TOO_MANY_PASSWORDS: &str = "too many wrong passwords were given";
pub(in crate::accounts) const TOO_MANY_TRIES: &str =
    "too many attempts were made from your address";
pub(in crate::accounts) const TOO_MANY_ACCOUNTS: &str =
    "too many accounts were made from your address";

/// The places of each limit, which take 512 KiB. Two keys in one place share its attempts.
const PLACES: usize = 1 << 16;

/// The time within which an address may make `registrations_per_address` accounts.
const HOUR: Duration = Duration::from_hours(1);

/// How many times wider a user's limit over all networks is than the one per network.
const EVERYWHERE: u32 = 10;

/// A guess at a password: what it is at, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guess<'a> {
    pub(crate) at: At<'a>,
    /// The visitor's address, if it is known.
    pub(crate) from: Option<IpAddr>,
}

/// What a guess is at.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) enum At<'a> {
    /// A user, by folded name, whether the user exists or not.
    User(&'a str),
    /// The password of a signed-in user, from the session with this handle. Strangers' guesses at
    /// the user do not count here.
    Session(&'a SessionHandle),
}

/// The limits of guesses and registrations.
pub(crate) struct Guesses {
    near: Limit,
    everywhere: Limit,
    addresses: Limit,
    registrations: Limit,
    hasher: RandomState,
    /// Its monotonic time is used: the time of day may be set, and would then keep users out.
    clock: Arc<dyn Clock>,
}

/// An attempt that was counted. Dropping it takes it back, unless [`stays`](Self::stays) was called.
pub(crate) struct Counted<'a> {
    places: Vec<(&'a Limit, usize)>,
}

impl Counted<'_> {
    /// Keeps the attempt counted: the guess was wrong, or the account was made.
    pub(crate) fn stays(mut self) {
        self.places.clear();
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        for (limit, place) in &self.places {
            limit.refund(*place);
        }
    }
}

impl Guesses {
    pub(crate) fn new(config: &AppConfig, clock: &Arc<dyn Clock>) -> Self {
        let limit = |burst, interval| Limit::new(PLACES, burst, interval);
        let (burst, interval) = (config.guesses_per_user, config.user_guess_interval);
        let wide = burst.saturating_mul(NonZeroU32::MIN.saturating_add(EVERYWHERE - 1));
        Self {
            near: limit(burst, interval),
            everywhere: limit(wide, interval / EVERYWHERE),
            addresses: limit(config.guesses_per_address, config.address_guess_interval),
            registrations: limit(
                config.registrations_per_address,
                HOUR / config.registrations_per_address.get(),
            ),
            hasher: RandomState::new(),
            clock: Arc::clone(clock),
        }
    }

    /// Counts a guess at a user.
    ///
    /// # Errors
    /// The time to wait until a guess is admitted.
    pub(crate) fn count(&self, guess: Guess<'_>) -> Result<Counted<'_>, Duration> {
        let network = guess.from.map(network);
        self.count_all(vec![
            (&self.near, self.place((guess.at, network))),
            (&self.everywhere, self.place(guess.at)),
        ])
    }

    /// Counts a guess, at any user, for its address.
    ///
    /// # Errors
    /// The time to wait until a guess is admitted.
    pub(crate) fn count_address(&self, from: Option<IpAddr>) -> Result<Counted<'_>, Duration> {
        self.count_in(&self.addresses, from)
    }

    /// Counts an account for the address that makes it.
    ///
    /// # Errors
    /// The time to wait until an account may be made.
    pub(crate) fn count_registration(&self, from: Option<IpAddr>) -> Result<Counted<'_>, Duration> {
        self.count_in(&self.registrations, from)
    }

    fn count_in<'a>(
        &'a self,
        limit: &'a Limit,
        from: Option<IpAddr>,
    ) -> Result<Counted<'a>, Duration> {
        let address = from.map(|from| (limit, self.place(network(from))));
        self.count_all(address.into_iter().collect())
    }

    /// Counts an attempt in all of these places, or in none.
    fn count_all<'a>(&self, counts: Vec<(&'a Limit, usize)>) -> Result<Counted<'a>, Duration> {
        let now = self.clock.monotonic();
        let mut counted = Counted {
            places: Vec::with_capacity(counts.len()),
        };
        for (limit, place) in counts {
            limit.count(place, now)?;
            counted.places.push((limit, place));
        }
        Ok(counted)
    }

    fn place(&self, key: impl Hash) -> usize {
        usize::try_from(self.hasher.hash_one(key) % PLACES as u64).unwrap_or_default()
    }
}

/// The network of one subscriber: an IPv4 address, or the first 64 bits of an IPv6 address.
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

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use rocket_diesel_sessions::testing::ManualClock;

    fn guesses() -> (Guesses, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::starting_now());
        let shared: Arc<dyn Clock> = clock.clone();
        (Guesses::new(&AppConfig::default(), &shared), clock)
    }

    fn guess<'a>(name: &'a str, from: &str) -> Guess<'a> {
        Guess {
            at: At::User(name),
            from: Some(from.parse().unwrap()),
        }
    }

    fn wrong(guesses: &Guesses, guess: Guess<'_>) -> Result<(), Duration> {
        guesses.count(guess)?.stays();
        guesses.count_address(guess.from).map(Counted::stays)
    }

    #[test]
    fn only_wrong_guesses_count_and_time_forgives_them() {
        let (guesses, clock) = guesses();
        let ada = guess("ada", "192.0.2.1");
        for _ in 0..1000 {
            assert!(guesses.count(ada).is_ok());
        }
        for _ in 0..10 {
            wrong(&guesses, ada).unwrap();
        }
        let wait = wrong(&guesses, ada).unwrap_err();
        assert!(
            wait <= Duration::from_secs(30) && !wait.is_zero(),
            "{wait:?}"
        );
        // Other users are not affected, nor is this one elsewhere or when signed in.
        assert!(guesses.count(guess("bob", "192.0.2.1")).is_ok());
        assert!(guesses.count(guess("ada", "192.0.2.2")).is_ok());
        let handle = SessionHandle::from("handle");
        let at = At::Session(&handle);
        assert!(guesses.count(Guess { at, ..ada }).is_ok());
        // A refused guess does not count, so waiting helps.
        for _ in 0..100 {
            assert!(wrong(&guesses, ada).is_err());
        }
        clock.advance(TimeDelta::from_std(wait).unwrap());
        wrong(&guesses, ada).unwrap();
        assert!(wrong(&guesses, ada).is_err());
        clock.advance(TimeDelta::minutes(5));
        for _ in 0..10 {
            wrong(&guesses, ada).unwrap();
        }
    }

    #[test]
    fn many_at_once_do_not_evade_the_limit() {
        let (guesses, _) = guesses();
        let ada = guess("ada", "192.0.2.1");
        let under_way: Vec<_> = (0..40).map(|_| guesses.count(ada)).collect();
        assert_eq!(under_way.iter().filter(|guess| guess.is_ok()).count(), 10);
        drop(under_way);
        assert!(guesses.count(ada).is_ok(), "they were right");
    }

    #[test]
    fn a_user_is_guessed_at_from_everywhere_ten_times_as_often() {
        let (guesses, _) = guesses();
        let admitted = (0..250)
            .filter(|number| wrong(&guesses, guess("ada", &format!("192.0.2.{number}"))).is_ok());
        assert_eq!(admitted.count(), 100);
    }

    #[test]
    fn an_address_is_slowed_whomever_it_guesses_at() {
        let (guesses, _) = guesses();
        for number in 0..50 {
            // All IPv6 addresses of a subscriber count as one.
            let name = format!("user{number}");
            wrong(&guesses, guess(&name, &format!("2001:db8:0:1::{number:x}"))).unwrap();
        }
        let same = "2001:db8:0:1::ffff";
        let address = |address: &str| Some(address.parse().unwrap());
        assert!(guesses.count_address(address(same)).is_err());
        assert!(guesses.count_address(address("2001:db8:0:2::1")).is_ok());
        assert!(guesses.count_address(None).is_ok());
        // The limits of a user and of registrations are separate.
        assert!(guesses.count(guess("ada", same)).is_ok());
        assert!(guesses.count_registration(address(same)).is_ok());
    }

    #[test]
    fn an_address_makes_a_limited_number_of_accounts_per_hour() {
        let (guesses, clock) = guesses();
        let from = Some("192.0.2.1".parse().unwrap());
        let register = || guesses.count_registration(from).map(Counted::stays);
        for _ in 0..20 {
            // A registration that fails is taken back.
            drop(guesses.count_registration(from).unwrap());
            register().unwrap();
        }
        let wait = register().unwrap_err();
        assert!(!wait.is_zero() && wait <= HOUR, "{wait:?}");
        assert!(guesses.count_registration(None).is_ok());
        let other = Some("192.0.2.2".parse().unwrap());
        assert!(guesses.count_registration(other).is_ok());
        clock.advance(TimeDelta::hours(1));
        for _ in 0..20 {
            register().unwrap();
        }
        assert!(register().is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_no_one_out() {
        let (guesses, clock) = guesses();
        let ada = guess("ada", "192.0.2.1");
        for _ in 0..10 {
            wrong(&guesses, ada).unwrap();
        }
        clock.advance(TimeDelta::hours(-9));
        let wait = wrong(&guesses, ada).unwrap_err();
        assert!(wait <= Duration::from_secs(30), "{wait:?}");
        clock.advance(TimeDelta::seconds(30));
        wrong(&guesses, ada).unwrap();
    }
}
