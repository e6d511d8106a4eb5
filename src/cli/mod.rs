//! The command line: which commands there are, and how each ends.
//!
//! Exit code 0 is done, 1 a failure that one line on standard error names, 2 wrong usage.

mod ask;
mod database;
mod output;
mod serve;
mod sessions;
mod stats;
mod sweep;
mod table;
mod users;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rocket_diesel_sessions::SessionKeys;
use rocket_diesel_sessions::app::logging::{LogFormat, json_error};
use rocket_diesel_sessions::app::{self};

use database::Database;
use output::say;
use table::printable_lines;

type Failure = Box<dyn std::error::Error>;

/// Sessions for the web, kept in SQLite or PostgreSQL.
///
/// Settings are read from the environment, a file `.env`, and Rocket.toml: see the README.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the application (the default).
    Serve,
    /// Brings the database's schema up to date.
    Migrate,
    /// Deletes expired sessions once, as the server does every hour.
    Sweep,
    /// Lists, shows and ends sessions.
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// Lists, adds and changes users.
    #[command(subcommand)]
    Users(users::Command),
    /// Tells how many sessions there are, and how they were used by the hour.
    Stats(stats::Arguments),
    /// Prints a fresh secret, fit for `SESSION_SECRET` and `SESSION_ADMIN_TOKEN`.
    Secret,
}

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let said = error.use_stderr().then(|| error.to_string());
            let Some(line) = said.and_then(|text| json_error(text.trim_end())) else {
                error.exit();
            };
            eprintln!("{line}");
            return ExitCode::from(2);
        }
    };
    match run(cli.command.unwrap_or(Command::Serve)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has seen enough, as `head` does.
        Err(failure) if output::is_closed(&*failure) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.to_string().replace('\t', "  ");
            let line =
                json_error(&text).unwrap_or_else(|| format!("error: {}", printable_lines(&text)));
            eprintln!("{line}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    if let Command::Secret = command {
        return say(SessionKeys::generate_secret()?);
    }
    read_env_file()?;
    let figment = app::figment();
    app::logging::init(
        app::rocket_config(&figment)?.log_level,
        LogFormat::from_env()?,
    );
    match command {
        Command::Serve => serve::run(),
        Command::Migrate => database::migrate(&figment),
        Command::Sweep => sweep::run(&Database::open(&figment)?),
        Command::Sessions(command) => sessions::run(command, &Database::open(&figment)?),
        Command::Users(command) => users::run(command, &Database::open(&figment)?),
        Command::Stats(arguments) => stats::run(&arguments, &Database::open(&figment)?),
        Command::Secret => Ok(()),
    }
}

/// Reads `.env`, if there is one; what the environment has already wins.
fn read_env_file() -> Result<(), Failure> {
    match dotenvy::dotenv() {
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        // Its message would show the line, which may hold a secret.
        Err(dotenvy::Error::LineParse(..)) => Err(
            ".env: a line cannot be read; allowed are KEY=value and KEY=\"a value\", with quotes \
             around a value that holds a space or #"
                .into(),
        ),
        Err(error) => Err(format!(".env: {error}").into()),
    }
}
