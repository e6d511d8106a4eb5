//! Throwaway PostgreSQL servers, which end with this process, even after a crash: one for the whole
//! run, and others for tests that stop or crash theirs.

use std::sync::LazyLock;

use super::Citus;
use super::script::Script;

/// A server for a single test.
pub(crate) struct Cluster {
    script: Script,
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
        let options = format!("{options} {given}");
        let (script, url) = Script::start("postgres-cluster", &[("POSTGRES_OPTIONS", &options)]);
        assert!(
            !url.is_empty(),
            "PostgreSQL did not start; SKIP_POSTGRES=1 leaves its tests out"
        );
        Some(Self { script, url })
    }

    /// Returns the server's URL without a database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sends the script a command (see its first lines) and waits until it is done.
    pub(crate) fn tell(&mut self, command: &str) -> String {
        self.script.tell(command)
    }
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
