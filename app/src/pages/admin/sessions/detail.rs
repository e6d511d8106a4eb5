//! The page of a single session.

use askama::Template;
use rocket::http::Status;
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::SessionAdmin;

use super::item::{Item, items};
use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::pages::admin::shell::{Shell, Tab};
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::page::{Page, PageResult};
use crate::words;

#[derive(Template)]
#[template(path = "admin/session.html")]
struct Detail {
    frame: Frame,
    shell: Shell,
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
        shell: Shell::below(Tab::Sessions, &visitor),
        session,
        data,
    })
}

/// Redirects to the list if the address of a form's target is typed or reloaded. The session itself
/// may be gone.
#[get("/admin/sessions/<_>/revoke")]
fn revoke_page() -> Page {
    Page::Next(Tab::Sessions.path())
}

pub(super) fn routes() -> Vec<Route> {
    routes![session, revoke_page]
}
