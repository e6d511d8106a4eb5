//! An application with a table of users, migrations and a pool of its own, on PostgreSQL.
//!
//! ```text
//! DATABASE_URL=postgres://localhost/shop cargo run --example own_users
//! curl --data 'email=ada@example.com&password=correct horse' http://127.0.0.1:8000/register
//! ```

mod schema;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use rocket::form::{Form, FromForm};
use rocket::http::Status;
use rocket::response::status::Custom;
use rocket::tokio::task::spawn_blocking;
use rocket::{Build, Rocket, State, delete, get, post, routes};
use rocket_diesel_sessions::{
    Fresh, Login, Session, SessionError, Sessions, SignedIn, UserSessions,
};

use self::schema::{logins, users};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("examples/own_users/migrations");

type Database = Pool<ConnectionManager<PgConnection>>;
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Answer<T> = Result<T, Custom<String>>;

#[derive(FromForm)]
struct Credentials {
    email: String,
    password: String,
}

/// Adds a user.
#[post("/register", data = "<form>")]
async fn register(db: &State<Database>, form: Form<Credentials>) -> Answer<Status> {
    let form = form.into_inner();
    blocking(db, move |connection| {
        let hash: PasswordHash = Argon2::default().hash_password(form.password.as_bytes())?;
        let user = (
            users::email.eq(&form.email),
            users::password_hash.eq(hash.to_string()),
        );
        diesel::insert_into(users::table)
            .values(user)
            .execute(connection)?;
        Ok(Status::Created)
    })
    .await
    .map_err(failed)
}

/// Signs in, and records that in the application's own table. Both are committed, or neither.
#[post("/login", data = "<form>")]
async fn login(
    session: Session<()>,
    db: &State<Database>,
    form: Form<Credentials>,
) -> Answer<Status> {
    let Some(user) = blocking(db, move |connection| check(connection, &form))
        .await
        .map_err(failed)?
    else {
        return Ok(Status::Unauthorized);
    };
    let committed = session.login_with(Login::new(user).method("pwd"), |login, _deadline| {
        blocking(db, move |connection| {
            connection.transaction(|connection| {
                let row = logins::user_id.eq(user);
                diesel::insert_into(logins::table)
                    .values(row)
                    .execute(connection)?;
                login.apply(connection)?;
                Ok(())
            })
        })
    });
    committed.await.map_err(failed)?;
    Ok(Status::NoContent)
}

/// Returns the id of the user with these credentials.
fn check(connection: &mut PgConnection, form: &Credentials) -> Result<Option<i64>, Failure> {
    let found: Option<(i64, String)> = users::table
        .filter(users::email.eq(&form.email))
        .select((users::id, users::password_hash))
        .first(connection)
        .optional()?;
    let Some((id, hash)) = found else {
        return Ok(None);
    };
    let hash = PasswordHash::new(&hash)?;
    let is_right = Argon2::default()
        .verify_password(form.password.as_bytes(), &hash)
        .is_ok();
    Ok(is_right.then_some(id))
}

/// Returns how often the user has signed in.
#[get("/logins")]
async fn count(session: SignedIn<()>, db: &State<Database>) -> Answer<String> {
    let user: i64 = session.user_as().map_err(|error| failed(error.into()))?;
    let number = blocking(db, move |connection| {
        let own = logins::table.filter(logins::user_id.eq(user));
        Ok(own.count().get_result::<i64>(connection)?)
    });
    Ok(number.await.map_err(failed)?.to_string())
}

/// Deletes the account, and ends its sessions on all devices. `Fresh` requires that the user has
/// signed in a short time ago.
#[delete("/account")]
async fn delete_account(
    session: Fresh<()>,
    sessions: &State<UserSessions>,
    db: &State<Database>,
) -> Answer<Status> {
    let user: i64 = session.user_as().map_err(|error| failed(error.into()))?;
    blocking(db, move |connection| {
        Ok(diesel::delete(users::table.find(user)).execute(connection)?)
    })
    .await
    .map_err(failed)?;
    sessions
        .revoke_all(session.user())
        .await
        .map_err(|error| failed(error.into()))?;
    Ok(Status::NoContent)
}

/// Runs blocking work with a connection.
async fn blocking<T: Send + 'static>(
    db: &Database,
    work: impl FnOnce(&mut PgConnection) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let db = db.clone();
    spawn_blocking(move || work(&mut *db.get()?)).await?
}

/// Returns the answer to a request that failed: 503 during an outage, for example.
fn failed(failure: Failure) -> Custom<String> {
    let status = failure
        .downcast_ref()
        .map_or(Status::InternalServerError, SessionError::status);
    Custom(status, failure.to_string())
}

fn application(database_url: &str) -> Result<Rocket<Build>, Failure> {
    let db: Database = Pool::builder()
        .max_size(12)
        .build(ConnectionManager::new(database_url))?;
    db.get()?.run_pending_migrations(MIGRATIONS)?;
    let sessions = Sessions::<()>::fairing().external_users().pool(db.clone());
    Ok(rocket::build()
        .attach(sessions)
        .manage(db)
        .mount("/", routes![register, login, count, delete_account]))
}

#[rocket::main]
async fn main() -> Result<(), Failure> {
    application(&std::env::var("DATABASE_URL")?)?
        .launch()
        .await?;
    Ok(())
}
