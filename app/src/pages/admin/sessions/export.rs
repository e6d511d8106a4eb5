//! What is searched as a file: CSV or JSON.

use rocket::http::{ContentType, Header};
use rocket::serde::json::Json;
use rocket::{Responder, Route, State, get, routes};
use rocket_diesel_sessions::SessionAdmin;

use super::item::{Item, items};
use super::query::{Fields, Query};
use crate::accounts::users::Users;
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

/// The columns of the CSV.
const COLUMNS: [&str; 11] = [
    "handle",
    "lookup_id",
    "user_id",
    "username",
    "device",
    "user_agent",
    "address",
    "created_at",
    "last_seen_at",
    "expires_at",
    "absolute_expires_at",
];

fn row(item: &Item) -> [String; 11] {
    let record = &item.record;
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        record.id.to_string(),
        record.session_id.to_string(),
        item.user_id().to_owned(),
        or_empty(&item.username),
        item.device.clone(),
        or_empty(&record.user_agent),
        or_empty(&record.ip),
        record.created_at.to_rfc3339(),
        record.last_seen_at.to_rfc3339(),
        record.expires_at.to_rfc3339(),
        record.absolute_expires_at.to_rfc3339(),
    ]
}

/// Quotes a field (RFC 4180). Spreadsheets take some beginnings for a formula, which an apostrophe
/// prevents (OWASP, "CSV Injection").
fn field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let apostrophe = if is_formula { "'" } else { "" };
    format!("\"{apostrophe}{}\"", text.replace('"', "\"\""))
}

fn line<'t>(fields: impl IntoIterator<Item = &'t str>) -> String {
    let fields: Vec<String> = fields.into_iter().map(field).collect();
    fields.join(",") + "\r\n"
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
async fn csv(
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
    let mut csv = line(COLUMNS);
    for item in &contents.items {
        csv.push_str(&line(row(item).iter().map(String::as_str)));
    }
    Ok(file(
        csv,
        ContentType::CSV,
        "sessions.csv",
        contents.rest.as_ref(),
    ))
}

/// The sessions in the form of the HTTP API.
#[get("/admin/sessions.json?<q>&<filter>&<sort>&<after>")]
async fn json(
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
    routes![csv, json]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_and_never_a_formula() {
        for (text, quoted) in [
            ("ada", "\"ada\""),
            ("", "\"\""),
            ("a\"b,c\nd", "\"a\"\"b,c\nd\""),
            ("=1+1", "\"'=1+1\""),
            ("@x", "\"'@x\""),
            ("-1", "\"'-1\""),
            ("\t=1", "\"'\t=1\""),
        ] {
            assert_eq!(field(text), quoted);
        }
    }
}
