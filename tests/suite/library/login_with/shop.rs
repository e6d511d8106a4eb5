//! An application that signs users in with its own transactions: each login stores an order.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::tokio::runtime::Handle;
use rocket::tokio::sync::Semaphore;
use rocket::tokio::task::spawn_blocking;
use rocket::{State, get, routes};
use rocket_diesel_sessions::store::SessionStore;
use rocket_diesel_sessions::{
    Login, Session, SessionConfig, SessionError, Sessions, UncommittedLogin,
};

use crate::support::embedded::{Cart, get, rocket_with};
use crate::support::{AppPool, Database};

/// Why an order was not accepted.
enum Failure {
    Session(SessionError),
    Database(diesel::result::Error),
    Refused,
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

/// Runs a job in a transaction on a connection of the pool.
macro_rules! in_transaction {
    ($pool:expr, |$connection:ident| $job:expr) => {
        match $pool {
            AppPool::Sqlite(pool) => {
                let mut connection = pool.get().unwrap();
                connection.immediate_transaction(|$connection| $job)
            }
            AppPool::Postgres(pool) => {
                let mut connection = pool.get().unwrap();
                connection.transaction(|$connection| $job)
            }
        }
    };
}

/// Where a transaction waits before it is committed.
pub(super) struct Gates {
    pub(super) applied: Semaphore,
    pub(super) commit: Semaphore,
    pub(super) give_up: Semaphore,
}

impl Gates {
    fn new() -> Arc<Self> {
        let gate = || Semaphore::new(0);
        Arc::new(Self {
            applied: gate(),
            commit: gate(),
            give_up: gate(),
        })
    }
}

/// Signs in and stores an order, in the way that `how` names.
fn order(
    pool: &AppPool,
    login: &UncommittedLogin,
    how: &str,
    gates: &Gates,
) -> Result<(), Failure> {
    in_transaction!(pool, |connection| {
        connection.batch_execute("INSERT INTO orders (item) VALUES ('book')")?;
        if how != "forget" {
            login.apply(connection)?;
        }
        // In the application's schema again.
        connection.batch_execute("UPDATE orders SET item = 'a book'")?;
        match how {
            "fail" => Err(Failure::Refused),
            "wait" => {
                gates.applied.add_permits(1);
                let commit = Handle::current().block_on(gates.commit.acquire());
                commit.unwrap().forget();
                Ok(())
            }
            _ => Ok(()),
        }
    })
}

async fn accepted(
    session: &Session<Cart>,
    pool: &AppPool,
    gates: &Arc<Gates>,
    login: Login,
    how: &str,
) -> Result<&'static str, Failure> {
    let (pool, gates, how) = (pool.clone(), Arc::clone(gates), how.to_owned());
    session
        .login_with(login, |login, deadline| async move {
            assert!(deadline > Instant::now());
            if how == "use" {
                session.update(|cart| cart.count += 1).await?;
            }
            let committed = spawn_blocking(move || {
                if how == "twice" {
                    assert!(order(&pool, &login, "fail", &gates).is_err());
                }
                order(&pool, &login, &how, &gates)
            });
            committed.await.unwrap()?;
            Ok("accepted")
        })
        .await
}

/// Answers with the user, or with what went wrong.
#[get("/accept/<user>?<how>&<hash>&<status>")]
async fn accept(
    session: Session<Cart>,
    pool: &State<AppPool>,
    gates: &State<Arc<Gates>>,
    user: &str,
    how: Option<&str>,
    hash: Option<&str>,
    status: Option<u16>,
) -> (Status, String) {
    let login = Login::new(user);
    let login = match hash {
        Some(hash) => login.verified_against(hash),
        None => login,
    };
    let accepting = accepted(&session, pool, gates, login, how.unwrap_or_default());
    let result = rocket::tokio::select! {
        result = accepting => result,
        _ = gates.give_up.acquire() => return (Status::Ok, "gave up".to_owned()),
    };
    match result {
        Ok(done) => {
            assert_eq!(done, "accepted");
            let user = session.user_id().map(|user| user.to_string());
            (Status::new(status.unwrap_or(200)), user.unwrap_or_default())
        }
        Err(Failure::Session(error)) => (error.status(), error.to_string()),
        Err(Failure::Database(error)) => (Status::InternalServerError, error.to_string()),
        Err(Failure::Refused) => (Status::ImATeapot, "refused".to_owned()),
    }
}

/// The application with a table of orders.
pub(super) struct Shop {
    pub(super) client: Client,
    pub(super) gates: Arc<Gates>,
    events: Arc<Mutex<Vec<String>>>,
}

impl Shop {
    /// Keeps sessions on the application's pool.
    pub(super) async fn open(database: &Database, config: SessionConfig) -> Self {
        let pool = AppPool::new(database, 12);
        let store = config.open_pool(pool.lent()).unwrap();
        Self::with(database, pool, Arc::new(store), config).await
    }

    pub(super) async fn with(
        database: &Database,
        pool: AppPool,
        store: Arc<dyn SessionStore>,
        config: SessionConfig,
    ) -> Self {
        database.execute("CREATE TABLE orders (item TEXT NOT NULL)");
        let events = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&events);
        let set = move |sessions: Sessions<Cart>| {
            sessions.on_event(move |event| seen.lock().unwrap().push(format!("{:?}", event.kind)))
        };
        let (rocket, _) = rocket_with(store, config, set);
        let gates = Gates::new();
        let rocket = rocket
            .manage(pool)
            .manage(Arc::clone(&gates))
            .mount("/", routes![accept]);
        Self {
            client: Client::untracked(rocket).await.unwrap(),
            gates,
            events,
        }
    }

    pub(super) async fn user(&self, cookie: &str) -> String {
        get(&self.client, "/user", Some(cookie)).await.body
    }

    /// Returns the events since the last call.
    pub(super) fn events(&self) -> Vec<String> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}

/// Returns the number of orders.
pub(super) fn orders(database: &Database) -> i64 {
    database.number("SELECT count(*) AS n FROM orders WHERE item = 'a book'")
}
