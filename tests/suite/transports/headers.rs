//! Headers beside the token: `WWW-Authenticate`, `Clear-Site-Data` and the cookie's attributes.

use rocket::http::{Header, Status};
use rocket::local::asynchronous::Client;
use rocket::{Request, Response, catch, catchers, get as route, routes};
use rocket_diesel_sessions::store::StoreError;
use rocket_diesel_sessions::{SameSite, Session, SessionConfig, SessionError, SiteData, Transport};

use super::api::{self, application, by, client, new_token, send, with};
use crate::support::embedded::{Cart, get, new_cookie, run};
use crate::support::hooked::{Call, HookedStore};
use crate::support::{Database, altered};

/// Answers 401 with a challenge of its own.
#[catch(401)]
fn sign_in_first(_: &Request<'_>) -> Challenge {
    Challenge
}

struct Challenge;

impl<'r> rocket::response::Responder<'r, 'static> for Challenge {
    fn respond_to(self, _: &'r Request<'_>) -> rocket::response::Result<'static> {
        Response::build()
            .status(Status::Unauthorized)
            .header(Header::new("WWW-Authenticate", "Custom"))
            .ok()
    }
}

/// Ends the session and has browsers clear what the application chooses.
#[route("/logout/own-choice")]
async fn own_choice(session: Session<Cart>) -> Result<Chosen, SessionError> {
    session.logout().await?;
    Ok(Chosen)
}

struct Chosen;

impl<'r> rocket::response::Responder<'r, 'static> for Chosen {
    fn respond_to(self, _: &'r Request<'_>) -> rocket::response::Result<'static> {
        let header = Header::new("Clear-Site-Data", "\"cache\"");
        Response::build().header(header).ok()
    }
}

on_each_database! {
    fn a_401_of_the_guard_names_the_scheme(database: &Database) {
        run(async {
            let client = &client(database.store(), Transport::Both).await;
            let anonymous = &new_token(client).await;
            let invalid = format!("{}.{}", "A".repeat(96), "A".repeat(43));
            for path in ["/signed-in", "/fresh"] {
                let answer = send(client, path, &[]).await;
                assert_eq!(answer.status, Status::Unauthorized);
                assert_eq!(answer.values("www-authenticate"), ["Bearer"]);
                // The token is valid, and its session is not signed in.
                let answer = with(client, path, anonymous).await;
                assert_eq!(answer.values("www-authenticate"), ["Bearer"]);
                let answer = with(client, path, &invalid).await;
                assert_eq!(answer.values("www-authenticate"), ["Bearer error=\"invalid_token\""]);
            }
            assert_eq!(send(client, "/read", &[]).await.values("www-authenticate"), Vec::<&str>::new());

            let (rocket, _) = application(database.store(), by(Transport::Bearer));
            let rocket = rocket.register("/", catchers![sign_in_first]);
            let client = &Client::untracked(rocket).await.unwrap();
            let answer = send(client, "/signed-in", &[]).await;
            assert_eq!(answer.values("www-authenticate"), ["Custom"]);
            let client = &api::client(database.store(), Transport::Cookie).await;
            let answer = send(client, "/signed-in", &[]).await;
            assert_eq!(answer.status, Status::Unauthorized);
            assert_eq!(answer.values("www-authenticate"), Vec::<&str>::new());
        });
    }

    fn a_logout_clears_the_sites_data_where_that_is_set(database: &Database) {
        let cleared = "\"cache\", \"cookies\", \"storage\"";
        let config = altered(by(Transport::Both), |config| {
            config.clear_site_data = vec![SiteData::Cache, SiteData::Cookies, SiteData::Storage];
        });
        run(async {
            let (rocket, _) = application(database.store(), config.clone());
            let client = &Client::untracked(rocket.mount("/", routes![own_choice])).await.unwrap();
            let none = Vec::<&str>::new();
            let cookie = new_cookie(client).await;
            for path in ["/read", "/count", "/rotate"] {
                let answer = get(client, path, Some(&cookie)).await;
                assert_eq!(answer.values("clear-site-data"), none, "{path}");
            }
            for path in ["/logout", "/destroy"] {
                let cookie = new_cookie(client).await;
                let answer = get(client, path, Some(&cookie)).await;
                assert_eq!(answer.values("clear-site-data"), [cleared], "{path}");
                assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"), "{path}");
                let token = new_token(client).await;
                let answer = with(client, path, &token).await;
                assert_eq!(answer.values("clear-site-data"), [cleared], "{path}");
            }
            let answer = get(client, "/logout/own-choice", Some(&new_cookie(client).await)).await;
            assert_eq!(answer.values("clear-site-data"), ["\"cache\""]);

            // A logout that fails clears nothing.
            let store = HookedStore::new(database.store(), |call| match call {
                Call::Other => Err(StoreError::other("no deletes")),
                _ => Ok(()),
            });
            let (rocket, _) = application(store, config);
            let client = &Client::untracked(rocket).await.unwrap();
            let answer = get(client, "/logout", Some(&new_cookie(client).await)).await;
            assert_eq!(answer.status, Status::ServiceUnavailable);
            assert_eq!(answer.values("clear-site-data"), none);

            let client = &api::client(database.store(), Transport::Both).await;
            let answer = get(client, "/logout", Some(&new_cookie(client).await)).await;
            assert_eq!(answer.values("clear-site-data"), none, "not set");
        });
    }

    fn a_partitioned_cookie_is_set_and_removed_as_such(database: &Database) {
        let config = altered(SessionConfig::default(), |config| {
            config.cookie.partitioned = true;
            config.cookie.secure = Some(true);
            config.cookie.same_site = SameSite::None;
        });
        run(async {
            let (rocket, _) = application(database.store(), config);
            let client = &Client::untracked(rocket).await.unwrap();
            let made = get(client, "/count", None).await;
            let ended = get(client, "/logout", made.cookie().as_deref()).await;
            for answer in [made, ended] {
                let cookie = answer.header("set-cookie").unwrap();
                for attribute in ["__Host-session=", "; SameSite=None", "; Secure", "; Partitioned"] {
                    assert!(cookie.contains(attribute), "{cookie}");
                }
            }
        });
    }
}
