//! A login that the application commits in its own transaction, with a row of its own.

mod shop;

use std::sync::Arc;

use rocket::http::Status;
use rocket_diesel_sessions::store::StoreOptions;
use rocket_diesel_sessions::{DieselStore, OnSessionLimit, SessionConfig, UserSource};

use self::shop::{Shop, orders};
use crate::support::altered;
use crate::support::embedded::{get, new_cookie, patient, run};
use crate::support::memory::MemoryStore;
use crate::support::{AppPool, Database, Kind, wait_for};

on_each_database! {
    fn a_login_is_committed_with_the_applications_row(database: &Database) {
        run(async {
            let shop = Shop::open(database, SessionConfig::default()).await;
            database.add_users(&["ada"]);
            let cookie = new_cookie(&shop.client).await;
            shop.events();
            let answer = get(&shop.client, "/accept/ada?hash=ada", Some(&cookie)).await;
            assert_eq!((answer.status, answer.body.as_str()), (Status::Ok, "ada"));
            let new = answer.cookie().unwrap();
            assert_eq!(shop.user(&new).await, "ada");
            assert_eq!(get(&shop.client, "/read", Some(&new)).await.body, "1");
            assert_eq!(shop.user(&cookie).await, "-");
            assert_eq!(shop.events(), ["Rotated", "Login"]);
            // Without a session there is a new one, and a transaction may be repeated.
            let answer = get(&shop.client, "/accept/ada?how=twice", None).await;
            assert_eq!(shop.user(&answer.cookie().unwrap()).await, "ada");
            assert_eq!(shop.events(), ["Created", "Login"]);
            assert_eq!((orders(database), database.sessions()), (2, 2));
        });
    }

    fn a_failed_transaction_signs_no_one_in(database: &Database) {
        run(async {
            let shop = Shop::open(database, SessionConfig::default()).await;
            database.add_users(&["ada", "bob"]);
            database.execute("UPDATE users SET disabled_at = '2026-01-01 00:00:00' \
                              WHERE id = 'bob'");
            let cookie = new_cookie(&shop.client).await;
            shop.events();
            for (path, status, text, stored) in [
                ("/accept/ada?how=fail", 418, "refused", 0),
                ("/accept/ada?how=use", 500, "changes its token", 0),
                ("/accept/ada?hash=another", 401, "", 0),
                ("/accept/bob", 401, "", 0),
                ("/accept/eve", 401, "", 0),
                ("/accept/%00", 401, "", 0),
                // The application has committed its own part.
                ("/accept/ada?how=forget", 500, "did not apply", 1),
            ] {
                let answer = get(&shop.client, path, Some(&cookie)).await;
                assert_eq!(answer.status.code, status, "{path}: {}", answer.body);
                assert!(answer.body.contains(text), "{path}: {}", answer.body);
                assert_eq!(answer.header("set-cookie"), None, "{path}");
                assert_eq!(shop.user(&cookie).await, "-", "{path}");
                assert_eq!(orders(database), stored, "{path}");
            }
            assert_eq!(get(&shop.client, "/count", Some(&cookie)).await.body, "2");
            assert_eq!(database.sessions(), 1);
            assert_eq!(shop.events(), [""; 0]);
        });
    }

    fn a_login_in_a_transaction_keeps_to_the_limit_of_sessions(database: &Database) {
        run(async {
            let config = altered(SessionConfig::default(), |config| {
                config.max_sessions_per_user = 1;
                config.on_session_limit = OnSessionLimit::Refuse;
            });
            let shop = Shop::open(database, config.clone()).await;
            database.add_users(&["ada"]);
            let first = get(&shop.client, "/accept/ada", None).await.cookie().unwrap();
            let refused = get(&shop.client, "/accept/ada", None).await;
            assert_eq!(refused.status, Status::Conflict, "{}", refused.body);
            assert_eq!((orders(database), database.sessions()), (1, 1));
            drop(shop);
            database.execute("DROP TABLE orders");
            let config = altered(config, |config| {
                config.on_session_limit = OnSessionLimit::EndOldest;
            });
            let shop = Shop::open(database, config).await;
            let failed = get(&shop.client, "/accept/ada?how=fail", None).await;
            assert_eq!(failed.status, Status::ImATeapot);
            assert_eq!(shop.user(&first).await, "ada");
            assert_eq!(shop.events(), [""; 0]);
            let second = get(&shop.client, "/accept/ada", None).await.cookie().unwrap();
            assert_eq!(shop.user(&first).await, "-");
            assert_eq!(shop.user(&second).await, "ada");
            assert_eq!(shop.events(), ["Created", "Login", "Ended(Replaced)"]);
        });
    }

    fn i6_a_login_in_a_transaction_whose_answer_is_503_is_undone(database: &Database) {
        run(async {
            let shop = Shop::open(database, patient()).await;
            database.add_users(&["ada"]);
            let cookie = new_cookie(&shop.client).await;
            let answer = get(&shop.client, "/accept/ada?status=503", Some(&cookie)).await;
            assert_eq!(answer.status, Status::ServiceUnavailable);
            assert_eq!(answer.header("set-cookie"), None);
            assert_eq!(shop.user(&cookie).await, "-");
            assert_eq!(get(&shop.client, "/read", Some(&cookie)).await.body, "1");
            let answer = get(&shop.client, "/accept/ada?status=503", None).await;
            assert_eq!(answer.header("set-cookie"), None);
            wait_for("the new session is gone", async || database.sessions() == 1).await;
            // The application's rows are its own.
            assert_eq!(orders(database), 2);
        });
    }

    fn i6_a_login_committed_after_its_request_was_given_up_is_undone(database: &Database) {
        run(async {
            let shop = Shop::open(database, patient()).await;
            database.add_users(&["ada"]);
            let cookie = &new_cookie(&shop.client).await;
            let request = get(&shop.client, "/accept/ada?how=wait", Some(cookie));
            let given_up = async {
                shop.gates.applied.acquire().await.unwrap().forget();
                shop.gates.give_up.add_permits(1);
            };
            let (answer, ()) = rocket::tokio::join!(request, given_up);
            assert_eq!((answer.body.as_str(), answer.header("set-cookie")), ("gave up", None));
            shop.gates.commit.add_permits(1);
            wait_for("the order is there", async || orders(database) == 1).await;
            wait_for("the old cookie is good again", async || {
                get(&shop.client, "/read", Some(cookie)).await.body == "1"
            })
            .await;
            assert_eq!(shop.user(cookie).await, "-");
        });
    }

    fn a_login_in_a_transaction_needs_sessions_in_a_diesel_store(database: &Database) {
        run(async {
            let pool = AppPool::new(database, 10);
            let store = Arc::new(MemoryStore::default());
            let shop = Shop::with(database, pool, store, SessionConfig::default()).await;
            let answer = get(&shop.client, "/accept/ada", None).await;
            assert_eq!(answer.status, Status::InternalServerError);
            assert!(answer.body.contains("DieselStore"), "{}", answer.body);
            assert_eq!(orders(database), 0);
        });
    }

    fn a_login_in_a_transaction_serves_users_of_the_application(database: &Database) {
        run(async {
            let config = altered(SessionConfig::default(), |config| {
                config.users = UserSource::External;
                config.max_sessions_per_user = 1;
            });
            let shop = Shop::open(database, config).await;
            for _ in 0..2 {
                let answer = get(&shop.client, "/accept/42", None).await;
                assert_eq!(shop.user(&answer.cookie().unwrap()).await, "42");
            }
            assert_eq!((orders(database), database.sessions()), (2, 1));
        });
    }
}

/// The application's statements before and after the login find its own tables.
#[test]
fn a_login_in_a_transaction_is_written_to_the_schema_of_the_sessions() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        let options = altered(StoreOptions::default(), |options| {
            options.schema = Some("visits".parse().unwrap());
        });
        let store = DieselStore::from_pool(AppPool::new(&database, 10).lent(), options).unwrap();
        store.migrate().unwrap();
        let pool = AppPool::new(&database, 10);
        let store = Arc::new(store);
        let shop = Shop::with(&database, pool, store, SessionConfig::default()).await;
        database.execute(
            "INSERT INTO visits.users (id, username, password_hash, created_at, updated_at) \
             VALUES ('ada', 'ada', 'ada', now(), now())",
        );
        let answer = get(&shop.client, "/accept/ada", None).await;
        assert_eq!(answer.status, Status::Ok, "{}", answer.body);
        assert_eq!(shop.user(&answer.cookie().unwrap()).await, "ada");
        assert_eq!(orders(&database), 1);
    });
}

#[test]
fn i12_a_login_on_a_connection_to_another_database_is_refused_by_name() {
    let (Some(sqlite), Some(postgres)) =
        (Database::new(Kind::Sqlite), Database::new(Kind::Postgres))
    else {
        return;
    };
    run(async {
        let pool = AppPool::new(&postgres, 10);
        let shop = Shop::with(&postgres, pool, sqlite.store(), SessionConfig::default()).await;
        let answer = get(&shop.client, "/accept/ada", None).await;
        assert_eq!(answer.status, Status::InternalServerError);
        assert!(answer.body.contains("another database"), "{}", answer.body);
        assert_eq!(orders(&postgres), 0);
    });
}
