//! Signing in and out, and the sessions of a user, in an application of a library user.

use chrono::TimeDelta;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::store::SessionStore;
use rocket_diesel_sessions::{OnSessionLimit, SessionConfig};

use crate::support::Database;
use crate::support::altered;
use crate::support::embedded::{get, new_cookie, rocket, run};
use crate::support::users::{client, login_of_ada, signed_in, user, user_sessions};

/// Stores enough sessions of ada to exceed the limit.
fn store_beyond_limit(database: &Database) {
    let store = database.store();
    for _ in 0..2 {
        store.login(&login_of_ada(0)).unwrap();
    }
}

on_each_database! {
    fn i3_a_login_invalidates_the_old_token_and_keeps_the_data(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let planted = new_cookie(client).await;
            let before = get(client, "/add/book", Some(&planted)).await;
            assert_eq!(before.body, "1");
            let login = get(client, "/login/ada", Some(&planted)).await;
            let own = login.cookie().unwrap();
            assert_ne!(own, planted);
            assert_eq!(get(client, "/add/pen", Some(&own)).await.body, "2");
            assert_eq!(get(client, "/count", Some(&own)).await.body, "2");
            assert_eq!(user(client, &own).await, "ada");
            assert_eq!(user(client, &planted).await, "-");
            assert_eq!(get(client, "/read", Some(&planted)).await.body, "0");
            assert_eq!(database.sessions(), 1);
            // Signing in again is a rotation.
            let again = get(client, "/login/ada", Some(&own)).await;
            assert_eq!(again.body, login.body);
            assert_eq!(user(client, &own).await, "-");
            assert_eq!(get(client, "/read", again.cookie().as_deref()).await.body, "2");
        });
    }

    fn i3_another_users_session_is_not_taken_over(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let adas = signed_in(client, "ada").await;
            get(client, "/add/secret", Some(&adas)).await;
            let bobs = get(client, "/login/bob", Some(&adas)).await.cookie().unwrap();
            assert_eq!(user(client, &bobs).await, "bob");
            // The first item in his own cart.
            assert_eq!(get(client, "/add/pen", Some(&bobs)).await.body, "1");
            assert_eq!(user(client, &adas).await, "-");
            assert_eq!(database.sessions(), 1);
        });
    }

    fn only_existing_and_enabled_users_are_signed_in(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let cookie = new_cookie(client).await;
            database.execute("UPDATE users SET disabled_at = updated_at WHERE id = 'bob'");
            for refused in ["/login/nobody", "/login/bob", "/login/ada?hash=old", "/login/a%00"] {
                let answer = get(client, refused, Some(&cookie)).await;
                assert_eq!(answer.status, Status::Unauthorized, "{refused}");
                assert_eq!(answer.header("set-cookie"), None, "{refused}");
            }
            assert_eq!(get(client, "/read", Some(&cookie)).await.body, "1");
            let answer = get(client, "/login/ada?hash=ada", Some(&cookie)).await;
            assert_eq!(answer.status, Status::Ok);
        });
    }

    fn a_login_refused_at_the_limit_ends_no_session(database: &Database) {
        let config = altered(SessionConfig::default(), |config| { config.max_sessions_per_user = 1; config.on_session_limit = OnSessionLimit::Refuse; });
        run(async {
            let client = &client(database, config).await;
            let first = signed_in(client, "ada").await;
            let cookie = new_cookie(client).await;
            let refused = get(client, "/login/ada", Some(&cookie)).await;
            assert_eq!(refused.status, Status::Conflict);
            assert_eq!(refused.header("set-cookie"), None);
            assert_eq!(get(client, "/count", Some(&cookie)).await.body, "2");
            assert_eq!(user(client, &first).await, "ada");
            // The user's own session may be signed in again, even beyond the limit.
            store_beyond_limit(database);
            let again = get(client, "/login/ada", Some(&first)).await;
            assert_eq!(again.status, Status::Ok);
            database.execute("DELETE FROM sessions WHERE user_id IS NOT NULL");
            assert_eq!(get(client, "/login/ada", Some(&cookie)).await.status, Status::Ok);
        });
    }

    fn a_user_lists_and_ends_only_own_sessions(database: &Database) {
        run(async {
            let (rocket, clock) = rocket(database.store(), SessionConfig::default());
            database.add_users(&["ada", "bob"]);
            let client = &Client::untracked(rocket).await.unwrap();
            let sessions = user_sessions(client);
            let mut cookies = Vec::new();
            for owner in ["ada", "ada", "ada", "bob"] {
                cookies.push(signed_in(client, owner).await);
                clock.advance(TimeDelta::milliseconds(1));
            }
            let adas = sessions.list("ada").await.unwrap();
            let bobs = sessions.list("bob").await.unwrap();
            assert_eq!((adas.len(), bobs.len()), (3, 1));
            assert!(!sessions.revoke("ada", &bobs[0].id).await.unwrap());
            assert!(!sessions.revoke("ada", "a\0").await.unwrap());
            // Newest first, so this is the third login's.
            assert!(sessions.revoke("ada", &adas[0].id).await.unwrap());
            assert_eq!(user(client, &cookies[2]).await, "-");
            assert_eq!(sessions.revoke_others("ada", &adas[2].id).await.unwrap(), 1);
            assert_eq!(user(client, &cookies[1]).await, "-");
            assert_eq!(user(client, &cookies[0]).await, "ada");
            assert_eq!(sessions.revoke_all("ada").await.unwrap(), 1);
            assert_eq!(user(client, &cookies[0]).await, "-");
            assert_eq!(user(client, &cookies[3]).await, "bob");
        });
    }

    fn i4_anonymous_sessions_can_have_a_shorter_timeout_until_a_login(database: &Database) {
        let config = altered(SessionConfig::default(), |config| config.anonymous_idle_timeout = Some(std::time::Duration::from_hours(1)));
        run(async {
            let (rocket, clock) = rocket(database.store(), config);
            database.add_users(&["ada"]);
            let client = &Client::untracked(rocket).await.unwrap();
            let forgotten = new_cookie(client).await;
            let cookie = new_cookie(client).await;
            clock.advance(TimeDelta::minutes(59));
            let own = get(client, "/login/ada", Some(&cookie)).await.cookie().unwrap();
            clock.advance(TimeDelta::minutes(1));
            assert_eq!(get(client, "/read", Some(&forgotten)).await.body, "0");
            clock.advance(TimeDelta::hours(23) + TimeDelta::minutes(58));
            assert_eq!(user(client, &own).await, "ada");
            clock.advance(TimeDelta::hours(24));
            assert_eq!(user(client, &own).await, "-");
        });
    }
}
