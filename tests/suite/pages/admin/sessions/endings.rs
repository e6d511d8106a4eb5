//! Ending one session, those selected, and all of a user or an address.

use rocket::http::{Method, Status};
use rocket::serde::json::Value;

use super::{handle, listed, make};
use crate::pages::admin::{administrator, browse, closed, next};
use crate::support::accounts::{registered, signed_in};
use crate::support::local::{ADMIN_TOKEN, application};
use crate::support::{Database, Visitor};

on_each_database! {
    fn a_session_is_ended_when_that_is_confirmed_and_a_notice_reports_it(database: &Database) {
        let client = closed(database);
        let mut root = administrator(&client, database);
        let (mut ada, mut bob) = (registered(&client, "ada"), registered(&client, "bob"));
        let revoke = |id: &str| format!("/admin/sessions/{id}/revoke");
        let hers = handle(&mut ada);
        let asked = root.post_form(&revoke(&hers), "q=ad%26a&after=");
        assert_eq!(asked.status, Status::Ok);
        for part in ["End this session?", " of ada", "name=\"q\" value=\"ad&#38;a\""] {
            assert!(asked.body.contains(part), "{part}: {}", asked.body);
        }
        assert!(!asked.body.contains("name=\"password\""), "it was given a short time ago");
        assert!(ada.user_id().is_string());
        let answer = root.post_form(&revoke(&hers), "q=ad%26a&after=&confirm=yes");
        assert_eq!(next(&answer), "/admin/sessions?q=ad%26a#sessions");
        assert_eq!((ada.user_id(), bob.user_id().is_string()), (Value::Null, true));
        assert!(root.get("/admin/sessions").body.contains("That session has ended."));
        assert!(!root.get("/admin").body.contains("has ended."), "a notice is shown once");
        let place = "after=01900000-0000-7000-8000-000000000000";
        let form = format!("q=x&filter=anonymous&{place}&confirm=yes");
        let answer = root.post_form(&revoke(&hers), &form);
        let list = format!("/admin/sessions?q=x&filter=anonymous&{place}#sessions");
        assert_eq!(next(&answer), list);
        assert!(root.get("/admin").body.contains("had ended already"));

        // With the token there is no session for a notice, so the address carries it.
        let path = revoke(&handle(&mut bob));
        let body = client.post(path.clone()).header(rocket::http::ContentType::Form);
        let token = rocket::http::Header::new("Authorization", format!("Bearer {ADMIN_TOKEN}"));
        let answer: crate::support::local::Answer =
            body.header(token).body("confirm=yes").dispatch().into();
        let address = next(&answer).strip_suffix("#sessions").unwrap();
        assert!(address.starts_with("/admin/sessions?done=session_ended."), "{address}");
        assert_eq!(answer.cookie(), None);
        let page = browse(&client, Method::Get, address, Some(ADMIN_TOKEN));
        assert!(page.body.contains("That session has ended."), "{}", page.body);
        for forged in ["%3Cb%3E", "all_ended", "all_ended.1.x"] {
            let path = format!("/admin/sessions?done={forged}");
            let page = browse(&client, Method::Get, &path, Some(ADMIN_TOKEN));
            assert!(!page.body.contains("id=\"notice\""), "{}", page.body);
        }
        assert_eq!(database.sessions(), 1);

        let own = revoke(&handle(&mut root));
        assert_eq!(next(&root.post_form(&own, "confirm=yes")), "/signed-out");
        assert_eq!((root.cookie, database.sessions()), (None, 0));
    }

    fn the_selected_sessions_end_but_not_the_administrators_own(database: &Database) {
        let client = closed(database);
        let mut root = administrator(&client, database);
        let own = handle(&mut root);
        let made = make(database, 4, |_, _| {});
        let mut form = format!("q=&session.{own}=on");
        for new in &made[..3] {
            form = format!("{form}&session.{}=on", new.id);
        }
        let asked = root.post_form("/admin/sessions/revoke", &form);
        assert!(asked.body.contains("End 3 sessions?"), "{}", asked.body);
        assert_eq!(database.sessions(), 5);
        let answer = root.post_form("/admin/sessions/revoke", &format!("{form}&confirm=yes"));
        assert_eq!(next(&answer), "/admin/sessions#sessions");
        assert_eq!(listed(&root.get("/admin/sessions")), [made[3].id.to_string(), own]);
        let answer = root.post_form("/admin/sessions/revoke", "filter=anonymous&confirm=yes");
        assert_eq!(next(&answer), "/admin/sessions?filter=anonymous#sessions");
        assert!(root.get("/admin/sessions").body.contains("No session was selected"));
    }

    fn all_sessions_of_an_address_or_a_user_end_together(database: &Database) {
        let (client, _) = application(database, "");
        make(database, 60, |number, new| {
            new.ip = Some(if number < 55 { "203.0.113.7" } else { "203.0.113.70" }.to_owned());
        });
        let mut visitor = Visitor::new(&client);
        let list = visitor.get("/admin/sessions?q=203.0.113.7").body;
        assert!(list.contains("55 sessions of 203.0.113.7"), "{list}");
        let form = "q=203.0.113.7&ip=203.0.113.7";
        let asked = visitor.post_form("/admin/sessions/revoke-all", form);
        assert!(asked.body.contains("This ends 55 sessions at once."), "{}", asked.body);
        assert_eq!(database.sessions(), 60);
        let answer = visitor.post_form("/admin/sessions/revoke-all", &format!("{form}&confirm=yes"));
        let address = next(&answer);
        assert!(address.starts_with("/admin/sessions?q=203.0.113.7&done=address_ended."), "{address}");
        assert_eq!(database.sessions(), 5);

        let mut ada = registered(&client, "ada.l");
        let mut phone = signed_in(&client, "ada.l");
        let id = ada.user_id().as_str().unwrap().to_owned();
        let list = visitor.get("/admin/sessions?q=ada.l").body;
        assert!(list.contains("2 sessions of ada.l"), "{list}");
        let form = format!("user={id}&confirm=yes");
        visitor.post_form("/admin/sessions/revoke-all", &form);
        assert_eq!((ada.user_id(), phone.user_id()), (Value::Null, Value::Null));
        for form in ["confirm=yes", "user=&confirm=yes", "ip=x&confirm=yes", "ip=&user=&confirm=yes"] {
            let answer = visitor.post_form("/admin/sessions/revoke-all", form);
            assert_eq!(answer.status, Status::UnprocessableEntity, "{form}");
        }
        assert_eq!(database.sessions(), 5);
    }
}
