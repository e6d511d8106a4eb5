//! Requests that present a bearer token need no protection from other sites.

use rocket::http::Header;
use rocket::local::blocking::Client;
use rocket::{post, routes};
use rocket_diesel_sessions::{CrossSiteProtection, Session, Transport};

use super::api::{application, by};
use crate::support::embedded::Cart;
use crate::support::{Database, Kind};

/// Returns the count and what the session's cookie or token leads to.
#[post("/change")]
fn change(session: Session<Cart>) -> String {
    session.data().count.to_string()
}

#[test]
fn only_requests_that_present_a_bearer_token_pass_from_another_site() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let forged = format!("Bearer {}.{}", "A".repeat(96), "A".repeat(43));
    for (transport, passes) in [
        (Transport::Bearer, true),
        (Transport::Both, true),
        (Transport::Cookie, false),
    ] {
        let (rocket, _) = application(database.store(), by(transport));
        let rocket = rocket
            .attach(CrossSiteProtection::fairing())
            .mount("/", routes![change]);
        let client = Client::untracked(rocket).unwrap();
        let begun = client.get("/token/count").dispatch();
        let cookie = begun.headers().get_one("Set-Cookie").map(|cookie| {
            let (pair, _) = cookie.split_once(';').unwrap();
            pair.to_owned()
        });
        let body = begun.into_string().unwrap();
        let token = body.split(' ').nth(1).unwrap();
        let own = format!("Bearer {token}");
        let status = |authorizations: &[&str], cookie: Option<&str>| {
            let mut request = client.post("/change");
            request.add_header(Header::new("Origin", "https://other.example"));
            request.add_header(Header::new("Sec-Fetch-Site", "cross-site"));
            for authorization in authorizations {
                request.add_header(Header::new("Authorization", (*authorization).to_owned()));
            }
            if let Some(cookie) = cookie {
                request.add_header(Header::new("Cookie", cookie.to_owned()));
            }
            let answer = request.dispatch();
            let status = answer.status().code;
            (status, answer.into_string().unwrap_or_default())
        };
        let cookie = cookie.as_deref();
        if passes {
            assert_eq!(status(&[&own], None), (200, "1".to_owned()));
            // The cookie of the visitor does not count.
            assert_eq!(status(&[&forged], cookie), (200, "0".to_owned()));
            assert_eq!(status(&[&forged, "Basic eDp5"], cookie).1, "0");
        } else {
            assert_eq!(status(&[&forged], cookie).0, 403);
        }
        for authorizations in [&[][..], &["Basic eDp5"], &["Bearer x"], &["Bearer x.y.z"]] {
            assert_eq!(status(authorizations, cookie).0, 403, "{authorizations:?}");
        }
    }
}
