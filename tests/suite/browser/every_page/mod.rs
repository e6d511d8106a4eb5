//! Requirements of every page, for every visitor.

mod data;
mod tour;

use fantoccini::key::Key;
use rocket::serde::json::{Value, from_str, json};

use self::tour::PAGES;
use crate::support::axe::{is_installed, violations, violations_of_colours};
use crate::support::focus::unmarked;
use crate::support::look::{LOOKS, NARROWEST, keep_picture, overflow};
use crate::support::site::{
    PASSWORD, assert_quiet, complaints, in_a_tab, in_chromium, problems, register,
};
use crate::support::{Chromium, Database, Kind, Server, Tab};

/// Shows all pages in each look, and returns what is wrong with them.
fn faults(tab: &Tab, database: &Database, has_javascript: bool) -> Vec<String> {
    let mut faults = Vec::new();
    for (page, go) in PAGES {
        tab.allow_scripts(has_javascript);
        go(tab, database);
        // axe needs them, when the page's own would have run.
        tab.allow_scripts(true);
        let mut add = |look: &str, found: Vec<String>| {
            faults.extend(
                found
                    .into_iter()
                    .map(|fault| format!("{page} ({look}): {fault}")),
            );
        };
        let mut width = None;
        for look in LOOKS {
            look.take(tab);
            add(&look.to_string(), overflow(tab).into_iter().collect());
            // Of two themes at one width, only the colours differ.
            let find = match width.replace(look.width) {
                before if before == Some(look.width) => violations_of_colours,
                _ => violations,
            };
            add(&look.to_string(), find(tab));
            keep_picture(tab, &format!("{page}, {look}"));
        }
        NARROWEST.take(tab);
        add(&NARROWEST.to_string(), overflow(tab).into_iter().collect());
        add("keyboard", unmarked(tab));
        add("HTML", problems(tab));
        add(
            "console",
            complaints(tab)
                .iter()
                .filter(|entry| !is_status(entry))
                .map(ToString::to_string)
                .collect(),
        );
    }
    faults
}

/// Returns whether the browser reports no more than the status of the page itself.
fn is_status(entry: &Value) -> bool {
    let message = entry["message"].as_str().unwrap_or_default();
    entry["source"] == "network"
        && message.contains("responded with a status of")
        && !message.contains("/static/")
}

fn assert_faultless(has_javascript: bool) {
    let Some(chromium) = Chromium::find() else {
        return;
    };
    let database = Database::new(Kind::Sqlite).unwrap();
    let settings = [
        ("ROCKET_PROFILE", "release"),
        (
            "ROCKET_SESSIONS",
            r#"{timeout="20s",max_sessions_per_user=3,on_session_limit="refuse",cookie={secure=false,name="session"}}"#,
        ),
        ("ROCKET_APP", r#"{reauthenticate_after="0s"}"#),
    ];
    let server = Server::start_with(&database, &settings);
    let faults = faults(&chromium.open(&server), &database, has_javascript);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn faults_of_a_page_are_found() {
    in_a_tab(|tab| {
        tab.goto("/");
        tab.execute(
            "document.querySelector('h1').style = 'color: #999; width: 9999px';
            document.querySelector('main').append(document.createElement('img'));
            console.error('not quiet')",
        );
        for look in LOOKS {
            look.take(tab);
            assert!(overflow(tab).unwrap().contains("<h1"), "{look}");
            let found = violations(tab).join(" ");
            let is_found = |rule| !is_installed() || found.contains(rule);
            assert!(is_found("image-alt"), "{look}: {found}");
            let has_contrast = look.theme == "dark" || is_found("color-contrast");
            assert!(has_contrast, "{look}: {found}");
            let colours = violations_of_colours(tab).join(" ");
            assert!(!colours.contains("image-alt"), "{look}: {colours}");
            let has_contrast = look.theme == "dark" || colours.contains("color-contrast");
            assert!(has_contrast || !is_installed(), "{look}: {colours}");
        }
        assert!(unmarked(tab).is_empty());
        tab.execute("document.querySelector('.brand').style = 'outline: none'");
        assert_eq!(unmarked(tab).len(), 1);
        assert_eq!(complaints(tab).len(), 1);
    });
}

#[test]
fn every_page_is_accessible_and_fits_at_each_width_and_in_each_theme() {
    assert_faultless(true);
}

#[test]
fn every_page_is_accessible_and_fits_without_javascript() {
    assert_faultless(false);
}

#[test]
fn pages_load_nothing_from_other_hosts_and_keep_the_csp() {
    in_chromium(|chromium, server| {
        let tab = &chromium.open(&server);
        for path in [
            "/",
            "/login",
            "/register",
            "/signed-out",
            "/account-deleted",
        ] {
            tab.goto(path);
        }
        register(tab, "hopper");
        assert_quiet(tab);

        let network = tab.log("performance");
        let requested: Vec<String> = network.iter().filter_map(requested_url).collect();
        let ours = |url: &String| url.starts_with(server.url());
        assert!(
            requested.len() > 6 && requested.iter().all(ours),
            "{requested:?}"
        );
    });
}

/// Returns the URL of a network log entry if it is a request.
fn requested_url(entry: &Value) -> Option<String> {
    let entry: Value = from_str(entry["message"].as_str()?).ok()?;
    let event = &entry["message"];
    let is_request = event["method"] == "Network.requestWillBeSent";
    let url = event["params"]["request"]["url"].as_str()?;
    is_request.then(|| url.to_owned())
}

#[test]
fn the_first_tab_stop_is_a_link_that_skips_to_the_content() {
    in_a_tab(|tab| {
        register(tab, "hopper");
        let is_on_screen = "const {left, top} = document.activeElement.getBoundingClientRect(); \
                        return left >= 0 && top >= 0";
        for path in ["/", "/account", "/nowhere"] {
            tab.goto(path);
            tab.press(Key::Tab);
            assert_eq!(tab.text(":focus"), "Skip to content");
            assert_eq!(tab.execute(is_on_screen), json!(true));
            tab.press(Key::Enter);
            // Waits for the jump.
            tab.text("main:target");
            tab.press(Key::Tab);
            assert_eq!(tab.count("main :focus"), 1, "{path}");
        }
    });
}

#[test]
fn a_user_can_sign_in_with_only_the_keyboard() {
    in_chromium(|chromium, server| {
        register(&chromium.open(&server), "hopper");
        let tab = chromium.open(&server);
        tab.goto("/login");
        for password in ["a wrong one", PASSWORD] {
            if tab.count("[role=alert]") == 0 {
                tab.type_in("hopper");
                tab.press(Key::Tab);
            }
            tab.type_in(password);
            tab.submit();
        }
        assert_eq!(tab.path(), "/account");
    });
}
