//! Sign-ins with browsers that their users have never used.

use std::sync::{Arc, Mutex};

use rocket::error::ErrorKind;
use rocket::http::Header;
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::{SessionEvent, SessionEventKind, UserSessions};

use crate::support::altered;
use crate::support::embedded::{get, patient, rocket_with, run};
use crate::support::{Database, wait_until};

/// Signs in with the cookies that a browser has. Returns those that it gets.
async fn login(client: &Client, user: &str, cookies: &[String]) -> Vec<String> {
    let mut request = client.get(format!("/login/{user}"));
    if !cookies.is_empty() {
        request.add_header(Header::new("Cookie", cookies.join("; ")));
    }
    let answer = request.dispatch().await;
    let headers = answer.headers().get("Set-Cookie");
    headers
        .map(|cookie| cookie.split(';').next().unwrap().to_owned())
        .collect()
}

on_each_database! {
    fn a_sign_in_with_a_browser_that_the_user_never_used_is_an_event(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob"]);
        let seen: Arc<Mutex<Vec<SessionEvent>>> = Arc::default();
        run(async {
            let (events, told) = (store.clone(), Arc::clone(&seen));
            let config = altered(patient(), |config| config.known_devices = true);
            let (rocket, _) = rocket_with(store, config, |sessions| {
                sessions.events(events).on_event(move |event| {
                    if event.kind == SessionEventKind::NewDevice {
                        told.lock().unwrap().push(event.clone());
                    }
                })
            });
            let client = &Client::untracked(rocket).await.unwrap();
            // The first sign-in of a user is none with a new device.
            let laptop = login(client, "ada", &[]).await;
            assert_eq!(laptop.len(), 2, "{laptop:?}");
            assert!(laptop[1].starts_with("session-device="), "{laptop:?}");
            let device = vec![laptop[1].clone()];
            // The browser is known, also without a session.
            let again = login(client, "ada", &device).await;
            assert_eq!(again.len(), 2);
            // Another user has never used it, and never any other.
            let shared = login(client, "bob", &device).await;
            login(client, "ada", &[shared[1].clone()]).await;
            let phone = login(client, "ada", &[]).await;
            wait_until("the phone is noticed", || !seen.lock().unwrap().is_empty());
            login(client, "ada", &phone).await;
            // Forged and changed cookies are none.
            login(client, "bob", &[format!("{}A", shared[1])]).await;
            wait_until("the second is noticed", || seen.lock().unwrap().len() > 1);
            let users: Vec<_> = seen.lock().unwrap().iter().map(|event| event.user.clone()).collect();
            assert_eq!(users, [Some("ada".into()), Some("bob".into())]);

            let sessions = client.rocket().state::<UserSessions>().unwrap();
            let recorded = sessions.recent_activity("ada", 100).await.unwrap();
            let number = |name: &str| recorded.iter().filter(|event| event.event == name).count();
            assert_eq!((number("login"), number("new_device")), (5, 1));
        });
    }

    fn without_the_setting_there_is_no_second_cookie(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        run(async {
            let (rocket, _) = rocket_with(store, patient(), |sessions| sessions);
            let client = &Client::untracked(rocket).await.unwrap();
            assert_eq!(login(client, "ada", &[]).await.len(), 1);
        });
    }

    fn i12_known_devices_without_a_record_stop_the_launch(database: &Database) {
        let store = database.store();
        run(async {
            let config = altered(patient(), |config| config.known_devices = true);
            let (rocket, _) = rocket_with(store, config, |sessions| sessions);
            let error = Client::untracked(rocket).await.err().unwrap();
            assert!(matches!(error.kind(), ErrorKind::FailedFairings(_)), "{error}");
        });
    }

    fn a_login_that_is_refused_makes_no_device_known(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        run(async {
            let events = store.clone();
            let config = altered(patient(), |config| config.known_devices = true);
            let (rocket, _) = rocket_with(store, config, |sessions| sessions.events(events));
            let client = &Client::untracked(rocket).await.unwrap();
            let answer = get(client, "/login/nobody", None).await;
            assert_eq!(answer.header("set-cookie"), None);
        });
    }
}
