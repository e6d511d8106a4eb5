//! Error pages, and the files that pages load.

use chrono::TimeDelta;
use rocket::http::{Accept, ContentType, Header, Method, Status};
use rocket::local::blocking::Client;
use rocket::serde::json::Value;

use crate::support::accounts::registered;
use crate::support::local::{Answer, application, application_of, figment, settings};
use crate::support::{Database, Kind, Visitor};

/// Returns what a browser with this cookie gets.
fn browse(client: &Client, method: Method, path: &str, cookie: Option<&str>) -> Answer {
    let mut request = client.req(method, path.to_owned()).header(Accept::HTML);
    if let Some(cookie) = cookie {
        request.add_header(Header::new("Cookie", cookie.to_owned()));
    }
    request.dispatch().into()
}

#[test]
fn an_error_keeps_the_theme_and_the_navigation() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let mut settings = settings(&database, "");
    settings.figment = figment("release", "");
    let (client, _) = application_of(settings, database.store());
    let mut ada = registered(&client, "ada");
    ada.post_form("/settings", "display_name=&theme=dark");
    let cookie = ada.cookie.clone();
    let long = "x".repeat(20_000);
    for (method, path, status, words) in [
        (
            Method::Get,
            "/nowhere",
            404,
            "There is no page at this address.",
        ),
        (
            Method::Get,
            "/account/",
            404,
            "There is no page at this address.",
        ),
        (Method::Get, "/admin", 403, "you are signed in as ada"),
        (
            Method::Get,
            "/account?after=zzz",
            422,
            "This link is incomplete.",
        ),
        (Method::Put, "/login", 405, "Not possible here"),
    ] {
        let page = browse(&client, method, path, cookie.as_deref());
        assert_eq!(page.status.code, status, "{path}");
        for part in [
            words,
            "data-theme=\"dark\"",
            "<span>ada</span>",
            "<title>Error: ",
            "id=\"request-id\" data-copy",
        ] {
            assert!(page.body.contains(part), "{path}: {part}: {}", page.body);
        }
        for api in ["next`", "another site", "Unprocessable", "store"] {
            assert!(!page.body.contains(api), "{path}: {api}: {}", page.body);
        }
    }
    assert!(
        ada.get("/").body.contains("Your settings are saved."),
        "left for a page"
    );
    for (kind, body, status, words) in [
        (
            ContentType::Form,
            long.as_str(),
            413,
            "What you sent is too large.",
        ),
        (ContentType::Form, "theme=%ff", 400, "could not be read"),
        (
            ContentType::JSON,
            "{}",
            415,
            "sent in a way that this site does not accept",
        ),
    ] {
        let request = client.post("/settings").header(Accept::HTML).header(kind);
        let cookie = Header::new("Cookie", cookie.clone().unwrap());
        let page: Answer = request.header(cookie).body(body).dispatch().into();
        assert_eq!(page.status.code, status, "{}", page.body);
        assert!(page.body.contains(words), "{}", page.body);
        for api in ["UTF-8", "KiB", "Content-Type", "JSON"] {
            assert!(!page.body.contains(api), "{api}: {}", page.body);
        }
    }
    // A visitor who is not signed in sees nothing about users.
    let page = browse(&client, Method::Get, "/nowhere", None);
    assert!(
        page.body.contains("Sign in") && !page.body.contains("ada"),
        "{}",
        page.body
    );
    assert_eq!(page.cookie(), None);
}

#[test]
fn the_page_of_an_error_offers_the_next_step() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let release = |registration| {
        let mut settings = settings(&database, "");
        settings.figment = figment("release", "");
        settings.app.registration = registration;
        application_of(settings, database.store()).0
    };
    let (client, closed) = (release(true), release(false));
    let (ada, ruth) = (
        registered(&client, "ada").cookie,
        registered(&client, "ruth").cookie,
    );
    database.execute("UPDATE users SET is_admin = TRUE WHERE username = 'ruth'");
    let link = |address: &str, label: &str| format!("href=\"{address}\">{label}</a>");
    for (method, path, cookie, step) in [
        (Method::Get, "/nowhere", &None, link("/", "Home page")),
        (Method::Get, "/account/x", &None, link("/", "Home page")),
        (
            Method::Get,
            "/account/x",
            &ada,
            link("/account", "Go to your account"),
        ),
        (
            Method::Get,
            "/admin/users/x",
            &ruth,
            link("/admin/users", "Go to the users"),
        ),
        (
            Method::Get,
            "/admin/sessions/x",
            &ruth,
            link("/admin/sessions", "Go to the sessions"),
        ),
        (
            Method::Put,
            "/login",
            &None,
            link("/login", "Go to the page"),
        ),
        (Method::Put, "/api", &None, link("/", "Home page")),
        (
            Method::Post,
            "/settings",
            &None,
            link("/", "Back to the form"),
        ),
        (
            Method::Post,
            "/login",
            &None,
            link("/login", "Back to the form"),
        ),
        (
            Method::Post,
            "/account/password",
            &ada,
            link("/account", "Back to the form"),
        ),
        (
            Method::Get,
            "/account?after=x",
            &ada,
            link("/account", "Go to your account"),
        ),
    ] {
        let page = browse(&client, method, path, cookie.as_deref());
        assert!(page.status.code >= 400, "{path}: {}", page.status);
        assert!(page.body.contains(&step), "{path}: {step}: {}", page.body);
    }
    let page = browse(&closed, Method::Get, "/register", None);
    assert!(
        page.body.contains(&link("/login", "Sign in")),
        "{}",
        page.body
    );
    let page = browse(&client, Method::Get, "/admin/events?user=x", ada.as_deref());
    let step = "<form method=\"post\" action=\"/logout?next=/admin/events%3Fuser%3Dx\">";
    assert!(page.body.contains(step), "{}", page.body);
}

on_each_database! {
    fn a_user_at_a_page_of_administrators_can_sign_in_as_someone_else(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada");
        let answer = ada.post_form("/logout?next=/admin", "");
        assert_eq!(answer.header("location"), Some("/login?next=/admin"));
        assert_eq!(ada.session(), Value::Null);
        let mut bob = registered(&client, "bob");
        let answer = bob.post_form("/logout?next=https://evil.example", "");
        assert_eq!(answer.header("location"), Some("/signed-out"));
    }

    fn the_page_of_an_outage_offers_to_try_again(database: &Database) {
        let (client, _) = application(database, "timeout = '300ms'");
        let mut ada = registered(&client, "ada");
        // A notice is removed from the database by the page that shows it.
        ada.post_form("/settings", "display_name=&theme=dark");
        let cookie = ada.cookie.as_deref();
        let mut lock = None;
        match database.kind() {
            Kind::Sqlite => {
                let mut connection = database.connection();
                connection.run("BEGIN IMMEDIATE");
                lock = Some(connection);
            }
            Kind::Postgres => {
                let drop = format!("DROP DATABASE {} WITH (FORCE)", database.name());
                database.execute_on_server(&drop);
            }
        }
        let page = browse(&client, Method::Get, "/?q=a%26b", cookie);
        assert_eq!(page.status, Status::ServiceUnavailable, "{}", page.body);
        assert!(page.body.contains("href=\"/?q=a%26b\">Try again</a>"), "{}", page.body);
        assert!(page.body.contains("Try again in 1 second."), "{}", page.body);
        assert_eq!(page.header("retry-after"), Some("1"));
        let sent = browse(&client, Method::Post, "/visit", cookie);
        assert_eq!(sent.status, Status::ServiceUnavailable);
        assert!(!sent.body.contains("Try again</a>"), "it would not be sent: {}", sent.body);
        assert!(sent.body.contains("href=\"/\">Back to the form</a>"), "{}", sent.body);
        assert!(sent.body.contains("may or may not have been saved"), "{}", sent.body);
        // The page of an error does not need the store.
        let missing = browse(&client, Method::Get, "/nowhere", cookie);
        assert_eq!(missing.status, Status::NotFound, "{}", missing.body);
        assert!(missing.body.contains("Page not found"), "{}", missing.body);
        drop(lock);
    }

    fn an_open_dashboard_does_not_keep_its_session_alive(database: &Database) {
        let mut settings = settings(database, "idle_timeout = '1h'\ntouch_interval = '1m'");
        settings.figment = figment("release", "");
        let (client, clock) = application_of(settings, database.store());
        let mut ruth = registered(&client, "ruth");
        database.execute("UPDATE users SET is_admin = TRUE WHERE username = 'ruth'");
        let ends_at = ruth.session()["expiresAt"].clone();
        let stream = |cookie: &str| {
            let request = client.get("/admin/live").header(Accept::HTML);
            let cookie = Header::new("Cookie", cookie.to_owned());
            request.header(cookie).dispatch().status()
        };
        let cookie = ruth.cookie.clone().unwrap();
        for _ in 0..5 {
            clock.advance(TimeDelta::minutes(10));
            assert_eq!(stream(&cookie), Status::Ok);
        }
        // Viewing a page is activity.
        let mut other = Visitor::with_cookie(&client, cookie.clone());
        clock.advance(TimeDelta::minutes(9));
        assert_eq!(other.session()["id"], ruth.session()["id"]);
        assert_ne!(ruth.session()["expiresAt"], ends_at);
        for _ in 0..5 {
            clock.advance(TimeDelta::minutes(10));
            assert_eq!(stream(&cookie), Status::Ok);
        }
        clock.advance(TimeDelta::minutes(11));
        assert_eq!(stream(&cookie), Status::Unauthorized);
    }
}

/// A separate test, because the stream itself is read to its end.
#[test]
fn a_stream_of_figures_ends_with_its_session() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let mut settings = settings(&database, "");
    settings.figment = figment("release", "");
    settings.sessions.idle_timeout = std::time::Duration::from_hours(1);
    let (client, clock) = application_of(settings, database.store());
    let ruth = registered(&client, "ruth");
    database.execute("UPDATE users SET is_admin = TRUE WHERE username = 'ruth'");
    clock.advance(TimeDelta::seconds(3599));
    let cookie = Header::new("Cookie", ruth.cookie.unwrap());
    let stream = client.get("/admin/live").header(cookie).dispatch();
    assert_eq!(stream.status(), Status::Ok);
    // Its session ends after a second, which is less than the time between two figures. Otherwise a
    // stream lasts a minute.
    let figures = stream.into_string().unwrap();
    assert_eq!(figures.matches("data:{").count(), 1, "{figures}");
}

#[test]
fn the_page_after_too_many_attempts_says_when_to_try_again() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut page = None;
    for _ in 0..100 {
        let request = client.get("/admin").header(Accept::HTML);
        let token = Header::new("Authorization", "Bearer a wrong one");
        let remote = "192.0.2.7:1".parse().unwrap();
        let answer: Answer = request.header(token).remote(remote).dispatch().into();
        if answer.status == Status::TooManyRequests {
            page = Some(answer);
            break;
        }
    }
    let page = page.unwrap();
    let seconds: u64 = page.header("retry-after").unwrap().parse().unwrap();
    for part in [
        &format!("Try again in {seconds} seconds."),
        "href=\"/admin\">Try again</a>",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
}

#[test]
fn the_page_of_a_server_error_keeps_a_strangers_theme() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut visitor = Visitor::new(&client);
    visitor.post_form("/settings", "display_name=&theme=dark");
    visitor.get("/");
    database.execute("ALTER TABLE users RENAME TO elsewhere");
    let form = "username=ada&password=correct+horse+battery";
    let request = client.post("/login").header(Accept::HTML);
    let cookie = Header::new("Cookie", visitor.cookie.unwrap());
    let request = request.header(ContentType::Form).header(cookie);
    let page: Answer = request.body(form).dispatch().into();
    assert!(page.status.code >= 500, "{}", page.status);
    assert!(page.body.contains("data-theme=\"dark\""), "{}", page.body);
}

#[test]
fn browsers_cache_files_until_they_change() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut visitor = Visitor::new(&client);
    let home = visitor.get("/").body;
    let admin = visitor.get("/admin").body;
    let address = |page: &str, path: &str| {
        let at = page.find(&format!("\"{path}?v=")).unwrap();
        let address = &page[at + 1..];
        address[..address.find('"').unwrap()].to_owned()
    };
    for (page, path) in [
        (&home, "/static/base.css"),
        (&home, "/static/icon.svg"),
        (&admin, "/static/admin.css"),
        (&admin, "/static/live.js"),
    ] {
        let versioned = address(page, path);
        let file = visitor.get(&versioned);
        let etag = file.header("etag").unwrap().to_owned();
        let caching = file.header("cache-control");
        assert_eq!(
            caching,
            Some("public, max-age=31536000, immutable"),
            "{path}"
        );
        assert_eq!(file.header("vary"), None, "{path}: the same for everyone");
        for other in [
            path.to_owned(),
            format!("{path}?v="),
            format!("{path}?v=0011"),
        ] {
            let file = visitor.get(&other);
            assert_eq!(file.status, Status::Ok);
            assert_eq!(file.header("cache-control"), Some("no-cache"), "{other}");
            assert_eq!(file.header("etag"), Some(etag.as_str()), "{other}");
        }
        for (known, status) in [
            (etag.clone(), 304),
            (format!("W/{etag}"), 304),
            (format!("\"x\", {etag}"), 304),
            ("*".to_owned(), 304),
            ("\"x\"".to_owned(), 200),
            (etag.trim_matches('"').to_owned(), 200),
        ] {
            let request = client.get(versioned.clone());
            let request = request.header(Header::new("If-None-Match", known.clone()));
            let answer = Answer::from(request.dispatch());
            assert_eq!(answer.status.code, status, "{path} {known}");
            assert_eq!(answer.body.is_empty(), status == 304, "{path} {known}");
            assert_eq!(answer.header("etag"), Some(etag.as_str()));
        }
    }
}

#[test]
fn the_pages_say_that_administration_is_open() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let open = "Administration is open to this machine (debug profile)";
    assert!(Visitor::new(&client).get("/admin").body.contains(open));
    let mut settings = settings(&database, "");
    settings.figment = figment("release", "");
    let (client, _) = application_of(settings, database.store());
    let mut ruth = registered(&client, "ruth");
    database.execute("UPDATE users SET is_admin = TRUE WHERE username = 'ruth'");
    assert!(!ruth.get("/admin").body.contains(open));
}
