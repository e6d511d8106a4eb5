//! I11: a row, value, closure or lock that fails or hangs harms only its own visitor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use rocket::futures::future::{join, join_all};
use rocket::http::{Header, Status};
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::SessionConfig;

use crate::support::embedded::{Gate, client, get, new_cookie, patient, run};
use crate::support::gathered::{gated, one_writer};
use crate::support::local::Answer;
use crate::support::{Cluster, Database, Kind, altered, wait_for};

fn assert_all_are(status: Status, answers: &[Answer], what: &str) {
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, status, "{what}, {number}: {}", answer.body);
    }
}

async fn get_each(client: &Client, path: &str, cookies: &[String]) -> Vec<Answer> {
    join_all(cookies.iter().map(|cookie| get(client, path, Some(cookie)))).await
}

async fn new_cookies(client: &Client, count: usize) -> Vec<String> {
    join_all((0..count).map(|_| new_cookie(client))).await
}

/// Blocks this many closures and asserts that thirty other visitors are served in the meantime.
async fn others_are_served_beside(client: &Client, blocked: usize) {
    let slow = new_cookies(client, blocked).await;
    let others = new_cookies(client, 30).await;
    let gate = client.rocket().state::<Arc<Gate>>().unwrap();
    let (stuck, ()) = join(get_each(client, "/stuck", &slow), async {
        // In one batch with the blocking ones, as far as possible.
        let first = get_each(client, "/count", &others).await;
        assert_all_are(Status::Ok, &first, "beside closures that block");
        gate.arrival().await;
        for count in ["3", "4"] {
            let answers = get_each(client, "/count", &others).await;
            assert!(answers.iter().all(|answer| answer.body == count));
            let newcomers = (0..5).map(|_| get(client, "/count", None));
            assert_all_are(Status::Ok, &join_all(newcomers).await, "new visitors");
        }
        let read = get_each(client, "/read", &slow).await;
        assert_all_are(Status::Ok, &read, "reads of sessions whose update blocks");
        gate.open_closure();
    })
    .await;
    assert_all_are(Status::Ok, &stuck, "closures that were let go");
}

on_each_database! {
    fn i11_one_blocking_closure_delays_no_one_else(database: &Database) {
        run(async {
            let client = client(database.store(), patient()).await;
            others_are_served_beside(&client, 1).await;
        });
    }

    fn i11_as_many_blocking_closures_as_workers_delay_no_one_else(database: &Database) {
        run(async {
            let client = client(database.store(), patient()).await;
            others_are_served_beside(&client, 4).await;
        });
    }

    fn i11_twice_as_many_blocking_closures_as_workers_delay_no_one_else(database: &Database) {
        run(async {
            let client = client(database.store(), patient()).await;
            others_are_served_beside(&client, 8).await;
        });
    }

    fn i11_a_closure_that_panics_fails_its_own_request(database: &Database) {
        run(async {
            let (store, gate) = gated(database.store());
            let client = &client(store, one_writer()).await;
            let cookies = new_cookies(client, 20).await;
            let requests = cookies.iter().enumerate().map(|(number, cookie)| {
                let path = if number % 5 == 0 { "/panic" } else { "/count" };
                get(client, path, Some(cookie))
            });
            let answers = gate.one_batch(client, 20, join_all(requests)).await;
            for (number, answer) in answers.iter().enumerate() {
                let expected = if number % 5 == 0 { 500 } else { 200 };
                assert_eq!(answer.status.code, expected, "{number}");
            }
            assert_all_are(Status::Ok, &get_each(client, "/count", &cookies).await, "afterwards");
        });
    }
}

/// Returns a PostgreSQL database whose encoding lacks most characters.
fn latin1() -> Option<(Cluster, Database)> {
    let cluster = Cluster::start()?;
    let mut admin = PgConnection::establish(&format!("{}/postgres", cluster.url())).unwrap();
    admin
        .batch_execute(
            "CREATE DATABASE latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' \
             TEMPLATE template0",
        )
        .unwrap();
    let database = Database::named(cluster.url(), "latin1");
    Some((cluster, database))
}

#[test]
fn i11_text_that_the_encoding_lacks_harms_only_its_visitor() {
    let Some((_cluster, database)) = latin1() else {
        return;
    };
    run(async {
        let client = &client(database.store(), SessionConfig::default()).await;
        let ordinary = new_cookies(client, 8).await;
        let strange = async |cookie: Option<&str>| {
            let mut request = client.get("/count");
            request.add_header(Header::new("User-Agent", "日"));
            if let Some(cookie) = cookie {
                request.add_header(Header::new("Cookie", cookie.to_owned()));
            }
            Answer::read(request.dispatch().await).await
        };
        for _ in 0..50 {
            let (strangers, others) = join(
                join_all((0..2).map(|_| strange(None))),
                get_each(client, "/count", &ordinary),
            )
            .await;
            assert_all_are(Status::Ok, &others, "ordinary visitors");
            for answer in &strangers {
                let code = answer.status.code;
                assert!(
                    code == 200 || (400..=500).contains(&code),
                    "the strange one: {code}"
                );
            }
        }
        let (items, others) = join(
            join_all((0..2).map(|_| get(client, "/add/%E6%97%A5", Some(&ordinary[0])))),
            get_each(client, "/count", &ordinary[1..]),
        )
        .await;
        assert_all_are(
            Status::InternalServerError,
            &items,
            "data that cannot be kept",
        );
        assert_all_are(Status::Ok, &others, "others");
        assert_eq!(get(client, "/count", Some(&ordinary[0])).await.body, "52");
    });
}

/// SQLSTATEs that a server reports for a statement.
const STATES: [&str; 9] = [
    "P0001", "22001", "22P05", "22021", "42501", "54000", "53100", "57014", "23514",
];

/// The requests sent at once to twenty sessions. Every fifth has a mark that the database rejects.
const ASKED: [&str; 4] = ["/count", "/rotate", "/destroy", "/add/marked"];

/// Makes the database reject marked rows.
fn object(database: &Database, event: &str, row: &str, state: &str) {
    database.execute(&format!(
        "CREATE OR REPLACE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF {row}.data LIKE '%marked%' THEN RAISE EXCEPTION 'objected' USING ERRCODE = '{state}'; \
         END IF; RETURN {row}; END $$; \
         DROP TRIGGER IF EXISTS object ON sessions; \
         CREATE TRIGGER object BEFORE {event} ON sessions FOR EACH ROW EXECUTE FUNCTION object()"
    ));
}

/// For each SQLSTATE, sends requests for `path` to twenty sessions at once, including marked ones.
/// Asserts that the others are served.
fn others_are_served_where_rows_are_objected_to(path: &str, event: &str, row: &str) {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        let (store, gate) = gated(database.store());
        let client = &client(store, one_writer()).await;
        for state in STATES {
            let cookies = new_cookies(client, 20).await;
            let marked = |number: usize| number.is_multiple_of(5);
            for (number, cookie) in cookies.iter().enumerate() {
                if marked(number) {
                    get(client, "/add/marked", Some(cookie)).await;
                }
            }
            object(&database, event, row, state);
            let requests = get_each(client, path, &cookies);
            let answers = gate.one_batch(client, 20, requests).await;
            for (number, answer) in answers.iter().enumerate() {
                let is_served = answer.status == Status::Ok;
                assert_eq!(
                    is_served,
                    !marked(number),
                    "{state}, {number}: {}",
                    answer.status
                );
            }
            database.execute("DROP TRIGGER object ON sessions");
            let cookies = new_cookies(client, 3).await;
            assert_all_are(
                Status::Ok,
                &get_each(client, "/count", &cookies).await,
                state,
            );
        }
    });
}

#[test]
fn i11_an_update_that_the_database_rejects_fails_alone() {
    others_are_served_where_rows_are_objected_to(ASKED[0], "UPDATE", "NEW");
}

#[test]
fn i11_a_rotation_that_the_database_rejects_fails_alone() {
    others_are_served_where_rows_are_objected_to(ASKED[1], "UPDATE", "NEW");
}

#[test]
fn i11_a_deletion_that_the_database_rejects_fails_alone() {
    others_are_served_where_rows_are_objected_to(ASKED[2], "DELETE", "OLD");
}

#[test]
fn i11_a_new_row_that_the_database_rejects_fails_alone() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        let (store, gate) = gated(database.store());
        let client = &client(store, one_writer()).await;
        for state in STATES {
            object(&database, "INSERT", "NEW", state);
            let requests = (0..20).map(|number| {
                let path = if number % 5 == 0 {
                    ASKED[3]
                } else {
                    "/add/good"
                };
                get(client, path, None)
            });
            let answers = gate.one_batch(client, 20, join_all(requests)).await;
            for (number, answer) in answers.iter().enumerate() {
                let is_served = answer.status == Status::Ok;
                assert_eq!(
                    is_served,
                    number % 5 != 0,
                    "{state}, {number}: {}",
                    answer.status
                );
                assert_eq!(answer.cookie().is_some(), is_served, "{state}, {number}");
            }
        }
    });
}

/// Locks this many sessions in another transaction. Asserts that thirty visitors with other
/// sessions can count, without a refusal, until each visitor of a locked session has been refused
/// twice.
fn others_are_served_beside_held_rows(held: usize) {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    run(async {
        // Their visitors are refused after a quarter of it. Others would be refused only if they
        // were slow.
        let config = altered(SessionConfig::default(), |config| {
            config.timeout = Duration::from_secs(6);
        });
        let client = &client(database.store(), config).await;
        let owners = new_cookies(client, held).await;
        for cookie in &owners {
            assert_eq!(
                get(client, "/add/held", Some(cookie)).await.status,
                Status::Ok
            );
        }
        let others = new_cookies(client, 30).await;
        let mut holder = database.connection();
        // A serializable transaction that reads the whole table would be in conflict with all others.
        holder.run("BEGIN ISOLATION LEVEL READ COMMITTED");
        holder.run("SELECT 1 FROM sessions WHERE data LIKE '%held%' FOR UPDATE");
        let waiting = &AtomicUsize::new(held);
        let wait_in_vain = async |cookie: &str| {
            for _ in 0..2 {
                let status = get(client, "/count", Some(cookie)).await.status;
                assert_eq!(status, Status::ServiceUnavailable, "a row that is held");
            }
            waiting.fetch_sub(1, Ordering::SeqCst);
        };
        let count = async |cookie: &str| {
            while waiting.load(Ordering::SeqCst) > 0 {
                let status = get(client, "/count", Some(cookie)).await.status;
                assert_eq!(status, Status::Ok, "{held} rows held");
            }
        };
        join(
            join_all(owners.iter().map(|cookie| wait_in_vain(cookie))),
            join_all(others.iter().map(|cookie| count(cookie))),
        )
        .await;
        holder.run("ROLLBACK");
        wait_for("rows that were held are served", async || {
            let answers = get_each(client, "/count", &owners).await;
            answers.iter().all(|answer| answer.status == Status::Ok)
        })
        .await;
    });
}

#[test]
fn i11_one_locked_row_harms_only_its_visitor() {
    others_are_served_beside_held_rows(1);
}

#[test]
fn i11_four_locked_rows_harm_only_their_visitors() {
    others_are_served_beside_held_rows(4);
}

#[test]
fn i11_six_locked_rows_harm_only_their_visitors() {
    others_are_served_beside_held_rows(6);
}

#[test]
fn i11_twenty_locked_rows_harm_only_their_visitors() {
    others_are_served_beside_held_rows(20);
}
