//! A user's recent activity, over the API and on the account's page.

use rocket::http::Status;
use rocket::serde::json::Value;

use crate::support::accounts::{PASSWORD, registered, signed_in};
use crate::support::local::{ADMIN_TOKEN, application};
use crate::support::{Database, Visitor};
use rocket::http::Header;

fn events(visitor: &mut Visitor<'_>) -> Vec<Value> {
    let answer = visitor.get("/api/account/activity");
    assert_eq!(answer.status, Status::Ok, "{}", answer.body);
    answer.json()["events"].as_array().unwrap().clone()
}

fn names(visitor: &mut Visitor<'_>) -> Vec<String> {
    let name = |event: Value| event["event"].as_str().unwrap().to_owned();
    events(visitor).into_iter().map(name).collect()
}

on_each_database! {
    fn users_see_what_happened_to_their_own_sessions(database: &Database) {
        let (client, _) = application(database, "");
        let (mut laptop, mut phone) = (registered(&client, "ada"), signed_in(&client, "ada"));
        registered(&client, "bob");
        phone.post_json("/api/auth/logout", "");
        let change = format!("{{\"currentPassword\":\"{PASSWORD}\",\"newPassword\":\"battery staple\"}}");
        signed_in(&client, "ada");
        assert_eq!(laptop.post_json("/api/account/password", &change).status, Status::NoContent);
        let expected = ["revoked", "password_changed", "login", "logout", "login", "login"];
        assert_eq!(names(&mut laptop), expected);
        let changed = &events(&mut laptop)[1];
        assert!(changed["requestId"].as_str().is_some_and(|id| id.len() == 36), "{changed}");
        assert_eq!(changed["byAdministrator"], false);
        assert_eq!(laptop.get("/api/account/activity?limit=2").json()["events"].as_array().unwrap().len(), 2);
        for limit in ["0", "1001", "x"] {
            let answer = laptop.get(&format!("/api/account/activity?limit={limit}"));
            assert_eq!(answer.status, Status::UnprocessableEntity, "{limit}");
        }
        let answer = Visitor::new(&client).get("/api/account/activity");
        assert_eq!(answer.status, Status::Unauthorized);

        let page = laptop.get("/account").body;
        for words in ["Recent activity", "Changed the password", "Signed in", "Signed out", "by the new password"] {
            assert!(page.contains(words), "{words}: {page}");
        }
    }

    fn what_an_administrator_does_is_shown_without_the_administrator(database: &Database) {
        let (client, _) = application(database, "");
        let (mut laptop, mut phone) = (registered(&client, "ada"), signed_in(&client, "ada"));
        let handle = phone.session()["id"].as_str().unwrap().to_owned();
        let request = client.delete(format!("/api/session/sessions/{handle}"));
        let request = request
            .header(Header::new("Authorization", format!("Bearer {ADMIN_TOKEN}")))
            .header(Header::new("User-Agent", "an administrator's"));
        assert_eq!(request.dispatch().status(), Status::NoContent);
        let revoked = &events(&mut laptop)[0];
        assert_eq!(revoked["event"], "revoked");
        assert_eq!(revoked["byAdministrator"], true);
        assert_eq!((&revoked["ip"], &revoked["userAgent"]), (&Value::Null, &Value::Null));
        let page = laptop.get("/account").body;
        assert!(page.contains("Signed out by an administrator"), "{page}");
        assert_eq!(
            database.number("SELECT count(*) AS n FROM session_events WHERE actor = 'admin_token'"),
            1
        );
    }

    fn an_account_that_is_deleted_takes_its_activity_along(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada");
        registered(&client, "bob");
        assert_eq!(names(&mut ada), ["login"]);
        assert_eq!(ada.delete("/api/account").status, Status::NoContent);
        // The events of the deletion itself have waited until now.
        drop(client);
        let left = |event: &str| {
            database.number(&format!("SELECT count(*) AS n FROM session_events WHERE event {event}"))
        };
        assert_eq!(left("= 'user_deleted' AND user_id IS NULL AND actor_name IS NULL"), 1);
        assert_eq!(left("<> 'user_deleted'"), 1, "only bob's sign-in");
    }

    fn without_a_record_the_page_has_no_list_and_the_api_an_empty_one(database: &Database) {
        let (client, _) = application(database, "events_retention = \"0s\"");
        let mut ada = registered(&client, "ada");
        assert_eq!(names(&mut ada), [""; 0]);
        let page = ada.get("/account");
        assert!(!page.body.contains("Recent activity"), "{}", page.body);
    }
}
