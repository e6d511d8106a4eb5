//! What one request knows of its session: a state machine without I/O.
//!
//! ```text
//! Absent ──created──▶ Live ──updated, rotated──▶ Live
//!                      └──ended──▶ Ended   (for good: nothing leads out)
//! ```

use std::sync::Arc;

use crate::session::cookie::token::Token;
use crate::session::error::SessionError;
use crate::session::pipeline::Untold;
use crate::store::{NewSession, SessionRecord};

/// Where the session stands.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Nothing is stored for this visitor.
    Absent,
    /// As last seen in the store.
    Live(Box<SessionRecord>),
    /// Ended, or found to have been ended, by this request.
    Ended,
}

/// What the response tells the browser.
#[derive(Debug)]
pub(crate) enum CookieChange {
    Keep,
    Issue(Token),
    Remove,
}

#[derive(Debug)]
pub(crate) struct State<D> {
    pub(crate) phase: Phase,
    pub(crate) data: Arc<D>,
    pub(crate) cookie: CookieChange,
    pub(crate) is_new: bool,
    /// Handle of the visitor's stored session if its data could not be decoded: it is left alone,
    /// unless the visitor ends it or signs in.
    pub(crate) undecodable: Option<String>,
    /// Handles of sessions that end when the visitor is told of the new token.
    pub(crate) replaced: Vec<String>,
    /// Changes of the token that the visitor has not been told of, oldest first. Dropping them
    /// undoes them, newest first.
    untold: UntoldChanges,
    /// Whether the answer's headers are out: no cookie can be sent any more.
    is_answered: bool,
}

#[derive(Debug, Default)]
struct UntoldChanges(Vec<Untold>);

impl Drop for UntoldChanges {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

impl<D> State<D> {
    pub(crate) fn absent(data: D) -> Self {
        Self {
            phase: Phase::Absent,
            data: Arc::new(data),
            cookie: CookieChange::Keep,
            is_new: true,
            undecodable: None,
            replaced: Vec::new(),
            untold: UntoldChanges::default(),
            is_answered: false,
        }
    }

    pub(crate) fn loaded(record: SessionRecord, data: D) -> Self {
        Self {
            phase: Phase::Live(Box::new(record)),
            data: Arc::new(data),
            cookie: CookieChange::Keep,
            is_new: false,
            undecodable: None,
            replaced: Vec::new(),
            untold: UntoldChanges::default(),
            is_answered: false,
        }
    }

    pub(crate) fn record(&self) -> Option<&SessionRecord> {
        match &self.phase {
            Phase::Live(record) => Some(record),
            Phase::Absent | Phase::Ended => None,
        }
    }

    /// Fails where no cookie can be sent any more.
    ///
    /// # Errors
    /// [`SessionError::Answered`].
    pub(crate) fn check_open(&self) -> Result<(), SessionError> {
        if self.is_answered {
            return Err(SessionError::Answered);
        }
        Ok(())
    }

    /// Keeps a change of the token until the visitor is told of it. If it is too late for that, the
    /// change is undone.
    fn owe(&mut self, untold: Untold) -> Result<(), SessionError> {
        self.check_open()?;
        // A task that was not polled in time gets the result after its deadline.
        if untold.is_late() {
            return Err(SessionError::Timeout);
        }
        self.untold.0.push(untold);
        Ok(())
    }

    /// The answer goes out; returns what is to be undone, newest first, if it tells the visitor of
    /// no change.
    pub(crate) fn answered(&mut self, is_told: bool) -> Vec<Untold> {
        self.is_answered = true;
        let mut untold = std::mem::take(&mut self.untold.0);
        if is_told {
            untold.drain(..).for_each(Untold::told);
        }
        untold.reverse();
        untold
    }

    /// A new row, and the token that only its visitor gets.
    ///
    /// # Errors
    /// [`SessionError::Answered`] where no cookie can be sent any more; [`SessionError::Timeout`] where
    /// the change is being undone already.
    pub(crate) fn created(
        &mut self,
        record: SessionRecord,
        data: Arc<D>,
        token: Token,
        untold: Untold,
    ) -> Result<(), SessionError> {
        self.owe(untold)?;
        self.phase = Phase::Live(Box::new(record));
        self.data = data;
        self.cookie = CookieChange::Issue(token);
        Ok(())
    }

    /// New data under the same token: the browser is told nothing.
    pub(crate) fn updated(&mut self, record: SessionRecord, data: Arc<D>) {
        self.phase = Phase::Live(Box::new(record));
        self.data = data;
    }

    /// The session under a new token, signed in: all that a login changes of the row.
    ///
    /// # Errors
    /// [`SessionError::Answered`] and [`SessionError::Timeout`], as for [`created`](Self::created).
    pub(crate) fn bound(
        &mut self,
        record: SessionRecord,
        login: NewSession,
        token: Token,
        untold: Untold,
    ) -> Result<(), SessionError> {
        self.owe(untold)?;
        self.phase = Phase::Live(Box::new(SessionRecord {
            session_id: login.session_id,
            token_hash: login.token_hash,
            user_id: login.user_id,
            expires_at: record.expires_at.max(login.expires_at),
            absolute_expires_at: record.absolute_expires_at.max(login.absolute_expires_at),
            last_seen_at: login.now,
            user_agent: login.user_agent,
            ip: login.ip,
            updated_at: login.now,
            ..record
        }));
        self.cookie = CookieChange::Issue(token);
        Ok(())
    }

    /// The session under a new token.
    ///
    /// # Errors
    /// [`SessionError::Answered`] and [`SessionError::Timeout`], as for [`created`](Self::created).
    pub(crate) fn rotated(&mut self, token: Token, untold: Untold) -> Result<(), SessionError> {
        self.owe(untold)?;
        if let Phase::Live(record) = &mut self.phase {
            record.session_id = token.session_id();
            record.token_hash = token.hash();
            self.cookie = CookieChange::Issue(token);
        }
        Ok(())
    }

    /// Ended by this request: the browser is to forget the cookie, if it has one.
    pub(crate) fn ended(&mut self, has_cookie: bool) {
        self.phase = Phase::Ended;
        self.cookie = if has_cookie {
            CookieChange::Remove
        } else {
            CookieChange::Keep
        };
    }

    /// Found to have been ended by another request, which is the one to speak of the cookie.
    pub(crate) fn found_ended(&mut self) {
        self.phase = Phase::Ended;
        self.cookie = CookieChange::Keep;
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    fn token() -> Token {
        Token::generate(Utc::now()).unwrap()
    }

    fn record(token: &Token) -> SessionRecord {
        let now = Utc::now();
        NewSession {
            id: "handle".into(),
            session_id: token.session_id(),
            token_hash: token.hash(),
            user_id: None,
            data: "0".into(),
            expires_at: now,
            absolute_expires_at: now,
            user_agent: None,
            ip: None,
            now,
        }
        .into_record()
    }

    #[test]
    fn i9_reading_and_updating_say_nothing_to_the_browser() {
        assert!(matches!(State::absent(0).cookie, CookieChange::Keep));
        let token = token();
        let mut state = State::loaded(record(&token), 0);
        state.updated(record(&token), Arc::new(1));
        assert!(matches!(state.cookie, CookieChange::Keep));
        assert!(!state.is_new);
    }

    #[test]
    fn i3_a_rotation_hands_out_the_new_token() {
        let (old, new) = (token(), token());
        let mut state = State::loaded(record(&old), 0);
        state.rotated(new.clone(), Untold::settled()).unwrap();
        let record = state.record().unwrap();
        assert_eq!(record.session_id, new.session_id());
        assert!(record.token_hash.matches(&new.hash()));
        assert!(matches!(&state.cookie, CookieChange::Issue(token) if *token == new));
    }

    #[test]
    fn i2_a_session_that_ended_hands_out_no_token() {
        let mut state = State::absent(0);
        let token = token();
        let untold = Untold::settled();
        state
            .created(record(&token), Arc::new(0), token.clone(), untold)
            .unwrap();
        state.found_ended();
        assert!(matches!(state.cookie, CookieChange::Keep));
        state.rotated(token, Untold::settled()).unwrap();
        assert!(matches!(state.cookie, CookieChange::Keep) && state.record().is_none());

        let mut state = State::absent(0);
        state.ended(true);
        assert!(matches!(state.cookie, CookieChange::Remove));
    }
}
