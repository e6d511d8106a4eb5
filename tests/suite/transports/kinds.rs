//! Kinds of session with different transports in one Rocket.

use rocket::http::{Header, Status};
use rocket::local::asynchronous::Client;
use rocket::serde::{Deserialize, Serialize};
use rocket::{get as route, post, routes};
use rocket_diesel_sessions::{
    CrossSiteProtection, Session, SessionError, Sessions, SiteData, Transport,
};

use super::api::{application, by, new_token, send, with};
use crate::support::embedded::{Answered, Cart, get, new_cookie, run};
use crate::support::local::figment;
use crate::support::{Database, altered};

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(crate = "rocket::serde", default)]
struct Staff {
    desk: u32,
}

#[route("/staff/login/<user>")]
async fn login(session: Session<Staff>, user: &str) -> Answered {
    session.login(user).await?;
    let token = session.token_once();
    Ok(token.map_or_else(|| "-".to_owned(), |token| token.expose().to_owned()))
}

#[route("/staff/logout-of-both")]
async fn logout_of_both(cart: Session<Cart>, staff: Session<Staff>) -> Result<(), SessionError> {
    cart.logout().await?;
    staff.logout().await
}

/// Takes the customer's new token, and leaves that of the staff.
#[route("/staff/forgetful/<user>")]
async fn forgetful(cart: Session<Cart>, staff: Session<Staff>, user: &str) -> Answered {
    cart.rotate().await?;
    staff.login(user).await?;
    let token = cart.token_once();
    Ok(token.map_or_else(|| "-".to_owned(), |token| token.expose().to_owned()))
}

#[route("/staff/who")]
fn who(session: Session<Staff>) -> String {
    let user = session.user_id();
    user.map_or_else(|| "-".to_owned(), String::from)
}

#[post("/buy")]
fn buy(session: Session<Cart>) -> String {
    session.data().count.to_string()
}

/// Returns a client of an application whose staff use bearer tokens, and its customers `transport`.
async fn client(database: &Database, transport: Transport) -> Client {
    let config = altered(by(transport), |config| {
        config.clear_site_data = vec![SiteData::Cache];
    });
    let (rocket, _) = application(database.store(), config);
    database.add_users(&["ada"]);
    let rocket = rocket
        .configure(figment(
            "debug",
            "[default.sessions.staff]\ntransport = 'bearer'\nclear_site_data = ['storage']",
        ))
        .attach(Sessions::<Staff>::fairing().named("staff"))
        .attach(CrossSiteProtection::fairing())
        .mount("/", routes![login, forgetful, logout_of_both, who, buy]);
    Client::untracked(rocket).await.unwrap()
}

/// Returns the status of a purchase that another site makes a browser send.
async fn buy_from_elsewhere(client: &Client, headers: &[(&str, &str)]) -> u16 {
    let mut request = client.post("/buy");
    request.add_header(Header::new("Origin", "https://other.example"));
    for (name, value) in headers {
        request.add_header(Header::new((*name).to_owned(), (*value).to_owned()));
    }
    request.dispatch().await.status().code
}

on_each_database! {
    fn i7_a_bearer_token_of_one_kind_is_nothing_to_another(database: &Database) {
        run(async {
            let client = &client(database, Transport::Bearer).await;
            let customer = &new_token(client).await;
            let staff = &get(client, "/staff/login/ada", None).await.body;
            assert_eq!(with(client, "/read", customer).await.body, "1");
            assert_eq!(with(client, "/staff/who", staff).await.body, "ada");
            assert_eq!(with(client, "/read", staff).await.body, "0");
            assert_eq!(with(client, "/staff/who", customer).await.body, "-");
        });
    }

    fn i6_a_response_that_one_kind_refuses_delivers_no_token_of_another(database: &Database) {
        run(async {
            let client = &client(database, Transport::Bearer).await;
            let customer = &new_token(client).await;
            let answer = with(client, "/staff/forgetful/ada", customer).await;
            assert_eq!(answer.status, Status::InternalServerError);
            assert_eq!(answer.body, "");
            assert_eq!(with(client, "/read", customer).await.body, "1");
            assert_eq!(database.sessions(), 1);
        });
    }

    fn a_logout_of_several_kinds_clears_what_each_has_set(database: &Database) {
        run(async {
            let client = &client(database, Transport::Cookie).await;
            let answer = get(client, "/staff/logout-of-both", None).await;
            assert_eq!(answer.values("clear-site-data"), ["\"cache\"", "\"storage\""]);
            let answer = get(client, "/logout", None).await;
            assert_eq!(answer.values("clear-site-data"), ["\"cache\""]);
        });
    }

    fn a_bearer_token_of_one_kind_opens_no_way_to_anothers_cookie(database: &Database) {
        run(async {
            let client = &client(database, Transport::Cookie).await;
            let cookie = new_cookie(client).await;
            let staff = get(client, "/staff/login/ada", None).await;
            assert_eq!(staff.values("set-cookie"), Vec::<&str>::new());
            let bearer = format!("Bearer {}", staff.body);
            // A kind that reads no bearer token does not care for it.
            let headers = [("Authorization", bearer.as_str()), ("Cookie", cookie.as_str())];
            assert_eq!(send(client, "/read", &headers).await.body, "1");
            assert_eq!(send(client, "/staff/who", &headers).await.body, "ada");
            // So its cookie needs protection from other sites even beside one.
            assert_eq!(buy_from_elsewhere(client, &headers).await, 403);
            assert_eq!(buy_from_elsewhere(client, &headers[1..]).await, 403);
            assert_eq!(buy_from_elsewhere(client, &headers[..1]).await, 200);
        });
    }
}
