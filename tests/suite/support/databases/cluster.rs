//! Throwaway PostgreSQL servers, which end with this process, however it ends: one for the whole
//! run, and others for tests that stop or crash theirs.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

/// A server that a test has for itself.
pub(crate) struct Cluster {
    script: Child,
    /// At its end the script stops the server.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    url: String,
}

impl Cluster {
    /// A server whose commits survive a crash; `None` if PostgreSQL is to be skipped.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with("-c fsync=on")
    }

    /// A server with these options of its program `postgres`.
    pub(crate) fn start_with(options: &str) -> Option<Self> {
        if std::env::var("SKIP_POSTGRES").is_ok_and(|skip| skip == "1") {
            eprintln!("SKIP_POSTGRES=1: the tests on PostgreSQL are skipped");
            return None;
        }
        let given = std::env::var("POSTGRES_OPTIONS").unwrap_or_default();
        let mut script = Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/postgres-cluster"
        ))
        .env("POSTGRES_OPTIONS", format!("{options} {given}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/postgres-cluster can be run");
        let commands = script.stdin.take();
        let mut answers = BufReader::new(script.stdout.take().expect("piped"));
        let url = answer(&mut answers);
        assert!(
            !url.is_empty(),
            "PostgreSQL did not start; SKIP_POSTGRES=1 leaves its tests out"
        );
        Some(Self {
            script,
            commands,
            answers,
            url,
        })
    }

    /// Its URL without a database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Gives the script a command (see its first lines), and waits until that is done.
    pub(crate) fn tell(&mut self, command: &str) -> String {
        let commands = self.commands.as_mut().expect("it runs");
        writeln!(commands, "{command}").expect("the script reads");
        let answer = answer(&mut self.answers);
        assert!(!answer.is_empty(), "the server did not {command}");
        answer
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.script.wait();
    }
}

fn answer(answers: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    answers.read_line(&mut line).expect("UTF-8");
    line.trim().to_owned()
}

/// The server that tests share, and the PgBouncer in front of it with `TEST_PGBOUNCER=1`.
struct Shared {
    cluster: Cluster,
    pooler: Option<String>,
}

static SHARED: LazyLock<Option<Shared>> = LazyLock::new(|| {
    let mut cluster = Cluster::start_with("")?;
    let is_pooled = std::env::var("TEST_PGBOUNCER").is_ok_and(|pooled| pooled == "1");
    let pooler = is_pooled.then(|| cluster.tell("pgbouncer options"));
    Some(Shared { cluster, pooler })
});

/// The URL, without a database, of the server that tests share; `None` if PostgreSQL is to be
/// skipped.
pub(super) fn url() -> Option<&'static str> {
    SHARED.as_ref().map(|shared| shared.cluster.url())
}

/// The URL of the PgBouncer through which stores and servers reach it, if they are to.
pub(super) fn pooler() -> Option<&'static str> {
    SHARED.as_ref()?.pooler.as_deref()
}
