//! The timeouts, the time and the methods of a login, and logins that await a further factor.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use rocket::local::asynchronous::Client;
use rocket::{get as route, routes};
use rocket_diesel_sessions::{Clock, Login, Session, SessionConfig};

use crate::support::embedded::{Answered, Cart, get, new_cookie, rocket, run};
use crate::support::{Database, Kind};

const MINUTE: TimeDelta = TimeDelta::minutes(1);

#[route("/for/<user>/<idle>/<absolute>")]
async fn sign_in_for(session: Session<Cart>, user: &str, idle: u64, absolute: u64) -> Answered {
    let login = Login::new(user)
        .idle_timeout(Duration::from_secs(idle))
        .absolute_timeout(Duration::from_secs(absolute));
    session.login(login).await?;
    Ok(session.handle().map(String::from).unwrap_or_default())
}

#[route("/until-closed/<user>")]
async fn sign_in_until_closed(session: Session<Cart>, user: &str) -> Answered {
    session.login(Login::new(user).browser_session()).await?;
    Ok(session.handle().map(String::from).unwrap_or_default())
}

#[route("/first/<user>")]
async fn first_factor(session: Session<Cart>, user: &str) -> Answered {
    let login = Login::new(user).method("pwd").actor("support");
    session
        .login(login.awaiting_factor(Duration::from_mins(10)))
        .await?;
    assert_eq!(session.user_id(), None);
    Ok("the code, please".to_owned())
}

#[route("/second/<user>")]
async fn second_factor(session: Session<Cart>, user: &str) -> Answered {
    session.login(Login::new(user).method("otp")).await?;
    Ok("welcome".to_owned())
}

/// Signs in a user whom an identity provider has authenticated at this Unix time.
#[route("/since/<user>/<time>")]
async fn sign_in_since(session: Session<Cart>, user: &str, time: i64) -> Answered {
    let time = DateTime::from_timestamp(time, 0).unwrap();
    session
        .login(Login::new(user).authenticated_at(time))
        .await?;
    Ok(String::new())
}

/// Returns the user, the methods and the actor: `-` for none, and `…` for a login that awaits a
/// factor.
#[route("/who")]
fn who(session: Session<Cart>) -> String {
    if let Some(pending) = session.pending_sign_in() {
        return format!("… {}", pending.user_id);
    }
    let Some(sign_in) = session.sign_in() else {
        return session
            .user_id()
            .map_or_else(|| "-".to_owned(), String::from);
    };
    format!(
        "{} by {} for {}",
        session.user_id().map(String::from).unwrap_or_default(),
        sign_in.methods.join("+"),
        sign_in.actor.unwrap_or_default()
    )
}

#[route("/fresh/<seconds>")]
fn fresh(session: Session<Cart>, seconds: u64) -> String {
    session
        .authenticated_within(Duration::from_secs(seconds))
        .to_string()
}

/// Runs a test on an application with the users ada and bob.
macro_rules! on_application {
    ($database:expr, |$client:ident, $clock:ident| $body:block) => {
        let store = $database.store();
        $database.add_users(&["ada", "bob"]);
        run(async {
            let (rocket, $clock) = rocket(store, SessionConfig::default());
            let rocket = rocket.mount(
                "/",
                routes![
                    sign_in_for,
                    sign_in_until_closed,
                    sign_in_since,
                    first_factor,
                    second_factor,
                    who,
                    fresh
                ],
            );
            let $client = Client::untracked(rocket).await.unwrap();
            $body
        });
    };
}

fn max_age(set_cookie: &str) -> Option<u64> {
    let attribute = set_cookie
        .split("; ")
        .find_map(|part| part.strip_prefix("Max-Age="));
    attribute.map(|seconds| seconds.parse().unwrap())
}

on_each_database! {
    fn i4_a_login_can_set_its_own_timeouts(database: &Database) {
        on_application!(database, |client, clock| {
            let year = 365 * 24 * 3600;
            let login = get(&client, &format!("/for/ada/{}/{year}", 30 * 24 * 3600), None).await;
            let remembered = login.cookie().unwrap();
            assert_eq!(max_age(login.header("Set-Cookie").unwrap()), Some(year));
            let login = get(&client, &format!("/for/ada/120/{}", 8 * 3600), None).await;
            let short = login.cookie().unwrap();

            // Used every minute, the session with the short timeout stays live, although
            // `touch_interval` is longer.
            for _ in 0..10 {
                clock.advance(MINUTE);
                assert_eq!(get(&client, "/user", Some(&short)).await.body, "ada");
                settle(&client).await;
            }
            clock.advance(TimeDelta::minutes(2));
            assert_eq!(get(&client, "/user", Some(&short)).await.body, "-");
            clock.advance(TimeDelta::days(29));
            assert_eq!(get(&client, "/user", Some(&remembered)).await.body, "ada");
            settle(&client).await;
            clock.advance(TimeDelta::days(29));
            assert_eq!(get(&client, "/user", Some(&remembered)).await.body, "ada");
            settle(&client).await;
            clock.advance(TimeDelta::days(31));
            assert_eq!(get(&client, "/user", Some(&remembered)).await.body, "-");
        });
    }

    fn i4_the_absolute_timeout_of_a_login_limits_its_idle_timeout(database: &Database) {
        on_application!(database, |client, clock| {
            let login = get(&client, "/for/ada/600/1800", None).await;
            let cookie = login.cookie().unwrap();
            for minute in 1..=30 {
                clock.advance(MINUTE);
                let user = get(&client, "/user", Some(&cookie)).await.body;
                assert_eq!(user, if minute < 30 { "ada" } else { "-" }, "minute {minute}");
                settle(&client).await;
            }
        });
    }

    fn i4_a_shorter_timeout_of_a_login_shortens_the_session(database: &Database) {
        on_application!(database, |client, clock| {
            let anonymous = new_cookie(&client).await;
            let login = get(&client, "/for/ada/60/1800", Some(&anonymous)).await;
            let cookie = login.cookie().unwrap();
            clock.advance(MINUTE);
            assert_eq!(get(&client, "/user", Some(&cookie)).await.body, "-");
            assert_eq!(database.sessions(), 1, "the sweep has not run");
        });
    }

    fn a_login_without_timeouts_keeps_those_of_the_users_session(database: &Database) {
        on_application!(database, |client, clock| {
            let login = get(&client, &format!("/for/ada/{}/{}", 9 * 86_400, 99 * 86_400), None).await;
            let cookie = login.cookie().unwrap();
            let again = get(&client, "/login/ada", Some(&cookie)).await.cookie().unwrap();
            clock.advance(TimeDelta::days(8));
            assert_eq!(get(&client, "/user", Some(&again)).await.body, "ada");
            let other = get(&client, "/login/bob", Some(&again)).await.cookie().unwrap();
            clock.advance(TimeDelta::days(2));
            assert_eq!(get(&client, "/user", Some(&other)).await.body, "-");
        });
    }

    fn the_cookie_of_a_browser_session_ends_with_the_browser(database: &Database) {
        on_application!(database, |client, _clock| {
            let login = get(&client, "/until-closed/ada", None).await;
            assert_eq!(max_age(login.header("Set-Cookie").unwrap()), None);
            let cookie = login.cookie().unwrap();
            let rotated = get(&client, "/rotate", Some(&cookie)).await;
            assert_eq!(max_age(rotated.header("Set-Cookie").unwrap()), None);
            let lasting = get(&client, "/login/bob", rotated.cookie().as_deref()).await;
            assert!(max_age(lasting.header("Set-Cookie").unwrap()).is_some());
        });
    }

    fn i3_a_login_that_awaits_a_factor_is_not_signed_in(database: &Database) {
        on_application!(database, |client, clock| {
            let anonymous = new_cookie(&client).await;
            let first = get(&client, "/first/ada", Some(&anonymous)).await.cookie().unwrap();
            assert_ne!(first, anonymous, "the token is new");
            assert_eq!(get(&client, "/read", Some(&anonymous)).await.body, "0");
            assert_eq!(get(&client, "/user", Some(&first)).await.body, "-");
            assert_eq!(get(&client, "/who", Some(&first)).await.body, "… ada");
            assert_eq!(get(&client, "/read", Some(&first)).await.body, "1", "the data stays");
            let second = get(&client, "/second/ada", Some(&first)).await.cookie().unwrap();
            let who = get(&client, "/who", Some(&second)).await.body;
            assert_eq!(who, "ada by pwd+otp for support");
            assert_eq!(get(&client, "/who", Some(&first)).await.body, "-");

            let first = get(&client, "/first/ada", None).await.cookie().unwrap();
            clock.advance(TimeDelta::minutes(10));
            assert_eq!(get(&client, "/who", Some(&first)).await.body, "-", "its time is over");
            let late = get(&client, "/second/ada", Some(&first)).await.cookie().unwrap();
            assert_eq!(get(&client, "/who", Some(&late)).await.body, "ada by otp for ");

            let first = get(&client, "/first/ada", None).await.cookie().unwrap();
            let other = get(&client, "/second/bob", Some(&first)).await.cookie().unwrap();
            assert_eq!(get(&client, "/who", Some(&other)).await.body, "bob by otp for ");
        });
    }

    fn a_login_that_awaits_a_factor_ends_a_session_that_is_signed_in(database: &Database) {
        on_application!(database, |client, _clock| {
            let signed_in = get(&client, "/login/ada", None).await.cookie().unwrap();
            let first = get(&client, "/first/ada", Some(&signed_in)).await.cookie().unwrap();
            assert_eq!(get(&client, "/user", Some(&signed_in)).await.body, "-");
            assert_eq!(get(&client, "/user", Some(&first)).await.body, "-");
            let refused = get(&client, "/first/nobody", None).await;
            assert_eq!(refused.status.code, 401);
        });
    }

    fn a_login_counts_as_recent_only_for_the_given_time(database: &Database) {
        on_application!(database, |client, clock| {
            let anonymous = new_cookie(&client).await;
            assert_eq!(get(&client, "/fresh/600", Some(&anonymous)).await.body, "false");
            let cookie = get(&client, "/login/ada", Some(&anonymous)).await.cookie().unwrap();
            assert_eq!(get(&client, "/fresh/600", Some(&cookie)).await.body, "true");
            clock.advance(TimeDelta::minutes(10));
            assert_eq!(get(&client, "/fresh/600", Some(&cookie)).await.body, "true");
            clock.advance(TimeDelta::seconds(1));
            assert_eq!(get(&client, "/fresh/600", Some(&cookie)).await.body, "false");
            let rotated = get(&client, "/rotate", Some(&cookie)).await.cookie().unwrap();
            let still = get(&client, "/fresh/600", Some(&rotated)).await.body;
            assert_eq!(still, "false", "a new token is no new login");
            let again = get(&client, "/login/ada", Some(&rotated)).await.cookie().unwrap();
            assert_eq!(get(&client, "/fresh/600", Some(&again)).await.body, "true");
        });
    }

    fn a_login_can_name_an_earlier_authentication(database: &Database) {
        on_application!(database, |client, clock| {
            let at = |minutes: i64| (clock.now() + TimeDelta::minutes(minutes)).timestamp();
            let path = format!("/since/ada/{}", at(-9));
            let cookie = get(&client, &path, None).await.cookie().unwrap();
            assert_eq!(get(&client, "/fresh/600", Some(&cookie)).await.body, "true");
            clock.advance(MINUTE + TimeDelta::seconds(2));
            assert_eq!(get(&client, "/fresh/600", Some(&cookie)).await.body, "false");
            assert_eq!(get(&client, "/user", Some(&cookie)).await.body, "ada");

            let path = format!("/since/ada/{}", at(60));
            let cookie = get(&client, &path, None).await.cookie().unwrap();
            clock.advance(TimeDelta::minutes(10) + TimeDelta::seconds(1));
            let fresh = get(&client, "/fresh/600", Some(&cookie)).await.body;
            assert_eq!(fresh, "false", "the future counts as now");
        });
    }

    fn i6_a_withdrawn_login_restores_the_former_timeouts(database: &Database) {
        on_application!(database, |client, clock| {
            let days = |days: u64| days * 86_400;
            let path = format!("/for/ada/{}/{}", days(9), days(99));
            let cookie = get(&client, &path, None).await.cookie().unwrap();
            let failed = get(&client, "/status/503/login/ada", Some(&cookie)).await;
            assert_eq!(failed.status.code, 503);
            clock.advance(TimeDelta::days(8));
            assert_eq!(get(&client, "/user", Some(&cookie)).await.body, "ada");
        });
    }
}

/// Waits until touches are written, which move the idle deadline.
async fn settle(client: &Client) {
    let admin = client
        .rocket()
        .state::<rocket_diesel_sessions::SessionAdmin>();
    admin.unwrap().settle().await.unwrap();
}

#[test]
fn timeouts_of_a_login_are_limited_to_the_allowed_range() {
    let database = Database::new(Kind::Sqlite).unwrap();
    on_application!(database, |client, clock| {
        let login = get(&client, &format!("/for/ada/0/{}", u64::MAX), None).await;
        assert_eq!(login.status.code, 200);
        let cookie = login.cookie().unwrap();
        assert_eq!(get(&client, "/user", Some(&cookie)).await.body, "ada");
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(get(&client, "/user", Some(&cookie)).await.body, "-");
    });
}
