//! Log lines to standard error: text for people, or JSON for programs.

mod json;
mod text;

use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::str::FromStr;
use std::sync::OnceLock;

use rocket::config::LogLevel;
use rocket_diesel_sessions::{ConfigError, SetupError};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Filter, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use uuid::Uuid;

use crate::http::request_id;

/// The environment variable that names the format.
const LOG_FORMAT: &str = "LOG_FORMAT";

/// The target of lines about the program as a whole.
const PROGRAM: &str = "rocket_diesel_sessions";

/// The format that [`init`] was given.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text per event, for people.
    #[default]
    Text,
    /// One JSON object per line, on standard output too. It has `timestamp`, `level`, `target`,
    /// `message`, the fields of the event, and in `span` the `request_id` if a request caused it.
    Json,
}

impl LogFormat {
    /// Reads `LOG_FORMAT`, which is `text` (the default) or `json`.
    ///
    /// # Errors
    /// If it is anything else.
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
/// If a part of it cannot be parsed. The error names the part and what is allowed.
pub fn check_filter() -> Result<(), SetupError> {
    const ALLOWED: &str = "must be a level (off, error, warn, info, debug, trace) or target=level, or several of them, separated by commas";
    let Some(filter) = std::env::var_os(EnvFilter::DEFAULT_ENV) else {
        return Ok(());
    };
    let Some(filter) = filter.to_str() else {
        return Err(ConfigError::unfit(EnvFilter::DEFAULT_ENV, "must be UTF-8").into());
    };
    let wrong = filter.split(',').find(|part| is_mistaken(part));
    let wrong = wrong.or_else(|| EnvFilter::try_new(filter).is_err().then_some(filter));
    let Some(wrong) = wrong else {
        return Ok(());
    };
    Err(ConfigError::new(EnvFilter::DEFAULT_ENV, format_args!("{wrong:?}"), ALLOWED).into())
}

/// Returns whether a part of `RUST_LOG` must be a mistake. A word that is not a level is read as a target
/// with all of its levels, so a mistyped level would hide every line.
fn is_mistaken(part: &str) -> bool {
    let part = part.trim();
    let target = part.split(['=', '[']).next().unwrap_or_default();
    let is_level = part.is_empty() || part.parse::<LevelFilter>().is_ok();
    let is_bare =
        !part.contains(['=', '[']) && !target.contains("::") && !OUR_TARGETS.contains(&target);
    let has_single_colon = target.replace("::", "").contains(':');
    EnvFilter::try_new(part).is_err() || !is_level && (is_bare || has_single_colon)
}

/// The targets that may be given without a level.
const OUR_TARGETS: [&str; 5] = [
    "rocket",
    "rocket_diesel_sessions",
    "diesel",
    "hyper",
    "r2d2",
];

/// The filter if `RUST_LOG` is not set. The audit log is always written. This program's lines at level
/// info are rare (start and stop, migrations, sweeps), so they are written in release too.
fn default_filter(level: LogLevel) -> &'static str {
    // A directive applies to every target that begins with it, and ours begins with `rocket` too.
    match level {
        LogLevel::Off => "off,rocket_diesel_sessions::audit=info",
        LogLevel::Critical => {
            "warn,rocket::server=off,rocket::launch=off,rocket_diesel_sessions=info"
        }
        LogLevel::Normal => {
            "info,rocket=warn,rocket::server=off,rocket::launch=off,rocket_diesel_sessions=info"
        }
        LogLevel::Debug => "debug,rocket=info,rocket_diesel_sessions=debug",
    }
}

/// Starts logging, as `RUST_LOG` says or else at Rocket's `log_level`. A second call has no effect.
pub fn init(level: LogLevel, format: LogFormat) {
    let default = default_filter(level);
    let directives = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let directives = directives.filter(|directives| EnvFilter::try_new(directives).is_ok());
    let directives = directives.as_deref().unwrap_or(default);
    let lines = lines(format).with_filter(filter(directives));
    // Fails only if a test has set up logging before.
    if tracing_subscriber::registry()
        .with(lines)
        .try_init()
        .is_ok()
    {
        log::set_max_level(level_of_records(directives));
    }
    if *FORMAT.get_or_init(|| format) == LogFormat::Json {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// Returns the filter of all lines. Its level is that of the directives. Without a level, every line of
/// every level would be made and only then be dropped.
fn filter<S>(directives: &str) -> impl Filter<S> + 'static
where
    S: 'static,
{
    let shown = filter_fn(shows_no_request).with_max_level_hint(LevelFilter::TRACE);
    EnvFilter::new(directives).and(shown)
}

/// Returns the most verbose level at which records of the crate `log` may be shown. Libraries write them,
/// Rocket several per request, and this program writes none. So the directives for its own lines do not
/// count.
fn level_of_records(directives: &str) -> log::LevelFilter {
    let is_for_libraries = |part: &&str| !part.trim().starts_with(PROGRAM);
    let directives: Vec<&str> = directives.split(',').filter(is_for_libraries).collect();
    let filter = EnvFilter::try_new(directives.join(","));
    match filter.ok().and_then(|filter| filter.max_level_hint()) {
        Some(LevelFilter::OFF) => log::LevelFilter::Off,
        Some(LevelFilter::ERROR) => log::LevelFilter::Error,
        Some(LevelFilter::WARN) => log::LevelFilter::Warn,
        Some(LevelFilter::INFO) => log::LevelFilter::Info,
        Some(LevelFilter::DEBUG) => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    }
}

/// Returns the id of the request that caused an event. An event that says `parent: None` is not part of
/// the request that caused it.
fn request_of(event: &Event<'_>) -> Option<Uuid> {
    request_id::current().filter(|_| !event.is_root())
}

/// Returns the format of log lines, which standard output follows too.
pub(crate) fn format() -> LogFormat {
    FORMAT.get().copied().unwrap_or_default()
}

/// Writes a line to standard output once the program serves.
pub(crate) fn write_start(fields: &[(&str, &str)]) {
    let line = json::line(Level::INFO, PROGRAM, "started", fields);
    // A closed output does not stop the server.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Returns the reason for which the program ends as a JSON line, if the environment asks for JSON. It is
/// reported whether logging has started or not.
pub fn json_error(message: &str) -> Option<String> {
    json_line(Level::ERROR, message)
}

/// Returns a remark of a command as a JSON line, if the environment asks for JSON.
pub fn json_note(message: &str) -> Option<String> {
    json_line(Level::INFO, message)
}

fn json_line(level: Level, message: &str) -> Option<String> {
    let is_json = LogFormat::from_env().is_ok_and(|format| format == LogFormat::Json);
    is_json.then(|| json::line(level, PROGRAM, message, &[]))
}

/// Logs a panic on one line. Otherwise, it would be text on several lines.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let thread = std::thread::current();
    tracing::error!(
        target: PROGRAM,
        thread = thread.name(),
        location = panic.location().map(tracing::field::display),
        "panicked: {}", text.unwrap_or("a value that is not text")
    );
}

fn lines<S: Subscriber + for<'a> LookupSpan<'a>>(
    format: LogFormat,
) -> Box<dyn Layer<S> + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            let is_colored = std::io::stderr().is_terminal();
            lines.event_format(text::Text::new(is_colored)).boxed()
        }
        LogFormat::Json => lines.event_format(json::Json).boxed(),
    }
}

/// Returns whether an event may be shown at all, whatever `RUST_LOG` says.
///
/// Rocket logs URIs with their queries, and a line for each guard that refuses a request. Below level
/// info, the HTTP libraries log whole requests, including cookies (I8). Our own line per request
/// contains none of this.
fn shows_no_request(metadata: &Metadata<'_>) -> bool {
    /// The end of the targets that Rocket gives to the continuation of a line.
    const CONTINUED: &str = "::_";
    const MOST_VERBOSE: [(&str, Level); 3] = [
        ("rocket::server", Level::WARN),
        ("hyper", Level::INFO),
        ("h2", Level::INFO),
    ];
    let target = metadata.target();
    let is_too_verbose = MOST_VERBOSE
        .iter()
        .any(|(library, most)| target.starts_with(library) && metadata.level() > most);
    let is_of_request = target.ends_with(CONTINUED) && !target.starts_with("rocket::launch");
    !is_too_verbose && !is_of_request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_of_the_log_is_that_of_its_directives() {
        for (level, most) in [
            (LogLevel::Off, LevelFilter::INFO),
            (LogLevel::Critical, LevelFilter::INFO),
            (LogLevel::Normal, LevelFilter::INFO),
            (LogLevel::Debug, LevelFilter::DEBUG),
        ] {
            let filter = filter::<tracing_subscriber::Registry>(default_filter(level));
            assert_eq!(filter.max_level_hint(), Some(most), "{level}");
        }
    }

    #[test]
    fn records_of_libraries_are_made_only_at_levels_that_are_shown() {
        use log::LevelFilter::{Debug, Info, Off, Trace, Warn};
        for (directives, level) in [
            (default_filter(LogLevel::Off), Off),
            (default_filter(LogLevel::Critical), Warn),
            (default_filter(LogLevel::Normal), Info),
            (default_filter(LogLevel::Debug), Debug),
            ("warn, rocket_diesel_sessions=trace", Warn),
            ("info,hyper=trace", Trace),
            ("rocket=debug", Debug),
            ("rocket_diesel_sessions::request=debug", Off),
            ("off,rocket_diesel_sessions", Off),
        ] {
            assert_eq!(level_of_records(directives), level, "{directives}");
        }
    }

    #[test]
    fn an_unknown_format_is_refused_with_the_ones_allowed() {
        assert_eq!("json".parse::<LogFormat>().ok(), Some(LogFormat::Json));
        assert_eq!("".parse::<LogFormat>().ok(), Some(LogFormat::Text));
        let refusal = "xml".parse::<LogFormat>().unwrap_err().to_string();
        assert_eq!(refusal, "LOG_FORMAT = \"xml\": must be text or json");
    }
}
