//! The HTML of the home page. Its behaviour in a browser is tested in `browser`.

use chrono::TimeDelta;
use rocket::http::{Method, Status};
use rocket::serde::json::Value;

use crate::support::accounts::registered;
use crate::support::local::{application, application_of, settings};
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
            "<option value=\"dark\" selected>Dark</option>",
            "Create account</a>",
            session["id"].as_str().unwrap(),
            session["sessionId"].as_str().unwrap(),
        ] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
        let answer = visitor.post_form("/end", "");
        assert_eq!(answer.status, Status::SeeOther);
        assert_eq!(visitor.session(), Value::Null);
        let page = visitor.get(answer.header("location").unwrap()).body;
        assert!(page.contains("Your session has ended."), "{page}");
        assert!(page.contains("Nothing is stored about you, and no cookie was set"), "{page}");
    }

    fn the_home_page_greets_a_user_who_signs_out_by_the_menu(database: &Database) {
        let (client, clock) = application(database, "");
        let mut ada = registered(&client, "ada");
        clock.advance(TimeDelta::hours(2));
        let page = ada.get("/").body;
        for shown in [
            "<h1>Hello, ada</h1>",
            "href=\"/account\"",
            "<dt>Signed in as</dt><dd><a href=\"/account\">ada</a>",
            ">2 hours ago</time>",
            "action=\"/logout\"",
        ] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
        for hidden in ["action=\"/end\"", "Create account", "action=\"/settings\""] {
            assert!(!page.contains(hidden), "{hidden}: {page}");
        }
        ada.post_form("/account/settings", "display_name=Ada+L.&theme=dark");
        ada.get("/account");
        assert!(ada.get("/").body.contains("<h1>Hello, Ada L.</h1>"));
    }

    fn no_link_makes_the_home_page_say_that_a_session_has_ended(database: &Database) {
        let (client, clock) = application(database, "");
        let ended = "Your session has ended.";
        let mut visitor = Visitor::new(&client);
        visitor.post_form("/visit", "");
        let answer = visitor.post_form("/end", "");
        let address = answer.header("location").unwrap();
        let mut other = Visitor::new(&client);
        for forged in ["/?done=own_ended", "/?done=own_ended.1.x", "/?done="] {
            assert!(!other.get(forged).body.contains(ended), "{forged}");
        }
        other.post_form("/visit", "");
        assert!(!other.get(address).body.contains(ended), "the session is alive");
        clock.advance(TimeDelta::minutes(2));
        assert!(!visitor.get(address).body.contains(ended), "over");
    }
}

#[test]
fn no_one_is_offered_an_account_where_registration_is_closed() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let mut settings = settings(&database, "");
    settings.app.registration = false;
    let (client, _) = application_of(settings, database.store());
    let page = Visitor::new(&client).get("/").body;
    assert!(!page.contains("/register"), "{page}");
    assert!(
        page.contains("class=\"button primary\" href=\"/login\""),
        "{page}"
    );
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
    assert!(!page.contains("<script>"), "{page}");
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
