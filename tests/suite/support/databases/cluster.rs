//! Throwaway PostgreSQL servers, which end with this process, even after a crash: one for the whole
//! run, and others for tests that stop or crash theirs.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

use super::Citus;

/// A server for a single test.
pub(crate) struct Cluster {
    script: Child,
    /// When this closes, the script stops the server.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    url: String,
}

impl Cluster {
    /// Starts a server whose commits survive a crash. Returns `None` if PostgreSQL is to be
    /// skipped.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with("-c fsync=on")
    }

    /// Starts a server with these options of the program `postgres`.
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

    /// Returns the server's URL without a database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sends the script a command (see its first lines) and waits until it is done.
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

/// The server that tests share, and with `TEST_PGBOUNCER=1` the PgBouncer in front of it.
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

/// Returns the URL, without a database, of the shared server, or `None` if PostgreSQL is to be
/// skipped.
pub(super) fn url() -> Option<&'static str> {
    SHARED.as_ref().map(|shared| shared.cluster.url())
}

/// The Citus cluster that tests share with `TEST_CITUS=1`.
static CITUS: LazyLock<Option<Citus>> = LazyLock::new(|| {
    let is_asked = std::env::var("TEST_CITUS").is_ok_and(|asked| asked == "1");
    is_asked.then(|| Citus::start().expect("TEST_CITUS=1 needs the extension Citus"))
});

/// Returns the Citus cluster on which the tests' databases are, if there is one.
pub(super) fn citus() -> Option<&'static Citus> {
    CITUS.as_ref()
}

/// Returns the URL of the PgBouncer through which stores and servers connect, if there is one.
pub(super) fn pooler() -> Option<&'static str> {
    SHARED.as_ref()?.pooler.as_deref()
}
