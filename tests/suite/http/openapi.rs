//! The description of the API, compared with the mounted routes.

use std::collections::{BTreeMap, BTreeSet};

use rocket::Route;
use rocket::local::blocking::Client;
use rocket::serde::json::Value;

use crate::support::local::application;
use crate::support::{Database, Kind, Visitor};

/// Routes for programs outside `/api/`.
const MONITORING: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The names of parameters by the method and the address of a route.
type Operations = BTreeMap<String, BTreeSet<String>>;

fn mounted(client: &Client) -> Operations {
    let is_for_programs = |route: &&Route| {
        let path = route.uri.path();
        path.starts_with("/api") || MONITORING.contains(&path)
    };
    let routes = client.rocket().routes().filter(is_for_programs);
    routes.map(operation).collect()
}

/// Returns the address of a route as OpenAPI writes it, and the parameters of its path and query.
fn operation(route: &Route) -> (String, BTreeSet<String>) {
    let path = route.uri.path().replace('<', "{").replace('>', "}");
    let in_path = path.split('/').filter(|part| part.starts_with('{'));
    let in_query = route.uri.query().unwrap_or_default().split('&');
    let names = in_path.chain(in_query).filter(|part| !part.is_empty());
    let names = names.map(|name| name.trim_matches(['{', '}', '<', '>']).to_owned());
    (format!("{} {path}", route.method), names.collect())
}

fn described(document: &Value) -> Operations {
    let mut operations = Operations::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array();
            let names = parameters.into_iter().flatten().map(|parameter| {
                let name = parameter["name"].as_str().unwrap();
                name.to_owned()
            });
            let name = format!("{} {path}", method.to_uppercase());
            operations.insert(name, names.collect());
        }
    }
    operations
}

#[test]
fn each_route_for_programs_is_described_and_nothing_else_is() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let document = Visitor::new(&client).get("/api/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let (mounted, described) = (mounted(&client), described(&document));
    assert_eq!(
        mounted.keys().collect::<Vec<_>>(),
        described.keys().collect::<Vec<_>>(),
        "mounted, described: see CONTRIBUTING.md, section \"What a change needs\""
    );
    for (operation, parameters) in &mounted {
        // A guard may take more than the route names.
        let missing: Vec<&String> = parameters.difference(&described[operation]).collect();
        assert!(missing.is_empty(), "{operation}: {missing:?}");
    }
}

#[test]
fn operations_have_names_of_their_own_and_say_how_they_fail() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let document = Visitor::new(&client).get("/api/openapi.json").json();
    let mut ids = BTreeSet::new();
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} is the name of two operations");
            let answers = |status: &str| operation["responses"][status].is_object();
            let is_unsafe = method != "get";
            assert!(!is_unsafe || answers("403"), "{id}: of another site");
            let is_closed = operation["security"]
                .as_array()
                .is_some_and(|ways| ways.iter().all(|way| way != &Value::Object(<_>::default())));
            assert!(!is_closed || answers("401"), "{id}: without a session");
            assert!(operation["summary"].is_string(), "{method} {path}");
        }
    }
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(
        schemes["session"]["name"], "session",
        "as in the debug profile"
    );
}
