//! The commands that change users: `users add`, `promote`, `demote`, `disable`, `enable`, `password` and
//! `delete`.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use rocket::serde::Serialize;
use rocket_diesel_sessions::store::{
    EventRecord, LastAdmin, PasswordChange, UserAction, UserChange, UserOutcome, UserRecord,
    UserStore,
};
use rocket_diesel_sessions::{DieselStore, EndReason};
use rocket_diesel_sessions_app::accounts::administration::USER_DELETED;
use rocket_diesel_sessions_app::accounts::new_account::{fold_username, hash_password, new_user};
use rocket_diesel_sessions_app::api::admin::views::UserDetail;
use rocket_diesel_sessions_app::monitoring::audit::Event;

use super::find;
use crate::cli::database::{Database, admin};
use crate::cli::record::Record;
use crate::cli::terminal::ask;
use crate::cli::terminal::output::{audit, count, say_json};
use crate::cli::terminal::table::printable;
use crate::cli::{Failure, say};

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    /// Adds a user. Asks for the password at a terminal, and otherwise reads it from the first line
    /// of standard input.
    #[command(after_help = "\
Examples:
  rocket_diesel_sessions users add ada --admin
  rocket_diesel_sessions users add bob --json < password.txt")]
    Add {
        /// The name of the new user.
        name: String,
        /// Makes the user an administrator.
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Makes a user an administrator.
    Promote {
        #[command(flatten)]
        user: User,
        /// Does what `demote` does, which has replaced it.
        #[arg(long, hide = true)]
        revoke: bool,
        #[arg(long, hide = true)]
        force: bool,
    },
    /// Makes an administrator a plain user.
    Demote {
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        force: Force,
    },
    /// Prevents a user from signing in, and ends all of the user's sessions.
    Disable {
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        force: Force,
    },
    /// Lets a disabled user sign in again.
    Enable {
        #[command(flatten)]
        user: User,
    },
    /// Changes a user's password, which is read as by `add`, and ends all of the user's sessions.
    Password {
        #[command(flatten)]
        user: User,
    },
    /// Deletes a user and all of the user's sessions. At a terminal, it asks first.
    Delete {
        #[command(flatten)]
        user: User,
        /// Deletes without asking.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        force: Force,
    },
}

#[derive(Args)]
pub(in crate::cli) struct User {
    /// The user, by name or id.
    name: String,
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Clone, Copy)]
pub(in crate::cli) struct Output {
    /// Prints JSON: the user, whether anything was changed, and how many sessions ended.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Copy)]
pub(in crate::cli) struct Force {
    /// Applies the change even to the last administrator who can sign in.
    #[arg(long)]
    force: bool,
}

impl From<Force> for LastAdmin {
    fn from(Force { force }: Force) -> Self {
        if force { Self::MayGo } else { Self::Keep }
    }
}

/// The report of a change in JSON.
#[derive(Serialize)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct Report {
    /// The user after the change, or a deleted user as it was.
    #[serde(flatten)]
    user: UserDetail,
    changed: bool,
    sessions_ended: usize,
}

/// What every change needs: the store, the time, the record, and the form of its report.
struct Change<'a> {
    store: &'a DieselStore,
    record: Record<'a>,
    now: DateTime<Utc>,
    output: Output,
}

pub(super) fn run(
    command: &Command,
    database: &Database,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let store = &database.store;
    let change = |output: Output| Change {
        store,
        record: Record::new(database, now),
        now,
        output,
    };
    let of = |user: &User| Ok::<_, Failure>((change(user.output), find(store, &user.name)?));
    match command {
        Command::Add {
            name,
            admin,
            output,
        } => change(*output).add(name, *admin),
        Command::Promote {
            user,
            revoke: false,
            ..
        } => {
            let (change, user) = of(user)?;
            change.promote(&user)
        }
        Command::Promote { user, force, .. } => {
            let (change, user) = of(user)?;
            change.demote(&user, Force { force: *force })
        }
        Command::Demote { user, force } => {
            let (change, user) = of(user)?;
            change.demote(&user, *force)
        }
        Command::Disable { user, force } => {
            let (change, user) = of(user)?;
            change.disable(&user, *force)
        }
        Command::Enable { user } => {
            let (change, user) = of(user)?;
            change.enable(&user)
        }
        Command::Password { user } => {
            let (change, user) = of(user)?;
            change.password(&user)
        }
        Command::Delete { user, yes, force } => {
            let (change, user) = of(user)?;
            change.delete(&user, *yes, *force)
        }
    }
}

impl Change<'_> {
    fn add(&self, name: &str, admin: bool) -> Result<(), Failure> {
        let name = fold_username(name)?;
        let taken = || Failure::from(format!("username: {name:?} is taken"));
        // Checked first, so that no password is asked for in vain.
        if self.store.user_by_name(&name)?.is_some() {
            return Err(taken());
        }
        let hash = hash_password(&ask::new_password(&name)?)?;
        let user = new_user(name.clone(), hash, self.now);
        if !self.store.add_user(&user)? {
            return Err(taken());
        }
        audit(Event::Register, Some(&user.id), None);
        if admin {
            // Added as a plain user, because an administrator is not made without a record.
            let promoted = self.make(&user, UserAction::Promote, LastAdmin::Keep);
            promoted.map_err(|error| {
                format!(
                    "{error}; {name} is added, but no administrator: run `users promote {name}`"
                )
            })?;
        }
        let role = if admin { "administrator" } else { "user" };
        let text = format!("added the {role} {name}, id {}", user.id);
        self.report(&user, true, 0, &text)
    }

    fn promote(&self, user: &UserRecord) -> Result<(), Failure> {
        let name = printable(&user.username);
        let (is_new, _) = self.make(user, UserAction::Promote, LastAdmin::Keep)?;
        let when = if is_new { "now" } else { "already" };
        let text = format!("{name} is an administrator {when}");
        self.report(user, is_new, 0, &text)
    }

    fn demote(&self, user: &UserRecord, force: Force) -> Result<(), Failure> {
        let name = printable(&user.username);
        let (is_new, _) = self.make(user, UserAction::Demote, force.into())?;
        let when = if is_new { "now" } else { "already" };
        let text = format!("{name} is a plain user {when}");
        self.report(user, is_new, 0, &text)
    }

    fn disable(&self, user: &UserRecord, force: Force) -> Result<(), Failure> {
        let (is_new, ended) = self.make(user, UserAction::Disable, force.into())?;
        let text = format!(
            "{} is disabled; ended {}",
            printable(&user.username),
            count(ended as u64, "session")
        );
        self.report(user, is_new, ended, &text)
    }

    fn enable(&self, user: &UserRecord) -> Result<(), Failure> {
        let name = printable(&user.username);
        let (is_new, _) = self.make(user, UserAction::Enable, LastAdmin::Keep)?;
        let text = if is_new {
            format!("{name} may sign in again")
        } else {
            format!("{name} is not disabled")
        };
        self.report(user, is_new, 0, &text)
    }

    fn password(&self, user: &UserRecord) -> Result<(), Failure> {
        let name = printable(&user.username);
        if user.disabled_at.is_some() {
            return Err(format!("{name} is disabled; run `users enable {name}` first").into());
        }
        let hash = hash_password(&ask::new_password(&name)?)?;
        let event = Event::PasswordChanged;
        let change = PasswordChange {
            user_id: user.id.clone(),
            old_hash: user.password_hash.clone(),
            new_hash: hash,
            rotation: None,
            now: self.now,
            deadline: None,
            event: self
                .record
                .with_change(self.record.event(event.name(), &user.id)),
        };
        let outcome = self.store.change_password(&change)?;
        let (_, ended) = self.done(user, event, event.name(), outcome)?;
        let ended_sessions = count(ended as u64, "session");
        let text = format!("{name} has a new password; ended {ended_sessions}");
        self.report(user, true, ended, &text)
    }

    fn delete(&self, user: &UserRecord, yes: bool, force: Force) -> Result<(), Failure> {
        let name = printable(&user.username);
        let question = format!("Delete {name} with all sessions? This cannot be undone.");
        let otherwise = format!(
            "this deletes {name} with all sessions and cannot be undone; give --yes to do it"
        );
        if !yes && !ask::agrees(&question, &otherwise)? {
            return Err("not confirmed; nothing was changed".into());
        }
        let (_, ended) = self.make(user, UserAction::Delete, force.into())?;
        let ended_sessions = count(ended as u64, "session");
        let text = format!("deleted {name}, id {}; ended {ended_sessions}", user.id);
        self.report(user, true, ended, &text)
    }

    /// Changes a user, with its event in the same transaction. Returns whether that made a difference, and
    /// how many sessions ended.
    fn make(
        &self,
        user: &UserRecord,
        action: UserAction,
        last_admin: LastAdmin,
    ) -> Result<(bool, usize), Failure> {
        let (event, name) = match action {
            UserAction::Promote => (Event::UserPromoted, Event::UserPromoted.name()),
            UserAction::Demote => (Event::UserDemoted, Event::UserDemoted.name()),
            UserAction::Disable => (Event::UserDisabled, Event::UserDisabled.name()),
            UserAction::Enable => (Event::UserEnabled, Event::UserEnabled.name()),
            UserAction::Delete => (Event::AccountDeleted, USER_DELETED),
        };
        let mut record = self.record.event(name, &user.id);
        if action == UserAction::Delete {
            record.user_id = None;
            record.reason = Some(user.id.to_string());
        }
        let mut change = UserChange::new(&user.id, action, self.now);
        change.last_admin = last_admin;
        change.event = self.record.with_change(record);
        let outcome = self.store.change_user(&change)?;
        self.done(user, event, name, outcome)
    }

    /// Reports a change to the audit log, and the sessions that ended with it to the statistics and, for
    /// this reason, to the record of events.
    fn done(
        &self,
        user: &UserRecord,
        event: Event,
        reason: &str,
        outcome: UserOutcome,
    ) -> Result<(bool, usize), Failure> {
        let (is_new, ended) = match outcome {
            UserOutcome::Done(ended) => (true, ended),
            UserOutcome::Unchanged(ended) => (false, ended),
            UserOutcome::LastAdmin => return Err(last_admin(user)),
            _ => return Err(gone(user)),
        };
        if is_new {
            audit(event, Some(&user.id), None);
        }
        admin(self.store).note_ended(EndReason::Revoked, ended.len(), self.now);
        let of_session = |handle| self.record.ended(handle, &user.id, Some(reason));
        let events: Vec<EventRecord> = ended.iter().map(of_session).collect();
        self.record.keep(&events);
        Ok((is_new, ended.len()))
    }

    /// Prints the text, or with `--json` the user after the change.
    fn report(
        &self,
        user: &UserRecord,
        changed: bool,
        sessions_ended: usize,
        text: &str,
    ) -> Result<(), Failure> {
        if !self.output.json {
            return say(text);
        }
        let now = self.store.user(&user.id)?;
        say_json(&Report {
            user: now.unwrap_or_else(|| user.clone()).into(),
            changed,
            sessions_ended,
        })
    }
}

fn last_admin(user: &UserRecord) -> Failure {
    format!(
        "{} is the last administrator who can sign in; promote another user first, or give --force",
        user.username
    )
    .into()
}

fn gone(user: &UserRecord) -> Failure {
    format!(
        "{} was changed by someone else at the same time; try again",
        user.username
    )
    .into()
}
