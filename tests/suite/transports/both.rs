//! `transport = "both"`: which token of a request counts, and how a new one leaves.

use rocket::http::Status;
use rocket_diesel_sessions::Transport;

use super::api::{client, new_token, send, with};
use crate::support::Database;
use crate::support::embedded::{get, new_cookie, run};
use crate::support::local::{ADMIN_TOKEN, Visitor, application};

on_each_database! {
    fn a_session_begun_without_a_token_gets_a_cookie_unless_its_token_is_taken(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        run(async {
            let client = &client(store, Transport::Both).await;
            let answer = get(client, "/login/ada", None).await;
            let cookie = answer.cookie().unwrap();
            assert_eq!(answer.values("vary"), ["Cookie", "Authorization"]);
            assert_eq!(get(client, "/user", Some(&cookie)).await.body, "ada");

            let answer = get(client, "/token/login/ada", None).await;
            assert_eq!(answer.values("set-cookie"), Vec::<&str>::new());
            assert_eq!(answer.values("cache-control"), ["no-store"]);
            assert_eq!(with(client, "/user", &answer.body).await.body, "ada");
            assert_eq!(database.sessions(), 2);

            // A cookie's session whose new token is taken has a bearer client from then on.
            let answer = get(client, "/token/rotate", Some(&cookie)).await;
            assert_eq!(answer.values("set-cookie"), Vec::<&str>::new());
            assert_eq!(get(client, "/user", Some(&cookie)).await.body, "-");
            assert_eq!(with(client, "/user", &answer.body).await.body, "ada");
            assert_eq!(get(client, "/token/count", Some(&cookie)).await.values("set-cookie").len(), 0);
        });
    }

    fn i3_a_bearer_token_is_no_cookie_and_no_cookie_is_a_bearer_token(database: &Database) {
        run(async {
            let client = &client(database.store(), Transport::Both).await;
            let cookie = new_cookie(client).await;
            let token = new_token(client).await;
            let value = cookie.split_once('=').unwrap().1;
            assert_eq!(with(client, "/read", value).await.body, "0");
            let as_cookie = format!("session={token}");
            assert_eq!(get(client, "/read", Some(&as_cookie)).await.body, "0");
            assert_eq!(get(client, "/read", Some(&cookie)).await.body, "1");
            assert_eq!(with(client, "/read", &token).await.body, "1");
        });
    }

    fn i2_a_bearer_request_leaves_the_cookies_session_alone(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob"]);
        run(async {
            let client = &client(store, Transport::Both).await;
            let cookie = get(client, "/login/ada", None).await.cookie().unwrap();
            let token = with(client, "/token/login/bob", &new_token(client).await).await.body;
            let both = |token: &str| [("Cookie", cookie.clone()), ("Authorization", format!("bearer {token}"))];
            let send_both = async |path: &str, token: &str| {
                let headers = both(token);
                let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
                send(client, path, &headers).await
            };
            assert_eq!(send_both("/user", &token).await.body, "bob");
            let rotated = send_both("/token/rotate", &token).await;
            assert_eq!(rotated.values("set-cookie"), Vec::<&str>::new());
            let forgotten = send_both("/rotate", &rotated.body).await;
            assert_eq!(forgotten.status, Status::InternalServerError);
            assert_eq!(forgotten.values("set-cookie"), Vec::<&str>::new());
            let out = send_both("/logout", &rotated.body).await;
            assert_eq!(out.values("set-cookie"), Vec::<&str>::new());
            // Ended, replaced or forged: the cookie does not step in.
            let forged = format!("{}.{}", "A".repeat(96), "A".repeat(43));
            for token in [rotated.body.as_str(), &token, &forged] {
                assert_eq!(send_both("/user", token).await.body, "-");
                let answer = send_both("/signed-in", token).await;
                assert_eq!(answer.status, Status::Unauthorized);
                assert_eq!(send_both("/logout", token).await.values("set-cookie"), Vec::<&str>::new());
            }
            let authorization = format!("Bearer {token}");
            let two = [
                ("Cookie", cookie.as_str()),
                ("Authorization", authorization.as_str()),
                ("Authorization", "Basic eDp5"),
            ];
            assert_eq!(send(client, "/user", &two).await.body, "-");
            assert_eq!(get(client, "/user", Some(&cookie)).await.body, "ada");
            assert_eq!(database.sessions(), 1);
        });
    }

    fn an_authorization_that_is_no_session_token_is_the_applications(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        run(async {
            let client = &client(store, Transport::Both).await;
            let cookie = get(client, "/login/ada", None).await.cookie().unwrap();
            for authorization in ["Basic eDp5", "Bearer an-api-key", "Bearer a.b.c", "Bearer", ""] {
                let headers = [("Cookie", cookie.as_str()), ("Authorization", authorization)];
                assert_eq!(send(client, "/user", &headers).await.body, "ada", "{authorization}");
                let headers = [("Authorization", authorization)];
                let answer = send(client, "/count", &headers).await;
                assert!(answer.cookie().is_some(), "{authorization}");
            }
        });
    }

    fn the_application_works_with_each_transport(database: &Database) {
        for transport in ["cookie", "bearer", "both"] {
            let (client, _) = application(database, &format!("transport = '{transport}'"));
            let mut visitor = Visitor::new(&client);
            assert_eq!(visitor.visit(), 1, "{transport}");
            let takes_cookies = transport != "bearer";
            assert_eq!(visitor.cookie.is_some(), takes_cookies, "{transport}");
            assert_eq!(visitor.visit(), if takes_cookies { 2 } else { 1 }, "{transport}");
            assert_eq!(visitor.get("/").status, Status::Ok, "{transport}");
            if takes_cookies {
                let name = format!("ada-{transport}");
                let entered = visitor.enter("register", &name, "correct horse battery staple");
                assert_eq!(entered.status, Status::Created, "{}", entered.body);
                assert!(!visitor.user_id().is_null(), "{transport}");
                assert_eq!(visitor.get("/account").status, Status::Ok, "{transport}");
            }
            let mut request = client.get("/api/session/sessions");
            let admin = format!("Bearer {ADMIN_TOKEN}");
            request.add_header(rocket::http::Header::new("Authorization", admin));
            assert_eq!(request.dispatch().status(), Status::Ok, "{transport}");
        }
    }
}
