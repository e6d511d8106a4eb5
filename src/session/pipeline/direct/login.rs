//! New tokens that are not issued by a worker: logins, and rotations in the application's own
//! transactions.

use std::sync::Arc;
use std::time::Instant;

use crate::session::error::SessionError;
use crate::session::pipeline::start::Pipeline;
use crate::session::pipeline::untold::Untold;
use crate::store::{LoginOutcome, LoginSession, RotateSession, SessionRecord, Withdrawal};

impl Pipeline {
    /// Signs a user in by the deadline. The token is withdrawn unless a response delivers it.
    /// `done` receives the outcome even if the caller has stopped waiting.
    pub(crate) async fn login(
        &self,
        login: LoginSession,
        deadline: Instant,
        done: impl FnOnce(&LoginOutcome) + Send + 'static,
    ) -> Result<(LoginOutcome, Option<Untold>), SessionError> {
        let shared = Arc::clone(&self.shared);
        self.run_by(deadline, move |store| {
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
            done(&outcome);
            let bound = bound.map(|bound| bound.of(before.map(Box::new)));
            let bound = settle(bound, matches!(outcome, LoginOutcome::Bound(_)));
            let made = settle(made, matches!(outcome, LoginOutcome::Created(_)));
            Ok((outcome, bound.or(made)))
        })
        .await
    }

    /// Registers a new token of `previous` that the application issues in its own transaction. The
    /// token is withdrawn unless a response delivers it.
    pub(crate) fn attempt(&self, previous: SessionRecord, rotation: &RotateSession) -> Untold {
        let withdrawal = Withdrawal {
            id: previous.id.clone(),
            session_id: rotation.new_session_id,
            previous: Some(Box::new(previous)),
            is_rotation: true,
        };
        self.shared.attempt(withdrawal)
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
fn withdrawal(login: &LoginSession, previous: Option<Box<SessionRecord>>) -> Withdrawal {
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
