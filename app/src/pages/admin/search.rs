//! Which sessions a search means.

use std::collections::{HashMap, HashSet};

use rocket::http::RawStr;
use rocket_diesel_sessions::admin::SessionPage;
use rocket_diesel_sessions::store::SessionRecord;
use rocket_diesel_sessions::{SessionAdmin, SessionError};
use uuid::Uuid;

use crate::accounts::users::Users;
use crate::api::query;
use crate::http::error::ApiError;
use crate::words;

/// The path of the dashboard.
pub(super) const PATH: &str = "/admin";

/// The address of the dashboard with a query.
pub(super) fn address(query: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| {
        let value = RawStr::new(value).percent_encode();
        format!("{name}={value}")
    };
    let pairs: Vec<String> = query.iter().map(pair).collect();
    if pairs.is_empty() {
        return PATH.to_owned();
    }
    format!("{PATH}?{}", pairs.join("&"))
}

/// Which sessions to list.
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

    /// The part of an address that searches for this, and goes on after the cursor.
    pub(super) fn query_of<'q>(
        q: Option<&'q str>,
        after: Option<&'q str>,
    ) -> Vec<(&'static str, &'q str)> {
        let pairs = [("q", q), ("after", after)];
        let given = |(name, value): (&'static str, Option<&'q str>)| Some((name, value?));
        let pairs = pairs.into_iter().filter_map(given);
        pairs.filter(|(_, value)| !value.is_empty()).collect()
    }
}

/// Sessions of one page.
const PAGE: u32 = 50;

/// The newest sessions that are looked through for a part of what the list shows. No index helps
/// there, and no view is to read more as the table grows.
const LOOKED_THROUGH: u32 = 1000;

/// A page of what was found.
pub(super) struct Found {
    pub(super) page: SessionPage,
    /// Whether only the newest sessions were looked through.
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

/// What is searched for: a handle before a lookup id before a user's id before a name, since anybody
/// can choose a name. Where it is none of them, it may be a part of what the list shows.
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
            let user = match users.find(q).await? {
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

/// The live session with this lookup half of a token: the first one up to it, in the order of the list.
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
    let user_ids: HashSet<String> = user_ids.filter_map(|one| one.user_id.clone()).collect();
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

/// Returns whether the list shows this of a session: the beginning of its handle or address, or a
/// part of its device or user.
fn shows(record: &SessionRecord, names: &HashMap<String, String>, q: &str) -> bool {
    let user = match &record.user_id {
        Some(id) => names.get(id).map_or(id.as_str(), String::as_str),
        None => "anonymous",
    };
    let device = words::name(record.user_agent.as_deref()).to_lowercase();
    let ip = record.ip.as_deref().unwrap_or_default();
    record.id.starts_with(q.trim_end_matches('…'))
        || ip.starts_with(q)
        || device.contains(q)
        || user.contains(q)
}
