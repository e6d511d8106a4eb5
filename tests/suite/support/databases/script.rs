//! A script of `tests/` that runs servers until its input ends, and takes commands.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running script. Dropping this ends what it has started.
pub(super) struct Script {
    process: Child,
    /// When this closes, the script stops its servers.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Script {
    /// Starts the script of this name, and waits until its servers run. Returns it with its first
    /// line, which is empty if they do not.
    pub(super) fn start(name: &str, environment: &[(&str, &str)]) -> (Self, String) {
        let path = format!("{}/../tests/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new(path)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("tests/{name} cannot be run: {error}"));
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        let mut script = Self {
            process,
            commands,
            answers,
        };
        let url = script.answer();
        (script, url)
    }

    /// Sends the script a command (see its first lines) and waits until it is done.
    pub(super) fn tell(&mut self, command: &str) -> String {
        let commands = self.commands.as_mut().expect("it runs");
        writeln!(commands, "{command}").expect("the script reads");
        let answer = self.answer();
        assert!(!answer.is_empty(), "the servers did not {command}");
        answer
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("UTF-8");
        line.trim().to_owned()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.process.wait();
    }
}
