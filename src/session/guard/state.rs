//! The state of a session within one request: a state machine without I/O.
//!
//! ```text
//! Absent ──created──▶ Live ──updated, rotated──▶ Live
//!                      └──ended──▶ Ended   (for good: nothing leads out)
//! ```

use std::sync::Arc;

use crate::session::cookie::token::Token;
use crate::session::error::SessionError;
use crate::session::pipeline::Untold;
use crate::store::{SessionHandle, SessionRecord};

/// The phase of a session within a request.
#[derive(Debug)]
pub(crate) enum Phase {
    /// No session is stored for this visitor.
    Absent,
    /// The session as last seen in the store.
    Live(Arc<SessionRecord>),
    /// This request ended the session or found it ended.
    Ended,
}

/// The change of the cookie that the response carries.
#[derive(Debug)]
pub(crate) enum CookieChange {
    Keep,
    Issue(Token),
    /// The handler has the new token and passes it on.
    HandedOut,
    /// No one has taken the new token, and no cookie may carry it.
    Withheld,
    /// This request ended the session. The cookie is removed if the browser has one.
    Remove,
}

/// What decides how new tokens leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The way in which the request brought its token.
    Request,
    /// The handler, which has taken one. No cookie carries a later one.
    Handler,
}

#[derive(Debug)]
pub(crate) struct State<D> {
    pub(crate) phase: Phase,
    pub(crate) data: Arc<D>,
    pub(crate) cookie: CookieChange,
    pub(crate) is_new: bool,
    /// Handle of the visitor's stored session if it is treated as absent, because its data could not
    /// be decoded. The session is left unchanged unless the visitor ends it or signs in.
    pub(crate) hidden: Option<SessionHandle>,
    /// The error of decoding the data of the session, if `on_undecodable` makes it one.
    undecodable: Option<SessionError>,
    /// Handles of sessions to end before the visitor receives the new token.
    pub(crate) replaced: Vec<SessionHandle>,
    pub(crate) carrier: Carrier,
    /// Changes of the token that no response has delivered yet, oldest first. Dropping them undoes
    /// them, newest first.
    untold: UntoldChanges,
    /// Whether the stored data has changes that `data` lacks.
    is_overtaken: bool,
    /// Whether the response's headers are out, so that no cookie can be sent any more.
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
            hidden: None,
            undecodable: None,
            replaced: Vec::new(),
            carrier: Carrier::Request,
            untold: UntoldChanges::default(),
            is_overtaken: false,
            is_answered: false,
        }
    }

    pub(crate) fn loaded(record: Arc<SessionRecord>, data: D) -> Self {
        Self {
            phase: Phase::Live(record),
            data: Arc::new(data),
            cookie: CookieChange::Keep,
            is_new: false,
            hidden: None,
            undecodable: None,
            replaced: Vec::new(),
            carrier: Carrier::Request,
            untold: UntoldChanges::default(),
            is_overtaken: false,
            is_answered: false,
        }
    }

    /// Returns the state of a visitor whose stored session is treated as absent.
    pub(crate) fn hiding(session: SessionHandle, data: D) -> Self {
        Self {
            hidden: Some(session),
            ..Self::absent(data)
        }
    }

    /// Returns the state of a session whose data is an error instead of `D`.
    pub(crate) fn unreadable(record: Arc<SessionRecord>, data: D, error: SessionError) -> Self {
        Self {
            undecodable: Some(error),
            ..Self::loaded(record, data)
        }
    }

    /// Returns the error of decoding the data, if it is one.
    pub(crate) fn undecodable(&self) -> Option<&SessionError> {
        let is_live = matches!(self.phase, Phase::Live(_));
        self.undecodable.as_ref().filter(|_| is_live)
    }

    pub(crate) fn record(&self) -> Option<&SessionRecord> {
        match &self.phase {
            Phase::Live(record) => Some(record),
            Phase::Absent | Phase::Ended => None,
        }
    }

    /// Returns the version of the stored data that this request has seen, or `None` if it has seen
    /// no version that is stored.
    pub(crate) fn seen_version(&self) -> Option<i64> {
        let record = self.record()?;
        (!self.is_overtaken).then_some(record.version)
    }

    /// Fails if no cookie can be sent any more.
    ///
    /// # Errors
    /// Returns [`SessionError::Answered`].
    pub(crate) fn check_open(&self) -> Result<(), SessionError> {
        if self.is_answered {
            return Err(SessionError::Answered);
        }
        Ok(())
    }

    /// Keeps a change of the token until a response delivers it. If it is too late for that, the
    /// change is undone.
    fn owe(&mut self, untold: Untold) -> Result<(), SessionError> {
        self.check_open()?;
        // A task that is not polled in time gets the result after its deadline.
        if untold.is_late() {
            return Err(SessionError::Timeout);
        }
        self.untold.0.push(untold);
        Ok(())
    }

    /// Records that the response is being sent. If it does not deliver the changes of the token
    /// (`is_told` is false), returns them to be undone, newest first.
    pub(crate) fn answered(&mut self, is_told: bool) -> Vec<Untold> {
        self.is_answered = true;
        let mut untold = std::mem::take(&mut self.untold.0);
        if is_told {
            untold.drain(..).for_each(Untold::told);
        }
        untold.reverse();
        untold
    }

    /// Records a new session and its token.
    ///
    /// # Errors
    /// Returns [`SessionError::Answered`] if no cookie can be sent any more, and
    /// [`SessionError::Timeout`] if the change is already being undone.
    pub(crate) fn created(
        &mut self,
        record: SessionRecord,
        data: Arc<D>,
        token: Token,
        untold: Untold,
    ) -> Result<(), SessionError> {
        self.owe(untold)?;
        self.phase = Phase::Live(Arc::new(record));
        self.data = data;
        self.is_overtaken = false;
        (self.hidden, self.undecodable) = (None, None);
        self.cookie = CookieChange::Issue(token);
        Ok(())
    }

    /// Records new data under the same token. The cookie does not change. `is_overtaken` says
    /// whether the row has later changes that `data` lacks.
    pub(crate) fn updated(&mut self, record: Arc<SessionRecord>, data: Arc<D>, is_overtaken: bool) {
        self.phase = Phase::Live(record);
        self.data = data;
        self.is_overtaken = is_overtaken;
    }

    /// Records a login: the session as the login has left it.
    ///
    /// # Errors
    /// Fails as [`created`](Self::created) does.
    pub(crate) fn bound(
        &mut self,
        record: SessionRecord,
        token: Token,
        untold: Untold,
    ) -> Result<(), SessionError> {
        self.owe(untold)?;
        self.phase = Phase::Live(Arc::new(record));
        self.cookie = CookieChange::Issue(token);
        Ok(())
    }

    /// Records a new token.
    ///
    /// # Errors
    /// Fails as [`created`](Self::created) does.
    pub(crate) fn rotated(&mut self, token: Token, untold: Untold) -> Result<(), SessionError> {
        self.owe(untold)?;
        if let Phase::Live(record) = &mut self.phase {
            let record = Arc::make_mut(record);
            record.session_id = token.session_id();
            record.token_hash = token.hash();
            self.cookie = CookieChange::Issue(token);
        }
        Ok(())
    }

    /// Returns the new token and its session's handle for the handler to pass on, once, unless the
    /// response is already being sent.
    pub(crate) fn hand_out(&mut self) -> Option<(Token, SessionHandle)> {
        let id = self.record()?.id.clone();
        if self.is_answered || !matches!(self.cookie, CookieChange::Issue(_)) {
            return None;
        }
        match std::mem::replace(&mut self.cookie, CookieChange::HandedOut) {
            CookieChange::Issue(token) => {
                self.carrier = Carrier::Handler;
                Some((token, id))
            }
            _ => None,
        }
    }

    /// Withholds a new token that no cookie may carry: one that no one has taken, and if the handler
    /// has failed, any. The sessions that it replaces stay. Returns `None` if there is no such token,
    /// and otherwise whether a client could have relied on the change: whether it is more than a new,
    /// anonymous session.
    pub(crate) fn withhold(&mut self, has_failed: bool) -> Option<bool> {
        match self.cookie {
            CookieChange::Issue(_) => {}
            CookieChange::HandedOut if has_failed => {}
            _ => return None,
        }
        self.cookie = CookieChange::Withheld;
        self.replaced.clear();
        let is_anonymous = |record: &SessionRecord| {
            record.user_id.is_none() && record.pending.is_none() && self.carrier == Carrier::Request
        };
        let is_mere_session = self.is_new && self.record().is_none_or(is_anonymous);
        Some(!is_mere_session)
    }

    /// Records that this request ended the session.
    pub(crate) fn ended(&mut self) {
        self.phase = Phase::Ended;
        self.cookie = CookieChange::Remove;
    }

    /// Records that another request ended the session. That request's response removes the cookie,
    /// not ours.
    pub(crate) fn found_ended(&mut self) {
        self.phase = Phase::Ended;
        self.cookie = CookieChange::Keep;
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::testing::new_session;

    fn token() -> Token {
        Token::generate(Utc::now()).unwrap()
    }

    fn record(token: &Token) -> SessionRecord {
        SessionRecord {
            session_id: token.session_id(),
            token_hash: token.hash(),
            ..new_session(Utc::now()).into_record()
        }
    }

    #[test]
    fn i9_reading_and_updating_leave_the_cookie_unchanged() {
        assert!(matches!(State::absent(0).cookie, CookieChange::Keep));
        let token = token();
        let mut state = State::loaded(Arc::new(record(&token)), 0);
        state.updated(Arc::new(record(&token)), Arc::new(1), false);
        assert!(matches!(state.cookie, CookieChange::Keep));
        assert!(!state.is_new);
    }

    #[test]
    fn i3_a_rotation_issues_the_new_token() {
        let (old, new) = (token(), token());
        let mut state = State::loaded(Arc::new(record(&old)), 0);
        state.rotated(new.clone(), Untold::settled()).unwrap();
        let record = state.record().unwrap();
        assert_eq!(record.session_id, new.session_id());
        assert!(record.token_hash.matches(&new.hash()));
        assert!(matches!(&state.cookie, CookieChange::Issue(token) if *token == new));
    }

    #[test]
    fn i3_each_token_is_handed_out_once() {
        let (first, second) = (token(), token());
        let mut state = State::absent(0);
        assert_eq!(state.hand_out(), None);
        let (record, untold) = (record(&first), Untold::settled());
        let id = record.id.clone();
        let created = state.created(record, Arc::new(0), first.clone(), untold);
        created.unwrap();
        assert_eq!(state.hand_out(), Some((first, id.clone())));
        assert_eq!(state.hand_out(), None);
        assert_eq!(state.withhold(false), None);
        state.rotated(second.clone(), Untold::settled()).unwrap();
        assert_eq!(state.hand_out(), Some((second, id)));
        assert_eq!(state.withhold(true), Some(true), "the handler has failed");
        state.rotated(token(), Untold::settled()).unwrap();
        state.answered(true);
        assert_eq!(state.hand_out(), None);
    }

    #[test]
    fn i2_a_withheld_token_cannot_be_handed_out() {
        let token = token();
        let mut state = State::absent(0);
        let created = state.created(record(&token), Arc::new(0), token, Untold::settled());
        created.unwrap();
        state.replaced.push("other".into());
        assert_eq!(state.withhold(false), Some(false), "a mere session");
        assert_eq!(state.hand_out(), None);
        assert!(state.replaced.is_empty());

        let mut state = State::loaded(Arc::new(record(&self::token())), 0);
        assert_eq!(state.withhold(false), None);
        state.rotated(self::token(), Untold::settled()).unwrap();
        assert_eq!(
            state.withhold(false),
            Some(true),
            "the client has a session"
        );
    }

    #[test]
    fn i2_an_ended_session_issues_no_token() {
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
        state.ended();
        assert!(matches!(state.cookie, CookieChange::Remove));
    }
}
