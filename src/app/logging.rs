//! Log lines to standard error.

use std::io::IsTerminal;

use rocket::config::LogLevel;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging at Rocket's `log_level`, or as `RUST_LOG` says. A second call does nothing.
pub fn init(level: LogLevel) {
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
    let lines = tracing_subscriber::fmt::layer()
        .compact()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter(filter.and(filter_fn(shows_no_headers)));
    // Fails only if a test has set up logging before.
    let _ = tracing_subscriber::registry().with(lines).try_init();
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
