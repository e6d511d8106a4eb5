//! The actions of administrators: ending one session or all of them, and sweeping.

use rocket::http::RawStr;
use rocket::serde::Deserialize;
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::{Session, SessionAdmin, SessionHandle};

use super::dashboard::show;
use super::search::{PATH, Search, address};
use super::viewer::AdminViewer;
use crate::accounts::revoke;
use crate::accounts::users::Users;
use crate::guards::admin::Admin;
use crate::http::body::Form;
use crate::http::error::ApiError;
use crate::monitoring::audit::{Event, Trail};
use crate::pages::confirm::{Confirmed, Question};
use crate::pages::notice::{Marks, Notice};
use crate::pages::page::{Page, PageResult};
use crate::session_data::SessionData;

/// The word that has to be typed to end all sessions.
const WORD: &str = "clear";

impl AdminViewer {
    /// Returns the address of a page of the dashboard that reports what was done. The visitor's session
    /// keeps the notice, so that it is shown once. Without a session, the address carries it, because
    /// no session is created for it.
    async fn go_on(&self, query: &[(&str, &str)], notice: Notice, marks: &Marks) -> String {
        let is_kept = match &self.session {
            Some(session) => session.update(move |data| notice.leave(data)).await.is_ok(),
            None => false,
        };
        if is_kept {
            return address(query);
        }
        let mark = marks.mark(notice);
        address(&[query, &[("done", mark.as_str())]].concat())
    }

    /// Confirms an action that cannot be undone. A user must have entered the password recently, while
    /// other administrators have none.
    async fn confirm(
        &self,
        question: &Question<'_>,
        users: &Users,
        trail: Trail,
        password: Option<&str>,
    ) -> Result<Confirmed, ApiError> {
        match &self.signed_in {
            Some(signed_in) => question.confirm(signed_in, users, trail, password).await,
            None => Ok(Confirmed::Recently),
        }
    }
}

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
    let query = Search::query_of(form.q.as_deref(), form.after.as_deref());
    let purpose = "to end this user's session";
    let question = Question {
        fields: query.clone(),
        ..Question::again(purpose, &action, "End that session", PATH)
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
    let address = visitor.go_on(&query, notice, marks).await;
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

/// A form that is only a button.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct Button {}

/// Deletes expired sessions.
#[post("/admin/sweep", data = "<_form>")]
async fn sweep(
    visitor: AdminViewer,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    trail: Trail,
    _form: Form<Button>,
) -> PageResult {
    let deleted = sessions.sweep().await?.deleted;
    if deleted > 0 {
        let entry = trail.event(Event::Swept).by(visitor.admin.name());
        entry.deleted(deleted).write();
    }
    let address = visitor.go_on(&[], Notice::Swept, marks).await;
    Ok(Page::NextWith(address))
}

/// The form that ends all sessions.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct Clearing {
    word: String,
    password: Option<String>,
}

/// Ends all sessions, if the word was typed.
#[post("/admin/clear", data = "<form>")]
async fn clear(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    trail: Trail,
    form: Form<Clearing>,
) -> PageResult {
    let Form(Clearing { word, password }) = form;
    if word.trim() != WORD {
        let error = ApiError::unprocessable(format!(
            "nothing was ended: type the word {WORD} to end all sessions"
        ));
        let everyone = Search::default();
        return show(&visitor, users, sessions, everyone, None, Some(&error)).await;
    }
    let purpose = "to end all sessions. Everyone, including you, will be signed out";
    let question = Question {
        fields: vec![("word", WORD)],
        ..Question::again(purpose, "/admin/clear", "End all sessions", PATH)
    };
    let password = password.as_deref();
    let confirmed = visitor.confirm(&question, users, trail, password).await?;
    if let Confirmed::NotYet(page) = confirmed {
        return Ok(page);
    }
    let session = visitor.session.as_ref();
    let was_signed_in = session.is_some_and(|session| session.user_id().is_some());
    let by = visitor.admin.name();
    let sessions = sessions.with_context(visitor.context());
    revoke::all_sessions(&sessions, by, trail).await?;
    let mark = marks.mark(Notice::AllEnded);
    Ok(Page::NextWith(if was_signed_in {
        format!("/all-signed-out?done={mark}")
    } else {
        address(&[("done", &mark)])
    }))
}

/// Redirects to the dashboard if the address of a form's target is typed or reloaded.
#[get("/admin/sweep")]
fn sweep_page() -> Page {
    Page::Next(PATH)
}

#[get("/admin/clear")]
fn clear_page() -> Page {
    Page::Next(PATH)
}

pub(super) fn routes() -> Vec<Route> {
    routes![revoke_one, sweep, clear, sweep_page, clear_page]
}
