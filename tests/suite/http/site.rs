//! Requirements of all routes: response headers, and requests from other sites.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use rocket::http::{Header, Method, Status};
use rocket::local::blocking::Client;

use crate::support::accounts::registered;
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
            (Method::Get, "/static/base.css", Status::Ok),
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
            assert_eq!(header("Permissions-Policy"), "", "{path}");
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

/// The templates of all pages.
fn templates() -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/templates"
    ))];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 10, "{files:?}");
    files
}

#[test]
fn pages_have_no_inline_scripts_or_styles() {
    for path in templates() {
        let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
        // Scripts of our own are files.
        let mut parts = text.split("<script src=\"{{ \"");
        let mut text = parts.next().unwrap().to_owned();
        for part in parts {
            let (name, rest) = part
                .split_once("\"|versioned }}\" type=\"module\"></script>")
                .unwrap();
            assert!(!name.contains(['/', ':']), "{}: {name}", path.display());
            text.push_str(rest);
        }
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
fn requests_from_other_sites_change_nothing() {
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
        (Method::Post, "/account/settings"),
        (Method::Patch, "/api/account/settings"),
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
fn a_cross_site_refusal_is_html_for_browsers_and_json_for_programs() {
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
        text.contains("<h1>This form was not accepted</h1>") && text.contains("another site"),
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

/// Sends a request of these lines and returns the raw answer.
fn raw(server: &Server, lines: &[&str]) -> String {
    let address = server.url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = lines.join("\r\n");
    write!(stream, "{request}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn no_server_header_is_sent_and_change_password_is_well_known() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let server = Server::start(&database);
    let request = "GET /.well-known/change-password HTTP/1.1";
    let answer = raw(&server, &[request, "Host: localhost"]).to_lowercase();
    assert!(answer.starts_with("http/1.1 302 "), "{answer}");
    assert!(answer.contains("\nlocation: /account\r"), "{answer}");
    for header in ["\nserver:", "\npermissions-policy:"] {
        assert!(!answer.contains(header), "{answer}");
    }
}

#[test]
fn a_cross_site_refusal_is_logged_once_per_origin() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let server = Server::start(&database);
    let post = |origin: &str, host: &str, site: &str| {
        let origin = format!("Origin: {origin}");
        let host = format!("Host: {host}");
        let site = format!("Sec-Fetch-Site: {site}");
        let mut lines = vec!["POST /visit HTTP/1.1", &host, &origin, "Content-Length: 0"];
        if !site.ends_with(' ') {
            lines.push(&site);
        }
        let answer = raw(&server, &lines);
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let (own, upstream) = ("https://app.example.com", "127.0.0.1:8000");
    for _ in 0..3 {
        assert_eq!(post(own, upstream, ""), "403");
        assert_eq!(post("null", upstream, ""), "403");
        assert_eq!(post("https://a.example/path", upstream, ""), "403");
    }
    assert_eq!(post(own, "other", ""), "403");
    // `Sec-Fetch-Site` is trusted, even if the proxy has changed the host.
    assert_eq!(post(own, upstream, "same-origin"), "303");
    for number in 0..40 {
        assert_eq!(
            post(&format!("https://{number}.evil.example"), "x", ""),
            "403"
        );
    }
    let log = server.log_at_end();
    let is_warning = |line: &&str| line.contains("WARN") && line.contains("cross-site");
    let warnings: Vec<&str> = log.lines().filter(is_warning).collect();
    assert_eq!(warnings.len(), 16, "{log}");
    for (warning, host) in warnings.iter().zip([upstream, "other"]) {
        for word in [own, host, "`origins`"] {
            assert!(warning.contains(word), "{warning}");
        }
    }
}
