//! Behaviour that only one real browser can show.

use rocket::serde::json::json;

use crate::support::site::{
    CHANGE_PASSWORD, COUNT_A_VISIT, PASSWORD, SAVE_SETTINGS, SEND, assert_signed_out, fill_in,
    in_a_tab, in_chromium, register, sign_out,
};
use crate::support::wait_until;

#[test]
fn a_notice_is_shown_on_the_next_page_only() {
    in_a_tab(|tab| {
        tab.goto("/");
        assert_eq!(tab.count("#notice"), 0);
        tab.fill("display_name", "Amazing Grace");
        tab.click(SAVE_SETTINGS);
        assert_eq!(tab.text("#notice"), "Your settings are saved.");
        tab.reload();
        assert_eq!(tab.text("h1"), "Hello, Amazing Grace");
        assert_eq!(tab.count("#notice"), 0);
    });
}

#[test]
fn a_refused_form_focuses_the_field_with_the_error() {
    in_a_tab(|tab| {
        register(tab, "hopper");
        tab.set_width(390);
        tab.fill("current_password", "a wrong one");
        tab.fill("new_password", "another good one");
        tab.click(CHANGE_PASSWORD);
        // Waits for the focus.
        tab.text("#current_password:focus");
        let is_on_screen = "const {top, bottom} = \
                        document.getElementById('problem').getBoundingClientRect(); \
                        return top >= 0 && bottom <= innerHeight";
        wait_until("the problem is on the screen", || {
            tab.execute(is_on_screen) == json!(true)
        });
    });
}

#[test]
fn the_back_button_shows_nothing_private_after_signing_out() {
    in_a_tab(|tab| {
        register(tab, "hopper");
        tab.goto("/");
        tab.goto("/account");
        sign_out(tab);
        assert_eq!(tab.path(), "/signed-out");
        for expected in ["/login", "/"] {
            tab.back();
            assert_eq!(tab.path(), expected);
            assert_signed_out(tab, "hopper");
        }
    });
}

#[test]
fn all_pages_work_without_javascript() {
    in_chromium(|chromium, server| {
        assert!(chromium.open(&server).has_javascript());
        let tab = chromium.open_without_javascript(&server);
        assert!(!tab.has_javascript());
        tab.goto("/");
        tab.click(COUNT_A_VISIT);
        register(&tab, "hopper");
        tab.goto("/");
        assert_eq!(tab.text("#visit-count"), "1");
        sign_out(&tab);
        assert_eq!(tab.path(), "/signed-out");
        assert_signed_out(&tab, "hopper");

        tab.follow("Sign in");
        fill_in(&tab, "hopper", "a wrong one");
        assert_eq!(tab.path(), "/login");
        assert!(tab.text("[role=alert]").contains("wrong"));
        tab.fill("password", PASSWORD);
        tab.click(SEND);
        assert_eq!(tab.path(), "/account");
        assert_eq!(tab.text("#user span"), "hopper");
        sign_out(&tab);
        assert_eq!(tab.path(), "/signed-out");
        assert_signed_out(&tab, "hopper");
    });
}
