//! The HTML of the account pages. Their behaviour in a browser is tested in `browser`.

use chrono::TimeDelta;
use rocket::http::{Accept, ContentType, Method, Status};
use rocket::local::blocking::Client;
use rocket::serde::json::Value;
use rocket_diesel_sessions::store::SessionStore;

use crate::support::accounts::{PASSWORD, registered, signed_in};
use crate::support::altered;
use crate::support::local::{Answer, application};
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, Visitor};

const GOOD: &str = "username=ada&password=correct+horse+battery";

/// Returns the path to which an answer redirects.
fn next(answer: &Answer) -> &str {
    assert_eq!(answer.status, Status::SeeOther, "{}", answer.body);
    answer.header("location").unwrap()
}

fn handle(visitor: &mut Visitor<'_>) -> String {
    visitor.session()["id"].as_str().unwrap().to_owned()
}

/// Returns what a browser gets.
fn browse(client: &Client, method: Method, path: &str) -> Answer {
    let request = client.req(method, path.to_owned());
    let form = ContentType::Form;
    request.header(Accept::HTML).header(form).dispatch().into()
}

/// Returns two devices of one user.
fn two_devices(client: &Client) -> (Visitor<'_>, Visitor<'_>) {
    (registered(client, "ada"), signed_in(client, "ada"))
}

on_each_database! {
    fn a_visitor_registers_signs_out_and_in_again(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = Visitor::new(&client);
        assert_eq!(next(&browse(&client, Method::Get, "/account")), "/login?next=/account");
        ada.post_form("/visit", "");
        assert_eq!(next(&ada.post_form("/register", GOOD)), "/account");
        let page = ada.get("/account");
        assert!(page.body.contains("Welcome!") && page.body.contains("<strong>ada</strong>"), "{}", page.body);
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert!(!ada.get("/account").body.contains("Welcome!"), "a notice is shown once");
        for path in ["/login", "/register", "/signed-out", "/account-deleted"] {
            assert_eq!(next(&ada.get(path)), "/account", "{path}");
        }
        assert_eq!(ada.visit(), 2);
        assert_eq!(next(&ada.post_form("/logout", "")), "/signed-out");
        assert_eq!(ada.cookie, None);
        assert!(ada.get("/signed-out").body.contains("You are signed out"));
        assert_eq!(ada.get("/account").status, Status::Unauthorized);
        assert_eq!(next(&ada.post_form("/login", GOOD)), "/account");
        assert_eq!(ada.get("/account").status, Status::Ok);
    }

    fn devices_are_signed_out_on_the_page(database: &Database) {
        let (client, _) = application(database, "");
        let (mut laptop, mut phone) = two_devices(&client);
        let mut bob = registered(&client, "bob");
        let page = laptop.get("/account").body;
        assert_eq!(page.matches("<li class=\"device\"").count(), 2, "{page}");
        assert_eq!(page.matches("this device").count(), 1, "{page}");
        for nobodys in [handle(&mut bob), "nothing".to_owned()] {
            let answer = laptop.post_form(&format!("/account/sessions/{nobodys}/end"), "");
            assert_eq!(next(&answer), "/account");
            assert!(laptop.get("/account").body.contains("was signed out already"));
        }
        assert_ne!(bob.user_id(), Value::Null);
        let end = format!("/account/sessions/{}/end", handle(&mut phone));
        assert_eq!(next(&laptop.post_form(&end, "")), "/account");
        assert_eq!(phone.session(), Value::Null);
        assert!(laptop.get("/account").body.contains("That device is signed out."));
        assert_eq!(next(&laptop.post_form(&end, "")), "/account", "sent twice");
        assert!(laptop.get("/account").body.contains("was signed out already"));
        let mut tablet = signed_in(&client, "ada");
        assert_eq!(next(&laptop.post_form("/account/sessions/end-others", "")), "/account");
        assert_eq!(tablet.session(), Value::Null);
        assert!(laptop.get("/account").body.contains("All your other devices"));
        assert_ne!(bob.user_id(), Value::Null);
        let own = format!("/account/sessions/{}/end", handle(&mut laptop));
        assert_eq!(next(&laptop.post_form(&own, "")), "/signed-out");
        assert_eq!(laptop.cookie, None);
    }

    fn devices_of_one_name_are_shown_and_signed_out_together(database: &Database) {
        let (client, _) = application(database, "");
        let (mut laptop, mut phone) = two_devices(&client);
        let (user, agent) = (laptop.user_id(), "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0");
        let new = |agent: &str| altered(new_session(user.as_str()), |new| {
            new.user_agent = Some(agent.to_owned());
        });
        // More than one page of them, and others that must stay.
        let programs = (0..7).map(|number| new(&format!("program{number}/1.0")));
        let many: Vec<_> = (0..1100).map(|_| new(agent)).chain(programs).collect();
        database.store().create(&many).unwrap();
        let page = laptop.get("/account").body;
        assert!(page.len() < 150_000, "{}", page.len());
        let first = page.split("<li class=\"device\"").nth(1).unwrap();
        assert!(first.contains("this device") && !first.contains("<form"), "{page}");
        assert!(page.contains("Firefox on Linux × 93 <span class=\"soft\">on this page"), "{page}");
        assert!(page.contains("<summary>Show 96 more</summary>"), "{page}");
        let answer = laptop.post_form("/account/sessions/end-same", "device=Firefox+on+Linux");
        assert_eq!(next(&answer), "/account");
        assert_eq!(database.sessions(), 9);
        assert!(laptop.get("/account").body.contains("Those devices are signed out."));
        assert_ne!(phone.user_id(), Value::Null);
        let again = laptop.post_form("/account/sessions/end-same", "device=Firefox+on+Linux");
        assert_eq!(next(&again), "/account", "sent twice, or of a name that there is not");
        assert!(laptop.get("/account").body.contains("signed out already"));
    }

    fn a_confirmation_names_what_is_signed_out(database: &Database) {
        let (client, clock) = application(database, "");
        let (mut laptop, mut phone) = two_devices(&client);
        signed_in(&client, "ada");
        clock.advance(TimeDelta::minutes(11));
        let one = format!("/account/sessions/{}/end", handle(&mut phone));
        for (path, form, words) in [
            (one.as_str(), "", "sign out Unknown device."),
            ("/account/sessions/end-others", "", "sign out 2 other devices."),
            ("/account/sessions/end-same", "device=Unknown+device", "2 other devices: Unknown device."),
        ] {
            let page = laptop.post_form(path, form).body;
            assert!(page.contains(words), "{path}: {page}");
            assert!(page.contains("class=\"primary full\""), "{path}: {page}");
        }
        assert_eq!(database.sessions(), 3);
        let form = "device=Unknown+device&password=correct+horse+battery";
        assert_eq!(next(&laptop.post_form("/account/sessions/end-same", form)), "/account");
        assert_eq!(database.sessions(), 1);
    }

    fn an_empty_password_is_wrong_and_no_guess(database: &Database) {
        let (client, clock) = application(database, "");
        let (mut laptop, _) = two_devices(&client);
        clock.advance(TimeDelta::minutes(11));
        let path = "/account/sessions/end-others";
        for _ in 0..20 {
            assert_eq!(laptop.post_form(path, "password=").status, Status::Unauthorized);
        }
        assert_eq!(next(&laptop.post_form(path, GOOD)), "/account");
    }

    fn the_password_is_asked_for_again_after_ten_minutes(database: &Database) {
        let (client, clock) = application(database, "");
        let (mut laptop, mut phone) = two_devices(&client);
        clock.advance(TimeDelta::minutes(11));
        let phones = handle(&mut phone);
        for path in [
            format!("/account/sessions/{phones}/end"),
            "/account/sessions/end-others".to_owned(),
        ] {
            let asked = laptop.post_form(&path, "");
            assert_eq!(asked.status, Status::Forbidden, "{path}");
            assert!(asked.body.contains(&format!("action=\"{path}\"")), "{}", asked.body);
            let wrong = laptop.post_form(&path, "password=a+wrong+password");
            assert_eq!(wrong.status, Status::Unauthorized, "{path}");
            assert!(wrong.body.contains("role=\"alert\""), "{}", wrong.body);
            assert_ne!(phone.user_id(), Value::Null);
        }
        let old = laptop.cookie.clone();
        let path = format!("/account/sessions/{phones}/end");
        assert_eq!(next(&laptop.post_form(&path, GOOD)), "/account");
        assert_eq!(phone.session(), Value::Null);
        assert_ne!(laptop.cookie, old);
        assert!(laptop.get("/account").body.contains("That device is signed out."));
    }

    fn an_account_is_deleted_only_with_the_password(database: &Database) {
        let (client, clock) = application(database, "");
        let mut ada = registered(&client, "ada");
        let page = ada.get("/account/delete");
        assert_eq!(page.status, Status::Ok);
        assert!(page.body.contains("cannot be undone"), "{}", page.body);
        // Even right after the sign-in.
        for (form, status) in [
            ("", Status::Forbidden),
            ("username=ada", Status::Forbidden),
            ("password=", Status::Unauthorized),
            ("password=a+wrong+one", Status::Unauthorized),
        ] {
            let answer = ada.post_form("/account/delete", form);
            assert_eq!(answer.status, status, "{form}");
            assert!(answer.body.contains("name=\"password\""), "{form}");
            assert_eq!(database.number("SELECT count(*) AS n FROM users"), 1, "{form}");
        }
        let answer = ada.post_form("/account/delete", GOOD);
        let farewell = next(&answer);
        assert!(farewell.starts_with("/account-deleted?done="), "{farewell}");
        assert_eq!((ada.cookie.as_ref(), database.sessions()), (None, 0));
        assert_eq!(database.number("SELECT count(*) AS n FROM users"), 0);
        assert!(ada.get(farewell).body.contains("Your account is deleted"));
        // A forged link, or the same link later, shows no such notice.
        let forged = "/account-deleted?done=account_deleted.1.x";
        clock.advance(TimeDelta::minutes(2));
        for path in ["/account-deleted", forged, farewell] {
            let page = Visitor::new(&client).get(path).body;
            assert!(!page.contains("deleted") && page.contains("You are signed out"), "{page}");
        }
    }

    fn the_password_is_changed_on_the_page(database: &Database) {
        let (client, _) = application(database, "");
        let (mut laptop, mut phone) = two_devices(&client);
        let path = "/account/password";
        let wrong = laptop.post_form(path, "current_password=wrong&new_password=staple+staple");
        assert_eq!(wrong.status, Status::Unauthorized);
        assert!(wrong.body.contains("role=\"alert\""), "{}", wrong.body);
        let form = "current_password=correct+horse+battery&new_password=short";
        let weak = laptop.post_form(path, form);
        assert_eq!(weak.status, Status::UnprocessableEntity);
        assert!(weak.body.contains("8 to 128"), "{}", weak.body);
        assert_ne!(phone.user_id(), Value::Null);
        let form = "current_password=correct+horse+battery&new_password=staple+staple";
        assert_eq!(next(&laptop.post_form(path, form)), "/account");
        assert!(laptop.get("/account").body.contains("Your password is changed"));
        assert_eq!(phone.session(), Value::Null);
    }
}

#[test]
fn a_form_that_is_refused_is_shown_again_with_the_reason() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    registered(&client, "ada");
    for (path, form, status, reason) in [
        (
            "/register",
            "username=ada&password=another+good+one",
            409,
            "is taken",
        ),
        (
            "/register",
            "username=a%22%3Cb&password=x",
            422,
            "This password is too short. Use at least 8 characters.",
        ),
        (
            "/register",
            "username=&password=x",
            422,
            "Enter a username.",
        ),
        ("/login", "username=a%22%3Cb&password=x", 401, "wrong"),
        ("/login", "username=&password=", 401, "wrong"),
    ] {
        let mut visitor = Visitor::new(&client);
        let answer = visitor.post_form(path, form);
        assert_eq!(answer.status.code, status, "{path} {form}: {}", answer.body);
        let problem = answer
            .body
            .split("id=\"problem\">")
            .nth(1)
            .unwrap_or_default();
        let problem = problem.split("</p>").next().unwrap();
        assert!(problem.contains(reason), "{path} {form}: {problem}");
        assert!(
            !answer.body.contains("a\"<b"),
            "what was entered is text: {}",
            answer.body
        );
        assert!(!answer.body.contains(PASSWORD), "no password comes back");
        assert_eq!(visitor.cookie, None);
    }
    let entered = Visitor::new(&client).post_form("/login", "username=ad%26a&password=x");
    assert!(
        entered.body.contains("value=\"ad&#38;a\""),
        "{}",
        entered.body
    );
}

#[test]
fn page_routes_accept_only_forms() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut ada = registered(&client, "ada");
    let mut stranger = Visitor::new(&client);
    for path in [
        "/login",
        "/register",
        "/settings",
        "/account/password",
        "/account/settings",
        "/account/delete",
        "/account/sessions/end-others",
        "/account/sessions/x/end",
    ] {
        let json = Some("application/json");
        let answer = ada.send(Method::Post, path, json, r#"{"username":"ada"}"#);
        assert_eq!(answer.status, Status::UnsupportedMediaType, "{path}");
        if path.starts_with("/account") {
            assert_eq!(
                stranger.post_form(path, "").status,
                Status::Unauthorized,
                "{path}"
            );
            let answer = browse(&client, Method::Post, path);
            assert!(
                next(&answer).starts_with("/login?next=/account"),
                "{path}: {}",
                next(&answer)
            );
        }
    }
    for (path, form) in [
        ("/login", "username=ada"),
        ("/register", ""),
        ("/account/password", ""),
    ] {
        let answer = ada.post_form(path, form);
        assert_eq!(answer.status, Status::UnprocessableEntity, "{path}");
    }
    assert_ne!(ada.user_id(), Value::Null);
}
