//! I6: what no one was told did not happen. A new token that does not reach its visitor is taken
//! back, and the visitor's old cookie is good afterwards.

use std::sync::Arc;
use std::time::Duration;

use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::{SessionAdmin, SessionConfig};

use crate::support::embedded::{Gate, get, new_cookie, rocket, run};
use crate::support::{Database, Kind, metric, wait_for};

async fn client(database: &Database, config: SessionConfig) -> Client {
    let (rocket, _) = rocket(database.store(), config);
    Client::untracked(rocket).await.unwrap()
}

fn withdrawn(client: &Client) -> u64 {
    let admin = client.rocket().state::<SessionAdmin>().unwrap();
    metric(admin, "sessions_withdrawn_total")
}

on_each_database! {
    fn i6_a_503_after_a_login_leaves_the_visitor_as_before(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            database.add_users(&["ada"]);
            let cookie = &new_cookie(client).await;
            let answer = get(client, "/status/503/login/ada", Some(cookie)).await;
            assert_eq!(answer.status, Status::ServiceUnavailable);
            assert_eq!(answer.header("set-cookie"), None);
            assert_eq!(get(client, "/read", Some(cookie)).await.body, "1");
            assert_eq!(get(client, "/user", Some(cookie)).await.body, "-");
            assert_eq!(database.sessions(), 1);
            // Any other status tells the visitor.
            let answer = get(client, "/status/500/login/ada", Some(cookie)).await;
            let signed_in = answer.cookie().unwrap();
            assert_eq!(get(client, "/user", Some(&signed_in)).await.body, "ada");
            assert_eq!(get(client, "/read", Some(cookie)).await.body, "0");
            // Signed in again, which is a rotation: the user stays.
            get(client, "/status/503/login/ada", Some(&signed_in)).await;
            assert_eq!(get(client, "/user", Some(&signed_in)).await.body, "ada");
            assert_eq!(withdrawn(client), 2);
        });
    }

    fn i6_a_503_after_a_first_login_leaves_no_session(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            database.add_users(&["ada"]);
            for path in ["/status/503/login/ada", "/status/503"] {
                let answer = get(client, path, None).await;
                assert_eq!(answer.header("set-cookie"), None);
                assert_eq!(database.sessions(), 0, "{path}");
            }
        });
    }

    fn i6_a_503_after_a_rotation_leaves_the_old_token(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let cookie = &new_cookie(client).await;
            for _ in 0..3 {
                get(client, "/status/503/rotate", Some(cookie)).await;
                assert_eq!(get(client, "/read", Some(cookie)).await.body, "1");
            }
            assert_eq!(get(client, "/count", Some(cookie)).await.body, "2");
        });
    }

    fn i6_a_rotation_that_its_handler_gave_up_is_undone(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let cookie = &new_cookie(client).await;
            let mut gave_up = 0;
            while gave_up < 5 {
                let gate = client.rocket().state::<Arc<Gate>>().unwrap();
                gate.open();
                let answer = get(client, "/impatient/rotate", Some(cookie)).await;
                if answer.body == "rotated" {
                    let new = answer.cookie().unwrap();
                    assert_eq!(get(client, "/read", Some(&new)).await.body, "1");
                    return;
                }
                gave_up += 1;
                assert_eq!(answer.header("set-cookie"), None);
                let is_good = async || get(client, "/read", Some(cookie)).await.body == "1";
                wait_for("the old cookie is good", is_good).await;
                let is_stable = async || get(client, "/count", Some(cookie)).await.body != "1";
                wait_for("it can be written", is_stable).await;
                database.execute("UPDATE sessions SET data = '{\"count\":1}', version = version + 1");
            }
        });
    }
}

/// Another program keeps SQLite's one writer out for longer than requests wait.
#[test]
fn i6_a_login_that_was_too_late_is_undone() {
    let database = Database::new(Kind::Sqlite).unwrap();
    run(async {
        let config = SessionConfig {
            timeout: Duration::from_millis(300),
            ..SessionConfig::default()
        };
        let client = &client(&database, config).await;
        database.add_users(&["ada"]);
        let cookie = &new_cookie(client).await;
        for path in ["/rotate", "/login/ada", "/count"] {
            let mut holder = database.connection();
            holder.run("BEGIN IMMEDIATE");
            let cookie = (path != "/count").then_some(cookie.as_str());
            let answer = get(client, path, cookie).await;
            assert_eq!(answer.status, Status::ServiceUnavailable, "{path}");
            holder.run("ROLLBACK");
        }
        // Whatever was still under way is done, or undone.
        let is_settled = async || {
            let user = get(client, "/user", Some(cookie)).await.body;
            user == "-" && get(client, "/count", Some(cookie)).await.body != "1"
        };
        wait_for("the old cookie is good", is_settled).await;
        wait_for("no one's session is gone", async || {
            database.sessions() == 1
        })
        .await;
    });
}
