//! The page of a single user.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::SessionAdmin;
use rocket_diesel_sessions::store::{EventPage, ListEvents, UserRecord};

use super::list::Item;
use crate::accounts::users::Users;
use crate::api::admin::{events, users::existing};
use crate::http::error::ApiError;
use crate::pages::admin::events::{Line, lines};
use crate::pages::admin::shell::{Shell, Tab};
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::notice::{Marks, Notice};
use crate::pages::page::{Page, PageResult};
use crate::words;

/// Sessions on the page. The list of sessions has the others.
const SESSIONS: u32 = 10;

/// Lines of events on the page. The page of events has the others.
const LINES: usize = 10;

/// Events that are read for them.
const READ: u32 = 1000;

#[derive(Template)]
#[template(path = "admin/user.html")]
struct Detail<'a> {
    frame: Frame,
    shell: Shell,
    now: DateTime<Utc>,
    item: Item,
    sessions: Vec<Device>,
    has_more_sessions: bool,
    is_recorded: bool,
    lines: Vec<Line>,
    /// What was wrong with the name that confirms the deletion.
    problem: Option<&'a str>,
}

/// A session of the user.
struct Device {
    id: String,
    name: String,
    ip: Option<String>,
    last_seen_at: DateTime<Utc>,
    is_own: bool,
}

/// Renders the page. With `refused`, it says what was wrong with the form.
pub(super) async fn show(
    visitor: &AdminViewer,
    users: &Users,
    sessions: &SessionAdmin,
    user: UserRecord,
    done: Option<Notice>,
    refused: Option<&ApiError>,
) -> PageResult {
    let presence = sessions.presence(vec![user.id.clone()]).await?.pop();
    let live = sessions.list(SESSIONS, None, Some(user.id.clone())).await?;
    let mut query = ListEvents::default();
    query.user_id = Some(user.id.clone());
    query.limit = READ;
    let events = events::page(sessions, query).await?;
    let is_recorded = events.is_some();
    let EventPage { events, next, .. } = events.unwrap_or_default();
    let own = visitor.handle();
    let devices = live.sessions.into_iter().map(|session| Device {
        name: words::name(session.user_agent.as_deref()),
        ip: session.ip,
        last_seen_at: session.last_seen_at,
        is_own: own.as_ref() == Some(&session.id),
        id: session.id.to_string(),
    });
    let page = Detail {
        frame: visitor.frame(users, done).await?,
        shell: Shell::below(Tab::Users, visitor),
        now: users.now(),
        sessions: devices.collect(),
        has_more_sessions: live.next.is_some(),
        is_recorded,
        lines: lines(users, sessions, &events, next.is_some(), LINES)
            .await?
            .0,
        item: Item::new(user, presence.as_ref(), visitor),
        problem: refused.map(ApiError::in_words),
    };
    match refused {
        Some(error) => Page::refused(error, &page),
        None => Page::show(&page),
    }
}

#[get("/admin/users/<id>?<done>")]
async fn user(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    id: &str,
    done: Option<&str>,
) -> PageResult {
    let user = existing(users, id).await?;
    let done = done.and_then(|mark| marks.read(mark));
    show(&visitor, users, sessions, user, done, None).await
}

pub(super) fn routes() -> Vec<Route> {
    routes![user]
}
