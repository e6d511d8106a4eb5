//! Commands that change something: their output for programs, `--dry-run`, and their lines in the
//! audit log.

use chrono::TimeDelta;
use rocket::serde::json::{Value, from_str, json};
use rocket_diesel_sessions::store::{NewSession, SessionStore, UserStore};

use crate::support::Database;
use crate::support::command_line::{on, run, run_json, run_with_input, stdout};
use crate::support::server::run_to_end;
use crate::support::sessions::new_session;

const PASSWORD: &str = "sesame, open";

fn expired() -> NewSession {
    let mut session = new_session(None);
    session.expires_at -= TimeDelta::days(2);
    session
}

/// Returns the audit events that a command writes, each with user and session.
fn events(database: &Database, arguments: &[&str]) -> Vec<[Value; 3]> {
    let mut command = on(database, arguments);
    command
        .env("LOG_FORMAT", "json")
        .env("RUST_LOG", "rocket_diesel_sessions::audit=info");
    let output = run_to_end(command);
    let log = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.status.success(), "{log}");
    let lines = log.lines().map(|line| from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["target"] == "rocket_diesel_sessions::audit")
        .inspect(|line| assert_eq!(line["by"], "command_line", "{line}"))
        .map(|line| ["event", "user_id", "session"].map(|field| line[field].clone()))
        .collect()
}

on_each_database! {
    fn commands_report_changes_as_json(database: &Database) {
        let migrated = run_json(database, &["migrate", "--json"]);
        assert!(!migrated["migrations"].as_array().unwrap().is_empty());
        assert_eq!(run_json(database, &["migrate", "--json"]), json!({"migrations": []}));

        let input = format!("{PASSWORD}\n");
        let added = run_with_input(database, &["users", "add", "Ada", "--json"], &input);
        let added: Value = from_str(&stdout(&added)).unwrap();
        let id = added["user"]["id"].as_str().unwrap();
        assert_eq!(added["user"]["username"], "ada");
        assert_eq!((&added["changed"], &added["sessionsEnded"]), (&json!(true), &json!(0)));
        let store = database.store();
        assert_eq!(store.user_by_name("ada").unwrap().unwrap().id, id);
        assert!(!added.to_string().contains("argon2"));

        let change = |verb: &str| run_json(database, &["users", verb, "ada", "--json"]);
        let promoted = change("promote");
        assert_eq!(promoted["user"]["isAdmin"], true);
        assert_eq!((&promoted["changed"], &change("promote")["changed"]), (&json!(true), &json!(false)));
        let demoted = run_json(database, &["users", "demote", "ada", "--force", "--json"]);
        assert_eq!(demoted["user"]["isAdmin"], false);
        store.create(&[new_session(Some(id)), new_session(Some(id))]).unwrap();
        let disabled = change("disable");
        assert!(disabled["user"]["disabledAt"].is_string());
        assert_eq!(disabled["sessionsEnded"], 2);
        assert_eq!(change("enable")["user"]["disabledAt"], Value::Null);
        store.create(&[new_session(Some(id))]).unwrap();
        let renewed = run_with_input(database, &["users", "password", "ada", "--json"], &input);
        let renewed: Value = from_str(&stdout(&renewed)).unwrap();
        assert_eq!(renewed["sessionsEnded"], 1);
        let deleted = run_json(database, &["users", "delete", "ada", "--yes", "--json"]);
        assert_eq!((&deleted["user"]["id"], &deleted["changed"]), (&json!(id), &json!(true)));
        assert!(store.user(&id.into()).unwrap().is_none());
    }

    fn commands_report_ended_sessions_as_json(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let made = [None, Some("ada"), Some("ada"), None].map(new_session);
        store.create(&made).unwrap();
        store.create(&[expired()]).unwrap();
        let output = run_to_end(on(database, &["sessions", "revoke", made[0].id.as_str(), "x", "--json"]));
        assert_eq!(output.status.code(), Some(1));
        let revoked: Value = from_str(&String::from_utf8(output.stdout).unwrap()).unwrap();
        let expected = json!({
            "dryRun": false, "deleted": 1, "ids": [&made[0].id], "notFound": ["x"]
        });
        assert_eq!(revoked, expected);
        let of_user = run_json(database, &["sessions", "revoke", "--user", "ada", "--json"]);
        assert_eq!(of_user, json!({"dryRun": false, "deleted": 2, "userId": "ada"}));
        let swept = run_json(database, &["sweep", "--json"]);
        assert_eq!(swept["deleted"], 1);
        assert!(swept["seconds"].is_f64(), "{swept}");
        let cleared = run_json(database, &["sessions", "clear", "--yes", "--json"]);
        assert_eq!(cleared, json!({"dryRun": false, "deleted": 1}));
        assert_eq!(database.sessions(), 0);
    }

    fn a_dry_run_counts_sessions_and_ends_none(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let made = [None, Some("ada"), Some("ada")].map(new_session);
        store.create(&made).unwrap();
        let mut old = expired();
        old.user_id = Some("ada".into());
        store.create(&[old]).unwrap();
        let handle = made[0].id.as_str();
        for (arguments, said, number) in [
            (&["sweep"][..], "would delete 1 expired sessions", 1),
            (&["sessions", "clear"], "would end 4 sessions", 4),
            (&["sessions", "revoke", "--user", "ada"], "would end 3 sessions of ada", 3),
            (&["sessions", "revoke", handle], &format!("would end {handle}"), 1),
        ] {
            let arguments = [arguments, &["--dry-run"]].concat();
            let text = run(database, &arguments);
            assert!(text.contains(said), "{arguments:?}: {text}");
            let report = run_json(database, &[&*arguments, &["--json"]].concat());
            assert_eq!(report["wouldDelete"], number, "{arguments:?}: {report}");
            assert_eq!(report["dryRun"], true);
            assert_eq!(events(database, &arguments), Vec::<[Value; 3]>::new(), "{arguments:?}");
            assert_eq!(database.sessions(), 4, "{arguments:?}");
        }
    }

    fn users_are_shown_and_deleted(database: &Database) {
        let store = database.store();
        let input = format!("{PASSWORD}\n");
        stdout(&run_with_input(database, &["users", "add", "ada"], &input));
        let id = store.user_by_name("ada").unwrap().unwrap().id;
        let mut old = expired();
        old.user_id = Some(id.clone());
        store.create(&[new_session(Some(id.as_str())), old, new_session(None)]).unwrap();
        let shown = run(database, &["users", "show", "ADA"]);
        for part in [id.as_str(), "ada", "active", "sessions"] {
            assert!(shown.contains(part), "{part} is missing: {shown}");
        }
        let json = run_json(database, &["users", "show", id.as_str(), "--json"]);
        assert_eq!((&json["user"]["username"], &json["sessions"]), (&json!("ada"), &json!(1)));
        assert!(!shown.contains("argon2") && !json.to_string().contains("argon2"));
        let said = run(database, &["users", "delete", "ada", "--yes"]);
        assert_eq!(said, format!("deleted ada, id {id}; ended 2 sessions\n"));
        assert!(store.user(&id).unwrap().is_none());
        assert_eq!(database.sessions(), 1);
    }

    fn users_are_filtered_by_role_and_state_and_listed_with_dates(database: &Database) {
        database.store();
        database.add_users(&["ada", "bob", "eve"]);
        database.execute("UPDATE users SET is_admin = TRUE WHERE id <> 'eve'");
        database.execute("UPDATE users SET disabled_at = '2026-02-03 00:00:00' WHERE id <> 'ada'");
        let names = |arguments: &[&str]| {
            let arguments = [&["users", "list", "--json"], arguments].concat();
            let json = run_json(database, &arguments);
            let users = json["users"].as_array().unwrap().iter();
            users.map(|user| user["username"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&["--admins"]), ["ada", "bob"]);
        assert_eq!(names(&["--disabled"]), ["bob", "eve"]);
        assert_eq!(names(&["--admins", "--disabled"]), ["bob"]);
        let table = run(database, &["users", "list"]);
        let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap();
        for name in ["ada", "bob"] {
            assert!(row(name).contains("2026-01-01"), "{table}");
        }
        assert!(row("bob").ends_with("2026-02-03") && row("ada").ends_with('-'), "{table}");
        database.execute("UPDATE users SET is_admin = FALSE");
        assert_eq!(run(database, &["users", "list", "--admins"]), "no users match\n");
    }

    fn commands_write_to_the_audit_log(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob", "root"]);
        run(database, &["users", "promote", "root"]);
        let of = |event: &str, user: &str| vec![[json!(event), json!(user), Value::Null]];
        let change = |arguments: &[&str]| events(database, &[&["users"], arguments].concat());
        assert_eq!(change(&["promote", "ada"]), of("user_promoted", "ada"));
        assert_eq!(change(&["promote", "ada"]), Vec::<[Value; 3]>::new());
        assert_eq!(change(&["demote", "ada"]), of("user_demoted", "ada"));
        assert_eq!(change(&["disable", "ada"]), of("user_disabled", "ada"));
        assert_eq!(change(&["enable", "ada"]), of("user_enabled", "ada"));
        let made = [Some("ada"), Some("ada"), None].map(new_session);
        store.create(&made).unwrap();
        store.create(&[expired()]).unwrap();
        let revoked = events(database, &["sessions", "revoke", made[0].id.as_str()]);
        assert_eq!(revoked, [[json!("session_revoked"), json!("ada"), json!(made[0].id)]]);
        let revoked = events(database, &["sessions", "revoke", "--user", "ada"]);
        assert_eq!(revoked, of("session_revoked", "ada"));
        let dry = events(database, &["sessions", "clear", "--dry-run"]);
        assert_eq!(dry, Vec::<[Value; 3]>::new());
        let swept = events(database, &["sweep"]);
        assert_eq!(swept, [[json!("swept"), Value::Null, Value::Null]]);
        let cleared = events(database, &["sessions", "clear", "--yes"]);
        assert_eq!(cleared, [[json!("sessions_cleared"), Value::Null, Value::Null]]);
        assert_eq!(change(&["delete", "ada", "--yes"]), of("account_deleted", "ada"));

        let mut command = on(database, &["users", "add", "eve", "--admin"]);
        let password = database.folder().join("password");
        std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
        command.stdin(std::fs::File::open(&password).unwrap());
        let output = run_to_end(command);
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.contains("register") && log.contains("user_promoted"), "{log}");
        assert!(!log.contains(PASSWORD), "{log}");
        let mut command = on(database, &["users", "password", "eve"]);
        command.stdin(std::fs::File::open(&password).unwrap());
        let log = String::from_utf8(run_to_end(command).stderr).unwrap();
        assert!(log.contains("password_changed") && !log.contains(PASSWORD), "{log}");
    }
}
