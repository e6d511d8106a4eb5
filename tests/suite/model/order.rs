//! The possible states of a session, derived from the answers to requests on it.

use uuid::Uuid;

use super::app::{Reply, View};
use super::op::{Action, USERS};
use super::world::{Seen, Time};

/// The outcome of a request according to its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Result {
    /// The request worked on the session of its cookie.
    Done(View),
    /// The request found no session, or created a new one.
    Apart,
    /// 409: the session ended or got another token in the meantime.
    Ended,
    /// Another request changed the data that this one was to replace.
    Stale,
    /// 401.
    Refused,
    /// 503 or 500.
    Failed,
}

impl Result {
    pub(super) fn of(reply: &Reply, id: Option<&str>, action: Action) -> Self {
        match (reply.status, &reply.view) {
            (200, Some(view)) => {
                let seen = view.session.as_ref().map(|(id, _)| id.as_str());
                // The view of an ended session shows nothing.
                let is_its_own = seen.is_some() && seen == id;
                let has_ended = action == Action::Destroy && id.is_some();
                if is_its_own || has_ended {
                    Self::Done(view.clone())
                } else {
                    Self::Apart
                }
            }
            (200, None) if reply.is_stale => Self::Stale,
            (409, _) => Self::Ended,
            (401, _) => Self::Refused,
            _ => Self::Failed,
        }
    }

    /// Returns whether a `set` succeeded.
    fn is_of_a_set(&self, action: Action) -> bool {
        matches!((self, action), (Self::Done(_), Action::Set(_)))
    }
}

/// A possible state of a row, apart from its deadlines.
#[derive(Clone, Debug)]
pub(super) struct Possible {
    /// `None` if the row is gone.
    state: Option<State>,
}

#[derive(Clone, Debug)]
struct State {
    session_id: Uuid,
    user: Option<String>,
    count: u64,
    was_bound: bool,
}

impl Possible {
    pub(super) fn unchanged(seen: &Seen) -> Self {
        Self {
            state: Some(State {
                session_id: seen.session_id,
                user: seen.user.clone(),
                count: seen.count,
                was_bound: false,
            }),
        }
    }

    pub(super) fn gone() -> Self {
        Self { state: None }
    }

    fn count(&self) -> Option<u64> {
        self.state.as_ref().map(|state| state.count)
    }

    /// Returns whether this state explains the stored row. `touch` says whether a touch must have
    /// been recorded, or may have been.
    pub(super) fn explains(
        &self,
        before: &Seen,
        now: Option<&Seen>,
        touch: Touch,
        window: (Time, Time),
    ) -> bool {
        let (state, now) = match (&self.state, now) {
            (None, None) => return true,
            (Some(state), Some(now)) => (state, now),
            _ => return false,
        };
        // The last request's touch is written eventually.
        let is_kept = now.session_id == before.session_id;
        let is_recorded = touch != Touch::Must || !is_kept || !now.touch_is_due(window.1);
        let is_untouched = now.has_deadlines_of(before);
        state.session_id == now.session_id
            && is_recorded
            && state.user == now.user
            && state.count == now.count
            && if state.was_bound {
                now.is_bound_from(before, window)
            } else {
                is_untouched
                    || touch != Touch::Not && now.is_touched_from(before, window)
                    // The state left by an undone login.
                    || touch == Touch::May && now.is_unbound_from(before, window)
            }
    }
}

/// Whether a touch is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    Must,
    May,
    Not,
}

/// Whether the last request of an order loaded its session before the others wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadedFirst {
    Yes,
    Perhaps,
}

/// Returns all states that a row may have after these requests, in this order. Returns none if no
/// such order gives these answers. With `may_be_over`, an instance may find that the session has
/// expired while another has a touch of it on its way to the database, which cannot be called back.
pub(super) fn after(
    before: Possible,
    requests: &[(Action, Result)],
    last: LoadedFirst,
    may_be_over: bool,
) -> Vec<Possible> {
    let mut possible = vec![(before.clone(), false)];
    for (index, (action, result)) in requests.iter().enumerate() {
        let must_have_loaded_first = last == LoadedFirst::Yes && index + 1 == requests.len();
        let step = |(row, is_cut): (Possible, bool)| {
            let is_changed = row.count() != before.count();
            if *result == Result::Stale {
                return if is_changed {
                    vec![(row, is_cut)]
                } else {
                    Vec::new()
                };
            }
            if is_changed && must_have_loaded_first && result.is_of_a_set(*action) {
                return Vec::new();
            }
            let mut all = next(row.clone(), is_cut, *action, result);
            if may_be_over && matches!(result, Result::Apart | Result::Ended) {
                all.push((row, is_cut));
            }
            all
        };
        possible = possible.into_iter().flat_map(step).collect();
    }
    possible.into_iter().map(|(row, _)| row).collect()
}

/// Returns the states that a logout leaves of an expired but still stored session, or `None` if no
/// request was a logout.
pub(super) fn after_expiry(seen: &Seen, requests: &[(Action, Result)]) -> Option<Vec<Possible>> {
    let mut ends = requests
        .iter()
        .filter(|(action, _)| *action == Action::Destroy);
    let (_, result) = ends.next()?;
    let mut possible = vec![Possible::gone()];
    if *result == Result::Failed {
        possible.push(Possible::unchanged(seen));
    }
    Some(possible)
}

/// Returns the states after an action. `is_cut` means that an earlier request ended the session or
/// replaced its token.
fn next(row: Possible, is_cut: bool, action: Action, result: &Result) -> Vec<(Possible, bool)> {
    let unchanged = (row.clone(), is_cut);
    match result {
        Result::Done(view) => done(row, is_cut, action, view),
        // Without a session, or in its own.
        Result::Ended if is_cut => vec![unchanged],
        Result::Apart => {
            let is_of_another = |user: usize| {
                let state = row.state.as_ref();
                state.is_some_and(|state| {
                    state.user.is_some() && state.user.as_deref() != Some(USERS[user])
                })
            };
            match action {
                // It ends the session that it replaces, whatever its token.
                Action::Login(user) if is_of_another(user) => {
                    let mut all = vec![(Possible::gone(), true)];
                    all.extend(is_cut.then_some(unchanged));
                    all
                }
                _ if is_cut => vec![unchanged],
                _ => Vec::new(),
            }
        }
        Result::Ended | Result::Stale => Vec::new(),
        Result::Refused => vec![unchanged],
        Result::Failed => {
            let mut all = vec![unchanged];
            all.extend(failed(row, is_cut, action));
            all
        }
    }
}

/// Returns the states after an action that succeeded according to its answer.
fn done(row: Possible, is_cut: bool, action: Action, view: &View) -> Vec<(Possible, bool)> {
    if action == Action::Destroy {
        let mut all = vec![(Possible::gone(), true)];
        // It came too late to find the session by its token.
        all.extend(is_cut.then_some((row, true)));
        return all;
    }
    let Some(mut state) = row.state else {
        return Vec::new();
    };
    let Some((_, session_id)) = view.session else {
        return Vec::new();
    };
    match action {
        Action::Read => {
            let state = Some(state);
            return vec![(Possible { state }, is_cut)];
        }
        Action::Count | Action::Set(_) | Action::Rotate if is_cut => return Vec::new(),
        Action::Count => state.count += 1,
        Action::Set(count) => state.count = count,
        Action::Rotate => state.session_id = session_id,
        Action::Login(user) => {
            let user = USERS[user].to_owned();
            let is_own = state.user.as_ref() == Some(&user);
            if !(is_own || state.user.is_none() && !is_cut) {
                return Vec::new();
            }
            state.session_id = session_id;
            state.user = Some(user);
            state.was_bound = true;
        }
        Action::Destroy => {}
    }
    let is_write = matches!(action, Action::Count | Action::Set(_));
    if is_write && (view.count != state.count || session_id != state.session_id) {
        return Vec::new();
    }
    let state = Some(state);
    vec![(Possible { state }, is_cut || !is_write)]
}

/// Returns the states after an action whose answer is a failure.
fn failed(row: Possible, is_cut: bool, action: Action) -> Vec<(Possible, bool)> {
    let Some(mut state) = row.state.clone() else {
        return Vec::new();
    };
    let changed = |state| Possible { state: Some(state) };
    match action {
        Action::Read => Vec::new(),
        Action::Destroy => vec![(Possible::gone(), true)],
        Action::Count | Action::Set(_) if is_cut => Vec::new(),
        Action::Count => {
            state.count += 1;
            vec![(changed(state), is_cut)]
        }
        Action::Set(count) => {
            state.count = count;
            vec![(changed(state), is_cut)]
        }
        Action::Login(user) if state.user.as_deref().is_some_and(|own| own != USERS[user]) => {
            vec![(Possible::gone(), true)]
        }
        // The token is withdrawn. In the meantime, other requests meet another token.
        Action::Rotate | Action::Login(_) => vec![(row, true)],
    }
}
