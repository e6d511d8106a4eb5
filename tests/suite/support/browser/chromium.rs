//! Chromium, driven over WebDriver. Each browser has its own profile.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use rocket::serde::json::{Value, json};

use super::tab::{PATIENCE, Tab};
use crate::support::Server;

/// The only chromedriver of the whole run. It ends with this process, even after a crash.
pub(crate) struct Chromium {
    /// Keeps the script's standard input open. When it closes, the script ends all Chromiums.
    _script: Child,
    url: String,
}

static CHROMIUM: LazyLock<Option<Chromium>> = LazyLock::new(|| {
    if std::env::var("SKIP_BROWSER").is_ok_and(|skip| skip == "1") {
        eprintln!("SKIP_BROWSER=1: the tests in a browser are skipped");
        return None;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/chromedriver");
    let mut script = Command::new(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/chromedriver can be run");
    let mut url = String::new();
    let output = script.stdout.take().expect("piped");
    BufReader::new(output).read_line(&mut url).expect("UTF-8");
    let url = url.trim().to_owned();
    assert!(
        !url.is_empty(),
        "chromedriver did not start: install chromium and chromium-driver (Debian's names), as \
         tests/run does; SKIP_BROWSER=1 leaves the tests in a browser out"
    );
    Some(Chromium {
        _script: script,
        url,
    })
});

impl Chromium {
    /// Returns `None` if the tests in a browser are to be skipped.
    pub(crate) fn find() -> Option<&'static Self> {
        CHROMIUM.as_ref()
    }

    /// Opens a fresh browser to visit `server`.
    pub(crate) fn open(&self, server: &Server) -> Tab {
        self.start(server.url(), json!({}))
    }

    /// Opens a fresh browser for the site at this origin, whose certificate may be self-made.
    pub(crate) fn open_at(&self, site: &str) -> Tab {
        self.start(site, json!({}))
    }

    /// Opens a fresh browser with JavaScript switched off.
    pub(crate) fn open_without_javascript(&self, server: &Server) -> Tab {
        let off = json!({"profile.managed_default_content_settings.javascript": 2});
        self.start(server.url(), off)
    }

    fn start(&self, site: &str, preferences: Value) -> Tab {
        let options = json!({
            "args": [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                // Only the server can be reached.
                "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
                // Chromium ends when chromedriver does.
                "--remote-debugging-pipe",
                "--window-size=1000,900",
            ],
            "prefs": preferences,
        });
        let capabilities = json!({
            "acceptInsecureCerts": true,
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "timeouts": {"pageLoad": PATIENCE.as_millis(), "script": PATIENCE.as_millis()},
        });
        let Value::Object(capabilities) = capabilities else {
            unreachable!("written as an object")
        };
        Tab::new(&self.url, capabilities, site)
    }
}
