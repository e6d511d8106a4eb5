//! `sweep`: deletes expired sessions once.

use chrono::{DateTime, Utc};
use clap::Args;
use rocket::serde::json::json;
use rocket_diesel_sessions::admin::SweepReport;
use rocket_diesel_sessions::store::StatsStore;
use rocket_diesel_sessions::{Clock, DieselStore, SystemClock};
use rocket_diesel_sessions_app::api::admin::views::SweepList;
use rocket_diesel_sessions_app::monitoring::audit::{Entry, Event};

use super::database::{Access, Database, admin};
use super::terminal::output::say_json;
use super::terminal::progress;
use super::terminal::table::{Table, distance, or_dash};
use super::{Failure, say};

#[derive(Args)]
pub(super) struct Arguments {
    /// Reports how many sessions have expired, and deletes none.
    #[arg(long)]
    dry_run: bool,
    /// Lists this many of the last sweeps of all servers and commands, and deletes nothing.
    #[arg(long, value_name = "N", conflicts_with = "dry_run",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    last: Option<u32>,
    /// Prints JSON: `deleted`, the number of sessions, and `seconds`, the time that it took; with
    /// `--dry-run`, `wouldDelete`; with `--last`, the format of the HTTP API.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn access(&self) -> Access {
        if self.dry_run || self.last.is_some() {
            Access::Read
        } else {
            Access::Write
        }
    }
}

pub(super) fn run(arguments: &Arguments, database: &Database) -> Result<(), Failure> {
    let Database { url, store, .. } = database;
    let now = SystemClock.now();
    if let Some(number) = arguments.last {
        return list(number, arguments.json, store, now);
    }
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

/// Lists the last sweeps, newest first.
fn list(number: u32, json: bool, store: &DieselStore, now: DateTime<Utc>) -> Result<(), Failure> {
    let sweeps = store.sweeps(number)?;
    if json {
        return say_json(&SweepList::from(sweeps));
    }
    if sweeps.is_empty() {
        return say("no sweeps are recorded");
    }
    let mut table = Table::of_rows(&["STARTED", "DELETED", "SECONDS", "ERROR"], 1);
    for sweep in sweeps {
        table.row([
            distance(sweep.started_at, now),
            sweep.deleted.to_string(),
            format!("{:.3}", sweep.elapsed.as_secs_f64()),
            or_dash(sweep.error),
        ]);
    }
    say(table)
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
