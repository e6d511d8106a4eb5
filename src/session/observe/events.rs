//! What happens to sessions, for those who want to know: [`SessionEvent`].

use crate::store::EndReason;

/// Something that was committed. Handed to the functions that
/// [`Sessions::on_event`](crate::Sessions::on_event) was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionEvent {
    /// The session's public handle.
    pub id: String,
    /// What happened to it.
    pub kind: SessionEventKind,
}

/// What happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEventKind {
    /// It was made.
    Created,
    /// It got a new token; a login of a session that was there already is one too.
    Rotated,
    /// It ended.
    Ended(EndReason),
}

/// A function that is told of events.
pub(crate) type Hook = Box<dyn Fn(&SessionEvent) + Send + Sync>;
