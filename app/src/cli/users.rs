//! `users list` and `users show`. The commands that change users are in `changes`.

mod changes;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use rocket::serde::Serialize;
use rocket_diesel_sessions::store::{UserRecord, UserStore};
use rocket_diesel_sessions::{Clock, DieselStore, SystemClock};
use rocket_diesel_sessions_app::accounts::new_account::fold_username;
use rocket_diesel_sessions_app::api::views::{UserDetail, UserList};

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

Examples:
  rocket_diesel_sessions users list --admins
  rocket_diesel_sessions users list --disabled --json")]
pub(super) struct List {
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
    fn keeps(&self, user: &UserRecord) -> bool {
        (!self.admins || user.is_admin) && (!self.disabled || user.disabled_at.is_some())
    }
}

pub(super) fn run(command: &Command, database: &Database) -> Result<(), Failure> {
    let (store, now) = (&database.store, SystemClock.now());
    match command {
        Command::List(arguments) => list(arguments, store),
        Command::Show { name, json } => show(name, *json, store, now),
        Command::Change(command) => changes::run(command, store, now),
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

fn list(arguments: &List, store: &DieselStore) -> Result<(), Failure> {
    let mut users: Vec<UserRecord> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.list_users(after.as_deref(), PAGE)?;
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.username.clone());
        users.extend(page.into_iter().filter(|user| arguments.keeps(user)));
    }
    if arguments.json {
        return say_json(&users.into_iter().collect::<UserList>());
    }
    if users.is_empty() {
        return say(if after.is_some() {
            "no users match"
        } else {
            "no users; `users add NAME` adds one"
        });
    }
    let header = ["NAME", "ID", "ROLE", "STATE", "SINCE", "DISABLED"];
    let mut table = Table::of_rows(&header, 2);
    for user in users {
        let (role, state) = (role(&user), state(&user));
        table.row([
            user.username,
            user.id.into(),
            role.to_owned(),
            state.to_owned(),
            day(user.created_at),
            or_dash(user.disabled_at.map(day)),
        ]);
    }
    say(table)
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

/// A user, and in `sessions` the number of live ones.
#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct Shown {
    #[serde(flatten)]
    user: UserDetail,
    sessions: u64,
}

fn show(name: &str, json: bool, store: &DieselStore, now: DateTime<Utc>) -> Result<(), Failure> {
    let user = find(store, name)?;
    let sessions = store.count_of_user(&user.id, Some(now))?;
    if json {
        let user = user.into();
        return say_json(&Shown { user, sessions });
    }
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
        ("sessions", sessions.to_string()),
    ]))
}
