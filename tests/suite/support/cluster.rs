//! One throwaway PostgreSQL for the whole run, which ends with this process, however it ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

/// Holds the script's standard input open; at its end the script stops the server.
struct Cluster {
    _script: Child,
    url: String,
}

static CLUSTER: LazyLock<Option<Cluster>> = LazyLock::new(|| {
    if std::env::var("SKIP_POSTGRES").is_ok_and(|skip| skip == "1") {
        eprintln!("SKIP_POSTGRES=1: the tests on PostgreSQL are skipped");
        return None;
    }
    let mut script = Command::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/postgres-cluster"
    ))
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .expect("tests/postgres-cluster can be run");
    let mut url = String::new();
    let output = script.stdout.take().expect("piped");
    BufReader::new(output).read_line(&mut url).expect("UTF-8");
    let url = url.trim().to_owned();
    assert!(
        !url.is_empty(),
        "PostgreSQL did not start; SKIP_POSTGRES=1 leaves its tests out"
    );
    Some(Cluster {
        _script: script,
        url,
    })
});

/// The server's URL without a database; `None` if PostgreSQL is to be skipped.
pub(super) fn url() -> Option<&'static str> {
    CLUSTER.as_ref().map(|cluster| cluster.url.as_str())
}
