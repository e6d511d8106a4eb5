//! The page of users.

use askama::Template;
use rocket::{Route, State, get, routes};

use crate::accounts::users::Users;
use crate::pages::admin::shell::{Shell, Tab};
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::page::{Page, PageResult};

#[derive(Template)]
#[template(path = "admin/users.html")]
struct UsersPage {
    frame: Frame,
    shell: Shell,
}

#[get("/admin/users")]
async fn page(visitor: AdminViewer, users: &State<Users>) -> PageResult {
    Page::show(&UsersPage {
        frame: visitor.frame(users, None).await?,
        shell: Shell::of(Tab::Users, &visitor),
    })
}

pub(in crate::pages::admin) fn routes() -> Vec<Route> {
    routes![page]
}
