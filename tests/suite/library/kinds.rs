//! Several kinds of session in one Rocket.

mod launch;
mod office;
mod refused;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use rocket::futures::future::join_all;
use rocket_diesel_sessions::{Attached, SessionAdmin, UserSessions};
use uuid::Uuid;

use self::office::{Office, Staff, renamed};
use crate::support::Database;
use crate::support::cookie::signed_as;
use crate::support::embedded::{Cart, get, new_cookie, run};

const STAFF: &str = "[default.sessions.staff]\nidle_timeout = '15m'\nmax_sessions_per_user = 1";

on_each_database! {
    fn i7_a_cookie_of_one_kind_is_nothing_to_another(database: &Database) {
        run(async {
            let office = Office::open(database, STAFF).await;
            let client = &office.client;
            let shop = get(client, "/login/ada", None).await.cookie().unwrap();
            assert!(shop.starts_with("session="), "{shop}");
            let staff = get(client, "/staff/login/ada", None).await.cookie().unwrap();
            assert!(staff.starts_with("session-staff="), "{staff}");
            assert_eq!(get(client, "/user", Some(&shop)).await.body, "ada");
            assert_eq!(get(client, "/staff/who", Some(&staff)).await.body, "ada");

            let forged = renamed(&shop, "session-staff");
            assert_eq!(get(client, "/staff/who", Some(&forged)).await.body, "-");
            let forged = renamed(&staff, "session");
            assert_eq!(get(client, "/user", Some(&forged)).await.body, "-");

            // Another Rocket on the same database and secret, whose only kind has the cookie's name.
            let other = Office::of_one_kind(database, "cookie.name = 'session-staff'").await;
            assert_eq!(get(&other, "/user", Some(&staff)).await.body, "-");
            let forged = renamed(&shop, "session-staff");
            assert_eq!(get(&other, "/user", Some(&forged)).await.body, "-");
        });
    }

    fn i4_each_kind_has_its_own_deadlines(database: &Database) {
        run(async {
            let office = Office::open(database, STAFF).await;
            let client = &office.client;
            let shop = get(client, "/login/ada", None).await.cookie().unwrap();
            let staff = get(client, "/staff/login/ada", None).await.cookie().unwrap();
            let both = format!("{shop}; {staff}");
            assert_eq!(get(client, "/staff/who", Some(&both)).await.body, "ada");
            office.clock.advance(TimeDelta::minutes(15));
            assert_eq!(get(client, "/staff/who", Some(&both)).await.body, "-");
            assert_eq!(get(client, "/user", Some(&both)).await.body, "ada");
            let admin = client.rocket().state::<SessionAdmin>().unwrap();
            let listed = admin.list(10, None, None).await.unwrap().sessions;
            let kinds: Vec<_> = listed.iter().map(|record| record.kind.as_str()).collect();
            assert_eq!(kinds, [""], "the other has expired");
        });
    }

    fn i4_administration_knows_the_deadlines_of_each_kind(database: &Database) {
        run(async {
            let lasting = "[default.sessions.staff]\nidle_timeout = '20d'";
            let office = Office::open(database, lasting).await;
            let client = &office.client;
            get(client, "/login/ada", None).await;
            get(client, "/staff/login/ada", None).await;
            office.clock.advance(TimeDelta::hours(25));
            let admin = client.rocket().state::<SessionAdmin>().unwrap();
            let listed = admin.list(10, None, None).await.unwrap().sessions;
            let kinds: Vec<_> = listed.iter().map(|record| record.kind.as_str()).collect();
            assert_eq!(kinds, ["staff"]);
        });
    }

    fn i2_ending_sessions_of_one_kind_spares_the_others(database: &Database) {
        run(async {
            let office = Office::open(database, STAFF).await;
            let client = &office.client;
            let shop = get(client, "/login/ada", None).await.cookie().unwrap();
            let first = get(client, "/staff/login/ada", None).await.cookie().unwrap();
            let second = get(client, "/staff/login/ada", None).await.cookie().unwrap();
            assert_eq!(get(client, "/staff/who", Some(&first)).await.body, "-", "one at a time");
            assert_eq!(get(client, "/staff/who", Some(&second)).await.body, "ada");
            assert_eq!(get(client, "/user", Some(&shop)).await.body, "ada");

            let staff = client.rocket().state::<Attached<Staff>>().unwrap();
            assert_eq!(staff.kind(), "staff");
            assert_eq!(staff.users().list("ada").await.unwrap().len(), 1);
            assert_eq!(staff.users().revoke_all("ada").await.unwrap(), 1);
            assert_eq!(get(client, "/staff/who", Some(&second)).await.body, "-");
            assert_eq!(get(client, "/user", Some(&shop)).await.body, "ada");

            get(client, "/staff/login/ada", None).await;
            let users = client.rocket().state::<UserSessions>().unwrap();
            assert_eq!(users.list("ada").await.unwrap().len(), 1);
            assert_eq!(users.of_all_kinds().list("ada").await.unwrap().len(), 2);
            assert_eq!(users.of_all_kinds().revoke_all("ada").await.unwrap(), 2);
            assert_eq!(get(client, "/user", Some(&shop)).await.body, "-");
        });
    }

    fn i3_a_login_of_one_kind_replaces_only_its_token(database: &Database) {
        run(async {
            let office = Office::open(database, STAFF).await;
            let client = &office.client;
            let shop = new_cookie(client).await;
            let before = get(client, "/staff/desk", None).await.cookie().unwrap();
            let both = format!("{shop}; {before}");
            let login = get(client, "/staff/login/ada", Some(&both)).await;
            assert_eq!(login.headers("Set-Cookie").count(), 1);
            let after = login.cookie().unwrap();
            assert_ne!(before, after);
            assert_eq!(get(client, "/staff/who", Some(&before)).await.body, "-");
            assert_eq!(get(client, "/staff/who", Some(&after)).await.body, "ada");
            assert_eq!(get(client, "/staff/desk", Some(&after)).await.body, "2", "the data stays");
            assert_eq!(get(client, "/count", Some(&shop)).await.body, "2");
            // A token that the server did not issue is not adopted.
            let handle = "tz4a98xxat96iws9zmbrgj3a";
            let made_up = signed_as("staff", "session-staff", Uuid::now_v7(), [7; 32], handle);
            let started = get(client, "/staff/desk", Some(&made_up)).await;
            assert_eq!(started.body, "1");
            assert_ne!(started.cookie().unwrap(), made_up);
        });
    }

    fn i10_a_sweep_deletes_what_has_expired_of_each_kind(database: &Database) {
        run(async {
            let office = Office::open(database, STAFF).await;
            let client = &office.client;
            let shop = new_cookie(client).await;
            get(client, "/staff/desk", None).await;
            let admin = client.rocket().state::<SessionAdmin>().unwrap();
            assert_eq!(admin.sweep().await.unwrap().deleted, 0);
            office.clock.advance(TimeDelta::minutes(16));
            assert_eq!(admin.sweep().await.unwrap().deleted, 1);
            assert_eq!(get(client, "/count", Some(&shop)).await.body, "2");
            admin.settle().await.unwrap();
            office.clock.advance(TimeDelta::hours(25));
            assert_eq!(admin.sweep().await.unwrap().deleted, 1);
        });
    }

    fn i1_updates_of_two_kinds_in_one_batch_are_not_mixed_up(database: &Database) {
        run(async {
            let office = Office::open(database, STAFF).await;
            let client = &office.client;
            let shop = new_cookie(client).await;
            let staff = get(client, "/staff/desk", None).await.cookie().unwrap();
            let both = format!("{shop}; {staff}");
            let requests = (0..20).map(|n| {
                let path = if n % 2 == 0 { "/count" } else { "/staff/desk" };
                get(client, path, Some(&both))
            });
            let answers = join_all(requests).await;
            let numbers = |first: usize| -> BTreeSet<String> {
                let answers = answers.iter().skip(first).step_by(2);
                answers.map(|answer| answer.body.clone()).collect()
            };
            let expected: BTreeSet<String> = (2..=11).map(|number| number.to_string()).collect();
            assert_eq!(numbers(0), expected);
            assert_eq!(numbers(1), expected);
        });
    }

    fn i9_a_handler_that_asks_for_one_kind_sets_no_cookie_of_another(database: &Database) {
        run(async {
            let office = Office::open(database, STAFF).await;
            let answer = get(&office.client, "/count", None).await;
            assert_eq!(answer.headers("Set-Cookie").count(), 1);
            let answer = get(&office.client, "/both/ada", None).await;
            assert_eq!(answer.headers("Set-Cookie").count(), 2);
            assert_eq!(answer.body, "1 ada");
        });
    }

    fn kinds_with_the_same_database_share_its_connections(database: &Database) {
        run(async {
            let settings = format!("url = '{}'\n{STAFF}", database.raw_url());
            let office = Office::by_settings(&settings, false).await.unwrap();
            let (shop, staff) = office.both();
            get(&office.client, "/count", None).await;
            get(&office.client, "/staff/desk", None).await;
            for admin in [shop.admin(), staff.admin()] {
                let metrics = admin.metrics();
                assert!(metrics.contains("sessions_created_total 2"), "{metrics}");
            }
            // In whichever order they are attached.
            let office = Office::by_settings(&settings, true).await.unwrap();
            let (shop, staff) = office.both();
            get(&office.client, "/staff/desk", None).await;
            assert!(shop.admin().metrics().contains("sessions_created_total 1"));
            assert_eq!((shop.kind(), staff.kind()), ("", "staff"));
        });
    }

    fn a_kind_can_have_a_database_of_its_own(database: &Database) {
        run(async {
            let other = Database::new(database.kind()).unwrap();
            let settings = format!(
                "url = '{}'\n[default.sessions.staff]\nurl = '{}'\nworkers = 2",
                database.raw_url(),
                other.raw_url()
            );
            let office = Office::by_settings(&settings, false).await.unwrap();
            let (shop, staff) = office.both();
            let cookie = get(&office.client, "/staff/desk", None).await.cookie().unwrap();
            assert_eq!(get(&office.client, "/staff/desk", Some(&cookie)).await.body, "2");
            assert_eq!(staff.admin().list(10, None, None).await.unwrap().sessions.len(), 1);
            assert_eq!(shop.admin().list(10, None, None).await.unwrap().sessions.len(), 0);
            assert!(office.client.rocket().state::<Attached<Cart>>().is_some());
        });
    }
}
