//! The commands `users …`, with which an operator creates and changes accounts.

use rocket::serde::json::{Value, from_str};
use rocket_diesel_sessions::store::{LastAdmin, SessionStore, UserRecord, UserStore};

use crate::support::Database;
use crate::support::command_line::{assert_fails, on, run, run_json, run_with_input, stdout};
use crate::support::local::{Visitor, application};
use crate::support::server::run_to_end;
use crate::support::sessions::new_session;

const PASSWORD: &str = "sesame, open";

fn user(database: &Database, name: &str) -> Option<UserRecord> {
    database.store().user_by_name(name).unwrap()
}

/// Returns the message of a refused command that reads a password.
fn refusal(database: &Database, arguments: &[&str], input: &str) -> String {
    let output = run_with_input(database, arguments, input);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    message
}

fn add(database: &Database, arguments: &[&str]) -> String {
    let arguments = [&["users", "add"], arguments].concat();
    stdout(&run_with_input(
        database,
        &arguments,
        &format!("{PASSWORD}\n"),
    ))
}

/// Returns the status of a login over HTTP.
fn login(database: &Database, name: &str, password: &str) -> u16 {
    let (client, _) = application(database, "");
    let answer = Visitor::new(&client).enter("login", name, password);
    answer.status.code
}

on_each_database! {
    fn a_user_is_added_with_a_password_from_standard_input(database: &Database) {
        database.store();
        assert!(run(database, &["users", "list"]).starts_with("no users"));
        let said = add(database, &["Ada", "--admin"]);
        let ada = user(database, "ada").unwrap();
        assert!(said.contains("administrator ada") && said.contains(ada.id.as_str()), "{said}");
        assert!(ada.is_admin);
        assert!(ada.password_hash.starts_with("$argon2id$"));
        assert_eq!(login(database, "ada", PASSWORD), 200);
        add(database, &["bob"]);
        assert!(!user(database, "bob").unwrap().is_admin);

        for (name, input, words) in [
            ("ADA", PASSWORD, ["\"ada\"", "taken"]),
            ("a b", PASSWORD, ["username", "allowed"]),
            ("eve", "short", ["5 characters", "8 to 128"]),
            ("eve", "password1\n", ["common", "choose another"]),
            ("eve", "", ["no password", "standard input"]),
        ] {
            let message = refusal(database, &["users", "add", name], input);
            for word in words {
                assert!(message.contains(word), "{word} is missing: {message}");
            }
            assert!(input.is_empty() || !message.contains(input), "{message}");
        }
        assert_eq!(database.number("SELECT count(*) AS n FROM users"), 2);
    }

    fn users_are_listed_for_people_and_programs(database: &Database) {
        let store = database.store();
        database.add_users(&["bob", "ada"]);
        store.disable_user(&"bob".into(), chrono::Utc::now(), LastAdmin::Keep).unwrap();
        let json = run_json(database, &["users", "list", "--json"]);
        assert_eq!(json["users"][1]["username"], "bob");
        let ada = json["users"][0].as_object().unwrap();
        let mut keys: Vec<&str> = ada.keys().map(String::as_str).collect();
        keys.sort_unstable();
        let expected = [
            "createdAt", "disabledAt", "id", "isAdmin", "lastSignInAt", "sessions", "updatedAt", "username",
        ];
        assert_eq!(keys, expected);
        assert_eq!((&ada["isAdmin"], &ada["disabledAt"]), (&Value::from(false), &Value::Null));
        assert!(json["users"][1]["disabledAt"].is_string());
        let table = run(database, &["users", "list"]);
        let rows: Vec<&str> = table.lines().collect();
        assert!(rows[1].starts_with("ada") && rows[1].contains("active"), "{table}");
        assert!(rows[2].starts_with("bob") && rows[2].contains("disabled"), "{table}");
    }

    fn users_beyond_one_page_of_the_query_are_listed_too(database: &Database) {
        database.store();
        let names: Vec<String> = (0..1001).map(|n| format!("('{n}','u{n:04}','',now,now)")).collect();
        let sql = format!(
            "INSERT INTO users (id, username, password_hash, created_at, updated_at) VALUES {}",
            names.join(",")
        );
        database.execute(&sql.replace("now", "'2026-01-01 00:00:00'"));
        // More than fits into a pipe that is not being read.
        let output = run_with_input(database, &["users", "list", "--json"], "");
        let json: Value = from_str(&stdout(&output)).unwrap();
        let users = json["users"].as_array().unwrap();
        assert_eq!(users.len(), 1001);
        assert_eq!(users[1000]["username"], "u1000");
    }

    fn users_are_promoted_and_demoted(database: &Database) {
        database.store();
        database.add_users(&["ada", "root"]);
        run(database, &["users", "promote", "root"]);
        for (arguments, is_admin) in [
            (&["promote", "ADA"][..], true),
            (&["promote", "ada"], true),
            (&["demote", "ada"], false),
            (&["promote", "ada"], true),
            (&["promote", "ada", "--revoke"], false),
            (&["promote", "ada", "--revoke"], false),
        ] {
            let said = run(database, &[&["users"], arguments].concat());
            assert_eq!(said.contains("an administrator"), is_admin, "{said}");
            assert_eq!(user(database, "ada").unwrap().is_admin, is_admin, "{arguments:?}");
        }
        for verb in ["show", "promote", "demote", "disable", "enable", "password", "delete"] {
            assert_fails(database, &["users", verb, "eve"], &["\"eve\"", "users list"]);
        }
    }

    fn a_disabled_user_has_no_sessions_and_cannot_sign_in(database: &Database) {
        let store = database.store();
        add(database, &["ada"]);
        let id = user(database, "ada").unwrap().id;
        let made = [Some(id.as_str()), Some(id.as_str()), None].map(new_session);
        store.create(&made).unwrap();
        let said = run(database, &["users", "disable", "ada"]);
        assert_eq!(said, "ada is disabled; ended 2 sessions\n");
        assert_eq!(database.sessions(), 1);
        assert_eq!(login(database, "ada", PASSWORD), 401);
        assert_fails(database, &["users", "password", "ada"], &["disabled", "users enable ada"]);
        let said = run(database, &["users", "enable", id.as_str()]);
        assert_eq!(said, "ada may sign in again\n");
        assert_eq!(run(database, &["users", "enable", "ada"]), "ada is not disabled\n");
        assert_eq!(login(database, "ada", PASSWORD), 200);
    }

    fn a_new_password_ends_all_sessions(database: &Database) {
        let store = database.store();
        add(database, &["ada"]);
        let id = user(database, "ada").unwrap().id;
        store.create(&[new_session(Some(id.as_str())), new_session(None)]).unwrap();
        let message = refusal(database, &["users", "password", "ada"], "short\n");
        assert!(message.contains("8 to 128"), "{message}");
        assert_eq!(database.sessions(), 2);
        let new = "another, longer one";
        let output = run_with_input(database, &["users", "password", "ada"], new);
        assert_eq!(stdout(&output), "ada has a new password; ended 1 session\n");
        assert_eq!(database.sessions(), 1);
        assert_eq!(login(database, "ada", PASSWORD), 401);
        assert_eq!(login(database, "ada", new), 200);
    }

    fn a_name_that_is_another_users_id_is_refused_as_ambiguous(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        database.execute("UPDATE users SET username = 'grace' WHERE id = 'ada'");
        add(database, &["ada"]);
        let id = user(database, "ada").unwrap().id;
        let output = run_to_end(on(database, &["users", "promote", "ada"]));
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(id.as_str()) && message.contains("grace"), "{message}");
        run(database, &["users", "promote", id.as_str()]);
        run(database, &["users", "promote", "grace"]);
        assert!(store.list_users(None, 10).unwrap().iter().all(|user| user.is_admin));
    }
}
