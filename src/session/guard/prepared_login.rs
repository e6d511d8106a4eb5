//! What a login makes of the visitor's session, before and after it is committed.

use std::sync::Arc;

use super::Inner;
use crate::session::codec::TypedData;
use crate::session::cookie::token::Token;
use crate::session::error::SessionError;
use crate::session::observe::context::EventContext;
use crate::session::pipeline::Untold;
use crate::session::sign_in::Login;
use crate::store::{
    BindSession, LoginOutcome, LoginSession, NewSession, SessionHandle, SessionRecord,
};

/// A login that the store has yet to commit.
pub(super) struct PreparedLogin<D> {
    pub(super) request: LoginSession,
    /// The context of the login as an event.
    pub(super) context: EventContext,
    token: Token,
    /// The visitor's session, if it is to be kept.
    record: Option<Arc<SessionRecord>>,
    /// The data of a new session.
    data: D,
    /// Handles of sessions that must not outlive the new token. They end just before the visitor
    /// receives it, because until then the visitor has only their cookie.
    replaced: Vec<SessionHandle>,
}

/// Returns whether the session must end because another user signs in, or because the login awaits
/// a further factor.
fn is_of_another(record: &SessionRecord, login: &Login) -> bool {
    let user_id = record.user_id.as_ref();
    user_id.is_some_and(|user_id| *user_id != login.user_id || login.is_pending())
}

impl<D> Inner<D> {
    /// Returns what the store is asked for: to bind `session`, or to insert `fresh`.
    fn login_session(
        &self,
        login: Login,
        session: Option<&SessionRecord>,
        mut fresh: NewSession,
    ) -> LoginSession {
        let (shared, now) = (self.shared(), fresh.now);
        fresh.lifetime = login.lifetime(session);
        match login.sign_in(session, now) {
            Ok(sign_in) => {
                fresh.user_id = Some(login.user_id.clone());
                fresh.sign_in = Some(sign_in);
            }
            Err(pending) => fresh.pending = Some(pending),
        }
        fresh.absolute_expires_at = shared.expiry.absolute_deadline(now, &fresh.lifetime);
        fresh.expires_at = shared.expiry.deadline(
            now,
            fresh.absolute_expires_at,
            fresh.user_id.is_some(),
            &fresh.lifetime,
        );
        let bind = session.map(|session| BindSession {
            id: session.id.clone(),
            session_id: session.session_id,
            expires_at: fresh.expires_at,
            absolute_expires_at: fresh.absolute_expires_at,
            is_exact: login.has_timeouts(),
        });
        LoginSession {
            user_id: login.user_id,
            password_hash: login.password_hash,
            session: bind,
            fresh,
            limit: shared.session_limit,
            deadline: None,
        }
    }
}

impl<D: TypedData> Inner<D> {
    /// Makes a token for a login and decides what becomes of the visitor's session.
    ///
    /// # Errors
    /// Fails if this request has ended its session, or if its response has been sent.
    pub(super) fn prepare_login(&self, login: Login) -> Result<PreparedLogin<D>, SessionError> {
        let (record, mut replaced) = match self.record()? {
            Some(record) if is_of_another(&record, &login) || self.undecodable().is_some() => {
                (None, vec![record.id.clone()])
            }
            record => (record, Vec::new()),
        };
        {
            let state = self.state();
            state.check_open()?;
            replaced.extend(state.hidden.clone());
        }
        let shared = self.shared();
        // Read again, so that a session that has expired since the request arrived is not signed
        // in.
        let now = shared.clock.now();
        let token = Token::generate(now)?;
        let data = D::default();
        let json = self.codec.encode(&data, shared.max_data_size)?;
        let fresh = self.new_session(&token, None, json, now);
        let mut context = self.context.of_event();
        let former = record.as_ref().and_then(|record| record.user_id.as_ref());
        if former == Some(&login.user_id) {
            context = context.reason("reauthentication");
        }
        context.is_unknown_device = !self.context.is_bearer
            && shared.devices.as_ref().is_some_and(|devices| {
                !devices.knows(self.context.device.as_deref(), &login.user_id)
            });
        let request = self.login_session(login, record.as_deref(), fresh);
        context.actor = request
            .fresh
            .sign_in
            .as_ref()
            .and_then(|sign_in| sign_in.actor.clone());
        Ok(PreparedLogin {
            request,
            context,
            token,
            record,
            data,
            replaced,
        })
    }

    /// Records a committed login.
    ///
    /// # Errors
    /// Fails if the login was refused, or if no response can deliver the token any more.
    pub(super) fn signed_in(
        &self,
        login: PreparedLogin<D>,
        outcome: &LoginOutcome,
        untold: Option<Untold>,
    ) -> Result<(), SessionError> {
        let mut state = self.state();
        match (outcome, login.record, untold) {
            (LoginOutcome::Bound(_), Some(record), Some(untold)) => {
                state.bound(
                    login.request.bound(Arc::unwrap_or_clone(record)),
                    login.token,
                    untold,
                )?;
            }
            (LoginOutcome::UserRefused, ..) => {
                return Err(SessionError::user_refused(&login.request.user_id));
            }
            (LoginOutcome::LimitReached, ..) => return Err(SessionError::TooManySessions),
            (.., Some(untold)) => {
                let record = login.request.fresh.into_record();
                state.created(record, Arc::new(login.data), login.token, untold)?;
            }
            // Unreachable: a committed login has a token to deliver.
            (.., None) => return Err(SessionError::Aborted),
        }
        state.replaced.extend(login.replaced);
        Ok(())
    }
}
