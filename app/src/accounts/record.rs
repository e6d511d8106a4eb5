//! Changes of users with their record: the event in the record of events, the line in the audit log, and
//! the ends of sessions.

use rocket_diesel_sessions::store::{
    PasswordChange, StoreError, UserChange, UserOutcome, UserStore,
};
use rocket_diesel_sessions::{PreparedEvent, SessionError, UserId, UserSessions};

use super::error::AccountError;
use super::users::Users;
use crate::monitoring::audit::Entry;

/// What is reported of a change of a user.
pub(super) struct Record {
    /// The line of the audit log.
    pub(super) entry: Entry,
    /// The event, which is stored with the change. Only a request without a session has none.
    pub(super) event: Option<PreparedEvent>,
    /// The sessions, in the context of those that end with the change.
    pub(super) sessions: UserSessions,
}

impl Record {
    fn report(self, user_id: &UserId, outcome: &UserOutcome) {
        let ended = match outcome {
            UserOutcome::Done(ended) => {
                self.entry.write();
                if let Some(event) = self.event {
                    event.report();
                }
                ended
            }
            UserOutcome::Unchanged(ended) => ended,
            _ => return,
        };
        self.sessions.note_ended_of(user_id, ended);
    }
}

impl Users {
    /// Changes a user. Returns whether that made a difference.
    ///
    /// # Errors
    /// When there is no such user, the user is the last administrator, or the session that asks has
    /// ended.
    pub(super) async fn change(
        &self,
        mut change: UserChange,
        record: Record,
    ) -> Result<bool, AccountError> {
        change.event = record.event.as_ref().and_then(PreparedEvent::to_record);
        let user_id = change.user_id.clone();
        self.change_with(user_id, record, move |store| store.change_user(&change))
            .await
    }

    /// Changes the password of a user.
    ///
    /// # Errors
    /// When the old password was changed in the meantime, or the session that asks has ended.
    pub(super) async fn change_password(
        &self,
        mut change: PasswordChange,
        record: Record,
    ) -> Result<(), AccountError> {
        change.event = record.event.as_ref().and_then(PreparedEvent::to_record);
        let user_id = change.user_id.clone();
        let changed =
            self.change_with(user_id, record, move |store| store.change_password(&change));
        match changed.await {
            Ok(_) => Ok(()),
            Err(AccountError::NoUser) => Err(AccountError::PasswordReplaced),
            Err(error) => Err(error),
        }
    }

    /// Reports the outcome as soon as it is known, in the call to the store, because the request may
    /// have stopped waiting for it.
    async fn change_with(
        &self,
        user_id: UserId,
        record: Record,
        change: impl FnOnce(&dyn UserStore) -> Result<UserOutcome, StoreError> + Send + 'static,
    ) -> Result<bool, AccountError> {
        let call = move |store: &dyn UserStore| {
            let outcome = change(store)?;
            record.report(&user_id, &outcome);
            Ok(outcome)
        };
        match self.run(call).await? {
            UserOutcome::Done(_) => Ok(true),
            UserOutcome::Unchanged(_) => Ok(false),
            UserOutcome::NoUser => Err(AccountError::NoUser),
            UserOutcome::SessionEnded => Err(SessionError::Ended.into()),
            UserOutcome::LastAdmin => Err(AccountError::LastAdministrator),
            // All others mean that nothing was changed.
            _ => Err(SessionError::Aborted.into()),
        }
    }
}
