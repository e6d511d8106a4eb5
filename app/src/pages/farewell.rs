//! The pages for visitors who were just signed out.

use askama::Template;
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::Session;

use super::filters;
use super::frame::Frame;
use super::notice::{Marks, Notice};
use super::page::{Page, PageResult};
use crate::accounts::users::Users;
use crate::session_data::SessionData;

#[derive(Template)]
#[template(path = "farewell.html")]
struct Farewell {
    frame: Frame,
    words: Words,
}

/// The words of such a page.
struct Words {
    title: &'static str,
    message: &'static str,
    /// Whether the visitor has an account to sign in to.
    has_account: bool,
}

/// The words that are true for everyone who sees such a page.
const SIGNED_OUT: Words = Words {
    title: "You are signed out",
    message: "No one is signed in on this device.",
    has_account: true,
};

const DELETED: Words = Words {
    title: "Your account is deleted",
    message: "Every device is signed out.",
    has_account: false,
};

const ALL_ENDED: Words = Words {
    title: "Everyone is signed out",
    message: "All sessions have ended, including yours.",
    has_account: true,
};

#[get("/signed-out")]
async fn signed_out(session: Session<SessionData>, users: &State<Users>) -> PageResult {
    farewell(&session, users, SIGNED_OUT).await
}

#[get("/account-deleted?<done>")]
async fn account_deleted(
    session: Session<SessionData>,
    users: &State<Users>,
    marks: &State<Marks>,
    done: Option<&str>,
) -> PageResult {
    let has_happened = marks.shows(done, Notice::AccountDeleted);
    let words = if has_happened { DELETED } else { SIGNED_OUT };
    farewell(&session, users, words).await
}

#[get("/all-signed-out?<done>")]
async fn all_signed_out(
    session: Session<SessionData>,
    users: &State<Users>,
    marks: &State<Marks>,
    done: Option<&str>,
) -> PageResult {
    let has_happened = marks.shows(done, Notice::AllEnded);
    let words = if has_happened { ALL_ENDED } else { SIGNED_OUT };
    farewell(&session, users, words).await
}

/// Shows the page, or leads visitors who are signed in to their account.
async fn farewell(session: &Session<SessionData>, users: &Users, words: Words) -> PageResult {
    if session.user_id().is_some() {
        return Ok(Page::Next("/account"));
    }
    Page::show(&Farewell {
        frame: Frame::of(session, users).await?,
        words,
    })
}

pub(super) fn routes() -> Vec<Route> {
    routes![signed_out, account_deleted, all_signed_out]
}
