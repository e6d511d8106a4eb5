//! The program as a command, and its output.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use rocket::serde::json::{Value, from_str};

use super::server::{program, run_to_end};
use crate::support::Database;

pub(crate) fn on(database: &Database, arguments: &[&str]) -> Command {
    let mut command = program(database.folder());
    command
        .env("DATABASE_URL", database.raw_url())
        .args(arguments);
    command
}

pub(crate) fn stdout(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs a command that must succeed and returns its output.
pub(crate) fn run(database: &Database, arguments: &[&str]) -> String {
    stdout(&run_to_end(on(database, arguments)))
}

pub(crate) fn run_json(database: &Database, arguments: &[&str]) -> Value {
    from_str(&run(database, arguments)).unwrap()
}

/// Asserts that a command fails with a single line that contains `words`.
pub(crate) fn assert_fails(database: &Database, arguments: &[&str], words: &[&str]) {
    let output = run_to_end(on(database, arguments));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
    assert!(message.starts_with("error: "), "{arguments:?}: {message}");
    assert_eq!(message.lines().count(), 1, "{arguments:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is missing: {message}");
    }
}

/// Runs a command with a line on standard input.
pub(crate) fn run_with_input(database: &Database, arguments: &[&str], input: &str) -> Output {
    let mut child = on(database, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses before it reads has closed its standard input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}
