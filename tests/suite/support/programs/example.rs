//! The examples of the library, each in its own process, on a free port of the loopback address.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rocket::http::hyper::Uri;
use ureq::Agent;
use ureq::http::Request;

use crate::support::local::SECRET;

/// A running example; dropping it kills it.
pub(crate) struct Example {
    process: Child,
    url: String,
    agent: Agent,
    // Removed when the example has ended.
    _folder: tempfile::TempDir,
}

/// An answer: the status, the cookies that it sets, and its body.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) cookies: Vec<String>,
    pub(crate) body: String,
}

/// Returns the root of the workspace.
fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Builds all examples, once, beside the program, and returns their folder.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let program = Path::new(env!("CARGO_BIN_EXE_rocket_diesel_sessions"));
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(workspace());
        build.args(["build", "--locked", "--quiet", "--examples"]);
        assert!(
            build.status().unwrap().success(),
            "the examples do not compile"
        );
        program.with_file_name("examples")
    })
}

/// Runs the tests that an example contains.
pub(crate) fn run_tests_of(example: &str) {
    let mut test = Command::new(env!("CARGO"));
    test.current_dir(workspace());
    test.args(["test", "--locked", "--quiet", "--example", example]);
    let output = test.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("passed") && !said.contains(" 0 passed"),
        "{said}"
    );
}

impl Example {
    /// Starts an example, on SQLite unless there is a URL of a database.
    pub(crate) fn start(name: &str, database_url: Option<&str>) -> Self {
        let url = database_url.map(|url| ("DATABASE_URL", url));
        Self::start_with(name, url.as_slice())
    }

    /// Starts an example with these environment variables.
    pub(crate) fn start_with(name: &str, variables: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(folder().join(name));
        command
            .env_clear()
            .current_dir(home.path())
            .env("ROCKET_PORT", "0")
            .env("ROCKET_CLI_COLORS", "false")
            .env("SESSION_SECRET", SECRET)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut said = String::new();
        let url = loop {
            let mut line = String::new();
            if stdout.read_line(&mut line).unwrap() == 0 {
                let _ = process.wait();
                panic!("the example {name} did not start: {said}");
            }
            if let Some((_, url)) = line.trim_end().split_once("launched from ") {
                break url.to_owned();
            }
            said.push_str(&line);
        };
        // Further output must not block it.
        std::thread::spawn(move || stdout.read_to_string(&mut String::new()));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0);
        Self {
            process,
            url,
            agent: Agent::new_with_config(config.build()),
            _folder: home,
        }
    }

    /// Returns the host and port.
    pub(crate) fn address(&self) -> String {
        let url: Uri = self.url.parse().unwrap();
        url.authority().unwrap().to_string()
    }

    /// Sends a request with headers and a form, which may be empty.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        form: &str,
    ) -> Answered {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !form.is_empty() {
            request = request.header("Content-Type", "application/x-www-form-urlencoded");
        }
        let request = request.body(form.to_owned()).unwrap();
        let mut response = self.agent.run(request).unwrap();
        let cookies = response.headers().get_all("set-cookie").iter();
        let pair = |cookie: &str| cookie.split(';').next().unwrap_or_default().to_owned();
        Answered {
            status: response.status().as_u16(),
            cookies: cookies.map(|value| pair(value.to_str().unwrap())).collect(),
            body: response.body_mut().read_to_string().unwrap(),
        }
    }

    /// Opens a stream and returns its lines.
    pub(crate) fn lines(&self, path: &str, cookie: &str) -> impl Iterator<Item = String> + use<> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let response = request.header("Cookie", cookie).call().unwrap();
        let lines = BufReader::new(response.into_body().into_reader()).lines();
        lines.map_while(Result::ok)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
