//! The program at a terminal made by util-linux's `script`, with a person typing.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::support::{Database, wait_until};

/// Name of the file that receives the terminal's device.
const DEVICE: &str = "terminal";

/// Name of the file that receives the terminal's settings at the end.
pub(crate) const SETTINGS: &str = "settings";

pub(crate) struct Terminal {
    process: Child,
    keyboard: std::process::ChildStdin,
    screen: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
    device: PathBuf,
    /// The part of the screen that has been read.
    seen: usize,
}

impl Terminal {
    /// Runs the program on `database` in a terminal of this many columns.
    pub(crate) fn start(database: &Database, columns: u16, arguments: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_rocket_diesel_sessions");
        let device = database.folder().join(DEVICE);
        let commands = format!(
            "stty rows 24 cols {columns}; tty > {DEVICE}; {program} {arguments}; code=$?; \
             stty -a > {SETTINGS}; exit $code"
        );
        let mut process = Command::new("script")
            .args(["-qec", &commands, "/dev/null"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("TERM", "xterm")
            .env("ROCKET_PROFILE", "debug")
            .env("DATABASE_URL", database.raw_url())
            .current_dir(database.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script, of util-linux, can be run");
        let screen = Arc::new(Mutex::new(String::new()));
        let mut output = process.stdout.take().unwrap();
        let reader = {
            let screen = Arc::clone(&screen);
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = output.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..length]);
                    screen.lock().unwrap().push_str(&text);
                }
            })
        };
        Self {
            keyboard: process.stdin.take().unwrap(),
            process,
            screen,
            reader,
            device,
            seen: 0,
        }
    }

    /// Waits until `text` is on the screen, after the text that was waited for before.
    pub(crate) fn expect(&mut self, text: &str) {
        let (screen, seen) = (Arc::clone(&self.screen), &mut self.seen);
        wait_until(&format!("{text:?} is on the screen"), || {
            let screen = screen.lock().unwrap();
            let Some(place) = screen[*seen..].find(text) else {
                return false;
            };
            *seen += place + text.len();
            true
        });
    }

    /// Waits until the terminal hides what is typed.
    pub(crate) fn expect_no_echo(&self) {
        let device = std::fs::read_to_string(&self.device).unwrap();
        wait_until("the terminal shows nothing of what is typed", || {
            let mut stty = Command::new("stty");
            let settings = stty.args(["-F", device.trim(), "-a"]).output().unwrap();
            let settings = String::from_utf8(settings.stdout).unwrap();
            settings.split_whitespace().any(|word| word == "-echo")
        });
    }

    /// Types a line.
    pub(crate) fn types(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits for the end. Returns the exit code and the whole screen.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        wait_until("the program ends", || {
            self.process.try_wait().unwrap().is_some()
        });
        let code = self.process.wait().unwrap().code();
        self.reader.join().unwrap();
        let screen = self.screen.lock().unwrap().clone();
        (code, screen)
    }
}
