//! `sessions list | show | revoke | clear`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use rocket::serde::json::{Value, from_str, to_pretty_string};
use rocket_diesel_sessions::app::device;
use rocket_diesel_sessions::app::view::{SessionDetail, SessionList};
use rocket_diesel_sessions::{
    Clock, DieselStore, EndReason, ListSessions, Revocation, RevokeScope, SessionPage,
    SessionRecord, SessionStore, StoreError, SystemClock, UserStore, clear_all,
};
use uuid::Uuid;

use super::database::Database;
use super::output::{count, say_json};
use super::stats::note_ended;
use super::table::{Table, date, distance, or_dash, printable, printable_lines};
use super::{Failure, ask, say, users};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists live sessions, newest token first.
    List(List),
    /// Shows all that is kept of a session, but the hash of its token.
    Show {
        /// The session's public handle, the `id` of a list.
        handle: String,
        /// For programs: as the HTTP API answers.
        #[arg(long)]
        json: bool,
    },
    /// Ends sessions at once: some by their handles, or all of a user.
    Revoke {
        /// Public handles of sessions.
        #[arg(required_unless_present = "user", conflicts_with = "user")]
        handles: Vec<String>,
        /// All sessions of this user, by name or id.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Ends every session that there is: everybody is signed out.
    Clear {
        /// Does not ask first.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args)]
pub(super) struct List {
    /// Only sessions of this user, by name or id.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// How many at most, 1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Goes on where an earlier list has ended: its `next`.
    #[arg(long, value_name = "CURSOR", value_parser = cursor)]
    after: Option<Uuid>,
    /// For programs: as the HTTP API answers.
    #[arg(long)]
    json: bool,
}

fn cursor(cursor: &str) -> Result<Uuid, String> {
    Uuid::try_parse(cursor)
        .ok()
        .filter(|uuid| uuid.get_version_num() == 7)
        .ok_or_else(|| "it is not the `next` of an earlier list".to_owned())
}

pub(super) fn run(command: Command, database: &Database) -> Result<(), Failure> {
    let (store, now) = (&database.store, SystemClock.now());
    match command {
        Command::List(arguments) => list(&arguments, store, now),
        Command::Show { handle, json } => show(&handle, json, store, now),
        Command::Revoke {
            user: Some(name), ..
        } => revoke_all_of(&name, store),
        Command::Revoke { handles, .. } => revoke(&handles, store),
        Command::Clear { yes } => clear(yes, database, now),
    }
}

fn list(arguments: &List, store: &DieselStore, now: DateTime<Utc>) -> Result<(), Failure> {
    let user = arguments.user.as_deref();
    let user = user.map(|name| users::find(store, name)).transpose()?;
    let mut sessions = store.list(&ListSessions {
        now,
        after: arguments.after,
        user_id: user.map(|user| user.id),
        // One more, to know whether there is a next page.
        limit: arguments.limit + 1,
    })?;
    let limit = arguments.limit as usize;
    let more = sessions.len() > limit;
    sessions.truncate(limit);
    let next = sessions.last().filter(|_| more).map(|last| last.session_id);
    if arguments.json {
        return say_json(&SessionList::from(SessionPage { sessions, next }));
    }
    if sessions.is_empty() {
        return say("no live sessions");
    }
    let names = names(&sessions, store)?;
    let header = ["SESSION", "USER", "DEVICE", "IP", "LAST SEEN", "EXPIRES"];
    let mut table = Table::of_rows(&header, 1);
    for session in sessions {
        let name = |id: &String| names.get(id).unwrap_or(id).clone();
        table.row([
            session.id,
            or_dash(session.user_id.as_ref().map(name)),
            device::name(session.user_agent.as_deref()),
            or_dash(session.ip),
            distance(session.last_seen_at, now),
            distance(session.expires_at, now),
        ]);
    }
    say(table)?;
    if let Some(next) = next {
        eprintln!("there are more: --after {next}");
    }
    Ok(())
}

/// The names of the sessions' users, by id.
fn names(
    sessions: &[SessionRecord],
    store: &DieselStore,
) -> Result<HashMap<String, String>, StoreError> {
    let mut ids: Vec<String> = sessions.iter().filter_map(|s| s.user_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let users = store.users(&ids)?;
    Ok(users.into_iter().map(|u| (u.id, u.username)).collect())
}

fn show(handle: &str, json: bool, store: &DieselStore, now: DateTime<Utc>) -> Result<(), Failure> {
    let session = store
        .find(handle)?
        .ok_or_else(|| no_such(&[handle.to_owned()]))?;
    if json {
        return say_json(&SessionDetail::from(session));
    }
    let names = names(std::slice::from_ref(&session), store)?;
    let user = session.user_id.map(|id| match names.get(&id) {
        Some(name) => format!("{name} ({id})"),
        None => id,
    });
    say(Table::of_fields([
        ("id", session.id),
        ("sessionId", session.session_id.to_string()),
        ("user", or_dash(user)),
        ("device", device::name(session.user_agent.as_deref())),
        ("userAgent", or_dash(session.user_agent)),
        ("ip", or_dash(session.ip)),
        ("createdAt", date(session.created_at, now)),
        ("updatedAt", date(session.updated_at, now)),
        ("lastSeenAt", date(session.last_seen_at, now)),
        ("expiresAt", date(session.expires_at, now)),
        ("absoluteExpiresAt", date(session.absolute_expires_at, now)),
        ("version", session.version.to_string()),
    ]))?;
    say(format_args!("data:\n{}", pretty(&session.data)))
}

/// Data as JSON on several lines; what is no JSON as it is.
fn pretty(data: &str) -> String {
    let json = from_str::<Value>(data).and_then(|value| to_pretty_string(&value));
    printable_lines(&json.unwrap_or_else(|_| data.to_owned()))
}

fn revoke(handles: &[String], store: &DieselStore) -> Result<(), Failure> {
    let ended = store.delete(handles)?;
    note_ended(store, EndReason::Revoked, ended.len());
    for handle in &ended {
        say(format_args!("ended {handle}"))?;
    }
    let missing: Vec<String> = handles
        .iter()
        .filter(|handle| !ended.contains(handle))
        .cloned()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(no_such(&missing))
}

fn revoke_all_of(name: &str, store: &DieselStore) -> Result<(), Failure> {
    let user = users::find(store, name)?;
    let revocation = Revocation {
        user_id: user.id,
        scope: RevokeScope::All,
        by: None,
    };
    let ended = store.revoke(&revocation)?.unwrap_or_default().len();
    note_ended(store, EndReason::Revoked, ended);
    say(format_args!(
        "ended {} of {}",
        count(ended, "session"),
        printable(&user.username)
    ))
}

fn no_such(handles: &[String]) -> Failure {
    format!(
        "there is no session with the handle {}; `sessions list` shows them",
        handles.join(" or ")
    )
    .into()
}

fn clear(yes: bool, database: &Database, now: DateTime<Utc>) -> Result<(), Failure> {
    let Database { url, store } = database;
    let question = format!("End all sessions in {url}? Everybody is signed out.");
    let otherwise = "this ends all sessions and cannot be undone: give --yes to do it";
    if !yes && !ask::agrees(&question, otherwise)? {
        return Err("not confirmed; nothing was changed".into());
    }
    let mut ended = 0;
    let cleared = clear_all(store, now, |batch| {
        ended += batch.len();
        note_ended(store, EndReason::Cleared, batch.len());
    });
    let ended = count(ended, "session");
    match cleared {
        Ok(()) => say(format_args!("{url}: ended {ended}")),
        Err(error) => Err(format!("{error} ({ended} ended before that)").into()),
    }
}
