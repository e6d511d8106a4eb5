//! The HTML of the administrators' pages. Their behaviour in a browser is tested in `browser`.

mod overview;
mod sessions;

use chrono::{TimeDelta, Utc};
use rocket::http::{Accept, ContentType, Header, Method, Status};
use rocket::local::blocking::Client;
use rocket_diesel_sessions::store::{NewSession, SessionStore};

use crate::support::accounts::registered;
use crate::support::local::{ADMIN_TOKEN, Answer, application, application_of, figment, settings};
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, Visitor};
use sessions::listed;

const PAGES: [(Method, &str); 14] = [
    (Method::Get, "/admin"),
    (Method::Get, "/admin/sessions"),
    (Method::Get, "/admin/users"),
    (Method::Get, "/admin/events"),
    (Method::Get, "/admin/maintenance"),
    (Method::Get, "/admin/live"),
    (Method::Get, "/admin/sessions/x"),
    (Method::Get, "/admin/sessions.csv"),
    (Method::Get, "/admin/sessions.json"),
    (Method::Post, "/admin/sessions/x/revoke"),
    (Method::Post, "/admin/sessions/revoke"),
    (Method::Post, "/admin/sessions/revoke-all"),
    (Method::Post, "/admin/sweep"),
    (Method::Post, "/admin/clear"),
];

/// Returns the application without open administration.
pub(super) fn closed(database: &Database) -> Client {
    let mut settings = settings(database, "");
    settings.figment = figment("release", "");
    application_of(settings, database.store()).0
}

pub(super) fn administrator<'c>(client: &'c Client, database: &Database) -> Visitor<'c> {
    let visitor = registered(client, "ruth");
    database.execute("UPDATE users SET is_admin = TRUE WHERE username = 'ruth'");
    visitor
}

/// Returns what a browser gets. `token` is for the header `Authorization`.
pub(super) fn browse(client: &Client, method: Method, path: &str, token: Option<&str>) -> Answer {
    let mut request = client.req(method, path.to_owned());
    if let Some(token) = token {
        request.add_header(Header::new("Authorization", format!("Bearer {token}")));
    }
    let form = ContentType::Form;
    request.header(Accept::HTML).header(form).dispatch().into()
}

/// Returns the path to which an answer redirects.
pub(super) fn next(answer: &Answer) -> &str {
    assert_eq!(answer.status, Status::SeeOther, "{}", answer.body);
    answer.header("location").unwrap()
}

on_each_database! {
    fn the_admin_pages_are_only_for_administrators(database: &Database) {
        let client = closed(database);
        let (mut root, mut ada) = (administrator(&client, database), registered(&client, "ada"));
        for (method, path) in PAGES {
            let stranger = browse(&client, method, path, None);
            if path != "/admin/live" {
                assert!(next(&stranger).starts_with("/login?next=/admin"), "{path}");
            }
            let form = Some("application/x-www-form-urlencoded");
            for (visitor, status) in [(&mut Visitor::new(&client), 401), (&mut ada, 403)] {
                let answer = visitor.send(method, path, form, "word=clear");
                assert_eq!(answer.status.code, status, "{path}");
                assert!(answer.json()["error"]["code"].is_string());
            }
            let wrong = browse(&client, method, path, Some("a wrong token"));
            assert_eq!(wrong.status, Status::Unauthorized, "{path}");
        }
        assert_eq!(database.sessions(), 2);
        assert!(root.get("/").body.contains("href=\"/admin\""));
        assert!(!ada.get("/").body.contains("/admin"));
        assert_eq!(root.get("/admin").status, Status::Ok);
        let page = browse(&client, Method::Get, "/admin/sessions", Some(ADMIN_TOKEN));
        assert_eq!((listed(&page).len(), page.cookie()), (2, None));
        database.execute("UPDATE users SET is_admin = FALSE");
        assert_eq!(root.get("/admin").status, Status::Forbidden);
    }

    fn all_sessions_are_ended_only_after_the_word_is_typed(database: &Database) {
        let client = closed(database);
        let mut root = administrator(&client, database);
        registered(&client, "ada");
        for (form, status) in [
            ("word=", 422), ("word=Clear", 422), ("word=clearly", 422), ("", 422),
        ] {
            let answer = root.post_form("/admin/clear", form);
            assert_eq!(answer.status.code, status, "{form}");
            assert_eq!(answer.body.contains("role=\"alert\""), !form.is_empty(), "{form}");
            assert_eq!(database.sessions(), 2, "{form}");
        }
        let answer = root.post_form("/admin/clear", "word=clear");
        assert!(next(&answer).starts_with("/all-signed-out?done="), "{}", next(&answer));
        assert_eq!(database.sessions(), 0);
        assert!(root.get(next(&answer)).body.contains("Everyone is signed out"));
        assert!(!root.get("/all-signed-out").body.contains("Everybody"));
        assert_eq!(root.get("/admin").status, Status::Unauthorized);

        let (open, _) = application(database, "");
        let mut visitor = Visitor::new(&open);
        visitor.visit();
        let answer = visitor.post_form("/admin/clear", "word=clear");
        assert!(next(&answer).starts_with("/admin/maintenance?done=all_ended."), "{}", next(&answer));
        assert!(visitor.get(next(&answer)).body.contains("All sessions have ended."));
        assert_eq!(database.sessions(), 0);
    }

    fn a_sweep_can_be_started_and_its_result_is_shown(database: &Database) {
        let (client, _) = application(database, "");
        let mut visitor = Visitor::new(&client);
        assert!(visitor.get("/admin/maintenance").body.contains("No sweep has been made yet"));
        let mut made: Vec<NewSession> = (0..7).map(|_| new_session(None)).collect();
        for new in &mut made[1..] {
            new.expires_at = Utc::now() - TimeDelta::hours(1);
        }
        database.store().create(&made).unwrap();
        assert_eq!(listed(&visitor.get("/admin/sessions")), [made[0].id.clone()]);
        let answer = visitor.post_form("/admin/sweep", "");
        assert!(next(&answer).starts_with("/admin/maintenance?done=swept."), "{}", next(&answer));
        assert_eq!(database.sessions(), 1);
        let page = visitor.get(next(&answer)).body;
        assert!(page.contains("Expired sessions are deleted."), "{page}");
        let row = page.split("id=\"sweep-list\"").nth(1).unwrap();
        let row = row.split("<tr>").nth(2).unwrap().split("</tr>").next().unwrap();
        assert!(row.contains("class=\"number\">6</td>") && row.contains("Done"), "{row}");
    }

}

#[test]
fn each_page_has_its_heading_and_marks_its_tab() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut visitor = Visitor::new(&client);
    for (path, title) in [
        ("/admin", "Overview"),
        ("/admin/sessions", "Sessions"),
        ("/admin/users", "Users"),
        ("/admin/events", "Events"),
        ("/admin/maintenance", "Maintenance"),
    ] {
        let page = visitor.get(path).body;
        assert!(page.contains(&format!("<h1>{title}</h1>")), "{page}");
        let tab = format!("<a href=\"{path}\" aria-current=\"page\">{title}</a>");
        assert!(page.contains(&tab), "{page}");
        assert_eq!(page.matches("aria-current=\"page\"").count(), 1, "{page}");
    }
}

#[test]
fn links_to_a_search_of_the_former_dashboard_go_to_the_list() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut visitor = Visitor::new(&client);
    for (query, list) in [
        ("q=ad%26a", "/admin/sessions?q=ad%26a"),
        (
            "after=0198f2a4-6f6a-7c39-b6c7-0b5d6f0a9e11&q=a",
            "/admin/sessions?q=a&after=0198f2a4-6f6a-7c39-b6c7-0b5d6f0a9e11",
        ),
        ("q=", "/admin/sessions"),
    ] {
        assert_eq!(next(&visitor.get(&format!("/admin?{query}"))), list);
    }
}

#[test]
fn the_dashboard_of_an_empty_database_has_no_errors() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let list = Visitor::new(&client).get("/admin/sessions").body;
    assert!(list.contains("There are no sessions."), "{list}");
    let page = Visitor::new(&client).get("/admin").body;
    assert!(
        page.contains("0 sessions created; none recorded."),
        "{page}"
    );
}
