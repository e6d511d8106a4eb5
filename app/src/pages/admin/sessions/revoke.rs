//! Ending a single session.

use rocket::http::RawStr;
use rocket::serde::Deserialize;
use rocket::{Route, State, post, routes};
use rocket_diesel_sessions::{Session, SessionAdmin, SessionHandle};

use super::search::{address, query_of};
use crate::accounts::revoke;
use crate::accounts::users::Users;
use crate::guards::admin::Admin;
use crate::http::body::Form;
use crate::monitoring::audit::{Event, Trail};
use crate::pages::admin::shell::Tab;
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::confirm::{Confirmed, Question};
use crate::pages::notice::{Marks, Notice};
use crate::pages::page::{Page, PageResult};
use crate::session_data::SessionData;

/// The form that ends a session, with the search that found it.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct Revocation {
    q: Option<String>,
    after: Option<String>,
    password: Option<String>,
}

/// Ends a session. Ending one's own session is a sign-out.
#[post("/admin/sessions/<id>/revoke", data = "<form>")]
async fn revoke_one(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    trail: Trail,
    id: &str,
    form: Form<Revocation>,
) -> PageResult {
    let Form(form) = form;
    if let Some(own) = &visitor.session
        && let Some(handle) = own.handle().filter(|own| *own == id)
    {
        return end_own(own, &visitor.admin, marks, trail, &handle).await;
    }
    let action = format!(
        "/admin/sessions/{}/revoke",
        RawStr::new(id).percent_encode()
    );
    let query = query_of(form.q.as_deref(), form.after.as_deref());
    let purpose = "to end this user's session";
    let question = Question {
        fields: query.clone(),
        ..Question::again(purpose, &action, "End that session", Tab::Sessions.path())
    };
    let password = form.password.as_deref();
    let confirmed = match visitor.confirm(&question, users, trail, password).await? {
        Confirmed::NotYet(page) => return Ok(page),
        confirmed => confirmed,
    };
    let by = visitor.admin.name();
    let sessions = sessions.with_context(visitor.context());
    let notice = if revoke::any_session(&sessions, &id.into(), by, trail).await? {
        Notice::SessionEnded
    } else {
        Notice::SessionWasGone
    };
    if let Some(session) = &visitor.session {
        confirmed.renew(session, trail).await?;
    }
    let address = visitor.go_on(address(&query), notice, marks).await;
    Ok(Page::NextWith(format!("{address}#sessions")))
}

/// Ends the administrator's own session.
async fn end_own(
    session: &Session<SessionData>,
    admin: &Admin,
    marks: &Marks,
    trail: Trail,
    handle: &SessionHandle,
) -> PageResult {
    let was_signed_in = session.user_id().is_some();
    session.logout().await?;
    let entry = trail.event(Event::Logout).by(admin.name());
    entry.session(handle).write();
    Ok(if was_signed_in {
        Page::Next("/signed-out")
    } else {
        let mark = marks.mark(Notice::SessionEnded);
        Page::NextWith(address(&[("done", &mark)]))
    })
}

pub(super) fn routes() -> Vec<Route> {
    routes![revoke_one]
}
