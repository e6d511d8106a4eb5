//! The administrators' pages of users, events and maintenance.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use rocket::http::{Accept, ContentType, Header, Status};
use rocket::local::blocking::Client;
use rocket_diesel_sessions::store::{
    EventRecord, EventStore, ListEvents, SessionStore, StatsStore, SweepRecord,
};

use crate::support::accounts::{PASSWORD, registered, signed_in};
use crate::support::local::{ADMIN_TOKEN, Answer, application_of, figment, settings};
use crate::support::sessions::new_session;
use crate::support::{Database, Visitor, altered};

/// Returns the application without open administration.
fn closed(database: &Database, sessions: &str) -> Client {
    let settings = altered(settings(database, sessions), |settings| {
        settings.figment = figment("release", sessions);
    });
    application_of(settings, database.store()).0
}

fn administrator<'c>(client: &'c Client, database: &Database) -> Visitor<'c> {
    let visitor = registered(client, "ruth");
    database.execute("UPDATE users SET is_admin = TRUE WHERE username = 'ruth'");
    visitor
}

fn id(visitor: &mut Visitor<'_>) -> String {
    visitor.user_id().as_str().unwrap().to_owned()
}

/// Returns what a browser with the administrators' token gets.
fn browse(client: &Client, path: &str) -> Answer {
    let token = Header::new("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    client
        .get(path.to_owned())
        .header(Accept::HTML)
        .header(token)
        .dispatch()
        .into()
}

/// Returns the names in the list of users, in order.
fn names(page: &Answer) -> Vec<&str> {
    assert_eq!(page.status, Status::Ok, "{}", page.body);
    let rows = page
        .body
        .split("<a class=\"who\" href=\"/admin/users/")
        .skip(1);
    rows.map(|row| row.split(['>', '<']).nth(1).unwrap())
        .collect()
}

/// Returns what happened, line by line.
fn lines(page: &Answer) -> Vec<String> {
    assert_eq!(page.status, Status::Ok, "{}", page.body);
    let list = page
        .body
        .split("id=\"event-list\"")
        .nth(1)
        .unwrap_or_default();
    let rows = list.split("<th scope=\"row\">").skip(1);
    rows.map(|row| row.split('<').next().unwrap().trim().to_owned())
        .collect()
}

/// Returns the target of a link with this relation.
fn link(page: &Answer, rel: &str) -> Option<String> {
    let before = page.body.split(&format!("rel=\"{rel}\"")).next()?;
    let is_there = before.len() < page.body.len();
    let href = before.rsplit("href=\"").next()?.split('"').next()?;
    is_there.then(|| href.replace("&#38;", "&"))
}

fn next(answer: &Answer) -> &str {
    assert_eq!(answer.status, Status::SeeOther, "{}", answer.body);
    answer.header("location").unwrap()
}

/// Follows the redirect of an action and returns its notice.
fn notice(visitor: &mut Visitor<'_>, answer: &Answer) -> String {
    // A browser keeps the fragment to itself.
    let page = visitor.get(next(answer).split('#').next().unwrap());
    assert_eq!(page.status, Status::Ok, "{}", page.body);
    let notice = page.body.split("id=\"notice\"").nth(1).unwrap_or_default();
    notice
        .split(['>', '<'])
        .nth(1)
        .unwrap_or_default()
        .to_owned()
}

on_each_database! {
    fn users_are_listed_found_and_filtered(database: &Database) {
        let client = closed(database, "");
        let mut ruth = administrator(&client, database);
        for name in ["ada", "adam", "canada", "bob"] {
            registered(&client, name);
        }
        database.execute("UPDATE users SET disabled_at = created_at WHERE username = 'bob'");
        let page = ruth.get("/admin/users");
        assert_eq!(names(&page), ["ada", "adam", "bob", "canada", "ruth"]);
        for text in [">administrator</span>", ">disabled</span>", ">you</span>", "just now</time>"] {
            assert!(page.body.contains(text), "{text}: {}", page.body);
        }
        let bobs = names(&ruth.get("/admin/users?filter=disabled")).join(" ");
        assert_eq!(bobs, "bob");
        assert_eq!(names(&ruth.get("/admin/users?filter=administrators")), ["ruth"]);
        let found = ruth.get("/admin/users?q=ADA");
        assert_eq!(names(&found), ["ada", "adam", "canada"]);
        assert!(found.body.contains("href=\"/admin/users?q=ADA&#38;filter=disabled\""), "{}", found.body);
        let rid = id(&mut ruth);
        assert_eq!(names(&ruth.get(&format!("/admin/users?q={rid}"))), ["ruth"], "by id");
        let none = ruth.get("/admin/users?q=%3Cscript%3E");
        assert!(none.body.contains("No user has “&#60;script&#62;” in the name."), "{}", none.body);
        for query in ["?filter=x", "?after=x"] {
            assert_eq!(ruth.get(&format!("/admin/users{query}")).status, Status::UnprocessableEntity);
        }
        let page = browse(&client, "/admin/users");
        assert_eq!((names(&page).len(), page.cookie()), (5, None));
    }

    fn a_user_is_signed_out_everywhere_from_the_list(database: &Database) {
        let client = closed(database, "");
        let mut ruth = administrator(&client, database);
        let mut ada = registered(&client, "ada");
        let mut bob = registered(&client, "bob");
        bob.post_form("/logout", "");
        let page = ruth.get("/admin/users").body;
        // Not of the administrator, nor of someone who is signed in nowhere.
        assert_eq!(page.matches("<form method=\"post\" action=\"/admin/sessions/revoke-all\">").count(), 1, "{page}");
        let form = format!("user={}&back=/admin/users?q=a", id(&mut ada));
        assert!(ruth.get("/admin/users?q=a").body.contains("name=\"back\" value=\"/admin/users?q=a\""));
        assert!(page.contains("Sign out everywhere<span class=\"unseen\">: ada</span>"), "{page}");
        let asked = ruth.post_form("/admin/sessions/revoke-all", &form);
        assert!(asked.body.contains("Sign out ada everywhere?"), "{}", asked.body);
        assert!(asked.body.contains("href=\"/admin/users?q=a\">Cancel</a>"), "{}", asked.body);
        assert!(!ada.session().is_null());
        let done = ruth.post_form("/admin/sessions/revoke-all", &format!("{form}&confirm=yes"));
        assert_eq!(next(&done), "/admin/users?q=a");
        assert_eq!(notice(&mut ruth, &done), "This user is signed out everywhere.");
        assert!(ada.session().is_null());
    }

    fn the_list_of_users_is_paged_forth_and_back(database: &Database) {
        let client = closed(database, "");
        let names_of_all: Vec<String> = (0..120).map(|number| format!("u{number:03}")).collect();
        let all: Vec<&str> = names_of_all.iter().map(String::as_str).collect();
        database.add_users(&all);
        let (mut path, mut seen, mut pages) = ("/admin/users".to_owned(), Vec::new(), Vec::new());
        loop {
            let page = browse(&client, &path);
            seen.extend(names(&page).into_iter().map(str::to_owned));
            pages.push(path);
            match link(&page, "next") {
                Some(next) => path = next,
                None => break,
            }
        }
        assert_eq!((seen, pages.len()), (names_of_all, 3));
        let back = link(&browse(&client, &pages[2]), "prev").unwrap();
        assert_eq!(names(&browse(&client, &back)), names(&browse(&client, &pages[1])));
        let first = link(&browse(&client, &back), "prev").unwrap();
        assert_eq!((first.as_str(), link(&browse(&client, &first), "prev")), ("/admin/users", None));
    }

    fn a_user_is_changed_from_the_page_and_a_form_sent_twice_says_so(database: &Database) {
        let client = closed(database, "");
        let (mut ruth, mut ada) = (administrator(&client, database), registered(&client, "ada"));
        signed_in(&client, "ada");
        let path = format!("/admin/users/{}", id(&mut ada));
        let page = ruth.get(&path);
        for text in ["Sign out everywhere", "Disable", "Make an administrator", "Delete this user", "unknown address"] {
            assert!(page.body.contains(text), "{text}: {}", page.body);
        }
        let unchanged = "Nothing was changed, because it had been done already.";
        for (action, done) in [
            ("sign-out", "This user is signed out everywhere."),
            ("promote", "This user is an administrator now."),
            ("demote", "This user is no longer an administrator."),
            ("disable", "This user is disabled and signed out everywhere."),
            ("enable", "This user can sign in again."),
        ] {
            for expected in [done, unchanged] {
                let answer = ruth.post_form(&format!("{path}/{action}"), "");
                assert_eq!(next(&answer), path);
                assert_eq!(notice(&mut ruth, &answer), expected, "{action}");
            }
        }
        assert!(ada.session().is_null());
        let page = ruth.get(&path);
        let expected = [
            "Account enabled", "Account disabled", "No longer an administrator", "Made an administrator",
            "Signed out everywhere", "Signed in", "Signed in",
        ];
        assert_eq!(lines(&page), expected, "the end of two sessions is one line: {}", page.body);
        assert!(page.body.contains("<span class=\"detail\">2 sessions</span>"), "{}", page.body);
        assert!(page.body.contains(">ruth</a>"), "who did it");
        let wrong = ruth.post_form(&format!("{path}/delete"), "name=bob");
        assert_eq!(wrong.status, Status::UnprocessableEntity);
        assert!(wrong.body.contains("Nothing was deleted"), "{}", wrong.body);
        let deleted = ruth.post_form(&format!("{path}/delete"), "name=%20ADA");
        assert_eq!(next(&deleted), "/admin/users");
        assert_eq!(notice(&mut ruth, &deleted), "The user is deleted.");
        let again = ruth.post_form(&format!("{path}/delete"), "name=ada");
        assert_eq!(notice(&mut ruth, &again), "That user was deleted already.");
        assert_eq!(ruth.get(&path).status, Status::NotFound);
        assert_eq!(ruth.post_form(&format!("{path}/explode"), "").status, Status::NotFound);
        assert_eq!(next(&ruth.get(&format!("{path}/disable"))), path);
    }

    fn changes_ask_for_the_password_and_for_another_administrator(database: &Database) {
        let settings = altered(settings(database, ""), |settings| {
            settings.figment = figment("release", "");
        });
        let (client, clock) = application_of(settings, database.store());
        let (mut ruth, mut ada) = (administrator(&client, database), registered(&client, "ada"));
        let (ruths, adas) = (id(&mut ruth), id(&mut ada));
        for action in ["sign-out", "promote", "demote", "disable", "enable", "delete"] {
            let own = ruth.post_form(&format!("/admin/users/{ruths}/{action}"), "name=ruth");
            assert_eq!(own.status, Status::Conflict, "{action}");
            let plain = ada.post_form(&format!("/admin/users/{ruths}/{action}"), "name=ruth");
            assert_eq!(plain.status, Status::Forbidden, "{action}");
        }
        assert!(!ruth.get(&format!("/admin/users/{ruths}")).body.contains("Delete this user"));
        // The token is no user, so the last administrator is protected by the store.
        let token = Header::new("Authorization", format!("Bearer {ADMIN_TOKEN}"));
        let demote = client.post(format!("/admin/users/{ruths}/demote")).header(ContentType::Form);
        let demoted: Answer = demote.header(token).header(Accept::HTML).dispatch().into();
        assert_eq!(demoted.status, Status::Conflict, "{}", demoted.body);
        assert!(demoted.body.contains("This is the only administrator"), "{}", demoted.body);
        clock.advance(TimeDelta::minutes(11));
        let path = format!("/admin/users/{adas}/sign-out");
        let asked = ruth.post_form(&path, "");
        assert_eq!(asked.status, Status::Forbidden);
        assert!(asked.body.contains("to sign ada out on all devices"), "{}", asked.body);
        let wrong = ruth.post_form(&path, "password=wrong");
        assert_eq!(wrong.status, Status::Unauthorized);
        assert!(!ada.session().is_null());
        let password = PASSWORD.replace(' ', "+");
        let done = ruth.post_form(&path, &format!("password={password}"));
        assert_eq!(notice(&mut ruth, &done), "This user is signed out everywhere.");
        assert!(ada.session().is_null());
        let acts = altered(ListEvents::default(), |query| {
            query.event = Some("signed_out_everywhere".to_owned());
            query.limit = 10;
        });
        // The server writes those that wait.
        ruth.get("/admin/events");
        let events = database.store().events(&acts).unwrap();
        assert_eq!((events.len(), events[0].actor.as_deref()), (1, Some(&*ruths)));
    }

    fn events_are_filtered_paged_and_lead_to_users_and_sessions(database: &Database) {
        let client = closed(database, "");
        let mut ruth = administrator(&client, database);
        assert_eq!(lines(&ruth.get("/admin/events")), ["Signed in"]);
        let mut ada = registered(&client, "ada");
        let (adas, handle) = (id(&mut ada), ada.session()["id"].as_str().unwrap().to_owned());
        let page = ruth.get("/admin/events?user=ada");
        assert_eq!(lines(&page), ["Signed in"]);
        assert!(page.body.contains(&format!("href=\"/admin/sessions/{handle}\"")), "{}", page.body);
        assert!(page.body.contains(&format!("href=\"/admin/users/{adas}\"")), "{}", page.body);
        ruth.post_form(&format!("/admin/users/{adas}/sign-out"), "");
        let page = ruth.get(&format!("/admin/events?user={adas}"));
        assert_eq!(lines(&page), ["Signed out everywhere", "Signed in"]);
        assert!(!page.body.contains(&handle), "the session is gone: {}", page.body);
        for (query, expected) in [
            ("?actor=ruth", vec!["Signed out everywhere"]),
            ("?event=signed_out_everywhere", vec!["Signed out everywhere"]),
            ("?event=revoked", vec!["Session ended"]),
            ("?actor=command_line", vec![]),
            ("?user=nobody", vec![]),
            ("?actor=%00&event=%00", vec![]),
        ] {
            assert_eq!(lines(&ruth.get(&format!("/admin/events{query}"))), expected, "{query}");
        }
        assert!(ruth.get("/admin/events?user=%3Cb%3E").body.contains("There is no user “&#60;b&#62;”."));
        assert_eq!(ruth.get("/admin/events?after=x").status, Status::UnprocessableEntity);
        let many: Vec<EventRecord> = (0..120)
            .map(|number| altered(EventRecord::new(Utc::now(), "password_changed", "s"), |event| {
                event.user_id = Some(adas.as_str().into());
                event.reason = Some(format!("number {number}"));
            }))
            .collect();
        database.store().add_events(&many).unwrap();
        let (mut path, mut numbers) = ("/admin/events?event=password_changed".to_owned(), Vec::new());
        loop {
            let page = ruth.get(&path);
            numbers.push(lines(&page).len());
            match link(&page, "next") {
                Some(next) => path = next,
                None => break,
            }
        }
        assert_eq!(numbers, [50, 50, 20]);
        let previous = link(&ruth.get(&path), "prev").unwrap();
        assert_eq!(lines(&ruth.get(&previous)).len(), 50);
        let page = ruth.get("/admin/events?event=paid").body;
        assert!(page.contains("<option value=\"paid\" selected>paid</option>"), "{page}");
    }

    fn one_act_over_many_sessions_is_one_line(database: &Database) {
        let client = closed(database, "");
        let mut ruth = administrator(&client, database);
        let mut ada = registered(&client, "ada");
        let ended_again = |events: &[EventRecord]| -> Vec<EventRecord> {
            let again = |event: &EventRecord| altered(event.clone(), |event| {
                event.id = EventRecord::new(Utc::now(), "revoked", "s").id;
            });
            events.iter().map(again).collect()
        };
        let ended: Vec<EventRecord> = (0..700)
            .map(|number| altered(EventRecord::new(Utc::now(), "revoked", format!("s{number}")), |event| {
                event.user_id = Some(id(&mut ada).as_str().into());
                event.request_id = Some("one".to_owned());
            }))
            .collect();
        database.store().add_events(&ended).unwrap();
        let page = ruth.get("/admin/events");
        assert_eq!(lines(&page).len(), 3, "{}", page.body);
        assert!(page.body.contains("× 700"), "{}", page.body);
        let page = ada.get("/account").body;
        assert!(page.contains("Signed out 700 other devices"), "{page}");
        // More than are read for a user's page.
        database.store().add_events(&ended_again(&ended)).unwrap();
        let page = ruth.get(&format!("/admin/users/{}", id(&mut ada))).body;
        assert!(page.contains("× at least 1,000"), "{page}");
    }

    fn without_a_record_the_page_says_how_to_switch_it_on(database: &Database) {
        let client = closed(database, "events_retention = \"0s\"");
        let mut ruth = administrator(&client, database);
        let page = ruth.get("/admin/events").body;
        assert!(page.contains("not recorded") && page.contains("events_retention"), "{page}");
        let path = format!("/admin/users/{}", id(&mut ruth));
        assert!(ruth.get(&path).body.contains("not recorded"));
        // Live sessions show the sign-in all the same.
        assert!(ruth.get("/admin/users").body.contains("just now</time>"));
    }

    fn i8_maintenance_shows_whole_errors_and_settings_without_secrets(database: &Database) {
        let client = closed(database, "idle_timeout = \"2h\"");
        let mut ruth = administrator(&client, database);
        let error = format!("the database did not answer: {}", "why ".repeat(100));
        let sweep = altered(SweepRecord::new(Utc::now()), |sweep| {
            sweep.elapsed = Duration::from_millis(2034);
            sweep.deleted = 12_345;
            sweep.error = Some(error.clone());
        });
        database.store().add_sweep(&sweep).unwrap();
        let page = ruth.get("/admin/maintenance").body;
        for text in [error.trim(), "12,345", "2.034 s", "sessions.idle_timeout", "<code>2h</code>", "Version", "of 4096"] {
            assert!(page.contains(text), "{text}: {page}");
        }
        assert!(!page.contains(ADMIN_TOKEN) && !page.contains("sign their cookies"), "{page}");
        let expired = altered(new_session(None), |new| {
            new.now -= TimeDelta::days(60);
            new.expires_at = new.now + TimeDelta::days(1);
            new.absolute_expires_at = new.expires_at;
        });
        database.store().create(&[expired]).unwrap();
        let swept = ruth.post_form("/admin/sweep", "");
        assert_eq!(notice(&mut ruth, &swept), "Expired sessions are deleted.");
        assert_eq!(database.sessions(), 1);
        let cleared = ruth.post_form("/admin/clear", "word=clear");
        assert!(next(&cleared).starts_with("/all-signed-out"));
        let page = browse(&client, "/admin/events?event=sessions_cleared");
        assert_eq!(lines(&page), ["All sessions ended"]);
        assert!(page.body.contains("1 session</span>") && page.body.contains(">ruth</a>"), "{}", page.body);
    }
}
