//! The command `events list`, and what the commands that change users leave for it.

use rocket::serde::json::Value;

use crate::support::Database;
use crate::support::accounts::registered;
use crate::support::command_line::{assert_fails, run, run_json};
use crate::support::local::application;

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
        let by_command = ["user_enabled", "user_disabled", "user_demoted", "user_promoted"];
        let mut expected = by_command.map(|event| format!("{event} - command_line")).to_vec();
        expected.push("login - -".to_owned());
        assert_eq!(events(&list), expected, "a change that changes nothing is no event");
        assert_eq!((&list["recorded"], &list["next"]), (&Value::from(true), &Value::Null));
        for arguments in [&["--user", "ada", "--event", "login"][..], &["--user", &id, "--event", "login"]] {
            let list = run_json(database, &[&["events", "list", "--json"], arguments].concat());
            assert_eq!(events(&list), ["login - -"], "{arguments:?}");
        }
        let mut after = Vec::new();
        for expected in [2, 2, 1] {
            let page = ["events", "list", "--json", "--limit", "2"];
            let after_last: Vec<&str> = after.iter().map(String::as_str).collect();
            let list = run_json(database, &[&page[..], &after_last].concat());
            assert_eq!(events(&list).len(), expected);
            after = list["next"].as_str().map_or_else(Vec::new, |next| vec!["--after".to_owned(), next.to_owned()]);
        }
        let table = run(database, &["events", "list", "--by", "command_line"]);
        assert_eq!(table.lines().count(), 5, "{table}");
        assert!(table.contains("user_disabled") && table.contains("ada") && table.contains("Command line"), "{table}");
        run(database, &["users", "delete", "ada", "--yes"]);
        let list = run_json(database, &["events", "list", "--json"]);
        assert_eq!(events(&list), [format!("user_deleted {id} command_line")]);
        assert_eq!(run(database, &["events", "list", "--event", "login"]).trim(), "no events");
        assert_fails(database, &["events", "list", "--user", "ada"], &["no user", "ada"]);
        assert_fails(database, &["events", "list", "--by", "ada"], &["no user", "ada"]);
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
