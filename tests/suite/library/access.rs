//! The guards `SignedIn`, `Fresh` and `PassiveSession`, activity, and updates that may refuse.

use std::time::Duration;

use chrono::TimeDelta;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::request::{FromRequest, Outcome};
use rocket::{Request, catch, catchers, get as route, routes};
use rocket_diesel_sessions::{
    Fresh, PassiveSession, Session, SessionAdmin, SessionConfig, SessionError, SignedIn,
};

use crate::support::embedded::{Answered, Cart, get, new_cookie, rocket, run};
use crate::support::{Database, altered};

#[route("/signed-in")]
fn signed_in(session: SignedIn<Cart>) -> String {
    format!("{} with {}", session.user(), session.data().count)
}

#[route("/fresh")]
fn fresh(session: Fresh<Cart>) -> String {
    session.user().to_string()
}

/// Ends the session before the next guard of the route.
struct SignedOut;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for SignedOut {
    type Error = SessionError;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, SessionError> {
        let session = Session::<Cart>::of(request).await.unwrap();
        session.logout().await.unwrap();
        Outcome::Success(Self)
    }
}

/// Fails with its last guard, after another one that was optional.
#[route("/optional")]
fn optional(fresh: Option<Fresh<Cart>>, _out: SignedOut, session: SignedIn<Cart>) -> String {
    format!("{} {}", fresh.is_some(), session.user())
}

/// Returns the seconds to the idle and the absolute deadline.
#[route("/passive")]
fn passive(session: PassiveSession<Cart>) -> String {
    let status = session.status();
    status.map_or_else(
        || "-".to_owned(),
        |status| format!("{} {}", status.idle.as_secs(), status.absolute.as_secs()),
    )
}

#[route("/touch")]
fn touch(session: PassiveSession<Cart>) {
    session.touch();
}

#[route("/end-others")]
async fn end_others(session: Session<Cart>) -> Answered {
    Ok(session.revoke_others().await?.to_string())
}

/// Increments the count, up to 2.
#[route("/add-up")]
async fn add_up(session: Session<Cart>) -> String {
    let added: Result<u64, Full> = session
        .try_update(|cart| {
            cart.count += 1;
            if cart.count > 2 {
                return Err(Full::Cart);
            }
            Ok(cart.count)
        })
        .await;
    match added {
        Ok(count) => count.to_string(),
        Err(Full::Cart) => format!("full at {}", session.data().count),
        Err(Full::Session(error)) => error.to_string(),
    }
}

#[route("/refuse")]
async fn refuse(session: Session<Cart>) -> String {
    let refused: Result<(), Full> = session.try_update(|_| Err(Full::Cart)).await;
    format!("{} {}", refused.is_err(), session.handle().is_some())
}

enum Full {
    Cart,
    Session(SessionError),
}

impl From<SessionError> for Full {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

#[catch(default)]
fn refused(status: Status, request: &Request<'_>) -> String {
    let error = SessionError::of(request).map(|error| error.to_string());
    format!("{status}: {}", error.unwrap_or_default())
}

/// Runs a test on an application with the user ada that records all activity.
macro_rules! on_application {
    ($database:expr, |$client:ident, $clock:ident| $body:block) => {
        let store = $database.store();
        $database.add_users(&["ada"]);
        let config = altered(SessionConfig::default(), |config| {
            config.touch_interval = Duration::ZERO;
        });
        run(async {
            let (rocket, $clock) = rocket(store, config);
            let routes = routes![
                signed_in, fresh, optional, passive, touch, end_others, add_up, refuse
            ];
            let rocket = rocket.mount("/", routes).register("/", catchers![refused]);
            let $client = Client::untracked(rocket).await.unwrap();
            $body
        });
    };
}

async fn settle(client: &Client) {
    let admin = client.rocket().state::<SessionAdmin>().unwrap();
    admin.settle().await.unwrap();
}

const DAY: u64 = 86_400;

on_each_database! {
    fn guards_refuse_with_a_reason(database: &Database) {
        on_application!(database, |client, clock| {
            let anonymous = new_cookie(&client).await;
            for path in ["/signed-in", "/fresh"] {
                let answer = get(&client, path, Some(&anonymous)).await;
                assert_eq!(answer.body, "401 Unauthorized: sign in first", "{path}");
            }
            let cookie = get(&client, "/login/ada", Some(&anonymous)).await.cookie().unwrap();
            assert_eq!(get(&client, "/signed-in", Some(&cookie)).await.body, "ada with 1");
            clock.advance(TimeDelta::minutes(10));
            assert_eq!(get(&client, "/fresh", Some(&cookie)).await.body, "ada");
            clock.advance(TimeDelta::seconds(1));
            let answer = get(&client, "/fresh", Some(&cookie)).await;
            assert_eq!(answer.status.code, 403);
            assert!(answer.body.contains("sign in again"), "{}", answer.body);
            assert_eq!(get(&client, "/signed-in", Some(&cookie)).await.body, "ada with 1");
            // A guard that was optional has not refused the request.
            let answer = get(&client, "/optional", Some(&cookie)).await;
            assert_eq!(answer.body, "401 Unauthorized: sign in first");
        });
    }

    fn a_passive_request_is_not_activity_but_a_touch_is(database: &Database) {
        on_application!(database, |client, clock| {
            assert_eq!(get(&client, "/passive", None).await.body, "-");
            let cookie = new_cookie(&client).await;
            for seconds in [100, 200] {
                clock.advance(TimeDelta::seconds(100));
                let left = get(&client, "/passive", Some(&cookie)).await.body;
                assert_eq!(left, format!("{} {}", DAY - seconds, 30 * DAY - seconds));
                settle(&client).await;
            }
            get(&client, "/touch", Some(&cookie)).await;
            settle(&client).await;
            let left = get(&client, "/passive", Some(&cookie)).await.body;
            assert_eq!(left, format!("{DAY} {}", 30 * DAY - 200));
            clock.advance(TimeDelta::days(1));
            assert_eq!(get(&client, "/passive", Some(&cookie)).await.body, "-");
            get(&client, "/touch", Some(&cookie)).await;
            settle(&client).await;
            let left = get(&client, "/passive", Some(&cookie)).await.body;
            assert_eq!(left, "-", "an expired session stays so");
        });
    }

    fn revoking_the_others_ends_the_users_other_sessions(database: &Database) {
        on_application!(database, |client, _clock| {
            let anonymous = new_cookie(&client).await;
            assert_eq!(get(&client, "/end-others", Some(&anonymous)).await.body, "0");
            let mut cookies = Vec::new();
            for _ in 0..3 {
                cookies.extend(get(&client, "/login/ada", None).await.cookie());
            }
            assert_eq!(get(&client, "/end-others", Some(&cookies[2])).await.body, "2");
            assert_eq!(get(&client, "/user", Some(&cookies[0])).await.body, "-");
            assert_eq!(get(&client, "/user", Some(&cookies[2])).await.body, "ada");
            assert_eq!(get(&client, "/read", Some(&anonymous)).await.body, "1");
        });
    }

    fn an_update_that_refuses_stores_nothing(database: &Database) {
        on_application!(database, |client, _clock| {
            let refused = get(&client, "/refuse", None).await;
            assert_eq!((refused.body.as_str(), refused.cookie()), ("true false", None));
            assert_eq!(database.sessions(), 0);
            let cookie = get(&client, "/add-up", None).await.cookie().unwrap();
            assert_eq!(get(&client, "/add-up", Some(&cookie)).await.body, "2");
            let versions = "SELECT version AS n FROM sessions";
            let version = database.number(versions);
            assert_eq!(get(&client, "/add-up", Some(&cookie)).await.body, "full at 2");
            assert_eq!(get(&client, "/read", Some(&cookie)).await.body, "2");
            assert_eq!(database.number(versions), version);
        });
    }
}
