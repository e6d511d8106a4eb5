//! `events list`: what happened to users and to their sessions, and who caused it.

use std::collections::{HashMap, HashSet};

use clap::{Args, Subcommand};
use rocket_diesel_sessions::store::{EventRecord, EventStore, ListEvents, StoreError, UserStore};
use rocket_diesel_sessions::{Clock, DieselStore, SystemClock, UserId};
use rocket_diesel_sessions_app::api::admin::views::EventList;
use rocket_diesel_sessions_app::words;
use uuid::Uuid;

use super::database::Database;
use super::terminal::output::{note, say_json};
use super::terminal::table::{Table, distance, or_dash};
use super::{Failure, parse, say, users};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists events, newest first.
    List(List),
}

#[derive(Args)]
#[command(after_help = "\
BY is who caused the event, if not the user: an administrator, or the command line.

Examples:
  rocket_diesel_sessions events list --user ada
  rocket_diesel_sessions events list --event signed_out_everywhere --json")]
pub(super) struct List {
    /// Only events of this user, by name or id.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only events of this name, such as login, revoked or `user_disabled`.
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// Only events that this administrator has caused, by name or id, or `command_line`,
    /// `admin_token` or local.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// The maximum number of events, from 1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Continues an earlier list from its `next`.
    #[arg(long, value_name = "CURSOR", value_parser = parse::cursor)]
    after: Option<Uuid>,
    /// Prints JSON in the format of the HTTP API.
    #[arg(long)]
    json: bool,
}

impl List {
    fn query(&self, store: &DieselStore) -> Result<ListEvents, Failure> {
        let user = self.user.as_deref();
        let user = user.map(|name| users::find(store, name)).transpose()?;
        let mut query = ListEvents::default();
        query.user_id = user.map(|user| user.id);
        query.event.clone_from(&self.event);
        query.actor = match self.by.as_deref() {
            Some(by) if words::event::actor(by).is_none() => Some(administrator(store, by)?),
            by => by.map(str::to_owned),
        };
        query.after = self.after;
        // One more, to detect a next page.
        query.limit = self.limit + 1;
        Ok(query)
    }
}

pub(super) fn run(command: &Command, database: &Database) -> Result<(), Failure> {
    let Command::List(arguments) = command;
    let store = &database.store;
    let limit = arguments.limit as usize;
    let mut events = store.events(&arguments.query(store)?)?;
    let has_more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().map(|event| event.id).filter(|_| has_more);
    if arguments.json {
        return say_json(&EventList::new(events, next, database.keeps_events));
    }
    if !database.keeps_events {
        note("sessions.events_retention is 0s, so servers with these settings record no events");
    }
    if events.is_empty() {
        return say("no events");
    }
    say(table(&events, store)?)?;
    if let Some(next) = next {
        note(&format!("there are more: --after {next}"));
    }
    Ok(())
}

/// Returns the id of the administrator with this name or id. One whose account is deleted is found by the
/// id, as long as there are events.
fn administrator(store: &DieselStore, name_or_id: &str) -> Result<String, Failure> {
    let unknown = match users::find(store, name_or_id) {
        Ok(user) => return Ok(user.id.into()),
        Err(unknown) => unknown,
    };
    let mut acts = ListEvents::default();
    acts.actor = Some(name_or_id.to_owned());
    acts.limit = 1;
    if store.events(&acts)?.is_empty() {
        return Err(unknown);
    }
    Ok(name_or_id.to_owned())
}

fn table(events: &[EventRecord], store: &DieselStore) -> Result<Table, StoreError> {
    let now = SystemClock.now();
    let names = names(events, store)?;
    let name = |id: &str| names.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let by = |event: &EventRecord| {
        let actor = event.actor.as_deref()?;
        let shown = match (words::event::actor(actor), &event.actor_name) {
            (Some(word), _) => word.to_owned(),
            // The account is deleted.
            (None, Some(name)) if !names.contains_key(actor) => name.clone(),
            (None, _) => name(actor),
        };
        Some(shown)
    };
    let header = [
        "WHEN", "EVENT", "DETAIL", "USER", "BY", "IP", "DEVICE", "SESSION",
    ];
    let mut table = Table::of_rows(&header, 1);
    for event in events {
        let (_, detail) = words::event::what(event);
        let device = event.user_agent.as_deref();
        let session = Some(event.session.to_string()).filter(|handle| !handle.is_empty());
        table.row([
            distance(event.at, now),
            event.event.clone(),
            or_dash(detail),
            or_dash(event.user_id.as_ref().map(|id| name(id.as_str()))),
            or_dash(by(event)),
            or_dash(event.ip.clone()),
            or_dash(device.map(|agent| words::name(Some(agent)))),
            or_dash(session),
        ]);
    }
    Ok(table)
}

/// Returns the names of the users and administrators of events, by id.
fn names(
    events: &[EventRecord],
    store: &DieselStore,
) -> Result<HashMap<String, String>, StoreError> {
    let of_event = |event: &EventRecord| {
        let actor = event.actor.as_deref().map(UserId::from);
        event.user_id.clone().into_iter().chain(actor)
    };
    let ids: HashSet<UserId> = events.iter().flat_map(of_event).collect();
    let users = store.users(&Vec::from_iter(ids))?;
    Ok(users
        .into_iter()
        .map(|user| (user.id.to_string(), user.username))
        .collect())
}
