//! [`Sessions`]: the fairing that sets sessions up, sends the cookie, and runs the background
//! threads.

mod answer;
mod builder;
mod engine;
mod kinds;
pub(super) mod shared;
mod source;

use std::any::type_name;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use rocket::fairing::{self, Fairing, Info, Kind};
use rocket::tokio::sync::oneshot;
use rocket::tokio::time::timeout;
use rocket::{Build, Orbit, Request, Response, Rocket};

use self::answer::{Answer, AnswerOf, answer};
use self::engine::{BackgroundTasks, Engine};
use self::kinds::{AttachedKind, Kinds, MAX_NESTED};
use self::source::Source;
use super::admin::SessionAdmin;
use super::background::thread::Background;
use super::clock::{Clock, SystemClock};
use super::codec::{Codec, TypedData};
use super::config::transport::SiteData;
use super::config::{SessionConfig, check_name, is_debug};
use super::cookie::device::Devices;
use super::cookie::keys::SessionKeys;
use super::cookie::policy::CookiePolicy;
use super::cookie::seal::Seal;
use super::error::{ConfigError, SetupError};
use super::observe::context::{RequestId, RequestIds};
use super::observe::events::Hook;
use super::request::bearer::Transports;
#[cfg(feature = "testing")]
use super::test_sessions::Link;
use crate::store::{EventStore, StatsStore, UserSource};
use shared::{Attached, AttachedTypes, Shared};

/// How long a shutdown waits for the background threads.
const BACKGROUND_GRACE: Duration = Duration::from_secs(1);

/// A fairing that attaches sessions with data of type `D` to a Rocket. For several kinds of
/// session, attach one for each, with types of their own; see [`named`](Self::named).
///
/// Settings, secrets and stores that are not given are taken from the environment when Rocket
/// ignites: the section `sessions` of Rocket's configuration ([`SessionConfig`]), `SESSION_SECRET`
/// and `DATABASE_URL`. If one of them cannot be used, the launch stops, and the log gives the
/// reason.
///
/// A response fairing that may turn a response into a 503 must be attached before this one, because
/// a new token counts as delivered once this one has added its cookie. With several kinds of session,
/// that is the one attached last.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::Sessions;
///
/// let rocket = rocket::build().attach(Sessions::<Vec<String>>::fairing());
/// ```
pub struct Sessions<D> {
    /// The name of the kind; empty for the kind without one.
    kind: String,
    config: Option<SessionConfig>,
    has_external_users: bool,
    keys: Option<SessionKeys>,
    source: Source,
    stats: Option<Arc<dyn StatsStore>>,
    events: Option<Arc<dyn EventStore>>,
    clock: Option<Arc<dyn Clock>>,
    /// The registered hooks, until Rocket ignites.
    hooks: Mutex<Vec<Hook>>,
    /// Finds the id of a request.
    request_id: Option<RequestId>,
    /// The background work, until liftoff.
    tasks: Mutex<Option<BackgroundTasks>>,
    background: Mutex<Vec<Background>>,
    /// The parts of all kinds in responses, which the kind attached last completes. Known once all
    /// kinds have ignited, so from the first response on.
    answers: OnceLock<Vec<&'static dyn Answer>>,
    /// The link to the handle of a test.
    #[cfg(feature = "testing")]
    pub(in crate::session) link: Option<Link>,
    codec: Arc<Codec<D>>,
}

/// What a fairing has set up.
struct SetUp {
    shared: Shared,
    kind: AttachedKind,
    /// The background work, unless another kind's fairing has it.
    tasks: Option<BackgroundTasks>,
}

impl<D: TypedData> Sessions<D> {
    async fn set_up(&self, rocket: &Rocket<Build>, kinds: &Kinds) -> Result<SetUp, SetupError> {
        let debug = is_debug(rocket.figment());
        let config = self.settings(rocket, kinds)?;
        let cookie = CookiePolicy::new(&config.cookie, debug)?;
        let keys = match self.keys.clone().or_else(|| kinds.keys()) {
            Some(keys) => keys,
            None => SessionKeys::from_env(debug)?,
        };
        let devices = config
            .known_devices
            .then(|| Devices::new(&keys, &self.kind, &cookie));
        let mut cookies = vec![cookie.name().to_owned()];
        cookies.extend(devices.as_ref().map(|it| it.cookie_name().to_owned()));
        kinds.check_unique::<D>(&self.kind, &cookies)?;
        if config.transport.takes_cookies()
            && let Some(warning) = cookie.warning()
        {
            tracing::warn!("{warning}");
        }
        let (engine, tasks) = self.engine(kinds, &config).await?;
        engine.policies.set(&self.kind, config.expiry());
        let seal = Seal::new(&keys, &self.kind, cookie.name(), engine.upgraded_at);
        if config.known_devices && engine.archive.is_none() {
            let problem = "needs a record of events: set sessions.events_retention, and with a store \
                           of your own Sessions::events";
            return Err(ConfigError::unfit("sessions.known_devices", problem).into());
        }
        let bearer_seal = Seal::bearer(&keys, &self.kind, cookie.name());
        let kind = AttachedKind {
            name: self.kind.clone(),
            type_name: type_name::<D>(),
            cookies,
            origin: self.source.origin(&config)?,
            keys,
            has_external_users: self.has_external_users,
            engine: engine.clone(),
            config: config.clone(),
            answer: AnswerOf::<D>::IT,
        };
        let shared = Shared {
            pipeline: engine.pipeline,
            transport: config.transport,
            seal,
            bearer_seal,
            kind: self.kind.clone(),
            cookie,
            devices,
            clear_site_data: SiteData::header(&config.clear_site_data),
            expiry: config.expiry(),
            policies: engine.policies,
            clock: self.clock.clone().unwrap_or(engine.clock),
            monitor: engine.monitor,
            max_data_size: config.max_data_size,
            on_undecodable: config.on_undecodable,
            session_limit: config.session_limit(),
            fresh_for: config.fresh_for,
            watch_interval: config.watch_interval,
            archive: engine.archive,
        };
        Ok(SetUp {
            shared,
            kind,
            tasks,
        })
    }

    /// Returns the engine of a kind that shares its store with this one, or starts one.
    async fn engine(
        &self,
        kinds: &Kinds,
        config: &SessionConfig,
    ) -> Result<(Engine, Option<BackgroundTasks>), SetupError> {
        let hooks = std::mem::take(&mut *self.hooks.lock());
        if let Some(engine) = kinds.shared(&self.kind, &self.source, config)? {
            let given = [
                ("Sessions::statistics", self.stats.is_some()),
                ("Sessions::events", self.events.is_some()),
            ];
            if let Some((name, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
                let problem = "must be given to the kind of session attached first, whose store \
                               the later ones share";
                return Err(ConfigError::unfit(name, problem).into());
            }
            engine.monitor.add_hooks(hooks);
            return Ok((engine, None));
        }
        let config = self.source.adapt(config.clone())?;
        let (stats, events) = (self.stats.clone(), self.events.clone());
        let stores = self.source.open(config.clone(), stats, events).await?;
        let clock = self.clock.clone().unwrap_or_else(|| Arc::new(SystemClock));
        let (engine, tasks) = Engine::start(stores, hooks, clock, &config).await?;
        Ok((engine, Some(tasks)))
    }

    /// Returns the settings, with which `D::default()` can be stored.
    fn settings(&self, rocket: &Rocket<Build>, kinds: &Kinds) -> Result<SessionConfig, SetupError> {
        let (figment, kind) = (rocket.figment(), self.kind.as_str());
        let mut config = match &self.config {
            Some(config) => config.clone(),
            None if kind.is_empty() => SessionConfig::from_figment(figment)?,
            None => SessionConfig::of_kind(figment, kind)?,
        };
        if self.has_external_users || kinds.has_external_users() {
            config.users = UserSource::External;
        }
        if !kind.is_empty() {
            check_name(kind)?;
            config.cookie = config.cookie.of_kind(kind, is_debug(figment));
        }
        config.check()?;
        let encoded = self.codec.encode(&D::default(), config.max_data_size);
        encoded.map_err(|error| SetupError::DefaultData {
            type_name: type_name::<D>(),
            reason: error.to_string(),
        })?;
        Ok(config)
    }
}

#[rocket::async_trait]
impl<D: TypedData> Fairing for Sessions<D> {
    fn info(&self) -> Info {
        Info {
            name: "Sessions",
            kind: Kind::Ignite | Kind::Liftoff | Kind::Response | Kind::Shutdown,
        }
    }

    async fn on_ignite(&self, mut rocket: Rocket<Build>) -> fairing::Result {
        let attached = rocket.state::<Kinds>().cloned();
        let is_first = attached.is_none();
        let kinds = attached.unwrap_or_default();
        if is_first {
            rocket = rocket
                .manage(kinds.clone())
                .manage(AttachedTypes::default())
                .manage(Transports::default())
                .attach(kinds.check_sections(MAX_NESTED));
        }
        match self.set_up(&rocket, &kinds).await {
            Ok(set_up) => {
                kinds.add(set_up.kind);
                *self.tasks.lock() = set_up.tasks;
                if let Some(id) = &self.request_id
                    && rocket.state::<RequestIds>().is_none()
                {
                    rocket = rocket.manage(RequestIds(Arc::clone(id)));
                }
                let attached = Attached::<D>::new(set_up.shared, Arc::clone(&self.codec));
                #[cfg(feature = "testing")]
                let rocket = match &self.link {
                    Some(link) => link.connect(rocket, &attached),
                    None => rocket,
                };
                Ok(manage(rocket, attached))
            }
            Err(error) => {
                kinds.failed();
                tracing::error!("sessions: {error}");
                Err(rocket)
            }
        }
    }

    async fn on_liftoff(&self, rocket: &Rocket<Orbit>) {
        let Some(tasks) = self.tasks.lock().take() else {
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
        let answers = self.answers.get_or_init(|| {
            let kinds = request.rocket().state::<Kinds>();
            kinds.map_or_else(Vec::new, |kinds| kinds.answers_after(&self.kind))
        });
        answer(answers, request, response).await;
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

/// Manages what handlers ask for. The kind attached first also answers for requests that name none.
fn manage<D: TypedData>(rocket: Rocket<Build>, attached: Attached<D>) -> Rocket<Build> {
    if let Some(types) = rocket.state::<AttachedTypes>() {
        types.0.lock().push(type_name::<D>());
    }
    if let Some(transports) = rocket.state::<Transports>() {
        let shared = &attached.shared;
        transports.add(shared.transport, shared.cookie.clone());
    }
    let (admin, users) = (attached.admin().clone(), attached.users().clone());
    let is_first = rocket.state::<SessionAdmin>().is_none();
    let rocket = rocket.manage(attached);
    if is_first {
        return rocket.manage(admin).manage(users);
    }
    rocket
}

impl<D> fmt::Debug for Sessions<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("kind", &self.kind)
            .field("config", &self.config)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
