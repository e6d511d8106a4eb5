//! Goes through the sessions until a page is full, or enough has been read.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::UserId;
use rocket_diesel_sessions::store::{
    ScanSessions, ScannedSession, SessionOrder, SessionPlace, SessionScan,
};

use super::matcher::Matcher;
use super::place::Cursor;

/// The most rows that are read at a time, and for one page of a search unless it goes to the end.
pub const READ: u32 = 5000;

/// The rows of the first step. Each further one has four times as many.
const FIRST: u32 = 250;

/// A search in steps.
///
/// # Example
///
/// ```
/// use std::collections::HashMap;
/// use rocket_diesel_sessions::DieselStore;
/// use rocket_diesel_sessions::store::{ScanSessions, SessionStore, StoreError};
/// use rocket_diesel_sessions_app::search::{Found, Matcher, Walk};
///
/// fn of_firefox(store: &DieselStore) -> Result<Found, StoreError> {
///     let scan = ScanSessions::new(chrono::Utc::now(), 0);
///     let mut walk = Walk::new(scan, Matcher::new().device("firefox"), 50);
///     while let Some(step) = walk.step() {
///         walk.take(store.scan(&step)?, &HashMap::new());
///     }
///     Ok(walk.found())
/// }
/// ```
#[derive(Debug)]
pub struct Walk {
    scan: ScanSessions,
    matcher: Matcher,
    /// The most sessions to find.
    wanted: usize,
    /// The most rows to read.
    most: u32,
    /// Whether sessions end before the deadlines of their places, because the timeouts have become
    /// stricter since.
    ends_early: bool,
    found: Vec<ScannedSession>,
    read: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// The page is full or enough was read. The search goes on after this place.
    Stopped(SessionPlace),
    /// There are no more sessions.
    Complete,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The sessions, in the order of the list.
    pub sessions: Vec<ScannedSession>,
    /// Where the search goes on, in the direction of the walk, unless all was read.
    pub next: Option<SessionPlace>,
    /// The rows that were read.
    pub read: u32,
    /// Whether sessions were met that end before the deadlines of their places.
    pub(super) ends_early: bool,
}

impl Walk {
    /// Begins a search for at most `wanted` sessions that the matcher admits. The limit of `scan` is
    /// set for each step.
    pub fn new(scan: ScanSessions, matcher: Matcher, wanted: u32) -> Self {
        Self {
            scan,
            matcher,
            wanted: wanted as usize,
            most: READ,
            ends_early: false,
            found: Vec::new(),
            read: 0,
            state: State::Reading,
        }
    }

    /// Reads on until as many sessions are found as are wanted, however many rows there are.
    #[must_use]
    pub fn to_the_end(mut self) -> Self {
        self.most = u32::MAX;
        self
    }

    /// Looks for sessions that end soon among those with later places too.
    pub(super) fn expect_early_ends(&mut self) {
        self.ends_early = true;
    }

    /// Returns what to read next, or `None` at the end.
    pub fn step(&mut self) -> Option<ScanSessions> {
        if self.state != State::Reading {
            return None;
        }
        let rows = if self.matcher.admits_all() {
            u32::try_from(self.wanted - self.found.len()).unwrap_or(READ)
        } else {
            self.read.saturating_mul(3).max(FIRST)
        };
        self.scan.limit = rows.min(READ).min(self.most - self.read).max(1);
        Some(self.scan.clone())
    }

    /// Returns whether the names of the users are needed of what the step has read.
    pub fn needs_names(&self) -> bool {
        self.matcher.needs_names()
    }

    /// Takes what the step has read.
    pub fn take(&mut self, step: SessionScan, names: &HashMap<UserId, String>) {
        self.ends_early |= shows_early_ends(&step, self.scan.limit);
        let (now, end) = (self.scan.now, self.end());
        let is_over = |one: &ScannedSession| end.is_some_and(|end| Cursor::at(&one.place) > end);
        self.read = self.read.saturating_add(self.scan.limit);
        let mut met = step.sessions.into_iter().peekable();
        while let Some(one) = met.next() {
            if is_over(&one) {
                self.state = State::Complete;
                return;
            }
            let place = one.place;
            if !self.matcher.admits(&one.session, names, now) {
                continue;
            }
            // A session that is used meanwhile moves on in the order of deadlines, and is met again.
            self.matcher.except(one.session.id.clone());
            self.found.push(one);
            if self.found.len() == self.wanted {
                let has_more = match met.peek() {
                    Some(next) => !is_over(next),
                    None => step.next.is_some(),
                };
                self.state = if has_more {
                    State::Stopped(place)
                } else {
                    State::Complete
                };
                return;
            }
        }
        self.state = match step.next {
            None => State::Complete,
            Some(next) if self.read >= self.most => State::Stopped(next),
            Some(next) => {
                self.scan.after = Some(next);
                State::Reading
            }
        };
    }

    /// The deadline that no session that is found has passed, if the walk is in their order.
    fn end(&self) -> Option<DateTime<Utc>> {
        let is_ordered = self.scan.order == SessionOrder::ExpiringFirst && !self.scan.is_backwards;
        let end = self.matcher.end(self.scan.now);
        end.filter(|_| is_ordered && !self.ends_early)
    }

    /// Returns what was found.
    pub fn found(mut self) -> Found {
        if self.scan.is_backwards {
            self.found.reverse();
        }
        Found {
            sessions: self.found,
            next: match self.state {
                State::Stopped(place) => Some(place),
                State::Reading | State::Complete => None,
            },
            read: self.read,
            ends_early: self.ends_early,
        }
    }
}

/// Returns whether what was read shows that sessions end before the deadlines of their places: some have
/// ended already, and are left out, or will.
pub(super) fn shows_early_ends(step: &SessionScan, limit: u32) -> bool {
    let has_gaps = step.next.is_some() && step.sessions.len() < limit as usize;
    let will_end = |one: &ScannedSession| one.session.expires_at < one.place.expires_at;
    has_gaps || step.sessions.iter().any(will_end)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use rocket_diesel_sessions::store::{SessionStore, TouchSession};
    use rocket_diesel_sessions::testing::{MemoryStore, new_session};

    use super::*;
    use crate::search::Filter;

    fn store(number: u32) -> MemoryStore {
        let store = MemoryStore::default();
        let new = |number: u32| {
            let mut new = new_session(Utc::now());
            new.user_id = number.is_multiple_of(1000).then(|| "ada".into());
            new
        };
        store
            .create(&(0..number).map(new).collect::<Vec<_>>())
            .unwrap();
        store
    }

    fn walk(store: &MemoryStore, matcher: &Matcher, after: Option<SessionPlace>) -> Found {
        let mut scan = ScanSessions::new(Utc::now(), 0);
        scan.after = after;
        let mut walk = Walk::new(scan, matcher.clone(), 3);
        while let Some(step) = walk.step() {
            walk.take(store.scan(&step).unwrap(), &HashMap::new());
        }
        walk.found()
    }

    #[test]
    fn a_search_reads_a_bounded_number_of_rows_and_can_be_continued_to_the_end() {
        let store = store(12_001);
        let matcher = Matcher::new().filter(Filter::SignedIn);
        let (mut after, mut pages) = (None, Vec::new());
        loop {
            let found = walk(&store, &matcher, after);
            assert!(found.read <= READ);
            pages.push(found.sessions.len());
            after = found.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(pages.iter().sum::<usize>(), 13, "{pages:?}");
        let none = Matcher::new().device("no such device");
        let found = walk(&store, &none, None);
        assert_eq!((found.sessions.len(), found.read), (0, READ));
        assert!(found.next.is_some());
    }

    #[test]
    fn a_session_that_is_used_meanwhile_is_found_once() {
        let store = store(1000);
        let mut scan = ScanSessions::new(Utc::now(), 0);
        scan.order = SessionOrder::ExpiringFirst;
        let mut walk = Walk::new(scan, Matcher::new().filter(Filter::SignedIn), 3);
        while let Some(step) = walk.step() {
            let step = store.scan(&step).unwrap();
            for ScannedSession { session, .. } in &step.sessions {
                let mut touch = TouchSession::new(session.session_id, Utc::now());
                touch.expires_at = session.expires_at + TimeDelta::minutes(1);
                if session.user_id.is_some() {
                    store.touch(&[touch]).unwrap();
                }
            }
            walk.take(step, &HashMap::new());
        }
        let found = walk.found();
        assert!(found.read >= 1000);
        assert_eq!(found.sessions.len(), 1);
    }

    #[test]
    fn a_full_page_has_a_next_one_only_if_there_are_more_sessions() {
        for (number, more) in [(3, false), (4, true)] {
            let found = walk(&store(number), &Matcher::new(), None);
            assert_eq!((found.sessions.len(), found.read), (3, 3));
            assert_eq!(found.next.is_some(), more);
        }
    }
}
