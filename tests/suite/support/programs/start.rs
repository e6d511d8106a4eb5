//! Starts of the program, and its refusals.

use std::path::Path;
use std::process::{Command, Output};

use super::server::{program, run_to_end};

pub(crate) const SECRET: &str = "a-secret-for-these-tests-of-more-than-32-bytes";

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Returns a release server's command in an empty directory.
pub(crate) fn release(folder: &Path) -> Command {
    let mut command = program(folder);
    command
        .env("ROCKET_PROFILE", "release")
        .env("SESSION_SECRET", SECRET);
    command
}

/// Returns the message of a program that refused to run: one line, an exit code other than 0, no
/// panic.
pub(crate) fn refusal(output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!output.status.success(), "it ran: {stderr}");
    assert!(output.status.code().is_some(), "it was killed: {stderr}");
    assert!(
        !stderr.contains("panicked") && !stderr.contains("backtrace"),
        "{stderr}"
    );
    let errors = stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .count();
    assert_eq!(errors, 1, "{stderr}");
    stderr
}

pub(crate) fn assert_refused(command: Command, words: &[&str]) {
    let message = refusal(&run_to_end(command));
    for word in words {
        assert!(message.contains(word), "{word:?} is missing: {message}");
    }
}
