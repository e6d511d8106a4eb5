//! The settings of an account, and the export of what is stored about a user.

use rocket::http::{Accept, ContentType, Header, Method, Status};
use rocket::serde::json::{Value, json};

use crate::support::accounts::{PASSWORD, registered, signed_in};
use crate::support::local::{Answer, application};
use crate::support::{Database, Visitor};

const PATH: &str = "/api/account/settings";

fn settings(visitor: &mut Visitor<'_>) -> Value {
    let answer = visitor.get(PATH);
    assert_eq!(answer.status, Status::Ok, "{}", answer.body);
    answer.json()
}

fn sign_in(visitor: &mut Visitor<'_>) {
    let answer = visitor.enter("login", "ada", PASSWORD);
    assert_eq!(answer.status, Status::Ok, "{}", answer.body);
}

fn theme(page: &Answer) -> &str {
    let (_, after) = page.body.split_once("data-theme=\"").unwrap();
    after.split_once('"').unwrap().0
}

on_each_database! {
    fn settings_belong_to_the_account_and_hold_on_all_devices(database: &Database) {
        let (client, _) = application(database, "");
        let (mut laptop, mut phone) = (registered(&client, "ada"), signed_in(&client, "ada"));
        assert_eq!(settings(&mut laptop), json!({"displayName": null, "theme": "system"}));
        let answer = laptop.patch(PATH, r#"{"displayName":"Ada L."}"#);
        assert_eq!(answer.json(), json!({"displayName": "Ada L.", "theme": "system"}));
        assert_eq!(phone.patch(PATH, r#"{"theme":"dark"}"#).status, Status::Ok);
        let both = json!({"displayName": "Ada L.", "theme": "dark"});
        assert_eq!(settings(&mut laptop), both);
        for path in ["/", "/account", "/account/delete"] {
            assert_eq!(theme(&laptop.get(path)), "dark", "{path}");
        }
        let cookie = Header::new("Cookie", laptop.cookie.clone().unwrap());
        let missing = client.get("/nothing").header(Accept::HTML).header(cookie).dispatch();
        assert_eq!(theme(&missing.into()), "dark");
        assert!(laptop.get("/").body.contains("Hello, Ada L."));
        assert_eq!(laptop.session()["data"]["theme"], "system", "not the session's");
        laptop.post_json("/api/auth/logout", "");
        assert_eq!(theme(&laptop.get("/")), "system");
        sign_in(&mut laptop);
        assert_eq!(settings(&mut laptop), both);
        let reset = laptop.patch(PATH, r#"{"displayName":null,"theme":null}"#);
        assert_eq!(reset.json(), json!({"displayName": null, "theme": "system"}));
        assert_eq!(settings(&mut phone), reset.json());
    }

    fn a_strangers_settings_are_adopted_where_the_account_has_none(database: &Database) {
        let (client, _) = application(database, "");
        let chosen = r#"{"displayName":"Stranger","theme":"dark"}"#;
        let mut visitor = Visitor::new(&client);
        visitor.patch("/api/session/data", chosen);
        let answer = visitor.enter("register", "ada", PASSWORD);
        assert_eq!(answer.status, Status::Created, "{}", answer.body);
        assert_eq!(settings(&mut visitor), json!({"displayName": "Stranger", "theme": "dark"}));
        let mut phone = signed_in(&client, "ada");
        assert_eq!(settings(&mut phone), json!({"displayName": "Stranger", "theme": "dark"}));
        // What the user has removed is not adopted again.
        phone.patch(PATH, r#"{"displayName":null,"theme":"light"}"#);
        let mut tablet = Visitor::new(&client);
        tablet.patch("/api/session/data", chosen);
        sign_in(&mut tablet);
        assert_eq!(settings(&mut tablet), json!({"displayName": null, "theme": "light"}));
        assert_eq!(theme(&tablet.get("/")), "light");
    }

    fn what_earlier_versions_kept_in_the_session_is_still_read(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada");
        ada.patch("/api/session/data", r#"{"displayName":"Before","theme":"dark"}"#);
        assert_eq!(settings(&mut ada), json!({"displayName": "Before", "theme": "dark"}));
        assert_eq!(theme(&ada.get("/account")), "dark");
        ada.patch(PATH, r#"{"theme":"light"}"#);
        assert_eq!(settings(&mut ada), json!({"displayName": "Before", "theme": "light"}));
    }

    fn settings_are_checked_as_the_data_of_sessions_are(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada");
        for (body, status, word) in [
            (r#"{"visitCount":3}"#, 422, "visitCount"),
            (r#"{"isAdmin":true}"#, 422, "isAdmin"),
            (r#"{"theme":"neon"}"#, 422, "theme"),
            (r#"{"displayName":""}"#, 422, "displayName"),
            (r#"{"displayName":7}"#, 422, "displayName"),
            ("[]", 422, "object"),
            ("{", 400, ""),
        ] {
            let answer = ada.patch(PATH, body);
            assert_eq!(answer.status.code, status, "{body}");
            assert!(answer.body.contains(word), "{}", answer.body);
        }
        let answer = ada.send(Method::Patch, PATH, Some("application/x-www-form-urlencoded"), "theme=dark");
        assert_eq!(answer.status, Status::UnsupportedMediaType);
        assert_eq!(settings(&mut ada), json!({"displayName": null, "theme": "system"}));
        let mut stranger = Visitor::new(&client);
        assert_eq!(stranger.get(PATH).status, Status::Unauthorized);
        assert_eq!(stranger.patch(PATH, "{}").status, Status::Unauthorized);
    }

    fn the_form_changes_what_was_changed_in_it(database: &Database) {
        let (client, _) = application(database, "");
        let (mut laptop, mut phone) = (registered(&client, "ada"), signed_in(&client, "ada"));
        let form = |name: &str, theme: &str| {
            format!("shown_display_name=&shown_theme=system&display_name={name}&theme={theme}")
        };
        for (visitor, form) in [(&mut laptop, form("", "dark")), (&mut phone, form("Ada", "system"))] {
            let answer = visitor.post_form("/account/settings", &form);
            assert_eq!(answer.status, Status::SeeOther, "{}", answer.body);
            assert_eq!(answer.header("location"), Some("/account"));
        }
        assert_eq!(settings(&mut laptop), json!({"displayName": "Ada", "theme": "dark"}));
        let page = laptop.get("/account").body;
        for words in ["Your settings are saved.", ">System</option>", "value=\"dark\" selected", "value=\"Ada\""] {
            assert!(page.contains(words), "{words}: {page}");
        }
        let refused = laptop.post_form("/account/settings", &form(&"x".repeat(65), "light"));
        assert_eq!(refused.status, Status::UnprocessableEntity);
        assert!(refused.body.contains("id=\"settings-problem\""), "{}", refused.body);
        assert!(refused.body.contains("<title>Error:"), "{}", refused.body);
        assert!(refused.body.contains("value=\"light\" selected"), "{}", refused.body);
        assert_eq!(laptop.get("/account/settings").header("location"), Some("/account"));
        // A form of the home page from before the user signed in.
        laptop.post_form("/settings", &form("Later", "system"));
        assert_eq!(settings(&mut phone), json!({"displayName": "Later", "theme": "dark"}));
        assert!(!laptop.get("/").body.contains("action=\"/settings\""));
    }

    fn the_theme_is_chosen_on_any_page_and_leads_back_to_it(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada");
        assert_eq!(ada.patch(PATH, r#"{"displayName":"Ada"}"#).status, Status::Ok);
        let cookie = ada.cookie.clone().unwrap();
        let choose = |theme: &str, page: Option<&'static str>| -> Answer {
            let request = client.post("/account/theme").header(ContentType::Form);
            let mut request = request.header(Accept::HTML).header(Header::new("Cookie", cookie.clone()));
            if let Some(page) = page {
                request.add_header(Header::new("Referer", page));
            }
            request.body(format!("theme={theme}")).dispatch().into()
        };
        for (chosen, page, next) in [
            ("dark", Some("http://localhost/admin/users?q=a%20b"), "/admin/users?q=a%20b"),
            ("light", Some("https://evil.example//evil.example"), "/account"),
            ("dark", None, "/account"),
        ] {
            let answer = choose(chosen, page);
            assert_eq!((answer.status, answer.header("location")), (Status::SeeOther, Some(next)));
            assert_eq!(settings(&mut ada), json!({"displayName": "Ada", "theme": chosen}));
        }
        let home = ada.get("/");
        assert_eq!(theme(&home), "dark");
        let pressed = "value=\"dark\" aria-pressed=\"true\"";
        assert!(home.body.contains(pressed) && home.body.matches("aria-pressed=\"true\"").count() == 1, "{}", home.body);
        let refused = choose("neon", None);
        assert_eq!(refused.status, Status::UnprocessableEntity);
        let stranger = Visitor::new(&client).post_form("/account/theme", "theme=dark");
        assert_eq!(stranger.status, Status::Unauthorized);
        assert!(!Visitor::new(&client).get("/").body.contains("/account/theme"));
        assert_eq!(ada.get("/account/theme").header("location"), Some("/account"));
    }

    fn a_user_takes_along_what_is_stored_and_no_secret(database: &Database) {
        let (client, _) = application(database, "");
        let (mut laptop, mut phone) = (registered(&client, "ada"), signed_in(&client, "ada"));
        registered(&client, "bob");
        laptop.patch(PATH, r#"{"theme":"dark"}"#);
        laptop.visit();
        let answer = laptop.get("/api/account/export");
        assert_eq!(answer.status, Status::Ok, "{}", answer.body);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-disposition"), None);
        let export = answer.json();
        assert_eq!(export["account"]["username"], "ada");
        assert_eq!(export["account"]["isAdmin"], false);
        assert_eq!(export["account"].as_object().unwrap().len(), 4);
        assert_eq!(export["settings"], json!({"displayName": null, "theme": "dark"}));
        assert_eq!(export["sessionData"]["visitCount"], 1);
        let list = |field: &str| export[field].as_array().unwrap().len();
        assert_eq!((list("devices"), list("activity")), (2, 2));
        let lookup_ids = [laptop.session(), phone.session()].map(|session| session["sessionId"].clone());
        for secret in ["$argon2", "tokenHash", "sessionId"] {
            assert!(!answer.body.contains(secret), "{secret}: {}", answer.body);
        }
        for id in lookup_ids {
            assert!(!answer.body.contains(id.as_str().unwrap()), "{id}");
        }
        let file = laptop.get("/account/export");
        assert_eq!(file.header("cache-control"), Some("no-store"));
        assert_eq!(file.header("content-type"), Some("application/json"));
        let day = file.json()["exportedAt"].as_str().unwrap()[..10].to_owned();
        let name = format!("attachment; filename=\"account-{day}.json\"");
        assert_eq!(file.header("content-disposition"), Some(&*name));
        assert_eq!(file.json()["account"], export["account"]);
        assert!(laptop.get("/account").body.contains("href=\"/account/export\""));
        for path in ["/api/account/export", "/account/export"] {
            assert_eq!(Visitor::new(&client).get(path).status, Status::Unauthorized, "{path}");
        }
    }
}
