//! The record of events: the [`EventStore`] trait and its values.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::error::StoreError;
use super::ids::{SessionHandle, UserId};

/// Something that happened to a session or a user, as it is kept. It has no token and no data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventRecord {
    /// The event's id, a `UUIDv7` with the event's time. Events sort by it.
    pub id: Uuid,
    /// When it happened, to the millisecond.
    pub at: DateTime<Utc>,
    /// What happened, such as `login`, `logout` or `revoked`. See
    /// [`SessionEventKind::name`](crate::SessionEventKind::name).
    pub event: String,
    /// Why it happened, if there is more to say than `event` does.
    pub reason: Option<String>,
    /// The session's handle. Empty for what happened to a user and not to a session, such as
    /// `user_disabled`.
    pub session: SessionHandle,
    /// The kind of the session, empty for the kind without a name.
    pub kind: String,
    /// The user of the session, or to whom it happened.
    pub user_id: Option<UserId>,
    /// Who caused it, if not the user.
    pub actor: Option<String>,
    /// The name of the actor as it was then, if the application names it. It is for the time after
    /// the actor's account is deleted.
    pub actor_name: Option<String>,
    /// The address from which the request came.
    pub ip: Option<String>,
    /// The user agent of the request.
    pub user_agent: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
}

impl EventRecord {
    /// Makes a record with a new id and nothing but the event and its session.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::EventRecord;
    ///
    /// let at = "2026-01-02T09:00:00.123Z".parse().unwrap();
    /// let mut record = EventRecord::new(at, "login", "tz4a98xxat96iws9zmbrgj3a");
    /// record.user_id = Some("ada".into());
    /// assert_eq!(record.at, at);
    /// ```
    pub fn new(
        at: DateTime<Utc>,
        event: impl Into<String>,
        session: impl Into<SessionHandle>,
    ) -> Self {
        let at = DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at);
        Self {
            id: event_id(at),
            at,
            event: event.into(),
            reason: None,
            session: session.into(),
            kind: String::new(),
            user_id: None,
            actor: None,
            actor_name: None,
            ip: None,
            user_agent: None,
            request_id: None,
        }
    }
}

/// Returns a new id for an event at this time. Ids of one process that were made in the same
/// millisecond sort in the order in which they were made.
///
/// The random part is a keyed hash of the number: a sweep makes very many ids, and asking the system
/// for random bytes for each would take as long as deleting the sessions. The ids are no secret.
fn event_id(at: DateTime<Utc>) -> Uuid {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut rest = [0; 10];
    rest[..2].copy_from_slice(&number.to_be_bytes()[6..]);
    rest[2..].copy_from_slice(&KEY.hash_one(number).to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(millis(at), &rest).into_uuid()
}

/// Returns the smallest id of an event at this time. Those of earlier events are smaller.
#[cfg(any(test, feature = "diesel"))]
pub(super) fn first_id(at: DateTime<Utc>) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(millis(at), &[0; 10]).into_uuid()
}

fn millis(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp_millis()).unwrap_or_default()
}

/// A query for one page of the record of events, newest first.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::ListEvents;
///
/// let mut query = ListEvents::default();
/// query.user_id = Some("ada".into());
/// query.limit = 20;
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListEvents {
    /// Only events of this user.
    pub user_id: Option<UserId>,
    /// Only events of sessions of this kind.
    pub kind: Option<String>,
    /// Only events of this name, see [`EventRecord::event`].
    pub event: Option<String>,
    /// Only events that this actor has caused, see [`EventRecord::actor`].
    pub actor: Option<String>,
    /// Only events before the one with this id.
    pub after: Option<Uuid>,
    /// Maximum number of events.
    pub limit: u32,
}

impl ListEvents {
    /// Returns whether an event is one that is asked for, apart from its place in the order.
    pub(crate) fn keeps(&self, event: &EventRecord) -> bool {
        let is = |wanted: &Option<String>, text: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == text
        };
        (self.user_id.is_none() || self.user_id == event.user_id)
            && is(&self.kind, Some(&event.kind))
            && is(&self.event, Some(&event.event))
            && is(&self.actor, event.actor.as_deref())
    }
}

/// One page of the record of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventPage {
    /// Events, newest first.
    pub events: Vec<EventRecord>,
    /// The cursor of the next page. `None` on the last page.
    pub next: Option<Uuid>,
}

/// A store of events, shared by any number of instances.
///
/// # Errors
/// Every method fails if the database fails or cannot be reached.
#[expect(
    clippy::missing_errors_doc,
    reason = "all methods fail for the same reasons, which the trait describes"
)]
pub trait EventStore: Send + Sync + 'static {
    /// Adds events. Those that are already stored, by id, are left as they are. Events of users who
    /// were deleted may be left out.
    fn add_events(&self, events: &[EventRecord]) -> Result<(), StoreError>;

    /// Returns events, newest first.
    fn events(&self, query: &ListEvents) -> Result<Vec<EventRecord>, StoreError>;

    /// Returns when each of these users last signed in. Users of whom that is not recorded are omitted.
    /// The default implementation reads the `login` events of each, newest first, up to one that is
    /// no `reauthentication`.
    fn last_logins(&self, users: &[UserId]) -> Result<Vec<(UserId, DateTime<Utc>)>, StoreError> {
        let mut logins = Vec::new();
        for user_id in users {
            let mut query = ListEvents {
                user_id: Some(user_id.clone()),
                event: Some("login".to_owned()),
                limit: 100,
                ..ListEvents::default()
            };
            loop {
                let events = self.events(&query)?;
                // A store may not know the filter of the name.
                let is_login = |event: &&EventRecord| {
                    event.event == "login" && event.reason.as_deref() != Some("reauthentication")
                };
                let last = events.iter().find(is_login);
                logins.extend(last.map(|login| (user_id.clone(), login.at)));
                query.after = events.last().map(|event| event.id);
                if last.is_some() || query.after.is_none() {
                    break;
                }
            }
        }
        Ok(logins)
    }

    /// Deletes at most `limit` of the events before `before`, oldest first. Returns their number.
    fn forget_events(&self, before: DateTime<Utc>, limit: u32) -> Result<usize, StoreError>;

    /// Deletes all events of a user. Returns their number.
    fn forget_events_of(&self, user_id: &UserId) -> Result<usize, StoreError>;
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn ids_sort_by_time_and_then_by_the_order_in_which_they_were_made() {
        let now = Utc::now();
        let ids: Vec<Uuid> = (0..50).map(|_| event_id(now)).collect();
        // The number may have passed its end in between, which costs the order once.
        let falls = ids.windows(2).filter(|pair| pair[0] >= pair[1]).count();
        assert!(falls <= 1, "{ids:?}");
        let later = now + TimeDelta::milliseconds(1);
        assert!(ids.iter().all(|id| *id < first_id(later)));
        assert!(ids.iter().all(|id| *id >= first_id(now)));
        let mut random: Vec<&[u8]> = ids.iter().map(|id| &id.as_bytes()[8..]).collect();
        random.sort_unstable();
        random.dedup();
        assert_eq!(random.len(), ids.len());
    }
}
