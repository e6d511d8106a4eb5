//! New tokens that are not made by a worker: logins, and rotations in the application's own
//! transactions.

use std::sync::Arc;
use std::time::Instant;

use super::{Pipeline, Untold};
use crate::session::error::SessionError;
use crate::store::{LoginOutcome, LoginSession, RotateSession, SessionRecord, Withdrawal};

impl Pipeline {
    /// Signs a user in by the deadline. The token is taken back unless the visitor is told of it.
    /// `done` learns of the outcome even if the caller has stopped waiting.
    pub(crate) async fn login(
        &self,
        login: LoginSession,
        deadline: Instant,
        done: impl FnOnce(&LoginOutcome) + Send + 'static,
    ) -> Result<(LoginOutcome, Option<Untold>), SessionError> {
        let queue = Arc::clone(&self.shared.queue);
        self.run_by(deadline, move |store| {
            // The row's own token, which another login of the visitor may have changed.
            let previous = match &login.session {
                Some(session) => store.find(&session.id)?.map(Box::new),
                None => None,
            };
            let bound = Untold::attempt(&queue, withdrawal(&login, previous));
            let made = Untold::attempt(&queue, withdrawal(&login, None));
            let outcome = match store.login(&login) {
                Ok(outcome) => outcome,
                Err(error) => {
                    bound.failed(&error);
                    made.failed(&error);
                    return Err(error);
                }
            };
            done(&outcome);
            let (own, other) = match outcome {
                LoginOutcome::Bound(_) => (Some(bound), made),
                LoginOutcome::Created(_) => (Some(made), bound),
                _ => {
                    made.told();
                    (None, bound)
                }
            };
            other.told();
            Ok((outcome, own.map(Untold::committed)))
        })
        .await
    }

    /// Has a new token of `previous` taken back that the application makes in a transaction of its
    /// own, unless the visitor is told of it.
    pub(crate) fn attempt(&self, previous: SessionRecord, rotation: &RotateSession) -> Untold {
        let withdrawal = Withdrawal {
            id: previous.id.clone(),
            session_id: rotation.new_session_id,
            previous: Some(Box::new(previous)),
            keeps_deadlines: true,
        };
        Untold::attempt(&self.shared.queue, withdrawal)
    }
}

/// Takes back what a login makes of the session `previous`, or of none.
fn withdrawal(login: &LoginSession, previous: Option<Box<SessionRecord>>) -> Withdrawal {
    let id = previous
        .as_ref()
        .map_or(&login.fresh.id, |record| &record.id);
    Withdrawal {
        id: id.clone(),
        session_id: login.fresh.session_id,
        previous,
        keeps_deadlines: false,
    }
}
