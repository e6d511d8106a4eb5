//! Usage counters that are not yet in the database. They are collected in memory and written every
//! `stats_interval`.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use super::metrics::whole;
use crate::store::{EndCounts, EndReason, HourStats, UsageDelta, UserId};

/// Number of cells that remember users seen in this hour (512 KiB). Two users who share a cell are
/// only added more often than necessary.
const PLACES: usize = 1 << 16;

/// Maximum number of users kept for the next write. Others are added at a later request.
const MAX_USERS: usize = 100_000;

pub(crate) struct Usage {
    pending: Mutex<BTreeMap<DateTime<Utc>, Pending>>,
    seen: Vec<AtomicU64>,
    hasher: RandomState,
}

#[derive(Default)]
struct Pending {
    created: u64,
    ended: EndCounts,
    users: HashSet<UserId>,
}

impl Usage {
    pub(crate) fn new() -> Self {
        Self {
            pending: Mutex::default(),
            seen: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    pub(crate) fn created(&self, number: usize, now: DateTime<Utc>) {
        self.add(now, |pending| pending.created += whole(number));
    }

    pub(crate) fn ended(&self, reason: EndReason, number: usize, now: DateTime<Utc>) {
        self.add(now, |pending| {
            pending.ended.add(reason, whole(number));
        });
    }

    /// Records a request of a signed-in user. Takes the lock only at the user's first request in an
    /// hour.
    pub(crate) fn seen(&self, user_id: &UserId, now: DateTime<Utc>) {
        let hour = HourStats::hour_of(now);
        let mark = self.hasher.hash_one((user_id, hour)).max(1);
        let place = usize::try_from(mark % PLACES as u64).unwrap_or_default();
        if self.seen[place].load(Ordering::Relaxed) == mark {
            return;
        }
        let mut is_kept = true;
        self.add(now, |pending| {
            is_kept = pending.users.len() < MAX_USERS;
            if is_kept {
                pending.users.insert(user_id.clone());
            }
        });
        if is_kept {
            self.seen[place].store(mark, Ordering::Relaxed);
        }
    }

    fn add(&self, now: DateTime<Utc>, add: impl FnOnce(&mut Pending)) {
        let mut pending = self.pending.lock();
        add(pending.entry(HourStats::hour_of(now)).or_default());
    }

    /// Takes all counters out, to be written.
    pub(crate) fn take(&self) -> Vec<UsageDelta> {
        let mut pending = self.pending.lock();
        let delta = |(hour, pending): (_, Pending)| UsageDelta {
            created: pending.created,
            ended: pending.ended,
            users: pending.users.into_iter().collect(),
            ..UsageDelta::new(hour)
        };
        std::mem::take(&mut *pending)
            .into_iter()
            .map(delta)
            .collect()
    }

    /// Puts back counters that could not be written.
    pub(crate) fn put_back(&self, deltas: Vec<UsageDelta>) {
        for delta in deltas {
            self.add(delta.hour, |pending| {
                pending.created += delta.created;
                for (reason, number) in delta.ended.iter() {
                    pending.ended.add(reason, number);
                }
                pending.users.extend(delta.users);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_taken_once_and_can_be_put_back() {
        let usage = Usage::new();
        let now = "2026-01-01T10:59:59Z".parse().unwrap();
        let later = "2026-01-01T11:00:00Z".parse().unwrap();
        usage.created(2, now);
        usage.ended(EndReason::Revoked, 3, now);
        for user in ["ada", "bob", "ada"] {
            usage.seen(&user.into(), now);
        }
        usage.seen(&"ada".into(), later);
        let mut taken = usage.take();
        assert!(usage.take().is_empty());
        usage.seen(&"ada".into(), later);
        assert!(usage.take().is_empty(), "once an hour");
        usage.put_back(taken.clone());
        taken[0].users.sort();
        assert_eq!(taken.len(), 2);
        let ended = EndCounts::from_iter([(EndReason::Revoked, 3)]);
        assert_eq!((taken[0].created, taken[0].ended), (2, ended));
        assert_eq!(taken[0].users, ["ada", "bob"]);
        assert_eq!(taken[1].users, ["ada"]);
        assert_eq!(usage.take().len(), 2);
    }
}
