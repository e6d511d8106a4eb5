//! Signing in and out, with a line in the audit log.

use rocket_diesel_sessions::store::UserRecord;
use rocket_diesel_sessions::{Login, Session, SessionError};

use super::error::AccountError;
use crate::monitoring::audit::{Event, Trail};
use crate::session_data::SessionData;

/// Signs in a user whose password was just verified or chosen.
///
/// # Errors
/// When the user was disabled or changed in the meantime, or has as many sessions as allowed.
pub(crate) async fn sign_in(
    session: &Session<SessionData>,
    user: &UserRecord,
    trail: Trail,
) -> Result<(), AccountError> {
    let login = Login::new(&user.id).verified_against(&user.password_hash);
    session.login(login).await?;
    let entry = trail.event(Event::Login).user(&user.id).by(&user.id);
    entry.session(session.handle().as_ref()).write();
    Ok(())
}

/// Ends the session of the request. The audit log records it if a user was signed in.
///
/// # Errors
/// When the store fails.
pub(crate) async fn sign_out(
    session: &Session<SessionData>,
    trail: Trail,
) -> Result<(), SessionError> {
    let (user_id, handle) = (session.user_id(), session.handle());
    session.logout().await?;
    if let Some(user_id) = user_id {
        let entry = trail.event(Event::Logout).user(&user_id);
        entry.by(&user_id).session(handle.as_ref()).write();
    }
    Ok(())
}
