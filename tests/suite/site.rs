//! What holds for every route at once: headers, and requests that other sites make.

use rocket::http::{Header, Method, Status};
use rocket::local::blocking::Client;

use crate::accounts::registered;
use crate::support::local::{application, application_of, figment, settings};
use crate::support::{Database, Kind, Server};

/// Sends a request with these headers.
fn send<'c>(
    client: &'c Client,
    method: Method,
    path: &'c str,
    headers: &[(&'static str, &str)],
) -> rocket::local::blocking::LocalResponse<'c> {
    let mut request = client.req(method, path);
    for (name, value) in headers {
        request.add_header(Header::new(*name, (*value).to_owned()));
    }
    request.dispatch()
}

#[test]
fn every_response_has_the_headers_that_protect_it() {
    let database = Database::new(Kind::Sqlite).unwrap();
    for profile in ["debug", "release"] {
        let mut settings = settings(&database, "");
        settings.figment = figment(profile, "");
        let (client, _) = application_of(settings, database.store());
        for (method, path, status) in [
            (Method::Get, "/", Status::Ok),
            (Method::Get, "/static/style.css", Status::Ok),
            (Method::Get, "/healthz", Status::Ok),
            (Method::Get, "/api/session", Status::Ok),
            (Method::Get, "/account", Status::Unauthorized),
            (Method::Post, "/logout", Status::SeeOther),
            (Method::Get, "/nothing", Status::NotFound),
            (Method::Post, "/login", Status::UnsupportedMediaType),
            (Method::Delete, "/api/account", Status::Unauthorized),
        ] {
            let response = send(&client, method, path, &[]);
            assert_eq!(response.status(), status, "{path}");
            let header = |name: &str| response.headers().get_one(name).unwrap_or_default();
            let policy = header("Content-Security-Policy");
            for directive in [
                "default-src 'self'",
                "object-src 'none'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
                "form-action 'self'",
            ] {
                assert!(
                    policy.split("; ").any(|part| part == directive),
                    "{path}: {policy}"
                );
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(header("X-Content-Type-Options"), "nosniff", "{path}");
            assert_eq!(header("Referrer-Policy"), "same-origin", "{path}");
            assert_eq!(
                header("Cross-Origin-Opener-Policy"),
                "same-origin",
                "{path}"
            );
            let hsts = if profile == "release" {
                "max-age=31536000"
            } else {
                ""
            };
            assert_eq!(header("Strict-Transport-Security"), hsts, "{path}");
        }
    }
}

#[test]
fn no_page_has_a_script_or_a_style_of_its_own() {
    let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
    for file in std::fs::read_dir(templates).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
        // The one file of scripts.
        let text = text.replace(
            "<script src=\"{{ crate::app::pages::assets::script.url() }}\" type=\"module\"></script>",
            "",
        );
        for inline in [
            "<script",
            "style=",
            "<style",
            " onclick",
            " onload",
            "javascript:",
            "http://",
            "https://",
        ] {
            assert!(!text.contains(inline), "{}: {inline}", path.display());
        }
    }
}

#[test]
fn other_sites_change_nothing() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let mut settings = settings(&database, "");
    settings.app.origins = vec!["https://app.example.com".parse().unwrap()];
    let (client, _) = application_of(settings, database.store());
    let ada = registered(&client, "ada");
    let cookie = ada.cookie.unwrap();
    let routes = [
        (Method::Post, "/visit"),
        (Method::Post, "/settings"),
        (Method::Post, "/end"),
        (Method::Post, "/login"),
        (Method::Post, "/logout"),
        (Method::Post, "/account/delete"),
        (Method::Post, "/api/auth/login"),
        (Method::Post, "/api/auth/logout"),
        (Method::Delete, "/api/account"),
        (Method::Delete, "/api/session"),
        (Method::Patch, "/api/session/data"),
        (Method::Delete, "/api/session/sessions"),
        (Method::Post, "/admin/clear"),
        (Method::Post, "/admin/sweep"),
        (Method::Put, "/nothing"),
    ];
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for (method, path) in routes {
        for from in [
            ("Sec-Fetch-Site", "cross-site"),
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
        ] {
            let headers = [
                from,
                form,
                ("Cookie", cookie.as_str()),
                ("Host", "localhost:8000"),
            ];
            let response = send(&client, method, path, &headers);
            assert_eq!(
                response.status(),
                Status::Forbidden,
                "{method} {path} {from:?}"
            );
            assert_eq!(response.headers().get_one("Set-Cookie"), None);
        }
    }
    assert_eq!(database.sessions(), 1);
    for own in ["http://localhost:8000", "https://app.example.com"] {
        let headers = [
            ("Origin", own),
            form,
            ("Cookie", cookie.as_str()),
            ("Host", "localhost:8000"),
        ];
        let response = send(&client, Method::Post, "/visit", &headers);
        assert_eq!(response.status(), Status::SeeOther, "{own}");
    }
}

#[test]
fn a_refusal_is_a_page_for_people_and_json_for_programs() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let evil = ("Origin", "https://evil.example");
    let page = send(
        &client,
        Method::Post,
        "/visit",
        &[evil, ("Accept", "text/html")],
    );
    assert_eq!(page.content_type(), Some(rocket::http::ContentType::HTML));
    let text = page.into_string().unwrap();
    assert!(
        text.contains("<h1>Not allowed</h1>") && text.contains("another site"),
        "{text}"
    );
    let json = send(
        &client,
        Method::Post,
        "/api/auth/login",
        &[evil, ("Accept", "text/html")],
    );
    assert_eq!(json.content_type(), Some(rocket::http::ContentType::JSON));
}

#[test]
fn the_first_form_that_is_refused_is_named_with_what_to_do() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let server = Server::start(&database);
    let address = server.url().strip_prefix("http://").unwrap();
    for _ in 0..3 {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        std::io::Write::write_all(
            &mut stream,
            b"POST /visit HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nOrigin: https://app.example\r\n\
              Content-Length: 0\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let log = server.log_at_end();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("another site"))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    for part in [
        "WARN",
        "\"https://app.example\"",
        "\"127.0.0.1:8000\"",
        "origins",
    ] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
}
