//! The list of sessions.

use askama::Template;
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::{SessionAdmin, SessionError};

use super::item::{Item, items};
use super::search::{Found, Search, address, find, query_of};
use crate::accounts::users::Users;
use crate::pages::admin::shell::{Shell, Tab};
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::notice::Marks;
use crate::pages::page::{Page, PageResult};

/// A page of the list.
struct List {
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
        address(&query_of(Some(&self.q), None))
    }
}

async fn list(
    visitor: &AdminViewer,
    users: &Users,
    sessions: &SessionAdmin,
    search: Search<'_>,
) -> Result<List, SessionError> {
    let Found { page, is_part } = find(users, sessions, search).await?;
    let next = page.next.map(|next| {
        let next = next.to_string();
        address(&query_of(search.q, Some(&next)))
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
#[template(path = "admin/sessions.html")]
struct ListPage {
    frame: Frame,
    shell: Shell,
    list: List,
}

#[get("/admin/sessions?<q>&<after>&<done>")]
async fn page(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    q: Option<&str>,
    after: Option<&str>,
    done: Option<&str>,
) -> PageResult {
    let search = Search::new(q, after)?;
    let done = done.and_then(|mark| marks.read(mark));
    Page::show(&ListPage {
        list: list(&visitor, users, sessions, search).await?,
        frame: visitor.frame(users, done).await?,
        shell: Shell::of(Tab::Sessions, &visitor),
    })
}

pub(super) fn routes() -> Vec<Route> {
    routes![page]
}
