//! The model: what each cookie must answer, and what may have become of a session.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rocket_diesel_sessions::SessionRecord;
use uuid::Uuid;

use super::UNDO;
use super::app::{Reply, View, config};
use super::op::{Action, CLIENTS, USERS};

pub(super) type Time = DateTime<Utc>;

/// What the model follows of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) session_id: Uuid,
    pub(super) user: Option<String>,
    pub(super) count: u64,
    pub(super) expires_at: Time,
    absolute_expires_at: Time,
    last_seen_at: Time,
}

impl From<&SessionRecord> for Seen {
    fn from(record: &SessionRecord) -> Self {
        let data: rocket::serde::json::Value =
            rocket::serde::json::from_str(&record.data).expect("JSON");
        Self {
            session_id: record.session_id,
            user: record.user_id.clone(),
            count: data["count"].as_u64().expect("a count"),
            expires_at: record.expires_at,
            absolute_expires_at: record.absolute_expires_at,
            last_seen_at: record.last_seen_at,
        }
    }
}

fn minutes(minutes: i64) -> TimeDelta {
    TimeDelta::minutes(minutes)
}

fn idle(is_signed_in: bool) -> TimeDelta {
    minutes(if is_signed_in { 60 } else { 30 })
}

const ABSOLUTE: i64 = 180;

impl Seen {
    pub(super) fn is_live(&self, now: Time) -> bool {
        now < self.expires_at
    }

    /// The deadline once the activity of a request that begins now is recorded, if that is due.
    pub(super) fn deadline_after(&self, now: Time) -> Time {
        if !self.touch_is_due(now) {
            return self.expires_at;
        }
        let deadline = (now + idle(self.user.is_some())).min(self.absolute_expires_at);
        self.expires_at.max(deadline)
    }

    /// A session that was made between these times.
    pub(super) fn is_fresh(&self, (from, to): (Time, Time)) -> bool {
        let made = self.last_seen_at;
        (from..=to).contains(&made)
            && self.expires_at == made + idle(self.user.is_some())
            && self.absolute_expires_at == made + minutes(ABSOLUTE)
    }

    fn touch_is_due(&self, now: Time) -> bool {
        now - self.last_seen_at >= minutes(5)
    }

    /// Returns whether `self` is what activity between these times leaves of `before`.
    fn is_touched_from(&self, before: &Self, (from, to): (Time, Time)) -> bool {
        let seen = self.last_seen_at;
        let deadline = (seen + idle(before.user.is_some())).min(before.absolute_expires_at);
        (from..=to).contains(&seen)
            && before.touch_is_due(seen)
            && self.expires_at == before.expires_at.max(deadline)
            && self.absolute_expires_at == before.absolute_expires_at
    }

    /// Returns whether the deadlines of `self` are those that a login between these times leaves,
    /// beside other activity.
    fn is_bound_from(&self, before: &Self, (from, to): (Time, Time)) -> bool {
        let absolute = |now| before.absolute_expires_at.max(now + minutes(ABSOLUTE));
        let end = self.absolute_expires_at;
        let deadline = |now: Time| before.expires_at.max((now + idle(true)).min(end));
        (from..=to).contains(&self.last_seen_at)
            && (deadline(from)..=deadline(to)).contains(&self.expires_at)
            && (!UNDO || (absolute(from)..=absolute(to)).contains(&end))
    }

    fn has_deadlines_of(&self, before: &Self) -> bool {
        self.expires_at == before.expires_at
            && self.absolute_expires_at == before.absolute_expires_at
            && self.last_seen_at == before.last_seen_at
    }
}

/// A session that the model knows.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) cookie: String,
    pub(super) seen: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Active,
    Disabled,
    Deleted,
}

/// All that the model knows.
#[derive(Debug)]
pub(super) struct World {
    /// By public handle.
    pub(super) rows: BTreeMap<String, Row>,
    /// Tokens that are no session's any more.
    pub(super) dead: Vec<(String, Uuid)>,
    pub(super) jars: [Option<String>; CLIENTS],
    pub(super) users: [Standing; 2],
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            dead: Vec::new(),
            jars: [const { None }; CLIENTS],
            users: [Standing::Active; 2],
        }
    }

    pub(super) fn by_cookie(&self, cookie: Option<&str>) -> Option<(String, Row)> {
        let (id, row) = self
            .rows
            .iter()
            .find(|(_, row)| Some(row.cookie.as_str()) == cookie)?;
        Some((id.clone(), row.clone()))
    }

    pub(super) fn knows(&self, cookie: &str) -> bool {
        self.rows.values().any(|row| row.cookie == cookie)
            || self.dead.iter().any(|(dead, _)| dead == cookie)
    }
}

/// What an answer says became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Result {
    /// It worked on the session of its cookie.
    Done(View),
    /// It found no session, or made a new one.
    Apart,
    /// 409: the session ended, or got another token, under it.
    Ended,
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
                // A view of what was ended shows nothing.
                let is_its_own = seen.is_some() && seen == id;
                let has_ended = action == Action::Destroy && id.is_some();
                if is_its_own || has_ended {
                    Self::Done(view.clone())
                } else {
                    Self::Apart
                }
            }
            (409, _) => Self::Ended,
            (401, _) => Self::Refused,
            _ => Self::Failed,
        }
    }
}

/// What a row may be, deadlines aside.
#[derive(Clone, Debug)]
pub(super) struct Possible {
    /// `None` if it is gone.
    state: Option<State>,
}

#[derive(Clone, Debug)]
struct State {
    /// `None` where the token is one that was never handed out.
    session_id: Option<Uuid>,
    user: Option<String>,
    count: u64,
    was_bound: bool,
}

impl Possible {
    pub(super) fn unchanged(seen: &Seen) -> Self {
        Self {
            state: Some(State {
                session_id: Some(seen.session_id),
                user: seen.user.clone(),
                count: seen.count,
                was_bound: false,
            }),
        }
    }

    pub(super) fn gone() -> Self {
        Self { state: None }
    }

    /// Returns whether this explains what is stored now; `touch` is whether activity must have been
    /// recorded, or may have.
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
        let token_fits = match state.session_id {
            Some(session_id) => session_id == now.session_id,
            None => now.session_id != before.session_id,
        };
        let is_due = before.touch_is_due(window.0);
        let is_untouched = now.has_deadlines_of(before) && !(touch == Touch::Must && is_due);
        token_fits
            && state.user == now.user
            && state.count == now.count
            && if state.was_bound {
                now.is_bound_from(before, window)
            } else {
                is_untouched
                    || touch != Touch::Not && now.is_touched_from(before, window)
                    // What a login left that was undone.
                    || touch == Touch::May && now.is_unbound_from(before, window)
            }
    }
}

impl Seen {
    /// Returns whether the deadlines are those that an undone login between these times may leave.
    fn is_unbound_from(&self, before: &Self, (from, to): (Time, Time)) -> bool {
        let seen = self.last_seen_at;
        (from..=to).contains(&seen)
            && self.expires_at >= before.expires_at
            && self.expires_at <= self.absolute_expires_at.min(seen + idle(true))
            && self.absolute_expires_at == before.absolute_expires_at
    }
}

/// Whether activity is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    Must,
    May,
    Not,
}

/// All that a row may be after these requests on it, in this order; none where no such order gives
/// these answers.
pub(super) fn after(before: Possible, requests: &[(Action, Result)]) -> Vec<Possible> {
    let mut possible = vec![(before, false)];
    for (action, result) in requests {
        possible = possible
            .into_iter()
            .flat_map(|(row, is_cut)| next(row, is_cut, *action, result))
            .collect();
    }
    possible.into_iter().map(|(row, _)| row).collect()
}

/// `is_cut`: an earlier one of the requests ended the session or gave it another token.
fn next(row: Possible, is_cut: bool, action: Action, result: &Result) -> Vec<(Possible, bool)> {
    let unchanged = (row.clone(), is_cut);
    match result {
        Result::Done(view) => done(row, is_cut, action, view),
        // Without a session, or in one of its own.
        Result::Apart if is_cut => vec![unchanged],
        Result::Apart => {
            let is_of_another = |user: usize| {
                let state = row.state.as_ref();
                state.is_some_and(|state| {
                    state.user.is_some() && state.user.as_deref() != Some(USERS[user])
                })
            };
            match action {
                Action::Login(user) if is_of_another(user) => vec![(Possible::gone(), true)],
                _ => Vec::new(),
            }
        }
        Result::Ended if is_cut => vec![unchanged],
        Result::Ended => Vec::new(),
        Result::Refused => vec![unchanged],
        Result::Failed => {
            let mut all = vec![unchanged];
            all.extend(failed(row, is_cut, action));
            all
        }
    }
}

/// What an action did whose answer says that it worked.
fn done(row: Possible, is_cut: bool, action: Action, view: &View) -> Vec<(Possible, bool)> {
    if action == Action::Destroy {
        let mut all = vec![(Possible::gone(), true)];
        // It came too late to find the session by the token it has.
        all.extend(is_cut.then_some((row, true)));
        return all;
    }
    let Some(mut state) = row.state else {
        return Vec::new();
    };
    let session_id = view.session.as_ref().map(|(_, session_id)| *session_id);
    match action {
        Action::Read => {
            let state = Some(state);
            return vec![(Possible { state }, is_cut)];
        }
        Action::Count | Action::Set(_) if is_cut => return Vec::new(),
        Action::Count => state.count += 1,
        Action::Set(count) => state.count = count,
        Action::Rotate if is_cut => return Vec::new(),
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

/// What an action may have done whose answer is a failure.
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
        // The token is taken back; in the meantime, other requests find another one.
        Action::Rotate | Action::Login(_) if UNDO => vec![(row, true)],
        Action::Rotate => {
            state.session_id = None;
            vec![(changed(state), true)]
        }
        Action::Login(user) => {
            state.session_id = None;
            state.user = Some(USERS[user].to_owned());
            state.was_bound = true;
            vec![(changed(state), true)]
        }
    }
}

/// The settings that the model computes with.
#[test]
fn the_model_has_the_settings_of_the_instances() {
    let config = config(false);
    let of = |delta: TimeDelta| delta.to_std().unwrap();
    assert_eq!(config.idle_timeout, of(idle(true)));
    assert_eq!(config.anonymous_idle_timeout, Some(of(idle(false))));
    assert_eq!(config.absolute_timeout, of(minutes(ABSOLUTE)));
    assert_eq!(config.touch_interval, of(minutes(5)));
}
