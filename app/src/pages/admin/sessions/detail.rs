//! The page of a single session.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::store::{ScanSessions, SessionScope};
use rocket_diesel_sessions::{SessionAdmin, SessionError, SessionHandle, UserId};

use super::item::{Item, items};
use super::list::not_found;
use super::query::{Fields, Query};
use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::pages::activity::ActivityLine;
use crate::pages::admin::shell::{Shell, Tab};
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::page::{Page, PageResult};
use crate::words;

/// How many other sessions of the user are shown.
const OTHERS: u32 = 5;

/// How many of the user's newest events are looked through for those of the session.
const EVENTS: u32 = 200;

#[derive(Template)]
#[template(path = "admin/session.html")]
struct Detail {
    frame: Frame,
    shell: Shell,
    now: DateTime<Utc>,
    /// The list that the visitor came from.
    query: Query,
    session: Item,
    /// The data as indented JSON.
    data: String,
    /// Other sessions of the user.
    others: Vec<Item>,
    has_more: bool,
    /// What happened to the session, if events are recorded.
    timeline: Option<Vec<ActivityLine>>,
}

#[get("/admin/sessions/<id>?<q>&<filter>&<sort>&<after>&<before>")]
#[expect(clippy::too_many_arguments, reason = "one per field of the query")]
async fn session(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    id: &str,
    q: Option<&str>,
    filter: Option<&str>,
    sort: Option<&str>,
    after: Option<&str>,
    before: Option<&str>,
) -> PageResult {
    let query = Query::parse(Fields {
        q,
        filter,
        sort,
        after,
        before,
    })?;
    let record = sessions.find(id).await?.ok_or_else(not_found)?;
    let data = words::data(&record.data);
    let (mut others, has_more) = match &record.user_id {
        Some(user_id) => others(&visitor, users, sessions, user_id, &record.id).await?,
        None => (Vec::new(), false),
    };
    others.truncate(OTHERS as usize);
    let now = users.now();
    let timeline = match &record.user_id {
        Some(user_id) => timeline(sessions, user_id, &record.id).await?,
        None => None,
    };
    let mut items = items(&visitor, users, vec![record]).await?;
    let session = items.pop().ok_or_else(ApiError::internal)?;
    Page::show(&Detail {
        frame: visitor.frame(users, None).await?,
        shell: Shell::below(Tab::Sessions, &visitor),
        now,
        query,
        session,
        data,
        others,
        has_more,
        timeline,
    })
}

/// Returns the newest sessions of the user without this one, and whether there are more than are shown.
async fn others(
    visitor: &AdminViewer,
    users: &Users,
    sessions: &SessionAdmin,
    user_id: &UserId,
    this: &SessionHandle,
) -> Result<(Vec<Item>, bool), SessionError> {
    let mut scan = ScanSessions::new(users.now(), OTHERS + 2);
    scan.scope = SessionScope::User(user_id.clone());
    let step = sessions.scan(scan).await?;
    let records = step.sessions.into_iter().map(|one| one.session);
    let records: Vec<_> = records.filter(|record| record.id != *this).collect();
    let has_more = records.len() > OTHERS as usize || step.next.is_some();
    Ok((items(visitor, users, records).await?, has_more))
}

/// Returns what is recorded of the session among the user's newest events, newest first.
async fn timeline(
    sessions: &SessionAdmin,
    user_id: &UserId,
    this: &SessionHandle,
) -> Result<Option<Vec<ActivityLine>>, SessionError> {
    let page = match sessions.events(EVENTS, None, Some(user_id.clone())).await {
        Ok(page) => page,
        Err(SessionError::NoEvents) => return Ok(None),
        Err(error) => return Err(error),
    };
    let events = page
        .events
        .into_iter()
        .filter(|event| event.session == *this);
    let lines = events.map(ActivityLine::from);
    Ok(Some(lines.collect()))
}

/// Redirects to the list if the address of a form's target is typed or reloaded. The session itself
/// may be gone.
#[get("/admin/sessions/<_>/revoke")]
fn revoke_page() -> Page {
    Page::Next(Tab::Sessions.path())
}

#[get("/admin/sessions/revoke")]
fn revoke_selected_page() -> Page {
    Page::Next(Tab::Sessions.path())
}

#[get("/admin/sessions/revoke-all")]
fn revoke_all_page() -> Page {
    Page::Next(Tab::Sessions.path())
}

pub(super) fn routes() -> Vec<Route> {
    routes![session, revoke_page, revoke_selected_page, revoke_all_page]
}
