//! Counts of what sessions went through in this process.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Counts since this process started. A read of several is not one moment's.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub(crate) $name: AtomicU64,)+
        }

        impl Counters {
            $($(#[$doc])* pub fn $name(&self) -> u64 {
                self.$name.load(Ordering::Relaxed)
            })+
        }
    };
}

counters! {
    /// Sessions created.
    created,
    /// Requests that loaded a session.
    loaded,
    /// Requests that asked for a session and brought no cookie.
    missed_none,
    /// Cookies that were malformed, not signed by us, or signed for another secret half.
    missed_forged,
    /// Well-signed cookies of sessions that are no longer stored.
    missed_gone,
    /// Sessions that were stored but past a deadline.
    missed_expired,
    /// Sessions whose data could not be decoded.
    missed_undecodable,
    /// Updates committed.
    updated,
    /// Times an update was applied again because another one was faster.
    conflicts,
    /// Sessions given a new token.
    rotated,
    /// Users signed in.
    logged_in,
    /// Sessions ended by request.
    ended,
    /// Touches written.
    touched,
    /// Operations that failed because the store did.
    failed,
    /// Passes of the sweep.
    sweeps,
    /// Passes of the sweep that failed.
    sweep_failures,
    /// Expired sessions that sweeps deleted.
    swept,
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// Counts several.
pub(crate) fn add(counter: &AtomicU64, number: usize) {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    counter.fetch_add(number, Ordering::Relaxed);
}
