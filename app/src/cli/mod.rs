//! The command line: its commands and their exit codes.
//!
//! The exit code is 0 for success, 1 for a failure, which a line on standard error describes, and 2 for
//! wrong usage.

mod completions;
mod config;
mod database;
mod env_file;
mod events;
mod healthcheck;
mod parse;
mod record;
mod serve;
mod sessions;
mod stats;
mod sweep;
mod terminal;
mod users;

use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use rocket_diesel_sessions::SessionKeys;
use rocket_diesel_sessions_app as app;
use rocket_diesel_sessions_app::settings::effective::Environment;
use rocket_diesel_sessions_app::settings::logging::{LogFormat, json_error};

use database::{Access, Database};
use terminal::output::say;
use terminal::table::printable_lines;

type Failure = Box<dyn std::error::Error>;

/// Sessions for the web, kept in SQLite or PostgreSQL.
///
/// Settings are read from the environment, a file `.env`, and Rocket.toml.
#[derive(Parser)]
#[command(name = "rocket_diesel_sessions", version, after_help = terminal::help::TOP)]
struct Cli {
    /// How long to wait for the database, such as 10s or 1m [default: 5s; for serve,
    /// `startup_timeout`].
    #[arg(long, global = true, value_name = "DURATION", value_parser = parse::wait)]
    wait: Option<Duration>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the application (the default).
    Serve(serve::Arguments),
    /// Brings the database's schema up to date.
    Migrate(database::Migrate),
    /// Deletes expired sessions once, as the server does every hour.
    Sweep(sweep::Arguments),
    /// Lists, shows and ends sessions.
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// Lists, adds, changes and deletes users.
    #[command(subcommand)]
    Users(users::Command),
    /// Lists what happened to users and to their sessions.
    #[command(subcommand)]
    Events(events::Command),
    /// Reports the number of sessions, and their usage by the hour.
    Stats(stats::Arguments),
    /// Checks the settings.
    #[command(subcommand)]
    Config(config::Command),
    /// Checks whether the configured server is ready, and exits with 0 or 1, for containers.
    Healthcheck(healthcheck::Arguments),
    /// Prints a new random secret for `SESSION_SECRET` or `SESSION_ADMIN_TOKEN`.
    Secret,
    /// Prints a completion script for a shell.
    Completions(completions::Arguments),
}

impl Cli {
    /// Refuses arguments that do not go together.
    fn checked(self) -> Result<Self, clap::Error> {
        let checked = match &self.command {
            Some(Command::Sessions(command)) => command.check(),
            _ => Ok(()),
        };
        match checked {
            Ok(()) => Ok(self),
            Err(message) => Err(command().error(ErrorKind::ArgumentConflict, message)),
        }
    }
}

/// Returns the command line with its complete help.
fn command() -> clap::Command {
    terminal::help::complete(Cli::command())
}

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    let parsed = command().try_get_matches();
    let cli = parsed.and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match cli.and_then(Cli::checked) {
        Ok(cli) => cli,
        Err(error) => {
            let said = error.use_stderr().then(|| error.to_string());
            let line = |text: String| {
                let text = text.trim_end();
                json_error(text.strip_prefix("error: ").unwrap_or(text))
            };
            let Some(line) = said.and_then(line) else {
                error.exit();
            };
            terminal::output::complain(&line);
            return ExitCode::from(2);
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output, such as `head`, has closed it.
        Err(failure) if terminal::output::is_closed(&*failure) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.to_string().replace('\t', "  ");
            let line =
                json_error(&text).unwrap_or_else(|| format!("error: {}", printable_lines(&text)));
            terminal::output::complain(&line);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let (wait, command) = (cli.wait, cli.command);
    let command = command.unwrap_or_else(|| Command::Serve(serve::Arguments::default()));
    match &command {
        Command::Secret => return say(SessionKeys::generate_secret()?),
        Command::Completions(arguments) => return completions::run(arguments),
        _ => {}
    }
    Environment::now().remember();
    env_file::read()?;
    let figment = app::figment();
    app::settings::logging::check_filter()?;
    app::settings::logging::init(
        app::rocket_config(&figment)?.log_level,
        LogFormat::from_env()?,
    );
    app::warn_of_missing_file();
    let open = |access: Access| Database::open(&figment, wait, access);
    match command {
        Command::Serve(arguments) => serve::run(&arguments, wait),
        Command::Migrate(arguments) => database::migrate(&arguments, &figment, wait),
        Command::Sweep(arguments) => sweep::run(&arguments, &open(arguments.access())?),
        Command::Sessions(command) => sessions::run(&command, &open(command.access())?),
        Command::Users(command) => users::run(&command, &open(command.access())?),
        Command::Events(command) => events::run(&command, &open(Access::Read)?),
        Command::Stats(arguments) => stats::run(&arguments, &open(Access::Read)?),
        Command::Config(command) => config::run(&command),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments, figment),
        Command::Secret | Command::Completions(_) => Ok(()),
    }
}
