//! [`Sessions`]: the fairing that sets sessions up, sends the cookie, and runs the sweeper.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rocket::fairing::{self, Fairing, Info, Kind};
use rocket::http::{Header, Status};
use rocket::tokio::task::spawn_blocking;
use rocket::tokio::time::timeout;
use rocket::{Build, Orbit, Request, Response, Rocket};

use super::admin::SessionAdmin;
use super::clock::{Clock, SystemClock};
use super::config::{SessionConfig, is_debug};
use super::cookie::CookiePolicy;
use super::core::{Attached, Core};
use super::counters::Counters;
use super::data::TypedData;
use super::error::SetupError;
use super::guard::{Inner, Slot};
use super::keys::SessionKeys;
use super::pipeline::Pipeline;
use super::startup::database_url_from_env;
use super::state::CookieChange;
use super::sweeper::Sweeper;
use super::users::UserSessions;
use crate::store::{SessionStore, TouchSession};

/// How long a shutdown waits for the sweeper.
const SWEEPER_GRACE: Duration = Duration::from_secs(1);

/// Seconds after which a client may try again when the store failed.
const RETRY_AFTER: &str = "1";

/// Attaches sessions with data of type `D` to a Rocket. One Rocket has one type of session data.
///
/// What is not given is taken from the environment when Rocket ignites: the section `sessions` of
/// Rocket's configuration ([`SessionConfig`]), `SESSION_SECRET` and `DATABASE_URL`. If any of it
/// cannot be used, the launch stops, and the log says why.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::Sessions;
///
/// let rocket = rocket::build().attach(Sessions::<Vec<String>>::fairing());
/// ```
pub struct Sessions<D> {
    config: Option<SessionConfig>,
    keys: Option<SessionKeys>,
    store: Option<Arc<dyn SessionStore>>,
    clock: Arc<dyn Clock>,
    sweeper: Mutex<Option<Sweeper>>,
    marker: PhantomData<fn() -> D>,
}

/// What the sweeper needs, kept from ignition until liftoff.
struct Sweeping {
    store: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    interval: Duration,
}

impl<D: TypedData> Sessions<D> {
    /// A fairing that takes everything from the environment.
    pub fn fairing() -> Self {
        Self {
            config: None,
            keys: None,
            store: None,
            clock: Arc::new(SystemClock),
            sweeper: Mutex::new(None),
            marker: PhantomData,
        }
    }

    /// Uses these settings instead of the section `sessions`.
    #[must_use]
    pub fn config(mut self, config: SessionConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// Uses these secrets instead of `SESSION_SECRET`.
    #[must_use]
    pub fn keys(mut self, keys: SessionKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Uses this store instead of the database of `DATABASE_URL`; its schema is left to you.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn SessionStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Uses this clock instead of the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    async fn set_up(&self, rocket: &Rocket<Build>) -> Result<(Core, Sweeping), SetupError> {
        if rocket.state::<SessionAdmin>().is_some() {
            return Err(SetupError::AttachedTwice);
        }
        let debug = is_debug(rocket.figment());
        let config = match &self.config {
            Some(config) => config.clone(),
            None => SessionConfig::from_figment(rocket.figment())?,
        };
        config.check()?;
        let cookie = CookiePolicy::new(&config.cookie, debug)?;
        let keys = match &self.keys {
            Some(keys) => keys.clone(),
            None => SessionKeys::from_env(debug)?,
        };
        let store = match &self.store {
            Some(store) => Arc::clone(store),
            None => open_store(config.clone()).await?,
        };
        let counters = Arc::new(Counters::default());
        let sweeping = Sweeping {
            store: Arc::clone(&store),
            clock: Arc::clone(&self.clock),
            counters: Arc::clone(&counters),
            interval: config.cleanup_interval,
        };
        let pipeline = Pipeline::start(store, Arc::clone(&counters), config.pipeline())
            .map_err(SetupError::Threads)?;
        let core = Core {
            pipeline: Arc::new(pipeline),
            keys,
            cookie,
            expiry: config.expiry(),
            clock: Arc::clone(&self.clock),
            counters,
            max_data_size: config.max_data_size,
            on_undecodable: config.on_undecodable,
            session_limit: config.session_limit(),
        };
        Ok((core, sweeping))
    }
}

async fn open_store(config: SessionConfig) -> Result<Arc<dyn SessionStore>, SetupError> {
    let url = database_url_from_env()?;
    let opened = spawn_blocking(move || config.open_store(&url)).await;
    match opened {
        Ok(store) => Ok(Arc::new(store?)),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[rocket::async_trait]
impl<D: TypedData> Fairing for Sessions<D> {
    fn info(&self) -> Info {
        Info {
            name: "Sessions",
            kind: Kind::Ignite | Kind::Liftoff | Kind::Response | Kind::Shutdown | Kind::Singleton,
        }
    }

    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        match self.set_up(&rocket).await {
            Ok((core, sweeping)) => {
                let admin = SessionAdmin::new(
                    Arc::clone(&core.pipeline),
                    Arc::clone(&core.clock),
                    Arc::clone(&core.counters),
                );
                let users = UserSessions::new(
                    Arc::clone(&core.pipeline),
                    Arc::clone(&core.clock),
                    Arc::clone(&core.counters),
                );
                Ok(rocket
                    .manage(Attached::<D>::new(Arc::new(core)))
                    .manage(admin)
                    .manage(users)
                    .manage(sweeping))
            }
            Err(error) => {
                tracing::error!("sessions: {error}");
                Err(rocket)
            }
        }
    }

    async fn on_liftoff(&self, rocket: &Rocket<Orbit>) {
        let Some(sweeping) = rocket.state::<Sweeping>() else {
            return;
        };
        let started = Sweeper::start(
            Arc::clone(&sweeping.store),
            Arc::clone(&sweeping.clock),
            Arc::clone(&sweeping.counters),
            sweeping.interval,
        );
        match started {
            Ok(sweeper) => *lock(&self.sweeper) = Some(sweeper),
            Err(error) => {
                tracing::error!("no session sweeper, stopping: {error}");
                rocket.shutdown().notify();
            }
        }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        match request.local_cache(Slot::<D>::empty).get() {
            // Nothing in this request asked for the session.
            None => {}
            Some(Ok(inner)) => respond(inner, response),
            Some(Err(_)) => retry_later(response),
        }
    }

    async fn on_shutdown(&self, _: &Rocket<Orbit>) {
        let sweeper = lock(&self.sweeper).take();
        if let Some(sweeper) = sweeper {
            let stopped = spawn_blocking(move || sweeper.stop());
            if timeout(SWEEPER_GRACE, stopped).await.is_err() {
                tracing::warn!("the session sweeper did not stop in time");
            }
        }
    }
}

/// Tells the browser what became of its session, and records its activity when that is due.
fn respond<D: TypedData>(inner: &Inner<D>, response: &mut Response<'_>) {
    let (core, visit) = (inner.core(), inner.visit());
    retry_later(response);
    let state = inner.state();
    let issued = match (&state.cookie, state.record()) {
        // An outage never touches the cookie (I6).
        _ if response.status() == Status::ServiceUnavailable => None,
        (CookieChange::Issue(token), Some(record)) => {
            let value = core.keys.sign(token);
            Some(
                core.cookie
                    .issue(value, record.absolute_expires_at, visit.now),
            )
        }
        (CookieChange::Remove, _) => Some(core.cookie.removal()),
        _ => None,
    };
    // What depends on the session is not for shared caches, nor for the browser's
    // (OWASP ASVS 5.0, 14.3.2).
    response.adjoin_header(Header::new("Vary", "Cookie"));
    match issued {
        // Rocket has emptied its cookie jar by now, and its catchers drop what is in it.
        Some(cookie) => {
            response.adjoin_header(&cookie);
            response.set_raw_header("Cache-Control", "no-store");
        }
        None if !response.headers().contains("Cache-Control") => {
            response.set_raw_header("Cache-Control", "no-store");
        }
        None => {}
    }
    if let Some(record) = state.record()
        && core.expiry.touch_due(record, visit.now)
    {
        core.pipeline.touch(TouchSession {
            session_id: record.session_id,
            now: visit.now,
            expires_at: core.expiry.deadline(
                visit.now,
                record.absolute_expires_at,
                record.user_id.is_some(),
            ),
            user_agent: visit.user_agent.clone(),
            ip: visit.ip.clone(),
        });
    }
}

fn retry_later(response: &mut Response<'_>) {
    if response.status() == Status::ServiceUnavailable
        && !response.headers().contains("Retry-After")
    {
        response.set_raw_header("Retry-After", RETRY_AFTER);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<D> fmt::Debug for Sessions<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("config", &self.config)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
