//! The search for sessions.

use std::collections::{HashMap, HashSet};

use rocket::http::RawStr;
use rocket_diesel_sessions::admin::SessionPage;
use rocket_diesel_sessions::store::SessionRecord;
use rocket_diesel_sessions::{SessionAdmin, SessionError, UserId};
use uuid::Uuid;

use crate::accounts::users::Users;
use crate::api::query;
use crate::http::error::ApiError;
use crate::pages::admin::shell::Tab;
use crate::words;

/// Returns the address of the list with a query.
pub(in crate::pages::admin) fn address(query: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| {
        let value = RawStr::new(value).percent_encode();
        format!("{name}={value}")
    };
    let pairs: Vec<String> = query.iter().map(pair).collect();
    let path = Tab::Sessions.path();
    if pairs.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{}", pairs.join("&"))
}

/// A search for sessions, and the page of its results.
#[derive(Clone, Copy, Default)]
pub(super) struct Search<'a> {
    /// A handle, a lookup id, a user's id or name, or a part of what the list shows.
    pub(super) q: Option<&'a str>,
    pub(super) after: Option<Uuid>,
}

impl<'a> Search<'a> {
    pub(super) fn new(q: Option<&'a str>, after: Option<&str>) -> Result<Self, ApiError> {
        let after = query::after(after)?;
        let q = q.map(str::trim).filter(|q| !q.is_empty());
        Ok(Self { q, after })
    }
}

/// Returns the query of an address that searches for this and continues after the cursor.
pub(in crate::pages::admin) fn query_of<'q>(
    q: Option<&'q str>,
    after: Option<&'q str>,
) -> Vec<(&'static str, &'q str)> {
    let pairs = [("q", q), ("after", after)];
    let given = |(name, value): (&'static str, Option<&'q str>)| Some((name, value?));
    let pairs = pairs.into_iter().filter_map(given);
    pairs.filter(|(_, value)| !value.is_empty()).collect()
}

/// The number of sessions per page.
const PAGE: u32 = 50;

/// How many of the newest sessions are searched for a part of what the list shows. No index helps with
/// that, and no page may read more as the table grows.
const LOOKED_THROUGH: u32 = 1000;

/// A page of results.
pub(super) struct Found {
    pub(super) page: SessionPage,
    /// Whether only the newest sessions were searched.
    pub(super) is_part: bool,
}

impl Found {
    fn all(page: SessionPage) -> Self {
        let is_part = false;
        Self { page, is_part }
    }

    fn these(sessions: Vec<SessionRecord>) -> Self {
        Self::all(SessionPage::new(sessions, None))
    }
}

/// Finds the sessions of a search. The text is tried as a handle, a lookup id, a user's id and a username,
/// in this order, because anyone can choose a username. If it is none of them, sessions are found by
/// what the list shows of them.
pub(super) async fn find(
    users: &Users,
    sessions: &SessionAdmin,
    search: Search<'_>,
) -> Result<Found, SessionError> {
    let user = match search.q {
        None => None,
        Some(q) if q.contains('\0') => return Ok(Found::these(Vec::new())),
        Some(q) => {
            let session = match sessions.find(q).await? {
                Some(session) => Some(session),
                None => by_lookup_id(sessions, q).await?,
            };
            if let Some(session) = session {
                return Ok(Found::these(vec![session]));
            }
            let user = match users.find(&q.into()).await? {
                Some(user) => Some(user),
                None => users.named(q).await?,
            };
            let Some(user) = user else {
                return look_through(users, sessions, q).await;
            };
            Some(user.id)
        }
    };
    let page = sessions.list(PAGE, search.after, user).await?;
    Ok(Found::all(page))
}

/// Finds the live session with this lookup half of a token, which is the first session of the list from
/// that id on.
async fn by_lookup_id(
    sessions: &SessionAdmin,
    q: &str,
) -> Result<Option<SessionRecord>, SessionError> {
    let Ok(id) = Uuid::try_parse(q) else {
        return Ok(None);
    };
    let above = Uuid::from_u128(id.as_u128().saturating_add(1));
    let page = sessions.list(1, Some(above), None).await?;
    let first = page.sessions.into_iter().next();
    Ok(first.filter(|session| session.session_id == id))
}

async fn look_through(
    users: &Users,
    sessions: &SessionAdmin,
    q: &str,
) -> Result<Found, SessionError> {
    let newest = sessions.list(LOOKED_THROUGH, None, None).await?;
    let user_ids = newest.sessions.iter();
    let user_ids: HashSet<UserId> = user_ids.filter_map(|one| one.user_id.clone()).collect();
    let names = users.names(user_ids).await?;
    let q = q.to_lowercase();
    let fits = |record: &SessionRecord| shows(record, &names, &q);
    let found = newest.sessions.into_iter().filter(fits);
    let sessions = found.take(PAGE as usize).collect();
    Ok(Found {
        is_part: true,
        ..Found::these(sessions)
    })
}

/// Returns whether the list shows this text of a session: the beginning of its handle or address, or a
/// part of its device or user.
fn shows(record: &SessionRecord, names: &HashMap<UserId, String>, q: &str) -> bool {
    let user = match &record.user_id {
        Some(id) => names.get(id).map_or(id.as_str(), String::as_str),
        None => "anonymous",
    };
    let device = words::name(record.user_agent.as_deref()).to_lowercase();
    let ip = record.ip.as_deref().unwrap_or_default();
    record.id.as_str().starts_with(q.trim_end_matches('…'))
        || ip.starts_with(q)
        || device.contains(q)
        || user.contains(q)
}
