//! `config check`: the effective settings, each with its source.

use clap::Subcommand;
use rocket::serde::json::json;
use rocket_diesel_sessions_app::Settings;
use rocket_diesel_sessions_app::settings::effective::{Environment, effective};

use super::terminal::output::say_json;
use super::terminal::table::Table;
use super::{Failure, say};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Prints the effective settings, each with its source, or the reason for which a start would
    /// refuse them. Does not connect to the database.
    #[command(after_help = "\
Example:
  rocket_diesel_sessions config check --json | jq '.settings[] | select(.source != \"default\")'")]
    Check {
        /// Prints JSON: `{"settings": [{"key", "value", "source"}]}`.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Check { json } = *command;
    let settings = effective(&Settings::inspect()?, &Environment::first())?;
    if json {
        return say_json(&json!({ "settings": settings }));
    }
    let mut table = Table::of_rows(&["SETTING", "VALUE", "SOURCE"], 1);
    for setting in settings {
        let value = setting.text();
        table.row([setting.key, value, setting.source]);
    }
    say(table)
}
