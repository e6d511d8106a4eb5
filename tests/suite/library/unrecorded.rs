//! `stats_interval = "0s"`: usage is not recorded, and an idle server leaves its database alone.

use chrono::{TimeDelta, Utc};
use rocket::http::Status;
use rocket_diesel_sessions::store::{
    EventRecord, EventStore, HourStats, SessionStore, StatsStore, UsageDelta,
};
use rocket_diesel_sessions::{Clock, SessionAdmin};

use crate::support::accounts::registered;
use crate::support::altered;
use crate::support::command_line::{on, stdout};
use crate::support::embedded::run;
use crate::support::local::application;
use crate::support::server::run_to_end;
use crate::support::sessions::new_session;
use crate::support::{Database, Server, Visitor, metric, wait_until};

const OFF: &str = "stats_interval = \"0s\"";

/// Starts a server with this `stats_interval`.
fn server(database: &Database, interval: &str) -> Server {
    let settings = format!("{{timeout=\"20s\", stats_interval=\"{interval}\"}}");
    Server::start_with(database, &[("ROCKET_SESSIONS", &settings)])
}

/// Returns a server's log, with the names in statements as they are without quotes.
fn log_of(server: &Server) -> String {
    server.log().replace(['"', '`'], "")
}

/// Returns the number of rows in the tables of usage.
fn recorded(database: &Database) -> i64 {
    database.number(
        "SELECT (SELECT count(*) FROM session_stats) + (SELECT count(*) FROM session_stats_users) \
         AS n",
    )
}

on_each_database! {
    fn a_server_that_records_no_usage_leaves_none_behind(database: &Database) {
        let server = server(database, "0s");
        let mut ada = server.client();
        let user = "{\"username\": \"ada\", \"password\": \"a long enough password\"}";
        assert_eq!(ada.post("/api/auth/register", user).status, 201);
        server.client().visit();
        assert_eq!(ada.get("/api/session/stats").status, 200);
        assert_eq!(ada.delete("/api/session").status, 204);
        let log = server.log_at_end();
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
        assert_eq!(recorded(database), 0);
        // With the setting on, the same leaves something.
        let server = self::server(database, "1m");
        server.client().visit();
        server.log_at_end();
        assert!(recorded(database) > 0);
    }

    fn an_idle_server_that_records_no_usage_runs_no_statements(database: &Database) {
        let quiet = server(database, "0s");
        // Events that are old are looked for soon after the start, and then as often as sessions are
        // swept.
        let first = "DELETE FROM session_events";
        wait_until("old events were looked for", || log_of(&quiet).contains(first));
        let busy = server(database, "1s");
        let writes = || log_of(&busy).matches("INSERT INTO session_stats ").count();
        // The first sweep may fall into one period, or between two.
        let seen = [(); 3].map(|()| {
            let (start, before) = (quiet.log().len(), writes());
            wait_until("usage was written twice", || writes() >= before + 2);
            quiet.log()[start..].to_owned()
        });
        let is_idle = |log: &String| !log.contains("rocket_diesel_sessions::sql");
        assert!(seen.iter().any(is_idle), "{seen:?}");
    }

    fn a_sweep_does_what_is_left_of_the_recorders_work(database: &Database) {
        let (client, clock) = application(database, OFF);
        let store = database.store();
        let long_ago = HourStats::hour_of(clock.now() - TimeDelta::days(91));
        let yesterday = HourStats::hour_of(clock.now() - TimeDelta::days(1));
        for hour in [long_ago, yesterday] {
            let usage = altered(UsageDelta::new(hour), |usage| {
                usage.created = 7;
                usage.users = vec!["ada".into(), "bob".into()];
            });
            store.add_usage(&[usage]).unwrap();
        }
        store.create(&[new_session(None)]).unwrap();
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        let anonymous = "sessions_active{kind=\"anonymous\"}";
        assert_eq!(metric(admin, anonymous), 0);
        run(admin.sweep()).unwrap();
        assert_eq!(metric(admin, anonymous), 1);
        assert_eq!(database.number("SELECT count(*) AS n FROM session_sweeps"), 1);
        let users = "SELECT count(*) AS n FROM session_stats_users";
        assert_eq!(database.number(users), 0);
        let kept = store.usage(long_ago).unwrap();
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!((kept[0].hour, kept[0].created, kept[0].users), (yesterday, 7, 2));
    }

    fn old_events_are_deleted_as_rarely_as_sessions_are_swept(database: &Database) {
        let store = database.store();
        let add_old = || {
            let at = Utc::now() - TimeDelta::days(91);
            store.add_events(&[EventRecord::new(at, "old", "a session")]).unwrap();
        };
        let count = |event: &str| {
            database.number(&format!(
                "SELECT count(*) AS n FROM session_events WHERE event = '{event}'"
            ))
        };
        add_old();
        let (client, clock) = application(database, "cleanup_interval = \"6h\"");
        wait_until("the start deletes old events", || count("old") == 0);
        add_old();
        clock.advance(TimeDelta::hours(5));
        // A round of the thread writes events before it looks for old ones.
        for (logins, name) in (1..).zip(["ada", "bob"]) {
            registered(&client, name);
            wait_until("the login is recorded", || count("login") == logins);
        }
        assert_eq!(count("old"), 1);
        clock.advance(TimeDelta::hours(1));
        wait_until("old events are deleted again", || count("old") == 0);
    }

    fn views_show_what_is_stored_and_say_that_nothing_is_added(database: &Database) {
        let (client, clock) = application(database, OFF);
        let yesterday = HourStats::hour_of(clock.now() - TimeDelta::days(1));
        let usage = altered(UsageDelta::new(yesterday), |usage| usage.created = 8765);
        database.store().add_usage(&[usage]).unwrap();
        let mut ada = registered(&client, "ada");
        let stats = ada.get("/api/session/stats?hours=48").json();
        assert_eq!((&stats["active"], &stats["hours"][0]["created"]), (&1.into(), &8765.into()));
        assert_eq!(stats["hours"].as_array().unwrap().len(), 1);
        let page = Visitor::new(&client).get("/admin");
        assert_eq!(page.status, Status::Ok);
        assert!(page.body.contains("8,765") && page.body.contains("Usage is not recorded"));
        // The hour that the figures are of has nothing.
        assert!(page.body.contains("data-figure=\"created\">0<"), "{}", page.body);
        let (other, _) = application(database, "");
        assert!(!Visitor::new(&other).get("/admin").body.contains("Usage is not recorded"));

        let mut command = on(database, &["stats", "--hours", "48"]);
        command.env("ROCKET_SESSIONS", format!("{{{OFF}}}"));
        let output = stdout(&run_to_end(command));
        assert!(output.contains("8765") && output.contains("usage is not recorded"), "{output}");
    }

    fn a_large_table_is_counted_again_for_those_who_look(database: &Database) {
        let store = database.store();
        let new: Vec<_> = (0..10_001).map(|_| new_session(None)).collect();
        store.create(&new).unwrap();
        let (client, _) = application(database, OFF);
        let active = || Visitor::new(&client).get("/api/session/stats").json()["active"].clone();
        assert_eq!(active(), 10_001);
        store.create(&[new_session(None)]).unwrap();
        wait_until("the count is due again", || active() == 10_002);
    }
}
