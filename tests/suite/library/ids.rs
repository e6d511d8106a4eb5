//! The ids of users and the handles of sessions, as an application has them.

use std::sync::Arc;

use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::{get as on_get, routes};
use rocket_diesel_sessions::store::{LastAdmin, SessionStore, UserOutcome, UserSource, UserStore};
use rocket_diesel_sessions::{
    DieselStore, OnUndecodable, Session, SessionAdmin, SessionConfig, SessionError,
};
use uuid::Uuid;

use crate::support::embedded::{get, rocket, run};
use crate::support::users::{client, signed_in, user, user_sessions};
use crate::support::{Database, altered, typed};

const UUID: Uuid = Uuid::from_u128(0x0199_c0de_0000_7000_8000_0000_0000_0042);

/// Names that no session and no user can have. Some of them no database can take.
fn impossible() -> [String; 5] {
    let long = |length| "x".repeat(length);
    [
        String::new(),
        "\0".into(),
        "ada\0".into(),
        long(3_000),
        long(1_000_000),
    ]
}

/// Signs in with an id of the type that an application keeps it in.
#[on_get("/as/<kind>")]
async fn sign_in(session: Session<u64>, kind: &str) -> Result<String, SessionError> {
    match kind {
        "str" => session.login("42").await?,
        "String" => session.login("42".to_owned()).await?,
        "i32" => session.login(42_i32).await?,
        "i64" => session.login(42_i64).await?,
        "u32" => session.login(42_u32).await?,
        "u64" => session.login(42_u64).await?,
        _ => session.login(UUID).await?,
    }
    Ok(format!(
        "{:?} {:?}",
        session.user_id_as::<i64>(),
        session.user_id_as::<Uuid>()
    ))
}

on_each_database! {
    fn a_user_id_can_be_a_text_a_number_or_a_uuid(database: &Database) {
        database.store();
        database.add_users(&["42", &UUID.to_string()]);
        let client = typed::client::<u64>(database, OnUndecodable::Fresh, routes![sign_in]);
        for kind in ["str", "String", "i32", "i64", "u32", "u64"] {
            let answer = typed::get(&client, &format!("/as/{kind}"), None);
            assert_eq!(answer.body, "Some(42) None", "{kind}");
        }
        let answer = typed::get(&client, "/as/Uuid", None);
        assert_eq!(answer.body, format!("None Some({UUID})"));
    }

    fn i12_a_name_that_none_can_have_is_found_nowhere(database: &Database) {
        run(async {
            let client = &client(database, SessionConfig::default()).await;
            let (users, store) = (user_sessions(client), database.store());
            let admin = client.rocket().state::<SessionAdmin>().unwrap();
            let cookie = signed_in(client, "ada").await;
            let now = chrono::Utc::now();
            for name in &impossible() {
                let shown = format!("{:?}", &name[..name.len().min(8)]);
                assert_eq!(admin.find(name).await.unwrap(), None, "{shown}");
                assert!(!admin.revoke(name).await.unwrap(), "{shown}");
                let listed = admin.list(10, None, Some(name.into())).await.unwrap();
                assert!(listed.sessions.is_empty(), "{shown}");
                assert!(users.list(name).await.unwrap().is_empty(), "{shown}");
                assert!(!users.revoke("ada", name).await.unwrap(), "{shown}");
                assert!(!users.revoke(name, "handle").await.unwrap(), "{shown}");
                assert_eq!(users.revoke_all(name).await.unwrap(), 0, "{shown}");
                assert_eq!(store.find(&name.into()).unwrap(), None, "{shown}");
                assert_eq!(store.user(&name.into()).unwrap(), None, "{shown}");
                let gone = store.delete_user(&name.into(), None, LastAdmin::MayGo);
                assert_eq!(gone.unwrap(), UserOutcome::NoUser, "{shown}");
                assert!(!store.promote_user(&name.into(), now).unwrap(), "{shown}");
                assert!(!store.enable_user(&name.into(), now).unwrap(), "{shown}");
                let found = store.users(&[name.into(), "ada".into()]).unwrap();
                assert_eq!(found.len(), 1, "{shown}");
                let ended = store.delete(&[name.into()]).unwrap();
                assert!(ended.is_empty(), "{shown}");
            }
            assert_eq!(user(client, &cookie).await, "ada");
            // All but a session that is none are all.
            assert_eq!(users.revoke_others("ada", "\0").await.unwrap(), 1);
        });
    }

    fn i12_a_user_whom_no_one_can_be_is_not_signed_in(database: &Database) {
        let options = altered(database.options(), |options| options.users = UserSource::External);
        let store = DieselStore::open(&database.url(), options).unwrap();
        store.migrate().unwrap();
        run(async {
            let (rocket, _) = rocket(Arc::new(store), SessionConfig::default());
            let client = &Client::untracked(rocket).await.unwrap();
            for name in ["%00", "ada%00", &"x".repeat(513), &"x".repeat(3_000)] {
                let answer = get(client, &format!("/login/{name}"), None).await;
                let shown = &name[..name.len().min(8)];
                assert_eq!(answer.status, Status::Unauthorized, "{shown}");
                assert_eq!(answer.header("set-cookie"), None, "{shown}");
            }
            let longest = "x".repeat(512);
            let cookie = get(client, &format!("/login/{longest}"), None).await.cookie();
            assert_eq!(user(client, &cookie.unwrap()).await, longest);
        });
    }
}
