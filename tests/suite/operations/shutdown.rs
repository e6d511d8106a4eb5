//! The end of a server: requests in progress finish, work that was put off is done, and nothing
//! hangs.

use std::process::Command;

use crate::support::server::program;
use crate::support::start::folder;
use crate::support::{Database, Kind, Server, metric_of, wait_until};

on_each_database! {
    fn requests_in_progress_succeed_when_the_server_stops(database: &Database) {
        let server = Server::start(database);
        let mut visitor = server.client();
        assert_eq!(visitor.visit(), 1);
        let mut holder = database.connection();
        match database.kind() {
            Kind::Sqlite => holder.run("BEGIN IMMEDIATE"),
            Kind::Postgres => holder.run("BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"),
        }
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| visitor.visit());
            let mut monitor = server.client();
            wait_until("the visit waits for the database", || {
                let metrics = monitor.get("/metrics").body;
                metric_of(&metrics, "sessions_connections{state=\"in_use\"}") > 0
            });
            server.send_sigterm();
            wait_until("no new work is taken in", || monitor.try_get("/healthz").is_none());
            holder.run("ROLLBACK");
            assert_eq!(slow.join().unwrap(), 2);
        });
        assert_eq!(server.wait(), Some(0));
        assert_eq!(database.number("SELECT version AS n FROM sessions"), 1);
    }

    fn pending_touches_are_written_before_the_server_ends(database: &Database) {
        let environment = [("ROCKET_SESSIONS", r#"{timeout="20s",touch_interval="0s"}"#)];
        let server = Server::start_with(database, &environment);
        let mut visitor = server.client();
        visitor.visit();
        database.execute("UPDATE sessions SET last_seen_at = created_at");
        assert_eq!(visitor.get("/api/session").status, 200);
        assert_eq!(server.terminate(), Some(0));
        let seen = "SELECT count(*) AS n FROM sessions WHERE last_seen_at > created_at";
        assert_eq!(database.number(seen), 1);
    }
}

/// Rocket listens for signals only after it has printed the start message. A shell can stop the
/// server before that.
#[test]
fn a_server_stopped_right_after_its_start_ends_normally() {
    let folder = folder();
    let script = r#"
        { "$1" & echo $!; wait $!; echo "exit code $?"; } |
        { read -r pid; read -r name; kill -s "$2" "$pid"; tail -n 1; }"#;
    for signal in ["TERM", "HUP"].repeat(10) {
        let mut server = program(folder.path());
        server.env("ROCKET_SHUTDOWN", r#"{signals=["term","hup"]}"#);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script, "sh"])
            .arg(server.get_program())
            .arg(signal);
        shell.current_dir(folder.path()).env_clear();
        for (name, value) in server.get_envs() {
            shell.envs(value.map(|value| (name, value)));
        }
        let output = shell.output().unwrap();
        let last = String::from_utf8(output.stdout).unwrap();
        assert_eq!(last, "exit code 0\n", "{signal}");
    }
}
