//! The tools for the tests of an application, as their author uses them.

use std::time::Duration;

use rocket::futures::future::join_all;
use rocket::http::{Cookie, Header, Status};
use rocket::local::{asynchronous, blocking};
use rocket::serde::json::Value;
use rocket::{Build, Config, Rocket, get, post, routes};
use rocket_diesel_sessions::store::{ListSessions, SessionStore};
use rocket_diesel_sessions::testing::TestSessions;
use rocket_diesel_sessions::{
    Login, OnSessionLimit, Session, SessionConfig, SessionError, Sessions, SignedIn, Transport,
};

use crate::support::logged;

type Cart = Vec<String>;

const HOUR: Duration = Duration::from_hours(1);

#[post("/cart/<item>")]
async fn add(session: Session<Cart>, item: String) -> Result<String, SessionError> {
    let count = session.update(move |cart| {
        cart.push(item.clone());
        cart.len()
    });
    Ok(count.await?.to_string())
}

#[get("/cart")]
fn show(session: Session<Cart>) -> String {
    session.data().join(" ")
}

#[get("/account")]
fn account(session: SignedIn<Cart>) -> String {
    session
        .user_id()
        .map(|id| id.to_string())
        .unwrap_or_default()
}

fn application(sessions: Sessions<Cart>) -> Rocket<Build> {
    // Whatever the settings say, the test does not depend on it.
    let figment = Config::figment().merge(("sessions.idle_timeout", "nonsense"));
    rocket::custom(figment)
        .attach(sessions)
        .mount("/", routes![add, show, account])
}

fn blocking() -> (blocking::Client, TestSessions<Cart>) {
    let (sessions, test) = Sessions::testing();
    let client = blocking::Client::tracked(application(sessions)).unwrap();
    (client, test)
}

async fn asynchronous() -> (asynchronous::Client, TestSessions<Cart>) {
    let (sessions, test) = Sessions::testing();
    let client = asynchronous::Client::tracked(application(sessions))
        .await
        .unwrap();
    (client, test)
}

fn cart(items: &[&str]) -> Cart {
    items.iter().map(ToString::to_string).collect()
}

#[test]
fn a_blocking_client_is_signed_in_and_its_data_is_read() {
    let (client, test) = blocking();
    assert_eq!(
        client.get("/account").dispatch().status(),
        Status::Unauthorized
    );
    assert_eq!(test.data::<Cart>(&client), None);
    client.post("/cart/pen").dispatch();
    test.login_as(&client, "ada").unwrap();
    let account = client.get("/account").dispatch();
    assert_eq!(account.into_string().unwrap(), "ada");
    client.post("/cart/ink").dispatch();
    assert_eq!(
        test.data::<Cart>(&client),
        Some(cart(&["pen", "ink"])),
        "the visitor's data is kept"
    );
    let json = test.data::<Value>(&client).unwrap();
    assert_eq!(json[1], "ink");
}

#[rocket::async_test]
async fn an_asynchronous_client_is_signed_in_and_its_data_is_read() {
    let (client, test) = asynchronous().await;
    assert_eq!(test.data::<Cart>(&client), None);
    test.login_as(&client, 42).await.unwrap();
    let account = client.get("/account").dispatch().await;
    assert_eq!(account.into_string().await.unwrap(), "42");
    let adds = join_all((0..20).map(|_| client.post("/cart/pen").dispatch())).await;
    assert!(adds.iter().all(|add| add.status() == Status::Ok));
    assert_eq!(test.data::<Cart>(&client).unwrap().len(), 20);
    assert_eq!(test.record(&client).unwrap().user_id, Some("42".into()));
}

#[rocket::async_test]
async fn cookies_stand_for_the_visitors_of_an_untracked_client() {
    let (sessions, test) = Sessions::<Cart>::testing();
    let client = asynchronous::Client::untracked(application(sessions))
        .await
        .unwrap();
    let ada = test.login_as(&client, "ada").await.unwrap();
    let bob = test
        .login_as(&client, Login::new("bob").method("pwd"))
        .await
        .unwrap();
    client
        .post("/cart/pen")
        .cookie(bob.clone())
        .dispatch()
        .await;
    assert_eq!(test.data::<Cart>(&ada), Some(cart(&[])));
    assert_eq!(test.data::<Cart>(&bob), Some(cart(&["pen"])));
    assert_eq!(test.data::<Cart>(&client), None);
    let forged = Cookie::new(bob.name().to_owned(), format!("{}A", bob.value()));
    assert_eq!(test.data::<Cart>(&forged), None);
}

#[test]
fn a_client_without_cookies_is_signed_in_by_a_token() {
    let (sessions, test) = Sessions::<Cart>::testing();
    let mut config = SessionConfig::default();
    config.transport = Transport::Bearer;
    let client = blocking::Client::tracked(application(sessions.config(config))).unwrap();
    let ada = test.token_as(&client, "ada").unwrap();
    let header = Header::new("Authorization", format!("Bearer {}", ada.expose()));
    client.post("/cart/pen").header(header.clone()).dispatch();
    let account = client.get("/account").header(header).dispatch();
    assert_eq!(account.into_string().unwrap(), "ada");
    assert_eq!(test.data::<Cart>(&ada), Some(cart(&["pen"])));
    assert_eq!(test.record(&client), None);
    let cookie = test.login_as(&client, "bob").unwrap_err();
    assert!(matches!(cookie, SessionError::Aborted), "{cookie}");
}

#[test]
fn i4_a_session_ends_at_its_idle_deadline_and_not_before() {
    let (client, test) = blocking();
    test.login_as(&client, "ada").unwrap();
    test.advance(23 * HOUR);
    assert_eq!(test.data::<Cart>(&client), Some(cart(&[])));
    test.advance(HOUR);
    assert_eq!(test.data::<Cart>(&client), None);
    assert_eq!(
        client.get("/account").dispatch().status(),
        Status::Unauthorized
    );
}

#[test]
fn i4_a_session_in_use_outlives_its_first_deadline_in_each_of_20_runs() {
    for settles in [false, true] {
        for _ in 0..20 {
            let (client, test) = blocking();
            client.post("/cart/pen").dispatch();
            for _ in 0..2 {
                if settles {
                    test.settle_blocking().unwrap();
                }
                test.advance(23 * HOUR);
                // Before the request's own activity is written, too.
                assert_eq!(client.get("/cart").dispatch().into_string().unwrap(), "pen");
                assert_eq!(test.data::<Cart>(&client), Some(cart(&["pen"])));
            }
        }
    }
}

#[rocket::async_test]
async fn after_settling_all_activity_is_stored() {
    let (client, test) = asynchronous().await;
    test.login_as(&client, "ada").await.unwrap();
    for _ in 0..20 {
        test.advance(HOUR);
        client.get("/cart").dispatch().await;
        test.settle().await.unwrap();
        let stored = test
            .store()
            .list(&ListSessions::new(test.now(), 10))
            .unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].last_seen_at, test.now());
        assert_eq!(Some(&stored[0]), test.record(&client).as_ref());
    }
}

#[test]
fn the_log_names_a_user_who_may_not_sign_in() {
    let (sessions, test) = Sessions::<Cart>::testing();
    test.store().add_user("bob", "hash");
    let (refused, said) = logged(async {
        let client = asynchronous::Client::untracked(application(sessions)).await;
        test.login_as(&client.unwrap(), 42).await
    });
    assert_eq!(refused, Err(SessionError::UserRefused));
    assert!(said.contains(r#"user "42" may not sign in"#), "{said}");
}

#[test]
fn a_login_that_is_refused_says_why() {
    let (sessions, test) = Sessions::<Cart>::testing();
    let mut config = SessionConfig::default();
    config.max_sessions_per_user = 1;
    config.on_session_limit = OnSessionLimit::Refuse;
    let client = blocking::Client::untracked(application(sessions.config(config))).unwrap();
    test.login_as(&client, "ada").unwrap();
    let full = test.login_as(&client, "ada").unwrap_err();
    assert!(matches!(full, SessionError::TooManySessions), "{full}");

    test.store().add_user("bob", "hash");
    let unknown = test.login_as(&client, "eve").unwrap_err();
    assert!(matches!(unknown, SessionError::UserRefused), "{unknown}");
    let changed = test.login_as(&client, Login::new("bob").verified_against("other"));
    assert!(matches!(changed, Err(SessionError::UserRefused)));
    let bob = test
        .login_as(&client, Login::new("bob").verified_against("hash"))
        .unwrap();
    test.store().remove_user("bob");
    assert_eq!(test.record(&bob), None);
}

#[test]
fn a_handle_reaches_only_the_rocket_of_its_fairing() {
    let ((client, test), (other, _other)) = (blocking(), blocking());
    let elsewhere = test.login_as(&other, "ada").unwrap_err();
    assert!(
        matches!(elsewhere, SessionError::NotAttached),
        "{elsewhere}"
    );
    let early = Sessions::<Cart>::testing()
        .1
        .login_as(&client, "ada")
        .unwrap_err();
    assert!(matches!(early, SessionError::NotAttached), "{early}");
}

#[test]
fn two_kinds_are_tested_on_one_clock() {
    let (shop, test) = Sessions::<Cart>::testing();
    let (desks, test_desks) = test.kind::<u64>("staff");
    let client = blocking::Client::tracked(application(shop).attach(desks)).unwrap();
    test.login_as(&client, "ada").unwrap();
    assert_eq!(
        test_desks.record(&client),
        None,
        "another kind has cookies of its own"
    );
    test_desks.login_as(&client, "bob").unwrap();
    assert_eq!(test.record(&client).unwrap().user_id, Some("ada".into()));
    assert_eq!(
        test_desks.record(&client).unwrap().user_id,
        Some("bob".into())
    );
    test_desks.advance(25 * HOUR);
    assert_eq!(test.data::<Cart>(&client), None);
    assert_eq!(test_desks.data::<u64>(&client), None);
}

#[test]
fn i3_a_request_alone_signs_no_one_in() {
    let (client, test) = blocking();
    let rocket = client.rocket();
    let mut paths = rocket.routes().map(|route| route.uri.to_string());
    let path = paths.find(|path| path.contains("testing")).unwrap();
    let answer = client.get(path).dispatch();
    assert_eq!(answer.status(), Status::NotFound);
    assert!(answer.cookies().iter().next().is_none());
    assert_eq!(test.record(&client), None);
}
