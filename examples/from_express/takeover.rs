//! [`FromExpress`]: a visitor whose session Express keeps gets one of this application.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::DateTime;
use diesel::Connection;
use diesel::pg::PgConnection;
use diesel::r2d2::{ConnectionManager, Pool};
use rocket::fairing::{self, Fairing, Info, Kind};
use rocket::http::{Cookie, Method, Status};
use rocket::route::{Handler, Outcome};
use rocket::serde::json::{Value, from_str, from_value};
use rocket::tokio::task::spawn_blocking;
use rocket::{Build, Data, Request, Response, Rocket, Route};
use rocket_diesel_sessions::{Login, Session, SessionEvent};

use crate::Cart;
use crate::cookie::Secrets;
use crate::rows::{Found, Old, claim, find, put_back};

pub(crate) type Database = Pool<ConnectionManager<PgConnection>>;
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The cookie of Express: its options `name`, and `path` in `cookie`.
const COOKIE: &str = "connect.sid";
const PATH: &str = "/";

const METHODS: [Method; 5] = [
    Method::Get,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
];

/// Before all routes of the application, and after `CrossSiteProtection`.
const RANK: isize = isize::MIN + 1;

/// Returns the data of a session of Express. What does not fit is left behind, and the visitor
/// stays signed in.
fn data(old: &Value) -> Cart {
    let items = from_value(old["cart"].clone());
    Cart {
        items: items.unwrap_or_default(),
    }
}

/// Returns the user of a session of Express. With Passport, it is in `old["passport"]["user"]`.
fn user(old: &Value) -> Option<i64> {
    old["userId"].as_i64()
}

/// Moves visitors. Attach it after `Sessions`, so that it sees the final status of a response.
#[derive(Clone)]
pub(crate) struct FromExpress {
    secrets: Arc<Secrets>,
    db: Database,
}

/// What becomes of a request that brings a cookie of Express.
#[derive(Default)]
struct Progress {
    /// The visitor does not need the cookie any more.
    is_moved: AtomicBool,
    /// The visitor has to try again.
    is_put_off: AtomicBool,
}

impl FromExpress {
    pub(crate) fn fairing(secrets: Secrets, db: Database) -> Self {
        let secrets = Arc::new(secrets);
        Self { secrets, db }
    }

    /// Returns the hook that undoes a move whose response was never sent, or became a 503.
    pub(crate) fn undo(&self) -> impl Fn(&SessionEvent) + Send + Sync + use<> {
        let db = self.db.clone();
        move |event| {
            if event.reason.as_deref() != Some("undelivered") {
                return;
            }
            // The hook must not wait for a connection.
            let (db, id) = (db.clone(), event.id.clone());
            std::thread::spawn(move || {
                let done = db.get().map_err(Failure::from);
                let done = done.and_then(|mut connection| Ok(put_back(&mut connection, &id)?));
                if let Err(error) = done {
                    tracing::error!("the move to session {id} could not be undone: {error}");
                }
            });
        }
    }

    /// Moves the visitor, if there is a session to move.
    async fn take_over(&self, request: &Request<'_>) -> Result<(), Failure> {
        let Some(cookie) = request.cookies().get(COOKIE) else {
            return Ok(());
        };
        let Some(sid) = self.secrets.verify(cookie.value()) else {
            return Ok(());
        };
        let session = Session::of(request).await?;
        if session.handle().is_none() {
            let sid = sid.to_owned();
            match blocking(&self.db, move |connection| Ok(find(connection, &sid)?)).await? {
                Found::Movable(old) => self.replace(old, session).await?,
                Found::Moving => return Err("another request moves the session".into()),
                Found::Gone => {}
            }
        }
        let progress = request.local_cache(Progress::default);
        progress.is_moved.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Replaces a session of Express by one of this application. Until the transaction, no one but
    /// this request knows of the new session. If it fails, the new session is withdrawn.
    async fn replace(&self, old: Old, session: Session<Cart>) -> Result<(), Failure> {
        let sess: Value = from_str(&old.sess)?;
        let data = match &old.undelivered {
            Some((_, data)) => from_str(data)?,
            None => data(&sess),
        };
        session.set(data).await?;
        let user = user(&sess);
        if user.is_some() {
            session.start().await?;
        }
        let Some(new) = session.handle() else {
            return Ok(());
        };
        let Some(user) = user else {
            return blocking(&self.db, move |connection| {
                Ok(claim(connection, &old, &new)?)
            })
            .await;
        };
        // The move prolongs nothing, and is no proof of who the user is.
        let login = Login::new(user)
            .absolute_timeout(Duration::from_secs(old.seconds_left))
            .authenticated_at(DateTime::UNIX_EPOCH);
        let login = match sess["cookie"]["expires"] {
            Value::Null => login.browser_session(),
            _ => login,
        };
        session
            .login_with(login, |login, _deadline| {
                blocking(&self.db, move |connection| {
                    connection.transaction(|connection| {
                        claim(connection, &old, &new)?;
                        login.apply(connection)?;
                        Ok(())
                    })
                })
            })
            .await
    }
}

/// Runs blocking work with a connection.
async fn blocking<T: Send + 'static>(
    db: &Database,
    work: impl FnOnce(&mut PgConnection) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let db = db.clone();
    spawn_blocking(move || work(&mut *db.get()?)).await?
}

#[rocket::async_trait]
impl Handler for FromExpress {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r> {
        let Err(failure) = self.take_over(request).await else {
            return Outcome::forward(data, Status::NotFound);
        };
        tracing::warn!("a visitor was not moved, and has to try again: {failure}");
        let progress = request.local_cache(Progress::default);
        progress.is_put_off.store(true, Ordering::Relaxed);
        // Nothing has changed for the visitor, who keeps the old cookie.
        Outcome::Error(Status::ServiceUnavailable)
    }
}

#[rocket::async_trait]
impl Fairing for FromExpress {
    fn info(&self) -> Info {
        Info {
            name: "Sessions of Express",
            kind: Kind::Ignite | Kind::Response,
        }
    }

    /// Mounts a route before all others, because a request fairing could not answer.
    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        let route = |method| Route::ranked(RANK, method, "/<_..>", self.clone());
        Ok(rocket.mount("/", METHODS.map(route)))
    }

    /// Removes the cookie of Express, unless the response leaves everything as it was. A page that
    /// was put off is loaded again by the browser. Programs find `Retry-After`.
    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let progress = request.local_cache(Progress::default);
        if response.status() != Status::ServiceUnavailable {
            if progress.is_moved.load(Ordering::Relaxed) {
                let mut cookie = Cookie::build(COOKIE).path(PATH).build();
                cookie.make_removal();
                response.adjoin_header(&cookie);
            }
        } else if progress.is_put_off.load(Ordering::Relaxed) && request.method() == Method::Get {
            response.set_raw_header("Refresh", "1");
        }
    }
}
