//! The id of a request: in the response header, in the bodies of errors, and in the log.

use rocket::http::{Header, Status};
use rocket::serde::json::{Value, from_str};
use uuid::Uuid;

use crate::support::local::application;
use crate::support::{Database, Kind, Server};

/// Returns the request id in the header of an answer.
fn id_of(response: &rocket::local::blocking::LocalResponse<'_>) -> String {
    let id = response.headers().get_one("X-Request-Id").unwrap();
    assert_eq!(Uuid::try_parse(id).unwrap().get_version_num(), 7);
    id.to_owned()
}

#[test]
fn every_answer_has_an_id_that_clients_cannot_choose() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut seen = std::collections::HashSet::new();
    for (path, status) in [
        ("/", Status::Ok),
        ("/healthz", Status::Ok),
        ("/api/session/test-session", Status::Ok),
        ("/signed-out", Status::Ok),
        ("/nothing", Status::NotFound),
        ("/api/account/sessions", Status::Unauthorized),
    ] {
        let chosen = "01a20f1e-b6ce-77f4-9b8d-c207bde3bace";
        let request = client.get(path).header(Header::new("X-Request-Id", chosen));
        let response = request.dispatch();
        assert_eq!(response.status(), status, "{path}");
        let id = id_of(&response);
        assert!(id != chosen && seen.insert(id), "{path}");
    }
}

#[test]
fn errors_show_the_request_id_as_json_and_on_the_page() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    // From a catcher, from a guard, and from a handler.
    for path in [
        "/nothing",
        "/api/account/sessions",
        "/api/session/sessions?limit=0",
    ] {
        let response = client.get(path).dispatch();
        let id = id_of(&response);
        let body: Value = from_str(&response.into_string().unwrap()).unwrap();
        assert_eq!(body["error"]["requestId"], id, "{path}");
    }
    let request = client
        .get("/nothing")
        .header(Header::new("Accept", "text/html"));
    let response = request.dispatch();
    let id = id_of(&response);
    let page = response.into_string().unwrap();
    assert!(
        page.contains(&format!(r#"id="request-id" data-copy>{id}<"#)),
        "{page}"
    );
}

/// Returns the log's lines, each of which must be a JSON object.
fn json_lines(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn log_lines_of_a_request_and_its_handler_have_the_request_id() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let log = "warn,rocket::server=off,rocket_diesel_sessions::request=trace";
    let server = Server::start_with(&database, &[("RUST_LOG", log), ("LOG_FORMAT", "json")]);
    let mut visitor = server.client();
    visitor.visit();
    database.execute(r#"UPDATE sessions SET data = '"of another type"'"#);
    let undecodable = visitor
        .get("/api/session?password=hunter2")
        .request_id
        .unwrap();
    let missing = visitor.get("/nothing?password=hunter2").request_id.unwrap();
    let healthy = visitor.get("/healthz").request_id.unwrap();
    let log = server.log_at_end();
    assert!(!log.contains("hunter2"), "{log}");
    let lines = json_lines(&log);
    let of = |id: &str| {
        let is_its = |line: &&Value| line["span"]["request_id"] == id;
        lines.iter().filter(is_its).collect::<Vec<_>>()
    };
    for (id, level, path, status) in [
        (&undecodable, "DEBUG", "/api/session", 200),
        (&missing, "DEBUG", "/nothing", 404),
        (&healthy, "TRACE", "/healthz", 200),
    ] {
        let is_answered = |line: &&&Value| line["target"] == "rocket_diesel_sessions::request";
        let lines = of(id);
        let answered: Vec<_> = lines.iter().filter(is_answered).collect();
        assert_eq!(answered.len(), 1, "{path}: {log}");
        let line = answered[0];
        assert_eq!(line["level"], level, "{path}");
        assert_eq!(line["method"], "GET", "{path}");
        assert_eq!(line["path"], path);
        assert_eq!(line["status"], status, "{path}");
        assert!(line["ms"].as_f64().unwrap() >= 0.0, "{path}");
    }
    let warned = of(&undecodable)
        .into_iter()
        .any(|line| line["level"] == "WARN");
    assert!(warned, "{log}");
}

#[test]
fn text_log_lines_have_the_request_id_and_a_quiet_server_logs_none() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let server = Server::start_with(&database, &[("RUST_LOG", "debug")]);
    let id = server.client().get("/nothing").request_id.unwrap();
    let healthy = server.client().get("/readyz").request_id.unwrap();
    let log = server.log_at_end();
    let line = log.lines().find(|line| line.contains(&id)).unwrap();
    for part in ["rocket_diesel_sessions::request", "GET", "/nothing", "404"] {
        assert!(line.contains(part), "{part} is missing: {line}");
    }
    assert!(!log.contains(&healthy), "{log}");
    let server = Server::start_with(&database, &[("RUST_LOG", "info")]);
    let id = server.client().get("/healthz").request_id.unwrap();
    assert!(!server.log_at_end().contains(&id));
}
