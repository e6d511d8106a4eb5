//! Administration without an administrator's account: open to this machine in the debug profile,
//! but not through a proxy or tunnel on it.

use rocket::http::{Accept, Header, Status};
use rocket_diesel_sessions_app::Settings;

use crate::support::accounts::registered;
use crate::support::local::{ADMIN_TOKEN, Answer, application_of, figment, settings};
use crate::support::{Database, Kind};

fn with_header(database: &Database, profile: &str, ip_header: &str) -> Settings {
    let mut settings = settings(database, "");
    settings.figment = figment(profile, "").merge(("ip_header", ip_header));
    settings
}

#[test]
fn administration_is_open_only_to_direct_local_connections() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let settings = with_header(&database, "debug", "X-Visitor");
    let (client, _) = application_of(settings, database.store());
    let ask =
        |path: &'static str, peer: &str, headers: &[(&'static str, &'static str)]| -> Answer {
            let mut request = client.get(path).remote(peer.parse().unwrap());
            for (name, value) in headers {
                request.add_header(Header::new(*name, *value));
            }
            request.dispatch().into()
        };
    let here = "127.0.0.1:4711";
    let paths = [
        "/admin",
        "/api/session/sessions",
        "/api/session/stats",
        "/metrics",
    ];
    for path in paths {
        for (peer, host) in [
            (here, "localhost"),
            (here, "LOCALHOST:8000"),
            (here, "127.0.0.1:8000"),
            ("[::1]:4711", "[::1]:8000"),
            ("[::ffff:127.0.0.1]:4711", "127.0.0.1"),
        ] {
            let answer = ask(path, peer, &[("Host", host), ("X-Request-Id", "x")]);
            assert_eq!(answer.status, Status::Ok, "{path} {peer} {host}");
        }
        for (peer, header) in [
            ("192.0.2.1:1", ("Accept", "*/*")),
            (here, ("Host", "app.example.com")),
            (here, ("Host", "localhost.example.com")),
            (here, ("Host", "127.0.0.1.example.com")),
            (here, ("Forwarded", "for=127.0.0.1")),
            (here, ("via", "1.1 proxy")),
            (here, ("X-Forwarded-For", "127.0.0.1")),
            (here, ("x-forwarded-proto", "https")),
            (here, ("X-Forwarded-Host", "localhost")),
            (here, ("X-Forwarded-Port", "443")),
            (here, ("X-Real-IP", "127.0.0.1")),
            (here, ("CF-Connecting-IP", "127.0.0.1")),
            (here, ("x-visitor", "")),
        ] {
            let headers = match header {
                ("Host", _) => vec![header],
                _ => vec![header, ("Host", "localhost")],
            };
            let answer = ask(path, peer, &headers);
            assert_eq!(
                answer.status,
                Status::Unauthorized,
                "{path} {peer} {headers:?}"
            );
        }
    }
    let list = "/api/session/sessions";
    let forwarded = client
        .delete(list)
        .header(Header::new("X-Forwarded-For", "::1"));
    let answer = forwarded.remote(here.parse().unwrap()).dispatch();
    assert_eq!(answer.status(), Status::Unauthorized);
    let page = ask(
        "/admin",
        here,
        &[("Host", "localhost"), ("Accept", "text/html")],
    );
    assert!(page.body.contains("id=\"open\""), "{}", page.body);
}

#[test]
fn only_the_scheme_bearer_carries_the_admin_token() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let settings = with_header(&database, "release", "X-Visitor");
    let (client, _) = application_of(settings, database.store());
    let mut ruth = registered(&client, "ruth");
    database.execute("UPDATE users SET is_admin = TRUE");
    assert_eq!(ruth.get("/admin").status, Status::Ok);
    let cookie = ruth.cookie.unwrap();
    let ask = |path: &'static str, authorizations: &[String]| -> Answer {
        let mut request = client.get(path).header(Accept::HTML);
        request.add_header(Header::new("Cookie", cookie.clone()));
        for value in authorizations {
            request.add_header(Header::new("Authorization", value.clone()));
        }
        request.dispatch().into()
    };
    let (good, wrong) = (format!("bearer {ADMIN_TOKEN}"), "Bearer x".to_owned());
    let basic = "Basic eDp5".to_owned();
    for path in [
        "/admin",
        "/api/session/sessions",
        "/api/session/stats",
        "/metrics",
    ] {
        for (authorizations, status) in [
            (vec![basic.clone()], 200),
            (vec!["Digest username=\"x\"".to_owned()], 200),
            (vec![String::new()], 200),
            (vec![basic.clone(), good.clone()], 200),
            (vec![basic.clone(), wrong.clone()], 401),
            (vec![wrong.clone()], 401),
            (vec!["Bearer".to_owned()], 401),
        ] {
            let answer = ask(path, &authorizations);
            assert_eq!(answer.status.code, status, "{path} {authorizations:?}");
        }
    }
    // The page shows the visitor's own session and does not claim that it is open to everyone.
    let page = ask("/admin", &[basic]);
    assert!(
        page.body.contains("<span>ruth</span>") && !page.body.contains("id=\"open\""),
        "{}",
        page.body
    );
}
