//! The program's log in the release profile.

use rocket::serde::json::{Value, from_str};

use super::server::Server;
use super::start::release;
use crate::support::Database;
use crate::support::local::ADMIN_TOKEN;

/// Starts a server in the release profile with the default log.
pub(crate) fn released(database: &Database, environment: &[(&str, &str)]) -> Server {
    let mut command = release(database.folder());
    command
        .env("DATABASE_URL", database.raw_url())
        .env("SESSION_ADMIN_TOKEN", ADMIN_TOKEN)
        .envs(environment.iter().copied());
    Server::spawn(command)
}

/// Returns the lines of a log, each of which must be a JSON object of the common shape.
pub(crate) fn json_lines(log: &str) -> Vec<Value> {
    let line = |line: &str| {
        let json: Value = from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["timestamp", "level", "target"] {
            assert!(json[key].is_string(), "{key} is missing: {line}");
        }
        let keys = json.as_object().unwrap().keys();
        let of_log: Vec<_> = keys.filter(|key| key.starts_with("log.")).collect();
        assert!(of_log.is_empty(), "{of_log:?}: {line}");
        json
    };
    log.lines().map(line).collect()
}
