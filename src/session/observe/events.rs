//! Events in the life of sessions: [`SessionEvent`].

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::context::EventContext;
use crate::store::{EndReason, EventRecord, SessionHandle, UserId};

/// Something that happened to a session and is committed. It is passed to the functions registered
/// with [`Sessions::on_event`](crate::Sessions::on_event). It has no token and no data.
///
/// It is serialized as an [`EventRecord`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionEvent {
    /// The event's own id, a `UUIDv7`, under which it is also recorded.
    pub event_id: Uuid,
    /// When it happened, to the millisecond.
    pub at: DateTime<Utc>,
    /// The session's handle. Empty for an event of a user, see
    /// [`SessionAdmin::note_user_event`](crate::SessionAdmin::note_user_event).
    pub id: SessionHandle,
    /// What happened.
    pub kind: SessionEventKind,
    /// The kind of the session, empty for the kind without a name.
    pub session_kind: String,
    /// The user of the session. `None` for anonymous sessions, and where it is not known: for
    /// sessions that a sweep has deleted or an administrator has cleared.
    pub user: Option<UserId>,
    /// Who caused it, if not the user: the [`actor`](crate::store::SignIn::actor) of the sign-in, or
    /// that of the [`EventContext`].
    pub actor: Option<String>,
    /// The name of the actor: the [`actor_name`](EventContext::actor_name) of the context.
    pub actor_name: Option<String>,
    /// The address from which the request came. `None` without a request.
    pub ip: Option<String>,
    /// The user agent of the request, at most 512 characters long. `None` without a request.
    pub user_agent: Option<String>,
    /// Why it happened, if there is more to say than `kind` does: `limit` for a session that ended
    /// because its user had too many, `reauthentication` for a login of a user who was signed in,
    /// `undelivered` for a session whose cookie reached no one, or a text of the application.
    pub reason: Option<String>,
    /// The id of the request, if the application names it with
    /// [`Sessions::request_id`](crate::Sessions::request_id).
    pub request_id: Option<String>,
}

/// The kind of a [`SessionEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionEventKind {
    /// The session was created.
    Created,
    /// The session got a new token, also by a login that kept an existing session.
    Rotated,
    /// A user signed in, or signed in again.
    Login,
    /// A user gave a first factor and has yet to give another. No one is signed in by it.
    LoginPending,
    /// The session ended.
    Ended(EndReason),
    /// A user signed in with a browser that this user has never used, although the user has signed in
    /// before. Reported a second after the login, and only with the setting `known_devices`.
    NewDevice,
    /// An event of the application, with its name. See
    /// [`Session::note_event`](crate::Session::note_event) and
    /// [`SessionAdmin::note_user_event`](crate::SessionAdmin::note_user_event).
    Noted(&'static str),
}

impl SessionEventKind {
    /// Returns the name in the record of events and in JSON. Ended sessions have the name of their
    /// reason.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{EndReason, SessionEventKind};
    ///
    /// assert_eq!(SessionEventKind::Login.name(), "login");
    /// assert_eq!(SessionEventKind::Ended(EndReason::Logout).name(), "logout");
    /// assert_eq!(SessionEventKind::Noted("password_changed").name(), "password_changed");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Rotated => "rotated",
            Self::Login => "login",
            Self::LoginPending => "login_pending",
            Self::NewDevice => "new_device",
            Self::Ended(reason) => reason.name(),
            Self::Noted(name) => name,
        }
    }
}

impl SessionEvent {
    pub(super) fn new(
        at: DateTime<Utc>,
        id: &SessionHandle,
        kind: SessionEventKind,
        facts: &Facts,
    ) -> Self {
        let record = EventRecord::new(at, "", id.clone());
        let context = &facts.context;
        Self {
            event_id: record.id,
            at: record.at,
            id: record.session,
            kind,
            session_kind: facts.session_kind.clone(),
            user: facts.user.clone(),
            actor: context.actor.clone(),
            actor_name: context.actor_name.clone(),
            ip: context.ip.clone(),
            user_agent: context.user_agent.clone(),
            reason: context.reason.clone(),
            request_id: context.request_id.clone(),
        }
    }

    /// Returns whether the event belongs in the record, and is sent to a webhook: what has happened
    /// to users and to their sessions, without the mechanics of tokens.
    pub(super) fn is_of_record(&self) -> bool {
        let is_mechanics = matches!(
            self.kind,
            SessionEventKind::Created | SessionEventKind::Rotated
        );
        let is_of_user = self.id.as_str().is_empty();
        !is_mechanics && (is_of_user || self.user.is_some())
    }

    /// Returns the event as it is recorded and serialized.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// let sessions = Sessions::<u64>::fairing().on_event(|event| {
    ///     let record = event.to_record();
    ///     println!("{} of {:?} at {}", record.event, record.user_id, record.at);
    /// });
    /// ```
    pub fn to_record(&self) -> EventRecord {
        EventRecord {
            id: self.event_id,
            at: self.at,
            event: self.kind.name().to_owned(),
            reason: self.reason.clone(),
            session: self.id.clone(),
            kind: self.session_kind.clone(),
            user_id: self.user.clone(),
            actor: self.actor.clone(),
            actor_name: self.actor_name.clone(),
            ip: self.ip.clone(),
            user_agent: self.user_agent.clone(),
            request_id: self.request_id.clone(),
        }
    }
}

impl Serialize for SessionEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_record().serialize(serializer)
    }
}

/// What is known of an event besides what happened: the session's user and kind, and the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) user: Option<UserId>,
    pub(crate) session_kind: String,
    pub(crate) context: EventContext,
}

impl Facts {
    /// Returns the facts of an event that no request caused.
    pub(crate) fn because(reason: &str) -> Self {
        Self {
            context: EventContext::default().reason(reason),
            ..Self::default()
        }
    }
}

/// A function that is called with each event.
pub(crate) type Hook = Box<dyn Fn(&SessionEvent) + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happens_to_sessions_of_users_is_recorded() {
        for (kind, user, is_recorded) in [
            (SessionEventKind::Created, Some("ada"), false),
            (SessionEventKind::Rotated, Some("ada"), false),
            (SessionEventKind::Login, Some("ada"), true),
            (SessionEventKind::Ended(EndReason::Expired), None, false),
            (
                SessionEventKind::Noted("password_changed"),
                Some("ada"),
                true,
            ),
        ] {
            let facts = Facts {
                user: user.map(UserId::from),
                ..Facts::default()
            };
            let event = SessionEvent::new(Utc::now(), &"handle".into(), kind, &facts);
            assert_eq!(event.is_of_record(), is_recorded, "{kind:?} {user:?}");
        }
    }
}
