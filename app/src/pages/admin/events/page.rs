//! The page of events.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::store::{EventPage, ListEvents};
use rocket_diesel_sessions::{SessionAdmin, SessionError, UserId};

use super::line::{Line, lines};
use crate::accounts::users::Users;
use crate::api::admin::events;
use crate::api::query;
use crate::http::error::ApiError;
use crate::pages::admin::paging::{Paging, Place};
use crate::pages::admin::shell::{Shell, Tab};
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::page::{Page, PageResult};
use crate::words;

/// Lines on a page.
const LINES: usize = 50;

/// Events that are read at a time. Some lines stand for several.
const READ: u32 = 200;

/// Events that are read at a time where those have not filled the page.
const READ_ON: u32 = 1000;

/// The most events that are read for a page, since one line may stand for many.
const MOST: usize = 5000;

#[derive(Template)]
#[template(path = "admin/events.html")]
struct EventsPage<'a> {
    frame: Frame,
    shell: Shell,
    now: DateTime<Utc>,
    filter: Filter<'a>,
    /// What is wrong with the filter.
    problem: Option<String>,
    is_recorded: bool,
    lines: Vec<Line>,
    paging: Paging,
    choices: &'a [(&'a str, &'a str)],
    actors: [(&'a str, &'a str); 3],
}

/// What the fields of the filter hold.
#[derive(Clone, Copy, Default)]
struct Filter<'a> {
    user: &'a str,
    event: &'a str,
    actor: &'a str,
}

impl Filter<'_> {
    fn is_set(&self) -> bool {
        !(self.user.is_empty() && self.event.is_empty() && self.actor.is_empty())
    }

    /// Returns whether the event is none of this application's choices, as that of another program.
    fn has_other_event(&self) -> bool {
        let is_choice = |(name, _): &(&str, &str)| *name == self.event;
        !self.event.is_empty() && !words::event::CHOICES.iter().any(is_choice)
    }

    /// Returns the query of the events that the filter keeps, or what is wrong with it.
    async fn query(&self, users: &Users) -> Result<Result<ListEvents, String>, ApiError> {
        let mut query = ListEvents::default();
        query.limit = READ;
        if !self.user.is_empty() {
            let Some(id) = id_of(users, self.user).await? else {
                return Ok(Err(format!("There is no user “{}”.", self.user)));
            };
            query.user_id = Some(id);
        }
        query.event = Some(self.event.to_owned()).filter(|event| !event.is_empty());
        if !self.actor.is_empty() {
            // An administrator who was deleted is known only by the id.
            let of_user = match words::event::actor(self.actor) {
                Some(_) => None,
                None => id_of(users, self.actor).await?,
            };
            query.actor = Some(of_user.map_or_else(|| self.actor.to_owned(), |id| id.to_string()));
        }
        Ok(Ok(query))
    }
}

/// Returns the id of the user with this name or id.
async fn id_of(users: &Users, user: &str) -> Result<Option<UserId>, ApiError> {
    let found = match users.find(&user.into()).await? {
        Some(user) => Some(user),
        None => users.named(user).await?,
    };
    Ok(found.map(|user| user.id))
}

/// Reads events until they fill the lines of a page. Returns `None` if no events are recorded.
async fn read(
    sessions: &SessionAdmin,
    mut query: ListEvents,
) -> Result<Option<EventPage>, SessionError> {
    let mut read = EventPage::default();
    loop {
        let Some(page) = events::page(sessions, query.clone()).await? else {
            return Ok(None);
        };
        read.events.extend(page.events);
        read.next = page.next;
        // The last act may go on in the events that follow.
        let acts = read.events.chunk_by(words::event::belong_together).count();
        if read.next.is_none() || acts > LINES || read.events.len() >= MOST {
            return Ok(Some(read));
        }
        query.after = read.next;
        query.limit = READ_ON;
    }
}

#[get("/admin/events?<user>&<event>&<actor>&<after>&<back>")]
#[expect(clippy::too_many_arguments, reason = "the parts of the query")]
async fn page(
    visitor: AdminViewer,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    user: Option<&str>,
    event: Option<&str>,
    actor: Option<&str>,
    after: Option<&str>,
    back: Option<&str>,
) -> PageResult {
    fn given(field: Option<&str>) -> &str {
        field.map(str::trim).unwrap_or_default()
    }
    let filter = Filter {
        user: given(user),
        event: given(event),
        actor: given(actor),
    };
    let cursor = query::after(after)?;
    let (query, problem) = match filter.query(users).await? {
        Ok(query) => (Some(query), None),
        Err(problem) => (None, Some(problem)),
    };
    let found = match query {
        Some(mut query) => {
            query.after = cursor;
            read(sessions, query).await?
        }
        None => Some(EventPage::default()),
    };
    let is_recorded = found.is_some();
    let EventPage { events, next, .. } = found.unwrap_or_default();
    let (lines, shown) = lines(users, sessions, &events, next.is_some(), LINES).await?;
    let next = if shown < events.len() {
        shown.checked_sub(1).map(|last| events[last].id)
    } else {
        next
    };
    let next = next.map(|next| next.to_string());
    let query = [
        ("user", filter.user),
        ("event", filter.event),
        ("actor", filter.actor),
    ];
    let place = Place { after, back };
    Page::show(&EventsPage {
        frame: visitor.frame(users, None).await?,
        shell: Shell::of(Tab::Events, &visitor),
        now: users.now(),
        filter,
        problem,
        is_recorded,
        lines,
        paging: Paging::new(Tab::Events.path(), &query, place, next.as_deref()),
        choices: &words::event::CHOICES,
        actors: words::event::ACTORS,
    })
}

pub(in crate::pages::admin) fn routes() -> Vec<Route> {
    routes![page]
}
