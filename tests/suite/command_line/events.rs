//! The command `events list`, and what the commands that change users leave for it.

use chrono::Utc;
use rocket::serde::json::Value;
use rocket_diesel_sessions::store::{EventRecord, EventStore, ListEvents, SessionStore};

use crate::support::accounts::registered;
use crate::support::command_line::{assert_fails, run, run_json};
use crate::support::local::application;
use crate::support::sessions::new_session;
use crate::support::{Database, altered};

/// Returns the events of a list, each with its reason and its actor.
fn events(list: &Value) -> Vec<String> {
    let text = |event: &Value| {
        let part = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", part("event"), part("reason"), part("actor"))
    };
    list["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect()
}

on_each_database! {
    fn commands_that_change_users_are_recorded_and_listed(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada");
        // An administrator, so that no other is the last one.
        database.add_users(&["root"]);
        database.execute("UPDATE users SET is_admin = TRUE WHERE id = 'root'");
        let id = ada.user_id().as_str().unwrap().to_owned();
        // Writes the sign-in, which waits in memory.
        ada.get("/api/account/activity");
        for arguments in [["promote", "ada"], ["demote", "ada"], ["disable", "ada"], ["enable", "ada"], ["enable", "ada"]] {
            run(database, &[&["users"], &arguments[..]].concat());
        }
        let list = run_json(database, &["events", "list", "--json"]);
        let by_command = [
            "user_enabled -", "revoked user_disabled", "user_disabled -", "user_demoted -", "user_promoted -",
        ];
        let mut expected = by_command.map(|event| format!("{event} command_line")).to_vec();
        expected.push("login - -".to_owned());
        assert_eq!(events(&list), expected, "a change that changes nothing is no event");
        assert_eq!((&list["recorded"], &list["next"]), (&Value::from(true), &Value::Null));
        for arguments in [&["--user", "ada", "--event", "login"][..], &["--user", &id, "--event", "login"]] {
            let list = run_json(database, &[&["events", "list", "--json"], arguments].concat());
            assert_eq!(events(&list), ["login - -"], "{arguments:?}");
        }
        let mut after = Vec::new();
        for expected in [2, 2, 2] {
            let page = ["events", "list", "--json", "--limit", "2"];
            let after_last: Vec<&str> = after.iter().map(String::as_str).collect();
            let list = run_json(database, &[&page[..], &after_last].concat());
            assert_eq!(events(&list).len(), expected);
            after = list["next"].as_str().map_or_else(Vec::new, |next| vec!["--after".to_owned(), next.to_owned()]);
        }
        let table = run(database, &["events", "list", "--by", "command_line"]);
        assert_eq!(table.lines().count(), 6, "{table}");
        assert!(table.contains("user_disabled") && table.contains("ada") && table.contains("Command line"), "{table}");
        run(database, &["users", "delete", "ada", "--yes"]);
        let list = run_json(database, &["events", "list", "--json"]);
        assert_eq!(events(&list), [format!("user_deleted {id} command_line")]);
        assert_eq!(run(database, &["events", "list", "--event", "login"]).trim(), "no events");
        assert_fails(database, &["events", "list", "--user", "ada"], &["no user", "ada"]);
        assert_fails(database, &["events", "list", "--by", "ada"], &["no user", "ada"]);
    }

    fn i8_sessions_that_a_command_ends_are_recorded(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob"]);
        let at = |user, ip: &str| altered(new_session(user), |new| {
            new.ip = Some(ip.to_owned());
            "staff".clone_into(&mut new.kind);
        });
        let made = [at(Some("ada"), "203.0.113.7"), at(None, "203.0.113.7"), at(Some("bob"), "203.0.113.7"),
            at(Some("ada"), "::1"), at(Some("ada"), "::1"), at(None, "::1")];
        store.create(&made).unwrap();
        let dry = [&["sessions", "revoke", "--user", "ada"][..], &["sessions", "clear"]];
        for arguments in dry {
            run(database, &[arguments, &["--dry-run"]].concat());
        }
        // Returns what the newest command has left, and checks that it belongs together.
        let mut seen = 0;
        let mut left = |arguments: &[&str]| {
            run(database, arguments);
            let list = run_json(database, &["events", "list", "--json"]);
            let all = list["events"].as_array().unwrap();
            let new = &all[..all.len() - seen];
            seen = all.len();
            assert!(new.iter().all(|event| event["requestId"] == new[0]["requestId"]), "{list}");
            assert!(new.iter().all(|event| event["actor"] == "command_line"), "{list}");
            let text = |event: &Value| {
                let part = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
                format!("{} {} {}", part("event"), part("reason"), part("userId"))
            };
            new.iter().map(text).collect::<Vec<_>>()
        };
        let handles = [made[3].id.as_str(), made[5].id.as_str()];
        assert_eq!(left(&["sessions", "revoke", handles[0], handles[1]]), ["revoked - ada"]);
        assert_eq!(left(&["sessions", "revoke", "--ip", "203.0.113.7"])[0], "address_ended 3 sessions of 203.0.113.7 -");
        let of_address = altered(ListEvents::default(), |query| {
            query.event = Some("revoked".to_owned());
            query.kind = Some("staff".to_owned());
            query.limit = 2;
        });
        let events = store.events(&of_address).unwrap();
        let mut users: Vec<_> = events.iter().map(|event| event.user_id.clone().unwrap()).collect();
        users.sort();
        assert_eq!(users, ["ada", "bob"]);
        assert!(events.iter().all(|event| event.reason.as_deref() == Some("address_ended")), "{events:?}");
        store.create(&[new_session(Some("ada"))]).unwrap();
        let expected = [
            "signed_out_everywhere 2 sessions ada", "revoked signed_out_everywhere ada", "revoked signed_out_everywhere ada",
        ];
        assert_eq!(left(&["sessions", "revoke", "--user", "ada"]), expected);
        assert_eq!(left(&["sessions", "revoke", "--user", "ada"]), [""; 0], "nothing has ended");
        store.create(&[new_session(Some("bob")), new_session(None)]).unwrap();
        assert_eq!(left(&["sessions", "clear", "--yes"]), ["sessions_cleared 2 sessions -"]);
    }

    fn i8_an_administrator_who_is_gone_is_named_and_found_by_id(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let act = altered(EventRecord::new(Utc::now(), "user_enabled", ""), |event| {
            event.user_id = Some("ada".into());
            (event.actor, event.actor_name) = (Some("r1".to_owned()), Some("ruth".to_owned()));
        });
        store.add_events(&[act]).unwrap();
        let table = run(database, &["events", "list", "--by", "r1"]);
        assert!(table.contains("ruth") && !table.contains("r1"), "{table}");
        assert_eq!(run_json(database, &["events", "list", "--json"])["events"][0]["actorName"], "ruth");
        assert_fails(database, &["events", "list", "--by", "ruth"], &["no user", "ruth"]);
    }

    fn users_are_searched_and_shown_with_their_sign_ins(database: &Database) {
        let (client, _) = application(database, "");
        for name in ["ada", "canada", "bob"] {
            registered(&client, name);
        }
        let names = |arguments: &[&str]| {
            let list = run_json(database, &[&["users", "list", "--json"], arguments].concat());
            let users = list["users"].as_array().unwrap().iter();
            users.map(|user| user["username"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&["--search", "ADA"]), ["ada", "canada"]);
        assert_eq!(names(&["--search", "ada", "--disabled"]), [""; 0]);
        assert!(run(database, &["users", "list", "--search", "x"]).contains("no users match"));
        let ada = &run_json(database, &["users", "show", "ada", "--json"]);
        assert_eq!((&ada["sessions"], &ada["user"]["sessions"]), (&Value::from(1), &Value::from(1)));
        assert!(ada["user"]["lastSignInAt"].is_string(), "{ada}");
        let table = run(database, &["users", "list"]);
        assert!(table.lines().next().unwrap().contains("LAST SIGN-IN"), "{table}");
        assert!(run(database, &["users", "show", "ada"]).contains("lastSignInAt"));
    }
}
