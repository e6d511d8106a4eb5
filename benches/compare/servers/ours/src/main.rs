//! This repository's sessions on Rocket. Rocket's settings, `SESSION_SECRET` and `DATABASE_URL`
//! come from the environment.

use rocket::{Build, Rocket, get, launch, routes};
use rocket_diesel_sessions::{Session, SessionError, Sessions};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Data {
    count: u64,
}

#[get("/plain")]
fn plain() -> &'static str {
    "ok"
}

#[get("/read")]
fn read(session: Session<Data>) -> String {
    session.data().count.to_string()
}

#[get("/count")]
async fn count(session: Session<Data>) -> Result<String, SessionError> {
    let count = session.update(|data| {
        data.count += 1;
        data.count
    });
    Ok(count.await?.to_string())
}

#[launch]
fn rocket() -> Rocket<Build> {
    rocket::build()
        .attach(Sessions::<Data>::fairing())
        .mount("/", routes![plain, read, count])
}
