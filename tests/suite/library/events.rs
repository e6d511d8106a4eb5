//! Events of sessions, as hooks and metrics receive them.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use rocket::http::Status;
use rocket::local::asynchronous;
use rocket_diesel_sessions::{
    EndReason, SessionAdmin, SessionConfig, SessionEvent, SessionEventKind, UserSessions,
};

use crate::support::altered;
use crate::support::embedded::{get, new_cookie, rocket_with, run};
use crate::support::local::application;
use crate::support::{Database, Kind, Visitor, metric};

on_each_database! {
    fn hooks_receive_all_events_of_sessions(database: &Database) {
        let events: Arc<Mutex<Vec<SessionEvent>>> = Arc::default();
        let told = Arc::clone(&events);
        let config = altered(SessionConfig::default(), |config| config.max_sessions_per_user = 1);
        run(async {
            let (rocket, clock) = rocket_with(database.store(), config, |sessions| {
                sessions
                    .on_event(move |event| told.lock().unwrap().push(event.clone()))
                    .on_event(|_| panic!("a hook that panics harms nobody"))
            });
            database.add_users(&["ada"]);
            let client = &asynchronous::Client::untracked(rocket).await.unwrap();
            let admin = client.rocket().state::<SessionAdmin>().unwrap();
            let mut expected = Vec::new();
            let mut expect = |id: &str, kind| {
                let seen = std::mem::take(&mut *events.lock().unwrap());
                let seen: Vec<_> = seen.into_iter().map(|event| (event.id, event.kind)).collect();
                expected.push((id.to_owned(), kind));
                assert!(seen.contains(&(id.into(), kind)), "{id} {kind:?}: {seen:?}");
                seen
            };
            let ended = SessionEventKind::Ended;

            let cookie = new_cookie(client).await;
            let id = get(client, "/id", Some(&cookie)).await.body;
            expect(&id, SessionEventKind::Created);
            let cookie = get(client, "/rotate", Some(&cookie)).await.cookie().unwrap();
            expect(&id, SessionEventKind::Rotated);
            let cookie = get(client, "/login/ada", Some(&cookie)).await.cookie().unwrap();
            let seen = expect(&id, SessionEventKind::Rotated);
            assert_eq!(seen[1..], [(id.as_str().into(), SessionEventKind::Login)]);
            // A second device replaces the first.
            let second = get(client, "/login/ada", None).await;
            let seen = expect(&second.body, SessionEventKind::Created);
            assert!(seen.contains(&(id.into(), ended(EndReason::Replaced))), "{seen:?}");
            assert_eq!(get(client, "/id", Some(&cookie)).await.body, "");
            get(client, "/logout", second.cookie().as_deref()).await;
            expect(&second.body, ended(EndReason::Logout));

            let third = get(client, "/login/ada", None).await.body;
            let users = client.rocket().state::<UserSessions>().unwrap();
            users.revoke_all("ada").await.unwrap();
            expect(&third, ended(EndReason::Revoked));
            let fourth = get(client, "/login/ada", None).await.body;
            admin.revoke(&fourth).await.unwrap();
            expect(&fourth, ended(EndReason::Revoked));

            let cookie = new_cookie(client).await;
            let swept = get(client, "/id", Some(&cookie)).await.body;
            clock.advance(TimeDelta::hours(25));
            admin.sweep().await.unwrap();
            expect(&swept, ended(EndReason::Expired));
            let cookie = new_cookie(client).await;
            let cleared = get(client, "/id", Some(&cookie)).await.body;
            admin.clear().await.unwrap();
            expect(&cleared, ended(EndReason::Cleared));

            assert_eq!(metric(admin, "sessions_created_total"), 6);
            assert_eq!(metric(admin, "sessions_rotated_total"), 2);
            assert_eq!(metric(admin, "sessions_logins_total"), 4);
            for (reason, number) in
                [("logout", 1), ("revoked", 2), ("replaced", 1), ("expired", 1), ("cleared", 1)]
            {
                let name = format!("sessions_ended_total{{reason=\"{reason}\"}}");
                assert_eq!(metric(admin, &name), number, "{reason}");
            }
        });
    }
}

#[test]
fn metrics_count_the_reasons_for_missing_sessions() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, clock) = application(&database, "");
    let mut visitor = Visitor::new(&client);
    visitor.visit();
    let cookie = visitor.cookie.clone().unwrap();
    visitor.session();
    clock.advance(TimeDelta::hours(25));
    visitor.session();
    Visitor::new(&client).session();
    Visitor::with_cookie(&client, "session=forged").session();
    database.execute("DELETE FROM sessions");
    Visitor::with_cookie(&client, cookie).session();
    let admin = client.rocket().state::<SessionAdmin>().unwrap();
    for (reason, number) in [("none", 2), ("forged", 1), ("expired", 1), ("gone", 1)] {
        let name = format!("sessions_missed_total{{reason=\"{reason}\"}}");
        assert_eq!(metric(admin, &name), number, "{reason}");
    }
    assert_eq!(metric(admin, "sessions_loaded_total"), 1);
    assert!(metric(admin, "sessions_statement_seconds_count{call=\"load\"}") >= 3);
    let answer = Visitor::new(&client).get("/api/session/stats?hours=0");
    assert_eq!(answer.status, Status::UnprocessableEntity);
}
