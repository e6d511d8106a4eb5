//! What administrators can do: end one session or all of them, and sweep.

use rocket::http::{RawStr, Status};
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::SessionAdmin;

use super::search::Search;
use super::sessions::address;
use super::{AdminViewer, Confirmed, PATH, Question, ask, confirm};
use crate::accounts::users::Users;
use crate::api::session::revoke_session;
use crate::guards::signed_in::sign_in;
use crate::http::body::Fields;
use crate::http::error::ApiError;
use crate::monitoring::audit::{Event, Trail};
use crate::pages::notice::{Marks, Notice};
use crate::pages::page::{Page, PageResult};

/// What has to be typed to end all sessions.
const WORD: &str = "clear";

impl AdminViewer {
    /// Sends the visitor on to a page of the dashboard, which says what was done: once, if there is
    /// a session to remember it in. None is made for that.
    async fn go_on(&self, query: &[(&str, &str)], notice: Notice, marks: &Marks) -> String {
        let told = match &self.session {
            Some(session) => session.update(move |data| notice.leave(data)).await.is_ok(),
            None => false,
        };
        if told {
            return address(query);
        }
        let mark = marks.mark(notice);
        address(&[query, &[("done", mark.as_str())]].concat())
    }

    /// Whether what cannot be undone may be done: a user has to have given the password. Others have
    /// none.
    async fn confirm(
        &self,
        users: &Users,
        trail: Trail,
        fields: &Fields,
    ) -> Result<Confirmed, ApiError> {
        match &self.signed_in {
            Some(signed_in) => confirm(signed_in, users, trail, fields).await,
            None => Ok(Confirmed::Recently),
        }
    }

    async fn ask(
        &self,
        users: &Users,
        question: &Question<'_>,
        wrong: Option<&ApiError>,
    ) -> PageResult {
        match &self.signed_in {
            Some(signed_in) => ask(signed_in, users, question, Status::Forbidden, wrong).await,
            None => Err(ApiError::internal().into()),
        }
    }
}

/// Ends a session; one's own as if by signing out.
#[post("/admin/sessions/<id>/revoke", data = "<fields>")]
async fn revoke(
    visitor: Result<AdminViewer, ApiError>,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    trail: Trail,
    id: &str,
    fields: Result<Fields, ApiError>,
) -> PageResult {
    let (visitor, fields) = (visitor?, fields?.of_form()?);
    if let Some(own) = &visitor.session
        && own.handle().as_deref() == Some(id)
    {
        let was_signed_in = own.user_id().is_some();
        own.logout().await?;
        let entry = trail.event(Event::Logout).by(visitor.admin.name());
        entry.session(id).write();
        return Ok(if was_signed_in {
            Page::Next("/signed-out")
        } else {
            let mark = marks.mark(Notice::SessionEnded);
            Page::NextWith(address(&[("done", &mark)]))
        });
    }
    let (q, after) = (fields.optional("q"), fields.optional("after"));
    let query = Search::query_of(q, after);
    let confirmed = visitor.confirm(users, trail, &fields).await?;
    if let Confirmed::No(wrong) = &confirmed {
        let action = format!(
            "/admin/sessions/{}/revoke",
            RawStr::new(id).percent_encode()
        );
        let question = Question {
            title: "Confirm your password",
            text: "It was given some time ago, and is needed to end this user's session.",
            action: &action,
            fields: query,
            verb: "End that session",
            back: PATH,
        };
        return visitor.ask(users, &question, wrong.as_ref()).await;
    }
    let notice = if revoke_session(sessions, &visitor.admin, trail, id).await? {
        Notice::SessionEnded
    } else {
        Notice::SessionWasGone
    };
    // With a new token, whose age is that of the password.
    if let (Confirmed::Now(user), Some(session)) = (confirmed, &visitor.session) {
        sign_in(session, &user, trail).await?;
    }
    let address = visitor.go_on(&query, notice, marks).await;
    Ok(Page::NextWith(format!("{address}#sessions")))
}

/// Deletes what has expired.
#[post("/admin/sweep", data = "<fields>")]
async fn sweep(
    visitor: Result<AdminViewer, ApiError>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
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
    let address = visitor.go_on(&[], Notice::Swept, marks).await;
    Ok(Page::NextWith(address))
}

/// Ends all sessions, if the word was typed.
#[post("/admin/clear", data = "<fields>")]
async fn clear(
    visitor: Result<AdminViewer, ApiError>,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
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
    if let Confirmed::No(wrong) = visitor.confirm(users, trail, &fields).await? {
        let question = Question {
            title: "Confirm your password",
            text: "It was given some time ago, and is needed to end all sessions. Everyone, \
                   including you, will be signed out.",
            action: "/admin/clear",
            fields: vec![("word", WORD)],
            verb: "End all sessions",
            back: PATH,
        };
        return visitor.ask(users, &question, wrong.as_ref()).await;
    }
    let session = visitor.session.as_ref();
    let was_signed_in = session.is_some_and(|session| session.user_id().is_some());
    sessions.clear().await?;
    let entry = trail.event(Event::SessionsCleared);
    entry.by(visitor.admin.name()).write();
    let mark = marks.mark(Notice::AllEnded);
    Ok(Page::NextWith(if was_signed_in {
        format!("/all-signed-out?done={mark}")
    } else {
        address(&[("done", &mark)])
    }))
}

/// The addresses of the forms' targets, typed or reloaded: the page of the forms.
#[get("/admin/sweep")]
fn sweep_page() -> Page {
    Page::Next(PATH)
}

#[get("/admin/clear")]
fn clear_page() -> Page {
    Page::Next(PATH)
}

pub(super) fn routes() -> Vec<Route> {
    routes![revoke, sweep, clear, sweep_page, clear_page]
}
