//! `stats`: how sessions are used.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use clap::Args;
use rocket_diesel_sessions::admin::SessionStats;
use rocket_diesel_sessions::store::{Census, StatsStore, StoreError, UsageDelta};
use rocket_diesel_sessions::{Clock, DieselStore, EndReason, SystemClock};
use rocket_diesel_sessions_app::api::views::StatsView;

use super::Failure;
use super::database::Database;
use super::terminal::output::{say, say_json};
use super::terminal::table::Table;

/// How many of the next expiries are reported.
const NEXT_EXPIRIES: u32 = 10;

/// What is counted where all of it takes too long.
const COUNTED_IN_TIME: u32 = 10_000;

#[derive(Args)]
#[command(after_help = "\
PEAK is the most sessions that were live at a time in the hour, USERS how many users were seen in it.

Example:
  rocket_diesel_sessions stats --hours 168 --json")]
pub(super) struct Arguments {
    /// Hours to look back, this one among them.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=2160))]
    hours: u32,
    /// For programs: as the HTTP API answers.
    #[arg(long)]
    json: bool,
}

/// Sessions are counted for it, however many there are.
pub(super) fn run(arguments: &Arguments, database: &Database) -> Result<(), Failure> {
    let (store, now) = (&database.store, SystemClock.now());
    let from = hour(now) - TimeDelta::hours(i64::from(arguments.hours) - 1);
    // A table may be too large to be counted in the time that a statement has.
    let counted = store.census(now, None);
    let is_exact = counted.is_ok();
    let census = match counted {
        Ok(census) => census.unwrap_or_default(),
        Err(error) => {
            tracing::warn!("sessions could not be counted: {error}");
            let counted = store.census(now, Some(COUNTED_IN_TIME))?;
            counted.unwrap_or_else(too_many)
        }
    };
    let mut stats = SessionStats::new(census);
    stats.is_exact = is_exact;
    stats.hours = store.usage(from)?;
    stats.next_expiries = store.next_expiries(now, NEXT_EXPIRIES)?;
    if arguments.json {
        return say_json(&StatsView::from(stats));
    }
    let anonymous = stats.active.saturating_sub(stats.signed_in);
    let at_least = if is_exact { "" } else { "at least " };
    say(format_args!(
        "{at_least}{} live sessions: {} signed in, {anonymous} anonymous",
        stats.active, stats.signed_in
    ))?;
    if stats.hours.is_empty() {
        return say("nothing is known of these hours");
    }
    let reasons = EndReason::ALL.iter().map(|reason| reason.name());
    let reasons: Vec<String> = reasons.map(str::to_uppercase).collect();
    let mut header = vec!["HOUR (UTC)", "CREATED"];
    header.extend(reasons.iter().map(String::as_str));
    header.extend(["PEAK", "USERS"]);
    let mut table = Table::of_rows(&header, 1);
    for hour in stats.hours {
        let mut row = vec![
            hour.hour.format("%Y-%m-%d %H:%M").to_string(),
            hour.created.to_string(),
        ];
        row.extend(hour.ended.iter().map(|(_, number)| number.to_string()));
        row.extend([hour.peak_active.to_string(), hour.users.to_string()]);
        table.row(row);
    }
    say(table)
}

/// Adds sessions that a command has ended to the statistics. They are no reason to fail what is done.
pub(super) fn note_ended(store: &DieselStore, reason: EndReason, number: usize) {
    if let Err(error) = add_ended(store, reason, number) {
        tracing::warn!("the statistics do not have it: {error}");
    }
}

fn add_ended(store: &DieselStore, reason: EndReason, number: usize) -> Result<(), StoreError> {
    if number == 0 {
        return Ok(());
    }
    let mut delta = UsageDelta::new(hour(SystemClock.now()));
    delta
        .ended
        .add(reason, u64::try_from(number).unwrap_or(u64::MAX));
    store.add_usage(&[delta])
}

/// The least that is known of a table that is too large to be counted.
fn too_many() -> Census {
    let mut census = Census::default();
    census.active = COUNTED_IN_TIME.into();
    census
}

fn hour(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::hours(1)).unwrap_or(time)
}
