//! What is searched as a file: CSV or JSON.

use rocket::http::{ContentType, Header};
use rocket::serde::json::Json;
use rocket::{Responder, Route, State, get, routes};
use rocket_diesel_sessions::SessionAdmin;

use super::item::{Item, items};
use super::query::{Fields, Query};
use crate::accounts::users::Users;
use crate::api::csv;
use crate::api::views::SessionList;
use crate::http::error::ApiError;
use crate::pages::admin::viewer::AdminViewer;
use crate::search::Cursor;
use crate::search::server::Start;

/// The most sessions of a file.
const MOST: usize = 10_000;

/// The most pages of a search that are read for a file, 5,000 rows each.
const PAGES: usize = 20;

/// How many sessions a page of the search has.
const PAGE: u32 = 1000;

/// A file to download. Its header `Link` names the rest, if there is more.
#[derive(Responder)]
struct File<T> {
    body: T,
    kind: ContentType,
    name: Header<'static>,
    link: Header<'static>,
}

/// What a file has, and the query of the rest.
struct Contents {
    items: Vec<Item>,
    next: Option<Cursor>,
    rest: Option<Query>,
}

async fn read(
    visitor: &AdminViewer,
    users: &Users,
    sessions: &SessionAdmin,
    query: &Query,
) -> Result<Contents, ApiError> {
    let mut search = query.search(users, sessions).await?;
    search.limit = PAGE;
    let (mut records, mut next) = (Vec::new(), None);
    for _ in 0..PAGES {
        let results = search.run(users, sessions).await?;
        records.extend(results.sessions.into_iter().map(|one| one.session));
        next = results.next;
        match next {
            Some(place) if records.len() < MOST => search.start = Start::After(place),
            _ => break,
        }
    }
    Ok(Contents {
        items: items(visitor, users, records).await?,
        next: next.map(|place| Cursor::new(place, query.order())),
        rest: next.map(|place| query.after(place)),
    })
}

fn file<T>(body: T, kind: ContentType, name: &str, rest: Option<&Query>) -> File<T> {
    let link = rest.map(|rest| format!("</admin/{name}{}>; rel=\"next\"", rest.as_text()));
    let name = format!("attachment; filename=\"{name}\"");
    File {
        body,
        kind,
        name: Header::new("Content-Disposition", name),
        link: match link {
            Some(link) => Header::new("Link", link),
            None => Header::new("X-Complete", "true"),
        },
    }
}

#[get("/admin/sessions.csv?<q>&<filter>&<sort>&<after>")]
async fn as_csv(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    q: Option<&str>,
    filter: Option<&str>,
    sort: Option<&str>,
    after: Option<&str>,
) -> Result<File<String>, ApiError> {
    let query = Query::parse(Fields {
        q,
        filter,
        sort,
        after,
        before: None,
    })?;
    let contents = read(&visitor, users, sessions, &query).await?;
    let items = contents.items.iter();
    let rows = items.map(|item| (&item.record, item.username.as_deref()));
    Ok(file(
        csv::sessions(rows),
        ContentType::CSV,
        "sessions.csv",
        contents.rest.as_ref(),
    ))
}

/// The sessions in the form of the HTTP API.
#[get("/admin/sessions.json?<q>&<filter>&<sort>&<after>")]
async fn as_json(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    q: Option<&str>,
    filter: Option<&str>,
    sort: Option<&str>,
    after: Option<&str>,
) -> Result<File<Json<SessionList>>, ApiError> {
    let query = Query::parse(Fields {
        q,
        filter,
        sort,
        after,
        before: None,
    })?;
    let contents = read(&visitor, users, sessions, &query).await?;
    let mut records = Vec::new();
    for ids in contents.items.chunks(PAGE as usize) {
        let ids = ids.iter().map(|item| item.record.session_id).collect();
        records.extend(sessions.load(ids).await?);
    }
    let list = SessionList::new(records, contents.next);
    let rest = contents.rest.as_ref();
    Ok(file(Json(list), ContentType::JSON, "sessions.json", rest))
}

pub(super) fn routes() -> Vec<Route> {
    routes![as_csv, as_json]
}
