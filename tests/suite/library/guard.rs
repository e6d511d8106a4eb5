//! The library as its users see it: the guard, the fairing, and the effect of a handler's result on
//! the response.

use std::sync::Arc;

use rocket::error::ErrorKind;
use rocket::futures::future::join_all;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::{SessionAdmin, SessionConfig, SessionKeys, Sessions};

use crate::support::altered;
use crate::support::embedded::{Cart, client, get, new_cookie, rocket, rocket_with, run};
use crate::support::local::{SECRET, figment};
use crate::support::{Database, Kind};

on_each_database! {
    fn limits_of_administrators_requests_are_capped(database: &Database) {
        run(async {
            let set = |sessions: Sessions<Cart>| {
                sessions.statistics(database.store())
            };
            let (rocket, _) = rocket_with(database.store(), SessionConfig::default(), set);
            let client = &Client::untracked(rocket).await.unwrap();
            new_cookie(client).await;
            let admin = client.rocket().state::<SessionAdmin>().unwrap();
            assert_eq!(admin.stats(u32::MAX).await.unwrap().active, 1);
            assert_eq!(admin.stats(0).await.unwrap().active, 1);
            let page = admin.list(u32::MAX, None, None).await.unwrap();
            assert_eq!((page.sessions.len(), page.next), (1, None));
        });
    }

    fn a_change_is_committed_and_its_cookie_sent_unless_the_status_is_503(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            for code in [200, 201, 400, 403, 404, 422, 500] {
                let answer = get(client, &format!("/status/{code}"), None).await;
                assert_eq!(answer.status.code, code);
                let cookie = answer.cookie();
                assert!(cookie.is_some(), "{code}: no cookie");
                assert_eq!(get(client, "/read", cookie.as_deref()).await.body, "1", "{code}");
            }
            let answer = get(client, "/status/503", None).await;
            assert_eq!(answer.header("set-cookie"), None);
            assert_eq!(answer.header("retry-after"), Some("1"));
        });
    }

    fn two_guards_of_a_request_share_one_session(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            let answer = get(client, "/two", None).await;
            assert_eq!(answer.body, "2");
            assert_eq!(database.sessions(), 1);
            assert_eq!(get(client, "/two", answer.cookie().as_deref()).await.body, "4");
        });
    }

    fn a_panicking_closure_fails_only_its_own_request(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            let cookie = new_cookie(client).await;
            for _ in 0..20 {
                let answer = get(client, "/panic", Some(&cookie)).await;
                assert_eq!(answer.status, Status::InternalServerError);
            }
            assert_eq!(get(client, "/panic", None).await.status, Status::InternalServerError);
            assert_eq!(get(client, "/count", Some(&cookie)).await.body, "2");
            assert_eq!(database.sessions(), 1);
        });
    }

    fn data_over_the_size_limit_is_refused_and_nothing_is_lost(database: &Database) {
        run(async {
            let config = altered(SessionConfig::default(), |config| config.max_data_size = 1024.into());
            let client = &client(database.store(), config).await;
            let answer = get(client, "/large/2000", None).await;
            assert_eq!(answer.status, Status::PayloadTooLarge);
            assert_eq!(answer.header("set-cookie"), None);
            assert_eq!(database.sessions(), 0);
            let cookie = new_cookie(client).await;
            let answer = get(client, "/large/2000", Some(&cookie)).await;
            assert_eq!(answer.status, Status::PayloadTooLarge);
            assert_eq!(get(client, "/count", Some(&cookie)).await.body, "2");
            assert_eq!(get(client, "/large/900", Some(&cookie)).await.status, Status::Ok);
        });
    }

    fn concurrent_updates_in_one_process_are_all_applied(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            let cookie = &new_cookie(client).await;
            let adding = (0..40).map(|number| async move {
                get(client, &format!("/add/item-{number}"), Some(cookie)).await.body
            });
            let mut sizes: Vec<u32> = join_all(adding)
                .await
                .iter()
                .map(|body| body.parse().unwrap())
                .collect();
            sizes.sort_unstable();
            assert_eq!(sizes, (1..=40).collect::<Vec<_>>());
        });
    }

    fn i1_requests_that_update_twice_lose_nothing(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            let cookie = &new_cookie(client).await;
            let answers = join_all((0..50).map(|_| get(client, "/two", Some(cookie)))).await;
            assert!(answers.iter().all(|answer| answer.status == Status::Ok));
            assert_eq!(get(client, "/read", Some(cookie)).await.body, "101");
        });
    }

    fn responses_that_depend_on_the_session_are_not_cached(database: &Database) {
        run(async {
            let client = &client(database.store(), SessionConfig::default()).await;
            for path in ["/read", "/count"] {
                let answer = get(client, path, None).await;
                assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
                assert_eq!(answer.header("vary"), Some("Cookie"), "{path}");
            }
            let answer = get(client, "/unused", None).await;
            assert_eq!((answer.header("cache-control"), answer.header("vary")), (None, None));
        });
    }
}

#[test]
fn a_missing_fairing_stops_the_launch() {
    let database = Database::new(Kind::Sqlite).unwrap();
    run(async {
        #[rocket::get("/")]
        fn index(session: rocket_diesel_sessions::Session<Vec<u8>>) -> String {
            session.data().len().to_string()
        }
        let build = || rocket::custom(figment("debug", "")).mount("/", rocket::routes![index]);
        let error = build().ignite().await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::SentinelAborts(_)),
            "{error}"
        );
        // A fairing for another type of data does not count.
        let sessions = Sessions::<Cart>::fairing()
            .keys(SessionKeys::parse(SECRET).unwrap())
            .store(database.store());
        let error = build().attach(sessions).ignite().await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::SentinelAborts(_)),
            "{error}"
        );
    });
}

#[test]
fn unusable_settings_given_in_code_stop_the_launch_too() {
    let database = Database::new(Kind::Sqlite).unwrap();
    run(async {
        let config = altered(SessionConfig::default(), |config| config.workers = 0);
        let (refused, _) = rocket(database.store(), config);
        let error = refused.ignite().await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::FailedFairings(_)),
            "{error}"
        );

        let (rocket, _) = rocket(database.store(), SessionConfig::default());
        let second = Sessions::<Vec<u8>>::fairing()
            .keys(SessionKeys::parse(SECRET).unwrap())
            .store(database.store());
        let error = rocket.attach(second).ignite().await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::FailedFairings(_)),
            "{error}"
        );
    });
}

#[test]
fn one_store_can_be_shared_by_several_rockets() {
    let database = Database::new(Kind::Sqlite).unwrap();
    run(async {
        let store = database.store();
        let (one, _) = rocket(Arc::clone(&store) as _, SessionConfig::default());
        let (other, _) = rocket(store, SessionConfig::default());
        let one = Client::untracked(one).await.unwrap();
        let other = Client::untracked(other).await.unwrap();
        let cookie = new_cookie(&one).await;
        assert_eq!(get(&other, "/count", Some(&cookie)).await.body, "2");
        assert_eq!(get(&one, "/read", Some(&cookie)).await.body, "2");
    });
}
