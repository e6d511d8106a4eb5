//! `sessions list` and `sessions show`. `revoke` and `clear` are in `revoke`.

mod revoke;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use rocket_diesel_sessions::store::{
    ScanSessions, SessionRecord, SessionScope, SessionStore, StoreError, UserStore,
};
use rocket_diesel_sessions::{Clock, DieselStore, SessionHandle, SystemClock, UserId};
use rocket_diesel_sessions_app::api::csv;
use rocket_diesel_sessions_app::api::views::{SessionDetail, SessionList};
use rocket_diesel_sessions_app::search::{Cursor, Filter, Matcher, Sort, Walk};
use rocket_diesel_sessions_app::words;

use super::database::{Access, Database};
use super::terminal::output::{note, say_file, say_json};
use super::terminal::table::{Table, date, distance, or_dash, printable_lines};
use super::{Failure, parse, say, users};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists live sessions, with their deadlines as they are stored.
    List(List),
    /// Shows a session and its data.
    Show {
        /// The handle of the session, which is the `id` in a list.
        handle: SessionHandle,
        /// Prints JSON in the format of the HTTP API.
        #[arg(long)]
        json: bool,
    },
    /// Ends sessions at once: those with the given handles, or all of a user or an address.
    Revoke(revoke::Revoke),
    /// Ends every session, which signs out everyone.
    Clear(revoke::Clear),
}

impl Command {
    /// Checks what arguments say together.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::List(arguments) => arguments.check(),
            _ => Ok(()),
        }
    }

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
  rocket_diesel_sessions sessions list --device firefox --signed-in
  rocket_diesel_sessions sessions list --expiring 15m --limit 10
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
    /// Only sessions of users.
    #[arg(long, conflicts_with = "anonymous")]
    signed_in: bool,
    /// Only sessions that have not been used for this long, such as 30m or 12h.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    idle: Option<Duration>,
    /// Only sessions that expire within this time unless they are used.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    expiring: Option<Duration>,
    /// Only sessions of devices whose names contain this, such as "firefox on windows".
    #[arg(long, value_name = "TEXT")]
    device: Option<String>,
    /// Only sessions that show this: the beginning of a handle or an address, a part of a username or a
    /// device, or a whole lookup id or id of a user.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// The order: newest, the newest token first, or expiring, the session that expires first. By default
    /// expiring with --idle or --expiring, else newest.
    #[arg(long, value_name = "ORDER", value_parser = parse::sort())]
    sort: Option<Sort>,
    /// The maximum number of sessions, from 1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Continues an earlier list from its `next`.
    #[arg(long, value_name = "CURSOR", value_parser = parse::session_cursor)]
    after: Option<Cursor>,
    #[command(flatten)]
    format: Format,
}

/// The format of a list. Without one, it is a table for people.
#[derive(Args)]
struct Format {
    /// Prints JSON in the format of the HTTP API.
    #[arg(long)]
    json: bool,
    /// Prints CSV, with the columns of the exported file.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// What a page of the list shows.
struct Page {
    sessions: Vec<SessionRecord>,
    next: Option<Cursor>,
}

impl List {
    fn filters(&self) -> impl Iterator<Item = Filter> {
        let filters = [
            self.anonymous.then_some(Filter::Anonymous),
            self.signed_in.then_some(Filter::SignedIn),
            self.idle.map(Filter::Idle),
            self.expiring.map(Filter::Expiring),
        ];
        filters.into_iter().flatten()
    }

    fn sort(&self) -> Sort {
        self.sort.unwrap_or_else(|| Sort::of(self.filters()))
    }

    /// # Errors
    /// If the cursor is of a list in another order.
    fn check(&self) -> Result<(), String> {
        let sort = self.sort();
        match &self.after {
            Some(after) if after.sort != sort => Err(format!(
                "--after {after} is of a list that is sorted by {}, and this one is sorted by {sort}; \
                 repeat the options of that list",
                after.sort,
            )),
            _ => Ok(()),
        }
    }

    /// Whether only some sessions are asked for, or only the rest of a list.
    fn is_partial(&self) -> bool {
        !self.matcher().admits_all() || self.ip.is_some() || self.after.is_some()
    }

    /// Returns what is asked of each session that an index does not find.
    fn matcher(&self) -> Matcher {
        let mut matcher = Matcher::new();
        for filter in self.filters() {
            matcher = matcher.filter(filter);
        }
        if let Some(device) = &self.device {
            matcher = matcher.device(device);
        }
        match &self.search {
            Some(text) => matcher.text(text),
            None => matcher,
        }
    }

    /// Reads on until the page is full and another session is found, or all sessions are read.
    fn page(
        &self,
        store: &DieselStore,
        user: Option<UserId>,
        now: DateTime<Utc>,
    ) -> Result<Page, StoreError> {
        let (sort, mut matcher) = (self.sort(), self.matcher());
        let mut scan = ScanSessions::new(now, 0);
        scan.after = self.after.map(|after| after.place);
        scan.order = sort.order();
        scan.scope = match (user, self.ip, sort) {
            (Some(id), ..) => SessionScope::User(id),
            // The index of addresses has one order.
            (None, Some(ip), Sort::Newest) => SessionScope::Address(ip),
            (None, ..) => SessionScope::All,
        };
        if let Some(ip) = self.ip {
            matcher = matcher.ip(ip);
        }
        // One more, to detect a next page.
        let mut walk = Walk::new(scan, matcher, self.limit + 1).to_the_end();
        while let Some(step) = walk.step() {
            let step = store.scan(&step)?;
            let names = if walk.needs_names() {
                let met = step.sessions.iter().map(|one| &one.session);
                names(met, store)?
            } else {
                HashMap::new()
            };
            walk.take(step, &names);
        }
        let (mut found, limit) = (walk.found().sessions, self.limit as usize);
        let has_more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| has_more);
        Ok(Page {
            next: last.map(|last| Cursor::new(last.place, sort)),
            sessions: found.into_iter().map(|one| one.session).collect(),
        })
    }
}

pub(super) fn run(command: &Command, database: &Database) -> Result<(), Failure> {
    let (store, now) = (&database.store, SystemClock.now());
    match command {
        Command::List(arguments) => list(arguments, store, now),
        Command::Show { handle, json } => show(handle, *json, store, now),
        Command::Revoke(arguments) => revoke::revoke(arguments, database, now),
        Command::Clear(arguments) => revoke::clear(arguments, database, now),
    }
}

fn list(arguments: &List, store: &DieselStore, now: DateTime<Utc>) -> Result<(), Failure> {
    let user = arguments.user.as_deref();
    let user = user.map(|name| users::find(store, name)).transpose()?;
    let page = arguments.page(store, user.map(|user| user.id), now)?;
    if arguments.format.json {
        let sessions = with_data(page.sessions, store)?;
        return say_json(&SessionList::new(sessions, page.next));
    }
    let Page { sessions, next } = page;
    let names = names(&sessions, store)?;
    if arguments.format.csv {
        let name = |id| names.get(id).map(String::as_str);
        let rows = sessions.iter();
        let rows = rows.map(|session| (session, session.user_id.as_ref().and_then(name)));
        say_file(&csv::sessions(rows))?;
    } else if sessions.is_empty() && arguments.is_partial() {
        say("no sessions match")?;
    } else if sessions.is_empty() {
        say("no live sessions")?;
    } else {
        say(table(sessions, &names, now))?;
    }
    if let Some(next) = next {
        note(&format!("there are more: --after {next}"));
    }
    Ok(())
}

fn table(
    sessions: Vec<SessionRecord>,
    names: &HashMap<UserId, String>,
    now: DateTime<Utc>,
) -> Table {
    let header = ["SESSION", "USER", "DEVICE", "IP", "LAST SEEN", "EXPIRES"];
    let mut table = Table::of_rows(&header, 1);
    let name = |id: &UserId| names.get(id).map_or_else(|| id.to_string(), String::clone);
    for session in sessions {
        table.row([
            session.id.to_string(),
            or_dash(session.user_id.as_ref().map(name)),
            words::name(session.user_agent.as_deref()),
            or_dash(session.ip),
            distance(session.last_seen_at, now),
            distance(session.expires_at, now),
        ]);
    }
    table
}

/// Returns the names of the sessions' users, by id.
fn names<'s>(
    sessions: impl IntoIterator<Item = &'s SessionRecord>,
    store: &DieselStore,
) -> Result<HashMap<UserId, String>, StoreError> {
    let sessions = sessions.into_iter();
    let mut ids: Vec<UserId> = sessions.filter_map(|s| s.user_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let users = store.users(&ids)?;
    Ok(users.into_iter().map(|u| (u.id, u.username)).collect())
}

/// Returns the sessions with their data. Those that have ended in the meantime, or cannot be read, are
/// left out.
fn with_data(
    sessions: Vec<SessionRecord>,
    store: &DieselStore,
) -> Result<Vec<SessionRecord>, StoreError> {
    let mut found = Vec::with_capacity(sessions.len());
    for session in sessions {
        match store.find(&session.id) {
            Ok(session) => found.extend(session),
            Err(StoreError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
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
    let names = names([&session], store)?;
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
