//! A browser's only tab: what its user does and sees.

use std::time::Duration;

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rocket::serde::json::{Value, from_str, json};
use rocket::tokio::runtime::{Builder, Runtime};
use rocket::tokio::time::timeout;

use crate::support::{Server, wait_for, wait_until};

/// Time limit of any operation on a slow machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two checks for what is awaited.
const PERIOD: Duration = Duration::from_millis(20);

/// A tab. Dropping it ends its browser and deletes the profile.
pub(crate) struct Tab {
    runtime: Runtime,
    client: Client,
    /// The URL at which chromedriver takes commands for this browser.
    driver: String,
    site: String,
}

impl Tab {
    pub(super) fn new(driver: &str, capabilities: Capabilities, site: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (client, id) = runtime.block_on(async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            let client = builder.capabilities(capabilities).connect(driver).await;
            let client = client.unwrap_or_else(|error| panic!("Chromium did not start: {error}"));
            let id = client.session_id().await.unwrap().unwrap();
            (client, id)
        });
        Self {
            runtime,
            client,
            driver: format!("{driver}/session/{id}"),
            site: site.to_owned(),
        }
    }

    #[track_caller]
    fn run<T>(&self, commands: impl Future<Output = Result<T, CmdError>>) -> T {
        match self.runtime.block_on(commands) {
            Ok(result) => result,
            Err(error) => {
                let url = self.runtime.block_on(self.client.current_url()).ok();
                let source = self.runtime.block_on(self.client.source());
                let source = source.unwrap_or_default();
                panic!(
                    "{error}, at {}: {source}",
                    url.map_or_else(String::new, Into::into)
                );
            }
        }
    }

    async fn find(&self, selector: &str) -> Result<Element, CmdError> {
        let wait = self.client.wait().at_most(PATIENCE).every(PERIOD);
        wait.for_element(Locator::Css(selector)).await
    }

    async fn stroke(&self, key: Key) -> Result<(), CmdError> {
        let value = key.into();
        let keyboard = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value });
        self.client.perform_actions(keyboard).await
    }

    /// Does something that leads to another page, and waits for that page.
    async fn leave(
        &self,
        action: impl Future<Output = Result<(), CmdError>>,
    ) -> Result<(), CmdError> {
        let before = self.find("html").await?;
        action.await?;
        wait_for("the browser shows the next page", async || {
            before.tag_name().await.is_err() && self.is_complete().await
        })
        .await;
        Ok(())
    }

    async fn is_complete(&self) -> bool {
        let state = self.client.execute("return document.readyState", vec![]);
        state.await.is_ok_and(|state| state == "complete")
    }

    /// Enters the address of a page of the server.
    #[track_caller]
    pub(crate) fn goto(&self, path: &str) {
        self.run(self.client.goto(&format!("{}{path}", self.site)));
    }

    /// Clicks an element that leads to another page.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        self.run(self.leave(async { self.find(selector).await?.click().await }));
    }

    /// Opens a menu or a disclosure, by its summary.
    #[track_caller]
    pub(crate) fn open(&self, selector: &str) {
        self.run(async { self.find(selector).await?.click().await });
    }

    /// Clicks the link with this text.
    #[track_caller]
    pub(crate) fn follow(&self, text: &str) {
        self.run(self.leave(async {
            let wait = self.client.wait().at_most(PATIENCE).every(PERIOD);
            wait.for_element(Locator::LinkText(text))
                .await?
                .click()
                .await
        }));
    }

    #[track_caller]
    pub(crate) fn reload(&self) {
        self.run(self.leave(self.client.refresh()));
    }

    /// Goes back with the back button.
    #[track_caller]
    pub(crate) fn back(&self) {
        self.run(self.leave(self.client.back()));
    }

    /// Replaces the content of the field with this id by `value`.
    #[track_caller]
    pub(crate) fn fill(&self, id: &str, value: &str) {
        self.run(async {
            let field = self.find(&format!("#{id}")).await?;
            field.clear().await?;
            field.send_keys(value).await
        });
    }

    /// Types into the element that has or gets the focus.
    #[track_caller]
    pub(crate) fn type_in(&self, text: &str) {
        self.run(async { self.find(":focus").await?.send_keys(text).await });
    }

    /// Presses Enter, which must lead to another page.
    #[track_caller]
    pub(crate) fn submit(&self) {
        self.run(self.leave(self.stroke(Key::Enter)));
    }

    /// Presses a key, wherever the focus is.
    #[track_caller]
    pub(crate) fn press(&self, key: Key) {
        self.run(self.stroke(key));
    }

    /// Returns the visible text of the first element that the selector finds.
    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> String {
        self.run(async { self.find(selector).await?.text().await })
    }

    /// Returns the number of elements that the page has now.
    #[track_caller]
    pub(crate) fn count(&self, selector: &str) -> usize {
        self.run(self.client.find_all(Locator::Css(selector))).len()
    }

    /// Returns the path of the page.
    #[track_caller]
    pub(crate) fn path(&self) -> String {
        self.run(self.client.current_url()).path().to_owned()
    }

    /// Returns the page's HTML as it is now.
    #[track_caller]
    pub(crate) fn source(&self) -> String {
        self.run(self.client.source())
    }

    /// Runs a script and returns its result. It runs outside the page's own scripts, which may be
    /// forbidden.
    #[track_caller]
    pub(crate) fn execute(&self, script: &str) -> Value {
        self.run(self.client.execute(script, vec![]))
    }

    /// Runs a script that is given a callback as its last argument, and returns what it calls it with.
    #[track_caller]
    pub(super) fn execute_async(&self, script: &str) -> Value {
        self.run(self.client.execute_async(script, vec![]))
    }

    /// Sends a command of Chromium's `DevTools`, and returns its result.
    pub(super) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command(
            "goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
    }

    /// Takes a picture of the whole page, as PNG in base64.
    pub(super) fn picture(&self) -> String {
        let whole = json!({"captureBeyondViewport": true});
        let picture = self.devtools("Page.captureScreenshot", &whole);
        picture["data"].as_str().unwrap().to_owned()
    }

    /// Sends a command that only chromedriver knows, and returns its result.
    fn command(&self, command: &str, body: &Value) -> Value {
        let mut reply = ureq::post(format!("{}/{command}", self.driver))
            .header("Content-Type", "application/json")
            .send(body.to_string())
            .unwrap();
        let reply: Value = from_str(&reply.body_mut().read_to_string().unwrap()).unwrap();
        reply["value"].clone()
    }

    /// Lets the pages that are opened from now on run scripts, or not.
    pub(crate) fn allow_scripts(&self, allowed: bool) {
        self.devtools(
            "Emulation.setScriptExecutionDisabled",
            &json!({"value": !allowed}),
        );
    }

    /// Sets the window's width in CSS pixels.
    #[track_caller]
    pub(crate) fn set_width(&self, width: u32) {
        self.run(self.client.set_window_size(width, 900));
        wait_until("the window is as wide as asked for", || {
            self.execute("return innerWidth") == json!(width)
        });
    }

    /// Continues with another server.
    pub(crate) fn set_server(&mut self, server: &Server) {
        server.url().clone_into(&mut self.site);
    }

    /// Returns whether pages may run scripts. Leaves the server's pages to find out.
    #[track_caller]
    pub(crate) fn has_javascript(&self) -> bool {
        let page = "data:text/html,<title>off</title><script>document.title = 'on'</script>";
        self.run(self.client.goto(page));
        self.run(self.client.title()) == "on"
    }

    /// Returns what the browser logged since the last call. Its `browser` log is the console, and
    /// its `performance` log contains network events.
    pub(crate) fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.command("se/log", &json!({ "type": kind }));
        log.as_array().unwrap().clone()
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        // If this fails, the browser ends with chromedriver.
        let client = self.client.clone();
        let close = async { timeout(PATIENCE, client.close()).await };
        let _ = self.runtime.block_on(close);
    }
}
