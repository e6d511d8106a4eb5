//! The commands that change users: `users add`, `promote`, `demote`, `disable`, `enable`, `password` and
//! `delete`.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use rocket::serde::Serialize;
use rocket_diesel_sessions::store::{
    EventRecord, EventStore, LastAdmin, PasswordChange, UserOutcome, UserRecord, UserStore,
};
use rocket_diesel_sessions::{DieselStore, EndReason, UserId};
use rocket_diesel_sessions_app::accounts::administration::USER_DELETED;
use rocket_diesel_sessions_app::accounts::new_account::{fold_username, hash_password, new_user};
use rocket_diesel_sessions_app::api::admin::views::UserDetail;
use rocket_diesel_sessions_app::monitoring::audit::Event;

use super::find;
use crate::cli::database::{Database, admin};
use crate::cli::terminal::ask;
use crate::cli::terminal::output::{COMMAND_LINE, audit, count, note, say_json};
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

/// What every change needs: the store, the time, and the form of its report.
struct Change<'a> {
    store: &'a DieselStore,
    keeps_events: bool,
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
        keeps_events: database.keeps_events,
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
        let mut user = new_user(name.clone(), hash, self.now);
        user.is_admin = admin;
        if !self.store.add_user(&user)? {
            return Err(taken());
        }
        audit(Event::Register, Some(&user.id), None);
        if admin {
            self.record(Event::UserPromoted, &user.id);
        }
        let role = if admin { "administrator" } else { "user" };
        let text = format!("added the {role} {name}, id {}", user.id);
        self.report(&user, true, 0, &text)
    }

    fn promote(&self, user: &UserRecord) -> Result<(), Failure> {
        let name = printable(&user.username);
        if user.is_admin {
            let text = format!("{name} is an administrator already");
            return self.report(user, false, 0, &text);
        }
        if !self.store.promote_user(&user.id, self.now)? {
            return Err(gone(user));
        }
        self.record(Event::UserPromoted, &user.id);
        self.report(user, true, 0, &format!("{name} is an administrator now"))
    }

    fn demote(&self, user: &UserRecord, force: Force) -> Result<(), Failure> {
        let name = printable(&user.username);
        if !user.is_admin {
            let text = format!("{name} is a plain user already");
            return self.report(user, false, 0, &text);
        }
        let demoted = self.store.demote_user(&user.id, self.now, force.into())?;
        done(user, demoted)?;
        self.record(Event::UserDemoted, &user.id);
        self.report(user, true, 0, &format!("{name} is a plain user now"))
    }

    fn disable(&self, user: &UserRecord, force: Force) -> Result<(), Failure> {
        let disabled = self.store.disable_user(&user.id, self.now, force.into())?;
        let ended = done(user, disabled)?;
        admin(self.store).note_ended(EndReason::Revoked, ended, self.now);
        let is_new = user.disabled_at.is_none();
        if is_new {
            self.record(Event::UserDisabled, &user.id);
        }
        let text = format!(
            "{} is disabled; ended {}",
            printable(&user.username),
            count(ended as u64, "session")
        );
        self.report(user, is_new, ended, &text)
    }

    fn enable(&self, user: &UserRecord) -> Result<(), Failure> {
        let name = printable(&user.username);
        if user.disabled_at.is_none() {
            return self.report(user, false, 0, &format!("{name} is not disabled"));
        }
        if !self.store.enable_user(&user.id, self.now)? {
            return Err(gone(user));
        }
        self.record(Event::UserEnabled, &user.id);
        self.report(user, true, 0, &format!("{name} may sign in again"))
    }

    fn password(&self, user: &UserRecord) -> Result<(), Failure> {
        let name = printable(&user.username);
        if user.disabled_at.is_some() {
            return Err(format!("{name} is disabled; run `users enable {name}` first").into());
        }
        let hash = hash_password(&ask::new_password(&name)?)?;
        let change = PasswordChange {
            user_id: user.id.clone(),
            old_hash: user.password_hash.clone(),
            new_hash: hash,
            rotation: None,
            now: self.now,
            deadline: None,
        };
        let ended = done(user, self.store.change_password(&change)?)?;
        admin(self.store).note_ended(EndReason::Revoked, ended, self.now);
        self.record(Event::PasswordChanged, &user.id);
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
        let deleted = self.store.delete_user(&user.id, None, force.into())?;
        let ended = done(user, deleted)?;
        admin(self.store).note_ended(EndReason::Revoked, ended, self.now);
        audit(Event::AccountDeleted, Some(&user.id), None);
        let mut deleted = EventRecord::new(self.now, USER_DELETED, "");
        deleted.reason = Some(user.id.to_string());
        self.keep(deleted);
        let ended_sessions = count(ended as u64, "session");
        let text = format!("deleted {name}, id {}; ended {ended_sessions}", user.id);
        self.report(user, true, ended, &text)
    }

    /// Writes a change of a user to the audit log and to the record of events.
    fn record(&self, event: Event, user_id: &UserId) {
        audit(event, Some(user_id), None);
        let mut record = EventRecord::new(self.now, event.name(), "");
        record.user_id = Some(user_id.clone());
        self.keep(record);
    }

    /// Keeps an event. The change is made, so a failure is only reported.
    fn keep(&self, mut event: EventRecord) {
        event.actor = Some(COMMAND_LINE.to_owned());
        if self.keeps_events
            && let Err(error) = self.store.add_events(&[event])
        {
            note(&format!(
                "the change is made, but not recorded as an event: {error}"
            ));
        }
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

/// Returns how many sessions ended with a change.
fn done(user: &UserRecord, change: UserOutcome) -> Result<usize, Failure> {
    match change {
        UserOutcome::Done(ended) => Ok(ended.len()),
        UserOutcome::LastAdmin => Err(format!(
            "{} is the last administrator who can sign in; promote another user first, or give \
             --force",
            user.username
        )
        .into()),
        _ => Err(gone(user)),
    }
}

fn gone(user: &UserRecord) -> Failure {
    format!(
        "{} was changed by someone else at the same time; try again",
        user.username
    )
    .into()
}
