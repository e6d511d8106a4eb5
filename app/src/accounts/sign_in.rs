//! Signing in and out, with a line in the audit log.

use std::time::Duration;

use rocket_diesel_sessions::store::UserRecord;
use rocket_diesel_sessions::{Login, Session, SessionError};

use super::error::AccountError;
use super::settings::adopt;
use super::users::Users;
use crate::monitoring::audit::{Event, Trail};
use crate::session_data::SessionData;

/// How long a session lasts after signing in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lasting {
    /// As the settings say, or as long as the session that the user confirms.
    AsConfigured,
    /// Until the browser is closed, and no longer than the settings say.
    WhileOpen,
    /// This long, however little it is used.
    Kept(Duration),
}

/// Signs in a user whose password was just verified or chosen. The account adopts the settings of the
/// session that it does not have.
///
/// # Errors
/// When the user was disabled or changed in the meantime, or has as many sessions as allowed.
pub(crate) async fn sign_in(
    users: &Users,
    session: &Session<SessionData>,
    user: &UserRecord,
    lasting: Lasting,
    trail: Trail,
) -> Result<(), AccountError> {
    begin(session, user, lasting, trail).await?;
    adopt(users, session, &user.id).await;
    Ok(())
}

/// Gives the session of a user whose password was just verified a new token.
///
/// # Errors
/// When the user was disabled or changed in the meantime.
pub(crate) async fn renew(
    session: &Session<SessionData>,
    user: &UserRecord,
    trail: Trail,
) -> Result<(), AccountError> {
    begin(session, user, Lasting::AsConfigured, trail).await
}

async fn begin(
    session: &Session<SessionData>,
    user: &UserRecord,
    lasting: Lasting,
    trail: Trail,
) -> Result<(), AccountError> {
    let login = Login::new(&user.id).verified_against(&user.password_hash);
    let login = match lasting {
        Lasting::AsConfigured => login,
        Lasting::WhileOpen => login.browser_session(),
        Lasting::Kept(time) => login.idle_timeout(time).absolute_timeout(time),
    };
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
