//! `users list | add | promote | demote | disable | enable | password`.

use chrono::{DateTime, Utc};
use clap::Subcommand;
use rocket_diesel_sessions::app::accounts::{fold_username, hash_password, new_user};
use rocket_diesel_sessions::app::view::UserList;
use rocket_diesel_sessions::{
    Clock, DieselStore, EndReason, PasswordChange, SystemClock, UserChange, UserRecord, UserStore,
};

use super::database::Database;
use super::output::{count, say_json};
use super::stats::note_ended;
use super::table::{Table, printable};
use super::{Failure, ask, say};

/// Users of one query of a list.
const PAGE: u32 = 1000;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists all users, by name.
    List {
        /// For programs: field names as in the HTTP API.
        #[arg(long)]
        json: bool,
    },
    /// Adds a user. The password is asked for, or is the first line of standard input where that
    /// is no terminal.
    Add {
        /// The new name.
        name: String,
        /// Makes the user an administrator.
        #[arg(long)]
        admin: bool,
    },
    /// Makes a user an administrator.
    Promote {
        /// The user, by name or id.
        name: String,
        /// The reverse, as `demote`.
        #[arg(long)]
        revoke: bool,
    },
    /// Makes an administrator a plain user.
    Demote {
        /// The user, by name or id.
        name: String,
    },
    /// Keeps a user from signing in, and ends all of the user's sessions.
    Disable {
        /// The user, by name or id.
        name: String,
    },
    /// Lets a user sign in again who was disabled.
    Enable {
        /// The user, by name or id.
        name: String,
    },
    /// Gives a user a new password, asked for as by `add`, and ends all of the user's sessions.
    Password {
        /// The user, by name or id.
        name: String,
    },
}

pub(super) fn run(command: Command, database: &Database) -> Result<(), Failure> {
    let (store, now) = (&database.store, SystemClock.now());
    match command {
        Command::List { json } => list(json, store),
        Command::Add { name, admin } => add(&name, admin, store, now),
        Command::Promote { name, revoke } => set_admin(&name, !revoke, store, now),
        Command::Demote { name } => set_admin(&name, false, store, now),
        Command::Disable { name } => disable(&name, store, now),
        Command::Enable { name } => enable(&name, store, now),
        Command::Password { name } => change_password(&name, store, now),
    }
}

/// The user with this name or id.
///
/// # Errors
/// When there is none; also when it is the name of one and the id of another, since names are
/// chosen by visitors.
pub(super) fn find(store: &DieselStore, name_or_id: &str) -> Result<UserRecord, Failure> {
    let by_name = match fold_username(name_or_id) {
        Ok(name) => store.user_by_name(&name)?,
        Err(_) => None,
    };
    match (by_name, store.user(name_or_id)?) {
        (Some(named), Some(other)) if named.id != other.id => Err(format!(
            "{name_or_id:?} is the name of one user and the id of another: take the first one's \
             id, {}, or the other one's name, {}",
            named.id, other.username
        )
        .into()),
        (Some(user), _) | (None, Some(user)) => Ok(user),
        (None, None) => Err(format!(
            "there is no user with the name or id {name_or_id:?}; `users list` shows them"
        )
        .into()),
    }
}

fn list(json: bool, store: &DieselStore) -> Result<(), Failure> {
    let mut users: Vec<UserRecord> = Vec::new();
    loop {
        let after = users.last().map(|user| user.username.clone());
        let page = store.list_users(after.as_deref(), PAGE)?;
        if page.is_empty() {
            break;
        }
        users.extend(page);
    }
    if json {
        return say_json(&users.into_iter().collect::<UserList>());
    }
    if users.is_empty() {
        return say("no users; `users add NAME` adds one");
    }
    let mut table = Table::of_rows(&["NAME", "ID", "ROLE", "STATE", "SINCE"], 2);
    for user in users {
        let role = if user.is_admin { "admin" } else { "user" };
        let (state, since) = match user.disabled_at {
            Some(since) => ("disabled", since),
            None => ("active", user.created_at),
        };
        table.row([
            user.username,
            user.id,
            role.to_owned(),
            state.to_owned(),
            since.format("%Y-%m-%d").to_string(),
        ]);
    }
    say(table)
}

fn add(name: &str, admin: bool, store: &DieselStore, now: DateTime<Utc>) -> Result<(), Failure> {
    let name = fold_username(name)?;
    let taken = || Failure::from(format!("username: {name:?} is taken"));
    // Before a password is asked for in vain.
    if store.user_by_name(&name)?.is_some() {
        return Err(taken());
    }
    let hash = hash_password(&ask::new_password(&name)?)?;
    let user = UserRecord {
        is_admin: admin,
        ..new_user(name.clone(), hash, now)
    };
    if !store.add_user(&user)? {
        return Err(taken());
    }
    let role = if admin { "administrator" } else { "user" };
    say(format_args!("added the {role} {name}, id {}", user.id))
}

fn set_admin(
    name: &str,
    is_admin: bool,
    store: &DieselStore,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let user = find(store, name)?;
    let name = printable(&user.username);
    let role = if is_admin {
        "an administrator"
    } else {
        "no administrator"
    };
    if user.is_admin == is_admin {
        return say(format_args!("{name} is {role} already"));
    }
    if !store.set_admin(&user.id, is_admin, now)? {
        return Err(gone(&user));
    }
    say(format_args!("{name} is {role} now"))
}

fn disable(name: &str, store: &DieselStore, now: DateTime<Utc>) -> Result<(), Failure> {
    let user = find(store, name)?;
    let UserChange::Done(ended) = store.disable_user(&user.id, now)? else {
        return Err(gone(&user));
    };
    note_ended(store, EndReason::Revoked, ended.len());
    say(format_args!(
        "{} is disabled; ended {}",
        printable(&user.username),
        count(ended.len(), "session")
    ))
}

fn enable(name: &str, store: &DieselStore, now: DateTime<Utc>) -> Result<(), Failure> {
    let user = find(store, name)?;
    let name = printable(&user.username);
    if user.disabled_at.is_none() {
        return say(format_args!("{name} is not disabled"));
    }
    if !store.enable_user(&user.id, now)? {
        return Err(gone(&user));
    }
    say(format_args!("{name} may sign in again"))
}

fn change_password(name: &str, store: &DieselStore, now: DateTime<Utc>) -> Result<(), Failure> {
    let user = find(store, name)?;
    let name = printable(&user.username);
    if user.disabled_at.is_some() {
        return Err(format!("{name} is disabled: `users enable {name}` first").into());
    }
    let hash = hash_password(&ask::new_password(&name)?)?;
    let change = PasswordChange {
        user_id: user.id.clone(),
        old_hash: user.password_hash.clone(),
        new_hash: hash,
        rotation: None,
        now,
        deadline: None,
    };
    let UserChange::Done(ended) = store.change_password(&change)? else {
        return Err(gone(&user));
    };
    note_ended(store, EndReason::Revoked, ended.len());
    say(format_args!(
        "{name} has a new password; ended {}",
        count(ended.len(), "session")
    ))
}

fn gone(user: &UserRecord) -> Failure {
    format!(
        "{} was changed by somebody else at the same time; try again",
        user.username
    )
    .into()
}
