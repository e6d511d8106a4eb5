//! An application that moves from Express to Rocket without signing anyone out, on PostgreSQL. The
//! sessions of express-session are in the table of connect-pg-simple. The guide "Coming from
//! express-session" describes the move.
//!
//! ```text
//! export DATABASE_URL=postgres://localhost/shop EXPRESS_SECRETS='keyboard cat'
//! cargo run --example from_express
//! ```

mod cookie;
mod rows;
mod takeover;

use diesel::pg::PgConnection;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use rocket::serde::{Deserialize, Serialize};
use rocket::{Build, Rocket, get, post, routes};
use rocket_diesel_sessions::{Fresh, Session, SessionError, Sessions, SignedIn};

use self::cookie::Secrets;
use self::takeover::{Database, Failure, FromExpress};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("examples/from_express/migrations");

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Cart {
    items: Vec<String>,
}

/// The routes know nothing of Express.
#[get("/cart")]
fn cart(session: Session<Cart>) -> String {
    session.data().items.join(", ")
}

#[post("/cart/<item>")]
async fn add(session: Session<Cart>, item: &str) -> Result<(), SessionError> {
    let item = item.to_owned();
    session
        .update(move |cart| cart.items.push(item.clone()))
        .await
}

#[get("/account")]
fn account(session: SignedIn<Cart>) -> String {
    session.user().to_string()
}

#[get("/account/secret")]
fn secret(session: Fresh<Cart>) -> String {
    format!(
        "only for {}, who gave the password just now",
        session.user()
    )
}

#[post("/logout")]
async fn logout(session: Session<Cart>) -> Result<(), SessionError> {
    session.logout().await
}

fn application(database_url: &str, secrets: &str) -> Result<Rocket<Build>, Failure> {
    let db: Database = Pool::builder()
        .max_size(24)
        .build(ConnectionManager::<PgConnection>::new(database_url))?;
    db.get()?.run_pending_migrations(MIGRATIONS)?;
    let express = FromExpress::fairing(Secrets::new(secrets.split(',')), db.clone());
    let sessions = Sessions::<Cart>::fairing()
        .external_users()
        .pool(db)
        .on_event(express.undo());
    Ok(rocket::build()
        .attach(sessions)
        .attach(express)
        .mount("/", routes![cart, add, account, secret, logout]))
}

#[rocket::main]
async fn main() -> Result<(), Failure> {
    let (url, secrets) = (
        std::env::var("DATABASE_URL")?,
        std::env::var("EXPRESS_SECRETS")?,
    );
    application(&url, &secrets)?.launch().await?;
    Ok(())
}
