//! The way to a page that needs a sign-in, and its obstacles.

use chrono::TimeDelta;
use rocket::http::{Accept, Header, Method, Status};
use rocket::local::blocking::Client;
use rocket::serde::json::Value;

use crate::support::accounts::{PASSWORD, registered, signed_in};
use crate::support::local::{Answer, application, application_of, figment, settings};
use crate::support::{Database, Kind, Visitor};

const GOOD: &str = "username=ada&password=correct+horse+battery";

/// Returns what a browser gets.
fn browse(client: &Client, method: Method, path: &str) -> Answer {
    let request = client.req(method, path.to_owned());
    request.header(Accept::HTML).dispatch().into()
}

/// Returns the path to which an answer redirects.
fn next(answer: &Answer) -> &str {
    assert_eq!(answer.status, Status::SeeOther, "{}", answer.body);
    answer.header("location").unwrap()
}

#[test]
fn after_signing_in_a_visitor_returns_to_the_requested_page() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let mut settings = settings(&database, "");
    settings.figment = figment("release", "");
    settings.sessions.cookie.secure = Some(false);
    let (client, _) = application_of(settings, database.store());
    registered(&client, "ada");
    for (wanted, login) in [
        ("/account", "/login?next=/account"),
        ("/account/delete", "/login?next=/account/delete"),
        ("/admin/sessions/x", "/login?next=/admin/sessions/x"),
        ("/admin?q=a%26b", "/login?next=/admin%3Fq%3Da%2526b"),
    ] {
        let asked = browse(&client, Method::Get, wanted);
        assert_eq!(next(&asked), login);
        let page = Visitor::new(&client).get(login).body;
        let field = format!("name=\"next\" value=\"{wanted}\"");
        assert!(page.contains(&field), "{field}: {page}");
        assert!(page.contains("Sign in to continue."), "{page}");
        let form = format!(
            "{GOOD}&next={}",
            wanted.replace('%', "%25").replace('&', "%26")
        );
        let wrong = Visitor::new(&client).post_form("/login", &form.replace("correct", "wrong"));
        assert_eq!(wrong.status, Status::Unauthorized);
        assert!(
            wrong.body.contains(&field),
            "kept after a mistake: {}",
            wrong.body
        );
        let mut ada = Visitor::new(&client);
        assert_eq!(next(&ada.post_form("/login", &form)), wanted);
        assert_eq!(next(&ada.get(login)), wanted, "who is signed in is sent on");
    }
    for evil in [
        "https://evil.example",
        "//evil.example",
        "/%5Cevil.example",
        "/%252Fevil.example",
        "/login",
        "javascript:alert(1)",
    ] {
        for page in ["login", "register"] {
            let html = Visitor::new(&client)
                .get(&format!("/{page}?next={evil}"))
                .body;
            assert!(
                !html.contains("name=\"next\"") && !html.contains("evil"),
                "{html}"
            );
        }
        let form = format!("{GOOD}&next={evil}");
        let mut ada = Visitor::new(&client);
        assert_eq!(next(&ada.post_form("/login", &form)), "/account", "{evil}");
        assert_eq!(
            next(&ada.get(&format!("/login?next={evil}"))),
            "/account",
            "{evil}"
        );
    }
    let form = "username=grace&password=correct+horse+battery&next=/admin";
    assert_eq!(
        next(&Visitor::new(&client).post_form("/register", form)),
        "/admin"
    );
    // The form of an ended session is reported as not executed.
    let lost = browse(&client, Method::Post, "/admin/clear");
    assert_eq!(next(&lost), "/login?next=/admin&form=1");
    let page = Visitor::new(&client).get(next(&lost)).body;
    assert!(page.contains("it was not processed"), "{page}");
}

#[test]
fn a_browser_that_keeps_no_cookies_gets_an_explanation() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let mut settings = settings(&database, "");
    settings.figment = figment("release", "");
    let (client, _) = application_of(settings, database.store());
    registered(&client, "ada");
    let sign_in = |origin: Option<&'static str>, form: &str| {
        let form = form.to_owned();
        let request = client.post("/login").body(form);
        let mut request = request.header(rocket::http::ContentType::Form);
        if let Some(origin) = origin {
            request.add_header(Header::new("Origin", origin));
            request.add_header(Header::new("Sec-Fetch-Site", "same-origin"));
        }
        Answer::from(request.dispatch())
    };
    for origin in [None, Some("http://192.0.2.2:8000"), Some("null")] {
        let answer = sign_in(origin, &format!("{GOOD}&next=/admin"));
        let path = next(&answer);
        assert_eq!(path, "/login?next=/admin&kept=1");
        // A browser that keeps the cookie, and one that does not.
        let mut kept = Visitor::with_cookie(&client, answer.cookie().unwrap());
        assert_eq!(next(&kept.get(path)), "/admin");
        let page = Visitor::new(&client).get(path);
        assert_eq!(page.status, Status::Ok);
        for words in ["did not keep the cookie", "https", "name=\"password\""] {
            assert!(page.body.contains(words), "{words}: {}", page.body);
        }
    }
    assert_eq!(next(&sign_in(None, GOOD)), "/login?kept=1");
    assert_eq!(
        next(&sign_in(Some("https://app.example"), GOOD)),
        "/account"
    );
}

on_each_database! {
    fn a_registration_sent_twice_signs_the_user_in(database: &Database) {
        let (client, clock) = application(database, "");
        let mut ada = Visitor::new(&client);
        assert_eq!(next(&ada.post_form("/register", GOOD)), "/account");
        // The second request carries the cookie that the browser had at the first.
        let mut again = Visitor::new(&client);
        assert_eq!(next(&again.post_form("/register", GOOD)), "/account");
        assert_eq!(again.user_id(), ada.user_id());
        assert!(again.get("/account").body.contains("Welcome!"));
        assert_eq!(database.number("SELECT count(*) AS n FROM users"), 1);
        let mut stranger = Visitor::new(&client);
        let wrong = stranger.post_form("/register", "username=ada&password=another+good+one");
        assert_eq!((wrong.status, stranger.cookie), (Status::Conflict, None));
        clock.advance(chrono::TimeDelta::minutes(11));
        let later = Visitor::new(&client).post_form("/register", GOOD);
        assert_eq!(later.status, Status::Conflict, "that is no double click");
    }

    fn misleading_names_stay_usable_but_cannot_be_registered(database: &Database) {
        let (client, _) = application(database, "");
        for name in ["аdmin", "adа", "ɑda", "admin", "root", "anonymous", "---", "--help"] {
            let answer = Visitor::new(&client).enter("register", name, PASSWORD);
            assert_eq!(answer.status, Status::UnprocessableEntity, "{name}");
            assert!(answer.message().starts_with("username:"), "{}", answer.body);
        }
        // Registered before the rule existed.
        registered(&client, "ada");
        database.execute("UPDATE users SET username = 'аdmin'");
        let mut old = Visitor::new(&client);
        assert_eq!(old.enter("login", "аdmin", PASSWORD).status, Status::Ok);
        database.execute("UPDATE users SET username = 'root'");
        assert_eq!(old.enter("login", "root ", PASSWORD).status, Status::Ok);
        assert_eq!(old.enter("login", " Root\u{a0}", PASSWORD).status, Status::Ok);
        assert_eq!(old.enter("login", "ro ot", PASSWORD).status, Status::Unauthorized);
    }

    fn a_new_password_is_neither_the_name_nor_the_old_one(database: &Database) {
        let (client, _) = application(database, "");
        for (name, password) in [("gracehopper", "gracehopper"), ("GraceHopper", "graceHOPPER ")] {
            let answer = Visitor::new(&client).enter("register", name, password);
            assert_eq!(answer.status, Status::UnprocessableEntity, "{password}");
            assert!(answer.message().starts_with("password:"), "{}", answer.body);
        }
        let mut grace = registered(&client, "gracehopper");
        let body = format!(r#"{{"currentPassword":"{PASSWORD}","newPassword":"gracehopper"}}"#);
        let answer = grace.post_json("/api/account/password", &body);
        assert_eq!(answer.status, Status::UnprocessableEntity);
        let form = "current_password=correct+horse+battery&new_password=correct+horse+battery";
        let answer = grace.post_form("/account/password", form);
        assert_eq!(answer.status, Status::UnprocessableEntity);
        assert!(answer.body.contains("is the current one"), "{}", answer.body);
    }

    fn at_the_limit_of_devices_a_user_can_sign_one_out_to_sign_in(database: &Database) {
        let limits = "max_sessions_per_user = 2\non_session_limit = 'refuse'";
        let (client, _) = application(database, limits);
        let (mut laptop, mut lost) = (registered(&client, "ada"), signed_in(&client, "ada"));
        let mut bob = registered(&client, "bob");
        let id = |visitor: &mut Visitor<'_>| visitor.session()["id"].as_str().unwrap().to_owned();
        let (lost_id, bobs) = (id(&mut lost), id(&mut bob));
        let mut phone = Visitor::new(&client);
        let offer = phone.post_form("/login", &format!("{GOOD}&next=/admin"));
        assert_eq!((offer.status, phone.cookie.as_ref()), (Status::Conflict, None));
        assert_eq!(offer.body.matches("type=\"radio\"").count(), 2, "{}", offer.body);
        assert!(offer.body.contains(&lost_id) && offer.body.contains("value=\"/admin\""));
        assert!(!offer.body.contains(PASSWORD) && !offer.body.contains(&bobs));
        // The password is required, and only the user's own devices can be ended.
        let wrong = format!("username=ada&password=wrong&end={lost_id}");
        assert_eq!(phone.post_form("/login", &wrong).status, Status::Unauthorized);
        let of_bob = phone.post_form("/login", &format!("{GOOD}&end={bobs}"));
        assert_eq!(of_bob.status, Status::Conflict);
        assert!(bob.user_id().is_string() && lost.user_id().is_string());
        let form = format!("{GOOD}&next=/admin&end={lost_id}");
        assert_eq!(next(&phone.post_form("/login", &form)), "/admin");
        assert_eq!(lost.session(), Value::Null);
        assert!(laptop.user_id().is_string() && phone.user_id().is_string());
    }

    fn a_settings_form_changes_only_the_edited_fields(database: &Database) {
        let (client, _) = application(database, "");
        let mut visitor = Visitor::new(&client);
        let form = |name: &str, theme: &str| {
            format!("shown_display_name=&shown_theme=system&display_name={name}&theme={theme}")
        };
        // Two tabs that were opened before either was sent.
        assert_eq!(visitor.post_form("/settings", &form("", "dark")).status, Status::SeeOther);
        assert_eq!(visitor.post_form("/settings", &form("Ada", "system")).status, Status::SeeOther);
        let data = visitor.session()["data"].clone();
        assert_eq!(data["theme"], "dark");
        assert_eq!(data["displayName"], "Ada");
        let page = visitor.get("/").body;
        for field in [
            "name=\"shown_display_name\" value=\"Ada\"",
            "name=\"shown_theme\" value=\"dark\"",
        ] {
            assert!(page.contains(field), "{field}: {page}");
        }
        // A refused form is shown again with the input, beside what was shown before.
        let long = "x".repeat(65);
        let refused = visitor.post_form("/settings", &form(&long, "light")).body;
        for part in [
            "name=\"shown_theme\" value=\"system\"",
            "<option value=\"light\" selected>",
            "<title>Error: ",
        ] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }
}

#[test]
fn an_error_is_shown_at_its_field_and_in_the_title() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let field = |page: &str, id: &str| {
        let (_, rest) = page.split_once(&format!("<input id=\"{id}\"")).unwrap();
        rest.split_once('>').unwrap().0.to_owned()
    };
    for (path, form, wrong, right) in [
        (
            "/register",
            "username=ada&password=short",
            "password",
            "username",
        ),
        (
            "/register",
            "username=a&password=correct+horse+battery",
            "username",
            "password",
        ),
    ] {
        let page = Visitor::new(&client).post_form(path, form).body;
        assert!(page.contains("<title>Error: Register"), "{page}");
        let (wrong, right) = (field(&page, wrong), field(&page, right));
        for mark in ["autofocus", "aria-invalid=\"true\"", "problem"] {
            assert!(
                wrong.contains(mark) && !right.contains(mark),
                "{form}: {wrong} {right}"
            );
        }
    }
    let mut ada = registered(&client, "ada");
    for (form, wrong, right) in [
        (
            "current_password=x&new_password=staple+staple",
            "current_password",
            "new_password",
        ),
        (
            "current_password=correct+horse+battery&new_password=x",
            "new_password",
            "current_password",
        ),
    ] {
        let page = ada.post_form("/account/password", form).body;
        assert!(page.contains("<title>Error: "), "{page}");
        let (wrong, right) = (field(&page, wrong), field(&page, right));
        for mark in ["autofocus", "aria-invalid=\"true\""] {
            assert!(
                wrong.contains(mark) && !right.contains(mark),
                "{form}: {wrong} {right}"
            );
        }
    }
    // Each button names the device that it signs out.
    signed_in(&client, "ada");
    let page = ada.get("/account").body;
    let named = "Sign out<span class=\"unseen\"> Unknown device";
    assert!(page.contains(named), "{page}");
}

on_each_database! {
    fn i4_a_user_is_kept_signed_in_only_if_asked_for(database: &Database) {
        let (client, clock) = application(database, "max_sessions_per_user = 2\non_session_limit = 'refuse'");
        registered(&client, "ada");
        let page = Visitor::new(&client).get("/login").body;
        assert!(page.contains("For 30 days on this device"), "{page}");
        let set_cookie = |answer: &Answer| answer.header("set-cookie").unwrap().to_owned();

        let mut kept = Visitor::new(&client);
        let answer = kept.post_form("/login", &format!("{GOOD}&keep=on"));
        assert!(set_cookie(&answer).contains("Max-Age=2592000"));
        let wrong = format!("{}&keep=on", GOOD.replace("correct", "wrong"));
        let page = Visitor::new(&client).post_form("/login", &wrong).body;
        assert!(page.contains("name=\"keep\" checked"), "kept after a mistake: {page}");
        let too_many = Visitor::new(&client).post_form("/login", &format!("{GOOD}&keep=on"));
        assert_eq!(too_many.status, Status::Conflict);
        let field = "<input name=\"keep\" value=\"on\" hidden>";
        assert!(too_many.body.contains(field), "{}", too_many.body);

        clock.advance(TimeDelta::days(29));
        assert_eq!(kept.get("/account").status, Status::Ok);
        // To give the password again does not shorten the time.
        let form = "password=correct+horse+battery";
        kept.post_form("/account/sessions/end-others", form);
        clock.advance(TimeDelta::hours(23));
        assert_eq!(kept.get("/account").status, Status::Ok);

        let mut until_closed = Visitor::new(&client);
        let answer = until_closed.post_form("/login", GOOD);
        assert!(!set_cookie(&answer).contains("Max-Age"), "{}", set_cookie(&answer));
        clock.advance(TimeDelta::hours(25));
        assert_ne!(until_closed.get("/account").status, Status::Ok);
        let mut new = Visitor::new(&client);
        let form = GOOD.replace("ada", "bob");
        let answer = new.post_form("/register", &format!("{form}&keep=on"));
        assert!(set_cookie(&answer).contains("Max-Age=2592000"));
    }
}
