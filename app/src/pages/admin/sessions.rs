//! The list of sessions, and the page of a single one.

use std::collections::{HashMap, HashSet};

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::http::Status;
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::store::SessionRecord;
use rocket_diesel_sessions::{SessionAdmin, SessionError, SessionHandle, UserId};

use super::search::{Found, PATH, Search, address, find};
use super::viewer::AdminViewer;
use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::page::{Page, PageResult};
use crate::words;

/// How many characters of a handle the list shows.
const SHORT: usize = 8;

/// A page of the list.
pub(super) struct List {
    pub(super) q: String,
    /// The cursor of this page, empty on the first.
    pub(super) after: String,
    pub(super) items: Vec<Item>,
    pub(super) is_first: bool,
    /// Whether only the newest sessions were searched.
    pub(super) is_part: bool,
    /// The address of the next page.
    pub(super) next: Option<String>,
}

impl List {
    /// The address of the first page.
    pub(super) fn first(&self) -> String {
        address(&Search::query_of(Some(&self.q), None))
    }
}

/// A session in words.
pub(super) struct Item {
    pub(super) record: SessionRecord,
    pub(super) username: Option<String>,
    pub(super) device: String,
    pub(super) last_seen: String,
    pub(super) is_expired: bool,
    /// Whether it is the visitor's own session.
    pub(super) is_own: bool,
}

impl Item {
    fn of(
        record: SessionRecord,
        own: Option<&SessionHandle>,
        names: &HashMap<UserId, String>,
        now: DateTime<Utc>,
    ) -> Self {
        let user = record.user_id.as_ref();
        Self {
            username: user.and_then(|id| names.get(id).cloned()),
            device: words::name(record.user_agent.as_deref()),
            last_seen: words::ago(record.last_seen_at, now),
            is_expired: record.expires_at <= now,
            is_own: own == Some(&record.id),
            record,
        }
    }

    /// The beginning of the handle, enough for people to tell sessions apart.
    pub(super) fn short_id(&self) -> String {
        let mut characters = self.record.id.as_str().chars();
        let short: String = characters.by_ref().take(SHORT).collect();
        if characters.next().is_some() {
            format!("{short}…")
        } else {
            short
        }
    }

    pub(super) fn user_id(&self) -> &str {
        self.record.user_id.as_ref().map_or("", UserId::as_str)
    }

    /// The user's name, or the id if the user has just been deleted.
    pub(super) fn user(&self) -> Option<&str> {
        let id = self.record.user_id.as_ref().map(UserId::as_str);
        self.username.as_deref().or(id)
    }
}

async fn items(
    visitor: &AdminViewer,
    users: &Users,
    records: Vec<SessionRecord>,
) -> Result<Vec<Item>, SessionError> {
    let ids: HashSet<UserId> = records
        .iter()
        .filter_map(|record| record.user_id.clone())
        .collect();
    let names = users.names(ids).await?;
    let (own, now) = (visitor.handle(), users.now());
    Ok(records
        .into_iter()
        .map(|record| Item::of(record, own.as_ref(), &names, now))
        .collect())
}

pub(super) async fn list(
    visitor: &AdminViewer,
    users: &Users,
    sessions: &SessionAdmin,
    search: Search<'_>,
) -> Result<List, SessionError> {
    let Found { page, is_part } = find(users, sessions, search).await?;
    let next = page.next.map(|next| {
        let next = next.to_string();
        address(&Search::query_of(search.q, Some(&next)))
    });
    Ok(List {
        q: search.q.unwrap_or_default().to_owned(),
        after: search
            .after
            .map_or_else(String::new, |after| after.to_string()),
        items: items(visitor, users, page.sessions).await?,
        is_first: search.after.is_none(),
        is_part,
        next,
    })
}

#[derive(Template)]
#[template(path = "admin/session.html")]
struct Detail {
    frame: Frame,
    session: Item,
    /// The data as indented JSON.
    data: String,
}

#[get("/admin/sessions/<id>")]
async fn session(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    id: &str,
) -> PageResult {
    let record = sessions.find(id).await?.ok_or_else(|| {
        let message = "there is no session with this handle; it may have ended";
        ApiError::new(Status::NotFound, "not_found", message)
            .in_other_words("There is no such session. It may have ended.")
    })?;
    let data = words::data(&record.data);
    let mut items = items(&visitor, users, vec![record]).await?;
    let session = items.pop().ok_or_else(ApiError::internal)?;
    Page::show(&Detail {
        frame: visitor.frame(users, None).await?,
        session,
        data,
    })
}

/// Redirects to the dashboard if the address of a form's target is typed or reloaded. The session itself
/// may be gone.
#[get("/admin/sessions/<_>/revoke")]
fn revoke_page() -> Page {
    Page::Next(PATH)
}

pub(super) fn routes() -> Vec<Route> {
    routes![session, revoke_page]
}
