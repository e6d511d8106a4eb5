//! Passwords: choosing, entering, guessing and changing them, and invalid input.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use rocket::http::{Method, Status};
use rocket::serde::json::{Value, json};

use crate::support::accounts::{PASSWORD, registered, signed_in};
use crate::support::local::application;
use crate::support::{Database, Kind, Visitor};

const CHANGE: &str = "/api/account/password";

fn change(visitor: &mut Visitor<'_>, current: &str, new: &str) -> Status {
    let body = json!({"currentPassword": current, "newPassword": new}).to_string();
    visitor.post_json(CHANGE, &body).status
}

on_each_database! {
    fn a_new_password_signs_out_the_other_devices(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada");
        let mut phone = signed_in(&client, "ada");
        let (old, before) = (ada.cookie.clone().unwrap(), ada.session());
        assert_eq!(change(&mut ada, "not my password", "staple staple"), Status::Unauthorized);
        assert_eq!(change(&mut ada, PASSWORD, "short"), Status::UnprocessableEntity);
        assert_eq!(change(&mut ada, PASSWORD, "iloveyou1"), Status::UnprocessableEntity);
        assert_eq!(change(&mut Visitor::new(&client), PASSWORD, "staple staple"), Status::Unauthorized);
        assert_eq!(phone.visit(), 1);
        assert_eq!(ada.cookie, Some(old.clone()));

        assert_eq!(change(&mut ada, PASSWORD, "staple staple"), Status::NoContent);
        assert_eq!(phone.session(), Value::Null);
        assert_eq!(Visitor::with_cookie(&client, old).session(), Value::Null);
        assert_eq!(ada.session()["id"], before["id"]);
        let mut visitor = Visitor::new(&client);
        assert_eq!(visitor.enter("login", "ada", PASSWORD).status, Status::Unauthorized);
        assert_eq!(visitor.enter("login", "ada", "staple staple").status, Status::Ok);
        // As a form, with the field names of a form.
        let form = "current_password=staple+staple&new_password=battery+horse";
        assert_eq!(ada.post_form(CHANGE, form).status, Status::NoContent);
        assert_eq!(visitor.session(), Value::Null);
    }

    fn wrong_passwords_are_limited_and_correct_ones_are_not(database: &Database) {
        let (client, clock) = application(database, "");
        let mut ada = registered(&client, "ada");
        for _ in 0..15 {
            signed_in(&client, "ada");
        }
        let mut guesser = Visitor::new(&client);
        let mut guess = |password: &str| guesser.enter("login", "Ada", password);
        for number in 0..10 {
            assert_eq!(guess("a wrong password").status, Status::Unauthorized, "{number}");
        }
        for password in ["a wrong password", PASSWORD] {
            let answer = guess(password);
            assert_eq!(answer.status, Status::TooManyRequests, "{}", answer.body);
            assert_eq!(answer.json()["error"]["code"], "too_many_attempts");
            let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=30).contains(&seconds), "{seconds}");
        }
        // Other users, signed-in users, and users who wait are not affected.
        let other = "another one that is long";
        assert_eq!(change(&mut ada, PASSWORD, PASSWORD), Status::UnprocessableEntity);
        assert_eq!(change(&mut ada, PASSWORD, other), Status::NoContent);
        assert_eq!(change(&mut ada, other, PASSWORD), Status::NoContent);
        registered(&client, "bob");
        signed_in(&client, "bob");
        clock.advance(TimeDelta::seconds(30));
        assert_eq!(guess(PASSWORD).status, Status::Ok);
        assert_eq!(guess("a wrong password").status, Status::Unauthorized);
        assert_eq!(guess(PASSWORD).status, Status::TooManyRequests);
    }

    fn wrong_passwords_of_a_signed_in_user_are_limited_too(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada");
        for _ in 0..10 {
            let status = change(&mut ada, "a wrong password", "staple staple");
            assert_eq!(status, Status::Unauthorized);
        }
        assert_eq!(change(&mut ada, PASSWORD, "staple staple"), Status::TooManyRequests);
        let page = ada.post_form("/account/delete", "password=a+wrong+password");
        assert_eq!(page.status, Status::TooManyRequests);
        assert!(page.header("retry-after").is_some());
        signed_in(&client, "ada");
    }

    fn an_unknown_user_looks_and_costs_like_a_wrong_password(database: &Database) {
        let (client, clock) = application(database, "");
        registered(&client, "ada");
        registered(&client, "eve");
        database.execute("UPDATE users SET disabled_at = updated_at WHERE username = 'eve'");
        let mut answers = Vec::new();
        // The minimum of each case is its cost; the rest is other work of the machine.
        let mut costs = [Duration::MAX; 4];
        let cases = [
            ("ada", "a wrong password"),
            ("nobody", "a wrong password"),
            ("eve", PASSWORD),
            ("no name at all", "a wrong password"),
        ];
        let is_alike = |costs: &[Duration; 4]| costs.iter().max() < costs.map(|cost| cost * 3).iter().min();
        for round in 0.. {
            for (case, (username, password)) in cases.into_iter().enumerate() {
                let start = Instant::now();
                let answer = Visitor::new(&client).enter("login", username, password);
                costs[case] = costs[case].min(start.elapsed());
                let waits = answer.header("retry-after").is_some();
                // The answers differ only in the request id.
                let id = answer.header("x-request-id").unwrap();
                answers.push((answer.status, answer.body.replace(id, ""), waits));
            }
            clock.advance(TimeDelta::minutes(5));
            if round >= 6 && is_alike(&costs) {
                break;
            }
            assert!(round < 50, "{costs:?}");
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(answers[0].0, Status::Unauthorized);
    }
}

#[test]
fn invalid_names_and_passwords_are_refused_with_the_reason() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let (long, wide) = ("x".repeat(65), "👋".repeat(129));
    for (username, password, reason) in [
        ("", PASSWORD, "username: has 0 characters"),
        ("ab", PASSWORD, "3 to 64"),
        (long.as_str(), PASSWORD, "3 to 64"),
        ("ada\0", PASSWORD, "U+0000"),
        ("a\tda", PASSWORD, "U+0009"),
        ("ada lovelace", PASSWORD, "U+0020"),
        ("👋👋👋", PASSWORD, "U+1F44B"),
        ("ada", "", "password: has 0 characters"),
        ("ada", "1234567", "8 to 128"),
        ("ada", wide.as_str(), "8 to 128"),
        ("ada", "password123", "common"),
    ] {
        let mut visitor = Visitor::new(&client);
        let answer = visitor.enter("register", username, password);
        assert_eq!(
            answer.status,
            Status::UnprocessableEntity,
            "{username:?} {password:?}"
        );
        assert!(
            answer.message().contains(reason),
            "{username:?}: {}",
            answer.body
        );
        assert!(
            password.is_empty() || !answer.body.contains(password),
            "{}",
            answer.body
        );
        assert_eq!(visitor.cookie, None);
    }
    assert_eq!(database.number("SELECT count(*) AS n FROM users"), 0);
    // Looks invalid but is allowed.
    let wide = "👋".repeat(128);
    for (number, (username, password)) in [
        ("𠀀𠀁𠀂", wide.as_str()),
        ("x');DROP/**/TABLE/**/users;--", "'; DROP TABLE users; --"),
        ("ada", "a\0control\u{1b}character"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut visitor = Visitor::new(&client);
        let answer = visitor.enter("register", username, password);
        assert_eq!(
            answer.status,
            Status::Created,
            "{username}: {}",
            answer.body
        );
        assert_eq!(answer.json()["user"]["username"], username.to_lowercase());
        let answer = Visitor::new(&client).enter("login", username, password);
        assert_eq!(answer.status, Status::Ok, "{username}");
        let users = database.number("SELECT count(*) AS n FROM users");
        assert_eq!(usize::try_from(users).unwrap(), number + 1);
    }
}

#[test]
fn bodies_without_credentials_are_refused() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let (json, form) = (
        Some("application/json"),
        Some("application/x-www-form-urlencoded"),
    );
    let huge = format!("username=ada&password={}", "x".repeat(100_000));
    for path in ["/api/auth/register", "/api/auth/login"] {
        for (kind, body, status, reason) in [
            (json, r#"{"username":"ada"}"#, 422, "password: is missing"),
            (json, r#"{"password":"x"}"#, 422, "username: is missing"),
            (json, r#"{"username":7,"password":"x"}"#, 422, "username"),
            (json, r#"{"username":null,"password":"x"}"#, 422, "username"),
            (json, "[]", 422, "object"),
            (json, "", 400, "JSON"),
            (json, "username=ada&password=x", 400, "JSON"),
            (form, "", 422, "username: is missing"),
            (form, "username=ada", 422, "password: is missing"),
            (form, r#"{"username":"ada","password":"x"}"#, 422, "missing"),
            (form, "username=%ff&password=x", 400, "UTF-8"),
            (form, &huge, 413, "larger"),
            (None, "username=ada&password=x", 415, "application/json"),
            (Some("text/plain"), "{}", 415, "application/json"),
        ] {
            let answer = Visitor::new(&client).send(Method::Post, path, kind, body);
            let shown = &body[..body.len().min(60)];
            assert_eq!(
                answer.status.code, status,
                "{path} {shown}: {}",
                answer.body
            );
            assert!(
                answer.message().contains(reason),
                "{path} {shown}: {}",
                answer.body
            );
        }
    }
    assert_eq!(database.sessions(), 0);
}
