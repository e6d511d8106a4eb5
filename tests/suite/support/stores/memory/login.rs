//! The login of the store in memory.

use std::time::Instant;

use rocket_diesel_sessions::store::{LoginOutcome, LoginSession, SessionRecord, StoreError};
use rocket_diesel_sessions::{OnSessionLimit, SessionHandle};

use super::Tables;

impl Tables {
    pub(super) fn login(&mut self, login: &LoginSession) -> Result<LoginOutcome, StoreError> {
        if !self.may_sign_in(login) {
            return Ok(LoginOutcome::UserRefused);
        }
        let others = self.others(login);
        let allowed = match login.limit.max {
            0 => others.len(),
            max => max as usize - 1,
        };
        if others.len() > allowed
            && login.limit.on_limit == OnSessionLimit::Refuse
            && !self.has_session(login)
        {
            return Ok(LoginOutcome::LimitReached);
        }
        let mut ended = others[allowed.min(others.len())..].to_vec();
        for id in &ended {
            self.sessions.remove(id);
        }
        let is_bound = self.bind(login);
        let outcome = if is_bound {
            LoginOutcome::Bound(ended)
        } else {
            let replaced = login.session.as_ref().map(|session| session.session_id);
            ended.extend(self.end(1, |row| {
                Some(row.session_id) == replaced && row.user_id.is_some()
            }));
            let mut fresh = login.fresh.clone();
            fresh.user_id = login.signed_in_user().cloned();
            self.insert(fresh)?;
            LoginOutcome::Created(ended)
        };
        match login.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(StoreError::TooLate),
            _ => Ok(outcome),
        }
    }

    fn may_sign_in(&self, login: &LoginSession) -> bool {
        let is_right = |hash: &String| {
            let given = login.password_hash.as_ref();
            given.is_none_or(|given| given == hash)
        };
        self.users
            .get(&login.user_id)
            .is_some_and(|user| user.disabled_at.is_none() && is_right(&user.password_hash))
    }

    /// Returns the handles of the user's other live sessions, newest token first.
    fn others(&self, login: &LoginSession) -> Vec<SessionHandle> {
        if login.signed_in_user().is_none() {
            return Vec::new();
        }
        let own = login.session.as_ref().map(|session| &session.id);
        let is_other = |row: &&SessionRecord| {
            row.user_id.as_ref() == Some(&login.user_id)
                && row.kind == login.fresh.kind
                && row.expires_at > login.fresh.now
                && Some(&row.id) != own
        };
        let mut others: Vec<_> = self.sessions.values().filter(is_other).collect();
        others.sort_by_key(|row| std::cmp::Reverse(row.session_id));
        others.into_iter().map(|row| row.id.clone()).collect()
    }

    fn has_session(&self, login: &LoginSession) -> bool {
        let row = login
            .session
            .as_ref()
            .and_then(|session| self.sessions.get(&session.id));
        row.is_some_and(|row| {
            row.user_id.as_ref() == Some(&login.user_id) && row.expires_at > login.fresh.now
        })
    }

    /// Gives the visitor's session to the user; returns whether it could be kept.
    fn bind(&mut self, login: &LoginSession) -> bool {
        let Some(session) = &login.session else {
            return false;
        };
        let row = self.sessions.get_mut(&session.id);
        let Some(row) = row.filter(|row| login.keeps(row)) else {
            return false;
        };
        *row = login.bound(row.clone());
        true
    }
}
