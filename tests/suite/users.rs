//! Signing in and out, and the sessions of a user, as a library user's application has them.

use std::collections::HashSet;
use std::sync::{Arc, Barrier};

use chrono::TimeDelta;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::{
    ActingSession, Clock, DieselStore, LoginOutcome, LoginSession, OnSessionLimit, PasswordChange,
    Revocation, RevokeScope, RotateSession, SessionAdmin, SessionConfig, SessionError,
    SessionLimit, SessionRecord, SessionStore, StoreOptions, UserChange, UserSessions, UserStore,
};

use crate::store::new_session;
use crate::support::embedded::{Gate, get, new_cookie, rocket, run};
use crate::support::{Database, Kind, wait_for};

/// An application over a database with the users ada and bob.
async fn client(database: &Database, config: SessionConfig) -> Client {
    let (rocket, _) = rocket(database.store(), config);
    database.add_users(&["ada", "bob"]);
    Client::untracked(rocket).await.unwrap()
}

fn user_sessions(client: &Client) -> &UserSessions {
    client.rocket().state::<UserSessions>().unwrap()
}

fn assert_ended(change: &UserChange, sessions: usize) {
    assert!(
        matches!(change, UserChange::Done(ended) if ended.len() == sessions),
        "{change:?}"
    );
}

/// From the password `ada` to `new`, by this session.
fn change_of_password(session: &SessionRecord) -> PasswordChange {
    let new = new_session(None);
    PasswordChange {
        user_id: "ada".to_owned(),
        old_hash: "ada".to_owned(),
        new_hash: "new".to_owned(),
        rotation: Some(RotateSession {
            session_id: session.session_id,
            new_session_id: new.session_id,
            new_token_hash: new.token_hash,
            now: session.created_at,
        }),
        now: session.created_at,
        deadline: None,
    }
}

/// A login with the user's name as the password, by somebody for whom nothing was stored yet.
fn login_for(user: &str) -> LoginSession {
    LoginSession {
        user_id: user.to_owned(),
        password_hash: Some(user.to_owned()),
        session: None,
        fresh: new_session(None),
        limit: SessionLimit::default(),
        deadline: None,
    }
}

fn login_of_ada(limit: u32) -> LoginSession {
    let mut login = login_for("ada");
    login.limit.max = limit;
    login
}

/// As many more sessions of ada as make the limit be passed.
fn store_beyond_limit(database: &Database) {
    let store = database.store();
    for _ in 0..2 {
        store.login(&login_of_ada(0)).unwrap();
    }
}

/// Signs in without a session; the cookie.
async fn signed_in(client: &Client, user: &str) -> String {
    let answer = get(client, &format!("/login/{user}"), None).await;
    assert_eq!(answer.status, Status::Ok, "{}", answer.body);
    answer.cookie().unwrap()
}

/// The user that a cookie stands for.
async fn user(client: &Client, cookie: &str) -> String {
    get(client, "/user", Some(cookie)).await.body
}

on_each_database! {
    fn i3_a_login_kills_the_old_token_and_keeps_the_data(database: &Database) {
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

    fn i2_a_login_is_undone_by_nothing_that_was_under_way(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let gate = client.rocket().state::<Arc<Gate>>().unwrap();
            for slow in ["/slow/count", "/slow/set", "/slow/rotate"] {
                let cookie = new_cookie(client).await;
                let mut own = None;
                let (answer, ()) = rocket::tokio::join!(get(client, slow, Some(&cookie)), async {
                    gate.arrival().await;
                    own = get(client, "/login/ada", Some(&cookie)).await.cookie();
                    gate.open();
                });
                assert_eq!(answer.status, Status::Conflict, "{slow}");
                assert_eq!(answer.header("set-cookie"), None, "{slow}");
                assert_eq!(get(client, "/read", own.as_deref()).await.body, "1", "{slow}");
                assert_eq!(user(client, &own.unwrap()).await, "ada", "{slow}");
            }
        });
    }

    fn i3_another_users_session_is_not_taken_over(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let adas = signed_in(client, "ada").await;
            get(client, "/add/secret", Some(&adas)).await;
            let bobs = get(client, "/login/bob", Some(&adas)).await.cookie().unwrap();
            assert_eq!(user(client, &bobs).await, "bob");
            // The first item in a cart of his own.
            assert_eq!(get(client, "/add/pen", Some(&bobs)).await.body, "1");
            assert_eq!(user(client, &adas).await, "-");
            assert_eq!(database.sessions(), 1);
        });
    }

    fn a_login_whose_anonymous_session_ended_meanwhile_gets_a_new_one(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let gate = client.rocket().state::<Arc<Gate>>().unwrap();
            let cookie = new_cookie(client).await;
            let slow = get(client, "/slow/login/ada", Some(&cookie));
            let (answer, ()) = rocket::tokio::join!(slow, async {
                gate.arrival().await;
                get(client, "/destroy", Some(&cookie)).await;
                gate.open();
            });
            let own = answer.cookie().unwrap();
            assert_eq!(user(client, &own).await, "ada");
            assert_eq!(get(client, "/read", Some(&own)).await.body, "0");
            assert_eq!(database.sessions(), 1);
        });
    }

    fn only_users_who_may_are_signed_in(database: &Database) {
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

    fn i2_no_login_outlives_a_change_of_the_password(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let gate = client.rocket().state::<Arc<Gate>>().unwrap();
            let keep = signed_in(client, "ada").await;
            let admin = client.rocket().state::<SessionAdmin>().unwrap();
            let kept = admin.list(1, None, None).await.unwrap().sessions.remove(0);
            let other = signed_in(client, "ada").await;
            let slow = get(client, "/slow/login/ada?hash=ada", None);
            let (answer, ()) = rocket::tokio::join!(slow, async {
                gate.arrival().await;
                let store = database.store();
                let change = change_of_password(&kept);
                assert_ended(&store.change_password(&change).unwrap(), 1);
                assert_eq!(store.change_password(&change).unwrap(), UserChange::NoUser);
                gate.open();
            });
            assert_eq!(answer.status, Status::Unauthorized);
            for cookie in [keep, other] {
                assert_eq!(user(client, &cookie).await, "-");
            }
            assert_eq!(database.sessions(), 1);
        });
    }

    fn i2_a_user_who_is_disabled_or_deleted_has_no_session(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let store = database.store();
            let now = rocket_diesel_sessions::SystemClock.now();
            let ends: [(&str, &dyn Fn()); 4] = [
                ("disabled", &|| assert_ended(&store.disable_user("ada", now).unwrap(), 2)),
                ("disabled by SQL", &|| {
                    database.execute("UPDATE users SET disabled_at = updated_at WHERE id = 'ada'");
                }),
                ("deleted", &|| {
                    assert_ended(&store.delete_user("ada", None).unwrap(), 2);
                    let again = store.delete_user("ada", None).unwrap();
                    assert_eq!(again, UserChange::NoUser);
                }),
                ("deleted by SQL", &|| database.execute("DELETE FROM users WHERE id = 'ada'")),
            ];
            for (how, end) in ends {
                let cookies = [signed_in(client, "ada").await, signed_in(client, "ada").await];
                let bobs = signed_in(client, "bob").await;
                end();
                for cookie in cookies {
                    let answer = get(client, "/user", Some(&cookie)).await;
                    assert_eq!(answer.body, "-", "{how}");
                }
                assert_eq!(get(client, "/login/ada", None).await.status, Status::Unauthorized);
                assert_eq!(user(client, &bobs).await, "bob", "{how}");
                database.execute("DELETE FROM users WHERE id = 'ada'");
                database.add_users(&["ada"]);
            }
        });
    }

    fn of_many_logins_at_once_no_more_are_left_than_allowed(database: &Database) {
        let config = SessionConfig {
            max_sessions_per_user: 3,
            timeout: std::time::Duration::from_secs(20),
            ..SessionConfig::default()
        };
        run(async {
            let client = Arc::new(client(database, config).await);
            let logins: Vec<_> = (0..24)
                .map(|_| {
                    let client = Arc::clone(&client);
                    rocket::tokio::spawn(async move { signed_in(&client, "ada").await })
                })
                .collect();
            let mut cookies = HashSet::new();
            for login in logins {
                cookies.insert(login.await.unwrap());
            }
            assert_eq!(cookies.len(), 24);
            let mut live = 0;
            for cookie in &cookies {
                live += usize::from(user(&client, cookie).await == "ada");
            }
            assert_eq!(live, 3);
            assert_eq!(database.sessions(), 3);
            // The oldest made room: the next one ends the oldest of these.
            let oldest = user_sessions(&client).list("ada").await.unwrap().pop().unwrap();
            signed_in(&client, "ada").await;
            let left = user_sessions(&client).list("ada").await.unwrap();
            assert!(left.len() == 3 && left.iter().all(|session| session.id != oldest.id));
        });
    }

    fn logins_that_race_wait_for_each_other(database: &Database) {
        const AT_ONCE: usize = 4;
        let store = database.store();
        database.add_users(&["ada"]);
        for round in 0..20 {
            let start = Barrier::new(AT_ONCE);
            std::thread::scope(|scope| {
                for _ in 0..AT_ONCE {
                    scope.spawn(|| {
                        let login = login_of_ada(1);
                        start.wait();
                        let outcome = store.login(&login).unwrap();
                        assert!(matches!(outcome, LoginOutcome::Created(_)), "{outcome:?}");
                    });
                }
            });
            assert_eq!(database.sessions(), 1, "round {round}");
        }
    }

    fn i2_changes_of_a_user_leave_no_session_of_a_login_that_was_under_way(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        for round in 0..24 {
            database.execute("UPDATE users SET password_hash = 'ada', disabled_at = NULL");
            let asking = login_of_ada(0);
            store.login(&asking).unwrap();
            let asking = asking.fresh.into_record();
            let start = Barrier::new(5);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        start.wait();
                        for _ in 0..4 {
                            store.login(&login_of_ada(2)).unwrap();
                        }
                    });
                }
                start.wait();
                match round % 3 {
                    // Whether the session that asks is still there or not: it may have been the
                    // oldest.
                    0 => drop(store.change_password(&change_of_password(&asking)).unwrap()),
                    1 => drop(store.disable_user("ada", asking.created_at).unwrap()),
                    _ => database.execute("UPDATE users SET disabled_at = updated_at"),
                }
            });
            let changed = "SELECT count(*) AS n FROM users WHERE password_hash = 'new' \
                           OR disabled_at IS NOT NULL";
            if database.number(changed) == 1 {
                let left = "SELECT count(*) AS n FROM sessions WHERE user_id IS NOT NULL";
                assert_eq!(database.number(left), i64::from(round % 3 == 0), "round {round}");
            }
            database.execute("DELETE FROM sessions");
        }
    }

    fn a_login_that_is_sent_twice_keeps_the_data(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let gate = client.rocket().state::<Arc<Gate>>().unwrap();
            let cookie = new_cookie(client).await;
            let slow = || get(client, "/slow/login/ada", Some(&cookie));
            let (first, second, ()) = rocket::tokio::join!(slow(), slow(), async {
                gate.arrival().await;
                gate.arrival().await;
                gate.open();
                gate.open();
            });
            // Both are right, and the one that was committed last is the one that counts.
            let mut live = 0;
            for answer in [first, second] {
                let own = answer.cookie().unwrap();
                if user(client, &own).await == "ada" {
                    assert_eq!(get(client, "/read", Some(&own)).await.body, "1");
                    live += 1;
                }
            }
            assert_eq!((live, database.sessions()), (1, 1));
        });
    }

    fn i6_a_login_that_was_answered_503_is_not_committed(database: &Database) {
        let timeout = std::time::Duration::from_millis(400);
        let config = SessionConfig { timeout, ..SessionConfig::default() };
        database.store();
        database.add_users(&["ada"]);
        let options = StoreOptions { timeout, ..StoreOptions::default() };
        let store = Arc::new(DieselStore::open(&database.url(), options).unwrap());
        run(async {
            let (rocket, _) = rocket(store, config);
            let client = &Client::untracked(rocket).await.unwrap();
            let cookie = new_cookie(client).await;
            let mut holder = database.connection();
            match database.kind() {
                Kind::Sqlite => holder.run("BEGIN IMMEDIATE"),
                Kind::Postgres => holder.run("BEGIN; UPDATE users SET updated_at = updated_at"),
            }
            let answer = get(client, "/login/ada", Some(&cookie)).await;
            assert_eq!(answer.status, Status::ServiceUnavailable);
            holder.run("ROLLBACK");
            // Whatever was still waiting for the lock is done before this.
            wait_for("another is signed in", async || {
                get(client, "/login/ada", None).await.status == Status::Ok
            })
            .await;
            assert_eq!(get(client, "/read", Some(&cookie)).await.body, "1");
            let bound = "SELECT count(*) AS n FROM sessions WHERE user_id IS NOT NULL";
            assert_eq!(database.number(bound), 1);
        });
    }

    fn i2_a_session_that_has_ended_does_nothing_for_its_user(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let store = database.store();
            signed_in(client, "ada").await;
            let thief = signed_in(client, "ada").await;
            let admin = client.rocket().state::<SessionAdmin>().unwrap();
            let listed = admin.list(10, None, Some("ada".to_owned())).await.unwrap().sessions;
            let id = get(client, "/id", Some(&thief)).await.body;
            let stolen = listed.iter().find(|session| session.id == id).unwrap();
            let owner = listed.iter().find(|session| session.id != id).unwrap();
            let sessions = user_sessions(client);
            assert!(sessions.by(owner.session_id).revoke("ada", &stolen.id).await.unwrap());

            let thief = sessions.by(stolen.session_id);
            for refused in [
                thief.revoke("ada", &owner.id).await.map(usize::from),
                thief.revoke_others("ada", &stolen.id).await,
                thief.revoke_all("ada").await,
            ] {
                assert!(matches!(refused, Err(SessionError::Ended)), "{refused:?}");
            }
            let by = ActingSession { session_id: stolen.session_id, now: stolen.created_at };
            assert_eq!(store.delete_user("ada", Some(by)).unwrap(), UserChange::SessionEnded);
            let change = store.change_password(&change_of_password(stolen)).unwrap();
            assert_eq!(change, UserChange::SessionEnded);
            let changed = "SELECT count(*) AS n FROM users WHERE password_hash = 'new'";
            assert_eq!((database.sessions(), database.number(changed)), (1, 0));
            // Nor does a live one for another user.
            let bobs = login_for("bob");
            store.login(&bobs).unwrap();
            let revocation = Revocation {
                user_id: "ada".to_owned(),
                scope: RevokeScope::All,
                by: Some(ActingSession { session_id: bobs.fresh.session_id, now: bobs.fresh.now }),
            };
            assert_eq!(store.revoke(&revocation).unwrap(), None);
            let by = ActingSession { session_id: owner.session_id, now: owner.created_at };
            assert_ended(&store.delete_user("ada", Some(by)).unwrap(), 1);
        });
    }

    fn where_the_limit_refuses_logins_the_sessions_stay(database: &Database) {
        let config = SessionConfig {
            max_sessions_per_user: 1,
            on_session_limit: OnSessionLimit::Refuse,
            ..SessionConfig::default()
        };
        run(async {
            let client = &client(database, config).await;
            let first = signed_in(client, "ada").await;
            let cookie = new_cookie(client).await;
            let refused = get(client, "/login/ada", Some(&cookie)).await;
            assert_eq!(refused.status, Status::Conflict);
            assert_eq!(refused.header("set-cookie"), None);
            assert_eq!(get(client, "/count", Some(&cookie)).await.body, "2");
            assert_eq!(user(client, &first).await, "ada");
            // A session of the user's own may be signed in again, also beyond the limit.
            store_beyond_limit(database);
            let again = get(client, "/login/ada", Some(&first)).await;
            assert_eq!(again.status, Status::Ok);
            database.execute("DELETE FROM sessions WHERE user_id IS NOT NULL");
            assert_eq!(get(client, "/login/ada", Some(&cookie)).await.status, Status::Ok);
        });
    }

    fn a_user_lists_and_ends_sessions_and_nobody_elses(database: &Database) {
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
            // Newest first: the third login's.
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

    fn i4_an_anonymous_session_may_end_sooner_and_a_login_prolongs_it(database: &Database) {
        let config = SessionConfig {
            anonymous_idle_timeout: Some(std::time::Duration::from_secs(3600)),
            ..SessionConfig::default()
        };
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
