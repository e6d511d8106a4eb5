//! Log lines to standard error: text for people, or JSON for programs.

use std::io::IsTerminal;
use std::str::FromStr;

use rocket::config::LogLevel;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::{ConfigError, SetupError};

/// The environment variable that names the format.
const LOG_FORMAT: &str = "LOG_FORMAT";

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line: `timestamp`, `level`, `target`, `message`, the fields of the event,
    /// and in `span` the `request_id`, if it is about a request.
    Json,
}

impl LogFormat {
    /// `LOG_FORMAT`: `text`, the default, or `json`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_env() -> Result<Self, SetupError> {
        match std::env::var_os(LOG_FORMAT) {
            None => Ok(Self::default()),
            Some(format) => Ok(format.to_string_lossy().parse()?),
        }
    }
}

impl FromStr for LogFormat {
    type Err = ConfigError;

    fn from_str(format: &str) -> Result<Self, ConfigError> {
        match format.trim() {
            "" | "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(ConfigError::new(
                LOG_FORMAT,
                format_args!("{other:?}"),
                "must be text or json",
            )),
        }
    }
}

/// Checks `RUST_LOG`.
///
/// # Errors
/// When a part of it cannot be parsed: names it, and what is allowed.
pub fn check_filter() -> Result<(), SetupError> {
    const ALLOWED: &str = "must be a level (off, error, warn, info, debug, trace) or target=level, several with commas";
    let Some(filter) = std::env::var_os(EnvFilter::DEFAULT_ENV) else {
        return Ok(());
    };
    let Some(filter) = filter.to_str() else {
        return Err(ConfigError::unfit(EnvFilter::DEFAULT_ENV, "must be UTF-8").into());
    };
    if EnvFilter::try_new(filter).is_ok() {
        return Ok(());
    }
    let is_wrong = |part: &&str| EnvFilter::try_new(part).is_err();
    let wrong = filter.split(',').find(is_wrong).unwrap_or(filter);
    Err(ConfigError::new(EnvFilter::DEFAULT_ENV, format_args!("{wrong:?}"), ALLOWED).into())
}

/// Starts logging at Rocket's `log_level`, or as `RUST_LOG` says. A second call does nothing.
pub fn init(level: LogLevel, format: LogFormat) {
    // A directive counts for every target that begins with it: ours begins with `rocket` too.
    let default = match level {
        LogLevel::Off => "off",
        LogLevel::Critical => "warn,rocket::server=off,rocket::launch=off",
        LogLevel::Normal => {
            "info,rocket=warn,rocket::server=off,rocket::launch=off,rocket_diesel_sessions=info"
        }
        LogLevel::Debug => "debug,rocket=info,rocket_diesel_sessions=debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = lines(format).with_filter(filter.and(filter_fn(shows_no_headers)));
    // Fails only if a test has set up logging before.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

fn lines<S: Subscriber + for<'a> LookupSpan<'a>>(
    format: LogFormat,
) -> Box<dyn Layer<S> + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines
            .compact()
            .with_ansi(std::io::stderr().is_terminal())
            .boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    }
}

/// Whether an event may be shown at all: these libraries log whole requests, cookies among their
/// headers, below the level info (I8).
fn shows_no_headers(metadata: &Metadata<'_>) -> bool {
    const VERBOSE: [&str; 3] = ["rocket::server", "hyper", "h2"];
    *metadata.level() <= Level::INFO
        || !VERBOSE
            .iter()
            .any(|library| metadata.target().starts_with(library))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_there_is_not_is_named_with_those_there_are() {
        assert_eq!("json".parse::<LogFormat>().ok(), Some(LogFormat::Json));
        assert_eq!("".parse::<LogFormat>().ok(), Some(LogFormat::Text));
        let refusal = "xml".parse::<LogFormat>().unwrap_err().to_string();
        assert_eq!(refusal, "LOG_FORMAT = \"xml\": must be text or json");
    }
}
