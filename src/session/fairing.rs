//! [`Sessions`]: the fairing that sets sessions up, sends the cookie, and runs the background
//! threads.

mod builder;
mod source;

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use rocket::fairing::{self, Fairing, Info, Kind};
use rocket::tokio::sync::oneshot;
use rocket::tokio::task::spawn_blocking;
use rocket::tokio::time::timeout;
use rocket::{Build, Orbit, Request, Response, Rocket};

use self::source::Source;
use super::admin::SessionAdmin;
use super::background::recorder::Recorder;
use super::background::sweeper::Sweeper;
use super::background::thread::Background;
use super::clock::Clock;
use super::codec::{self, TypedData};
use super::config::{SessionConfig, is_debug};
use super::cookie::keys::SessionKeys;
use super::cookie::policy::CookiePolicy;
use super::cookie::seal::Seal;
use super::error::SetupError;
use super::observe::events::Hook;
use super::observe::monitor::Monitor;
use super::observe::statistics::Statistics;
use super::pipeline::Pipeline;
use super::request::slot::Slot;
use super::response::{end_replaced, respond, retry_later, undo};
use super::shared::{Attached, AttachedType, Shared};
use super::user_sessions::UserSessions;
use crate::store::{SessionStore, StatsStore};

/// How long a shutdown waits for the background threads.
const BACKGROUND_GRACE: Duration = Duration::from_secs(1);

/// A fairing that attaches sessions with data of type `D` to a Rocket. A Rocket has only one type
/// of session data.
///
/// Settings, secrets and stores that are not given are taken from the environment when Rocket
/// ignites: the section `sessions` of Rocket's configuration ([`SessionConfig`]), `SESSION_SECRET`
/// and `DATABASE_URL`. If one of them cannot be used, the launch stops, and the log gives the
/// reason.
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
    source: Source,
    stats: Option<Arc<dyn StatsStore>>,
    clock: Arc<dyn Clock>,
    /// The registered hooks, until Rocket ignites.
    hooks: Mutex<Vec<Hook>>,
    background: Mutex<Vec<Background>>,
    marker: PhantomData<fn() -> D>,
}

/// The work of the background threads, kept from ignition until liftoff.
struct BackgroundTasks {
    sweeper: Arc<Sweeper>,
    cleanup_interval: Duration,
    recorder: Option<Arc<Recorder>>,
    stats_interval: Duration,
}

impl BackgroundTasks {
    fn start(&self) -> std::io::Result<Vec<Background>> {
        let mut threads = vec![Arc::clone(&self.sweeper).start(self.cleanup_interval)?];
        if let Some(recorder) = &self.recorder {
            threads.push(Arc::clone(recorder).start(self.stats_interval)?);
        }
        Ok(threads)
    }
}

impl<D: TypedData> Sessions<D> {
    async fn set_up(
        &self,
        rocket: &Rocket<Build>,
    ) -> Result<(Shared, BackgroundTasks), SetupError> {
        if rocket.state::<SessionAdmin>().is_some() {
            return Err(SetupError::AttachedTwice);
        }
        let debug = is_debug(rocket.figment());
        let config = self.settings(rocket)?;
        let cookie = CookiePolicy::new(&config.cookie, debug)?;
        if let Some(warning) = cookie.warning() {
            tracing::warn!("{warning}");
        }
        let keys = match &self.keys {
            Some(keys) => keys.clone(),
            None => SessionKeys::from_env(debug)?,
        };
        let stats = self.stats.clone();
        let (store, stats) = self.source.open(config.clone(), stats).await?;
        let upgraded_at = upgraded_at(&store).await?;
        let seal = Seal::new(&keys, "", cookie.name(), upgraded_at);
        let hooks = std::mem::take(&mut *self.hooks.lock()).into();
        let monitor = Monitor::new(hooks, Arc::clone(&self.clock))
            .map_err(|error| SetupError::Metrics(error.to_string()))?;
        let monitor = Arc::new(monitor);
        let is_one_store = stats
            .as_ref()
            .is_some_and(|stats| std::ptr::addr_eq(Arc::as_ptr(&store), Arc::as_ptr(stats)));
        let statistics = stats.map(|stats| Arc::new(Statistics::new(stats, Arc::clone(&monitor))));
        let pipeline = Pipeline::start(
            store,
            Arc::clone(&monitor),
            statistics.clone(),
            config.pipeline(),
        )
        .map_err(SetupError::Threads)?;
        let recorder = statistics.map(|statistics| {
            let monitor = Arc::clone(&monitor);
            Recorder::new(statistics, monitor, config.stats_retention, is_one_store)
        });
        let sweeper = Sweeper::new(Arc::clone(&pipeline.sweep), Arc::clone(&monitor));
        let tasks = BackgroundTasks {
            sweeper: Arc::new(sweeper),
            cleanup_interval: config.cleanup_interval,
            recorder: recorder.map(Arc::new),
            stats_interval: config.stats_interval,
        };
        let shared = Shared {
            pipeline: Arc::new(pipeline),
            seal,
            kind: String::new(),
            cookie,
            expiry: config.expiry(),
            clock: Arc::clone(&self.clock),
            monitor,
            max_data_size: config.max_data_size,
            on_undecodable: config.on_undecodable,
            session_limit: config.session_limit(),
            fresh_for: config.fresh_for,
            watch_interval: config.watch_interval,
        };
        Ok((shared, tasks))
    }

    /// Returns the settings, with which `D::default()` can be stored.
    fn settings(&self, rocket: &Rocket<Build>) -> Result<SessionConfig, SetupError> {
        let config = match &self.config {
            Some(config) => config.clone(),
            None => SessionConfig::from_figment(rocket.figment())?,
        };
        config.check()?;
        let config = self.source.adapt(config)?;
        codec::encode(&D::default(), config.max_data_size).map_err(|error| {
            SetupError::DefaultData {
                type_name: type_name::<D>(),
                reason: error.to_string(),
            }
        })?;
        Ok(config)
    }
}

/// Returns when this version took over a database that an earlier version created.
async fn upgraded_at(store: &Arc<dyn SessionStore>) -> Result<Option<DateTime<Utc>>, SetupError> {
    let store = Arc::clone(store);
    match spawn_blocking(move || store.upgraded_at()).await {
        Ok(time) => Ok(time?),
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
            Ok((shared, tasks)) => {
                let admin = SessionAdmin::new(
                    Arc::clone(&shared.pipeline),
                    Arc::clone(&shared.clock),
                    shared.expiry,
                );
                let users = UserSessions::of(&shared);
                Ok(rocket
                    .manage(Attached::<D>::new(Arc::new(shared)))
                    .manage(AttachedType(type_name::<D>()))
                    .manage(admin)
                    .manage(users)
                    .manage(tasks))
            }
            Err(error) => {
                tracing::error!("sessions: {error}");
                Err(rocket)
            }
        }
    }

    async fn on_liftoff(&self, rocket: &Rocket<Orbit>) {
        let Some(tasks) = rocket.state::<BackgroundTasks>() else {
            return;
        };
        match tasks.start() {
            Ok(threads) => *self.background.lock() = threads,
            Err(error) => {
                tracing::error!("the background threads could not be started, stopping: {error}");
                rocket.shutdown().notify();
            }
        }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let slot = request.local_cache(Slot::<D>::empty);
        slot.answered();
        match slot.get() {
            // Nothing in this request asked for the session.
            None => {}
            Some(Ok(inner)) => {
                end_replaced(inner, response).await;
                let untold = respond(inner, response);
                undo(inner, untold).await;
            }
            Some(Err(_)) => retry_later(response),
        }
    }

    async fn on_shutdown(&self, _: &Rocket<Orbit>) {
        let threads = std::mem::take(&mut *self.background.lock());
        // A separate thread, because the runtime waits at its end for its own threads, and a
        // background thread may be stuck.
        let (done, stopped) = oneshot::channel();
        std::thread::spawn(move || {
            threads.into_iter().for_each(Background::stop);
            done.send(())
        });
        if timeout(BACKGROUND_GRACE, stopped).await.is_err() {
            tracing::warn!("the background threads of sessions did not stop in time");
        }
    }
}

impl<D> fmt::Debug for Sessions<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("config", &self.config)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
