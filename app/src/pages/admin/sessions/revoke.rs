//! Ending sessions: one, those selected, and all of a user or of an address.

use std::collections::HashMap;
use std::net::IpAddr;

use rocket::http::RawStr;
use rocket::{Route, State, post, routes};
use rocket_diesel_sessions::store::SessionRecord;
use rocket_diesel_sessions::{SessionAdmin, SessionHandle, UserId, UserSessions};

use super::item::items;
use super::query::{FIELDS, Fields, Query};
use crate::accounts::administration::Administration;
use crate::accounts::revoke;
use crate::accounts::users::Users;
use crate::guards::admin::Admin;
use crate::http::body::Form;
use crate::http::error::ApiError;
use crate::http::next::Next;
use crate::monitoring::audit::{Event, Trail};
use crate::pages::admin::consent::{Consent, Given};
use crate::pages::admin::shell::Tab;
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::confirm::Confirmed;
use crate::pages::notice::{Marks, Notice};
use crate::pages::page::{Page, PageResult};
use crate::search::server::{Results, Search, Start, Subject};
use crate::words::grouped;

/// What the name of a selected session's field begins with, before its handle.
const SELECTED: &str = "session.";

/// The most sessions that are named one by one.
const NAMED: usize = 10;

/// The fields of a form, by name.
type Texts = HashMap<String, String>;

fn text<'t>(texts: &'t Texts, name: &str) -> Option<&'t str> {
    texts.get(name).map(String::as_str)
}

fn given(texts: &Texts) -> Given<'_> {
    Given {
        confirm: text(texts, "confirm"),
        password: text(texts, "password"),
    }
}

/// Returns the list that a form returns to.
fn query(texts: &Texts) -> Result<Query, ApiError> {
    let [q, filter, sort, after, before] = FIELDS.map(|name| text(texts, name));
    Query::parse(Fields {
        q,
        filter,
        sort,
        after,
        before,
    })
}

/// Makes the question whether to end something. The list that it returns to is kept.
fn question(query: &Query, title: String, action: &str) -> Consent {
    let fields = query.fields().into_iter();
    Consent {
        verb: title.trim_end_matches('?').to_owned(),
        title,
        text: String::new(),
        items: Vec::new(),
        action: action.to_owned(),
        fields: fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        back: format!("{}#sessions", query.address()),
        tab: Tab::Sessions,
    }
}

/// Redirects to the list, which reports what was done.
async fn go_back(
    visitor: &AdminViewer,
    confirmed: Confirmed,
    query: &Query,
    notice: Notice,
    marks: &Marks,
    trail: Trail,
) -> PageResult {
    if let Some(session) = &visitor.session {
        confirmed.renew(session, trail).await?;
    }
    let address = visitor.go_on(query.address(), notice, marks).await;
    Ok(Page::NextWith(format!("{address}#sessions")))
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
    form: Form<Texts>,
) -> PageResult {
    let Form(texts) = form;
    let query = query(&texts)?;
    let found = sessions.find(id).await.ok().flatten();
    let path = format!(
        "/admin/sessions/{}/revoke",
        RawStr::new(id).percent_encode()
    );
    let consent = Consent {
        text: "It is signed out at once. This cannot be undone.".to_owned(),
        items: lines(&visitor, users, found.into_iter().collect()).await?,
        ..question(&query, "End this session?".to_owned(), &path)
    };
    let confirmed = match visitor
        .consents(&consent, users, trail, given(&texts))
        .await?
    {
        Confirmed::NotYet(page) => return Ok(page),
        confirmed => confirmed,
    };
    let handle = SessionHandle::from(id);
    if visitor.handle().as_ref() == Some(&handle) {
        return end_own(&visitor, marks, trail, &handle).await;
    }
    let by = visitor.admin.name();
    let sessions = sessions.with_context(visitor.context());
    let was_there = revoke::any_session(&sessions, &handle, by, trail).await?;
    let notice = if was_there {
        Notice::SessionEnded
    } else {
        Notice::SessionWasGone
    };
    go_back(&visitor, confirmed, &query, notice, marks, trail).await
}

/// Ends the selected sessions. The visitor's own session is left out, because the answer needs it.
#[post("/admin/sessions/revoke", data = "<form>")]
async fn revoke_selected(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    trail: Trail,
    form: Form<Texts>,
) -> PageResult {
    let Form(texts) = form;
    let query = query(&texts)?;
    let own = visitor.handle();
    let selected = texts.keys().filter_map(|name| name.strip_prefix(SELECTED));
    let mut handles: Vec<SessionHandle> = selected.map(SessionHandle::from).collect();
    handles.retain(|handle| own.as_ref() != Some(handle));
    handles.sort_unstable();
    if handles.is_empty() {
        let address = visitor
            .go_on(query.address(), Notice::NothingSelected, marks)
            .await;
        return Ok(Page::NextWith(format!("{address}#sessions")));
    }
    let mut found = Vec::new();
    for handle in handles.iter().take(NAMED) {
        found.extend(sessions.find(handle.clone()).await.ok().flatten());
    }
    let mut items = lines(&visitor, users, found).await?;
    if handles.len() > NAMED {
        items.push(format!("and {} more", handles.len() - NAMED));
    }
    let number = handles.len();
    let (plural, they) = if number == 1 {
        ("", "It is")
    } else {
        ("s", "They are")
    };
    let title = format!("End {number} session{plural}?");
    let mut consent = Consent {
        text: format!("{they} signed out at once. This cannot be undone."),
        items,
        ..question(&query, title, "/admin/sessions/revoke")
    };
    let named = handles
        .iter()
        .map(|handle| (format!("{SELECTED}{handle}"), "on".to_owned()));
    consent.fields.extend(named);
    let confirmed = match visitor
        .consents(&consent, users, trail, given(&texts))
        .await?
    {
        Confirmed::NotYet(page) => return Ok(page),
        confirmed => confirmed,
    };
    let by = visitor.admin.name();
    let admin = sessions.with_context(visitor.context());
    for handle in &handles {
        revoke::any_session(&admin, handle, by, trail).await?;
    }
    go_back(
        &visitor,
        confirmed,
        &query,
        Notice::SessionsEnded,
        marks,
        trail,
    )
    .await
}

/// Ends all sessions of a user or of an address.
#[post("/admin/sessions/revoke-all", data = "<form>")]
async fn revoke_all(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    user_sessions: &State<UserSessions>,
    marks: &State<Marks>,
    trail: Trail,
    form: Form<Texts>,
) -> PageResult {
    let Form(texts) = form;
    let query = query(&texts)?;
    // A form of another page returns there.
    let back = Next::new(text(&texts, "back"));
    let (subject, field, name) = match (text(&texts, "user"), text(&texts, "ip")) {
        (Some(id), None) if !id.trim().is_empty() && !id.contains('\0') => {
            let id = UserId::from(id);
            let user = users.find(&id).await?;
            let name = user.map_or_else(|| id.to_string(), |user| user.username);
            (Subject::UserId(id.clone()), ("user", id.to_string()), name)
        }
        (None, Some(ip)) => {
            let ip = ip.parse::<IpAddr>().map_err(|_| {
                ApiError::unprocessable(format!("ip: {ip:?} is not an IPv4 or IPv6 address"))
            })?;
            (Subject::Address(ip), ("ip", ip.to_string()), ip.to_string())
        }
        _ => {
            let message = "no session was ended: the form must name one user or one address";
            return Err(ApiError::unprocessable(message));
        }
    };
    let mut consent = ask_all(users, sessions, &query, &subject, field, &name).await?;
    if let Some(address) = back.field() {
        address.clone_into(&mut consent.back);
        consent.fields.push(("back".to_owned(), address.to_owned()));
    }
    let confirmed = match visitor
        .consents(&consent, users, trail, given(&texts))
        .await?
    {
        Confirmed::NotYet(page) => return Ok(page),
        confirmed => confirmed,
    };
    let administration = Administration {
        users,
        all: sessions,
        sessions: user_sessions,
        acting: visitor.acting(trail),
    };
    let notice = match &subject {
        Subject::Address(ip) => {
            administration.end_address(*ip).await?;
            Notice::AddressEnded
        }
        Subject::UserId(id) => {
            administration.sign_out(id).await?;
            Notice::UserSignedOut
        }
        _ => return Err(ApiError::internal()),
    };
    // The visitor's own session may be among those that have ended.
    let mark = marks.mark(notice);
    if let Some(own) = visitor.handle()
        && sessions.find(own).await?.is_none()
    {
        return Ok(Page::NextWith(format!("/signed-out?done={mark}")));
    }
    let Some(address) = back.field() else {
        return go_back(&visitor, confirmed, &query.first(), notice, marks, trail).await;
    };
    if let Some(session) = &visitor.session {
        confirmed.renew(session, trail).await?;
    }
    let address = visitor.go_on(address.to_owned(), notice, marks).await;
    Ok(Page::NextWith(address))
}

async fn ask_all(
    users: &Users,
    sessions: &SessionAdmin,
    query: &Query,
    subject: &Subject,
    (field, value): (&'static str, String),
    name: &str,
) -> Result<Consent, ApiError> {
    let search = Search {
        subject: subject.clone(),
        text: None,
        filter: None,
        chosen: None,
        start: Start::First,
        limit: 1,
    };
    let (number, has_more) = search
        .count(&Results::default(), users.now(), sessions)
        .await?
        .unwrap_or_default();
    let more = if has_more { "more than " } else { "" };
    let plural = if number == 1 { "session" } else { "sessions" };
    let title = match subject {
        Subject::Address(_) => format!("End all sessions of {name}?"),
        _ => format!("Sign out {name} everywhere?"),
    };
    let text = format!(
        "This ends {more}{} {plural} at once. It cannot be undone.",
        grouped(number)
    );
    let mut consent = Consent {
        text,
        ..question(query, title, "/admin/sessions/revoke-all")
    };
    consent.fields.push((field.to_owned(), value));
    Ok(consent)
}

async fn lines(
    visitor: &AdminViewer,
    users: &Users,
    found: Vec<SessionRecord>,
) -> Result<Vec<String>, ApiError> {
    let items = items(visitor, users, found).await?;
    Ok(items.iter().map(super::item::Item::line).collect())
}

/// Ends the administrator's own session.
async fn end_own(
    visitor: &AdminViewer,
    marks: &Marks,
    trail: Trail,
    handle: &SessionHandle,
) -> PageResult {
    let Some(session) = &visitor.session else {
        return Err(ApiError::internal());
    };
    let was_signed_in = session.user_id().is_some();
    session.logout().await?;
    let by = Admin::name(&visitor.admin);
    trail.event(Event::Logout).by(by).session(handle).write();
    Ok(if was_signed_in {
        Page::Next("/signed-out")
    } else {
        let mark = marks.mark(Notice::SessionEnded);
        Page::NextWith(format!("{}?done={mark}", Tab::Sessions.path()))
    })
}

pub(super) fn routes() -> Vec<Route> {
    routes![revoke_one, revoke_selected, revoke_all]
}
