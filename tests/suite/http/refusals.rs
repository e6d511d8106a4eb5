//! A guard's refusal: the response has the guard's own error and headers.

use rocket::http::{Accept, ContentType, Header, Method};
use rocket::local::blocking::Client;

use crate::support::accounts::registered;
use crate::support::local::{Answer, application_of, figment, settings};
use crate::support::{Database, Kind, Visitor};

/// Returns the application without open administration.
fn closed(database: &Database) -> Client {
    let mut settings = settings(database, "");
    settings.figment = figment("release", "");
    application_of(settings, database.store()).0
}

/// Returns the answer to a form sent by a browser.
fn browse(client: &Client, method: Method, path: &str, cookie: Option<&str>) -> Answer {
    let request = client.req(method, path.to_owned());
    let mut request = request.header(Accept::HTML).header(ContentType::Form);
    if let Some(cookie) = cookie {
        request.add_header(Header::new("Cookie", cookie.to_owned()));
    }
    request.dispatch().into()
}

#[test]
fn programs_get_the_error_of_the_refusing_guard() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let client = closed(&database);
    let mut ada = registered(&client, "ada");
    let mut stranger = Visitor::new(&client);
    let json = Some("application/json");
    for (method, path, status, code, challenge) in [
        (
            Method::Get,
            "/api/account/sessions",
            401,
            "signed_out",
            "Session",
        ),
        (
            Method::Post,
            "/api/account/password",
            401,
            "signed_out",
            "Session",
        ),
        (
            Method::Delete,
            "/api/account?x",
            401,
            "signed_out",
            "Session",
        ),
        (
            Method::Get,
            "/api/session/sessions",
            401,
            "unauthorized",
            "Bearer",
        ),
        (
            Method::Delete,
            "/api/session/sessions",
            401,
            "unauthorized",
            "Bearer",
        ),
        (Method::Get, "/metrics", 401, "unauthorized", "Bearer"),
        (Method::Get, "/admin", 401, "signed_out", "Session"),
        (
            Method::Post,
            "/account/password",
            401,
            "signed_out",
            "Session",
        ),
    ] {
        let answer = stranger.send(method, path, json, "{");
        assert_eq!(answer.status.code, status, "{path}: {}", answer.body);
        let error = &answer.json()["error"];
        assert_eq!(error["code"], code, "{path}");
        assert_eq!(
            error["requestId"],
            answer.header("x-request-id").unwrap(),
            "{path}"
        );
        assert_eq!(answer.header("www-authenticate"), Some(challenge), "{path}");
        assert_eq!(answer.header("set-cookie"), None, "{path}");
    }
    // Guards run before the body is read, in the order of the arguments.
    for (method, path, body, status, code) in [
        (
            Method::Delete,
            "/api/account/sessions?x",
            "",
            422,
            "invalid",
        ),
        (Method::Get, "/api/session/sessions", "", 403, "forbidden"),
        (
            Method::Post,
            "/api/account/password",
            "{",
            400,
            "bad_request",
        ),
        (Method::Post, "/api/account/password", "[]", 422, "invalid"),
        (
            Method::Post,
            "/account/password",
            "{}",
            415,
            "unsupported_media_type",
        ),
    ] {
        let answer = ada.send(method, path, json, body);
        assert_eq!(answer.status.code, status, "{path}: {}", answer.body);
        assert_eq!(answer.json()["error"]["code"], code, "{path}");
    }
    assert!(
        ada.session()["userId"].is_string(),
        "no refusal ends a session"
    );
}

#[test]
fn browsers_are_redirected_to_sign_in_or_shown_an_error_page() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let client = closed(&database);
    let ada = registered(&client, "ada");
    for (method, path, to) in [
        (
            Method::Get,
            "/account?after=x",
            "/login?next=/account%3Fafter%3Dx",
        ),
        (
            Method::Post,
            "/account/delete",
            "/login?next=/account/delete&form=1",
        ),
        (Method::Post, "/admin/clear", "/login?next=/admin&form=1"),
    ] {
        let answer = browse(&client, method, path, None);
        assert_eq!(answer.status.code, 303, "{path}: {}", answer.body);
        assert_eq!(answer.header("location"), Some(to), "{path}");
    }
    for (method, path, status, title) in [
        (Method::Get, "/admin", 403, "Administrators only"),
        (
            Method::Post,
            "/account/password",
            422,
            "This could not be accepted",
        ),
    ] {
        let page = browse(&client, method, path, ada.cookie.as_deref());
        assert_eq!(page.status.code, status, "{path}: {}", page.body);
        assert!(
            page.body.contains(&format!("<h1>{title}</h1>")),
            "{path}: {}",
            page.body
        );
        assert!(
            page.body.contains("<span>ada</span>"),
            "{path}: {}",
            page.body
        );
    }
}

#[test]
fn json_fields_may_be_in_snake_case_and_unknown_strings_are_ignored() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let client = closed(&database);
    let mut ada = registered(&client, "ada");
    for (body, status, reason) in [
        (r#"{"newPassword":"x"}"#, 422, "currentPassword: is missing"),
        (
            r#"{"current_password":"x"}"#,
            422,
            "newPassword: is missing",
        ),
        (
            r#"{"currentPassword":"x","new_password":"y","other":1}"#,
            422,
            "other: is not a string",
        ),
        (
            r#"{"currentPassword":"x","new_password":"y","other":"z"}"#,
            401,
            "password is wrong",
        ),
    ] {
        let answer = ada.post_json("/api/account/password", body);
        assert_eq!(answer.status.code, status, "{body}: {}", answer.body);
        assert!(answer.message().contains(reason), "{body}: {}", answer.body);
    }
}
