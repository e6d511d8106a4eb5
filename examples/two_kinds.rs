//! A shop whose customers and staff have sessions of different kinds: two cookies, two types of data,
//! two lifetimes, in one database.
//!
//! ```text
//! cargo run --example two_kinds
//! ```

use rocket::serde::{Deserialize, Serialize};
use rocket::{State, delete, get, launch, post, routes};
use rocket_diesel_sessions::{Attached, Session, SessionError, Sessions, SignedIn};

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Shop {
    cart: Vec<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Staff {
    orders_packed: u32,
}

#[post("/cart/<item>")]
async fn add(session: Session<Shop>, item: &str) -> Result<String, SessionError> {
    // The closure may run again, and outlives what the request has lent.
    let item = item.to_owned();
    let count = session.update(move |shop| {
        shop.cart.push(item.clone());
        shop.cart.len()
    });
    Ok(format!("{} items\n", count.await?))
}

/// Signs in a member of the staff. An application checks a password first.
#[post("/staff/login/<id>")]
async fn login(session: Session<Staff>, id: i64) -> Result<(), SessionError> {
    session.login(id).await
}

/// Is 401 for a customer, whatever cookies the customer sends.
#[post("/staff/pack")]
async fn pack(session: SignedIn<Staff>) -> Result<String, SessionError> {
    let packed = session.update(|staff| {
        staff.orders_packed += 1;
        staff.orders_packed
    });
    Ok(format!("{} packed\n", packed.await?))
}

#[get("/staff/devices")]
async fn devices(
    session: SignedIn<Staff>,
    staff: &State<Attached<Staff>>,
) -> Result<String, SessionError> {
    let devices = staff.users().list(session.user()).await?;
    Ok(format!("{} devices\n", devices.len()))
}

/// Signs the member of the staff out everywhere. The same person's cart stays.
#[delete("/staff/devices")]
async fn sign_out(
    session: SignedIn<Staff>,
    staff: &State<Attached<Staff>>,
) -> Result<String, SessionError> {
    let ended = staff.users().revoke_all(session.user()).await?;
    Ok(format!("{ended} ended\n"))
}

#[launch]
fn rocket() -> _ {
    // As in Rocket.toml: [default.sessions] and [default.sessions.staff].
    let figment = rocket::Config::figment()
        .merge(("sessions.idle_timeout", "30d"))
        .merge(("sessions.staff.idle_timeout", "15m"))
        .merge(("sessions.staff.cookie.same_site", "strict"));
    rocket::custom(figment)
        .attach(Sessions::<Shop>::fairing().external_users())
        .attach(Sessions::<Staff>::fairing().named("staff"))
        .mount("/", routes![add, login, pack, devices, sign_out])
}
