//! The list of users.

use std::collections::HashMap;

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::store::{UserPresence, UserRecord};
use rocket_diesel_sessions::{SessionAdmin, SessionError, UserId};

use crate::accounts::users::Users;
use crate::api::admin::users::find;
use crate::pages::admin::paging::{Paging, Place, address};
use crate::pages::admin::shell::{Shell, Tab};
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::notice::Marks;
use crate::pages::page::{Page, PageResult};
use crate::words;

/// Users on a page.
const PAGE: u32 = 50;

const PATH: &str = Tab::Users.path();

/// The filters with their names.
const FILTERS: [(&str, &str); 3] = [
    ("", "All"),
    ("administrators", "Administrators"),
    ("disabled", "Disabled"),
];

#[derive(Template)]
#[template(path = "admin/users.html")]
struct UsersPage<'a> {
    frame: Frame,
    shell: Shell,
    now: DateTime<Utc>,
    q: &'a str,
    filter: &'a str,
    filters: Vec<FilterLink>,
    /// The address of this page.
    here: String,
    items: Vec<Item>,
    is_first: bool,
    paging: Paging,
}

/// A link that filters the list.
struct FilterLink {
    name: &'static str,
    address: String,
    is_current: bool,
}

/// A user in words.
pub(super) struct Item {
    pub(super) user: UserRecord,
    pub(super) last_sign_in: Option<DateTime<Utc>>,
    /// The number of live sessions.
    pub(super) sessions: String,
    pub(super) is_signed_in: bool,
    pub(super) since: String,
    pub(super) is_own: bool,
}

impl Item {
    pub(super) fn new(
        user: UserRecord,
        presence: Option<&UserPresence>,
        visitor: &AdminViewer,
    ) -> Self {
        let last_sign_in = presence.and_then(|of_user| of_user.last_sign_in);
        let number = presence.map_or(0, |of_user| of_user.sessions);
        let more = if number >= UserPresence::MOST {
            "+"
        } else {
            ""
        };
        Self {
            last_sign_in,
            sessions: format!("{}{more}", words::grouped(number.into())),
            is_signed_in: number > 0,
            since: user.created_at.format("%-d %b %Y").to_string(),
            is_own: visitor.is(&user.id),
            user,
        }
    }
}

#[get("/admin/users?<q>&<filter>&<after>&<back>&<done>")]
#[expect(clippy::too_many_arguments, reason = "the parts of the query")]
async fn page(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    q: Option<&str>,
    filter: Option<&str>,
    after: Option<&str>,
    back: Option<&str>,
    done: Option<&str>,
) -> PageResult {
    let (q, filter) = (q.unwrap_or_default().trim(), filter.unwrap_or_default());
    let given = (!filter.is_empty()).then_some(filter);
    let found = users.page(find(PAGE, after, Some(q), given)?).await?;
    let mut records = found.users;
    // Handles and logs have ids.
    if after.is_none()
        && filter.is_empty()
        && let Some(user) = users.find(&q.into()).await?
        && records.iter().all(|record| record.id != user.id)
    {
        records.insert(0, user);
    }
    let next = found.next.map(|next| next.to_string());
    let query = [("q", q), ("filter", filter)];
    let links = FILTERS.map(|(value, name)| FilterLink {
        name,
        address: address(PATH, &[("q", q), ("filter", value)]),
        is_current: value == filter,
    });
    let done = done.and_then(|mark| marks.read(mark));
    Page::show(&UsersPage {
        frame: visitor.frame(users, done).await?,
        shell: Shell::of(Tab::Users, &visitor),
        now: users.now(),
        q,
        filter,
        filters: links.into(),
        here: address(
            PATH,
            &[
                ("q", q),
                ("filter", filter),
                ("after", after.unwrap_or_default()),
                ("back", back.unwrap_or_default()),
            ],
        ),
        items: items(&visitor, sessions, records).await?,
        is_first: after.is_none(),
        paging: Paging::new(PATH, &query, Place { after, back }, next.as_deref()),
    })
}

/// Puts users in words.
async fn items(
    visitor: &AdminViewer,
    sessions: &SessionAdmin,
    records: Vec<UserRecord>,
) -> Result<Vec<Item>, SessionError> {
    let ids: Vec<UserId> = records.iter().map(|user| user.id.clone()).collect();
    let presence = sessions.presence(ids).await?;
    let presence: HashMap<&UserId, &UserPresence> = presence
        .iter()
        .map(|of_user| (&of_user.user_id, of_user))
        .collect();
    let item = |user: UserRecord| {
        let presence = presence.get(&user.id).copied();
        Item::new(user, presence, visitor)
    };
    Ok(records.into_iter().map(item).collect())
}

pub(super) fn routes() -> Vec<Route> {
    routes![page]
}
