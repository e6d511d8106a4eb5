//! Ending sessions from elsewhere, by their users and by administrators, with a line in the audit log.

use rocket::futures::future::join_all;
use rocket_diesel_sessions::{SessionAdmin, SessionError, SessionHandle, UserId, UserSessions};

use crate::monitoring::audit::{Event, Trail};

/// How many sessions are ended at a time, so that few jobs can share a batch and the queue stays free.
const AT_ONCE: usize = 64;

/// Ends one of the user's own sessions, by handle. Returns whether there was one.
///
/// # Errors
/// When the store fails, or the session that asks has ended.
pub(crate) async fn own_session(
    sessions: &UserSessions,
    user_id: &UserId,
    handle: &SessionHandle,
    trail: Trail,
) -> Result<bool, SessionError> {
    let was_there = sessions.revoke(user_id, handle).await?;
    if was_there {
        let entry = trail.event(Event::SessionRevoked).user(user_id);
        entry.by(user_id).session(handle).write();
    }
    Ok(was_there)
}

/// Ends some of the user's own sessions, by handle. Returns how many there were.
///
/// # Errors
/// When the store fails, or the session that asks has ended.
pub(crate) async fn own_sessions(
    sessions: &UserSessions,
    user_id: &UserId,
    handles: &[SessionHandle],
    trail: Trail,
) -> Result<usize, SessionError> {
    let mut ended = 0;
    for some in handles.chunks(AT_ONCE) {
        let all = some.iter().map(|handle| sessions.revoke(user_id, handle));
        for was_there in join_all(all).await {
            ended += usize::from(was_there?);
        }
    }
    if ended > 0 {
        let entry = trail.event(Event::SessionRevoked).user(user_id);
        entry.by(user_id).deleted(ended).write();
    }
    Ok(ended)
}

/// Ends all of the user's own sessions but the one with the handle `keep`. Returns how many there
/// were.
///
/// # Errors
/// When the store fails, or the session that asks has ended.
pub(crate) async fn other_sessions(
    sessions: &UserSessions,
    user_id: &UserId,
    keep: &SessionHandle,
    trail: Trail,
) -> Result<usize, SessionError> {
    let ended = sessions.revoke_others(user_id, keep).await?;
    if ended > 0 {
        let entry = trail.event(Event::SessionRevoked).user(user_id);
        entry.by(user_id).deleted(ended).write();
    }
    Ok(ended)
}

/// Ends any session for the administrator `by`, by handle. Returns whether there was one.
///
/// # Errors
/// When the store fails.
pub(crate) async fn any_session(
    sessions: &SessionAdmin,
    handle: &SessionHandle,
    by: &str,
    trail: Trail,
) -> Result<bool, SessionError> {
    // Afterwards, its user can no longer be looked up. A session that cannot be read can still be
    // ended.
    let found = sessions.find(handle).await.ok().flatten();
    let was_there = sessions.revoke(handle).await?;
    if was_there {
        let owner = found.and_then(|session| session.user_id);
        let entry = trail.event(Event::SessionRevoked).user(owner.as_ref());
        entry.by(by).session(handle).write();
    }
    Ok(was_there)
}
