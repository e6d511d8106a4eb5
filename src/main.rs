//! The command line of the application.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use rocket::error::ErrorKind;
use rocket_diesel_sessions::app::{self, Settings};
use rocket_diesel_sessions::{
    Clock, SessionConfig, SessionKeys, SetupError, SystemClock, database_url_from_env, sweep_once,
};

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

#[derive(Clone, Copy, Subcommand)]
enum Command {
    /// Serves the application (the default).
    Serve,
    /// Brings the database's schema up to date.
    Migrate,
    /// Deletes expired sessions once, as the server does every hour.
    Sweep,
    /// Prints a fresh secret, fit for `SESSION_SECRET` and `SESSION_ADMIN_TOKEN`.
    Secret,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command.unwrap_or(Command::Serve)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    if let Command::Secret = command {
        println!("{}", SessionKeys::generate_secret()?);
        return Ok(());
    }
    read_env_file()?;
    let figment = app::figment();
    app::logging::init(
        app::rocket_config(&figment)?.log_level,
        app::logging::LogFormat::from_env()?,
    );
    match command {
        Command::Serve => serve(),
        Command::Migrate => migrate(&SessionConfig::from_figment(&figment)?),
        Command::Sweep => sweep(&SessionConfig::from_figment(&figment)?),
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

fn serve() -> Result<(), Failure> {
    let settings = Settings::from_env()?;
    let store = Arc::new(settings.sessions.open_store(&settings.database_url)?);
    let rocket = app::rocket(settings, store.clone(), store, Arc::new(SystemClock));
    match rocket::execute(rocket.launch()) {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            ErrorKind::Bind(reason) => format!(
                "cannot listen on the address and port of the configuration \
                 (ROCKET_ADDRESS, ROCKET_PORT): {reason}"
            ),
            kind => kind.to_string(),
        }
        .into()),
    }
}

fn migrate(config: &SessionConfig) -> Result<(), Failure> {
    let url = database_url_from_env()?;
    let versions = config.connect(&url)?.migrate()?;
    if versions.is_empty() {
        println!("{url} is up to date");
    }
    for version in versions {
        println!("{url}: ran migration {version}");
    }
    Ok(())
}

fn sweep(config: &SessionConfig) -> Result<(), Failure> {
    let url = database_url_from_env()?;
    let store = config.connect(&url)?;
    let pending = store.pending_migrations()?;
    if !pending.is_empty() {
        let database = url.to_string();
        return Err(SetupError::PendingMigrations { database, pending }.into());
    }
    let report = sweep_once(&store, SystemClock.now())?;
    println!(
        "{url}: deleted {} expired sessions in {:.1?}",
        report.deleted, report.elapsed
    );
    Ok(())
}
