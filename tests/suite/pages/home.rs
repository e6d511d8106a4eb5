//! The HTML of the home page. Its behaviour in a browser is tested in `browser`.

use rocket::http::{Method, Status};
use rocket::serde::json::Value;

use crate::support::local::application;
use crate::support::{Database, Kind, Visitor};

on_each_database! {
    fn the_home_page_shows_and_changes_the_session(database: &Database) {
        let (client, _) = application(database, "");
        let mut visitor = Visitor::new(&client);
        let page = visitor.get("/");
        assert_eq!(page.status, Status::Ok);
        assert!(page.body.contains("Nothing is stored about you"), "{}", page.body);
        assert_eq!(visitor.cookie, None);

        let answer = visitor.post_form("/visit", "");
        assert_eq!((answer.status, answer.header("location")), (Status::SeeOther, Some("/")));
        let answer = visitor.post_form("/settings", "display_name=Ada+L.&theme=dark");
        assert_eq!(answer.status, Status::SeeOther);
        let session = visitor.session();
        let page = visitor.get("/").body;
        for shown in [
            "<strong id=\"visit-count\">1</strong>",
            "Hello, Ada L.",
            "data-theme=\"dark\"",
            "<option value=\"dark\" selected>",
            session["id"].as_str().unwrap(),
            session["sessionId"].as_str().unwrap(),
        ] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
        let answer = visitor.post_form("/end", "");
        assert_eq!(answer.status, Status::SeeOther);
        assert_eq!(visitor.session(), Value::Null);
        assert!(visitor.get("/").body.contains("Nothing is stored about you"));
    }
}

#[test]
fn input_of_a_visitor_is_escaped() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut visitor = Visitor::new(&client);
    visitor.post_form(
        "/settings",
        "display_name=%3Cscript%3Ealert(1)%22%27&theme=light",
    );
    let page = visitor.get("/").body;
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("alert(1)"), "{page}");
}

#[test]
fn a_refused_form_is_shown_again_with_the_reason() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut visitor = Visitor::new(&client);
    let long = "x".repeat(65);
    let answer = visitor.post_form("/settings", &format!("display_name={long}&theme=dark"));
    assert_eq!(answer.status, Status::UnprocessableEntity);
    assert!(
        answer.body.contains("role=\"alert\"") && answer.body.contains("64"),
        "{}",
        answer.body
    );
    assert!(
        answer.body.contains(&long),
        "what was entered is still there"
    );
    let answer = visitor.post_form("/settings", "display_name=x&theme=neon");
    assert_eq!(answer.status, Status::UnprocessableEntity);
    assert!(
        answer.body.contains("system, light, dark"),
        "{}",
        answer.body
    );
    for form in ["", "display_name=x", "theme=dark"] {
        let answer = visitor.post_form("/settings", form);
        assert_eq!(answer.status, Status::UnprocessableEntity, "{form}");
    }
    let json = Some("application/json");
    let answer = visitor.send(Method::Post, "/settings", json, r#"{"theme":"dark"}"#);
    assert!(
        answer.status.code >= 400 && answer.status.code < 500,
        "{}",
        answer.status
    );
    assert_eq!(database.sessions(), 0);
}
