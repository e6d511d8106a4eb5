//! I9: requests that do not ask for the session cost nothing, and requests that only read cost no
//! write.

use crate::support::{Database, Kind, Server, wait_until};

/// Returns the first words of each statement.
fn verbs(statements: &[String]) -> Vec<&str> {
    statements
        .iter()
        .map(|line| {
            let (_, statement) = line.split_once("::sql: ").unwrap();
            statement.split_whitespace().next().unwrap()
        })
        .collect()
}

on_each_database! {
    fn i9_each_route_runs_only_the_statements_it_needs(database: &Database) {
        let server = Server::start(database);
        let mut visitor = server.client();
        let create = server.statements_of(|| assert_eq!(visitor.visit(), 1));
        assert!(verbs(&create).contains(&"INSERT"), "{create:?}");
        assert!(!verbs(&create).contains(&"SELECT"), "{create:?}");

        for path in ["/healthz", "/static/base.css", "/nothing"] {
            let statements = server.statements_of(|| drop(visitor.get(path)));
            assert_eq!(statements, Vec::<String>::new(), "{path}");
        }
        for path in ["/api/session", "/"] {
            let statements = server.statements_of(|| drop(visitor.get(path)));
            assert_eq!(verbs(&statements), ["SELECT"], "{path}: {statements:?}");
            let mut stranger = server.client();
            let statements = server.statements_of(|| {
                let reply = stranger.get(path);
                assert_eq!((reply.status, reply.set_cookie), (200, None));
            });
            assert_eq!(statements, Vec::<String>::new(), "{path}");
        }
        let count = server.statements_of(|| assert_eq!(visitor.visit(), 2));
        let expected: &[&str] = match database.kind() {
            Kind::Sqlite => &["SELECT", "BEGIN", "UPDATE", "COMMIT"],
            Kind::Postgres => &["SELECT", "UPDATE"],
        };
        assert_eq!(verbs(&count), expected, "{count:?}");
    }

    fn i9_reading_writes_only_a_due_touch(database: &Database) {
        let environment = [("ROCKET_SESSIONS", r#"{touch_interval="0s"}"#)];
        let server = Server::start_with(database, &environment);
        let mut visitor = server.client();
        visitor.visit();
        let before = server.log().len();
        let reply = visitor.get("/api/session");
        assert_eq!((reply.status, reply.set_cookie), (200, None));
        let touch = "UPDATE sessions AS s SET last_seen_at";
        let touch = if database.kind() == Kind::Sqlite { "UPDATE sessions SET last_seen_at" } else { touch };
        wait_until("the activity is recorded", || server.log()[before..].contains(touch));
        assert!(!server.log()[before..].contains("data ="), "{}", server.log());
    }

    fn i9_bots_leave_no_row(database: &Database) {
        let server = Server::start(database);
        for path in ["/", "/api/session", "/healthz", "/readyz", "/api/session/sessions", "/x"] {
            assert_eq!(server.client().get(path).set_cookie, None, "{path}");
        }
        assert_eq!(database.sessions(), 0);
    }
}
