//! The database that a command works on, and `migrate`.

use std::time::Duration;

use clap::Args;
use rocket::figment::Figment;
use rocket::serde::json::json;
use rocket_diesel_sessions::admin::StoreAdmin;
use rocket_diesel_sessions::store::StoreError;
use rocket_diesel_sessions::{DatabaseUrl, DieselStore, SessionConfig, SetupError};

use super::terminal::output::say_json;
use super::{Failure, say};

/// How long a command waits for the database if `--wait` is not given.
const WAIT: Duration = Duration::from_secs(5);

/// How a command uses the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads only. No file is created, no migration is run, and nothing is changed.
    Read,
    /// Writes. With `auto_migrate`, the schema is brought up to date first.
    Write,
}

/// A database whose schema is up to date.
pub(super) struct Database {
    pub(super) url: DatabaseUrl,
    pub(super) store: DieselStore,
    /// Whether servers with these settings record usage.
    pub(super) records_usage: bool,
    /// Whether servers with these settings record events.
    pub(super) keeps_events: bool,
}

impl Database {
    /// Opens the configured database.
    pub(super) fn open(
        figment: &Figment,
        wait: Option<Duration>,
        access: Access,
    ) -> Result<Self, Failure> {
        let (config, url) = settings(figment, wait)?;
        let store = match access {
            Access::Read => config.open_to_read(&url),
            Access::Write => config.open_to_write(&url),
        };
        let store = store.map_err(|error| with_wait(error, config.startup_timeout))?;
        Ok(Self {
            url,
            store,
            records_usage: !config.stats_interval.is_zero(),
            keeps_events: !config.events_retention.is_zero(),
        })
    }
}

/// Returns the administration of a store, which counts in the statistics what a command ends.
pub(super) fn admin(store: &DieselStore) -> StoreAdmin<'_> {
    StoreAdmin::new(store).statistics(store)
}

fn settings(
    figment: &Figment,
    wait: Option<Duration>,
) -> Result<(SessionConfig, DatabaseUrl), SetupError> {
    let wait = wait.unwrap_or(WAIT);
    let mut config = SessionConfig::from_figment(figment)?;
    config.startup_timeout = wait;
    let url = config.database_url()?;
    if let DatabaseUrl::Sqlite(_) = &url {
        // Any statement may find the file locked.
        config.timeout = config.timeout.max(wait);
    }
    Ok((config, url))
}

/// Adds to the error how long the command has waited in vain for the database.
fn with_wait(error: SetupError, waited: Duration) -> Failure {
    match error {
        SetupError::Store(
            error @ (StoreError::Connect {
                permanent: false, ..
            }
            | StoreError::Busy { .. }),
        ) => format!(
            "{error} (waited {} for the database; --wait sets a longer time)",
            humantime::format_duration(waited)
        )
        .into(),
        other => other.into(),
    }
}

#[derive(Args)]
pub(super) struct Migrate {
    /// Then distributes the tables over the nodes of a Citus cluster. Can be run again.
    #[arg(long)]
    distribute: bool,
    /// Prints JSON: `{"migrations": […]}`, the migrations that were run, with --distribute also
    /// `"distributed": […]`, what was done.
    #[arg(long)]
    json: bool,
}

pub(super) fn migrate(
    arguments: &Migrate,
    figment: &Figment,
    wait: Option<Duration>,
) -> Result<(), Failure> {
    let (config, url) = settings(figment, wait)?;
    if arguments.distribute && matches!(url, DatabaseUrl::Sqlite(_)) {
        return Err("--distribute needs PostgreSQL with the extension Citus, not SQLite".into());
    }
    let versions = config
        .migrate(&url)
        .map_err(|error| with_wait(error.into(), config.startup_timeout))?;
    let distributed = if arguments.distribute {
        let store = config.connect(&url)?;
        Some(store.distribute()?)
    } else {
        None
    };
    if arguments.json {
        let mut done = json!({"migrations": versions});
        if let Some(distributed) = distributed {
            done["distributed"] = json!(distributed);
        }
        return say_json(&done);
    }
    if versions.is_empty() {
        say(format_args!("{url} is up to date"))?;
    }
    for version in versions {
        say(format_args!("{url}: ran migration {version}"))?;
    }
    let Some(distributed) = distributed else {
        return Ok(());
    };
    if distributed.is_empty() {
        say(format_args!("{url}: all tables are distributed already"))?;
    }
    for sentence in distributed {
        say(format_args!("{url}: {sentence}"))?;
    }
    Ok(())
}
