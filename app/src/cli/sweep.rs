//! `sweep`: deletes expired sessions once.

use chrono::{DateTime, Utc};
use clap::Args;
use rocket::serde::json::json;
use rocket_diesel_sessions::admin::SweepReport;
use rocket_diesel_sessions::{Clock, DieselStore, SystemClock};
use rocket_diesel_sessions_app::monitoring::audit::{Entry, Event};

use super::database::{Access, Database, admin};
use super::terminal::output::say_json;
use super::terminal::progress;
use super::{Failure, say};

#[derive(Args)]
pub(super) struct Arguments {
    /// Reports how many sessions have expired, and deletes none.
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON: `deleted`, the number of sessions, and `seconds`, the time that it took; with
    /// `--dry-run`, `wouldDelete`.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn access(&self) -> Access {
        if self.dry_run {
            Access::Read
        } else {
            Access::Write
        }
    }
}

pub(super) fn run(arguments: &Arguments, database: &Database) -> Result<(), Failure> {
    let Database { url, store, .. } = database;
    let now = SystemClock.now();
    if arguments.dry_run {
        let expired = store.count_expired(now)?;
        if arguments.json {
            return say_json(&json!({"dryRun": true, "wouldDelete": expired}));
        }
        return say(format_args!(
            "{url}: would delete {expired} expired sessions"
        ));
    }
    let SweepReport {
        deleted, elapsed, ..
    } = sweep(store, now)?;
    if arguments.json {
        let seconds = elapsed.as_secs_f64();
        return say_json(&json!({"dryRun": false, "deleted": deleted, "seconds": seconds}));
    }
    let seconds = elapsed.as_secs_f64();
    say(format_args!(
        "{url}: deleted {deleted} expired sessions in {seconds:.3} s"
    ))
}

/// Deletes the expired sessions and records the sweep.
fn sweep(store: &DieselStore, now: DateTime<Utc>) -> Result<SweepReport, Failure> {
    let bar = progress::bar(|| store.count_expired(now), "deleted")?;
    let mut deleted = 0;
    let swept = admin(store).sweep(now, |so_far| {
        deleted = so_far;
        bar.set_position(so_far as u64);
    });
    bar.finish_and_clear();
    // What was deleted before a failure stays deleted.
    if deleted > 0 {
        Entry::new(Event::Swept)
            .by("command_line")
            .deleted(deleted)
            .write();
    }
    Ok(swept?)
}
