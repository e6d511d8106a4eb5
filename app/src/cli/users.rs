//! `users list` and `users show`. The commands that change users are in `changes`.

mod changes;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use rocket::serde::Serialize;
use rocket_diesel_sessions::admin::StoreAdmin;
use rocket_diesel_sessions::store::{
    EventStore, FindUsers, StoreError, UserPresence, UserRecord, UserStore,
};
use rocket_diesel_sessions::{Clock, DieselStore, SystemClock, UserId};
use rocket_diesel_sessions_app::accounts::new_account::fold_username;
use rocket_diesel_sessions_app::api::admin::views::{UserDetail, UserList};

use super::database::{Access, Database};
use super::terminal::output::say_json;
use super::terminal::table::{Table, date, or_dash};
use super::{Failure, say};

/// How many users a list reads per query.
const PAGE: u32 = 1000;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists users, by name.
    List(List),
    /// Shows all that is stored of a user, except the hash of the password.
    Show {
        /// The user, by name or id.
        name: String,
        /// Prints JSON, with the field names of the HTTP API.
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Change(changes::Command),
}

impl Command {
    pub(super) fn access(&self) -> Access {
        match self {
            Self::List(_) | Self::Show { .. } => Access::Read,
            Self::Change(_) => Access::Write,
        }
    }
}

#[derive(Args)]
#[command(after_help = "\
SINCE is the day on which the user was added, DISABLED the day on which the user was disabled.
LAST SIGN-IN is known as far back as events are kept, or from a live session.

Examples:
  rocket_diesel_sessions users list --admins
  rocket_diesel_sessions users list --search ada
  rocket_diesel_sessions users list --disabled --json")]
pub(super) struct List {
    /// Only users whose names contain this text. Those whose names begin with it come first.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only administrators.
    #[arg(long)]
    admins: bool,
    /// Only users who are disabled.
    #[arg(long)]
    disabled: bool,
    /// Prints JSON, with the field names of the HTTP API.
    #[arg(long)]
    json: bool,
}

impl List {
    fn query(&self) -> FindUsers {
        let mut query = FindUsers::new(PAGE);
        query.text = self.search.as_deref().unwrap_or_default().to_lowercase();
        (query.admins, query.disabled) = (self.admins, self.disabled);
        query
    }
}

pub(super) fn run(command: &Command, database: &Database) -> Result<(), Failure> {
    let now = SystemClock.now();
    match command {
        Command::List(arguments) => list(arguments, database, now),
        Command::Show { name, json } => show(name, *json, database, now),
        Command::Change(command) => changes::run(command, database, now),
    }
}

/// Finds the user with this name or id.
///
/// # Errors
/// If there is none, or if it is the name of one user and the id of another, because visitors choose
/// their names.
pub(super) fn find(store: &DieselStore, name_or_id: &str) -> Result<UserRecord, Failure> {
    let by_name = match fold_username(name_or_id) {
        Ok(name) => store.user_by_name(&name)?,
        Err(_) => None,
    };
    match (by_name, store.user(&name_or_id.into())?) {
        (Some(named), Some(other)) if named.id != other.id => Err(format!(
            "{name_or_id:?} is the name of one user and the id of another; use the first one's \
             id, {}, or the second one's name, {}",
            named.id, other.username
        )
        .into()),
        (Some(user), _) | (None, Some(user)) => Ok(user),
        (None, None) => Err(format!(
            "there is no user with the name or id {name_or_id:?}; `users list` shows all users"
        )
        .into()),
    }
}

fn list(arguments: &List, database: &Database, now: DateTime<Utc>) -> Result<(), Failure> {
    let (mut users, mut presence) = (Vec::new(), Vec::new());
    let mut query = arguments.query();
    loop {
        let page = database.store.find_users(&query)?;
        let ids: Vec<UserId> = page.users.iter().map(|user| user.id.clone()).collect();
        presence.extend(of_users(database, &ids, now)?);
        users.extend(page.users);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    if arguments.json {
        return say_json(&UserList::new(users, presence, None));
    }
    if users.is_empty() {
        return say(if arguments.query() == FindUsers::new(PAGE) {
            "no users; `users add NAME` adds one"
        } else {
            "no users match"
        });
    }
    let presence: HashMap<UserId, UserPresence> = presence
        .into_iter()
        .map(|of_user| (of_user.user_id.clone(), of_user))
        .collect();
    let header = [
        "NAME",
        "ID",
        "ROLE",
        "STATE",
        "LAST SIGN-IN",
        "SESSIONS",
        "SINCE",
        "DISABLED",
    ];
    let mut table = Table::of_rows(&header, 2);
    for user in users {
        let (role, state) = (role(&user), state(&user));
        let presence = presence.get(&user.id);
        table.row([
            user.username,
            user.id.into(),
            role.to_owned(),
            state.to_owned(),
            or_dash(presence.and_then(|of_user| of_user.last_sign_in).map(day)),
            presence.map_or(0, |of_user| of_user.sessions).to_string(),
            day(user.created_at),
            or_dash(user.disabled_at.map(day)),
        ]);
    }
    say(table)
}

/// Returns what is known of the sessions of users.
fn of_users(
    database: &Database,
    users: &[UserId],
    now: DateTime<Utc>,
) -> Result<Vec<UserPresence>, StoreError> {
    let store = &database.store;
    let events = database.keeps_events.then_some(store as &dyn EventStore);
    StoreAdmin::new(store).presence(users, now, events)
}

fn role(user: &UserRecord) -> &'static str {
    if user.is_admin { "admin" } else { "user" }
}

fn state(user: &UserRecord) -> &'static str {
    match user.disabled_at {
        Some(_) => "disabled",
        None => "active",
    }
}

fn day(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d").to_string()
}

/// A user, and in `sessions` the exact number of live ones.
#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct Shown {
    #[serde(flatten)]
    user: UserDetail,
    sessions: u64,
}

fn show(name: &str, json: bool, database: &Database, now: DateTime<Utc>) -> Result<(), Failure> {
    let store = &database.store;
    let user = find(store, name)?;
    let sessions = store.count_of_user(&user.id, Some(now))?;
    let presence = of_users(database, std::slice::from_ref(&user.id), now)?.pop();
    if json {
        let user = UserDetail::present(user, presence);
        return say_json(&Shown { user, sessions });
    }
    let last_sign_in = presence.and_then(|of_user| of_user.last_sign_in);
    say(Table::of_fields([
        ("id", user.id.to_string()),
        ("username", user.username.clone()),
        ("role", role(&user).to_owned()),
        ("state", state(&user).to_owned()),
        (
            "disabledAt",
            or_dash(user.disabled_at.map(|at| date(at, now))),
        ),
        ("createdAt", date(user.created_at, now)),
        ("updatedAt", date(user.updated_at, now)),
        (
            "lastSignInAt",
            or_dash(last_sign_in.map(|at| date(at, now))),
        ),
        ("sessions", sessions.to_string()),
    ]))
}
