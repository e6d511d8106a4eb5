//! The login of the store in memory.

use std::time::Instant;

use rocket_diesel_sessions::OnSessionLimit;
use rocket_diesel_sessions::store::{LoginOutcome, LoginSession, SessionRecord, StoreError};

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
            fresh.user_id = Some(login.user_id.clone());
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

    /// Handles of the user's other live sessions, newest token first.
    fn others(&self, login: &LoginSession) -> Vec<String> {
        let own = login.session.as_ref().map(|session| &session.id);
        let is_other = |row: &&SessionRecord| {
            row.user_id.as_ref() == Some(&login.user_id)
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
        let (new, Some(session)) = (&login.fresh, &login.session) else {
            return false;
        };
        let row = self.sessions.get_mut(&session.id).filter(|row| {
            let is_own = row.user_id.as_ref() == Some(&login.user_id);
            let is_asked_for = row.user_id.is_none() && row.session_id == session.session_id;
            row.expires_at > new.now && (is_own || is_asked_for)
        });
        let Some(row) = row else { return false };
        row.session_id = new.session_id;
        row.token_hash = new.token_hash;
        row.user_id = Some(login.user_id.clone());
        row.expires_at = row.expires_at.max(session.expires_at);
        row.absolute_expires_at = row.absolute_expires_at.max(session.absolute_expires_at);
        row.last_seen_at = row.last_seen_at.max(new.now);
        row.updated_at = new.now;
        if new.user_agent.is_some() {
            row.user_agent.clone_from(&new.user_agent);
        }
        if new.ip.is_some() {
            row.ip.clone_from(&new.ip);
        }
        true
    }
}
