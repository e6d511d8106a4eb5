//! The program in its own process, on a free port of the loopback address.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rocket::serde::json::Value;

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
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
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
            let _ = process.wait();
            panic!("the server did not start: {}", log.lock().unwrap());
        };
        // Further output must not block it.
        std::thread::spawn(move || stdout.read_to_string(&mut String::new()));
        Self {
            process,
            url,
            start_message,
            log,
            reader: Some(reader),
        }
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

/// A visitor over HTTP whose browser keeps the session cookie.
#[derive(Clone)]
pub(crate) struct Browser {
    agent: ureq::Agent,
    url: String,
    pub(crate) cookie: Option<String>,
}

/// The answer to an HTTP request.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) set_cookie: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(std::time::Duration::from_secs(20)))
            .build();
        Self {
            agent: config.into(),
            url: url.to_owned(),
            cookie: None,
        }
    }

    /// Continues with another server.
    pub(crate) fn set_url(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    /// Sends a GET request to a server that may have ended.
    pub(crate) fn try_get(&mut self, path: &str) -> Option<Reply> {
        let cookie = self.cookie.clone().unwrap_or_default();
        self.request(path, cookie.as_bytes()).ok()
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        let cookie = self.cookie.clone().unwrap_or_default();
        self.get_with(path, cookie.as_bytes())
    }

    /// Sends a GET request with a `Cookie` header of arbitrary bytes.
    pub(crate) fn get_with(&mut self, path: &str, cookie: &[u8]) -> Reply {
        self.request(path, cookie)
            .unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    fn request(&mut self, path: &str, cookie: &[u8]) -> Result<Reply, ureq::Error> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if !cookie.is_empty() {
            let cookie = ureq::http::HeaderValue::from_bytes(cookie).unwrap();
            request = request.header("Cookie", cookie);
        }
        self.keep(request.call())
    }

    /// Sends a GET request with a further header.
    pub(crate) fn get_with_header(&mut self, path: &str, name: &str, value: &str) -> Reply {
        let request = self.agent.get(format!("{}{path}", self.url));
        self.keep(request.header(name, value).call())
            .unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    pub(crate) fn delete(&mut self, path: &str) -> Reply {
        let mut request = self.agent.delete(format!("{}{path}", self.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        self.keep(request.call())
            .unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Sends a POST request with a JSON body, or without a body if it is empty.
    pub(crate) fn post(&mut self, path: &str, json: &str) -> Reply {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        let answer = if json.is_empty() {
            request.send_empty()
        } else {
            request
                .header("Content-Type", "application/json")
                .send(json)
        };
        self.keep(answer)
            .unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    fn keep(
        &mut self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Reply, ureq::Error> {
        let mut response = response?;
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (set_cookie, retry_after) = (header("set-cookie"), header("retry-after"));
        let request_id = header("x-request-id");
        let body = response.body_mut().read_to_string()?;
        if let Some(cookie) = &set_cookie {
            let pair = cookie.split(';').next().unwrap().to_owned();
            self.cookie = (!cookie.contains("Max-Age=0")).then_some(pair);
        }
        Ok(Reply {
            status: response.status().as_u16(),
            set_cookie,
            retry_after,
            request_id,
            body,
        })
    }

    /// Counts a visit.
    pub(crate) fn visit(&mut self) -> u64 {
        let reply = self.get("/api/session/test-session");
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["visitCount"].as_u64().unwrap()
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        rocket::serde::json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
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
