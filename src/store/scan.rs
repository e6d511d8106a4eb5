//! Looking through the sessions in bounded steps, for operators.

mod fallback;

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::ids::UserId;
use super::record::SessionRecord;

pub(super) use fallback::by_listing;

/// The sessions to look through. Each scope is found by an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionScope {
    /// All sessions.
    #[default]
    All,
    /// Those of this user.
    User(UserId),
    /// Those last used from this address, newest token first.
    Address(IpAddr),
    /// Those whose handles begin with this text, in the order of their handles. A scan of them
    /// cannot be continued, so the text should be several characters long.
    HandlePrefix(String),
}

/// The order in which sessions are looked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionOrder {
    /// The newest token first.
    #[default]
    NewestFirst,
    /// The session that would expire first without further activity first.
    ExpiringFirst,
}

/// The place of a session in an order. It stays valid when the session is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionPlace {
    /// The lookup half of the session's token.
    pub session_id: Uuid,
    /// The session's stored deadline. Counts only in [`SessionOrder::ExpiringFirst`].
    pub expires_at: DateTime<Utc>,
}

impl SessionPlace {
    /// Creates a place.
    ///
    /// # Example
    ///
    /// ```
    /// use chrono::Utc;
    /// use rocket_diesel_sessions::store::SessionPlace;
    ///
    /// let place = SessionPlace::new(uuid::Uuid::now_v7(), Utc::now());
    /// assert_eq!(place, place.clone());
    /// ```
    pub const fn new(session_id: Uuid, expires_at: DateTime<Utc>) -> Self {
        Self {
            session_id,
            expires_at,
        }
    }

    /// Returns the place of a session as it is stored.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{SessionPlace, SessionRecord};
    ///
    /// fn after(last: &SessionRecord) -> SessionPlace {
    ///     SessionPlace::of(last)
    /// }
    /// ```
    pub const fn of(session: &SessionRecord) -> Self {
        Self::new(session.session_id, session.expires_at)
    }
}

/// One step of looking through the sessions.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::DieselStore;
/// use rocket_diesel_sessions::store::{ScanSessions, SessionScope, SessionStore, StoreError};
///
/// fn count(store: &DieselStore, ip: std::net::IpAddr) -> Result<usize, StoreError> {
///     let mut scan = ScanSessions::new(chrono::Utc::now(), 1000);
///     scan.scope = SessionScope::Address(ip);
///     let mut number = 0;
///     loop {
///         let step = store.scan(&scan)?;
///         number += step.sessions.len();
///         match step.next {
///             Some(next) => scan.after = Some(next),
///             None => return Ok(number),
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScanSessions {
    /// Sessions that have expired by this time are left out.
    pub now: DateTime<Utc>,
    /// The sessions to look through. Default all.
    pub scope: SessionScope,
    /// Their order. Default newest first.
    pub order: SessionOrder,
    /// The place to begin after. Default `None`, the beginning.
    pub after: Option<SessionPlace>,
    /// Whether to go towards the beginning. Default `false`.
    pub is_backwards: bool,
    /// Maximum number of rows to read, with those that have expired.
    pub limit: u32,
}

impl ScanSessions {
    /// Creates the first step through all sessions, newest first, which reads at most `limit` rows.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{ScanSessions, SessionOrder};
    ///
    /// let mut scan = ScanSessions::new(chrono::Utc::now(), 5000);
    /// scan.order = SessionOrder::ExpiringFirst;
    /// ```
    pub const fn new(now: DateTime<Utc>, limit: u32) -> Self {
        Self {
            now,
            scope: SessionScope::All,
            order: SessionOrder::NewestFirst,
            after: None,
            is_backwards: false,
            limit,
        }
    }
}

/// A session that a scan has met.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ScannedSession {
    /// Its place, from which a scan can go on.
    pub place: SessionPlace,
    /// The session. A store may leave its `data` empty, because a scan reads many.
    pub session: SessionRecord,
}

impl ScannedSession {
    /// Creates it from a session as it is stored.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{ScannedSession, SessionRecord};
    ///
    /// fn scanned(sessions: Vec<SessionRecord>) -> Vec<ScannedSession> {
    ///     sessions.into_iter().map(ScannedSession::new).collect()
    /// }
    /// ```
    pub const fn new(session: SessionRecord) -> Self {
        Self {
            place: SessionPlace::of(&session),
            session,
        }
    }
}

/// The result of one step.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SessionScan {
    /// The live sessions among the rows read, in the order of the scan.
    pub sessions: Vec<ScannedSession>,
    /// The place of the last row read, if there are more.
    pub next: Option<SessionPlace>,
}

impl SessionScan {
    /// Creates the result of a step.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::SessionScan;
    ///
    /// assert!(SessionScan::new(Vec::new(), None).sessions.is_empty());
    /// ```
    pub const fn new(sessions: Vec<ScannedSession>, next: Option<SessionPlace>) -> Self {
        Self { sessions, next }
    }

    /// Makes the result from the rows read, of which there was one more than the limit if there are
    /// more rows.
    pub(super) fn of_rows(mut rows: Vec<SessionRecord>, scan: &ScanSessions) -> Self {
        let limit = scan.limit as usize;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let can_go_on = has_more && !matches!(scan.scope, SessionScope::HandlePrefix(_));
        let next = rows.last().filter(|_| can_go_on).map(SessionPlace::of);
        let live = rows.into_iter().filter(|row| row.expires_at > scan.now);
        Self::new(live.map(ScannedSession::new).collect(), next)
    }
}

/// Returns the forms in which an address may be stored. An IPv4 address may also be stored as an
/// IPv4-mapped IPv6 address.
pub(super) fn forms(ip: IpAddr) -> Vec<String> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => vec![ip.to_string(), ip.to_ipv6_mapped().to_string()],
        IpAddr::V6(ip) => vec![ip.to_string()],
    }
}
