//! Events in the life of sessions: [`SessionEvent`].

use crate::store::{EndReason, SessionHandle};

/// A committed change of a session. It is passed to the functions registered with
/// [`Sessions::on_event`](crate::Sessions::on_event).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionEvent {
    /// The session's handle.
    pub id: SessionHandle,
    /// The kind of change.
    pub kind: SessionEventKind,
}

/// The kind of a [`SessionEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEventKind {
    /// The session was created.
    Created,
    /// The session got a new token, also by a login that kept an existing session.
    Rotated,
    /// The session ended.
    Ended(EndReason),
}

/// A function that is called with each event.
pub(crate) type Hook = Box<dyn Fn(&SessionEvent) + Send + Sync>;
