//! `rocket_flex_session` with its sqlx storage on Rocket. Rocket's settings and `DATABASE_URL`
//! come from the environment.

use std::error::Error;
use std::time::Duration;

use rocket::{get, routes};
use rocket_flex_session::storage::SessionStorage;
use rocket_flex_session::storage::sqlx::{SessionSqlx, SqlxPostgresStorage, SqlxSqliteStorage};
use rocket_flex_session::{RocketFlexSession, Session, SessionIdentifier};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

const POOL_SIZE: u32 = 10;
const CLEANUP_INTERVAL: Duration = Duration::from_secs(600);
const ONE_DAY: u32 = 24 * 60 * 60;

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Data {
    count: u64,
}

impl SessionIdentifier for Data {
    type Id = String;

    fn identifier(&self) -> Option<String> {
        None
    }
}

impl<D> SessionSqlx<D> for Data
where
    D: sqlx::Database,
    String: for<'q> sqlx::Encode<'q, D> + for<'q> sqlx::Decode<'q, D> + sqlx::Type<D>,
{
    type Error = serde_json::Error;
    type Data = String;

    fn into_sql(self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&self)
    }

    fn from_sql(json: String) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&json)
    }
}

#[get("/plain")]
fn plain() -> &'static str {
    "ok"
}

#[get("/read")]
fn read(session: Session<'_, Data>) -> String {
    let count = session.tap(|data| data.map_or(0, |data| data.count));
    count.to_string()
}

#[get("/count")]
fn count(mut session: Session<'_, Data>) -> String {
    let count = session.tap_mut(|data| {
        let data = data.get_or_insert_default();
        data.count += 1;
        data.count
    });
    count.to_string()
}

#[rocket::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL")?;
    if url.starts_with("sqlite:") {
        launch(sqlite(&url).await?).await
    } else {
        launch(postgres(&url).await?).await
    }
}

async fn postgres(url: &str) -> Result<SqlxPostgresStorage, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(POOL_SIZE);
    let pool = pool.connect(url).await?;
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, data TEXT NOT NULL, \
         user_id TEXT, expires TIMESTAMPTZ NOT NULL)",
    )
    .execute(&pool)
    .await?;
    Ok(SqlxPostgresStorage::builder()
        .pool(pool)
        .table_name("sessions")
        .cleanup_interval(CLEANUP_INTERVAL)
        .build())
}

async fn sqlite(url: &str) -> Result<SqlxSqliteStorage, sqlx::Error> {
    let options = url
        .parse::<SqliteConnectOptions>()?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(POOL_SIZE);
    let pool = pool.connect_with(options).await?;
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS sessions (id TEXT NOT NULL PRIMARY KEY, data TEXT NOT NULL, \
         user_id TEXT, expires TEXT NOT NULL)",
    )
    .execute(&pool)
    .await?;
    Ok(SqlxSqliteStorage::builder()
        .pool(pool)
        .table_name("sessions")
        .cleanup_interval(CLEANUP_INTERVAL)
        .build())
}

async fn launch(storage: impl SessionStorage<Data> + 'static) -> Result<(), Box<dyn Error>> {
    let sessions = RocketFlexSession::<Data>::builder()
        .storage(storage)
        .with_options(|options| {
            options.max_age = ONE_DAY;
            options.secure = false;
        })
        .build();
    rocket::build()
        .attach(sessions)
        .mount("/", routes![plain, read, count])
        .launch()
        .await?;
    Ok(())
}
