//! What a script adds to forms: passwords that can be shown, and rules that are checked as one types.

use std::fmt::Write as _;

use fantoccini::key::Key;
use rocket::serde::json::{Value, json};

use crate::support::site::{PASSWORD, SEND, fill_in, in_a_tab, in_chromium, register, sign_out};
use crate::support::{Chromium, Database, Kind, Server, Tab};

const REVEAL: &str = ".secret button";

/// Returns the kind of the field with this id, and whether its button says that it is shown.
fn shown(tab: &Tab, field: &str) -> Value {
    tab.execute(&format!(
        "const field = document.getElementById('{field}');
         const button = field.parentElement.querySelector('button');
         return [field.type, button.getAttribute('aria-pressed'), button.textContent]"
    ))
}

fn hidden() -> Value {
    json!(["password", "false", "Show password"])
}

#[test]
fn a_password_is_shown_on_demand_and_hidden_before_it_is_sent() {
    in_a_tab(|tab| {
        tab.goto("/login");
        tab.fill("username", "hopper");
        tab.fill("password", "a wrong one");
        assert_eq!(shown(tab, "password"), hidden());
        // The button follows its field, and adds no height.
        tab.press(Key::Tab);
        tab.type_in(" ");
        assert_eq!(
            shown(tab, "password"),
            json!(["text", "true", "Show password"])
        );
        let spelling = "return document.getElementById('password').spellcheck";
        assert_eq!(tab.execute(spelling), json!(false));
        let heights = "const box = document.querySelector('.secret'); \
                       return box.offsetHeight === box.querySelector('input').offsetHeight";
        assert_eq!(tab.execute(heights), json!(true));
        // A password that is shown is hidden when the form is sent.
        tab.execute(
            "document.querySelector('main form').addEventListener('submit', (event) => {
               event.preventDefault();
               document.title = document.getElementById('password').type;
             })",
        );
        tab.execute(&format!("document.querySelector(\"{SEND}\").click()"));
        assert_eq!(tab.execute("return document.title"), json!("password"));
        assert_eq!(shown(tab, "password"), hidden());
    });
}

#[test]
fn every_password_can_be_shown() {
    in_a_tab(|tab| {
        let fields = "return document.querySelectorAll('[type=password]').length";
        let all = |path: &str, number: u64| {
            tab.goto(path);
            assert_eq!(tab.execute(fields), json!(number), "{path}");
            assert_eq!(tab.count(REVEAL) as u64, number, "{path}");
        };
        all("/login", 1);
        all("/register", 1);
        register(tab, "hopper");
        all("/account", 2);
        all("/account/delete", 1);
    });
}

#[test]
fn without_javascript_rules_are_stated_and_nothing_is_a_button_in_vain() {
    in_chromium(|chromium, server| {
        let tab = chromium.open_without_javascript(&server);
        tab.goto("/register");
        assert_eq!(tab.count(REVEAL), 0);
        assert_eq!(tab.count(".rules li"), 6);
        assert_eq!(tab.count(".met, .unmet"), 0);
        assert_eq!(tab.text("#password-rules li"), "8 to 128 characters");
    });
}

/// Returns the classes of the rules of a field, in their order.
fn states(tab: &Tab, field: &str) -> Value {
    tab.execute(&format!(
        "return [...document.querySelectorAll('#{field}-rules li')].map((rule) => rule.className)"
    ))
}

#[test]
fn rules_are_met_or_not_as_one_types() {
    in_a_tab(|tab| {
        tab.goto("/register");
        assert_eq!(states(tab, "username"), json!(["", "", ""]));
        for (name, expected) in [
            ("ab", ["unmet", "met", "met"]),
            ("ada", ["met", "met", "met"]),
            ("-ada", ["met", "unmet", "met"]),
            ("a da", ["met", "met", "unmet"]),
            ("zoë@example.com", ["met", "met", "met"]),
            ("東京たろう", ["met", "met", "met"]),
        ] {
            tab.fill("username", name);
            assert_eq!(states(tab, "username"), json!(expected), "{name}");
        }
        tab.fill("username", "gracehopper");
        for (password, expected) in [
            ("7 chars", ["unmet", "met", ""]),
            ("GraceHopper ", ["met", "unmet", ""]),
            (PASSWORD, ["met", "met", ""]),
        ] {
            tab.fill("password", password);
            assert_eq!(states(tab, "password"), json!(expected), "{password}");
        }
        let words = "return document.querySelector('#password-rules li').textContent";
        assert_eq!(tab.execute(words), json!("Met: 8 to 128 characters"));
        // The field of another name decides too.
        tab.fill("username", PASSWORD);
        assert_eq!(states(tab, "password"), json!(["met", "unmet", ""]));
    });
}

/// The rules on the page and the server's own must agree.
#[test]
fn what_keeps_all_rules_is_accepted_and_what_breaks_one_is_not() {
    in_a_tab(|tab| {
        tab.goto("/register");
        let is_accepted = |name: &str| {
            let body = format!("username={}&password=x", urlencoded(name));
            tab.execute(&format!(
                "const request = new XMLHttpRequest();
                 request.open('POST', '/api/auth/register', false);
                 request.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded');
                 request.send('{body}');
                 return !JSON.parse(request.responseText).error.message.startsWith('username')"
            ))
        };
        for name in [
            "ab",
            "abc",
            " ada ",
            "a b c",
            "ada👋",
            "-ada",
            "4711",
            "o'brien;--",
            "Ａｄａ",
            "ａｂｃ！",
            "zoë",
            "ad\u{ad}a",
            "½ada",
            "ⅷada",
            "σίσυφος",
            "नमस्ते",
            "_ada",
            "ada²",
        ] {
            tab.execute(&format!(
                "const field = document.getElementById('username');
                 field.value = `{name}`;
                 field.dispatchEvent(new Event('input', {{ bubbles: true }}))"
            ));
            let is_met = states(tab, "username") == json!(["met", "met", "met"]);
            assert_eq!(is_accepted(name), json!(is_met), "{name}");
        }
    });
}

/// Escapes a text for a form.
fn urlencoded(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        write!(escaped, "%{byte:02x}").unwrap();
    }
    escaped
}

#[test]
fn the_number_of_a_failed_request_can_be_copied() {
    in_a_tab(|tab| {
        tab.goto("/nowhere");
        let id = tab.text("#request-id");
        let name = "return document.querySelector('#request-id + button').ariaLabel";
        assert_eq!(tab.execute(name), json!(format!("Copy {id}")));
    });
}

#[test]
fn someone_else_can_sign_in_where_administrators_are_asked_for() {
    let Some(chromium) = Chromium::find() else {
        return;
    };
    let database = Database::new(Kind::Sqlite).unwrap();
    let sessions = r#"{cookie={secure=false,name="session"}}"#;
    let settings = [("ROCKET_PROFILE", "release"), ("ROCKET_SESSIONS", sessions)];
    let server = Server::start_with(&database, &settings);
    let tab = &chromium.open(&server);
    register(tab, "ruth");
    database.execute("UPDATE users SET is_admin = TRUE");
    sign_out(tab);
    register(tab, "hopper");
    tab.goto("/admin");
    assert_eq!(tab.text("h1"), "Administrators only");
    tab.click("main form button");
    assert_eq!(tab.path(), "/login");
    fill_in(tab, "ruth", PASSWORD);
    assert_eq!(tab.path(), "/admin");
}
