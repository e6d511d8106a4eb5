//! The settings of users: they belong to the account, and no change of another field is lost.

use std::sync::Barrier;

use chrono::Utc;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use rocket_diesel_sessions::DieselStore;
use rocket_diesel_sessions::store::{
    LastAdmin, SettingsChange, UserSettings, UserSource, UserStore,
};

use crate::support::memory::MemoryStore;
use crate::support::{Database, Kind, altered};

fn settings(display_name: Option<&str>, theme: Option<&str>) -> UserSettings {
    altered(UserSettings::default(), |settings| {
        settings.display_name = display_name.map(str::to_owned);
        settings.theme = theme.map(str::to_owned);
    })
}

fn change(display_name: Option<&str>, theme: Option<&str>) -> SettingsChange {
    SettingsChange::new(settings(display_name, theme), Utc::now())
}

fn adoption(display_name: Option<&str>, theme: Option<&str>) -> SettingsChange {
    altered(change(display_name, theme), |change| {
        change.only_unset = true;
    })
}

fn of(store: &dyn UserStore, id: &str) -> UserSettings {
    let (user, settings) = store.user_with_settings(&id.into()).unwrap().unwrap();
    assert_eq!(user.id, id);
    settings
}

/// Checks what every store does with the settings of Ada and Bob.
fn conforms(store: &dyn UserStore) {
    let set = |change| store.change_settings(&"ada".into(), &change).unwrap();
    assert_eq!(of(store, "ada"), settings(None, None));
    assert!(set(change(None, Some("dark"))));
    assert_eq!(of(store, "ada"), settings(None, Some("dark")));
    assert!(set(change(Some("Ada"), None)));
    assert_eq!(of(store, "ada"), settings(Some("Ada"), Some("dark")));
    assert!(set(change(None, None)));
    assert!(set(change(Some(""), Some("light"))));
    assert_eq!(of(store, "ada"), settings(Some(""), Some("light")));
    // Nothing is adopted that is set, even to nothing.
    assert!(set(adoption(Some("Stranger"), Some("dark"))));
    assert_eq!(of(store, "ada"), settings(Some(""), Some("light")));
    assert_eq!(of(store, "bob"), settings(None, None));
    assert!(
        store
            .change_settings(&"bob".into(), &change(Some("Bob"), None))
            .unwrap()
    );
    assert!(
        store
            .change_settings(&"bob".into(), &adoption(Some("B"), Some("dark")))
            .unwrap()
    );
    assert_eq!(of(store, "bob"), settings(Some("Bob"), Some("dark")));
    for nobody in ["nobody", "\0"] {
        let nobody = nobody.into();
        assert!(
            !store
                .change_settings(&nobody, &change(Some("x"), Some("dark")))
                .unwrap()
        );
        assert_eq!(store.user_with_settings(&nobody).unwrap(), None);
    }
    store
        .delete_user(&"ada".into(), None, LastAdmin::Keep)
        .unwrap();
    assert_eq!(store.user_with_settings(&"ada".into()).unwrap(), None);
}

#[test]
fn the_store_in_memory_keeps_settings() {
    let store = MemoryStore::default();
    store.add("ada");
    store.add("bob");
    conforms(&store);
}

const ROWS: &str = "SELECT count(*) AS n FROM user_settings";

on_each_database! {
    fn settings_belong_to_the_account(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob"]);
        conforms(&*store);
        assert_eq!(database.number(ROWS), 1, "Ada's are deleted with her");
        database.execute("DELETE FROM users");
        assert_eq!(database.number(ROWS), 0);
    }

    fn settings_are_deleted_where_no_key_refers_to_the_users(database: &Database) {
        let store = database.store();
        database.execute("DROP TABLE user_settings");
        database.execute(
            "CREATE TABLE user_settings (user_id TEXT NOT NULL PRIMARY KEY, display_name TEXT, \
             theme TEXT, updated_at TIMESTAMP NOT NULL)",
        );
        if database.kind() == Kind::Sqlite {
            database.execute("DROP TRIGGER users_settings_deleted");
        }
        database.add_users(&["ada"]);
        store.change_settings(&"ada".into(), &change(Some("Ada"), None)).unwrap();
        assert_eq!(database.number(ROWS), 1);
        store.delete_user(&"ada".into(), None, LastAdmin::Keep).unwrap();
        assert_eq!(database.number(ROWS), 0);
    }

    fn changes_of_different_fields_at_once_are_all_kept(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        for round in 0..20 {
            let (name, theme) = (format!("Ada {round}"), format!("theme {round}"));
            let changes = [change(Some(&name), None), change(None, Some(&theme))];
            let barrier = Barrier::new(changes.len());
            std::thread::scope(|scope| {
                for change in &changes {
                    scope.spawn(|| {
                        barrier.wait();
                        assert!(store.change_settings(&"ada".into(), change).unwrap());
                    });
                }
            });
            assert_eq!(of(&*store, "ada"), settings(Some(&name), Some(&theme)));
        }
    }

    fn settings_move_with_the_id_of_a_user(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        store.change_settings(&"ada".into(), &change(Some("Ada"), None)).unwrap();
        database.execute("UPDATE users SET id = 'eve' WHERE id = 'ada'");
        assert_eq!(of(&*store, "eve"), settings(Some("Ada"), None));
    }

    fn an_application_with_users_of_its_own_has_no_such_table(database: &Database) {
        let options = altered(database.options(), |options| {
            options.users = UserSource::External;
        });
        let store = DieselStore::open(&database.url(), options).unwrap();
        store.migrate().unwrap();
        let (tables, names) = match database.kind() {
            Kind::Sqlite => ("sqlite_master", "name"),
            Kind::Postgres => ("pg_tables", "tablename"),
        };
        let found = format!("SELECT count(*) AS n FROM {tables} WHERE {names} = 'user_settings'");
        assert_eq!(database.number(&found), 0);
    }
}

#[test]
fn settings_go_with_a_user_deleted_without_foreign_key_checks() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let store = database.store();
    database.add_users(&["ada", "bob"]);
    for id in ["ada", "bob"] {
        store
            .change_settings(&id.into(), &change(Some(id), None))
            .unwrap();
    }
    let mut shell = SqliteConnection::establish(database.raw_url()).unwrap();
    shell
        .batch_execute(
            "PRAGMA foreign_keys = OFF; DELETE FROM users WHERE id = 'ada'; \
             UPDATE users SET id = 'eve' WHERE id = 'bob'",
        )
        .unwrap();
    assert_eq!(database.number(ROWS), 1);
    assert_eq!(of(&*store, "eve"), settings(Some("bob"), None));
}
