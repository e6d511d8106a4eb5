//! Tokens that a handler does not take, and that no cookie may carry: no client could use them.

use rocket::http::Status;
use rocket_diesel_sessions::{SessionAdmin, Transport};

use super::api::{client, new_token, send, with};
use crate::support::embedded::run;
use crate::support::{Database, metric};

on_each_database! {
    fn i2_a_rotation_whose_token_is_not_taken_fails(database: &Database) {
        run(async {
            for transport in [Transport::Bearer, Transport::Both] {
                let client = &client(database.store(), transport).await;
                let token = &new_token(client).await;
                let answer = with(client, "/rotate", token).await;
                assert_eq!(answer.status, Status::InternalServerError);
                assert_eq!(answer.body, "");
                assert_eq!(answer.values("set-cookie"), Vec::<&str>::new());
                assert_eq!(with(client, "/read", token).await.body, "1", "it was not acknowledged");
                let admin = client.rocket().state::<SessionAdmin>().unwrap();
                assert_eq!(metric(admin, "sessions_withdrawn_total"), 1);
            }
        });
    }

    fn i13_a_login_whose_token_is_not_taken_is_not_acknowledged(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob"]);
        run(async {
            let client = &client(store, Transport::Bearer).await;
            let answer = send(client, "/login/ada", &[]).await;
            assert_eq!((answer.status, answer.body.as_str()), (Status::InternalServerError, ""));
            assert_eq!(database.sessions(), 0);

            let token = &new_token(client).await;
            assert_eq!(with(client, "/login/ada", token).await.status, Status::InternalServerError);
            assert_eq!(with(client, "/user", token).await.body, "-");
            assert_eq!(with(client, "/read", token).await.body, "1");

            // The session that another user's login would have replaced stays.
            let token = &with(client, "/token/login/ada", token).await.body;
            assert_eq!(with(client, "/login/bob", token).await.status, Status::InternalServerError);
            assert_eq!(with(client, "/user", token).await.body, "ada");
            assert_eq!(database.sessions(), 1);

            // A response that the handler has chosen keeps its status.
            let answer = with(client, "/status/418/login/bob", token).await;
            assert_eq!(answer.status, Status::ImATeapot);
            assert_eq!(with(client, "/user", token).await.body, "ada");
            assert_eq!(database.sessions(), 1);
        });
    }

    fn i13_a_later_token_that_is_not_taken_undoes_the_earlier_one(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        run(async {
            let client = &client(store, Transport::Bearer).await;
            let token = &new_token(client).await;
            let answer = with(client, "/token/login/ada/rotate", token).await;
            assert_eq!((answer.status, answer.body.as_str()), (Status::InternalServerError, ""));
            assert_eq!(with(client, "/user", token).await.body, "-");
            assert_eq!(with(client, "/read", token).await.body, "1");
            let answer = send(client, "/token/login/ada/rotate", &[]).await;
            assert_eq!(answer.status, Status::InternalServerError);
            assert_eq!(database.sessions(), 1);
        });
    }

    fn a_new_session_whose_token_is_not_taken_leaves_no_row(database: &Database) {
        run(async {
            let client = &client(database.store(), Transport::Bearer).await;
            for (path, status) in [("/count", 200), ("/status/404", 404), ("/status/503", 503)] {
                let answer = send(client, path, &[]).await;
                assert_eq!(answer.status.code, status, "{path}");
                assert_eq!(answer.values("set-cookie"), Vec::<&str>::new(), "{path}");
                assert_eq!(database.sessions(), 0, "{path}");
            }
        });
    }
}
