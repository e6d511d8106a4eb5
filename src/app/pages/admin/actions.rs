//! What administrators can do: end one session or all of them, and sweep.

use rocket::{Route, State, post, routes};

use super::sessions::{Search, address};
use super::{ApiError, Notice, Page, PageResult, Users, Visitor};
use crate::SessionAdmin;
use crate::app::audit::{Event, Trail};
use crate::app::fields::Fields;

/// What has to be typed to end all sessions.
const WORD: &str = "clear";

impl Visitor {
    /// Sends the visitor on to the dashboard, which says what was done: once, if there is a
    /// session to remember it in. None is made for that.
    async fn go_on(&self, q: Option<&str>, notice: Notice) -> Page {
        let mut search = Search::query_of(q);
        let told = match &self.session {
            Some(session) => session.update(move |data| notice.leave(data)).await.is_ok(),
            None => false,
        };
        if !told {
            search.push(("done", notice.code()));
        }
        Page::NextWith(address(&search))
    }
}

/// Ends a session; one's own as if by signing out.
#[post("/admin/sessions/<id>/revoke", data = "<fields>")]
async fn revoke(
    visitor: Result<Visitor, ApiError>,
    sessions: &State<SessionAdmin>,
    trail: Trail,
    id: &str,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let (visitor, fields) = (visitor?, fields?.of_form()?);
    if let Some(own) = &visitor.session
        && own.id().as_deref() == Some(id)
    {
        let was_signed_in = own.user_id().is_some();
        own.logout().await?;
        let entry = trail.event(Event::Logout).by(visitor.admin.name());
        entry.session(id).write();
        return Ok(if was_signed_in {
            Page::Next("/signed-out")
        } else {
            let done = ("done", Notice::SessionEnded.code());
            Page::NextWith(address(&[done]))
        });
    }
    let notice = if sessions.revoke(id).await? {
        let entry = trail.event(Event::SessionRevoked);
        entry.by(visitor.admin.name()).session(id).write();
        Notice::SessionEnded
    } else {
        Notice::SessionWasGone
    };
    Ok(visitor.go_on(fields.optional("q"), notice).await)
}

/// Deletes what has expired.
#[post("/admin/sweep", data = "<fields>")]
async fn sweep(
    visitor: Result<Visitor, ApiError>,
    sessions: &State<SessionAdmin>,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let visitor = visitor?;
    fields?.of_form()?;
    let deleted = sessions.sweep().await?.deleted;
    if deleted > 0 {
        let entry = trail.event(Event::Swept).by(visitor.admin.name());
        entry.deleted(deleted).write();
    }
    Ok(visitor.go_on(None, Notice::Swept).await)
}

/// Ends all sessions, if the word was typed.
#[post("/admin/clear", data = "<fields>")]
async fn clear(
    visitor: Result<Visitor, ApiError>,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    trail: Trail,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let (visitor, fields) = (visitor?, fields?.of_form()?);
    if fields.required("word")?.trim() != WORD {
        let error = ApiError::unprocessable(format!(
            "nothing was ended: type the word {WORD} to end all sessions"
        ));
        let everybody = Search::default();
        return super::show(&visitor, users, sessions, everybody, None, Some(&error)).await;
    }
    let session = visitor.session.as_ref();
    let was_signed_in = session.is_some_and(|session| session.user_id().is_some());
    sessions.clear().await?;
    let entry = trail.event(Event::SessionsCleared);
    entry.by(visitor.admin.name()).write();
    Ok(if was_signed_in {
        Page::Next("/all-signed-out")
    } else {
        let done = ("done", Notice::AllEnded.code());
        Page::NextWith(address(&[done]))
    })
}

pub(super) fn routes() -> Vec<Route> {
    routes![revoke, sweep, clear]
}
