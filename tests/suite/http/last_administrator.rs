//! The last administrator who may sign in keeps that role: on the command line, over HTTP and in
//! the store.

use std::sync::Barrier;

use chrono::Utc;
use rocket::http::Status;
use rocket_diesel_sessions::store::{LastAdmin, StoreError, UserOutcome, UserStore};

use crate::support::Database;
use crate::support::command_line::{assert_fails, run};
use crate::support::local::{Visitor, application};

/// Returns the number of administrators who may sign in.
fn admins(database: &Database) -> i64 {
    database.number("SELECT count(*) AS n FROM users WHERE is_admin AND disabled_at IS NULL")
}

fn promote(database: &Database, names: &[&str]) {
    database.add_users(names);
    for name in names {
        assert!(
            database
                .store()
                .promote_user(&(*name).into(), Utc::now())
                .unwrap()
        );
    }
}

/// A way to remove a user's rights.
type End = fn(&dyn UserStore, &str, LastAdmin) -> Result<UserOutcome, StoreError>;

const ENDS: [End; 3] = [
    |store, id, last| store.demote_user(&id.into(), Utc::now(), last),
    |store, id, last| store.disable_user(&id.into(), Utc::now(), last),
    |store, id, last| store.delete_user(&id.into(), None, last),
];

on_each_database! {
    fn commands_leave_one_administrator_unless_they_are_forced(database: &Database) {
        database.store();
        promote(database, &["ada", "bob"]);
        database.add_users(&["eve"]);
        // One of two may be removed, and a plain user always.
        run(database, &["users", "disable", "bob"]);
        run(database, &["users", "delete", "eve", "--yes"]);
        for arguments in [
            &["demote", "ada"][..],
            &["promote", "ada", "--revoke"],
            &["disable", "ada"],
            &["delete", "ada", "--yes"],
        ] {
            let arguments = [&["users"], arguments].concat();
            assert_fails(database, &arguments, &["ada", "last administrator", "--force"]);
            assert_eq!(admins(database), 1, "{arguments:?}");
        }
        // A disabled administrator does not count and may be removed.
        run(database, &["users", "demote", "bob"]);
        for (back, verb) in [("promote", "demote"), ("enable", "disable"), ("promote", "delete")] {
            run(database, &["users", back, "ada"]);
            let yes: &[&str] = if verb == "delete" { &["--yes"] } else { &[] };
            run(database, &[&["users", verb, "ada", "--force"], yes].concat());
            assert_eq!(admins(database), 0, "{verb}");
            if verb == "disable" {
                run(database, &["users", "enable", "ada"]);
            }
        }
        assert_eq!(database.number("SELECT count(*) AS n FROM users"), 1);
    }

    fn the_store_refuses_to_remove_the_last_administrator(database: &Database) {
        let store = database.store();
        promote(database, &["ada"]);
        for end in ENDS {
            assert_eq!(end(&*store, "ada", LastAdmin::Keep).unwrap(), UserOutcome::LastAdmin);
            let nobody = end(&*store, "nobody", LastAdmin::Keep).unwrap();
            assert_eq!(nobody, UserOutcome::NoUser);
        }
        let ada = store.user(&"ada".into()).unwrap().unwrap();
        assert!(ada.is_admin && ada.disabled_at.is_none());
    }

    fn of_two_administrators_removed_at_once_one_remains(database: &Database) {
        let stores = [database.store(), database.store()];
        for round in 0..30 {
            promote(database, &["ada", "bob"]);
            let start = Barrier::new(2);
            let changes: Vec<UserOutcome> = std::thread::scope(|scope| {
                let tasks = [("ada", round), ("bob", round + round / 3)].map(|(id, which)| {
                    let (start, store) = (&start, &stores[usize::from(id == "bob")]);
                    scope.spawn(move || {
                        start.wait();
                        ENDS[which % 3](&**store, id, LastAdmin::Keep).unwrap()
                    })
                });
                tasks.map(|task| task.join().unwrap()).into()
            });
            assert_eq!(admins(database), 1, "round {round}: {changes:?}");
            let refused = |change: &&UserOutcome| **change == UserOutcome::LastAdmin;
            assert_eq!(changes.iter().filter(refused).count(), 1, "round {round}: {changes:?}");
            database.execute("DELETE FROM users");
        }
    }

    fn the_last_administrators_account_is_not_deleted_over_http(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = Visitor::new(&client);
        assert_eq!(ada.enter("register", "ada", "sesame, open").status, Status::Created);
        database.execute("UPDATE users SET is_admin = TRUE");
        let answer = ada.delete("/api/account");
        assert_eq!(answer.status, Status::Conflict, "{}", answer.body);
        assert_eq!(answer.json()["error"]["code"], "last_administrator");
        assert!(answer.message().contains("only administrator"), "{}", answer.body);
        assert_eq!(ada.get("/api/account/sessions").status, Status::Ok);
        promote(database, &["bob"]);
        assert_eq!(ada.delete("/api/account").status, Status::NoContent);
    }
}
