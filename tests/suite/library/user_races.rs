//! Races of logins, ends of sessions and changes of users. Acknowledged changes hold, whichever
//! came first.

use std::collections::HashSet;
use std::sync::{Arc, Barrier};

use rocket::http::Status;
use rocket_diesel_sessions::store::{
    ActingSession, LastAdmin, LoginOutcome, PasswordChange, Revocation, RevokeScope, RotateSession,
    SessionRecord, SessionStore, StoreOptions, UserOutcome, UserStore,
};
use rocket_diesel_sessions::{Clock, DieselStore, SessionAdmin, SessionConfig, SessionError};

use crate::support::altered;
use crate::support::embedded::{self, Gate, get, new_cookie, run};
use crate::support::sessions::new_session;
use crate::support::users::{client, login_for, login_of_ada, signed_in, user, user_sessions};
use crate::support::{Database, Kind, wait_for};

fn assert_ended(change: &UserOutcome, sessions: usize) {
    assert!(
        matches!(change, UserOutcome::Done(ended) if ended.len() == sessions),
        "{change:?}"
    );
}

/// Returns a change from the password `ada` to `new` by this session.
fn change_of_password(session: &SessionRecord) -> PasswordChange {
    let new = new_session(None);
    PasswordChange {
        user_id: "ada".into(),
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
        event: None,
    }
}

/// Returns a statement as an operator would run it. Under serializable isolation, PostgreSQL could
/// ask for it to be repeated.
fn disable_all(database: &Database) -> &'static str {
    match database.kind() {
        Kind::Sqlite => "UPDATE users SET disabled_at = updated_at",
        Kind::Postgres => {
            "BEGIN ISOLATION LEVEL READ COMMITTED; UPDATE users SET disabled_at = updated_at; COMMIT"
        }
    }
}

on_each_database! {
    fn i2_a_login_is_not_undone_by_requests_in_progress(database: &Database) {
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

    fn a_login_whose_anonymous_session_has_ended_gets_a_new_one(database: &Database) {
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

    fn i2_no_login_survives_a_change_of_the_password(database: &Database) {
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
                assert_eq!(store.change_password(&change).unwrap(), UserOutcome::NoUser);
                gate.open();
            });
            assert_eq!(answer.status, Status::Unauthorized);
            for cookie in [keep, other] {
                assert_eq!(user(client, &cookie).await, "-");
            }
            assert_eq!(database.sessions(), 1);
        });
    }

    fn i2_a_disabled_or_deleted_user_has_no_session(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let store = database.store();
            let now = rocket_diesel_sessions::SystemClock.now();
            let ends: [(&str, &dyn Fn()); 4] = [
                ("disabled", &|| assert_ended(&store.disable_user(&"ada".into(), now, LastAdmin::Keep).unwrap(), 2)),
                ("disabled by SQL", &|| {
                    database.execute("UPDATE users SET disabled_at = updated_at WHERE id = 'ada'");
                }),
                ("deleted", &|| {
                    assert_ended(&store.delete_user(&"ada".into(), None, LastAdmin::Keep).unwrap(), 2);
                    let again = store.delete_user(&"ada".into(), None, LastAdmin::Keep).unwrap();
                    assert_eq!(again, UserOutcome::NoUser);
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

    fn concurrent_logins_do_not_exceed_the_limit_of_sessions(database: &Database) {
        let config = altered(SessionConfig::default(), |config| { config.max_sessions_per_user = 3; config.timeout = std::time::Duration::from_secs(20); });
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
            // The oldest has made room. The next login ends the oldest of these.
            let oldest = user_sessions(&client).list("ada").await.unwrap().pop().unwrap();
            signed_in(&client, "ada").await;
            let left = user_sessions(&client).list("ada").await.unwrap();
            assert!(left.len() == 3 && left.iter().all(|session| session.id != oldest.id));
        });
    }

    fn concurrent_logins_of_one_user_wait_for_each_other(database: &Database) {
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

    fn i2_changes_of_a_user_end_sessions_of_logins_in_progress(database: &Database) {
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
                    // The acting session may or may not exist, because it may have been the oldest.
                    0 => drop(store.change_password(&change_of_password(&asking)).unwrap()),
                    1 => drop(store.disable_user(&"ada".into(), asking.created_at, LastAdmin::Keep).unwrap()),
                    _ => database.execute(disable_all(database)),
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

    fn a_login_sent_twice_keeps_the_data(database: &Database) {
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
            // Both are right, and the one that committed last counts.
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

    fn i6_a_login_answered_503_is_not_committed(database: &Database) {
        let timeout = std::time::Duration::from_millis(400);
        let config = altered(SessionConfig::default(), |config| config.timeout = timeout);
        database.store();
        database.add_users(&["ada"]);
        let options = altered(StoreOptions::default(), |options| options.timeout = timeout);
        let store = Arc::new(DieselStore::open(&database.url(), options).unwrap());
        run(async {
            let client = &embedded::client(store, config).await;
            let cookie = new_cookie(client).await;
            let mut holder = database.connection();
            match database.kind() {
                Kind::Sqlite => holder.run("BEGIN IMMEDIATE"),
                Kind::Postgres => holder.run("BEGIN; UPDATE users SET updated_at = updated_at"),
            }
            let answer = get(client, "/login/ada", Some(&cookie)).await;
            assert_eq!(answer.status, Status::ServiceUnavailable);
            holder.run("ROLLBACK");
            // Everything that was waiting for the lock is done before this.
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
            let listed = admin.list(10, None, Some("ada".into())).await.unwrap().sessions;
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
            assert_eq!(store.delete_user(&"ada".into(), Some(by), LastAdmin::Keep).unwrap(), UserOutcome::SessionEnded);
            let change = store.change_password(&change_of_password(stolen)).unwrap();
            assert_eq!(change, UserOutcome::SessionEnded);
            let changed = "SELECT count(*) AS n FROM users WHERE password_hash = 'new'";
            assert_eq!((database.sessions(), database.number(changed)), (1, 0));
            // Neither does a live session of another user.
            let bobs = login_for("bob");
            store.login(&bobs).unwrap();
            let by = ActingSession { session_id: bobs.fresh.session_id, now: bobs.fresh.now };
            let revocation = Revocation::new("ada", RevokeScope::All);
            let revocation = altered(revocation, |revocation| revocation.by = Some(by));
            assert_eq!(store.revoke(&revocation).unwrap(), None);
            let by = ActingSession { session_id: owner.session_id, now: owner.created_at };
            assert_ended(&store.delete_user(&"ada".into(), Some(by), LastAdmin::Keep).unwrap(), 1);
        });
    }
}
