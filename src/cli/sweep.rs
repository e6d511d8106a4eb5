//! `sweep`.

use std::io::IsTerminal;
use std::time::Duration;

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use rocket_diesel_sessions::{
    Clock, DieselStore, EndReason, StatsStore, SweepRecord, SystemClock, sweep_with_progress,
};

use super::database::Database;
use super::stats::note_ended;
use super::{Failure, say};

pub(super) fn run(database: &Database) -> Result<(), Failure> {
    let Database { url, store } = database;
    let now = SystemClock.now();
    let bar = progress(store, now)?;
    let swept = sweep_with_progress(store, now, |deleted| bar.set_position(deleted as u64));
    bar.finish_and_clear();
    let report = swept?;
    note_ended(store, EndReason::Expired, report.deleted);
    let record = SweepRecord {
        started_at: now,
        elapsed: report.elapsed,
        deleted: report.deleted as u64,
        error: None,
    };
    if let Err(error) = store.add_sweep(&record) {
        tracing::warn!("the statistics do not have it: {error}");
    }
    say(format_args!(
        "{url}: deleted {} expired sessions in {:.1?}",
        report.deleted, report.elapsed
    ))
}

/// A bar on a terminal. Where the expired cannot be counted in the time that a statement has,
/// there is no end to be seen, but that it goes on.
fn progress(store: &DieselStore, now: DateTime<Utc>) -> Result<ProgressBar, Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let (bar, style) = match store.count_expired(now) {
        Ok(expired) => (
            ProgressBar::new(expired),
            "{wide_bar} {human_pos} of {human_len}, {per_sec}, {eta} left",
        ),
        Err(_) => (
            ProgressBar::new_spinner(),
            "{spinner} {human_pos} deleted, {per_sec}",
        ),
    };
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}
