//! `/admin/events`: what has happened to sessions.

use askama::Template;
use rocket::{Route, State, get, routes};

use super::shell::{Shell, Tab};
use super::viewer::AdminViewer;
use crate::accounts::users::Users;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::page::{Page, PageResult};

#[derive(Template)]
#[template(path = "admin/events.html")]
struct EventsPage {
    frame: Frame,
    shell: Shell,
}

#[get("/admin/events")]
async fn page(visitor: AdminViewer, users: &State<Users>) -> PageResult {
    Page::show(&EventsPage {
        frame: visitor.frame(users, None).await?,
        shell: Shell::of(Tab::Events, &visitor),
    })
}

pub(super) fn routes() -> Vec<Route> {
    routes![page]
}
