//! Every page, in the states in which its visitors meet it.

use super::data;
use crate::support::site::{
    CHANGE_PASSWORD, COUNT_A_VISIT, OTHER_DEVICE, PASSWORD, SEND, fill_in, register, sign_in,
    sign_out,
};
use crate::support::{Database, Tab};

/// A page by name, and the way to it from the page before.
pub(super) type Page = (&'static str, fn(&Tab, &Database));

/// The pages in the order of a visit. Names of users have the maximum length.
pub(super) const PAGES: &[Page] = &[
    // Of strangers.
    ("home of a stranger", |tab, _| visit(tab, "/")),
    ("sign in", |tab, _| visit(tab, "/login")),
    ("sign in, after a lost form", |tab, _| {
        tab.goto("/login?next=/account&form=1");
    }),
    ("sign in, refused", |tab, _| {
        tab.goto("/login");
        fill_in(tab, &data::longest_name(), "a wrong one");
        tab.text("[role=alert]");
    }),
    ("register", |tab, _| visit(tab, "/register")),
    ("register, refused", |tab, _| {
        tab.goto("/register");
        tab.execute("document.querySelector('main form').noValidate = true");
        fill_in(tab, "a b", "short");
    }),
    ("register, some rules met", |tab, _| {
        tab.goto("/register");
        tab.fill("username", "a b");
        tab.fill("password", PASSWORD);
    }),
    ("register, password shown", |tab, _| {
        tab.goto("/register");
        tab.fill("password", PASSWORD);
        // There is no such button without the page's script.
        tab.execute("document.querySelector('.reveal')?.click()");
    }),
    ("sign in, too many attempts", |tab, _| {
        tab.goto("/login");
        tab.execute(TOO_MANY_ATTEMPTS);
        fill_in(tab, "limited", "a wrong one");
        tab.text("[role=alert]");
    }),
    ("home, session ended", |tab, _| {
        tab.goto("/");
        tab.click(COUNT_A_VISIT);
        tab.click("form[action='/end'] button");
        tab.text("#notice");
    }),
    ("home of a visitor", |tab, _| {
        tab.click(COUNT_A_VISIT);
        open_details(tab);
    }),
    ("signed out", |tab, _| visit(tab, "/signed-out")),
    ("account deleted", |tab, _| visit(tab, "/account-deleted")),
    ("all signed out", |tab, _| visit(tab, "/all-signed-out")),
    ("error 404", |tab, _| visit(tab, "/nowhere")),
    ("error 405", |tab, _| post(tab, "/signed-out")),
    ("error 422", |tab, _| post(tab, "/settings")),
    // Of users.
    ("account, first visit", |tab, _| {
        register(tab, &data::longest_name());
    }),
    ("account, settings saved", |tab, _| {
        tab.fill("display_name", &"m".repeat(64));
        tab.click("form[action='/account/settings'] button");
        tab.text("#notice");
    }),
    ("home of a user, with the menu", |tab, _| {
        visit(tab, "/");
        tab.execute("document.querySelector('#user').open = true");
    }),
    ("account, 6 devices", |tab, database| {
        data::add_devices(database, 5);
        visit(tab, "/account");
    }),
    ("confirm", |tab, _| {
        open_details(tab);
        tab.click(&format!("{OTHER_DEVICE} button"));
        tab.text("#password");
    }),
    ("confirm, refused", |tab, _| {
        tab.fill("password", "a wrong one");
        tab.click(SEND);
        tab.text("[role=alert]");
    }),
    ("account, a device signed out", |tab, _| {
        tab.fill("password", PASSWORD);
        tab.click(SEND);
        tab.text("#notice");
    }),
    ("account, password refused", |tab, _| {
        tab.fill("current_password", "a wrong one");
        tab.fill("new_password", "another good one");
        tab.click(CHANGE_PASSWORD);
    }),
    ("account, 300 devices", |tab, database| {
        data::add_devices(database, 300);
        visit(tab, "/account");
    }),
    ("account, opened", |tab, _| open_details(tab)),
    ("delete the account", |tab, _| visit(tab, "/account/delete")),
    ("error 403", |tab, _| visit(tab, "/admin")),
    ("error of a link", |tab, _| tab.goto("/account?after=x")),
    // Of administrators.
    ("overview", |tab, database| {
        data::add_administration(database);
        visit(tab, "/admin");
        open_details(tab);
    }),
    ("overview, 90 days", |tab, _| tab.goto("/admin?range=90d")),
    ("sessions", |tab, _| visit(tab, "/admin/sessions")),
    ("sessions, some to be ended", |tab, _| {
        tab.goto("/admin/sessions?filter=anonymous");
        tab.execute("document.querySelector('tbody input[type=checkbox]').click()");
        tab.click("#end-selected");
        tab.text("#question");
    }),
    ("sessions, expiring", |tab, _| {
        tab.goto("/admin/sessions?filter=expiring");
    }),
    ("sessions, searched", |tab, _| {
        tab.goto("/admin/sessions?q=www");
    }),
    ("sessions, none found", |tab, _| {
        tab.goto("/admin/sessions?q=none-such");
    }),
    ("session", |tab, _| {
        tab.goto("/admin/sessions/made0000abcdefghijklmnop");
    }),
    ("session that has ended", |tab, _| {
        tab.goto("/admin/sessions/none-such");
    }),
    ("users", |tab, _| visit(tab, "/admin/users")),
    ("users, searched", |tab, _| tab.goto("/admin/users?q=www")),
    ("users, none found", |tab, _| {
        tab.goto("/admin/users?q=none-such");
    }),
    ("user", |tab, _| visit(tab, "/admin/users/full")),
    ("user, deletion refused", |tab, _| {
        tab.fill("name", "another");
        tab.click(".danger-zone button");
        tab.text("#problem");
    }),
    ("user, to be disabled", |tab, _| {
        tab.goto("/admin/users/full");
        tab.click("form[action$='/disable'] button");
    }),
    ("user, oneself", |tab, _| {
        tab.goto("/admin/users?q=www");
        tab.click("#user-list a");
    }),
    ("user who is gone", |tab, _| {
        tab.goto("/admin/users/none-such");
    }),
    ("events", |tab, _| visit(tab, "/admin/events")),
    ("events, none found", |tab, _| {
        tab.goto("/admin/events?event=sessions_cleared");
    }),
    ("events of no user", |tab, _| {
        tab.goto("/admin/events?user=none-such");
    }),
    ("maintenance", |tab, _| {
        visit(tab, "/admin/maintenance");
        open_details(tab);
    }),
    // Of those whom the application cannot serve.
    ("too many devices", |tab, database| {
        data::add_full_user(database);
        sign_out(tab);
        tab.goto("/login");
        fill_in(tab, data::FULL, PASSWORD);
        tab.text("input[name=end]");
    }),
    ("error 503", |tab, database| {
        sign_in(tab, data::OTHER);
        database.execute("ALTER TABLE users RENAME TO elsewhere");
        visit(tab, "/account");
    }),
];

/// Tries more passwords than allowed.
const TOO_MANY_ATTEMPTS: &str = "
    for (let attempt = 0; attempt < 12; attempt++) {
        const request = new XMLHttpRequest();
        request.open('POST', '/api/auth/login', false);
        request.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded');
        request.send('username=limited&password=wrong');
    }
";

/// Goes to a page that is not redirected.
fn visit(tab: &Tab, path: &str) {
    tab.goto(path);
    assert_eq!(tab.path(), path);
}

/// Sends an empty form.
fn post(tab: &Tab, path: &str) {
    tab.goto("/");
    tab.execute(&format!(
        "const form = document.createElement('form');
         form.method = 'post';
         form.action = '{path}';
         form.innerHTML = '<button id=sent>Send</button>';
         document.body.append(form)"
    ));
    tab.click("#sent");
}

fn open_details(tab: &Tab) {
    tab.execute("document.querySelectorAll('main details').forEach((one) => (one.open = true))");
}
