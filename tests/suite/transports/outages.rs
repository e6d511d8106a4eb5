//! I6 with bearer tokens: an outage or a 503 leaves the client's old token good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rocket::http::Status;
use rocket_diesel_sessions::Transport;
use rocket_diesel_sessions::store::StoreError;

use super::api::{client, new_token, send, with};
use crate::support::embedded::run;
use crate::support::hooked::HookedStore;
use crate::support::{Database, wait_for};

on_each_database! {
    fn i6_a_5xx_after_a_login_leaves_the_old_bearer_token(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob"]);
        run(async {
            for transport in [Transport::Bearer, Transport::Both] {
                let client = &client(store.clone(), transport).await;
                let token = &new_token(client).await;
                for path in [
                    "/token/status/503/login/ada",
                    "/token/status/503/rotate",
                    "/token/status/500/login/ada",
                    "/token/status/500/rotate",
                ] {
                    let answer = with(client, path, token).await;
                    assert!(answer.status.class().is_server_error(), "{path}");
                    let lost = answer.body;
                    assert!(lost.contains('.'), "{path}: the handler has a token");
                    assert_eq!(with(client, "/read", &lost).await.body, "0", "{path}");
                    assert_eq!(with(client, "/read", token).await.body, "1", "{path}");
                    assert_eq!(with(client, "/user", token).await.body, "-", "{path}");
                }
                // Any other status delivers the token, such as a 403 that asks for a second factor.
                let answer = with(client, "/token/status/403/login/ada", token).await;
                assert_eq!(with(client, "/user", &answer.body).await.body, "ada");
                assert_eq!(with(client, "/read", token).await.body, "0");
                // A session that another user's login would replace.
                for status in [500, 503] {
                    let path = format!("/token/status/{status}/login/bob");
                    with(client, &path, &answer.body).await;
                    assert_eq!(with(client, "/user", &answer.body).await.body, "ada", "{path}");
                    assert_eq!(database.sessions(), 1, "{path}");
                }
                with(client, "/logout", &answer.body).await;
                assert_eq!(database.sessions(), 0);
                // A first login.
                let answer = send(client, "/token/status/503/login/ada", &[]).await;
                assert_eq!(answer.values("set-cookie"), Vec::<&str>::new());
                assert_eq!(with(client, "/user", &answer.body).await.body, "-");
                assert_eq!(database.sessions(), 0);
            }
        });
    }

    fn i6_a_handler_that_panics_with_the_token_leaves_the_old_one(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        run(async {
            let client = &client(store, Transport::Bearer).await;
            let token = &new_token(client).await;
            let answer = with(client, "/token/panic/ada", token).await;
            assert_eq!(answer.status, Status::InternalServerError);
            assert_eq!(with(client, "/user", token).await.body, "-");
            assert_eq!(with(client, "/read", token).await.body, "1");
        });
    }

    fn i6_an_outage_is_no_logout_for_bearer_clients(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        run(async {
            let is_down = Arc::new(AtomicBool::new(false));
            let down = Arc::clone(&is_down);
            let store = HookedStore::new(store, move |_| {
                if down.load(Ordering::SeqCst) {
                    return Err(StoreError::connect("the database", "is away"));
                }
                Ok(())
            });
            let client = &client(store, Transport::Bearer).await;
            let token = &send(client, "/token/login/ada", &[]).await.body;
            is_down.store(true, Ordering::SeqCst);
            for path in ["/user", "/token/rotate", "/token/login/ada", "/logout", "/signed-in"] {
                let answer = with(client, path, token).await;
                assert_eq!(answer.status, Status::ServiceUnavailable, "{path}");
                assert_eq!(answer.values("retry-after"), ["1"], "{path}");
                for header in ["set-cookie", "www-authenticate", "clear-site-data"] {
                    assert_eq!(answer.values(header), Vec::<&str>::new(), "{path}");
                }
            }
            is_down.store(false, Ordering::SeqCst);
            let is_back = async || with(client, "/user", token).await.body == "ada";
            wait_for("service is back, and the user signed in", is_back).await;
        });
    }
}
