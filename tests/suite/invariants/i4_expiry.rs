//! I4: expiry is strict, and no deadline moves back.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rocket::futures::future::join;
use rocket::http::Status;
use rocket::local::asynchronous;
use rocket::local::blocking::Client;
use rocket::serde::json::Value;
use rocket_diesel_sessions::{Clock, SessionAdmin, SessionConfig};

use crate::support::altered;
use crate::support::embedded::{Gate, client_and_clock, get, new_cookie, patient, rocket, run};
use crate::support::local::application;
use crate::support::{Database, Kind, Visitor, wait_for};

fn expires_at(session: &Value) -> DateTime<Utc> {
    session["expiresAt"].as_str().unwrap().parse().unwrap()
}

/// Reads the session, which moves its deadline, and waits until that is written.
fn read_and_touch(client: &Client, visitor: &mut Visitor<'_>, deadline: DateTime<Utc>) {
    assert_eq!(expires_at(&visitor.session()), deadline);
    let admin = client.rocket().state::<SessionAdmin>().unwrap();
    run(admin.settle()).unwrap();
    assert_eq!(expires_at(&visitor.session()), deadline);
}

on_each_database! {
    fn i4_an_unused_session_ends_at_its_idle_deadline(database: &Database) {
        let (client, clock) = application(database, "");
        let mut visitor = Visitor::new(&client);
        visitor.visit();
        let deadline = expires_at(&visitor.session());
        assert_eq!(deadline - clock.now(), TimeDelta::hours(24));
        clock.advance(TimeDelta::hours(24));
        let cookie = visitor.cookie.clone().unwrap();
        // It is not swept, but it is not served either.
        assert_eq!(database.sessions(), 1);
        assert_eq!(visitor.session(), Value::Null);
        assert_eq!(visitor.get("/api/session/sessions").json()["sessions"], rocket::serde::json::json!([]));
        let mut returning = Visitor::with_cookie(&client, cookie);
        assert_eq!(returning.visit(), 1);
        assert_eq!(database.sessions(), 2);
    }

    fn i4_a_session_is_served_until_just_before_its_deadline(database: &Database) {
        let (client, clock) = application(database, "touch_interval = '12h'");
        let mut visitor = Visitor::new(&client);
        visitor.visit();
        clock.advance(TimeDelta::hours(24) - TimeDelta::microseconds(1));
        assert_ne!(visitor.session(), Value::Null);
    }

    fn i4_use_moves_the_idle_deadline_up_to_the_absolute_one(database: &Database) {
        let (client, clock) = application(database, "idle_timeout = '10h'\nabsolute_timeout = '20h'");
        let mut visitor = Visitor::new(&client);
        visitor.visit();
        let start = clock.now();
        for hours in [4, 8, 12, 16] {
            clock.advance(TimeDelta::hours(4));
            let idle = clock.now() + TimeDelta::hours(10);
            read_and_touch(&client, &mut visitor, idle.min(start + TimeDelta::hours(20)));
            assert_eq!(clock.now() - start, TimeDelta::hours(hours));
        }
        clock.advance(TimeDelta::hours(4));
        assert_eq!(visitor.session(), Value::Null);
    }

    fn i4_writes_do_not_move_the_absolute_deadline(database: &Database) {
        let (client, clock) = application(database, "");
        let mut visitor = Visitor::new(&client);
        visitor.visit();
        let count = "SELECT count(DISTINCT absolute_expires_at) AS n FROM sessions";
        // A copy keeps the first deadline.
        let copied = "token_hash, data, version, expires_at, absolute_expires_at, last_seen_at, \
            created_at, updated_at";
        database.execute(&format!("INSERT INTO sessions (id, session_id, {copied}) \
            SELECT 'copy', '', {copied} FROM sessions"));
        for _ in 0..3 {
            clock.advance(TimeDelta::hours(20));
            visitor.visit();
            let deadline = clock.now() + TimeDelta::hours(24);
            read_and_touch(&client, &mut visitor, deadline);
        }
        assert_eq!(database.number(count), 1);
    }

    fn i4_a_stricter_setting_applies_at_once_without_changing_the_row(database: &Database) {
        let (client, clock) = application(database, "");
        let mut visitor = Visitor::new(&client);
        visitor.visit();
        let cookie = visitor.cookie.clone().unwrap();
        let before = expires_at(&visitor.session());
        for sessions in [
            "idle_timeout = '1h'\ntouch_interval = '0s'",
            "idle_timeout = '1h'\nabsolute_timeout = '1h'\ntouch_interval = '0s'",
        ] {
            let (strict, strict_clock) = application(database, sessions);
            assert!(strict_clock.now() >= clock.now());
            let mut same = Visitor::with_cookie(&strict, cookie.clone());
            let shown = expires_at(&same.session());
            assert!(shown - clock.now() <= TimeDelta::hours(1) + TimeDelta::seconds(30), "{shown}");
            strict_clock.advance(TimeDelta::hours(2));
            assert_eq!(same.session(), Value::Null);
            let mut admin = Visitor::new(&strict);
            let list = admin.get("/api/session/sessions");
            assert_eq!(list.json()["sessions"], rocket::serde::json::json!([]));
        }
        assert_eq!(expires_at(&visitor.session()), before);
    }

    fn i4_a_write_after_the_deadline_is_refused(database: &Database) {
        for path in ["/slow/count", "/slow/set"] {
            run(async {
                let day = std::time::Duration::from_hours(24);
                let config = altered(SessionConfig::default(), |config| config.absolute_timeout = day);
                let (rocket, clock) = rocket(database.store(), config);
                let gate = Arc::clone(rocket.state::<Arc<Gate>>().unwrap());
                let client = &asynchronous::Client::untracked(rocket).await.unwrap();
                let cookie = &new_cookie(client).await;
                clock.advance(TimeDelta::hours(24) - TimeDelta::microseconds(1));
                // Accepted at the last moment, and slow.
                let other = async {
                    gate.arrival().await;
                    clock.advance(TimeDelta::microseconds(1));
                    let refused = get(client, "/read", Some(cookie)).await;
                    gate.open();
                    refused
                };
                let (late, refused) = join(get(client, path, Some(cookie)), other).await;
                assert_eq!((late.status, late.header("set-cookie")), (Status::Conflict, None));
                assert_eq!(refused.body, "0", "{path}");
            });
        }
    }

    fn i4_a_session_refused_as_expired_is_never_served_again(database: &Database) {
        run(async {
            let (rocket, clock) = rocket(database.store(), SessionConfig::default());
            let gate = Arc::clone(rocket.state::<Arc<Gate>>().unwrap());
            let client = &asynchronous::Client::untracked(rocket).await.unwrap();
            let cookie = &new_cookie(client).await;
            clock.advance(TimeDelta::hours(24) - TimeDelta::microseconds(1));
            let touched = "SELECT count(*) AS n FROM sessions WHERE last_seen_at > created_at";
            let other = async {
                gate.arrival().await;
                // The touch is written during the request, not with its response.
                wait_for("the activity is recorded", async || database.number(touched) == 1).await;
                assert_eq!(get(client, "/read", Some(cookie)).await.body, "1");
                clock.advance(TimeDelta::hours(24));
                assert_eq!(get(client, "/read", Some(cookie)).await.body, "0");
                gate.open();
            };
            join(get(client, "/slow/count", Some(cookie)), other).await;
            assert_eq!(get(client, "/read", Some(cookie)).await.body, "0");
            assert_eq!(database.number(touched), 1);
        });
    }

    /// Another instance may have a touch on its way that extends the session.
    fn i2_a_logout_ends_a_session_that_has_just_expired(database: &Database) {
        run(async {
            let (client, clock) = &client_and_clock(database.store(), SessionConfig::default()).await;
            for path in ["/destroy", "/logout"] {
                let cookie = &new_cookie(client).await;
                clock.advance(TimeDelta::hours(24));
                assert_eq!(get(client, "/read", Some(cookie)).await.body, "0");
                let rows = database.sessions();
                assert_eq!(get(client, path, Some(cookie)).await.status, Status::Ok);
                assert_eq!(database.sessions(), rows - 1, "{path}");
            }
        });
    }

    fn i4_touches_are_recorded_only_when_due(database: &Database) {
        let (client, clock) = application(database, "touch_interval = '5m'");
        let mut visitor = Visitor::new(&client);
        visitor.visit();
        let first = expires_at(&visitor.session());
        clock.advance(TimeDelta::minutes(5) - TimeDelta::microseconds(1));
        assert_eq!(visitor.get("/api/session").status, Status::Ok);
        // If that touch had been recorded, this one would not be due.
        clock.advance(TimeDelta::microseconds(1));
        read_and_touch(&client, &mut visitor, first + TimeDelta::minutes(5));
    }
}

/// A touch leaves out rows that another transaction holds, and the touch before may be one.
#[test]
fn i4_use_counts_while_an_earlier_touch_is_being_written() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        let config = altered(patient(), |config| {
            config.idle_timeout = Duration::from_hours(10);
        });
        let (client, clock) = &client_and_clock(database.store(), config).await;
        let cookie = &new_cookie(client).await;
        database.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$; \
             CREATE TRIGGER slow BEFORE UPDATE ON sessions \
             FOR EACH ROW EXECUTE FUNCTION slow()",
        );
        for hours in (4..=40).step_by(4) {
            clock.advance(TimeDelta::hours(4));
            let answer = get(client, "/read", Some(cookie)).await;
            assert_eq!(answer.body, "1", "after {hours} hours");
        }
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        admin.settle().await.unwrap();
        let session = &admin.list(1, None, None).await.unwrap().sessions[0];
        assert_eq!(session.expires_at, clock.now() + TimeDelta::hours(10));
    });
}
