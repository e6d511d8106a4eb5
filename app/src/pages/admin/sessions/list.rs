//! The list of sessions.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::{SessionAdmin, SessionError};

use super::item::{Item, items};
use super::query::{Fields, Query};
use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::pages::admin::shell::{Shell, Tab};
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::notice::Marks;
use crate::pages::page::{Page, PageResult};
use crate::search::server::{Results, Search, Subject};
use crate::search::{Filter, READ, Sort};
use crate::words::grouped;

/// The filters that are offered.
const FILTERS: [(&str, &str); 6] = [
    ("", "All"),
    ("signed-in", "Signed in"),
    ("anonymous", "Anonymous"),
    ("idle", "Idle over 1 hour"),
    ("idle-12h", "Idle over 12 hours"),
    ("expiring", "Expiring within 1 hour"),
];

/// A link that changes what the list shows.
struct Choice {
    label: &'static str,
    address: String,
    is_current: bool,
}

/// All sessions of a user or an address, which can be ended together.
struct Together {
    /// `user` or `ip`.
    field: &'static str,
    value: String,
    /// As in "All 12 sessions of ada".
    what: String,
    verb: &'static str,
}

#[derive(Template)]
#[template(path = "admin/sessions.html")]
struct ListPage {
    frame: Frame,
    shell: Shell,
    now: DateTime<Utc>,
    query: Query,
    items: Vec<Item>,
    filters: Vec<Choice>,
    sorts: Vec<Choice>,
    /// How many sessions there are, in words.
    total: Option<String>,
    together: Option<Together>,
    newer: Option<String>,
    older: Option<String>,
    /// How many rows were read if that was not enough to fill the page.
    searched: Option<u64>,
}

impl ListPage {
    /// The address of the first page.
    fn first(&self) -> String {
        self.query.first().address()
    }
}

fn choices(query: &Query) -> Vec<Choice> {
    let choice = |(text, label): (&str, &'static str)| {
        let filter = text.parse::<Filter>().ok();
        let chosen = Query {
            filter,
            sort: None,
            ..query.first()
        };
        Choice {
            label,
            address: chosen.address(),
            is_current: query.filter == filter,
        }
    };
    FILTERS.into_iter().map(choice).collect()
}

/// The orders that an index serves. The sessions of an address have only one.
fn sorts(query: &Query, subject: &Subject) -> Vec<Choice> {
    if matches!(subject, Subject::Address(_) | Subject::One(_)) {
        return Vec::new();
    }
    let orders = [
        (Sort::Newest, "Newest"),
        (Sort::Expiring, "Expiring soonest"),
    ];
    let choice = |(sort, label)| Choice {
        label,
        address: Query {
            sort: Some(sort),
            ..query.first()
        }
        .address(),
        is_current: query.order() == sort,
    };
    orders.map(choice).into_iter().collect()
}

/// Returns the number of sessions in words, if it is known: exactly, or as good as it is.
async fn total(
    search: &Search<'_>,
    results: &Results,
    now: DateTime<Utc>,
    sessions: &SessionAdmin,
) -> Result<Option<String>, SessionError> {
    let plural = |number: u64| if number == 1 { "session" } else { "sessions" };
    // The list is of use without its total.
    if let Ok(Some((number, has_more))) = search.count(results, now, sessions).await {
        let more = if has_more { "More than " } else { "" };
        return Ok(Some(format!(
            "{more}{} {}",
            grouped(number),
            plural(number)
        )));
    }
    let (Subject::Everyone, None) = (&search.subject, search.text) else {
        return Ok(None);
    };
    let Ok(stats) = sessions.stats(1).await else {
        return Ok(None);
    };
    let number = match search.filter {
        None if stats.is_minimum => {
            let over = grouped(stats.active - 1);
            return Ok(Some(format!("More than {over} sessions")));
        }
        Some(_) if stats.is_minimum => return Ok(None),
        None => stats.active,
        Some(Filter::SignedIn) => stats.signed_in,
        Some(Filter::Anonymous) => stats.active.saturating_sub(stats.signed_in),
        Some(_) => return Ok(None),
    };
    let about = if stats.is_exact { "" } else { "About " };
    Ok(Some(format!(
        "{about}{} {}",
        grouped(number),
        plural(number)
    )))
}

/// Returns what can be ended together: all sessions of the user or address that the search names.
fn together(search: &Search<'_>, total: Option<&str>) -> Option<Together> {
    let total = total.filter(|total| !total.starts_with("0 "))?;
    let (field, value, name, verb) = match &search.subject {
        Subject::User(user) => {
            let verb = "Sign out everywhere";
            ("user", user.id.to_string(), user.username.clone(), verb)
        }
        Subject::Address(ip) => ("ip", ip.to_string(), ip.to_string(), "End them all"),
        _ => return None,
    };
    let what = format!("{total} of {name}");
    Some(Together {
        field,
        value,
        what,
        verb,
    })
}

/// Returns the addresses of the pages before and after this one.
fn neighbours(query: &Query, results: &Results) -> (Option<String>, Option<String>) {
    let address = |query: Query| query.address();
    let ends = results.sessions.first().zip(results.sessions.last());
    if query.is_backwards() {
        let newer = results.next.map(|next| address(query.before(next)));
        let older = ends.map(|(_, last)| address(query.after(last.place)));
        return (newer, older);
    }
    let newer = ends.filter(|_| !query.is_first());
    (
        newer.map(|(first, _)| address(query.before(first.place))),
        results.next.map(|next| address(query.after(next))),
    )
}

#[get("/admin/sessions?<q>&<filter>&<sort>&<after>&<before>&<done>")]
#[expect(clippy::too_many_arguments, reason = "one per field of the query")]
async fn page(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    marks: &State<Marks>,
    q: Option<&str>,
    filter: Option<&str>,
    sort: Option<&str>,
    after: Option<&str>,
    before: Option<&str>,
    done: Option<&str>,
) -> PageResult {
    let query = Query::parse(Fields {
        q,
        filter,
        sort,
        after,
        before,
    })?;
    show(
        &visitor,
        users,
        sessions,
        query,
        done.and_then(|mark| marks.read(mark)),
    )
    .await
}

async fn show(
    visitor: &AdminViewer,
    users: &Users,
    sessions: &SessionAdmin,
    query: Query,
    done: Option<crate::pages::notice::Notice>,
) -> PageResult {
    let search = query.search(users, sessions).await?;
    let results = search.run(users, sessions).await?;
    if query.is_backwards() && results.next.is_none() {
        // The first page, which is to be full.
        return Ok(Page::NextWith(format!(
            "{}#sessions",
            query.first().address()
        )));
    }
    let now = users.now();
    let total = total(&search, &results, now, sessions).await?;
    let (newer, older) = neighbours(&query, &results);
    let is_part = results.next.is_some() && results.read >= READ;
    let records = results
        .sessions
        .into_iter()
        .map(|one| one.session)
        .collect();
    Page::show(&ListPage {
        items: items(visitor, users, records).await?,
        frame: visitor.frame(users, done).await?,
        shell: Shell::of(Tab::Sessions, visitor),
        now,
        filters: choices(&query),
        sorts: sorts(&query, &search.subject),
        together: together(&search, total.as_deref()),
        total,
        newer,
        older,
        searched: is_part.then_some(results.read.into()),
        query: query.clone(),
    })
}

pub(super) fn routes() -> Vec<Route> {
    routes![page]
}

/// Returns the error of a session that is not there.
pub(super) fn not_found() -> ApiError {
    let message = "there is no session with this handle; it may have ended";
    ApiError::new(rocket::http::Status::NotFound, "not_found", message)
        .in_other_words("There is no such session. It may have ended.")
}
