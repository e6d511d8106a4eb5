//! The application as people meet it: the program itself, and Chromium to visit it.

mod admin;
mod alone;
mod dashboard;
mod devices;
mod every_page;

use crate::support::Tab;

const PASSWORD: &str = "correct horse battery staple";

const COUNT_A_VISIT: &str = "form[action='/visit'] button";
const SAVE_SETTINGS: &str = "form[action='/settings'] button";
const SIGN_OUT: &str = "nav form[action='/logout'] button";
const OTHER_DEVICE: &str = ".device:not(#this-device)";

/// Registers from wherever the tab is.
#[track_caller]
fn register(tab: &Tab, username: &str) {
    tab.goto("/");
    tab.follow("Register");
    fill_in(tab, username, PASSWORD);
    assert_eq!(tab.path(), "/account");
}

#[track_caller]
fn sign_in(tab: &Tab, username: &str) {
    tab.goto("/");
    tab.follow("Sign in");
    fill_in(tab, username, PASSWORD);
    assert_eq!(tab.path(), "/account");
}

/// Fills in and sends the form to register or to sign in, whichever is there.
#[track_caller]
fn fill_in(tab: &Tab, username: &str, password: &str) {
    tab.fill("username", username);
    tab.fill("password", password);
    tab.click("main button");
}

/// Nobody is signed in here, and nothing tells who was.
#[track_caller]
fn assert_signed_out(tab: &Tab, username: &str) {
    let source = tab.source();
    assert!(!source.contains(username), "{source}");
    assert_eq!(tab.count(".device"), 0, "{source}");
    assert_eq!(tab.count(SIGN_OUT), 0, "{source}");
}
