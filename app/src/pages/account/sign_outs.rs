//! Signing out devices.

use rocket::http::RawStr;
use rocket::serde::Deserialize;
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::{SessionHandle, UserSession, UserSessions};

use super::{PATH, done};
use crate::accounts::revoke;
use crate::accounts::sign_in::sign_out;
use crate::accounts::users::Users;
use crate::guards::signed_in::SignedIn;
use crate::http::body::Form;
use crate::http::error::ApiError;
use crate::monitoring::audit::Trail;
use crate::pages::confirm::{Confirmed, Question};
use crate::pages::notice::Notice;
use crate::pages::page::{Page, PageResult};
use crate::words;

/// How many sessions are read at a time.
const PAGE: u32 = 1000;

/// Returns the user's other devices for which `is_meant` returns true.
async fn others(
    signed_in: &SignedIn,
    sessions: &UserSessions,
    is_meant: impl Fn(&UserSession) -> bool,
) -> Result<Vec<UserSession>, ApiError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = sessions.page(&signed_in.user_id, PAGE, after).await?;
        let is_other = |session: &UserSession| session.id != signed_in.handle && is_meant(session);
        found.extend(page.sessions.into_iter().filter(is_other));
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

/// Returns a number of other devices in words.
fn other_devices(number: usize) -> String {
    match number {
        0 => "your other devices".to_owned(),
        1 => "your other device".to_owned(),
        number => format!("{} other devices", words::grouped(number as u64)),
    }
}

/// A form that may need the password.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct Confirmation {
    password: Option<String>,
}

/// Signs out one other device. For this device, it is the sign-out.
#[post("/account/sessions/<id>/end", data = "<form>")]
async fn end_one(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    id: &str,
    form: Form<Confirmation>,
) -> PageResult {
    let (session, password) = (&signed_in.session, form.0.password.as_deref());
    if id == signed_in.handle {
        sign_out(session, trail).await?;
        return Ok(Page::Next("/signed-out"));
    }
    let found = others(&signed_in, sessions, |session| session.id == id).await?;
    let Some(device) = found.first() else {
        return done(session, Notice::DeviceWasGone).await;
    };
    let what = words::name(device.user_agent.as_deref());
    let action = format!("/account/sessions/{}/end", RawStr::new(id).percent_encode());
    let purpose = format!("to sign out {what}");
    let question = Question::again(&purpose, &action, "Sign it out", PATH);
    let confirmed = match question.confirm(&signed_in, users, trail, password).await? {
        Confirmed::NotYet(page) => return Ok(page),
        confirmed => confirmed,
    };
    let sessions = signed_in.sessions(sessions);
    // If the form was sent twice, the second request finds nothing.
    let notice = if revoke::own_session(&sessions, &signed_in.user_id, &id.into(), trail).await? {
        Notice::DeviceSignedOut
    } else {
        Notice::DeviceWasGone
    };
    confirmed.renew(session, trail).await?;
    done(session, notice).await
}

/// The form that signs out all other devices of one name.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct SameDevices {
    device: String,
    password: Option<String>,
}

/// Signs out all other devices that have this name.
#[post("/account/sessions/end-same", data = "<form>")]
async fn end_same(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    form: Form<SameDevices>,
) -> PageResult {
    let Form(SameDevices { device, password }) = form;
    let is_meant = |session: &UserSession| words::name(session.user_agent.as_deref()) == device;
    let found = others(&signed_in, sessions, is_meant).await?;
    if found.is_empty() {
        return done(&signed_in.session, Notice::DeviceWasGone).await;
    }
    let purpose = format!("to sign out {}: {device}", other_devices(found.len()));
    let action = "/account/sessions/end-same";
    let question = Question {
        fields: vec![("device", &device)],
        ..Question::again(&purpose, action, "Sign them out", PATH)
    };
    let password = password.as_deref();
    let confirmed = match question.confirm(&signed_in, users, trail, password).await? {
        Confirmed::NotYet(page) => return Ok(page),
        confirmed => confirmed,
    };
    let handles: Vec<SessionHandle> = found.into_iter().map(|session| session.id).collect();
    let user_id = &signed_in.user_id;
    let ended =
        revoke::own_sessions(&signed_in.sessions(sessions), user_id, &handles, trail).await?;
    confirmed.renew(&signed_in.session, trail).await?;
    let notice = if ended > 0 {
        Notice::DevicesSignedOut
    } else {
        Notice::DeviceWasGone
    };
    done(&signed_in.session, notice).await
}

/// Signs out all devices but this one.
#[post("/account/sessions/end-others", data = "<form>")]
async fn end_others(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    trail: Trail,
    form: Form<Confirmation>,
) -> PageResult {
    let password = form.0.password.as_deref();
    let number = others(&signed_in, sessions, |_| true).await?.len();
    let purpose = format!("to sign out {}", other_devices(number));
    let action = "/account/sessions/end-others";
    let question = Question::again(&purpose, action, "Sign out everywhere else", PATH);
    let confirmed = match question.confirm(&signed_in, users, trail, password).await? {
        Confirmed::NotYet(page) => return Ok(page),
        confirmed => confirmed,
    };
    let (user_id, keep) = (&signed_in.user_id, &signed_in.handle);
    let sessions = signed_in.sessions(sessions);
    revoke::other_sessions(&sessions, user_id, keep, trail).await?;
    confirmed.renew(&signed_in.session, trail).await?;
    done(&signed_in.session, Notice::OthersSignedOut).await
}

/// Leads the address of a form, when it is typed or reloaded, to the page of the form.
#[get("/account/sessions/end-others")]
fn end_others_page() -> Page {
    Page::Next(PATH)
}

#[get("/account/sessions/end-same")]
fn end_same_page() -> Page {
    Page::Next(PATH)
}

#[get("/account/sessions/<_>/end")]
fn end_one_page() -> Page {
    Page::Next(PATH)
}

pub(super) fn routes() -> Vec<Route> {
    routes![
        end_one,
        end_same,
        end_others,
        end_others_page,
        end_same_page,
        end_one_page
    ]
}
