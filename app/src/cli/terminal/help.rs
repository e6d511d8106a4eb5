//! The parts of `--help` besides the arguments.

use clap::Command;

/// The end of the main help.
pub(in crate::cli) const TOP: &str = "\
Environment variables, also read from a file .env:
  DATABASE_URL         The database [default: sqlite://sessions.db]
  SESSION_SECRET       Signs cookies; required by serve outside the debug profile
  SESSION_ADMIN_TOKEN  The administrators' bearer token
  ROCKET_PROFILE       debug or release; NODE_ENV=production means release
  ROCKET_ADDRESS, ROCKET_PORT
                       Where to listen [default: 127.0.0.1, 8000]
  ROCKET_SESSIONS, ROCKET_APP
                       Settings, as in ROCKET_SESSIONS='{idle_timeout=\"2h\"}'
  ROCKET_CONFIG        The settings file [default: Rocket.toml]
  RUST_LOG, LOG_FORMAT What to log, and whether as text or json

Examples:
  rocket_diesel_sessions
  rocket_diesel_sessions users add ada --admin
  rocket_diesel_sessions sessions revoke --user ada
  rocket_diesel_sessions config check";

const EXIT_CODES: &str =
    "Exit codes: 0 success, 1 failure (a line begins with `error:`), 2 wrong usage";

const ENVIRONMENT: &str = "Environment: DATABASE_URL [default: sqlite://sessions.db], and the other \
                           variables that `rocket_diesel_sessions --help` lists";

/// Adds the exit codes to the help of a command and of all its subcommands. The help of the subcommands
/// gets the environment too.
pub(in crate::cli) fn complete(command: Command) -> Command {
    let with_codes = ended(command, &[EXIT_CODES]);
    with_codes.mut_subcommands(below)
}

fn below(command: Command) -> Command {
    ended(command, &[ENVIRONMENT, EXIT_CODES]).mut_subcommands(below)
}

/// Adds paragraphs to the end of a command's help.
fn ended(command: Command, paragraphs: &[&str]) -> Command {
    let own = command.get_after_help().map(ToString::to_string);
    let mut all: Vec<&str> = own.iter().map(String::as_str).collect();
    all.extend(paragraphs);
    let text = all.join("\n\n");
    command.after_help(text)
}
