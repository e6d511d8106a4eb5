//! The program in its own process, on a free port of the loopback address.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rocket::serde::json::Value;

use super::visitor::Browser;
use crate::support::local::{ADMIN_TOKEN, SECRET};
use crate::support::{Database, wait_until};

/// Returns the program's command in `folder`, without our own environment.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rocket_diesel_sessions"));
    command
        .env_clear()
        .current_dir(folder)
        .env("ROCKET_PROFILE", "debug")
        .env("ROCKET_PORT", "0")
        .stdin(Stdio::null());
    command
}

/// A missing page, requested to mark a place in the log.
const MARKER: &str = "/no-such-page-marks-the-log";

/// A starting program.
pub(crate) struct Starting {
    process: Child,
    log: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Starting {
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let reader = {
            let stderr = BufReader::new(process.stderr.take().unwrap());
            let log = log.clone();
            std::thread::spawn(move || {
                for line in stderr.lines().map_while(Result::ok) {
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                }
            })
        };
        Self {
            process,
            log,
            reader,
        }
    }

    /// Waits until it has logged `words`.
    pub(crate) fn wait_for_log(&self, words: &str) {
        wait_until(words, || self.log.lock().unwrap().contains(words));
    }

    /// Waits until it serves.
    pub(crate) fn ready(mut self) -> Server {
        let mut stdout = BufReader::new(self.process.stdout.take().unwrap());
        let mut url = None;
        let (mut line, mut start_message) = (String::new(), String::new());
        while stdout.read_line(&mut line).unwrap() > 0 {
            start_message.push_str(&line);
            // With LOG_FORMAT=json.
            if let Ok(started) = rocket::serde::json::from_str::<Value>(&line) {
                url = started["address"].as_str().map(str::to_owned);
                break;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["address", address] => url = Some((*address).to_owned()),
                ["profile", _] => break,
                _ => {}
            }
            line.clear();
        }
        let Some(url) = url else {
            let _ = self.process.wait();
            panic!("the server did not start: {}", self.log.lock().unwrap());
        };
        // Further output must not block it.
        std::thread::spawn(move || stdout.read_to_string(&mut String::new()));
        Server {
            process: self.process,
            url,
            start_message,
            log: self.log,
            reader: Some(self.reader),
        }
    }
}

/// A running server; dropping it kills it.
pub(crate) struct Server {
    process: Child,
    url: String,
    start_message: String,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server on `database` that logs its statements.
    pub(crate) fn start(database: &Database) -> Self {
        Self::start_with(database, &[])
    }

    pub(crate) fn start_with(database: &Database, environment: &[(&str, &str)]) -> Self {
        let mut command = program(database.folder());
        command
            .env("DATABASE_URL", database.raw_url())
            .env("SESSION_SECRET", SECRET)
            .env("SESSION_ADMIN_TOKEN", ADMIN_TOKEN)
            // For tests on a slow machine.
            .env("ROCKET_SESSIONS", r#"{timeout="20s"}"#)
            .env(
                "RUST_LOG",
                "warn,rocket_diesel_sessions::sql=debug,rocket_diesel_sessions::request=debug,\
                 rocket::launch=off",
            )
            .envs(environment.iter().copied());
        Self::spawn(command)
    }

    /// Starts `command` and waits until it serves.
    pub(crate) fn spawn(command: Command) -> Self {
        Starting::spawn(command).ready()
    }

    pub(crate) fn client(&self) -> Browser {
        Browser::new(&self.url)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the message that the server printed when it was ready.
    pub(crate) fn start_message(&self) -> &str {
        &self.start_message
    }

    /// Returns the log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Stops the server and returns its whole log.
    pub(crate) fn log_at_end(mut self) -> String {
        self.send_sigterm();
        self.process.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.log()
    }

    pub(crate) fn send_sigterm(&self) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Returns the statements that `action` made the server run: those logged between two requests
    /// for a missing page.
    pub(crate) fn statements_of(&self, action: impl FnOnce()) -> Vec<String> {
        let before = self.marked_log().len();
        action();
        let log = self.marked_log();
        let lines = log[before..].lines().take_while(|line| !is_marker(line));
        lines
            .filter(|line| line.contains("rocket_diesel_sessions::sql"))
            // The sweep may run at any time.
            .filter(|line| !line.contains("expires_at <= "))
            .map(str::to_owned)
            .collect()
    }

    /// Requests a missing page and returns the log up to the line of that request.
    fn marked_log(&self) -> String {
        let markers = |log: &str| log.lines().filter(|line| is_marker(line)).count();
        let before = markers(&self.log());
        assert_eq!(self.client().get(MARKER).status, 404);
        wait_until("the marker is logged", || markers(&self.log()) > before);
        self.log()
    }

    /// Asks the server to stop, as a service manager does, and returns its exit code.
    pub(crate) fn terminate(self) -> Option<i32> {
        self.send_sigterm();
        self.wait()
    }

    /// Waits until the server has ended, and returns its exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Returns whether this is the last line of a request for [`MARKER`].
fn is_marker(line: &str) -> bool {
    line.contains(MARKER) && line.contains("status=404")
}

/// Runs `command` until it ends. Panics if it does not.
pub(crate) fn run_to_end(mut command: Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the program ends", || child.try_wait().unwrap().is_some());
    child.wait_with_output().unwrap()
}
