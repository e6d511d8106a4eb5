//! Counts the visits of each browser, in a file of SQLite.
//!
//! ```text
//! cargo run --example minimal
//! curl --cookie-jar jar --cookie jar http://127.0.0.1:8000/
//! ```

use rocket::serde::{Deserialize, Serialize};
use rocket::{get, launch, routes};
use rocket_diesel_sessions::{Session, SessionError, Sessions};

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Visits {
    count: u64,
}

#[get("/")]
async fn index(session: Session<Visits>) -> Result<String, SessionError> {
    let count = session.update(|visits| {
        visits.count += 1;
        visits.count
    });
    Ok(format!("visit number {}\n", count.await?))
}

#[launch]
fn rocket() -> _ {
    rocket::build()
        .attach(Sessions::<Visits>::fairing())
        .mount("/", routes![index])
}
