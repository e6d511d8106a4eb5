//! New tokens that are not issued by a worker: logins, and rotations in the application's own
//! transactions.

use std::sync::Arc;
use std::time::Instant;

use crate::session::error::SessionError;
use crate::session::observe::context::EventContext;
use crate::session::observe::events::Facts;
use crate::session::observe::monitor::Monitor;
use crate::session::pipeline::start::Pipeline;
use crate::session::pipeline::untold::Untold;
use crate::store::{
    EndReason, LoginOutcome, LoginSession, RotateSession, SessionRecord, SessionStore, Withdrawal,
};

impl Pipeline {
    /// Signs a user in and sets the login's deadline. The token is withdrawn unless a response
    /// delivers it.
    pub(crate) async fn login(
        &self,
        mut login: LoginSession,
        context: EventContext,
    ) -> Result<(LoginOutcome, Option<Untold>), SessionError> {
        if !login.user_id.is_possible() {
            return Ok((LoginOutcome::UserRefused, None));
        }
        let deadline = self.deadline();
        login.deadline = Some(self.commit_deadline(deadline));
        let shared = Arc::clone(&self.shared);
        let sign_in = move |store: &dyn SessionStore| {
            // Used until the login itself reports the session as it was before.
            let seen = match &login.session {
                Some(session) => store.find(&session.id)?,
                None => None,
            };
            let made = Some(shared.attempt(withdrawal(&login, None)));
            let bound = seen.map(|seen| withdrawal(&login, Some(Box::new(seen))));
            let bound = bound.map(|withdrawal| shared.attempt(withdrawal));
            let (outcome, before) = match store.login_from(&login) {
                Ok(result) => result,
                Err(error) => {
                    for attempt in [made, bound].into_iter().flatten() {
                        attempt.failed(&error);
                    }
                    return Err(error);
                }
            };
            report(&shared.monitor, &login, &outcome, &context);
            let bound = bound.map(|bound| bound.of(before.map(Box::new)));
            let bound = settle(bound, matches!(outcome, LoginOutcome::Bound(_)));
            let made = settle(made, matches!(outcome, LoginOutcome::Created(_)));
            Ok((outcome, bound.or(made)))
        };
        self.run_in(&self.direct, deadline, sign_in).await
    }

    /// Gives a session a new token in the application's own transaction. `commit` receives the
    /// rotation and the latest time at which it may commit. The token is withdrawn unless a
    /// response delivers it.
    pub(crate) async fn rotate_with<F, E>(
        &self,
        previous: SessionRecord,
        rotation: RotateSession,
        context: &EventContext,
        commit: impl FnOnce(RotateSession, Instant) -> F,
    ) -> Result<Untold, E>
    where
        F: Future<Output = Result<(), E>>,
    {
        let deadline = self.commit_deadline(self.deadline());
        let rotated = previous.clone();
        // Dropped, and thereby undone, if `commit` fails, because it may have committed
        // nevertheless.
        let attempt = self.shared.attempt(Withdrawal {
            id: previous.id.clone(),
            session_id: rotation.new_session_id,
            previous: Some(Box::new(previous)),
            is_rotation: true,
        });
        commit(rotation, deadline).await?;
        let untold = attempt.committed();
        self.shared.monitor.rotated(&rotated, context);
        Ok(untold)
    }
}

/// Reports a login to the monitor.
pub(super) fn report(
    monitor: &Monitor,
    login: &LoginSession,
    outcome: &LoginOutcome,
    context: &EventContext,
) {
    let session = login.session.as_ref().map(|session| &session.id);
    let ended = match outcome {
        LoginOutcome::Bound(ended) => {
            monitor.signed_in(login, session, context);
            ended
        }
        LoginOutcome::Created(ended) => {
            monitor.signed_in(login, None, context);
            ended
        }
        _ => return,
    };
    for id in ended {
        let is_visitors = session == Some(id);
        let context = context.clone();
        let facts = Facts {
            // The session of another user.
            user: (!is_visitors).then(|| login.user_id.clone()),
            session_kind: login.fresh.kind.clone(),
            context: if is_visitors {
                context
            } else {
                context.reason("limit")
            },
        };
        monitor.ended(std::slice::from_ref(id), EndReason::Replaced, &facts);
    }
}

/// Returns the attempt as committed if `is_made`. Otherwise there is nothing to undo.
fn settle(attempt: Option<Untold>, is_made: bool) -> Option<Untold> {
    let attempt = attempt?;
    if is_made {
        return Some(attempt.committed());
    }
    attempt.not_made();
    None
}

/// Returns the withdrawal of a login into the session `previous`, or into a new one.
pub(super) fn withdrawal(login: &LoginSession, previous: Option<Box<SessionRecord>>) -> Withdrawal {
    let id = previous
        .as_ref()
        .map_or(&login.fresh.id, |record| &record.id);
    Withdrawal {
        id: id.clone(),
        session_id: login.fresh.session_id,
        previous,
        is_rotation: false,
    }
}
