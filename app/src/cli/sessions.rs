//! `sessions list` and `sessions show`. `revoke` and `clear` are in `revoke`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use rocket_diesel_sessions::admin::SessionPage;
use rocket_diesel_sessions::store::{
    ListSessions, SessionFilter, SessionRecord, SessionStore, StoreError, UserStore,
};
use rocket_diesel_sessions::{Clock, DieselStore, SessionHandle, SystemClock, UserId};
use rocket_diesel_sessions_app::api::views::{SessionDetail, SessionList};
use rocket_diesel_sessions_app::words;
use uuid::Uuid;

use super::database::{Access, Database};
use super::terminal::output::{note, say_json};
use super::terminal::table::{Table, date, distance, or_dash, printable_lines};
use super::{Failure, parse, revoke, say, users};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists live sessions, newest token first.
    List(List),
    /// Shows all that is stored of a session, except the hash of its token.
    Show {
        /// The handle of the session, which is the `id` in a list.
        handle: SessionHandle,
        /// Prints JSON in the format of the HTTP API.
        #[arg(long)]
        json: bool,
    },
    /// Ends sessions at once: those with the given handles, or all of a user.
    Revoke(revoke::Revoke),
    /// Ends every session, which signs out everyone.
    Clear(revoke::Clear),
}

impl Command {
    pub(super) fn access(&self) -> Access {
        match self {
            Self::List(_) | Self::Show { .. } => Access::Read,
            Self::Revoke(arguments) => arguments.access(),
            Self::Clear(arguments) => arguments.access(),
        }
    }
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  rocket_diesel_sessions sessions list --user ada
  rocket_diesel_sessions sessions list --anonymous --idle 12h
  rocket_diesel_sessions sessions list --ip 203.0.113.7 --json")]
pub(super) struct List {
    /// Only sessions of this user, by name or id.
    #[arg(long, value_name = "NAME", conflicts_with = "anonymous")]
    user: Option<String>,
    /// Only sessions that were last used from this address.
    #[arg(long)]
    ip: Option<IpAddr>,
    /// Only sessions of visitors who are not signed in.
    #[arg(long)]
    anonymous: bool,
    /// Only sessions that have not been used for this long, such as 30m or 12h.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    idle: Option<Duration>,
    /// The maximum number of sessions, from 1 to 1000.
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
    fn filter(&self, now: DateTime<Utc>) -> SessionFilter {
        // A duration that reaches back further than dates do. No session was used before that.
        let ago = |idle| now.checked_sub_signed(chrono::TimeDelta::from_std(idle).ok()?);
        let mut filter = SessionFilter::default();
        filter.ip = self.ip;
        filter.anonymous = self.anonymous;
        filter.unused_since = self
            .idle
            .map(|idle| ago(idle).unwrap_or(DateTime::UNIX_EPOCH));
        filter
    }
}

pub(super) fn run(command: &Command, database: &Database) -> Result<(), Failure> {
    let (store, now) = (&database.store, SystemClock.now());
    match command {
        Command::List(arguments) => list(arguments, store, now),
        Command::Show { handle, json } => show(handle, *json, store, now),
        Command::Revoke(arguments) => revoke::revoke(arguments, store, now),
        Command::Clear(arguments) => revoke::clear(arguments, database, now),
    }
}

fn list(arguments: &List, store: &DieselStore, now: DateTime<Utc>) -> Result<(), Failure> {
    let user = arguments.user.as_deref();
    let user = user.map(|name| users::find(store, name)).transpose()?;
    let mut query = ListSessions::new(now, arguments.limit);
    query.after = arguments.after;
    query.user_id = user.map(|user| user.id);
    let filter = arguments.filter(now);
    let page = SessionPage::read(&query, |query| store.list_filtered(query, &filter))?;
    if arguments.json {
        return say_json(&SessionList::from(page));
    }
    let SessionPage { sessions, next, .. } = page;
    if sessions.is_empty() {
        return say("no live sessions");
    }
    let names = names(&sessions, store)?;
    let header = ["SESSION", "USER", "DEVICE", "IP", "LAST SEEN", "EXPIRES"];
    let mut table = Table::of_rows(&header, 1);
    for session in sessions {
        let name = |id: &UserId| names.get(id).map_or_else(|| id.to_string(), String::clone);
        table.row([
            session.id.to_string(),
            or_dash(session.user_id.as_ref().map(name)),
            words::name(session.user_agent.as_deref()),
            or_dash(session.ip),
            distance(session.last_seen_at, now),
            distance(session.expires_at, now),
        ]);
    }
    say(table)?;
    if let Some(next) = next {
        note(&format!("there are more: --after {next}"));
    }
    Ok(())
}

/// Returns the names of the sessions' users, by id.
fn names(
    sessions: &[SessionRecord],
    store: &DieselStore,
) -> Result<HashMap<UserId, String>, StoreError> {
    let mut ids: Vec<UserId> = sessions.iter().filter_map(|s| s.user_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let users = store.users(&ids)?;
    Ok(users.into_iter().map(|u| (u.id, u.username)).collect())
}

fn show(
    handle: &SessionHandle,
    json: bool,
    store: &DieselStore,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let session = store.find(handle)?.ok_or_else(|| {
        format!("there is no session with the handle {handle}; `sessions list` shows the live ones")
    })?;
    if json {
        return say_json(&SessionDetail::from(session));
    }
    let names = names(std::slice::from_ref(&session), store)?;
    let user = session.user_id.map(|id| match names.get(&id) {
        Some(name) => format!("{name} ({id})"),
        None => id.to_string(),
    });
    say(Table::of_fields([
        ("id", session.id.to_string()),
        ("sessionId", session.session_id.to_string()),
        ("user", or_dash(user)),
        ("device", words::name(session.user_agent.as_deref())),
        ("userAgent", or_dash(session.user_agent)),
        ("ip", or_dash(session.ip)),
        ("createdAt", date(session.created_at, now)),
        ("updatedAt", date(session.updated_at, now)),
        ("lastSeenAt", date(session.last_seen_at, now)),
        ("expiresAt", date(session.expires_at, now)),
        ("absoluteExpiresAt", date(session.absolute_expires_at, now)),
        ("version", session.version.to_string()),
    ]))?;
    let data = words::data(&session.data);
    say(format_args!("data:\n{}", printable_lines(&data)))
}
