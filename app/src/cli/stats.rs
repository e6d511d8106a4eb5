//! `stats`: the number of sessions, and their usage by the hour.

use clap::Args;
use rocket_diesel_sessions::admin::SessionStats;
use rocket_diesel_sessions::{Clock, EndReason, SystemClock};
use rocket_diesel_sessions_app::api::views::StatsView;

use super::Failure;
use super::database::Database;
use super::terminal::output::{say, say_json};
use super::terminal::table::Table;

#[derive(Args)]
#[command(after_help = "\
PEAK is the most sessions that were live at a time in the hour, USERS the number of users seen in it.

Example:
  rocket_diesel_sessions stats --hours 168 --json")]
pub(super) struct Arguments {
    /// How many hours to report, including the current one.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=2160))]
    hours: u32,
    /// Prints JSON in the format of the HTTP API.
    #[arg(long)]
    json: bool,
}

/// Counts all sessions, however many there are.
pub(super) fn run(arguments: &Arguments, database: &Database) -> Result<(), Failure> {
    let (store, now) = (&database.store, SystemClock.now());
    let stats = SessionStats::read(store, now, arguments.hours)?;
    if arguments.json {
        return say_json(&StatsView::from(stats));
    }
    let (active, signed_in) = (stats.active, stats.signed_in);
    let anonymous = active.saturating_sub(signed_in);
    if stats.is_minimum {
        say(format_args!("more than {} live sessions", active - 1))?;
    } else {
        say(format_args!(
            "{active} live sessions: {signed_in} signed in, {anonymous} anonymous"
        ))?;
    }
    if !database.records_usage {
        say("usage is not recorded, because sessions.stats_interval is 0s")?;
    }
    if stats.hours.is_empty() {
        return say("there are no statistics of these hours");
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
