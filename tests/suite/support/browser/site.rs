//! The application's pages in a tab: their content, and what visitors do on them.

use rocket::serde::json::{Value, from_value, json};

use super::chromium::Chromium;
use super::tab::Tab;
use crate::support::{Database, Kind, Server};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

pub(crate) const COUNT_A_VISIT: &str = "form[action='/visit'] button";
pub(crate) const SAVE_SETTINGS: &str = "form[action='/settings'] button";
pub(crate) const CHANGE_PASSWORD: &str =
    "form[action='/account/password'] button:not([type='button'])";
pub(crate) const SIGN_OUT: &str = "nav form[action='/logout'] button";
pub(crate) const OTHER_DEVICE: &str = ".device:not(#this-device)";

/// The button that sends the form of a page. Scripts add buttons of another type.
pub(crate) const SEND: &str = "main form button:not([type='button'])";

/// Registers, whatever page the tab shows.
#[track_caller]
pub(crate) fn register(tab: &Tab, username: &str) {
    tab.goto("/");
    tab.follow("Register");
    fill_in(tab, username, PASSWORD);
    assert_eq!(tab.path(), "/account");
}

/// Signs in, whatever page the tab shows.
#[track_caller]
pub(crate) fn sign_in(tab: &Tab, username: &str) {
    tab.goto("/");
    tab.follow("Sign in");
    fill_in(tab, username, PASSWORD);
    assert_eq!(tab.path(), "/account");
}

/// Signs out by the menu of the page.
#[track_caller]
pub(crate) fn sign_out(tab: &Tab) {
    tab.open("#user > summary");
    tab.click(SIGN_OUT);
}

/// Fills in and sends the form for registration or sign-in, whichever the page has.
#[track_caller]
pub(crate) fn fill_in(tab: &Tab, username: &str, password: &str) {
    tab.fill("username", username);
    tab.fill("password", password);
    tab.click(SEND);
}

/// Asserts that no one is signed in and that the page does not name `username`.
#[track_caller]
pub(crate) fn assert_signed_out(tab: &Tab, username: &str) {
    let source = tab.source();
    assert!(!source.contains(username), "{source}");
    assert_eq!(tab.count(".device"), 0, "{source}");
    assert_eq!(tab.count(SIGN_OUT), 0, "{source}");
}

/// Runs a test with Chromium and its own server, unless Chromium is missing.
pub(crate) fn in_chromium(test: impl FnOnce(&Chromium, Server)) {
    let Some(chromium) = Chromium::find() else {
        return;
    };
    let database = Database::new(Kind::Sqlite).unwrap();
    test(chromium, Server::start(&database));
}

/// Runs a test in a tab on its own server, unless Chromium is missing.
pub(crate) fn in_a_tab(test: impl FnOnce(&Tab)) {
    in_chromium(|chromium, server| test(&chromium.open(&server)));
}

/// Finds faults of the page as an HTML document.
const PROBLEMS: &str = r"
    const all = (selector) => [...document.querySelectorAll(selector)];
    const problems = [];
    const need = (holds, what) => holds || problems.push(what);
    need(document.documentElement.lang === 'en', 'no language');
    need(document.title !== '', 'no title');
    need(all('h1').length === 1, 'not exactly one h1');
    need(all('main').length === 1, 'not exactly one main landmark');
    for (const field of all('input:not([hidden]), select, textarea'))
        need(field.labels.length === 1 || field.ariaLabel, `no label: ${field.outerHTML}`);
    for (const control of all('a, button'))
        need(control.textContent.trim() !== '', `no text: ${control.outerHTML}`);
    for (const attribute of ['aria-describedby', 'aria-labelledby', 'for'])
        for (const element of all(`[${attribute}]`))
            for (const id of element.getAttribute(attribute).split(' '))
                need(all(`[id='${id}']`).length === 1, `${attribute} of ${id}`);
    return problems;
";

/// Returns the faults of the page as an HTML document.
#[track_caller]
pub(crate) fn problems(tab: &Tab) -> Vec<String> {
    from_value(tab.execute(PROBLEMS)).unwrap()
}

/// Asserts that the page is a valid document whose fields have labels.
#[track_caller]
pub(crate) fn assert_sound(tab: &Tab) {
    assert_eq!(problems(tab), <[String; 0]>::default(), "{}", tab.path());
}

/// Asserts that the page is no wider than the window.
#[track_caller]
pub(crate) fn assert_fits(tab: &Tab, width: u32) {
    let overflow = "const {scrollWidth, clientWidth} = document.documentElement; \
                    return scrollWidth - clientWidth";
    assert_eq!(tab.execute(overflow), json!(0), "{} at {width}", tab.path());
}

/// Asserts that the browser logged no errors and no warnings.
#[track_caller]
pub(crate) fn assert_quiet(tab: &Tab) {
    let console = complaints(tab);
    assert!(console.is_empty(), "{console:?}");
}

/// Returns the errors and warnings that the browser has logged since the last call.
pub(crate) fn complaints(tab: &Tab) -> Vec<Value> {
    let is_serious = |entry: &Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
    tab.log("browser").into_iter().filter(is_serious).collect()
}
