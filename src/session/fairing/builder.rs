//! What a fairing is given in code, instead of taking it from the environment.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rocket::Request;
use rocket::serde::json::Value;

use super::Sessions;
use super::source::Source;
use crate::session::clock::Clock;
use crate::session::codec::{Codec, SessionData, TypedData};
use crate::session::config::SessionConfig;
use crate::session::cookie::keys::SessionKeys;
use crate::session::observe::events::SessionEvent;
#[cfg(feature = "diesel")]
use crate::store::ApplicationPool;
use crate::store::{EventStore, SessionStore, StatsStore};

impl<D: TypedData> Sessions<D> {
    /// Creates a fairing that takes everything from the environment.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// let rocket = rocket::build().attach(Sessions::<Vec<String>>::fairing());
    /// ```
    pub fn fairing() -> Self {
        Self {
            kind: String::new(),
            config: None,
            has_external_users: false,
            keys: None,
            source: Source::Settings,
            stats: None,
            events: None,
            clock: None,
            hooks: Mutex::default(),
            request_id: None,
            tasks: Mutex::default(),
            background: Mutex::default(),
            answers: OnceLock::new(),
            #[cfg(feature = "testing")]
            link: None,
            codec: Arc::new(Codec::unversioned()),
        }
    }

    /// Names this kind of session, so that one Rocket can have several: a shop's customers and its
    /// staff, say. Each kind has a data type of its own and its own cookie, by default
    /// `__Host-session-<kind>`, or `session-<kind>` when not secure. A cookie of one kind is worth
    /// nothing to another. The settings are those of the section `[default.sessions.<kind>]`, and
    /// where it is silent, of `[default.sessions]`.
    ///
    /// Kinds share one store, with its connections and threads, unless a kind has a `url` or
    /// `schema` of its own or is given a [`store`](Self::store) or [`pool`](Self::pool) in code. A
    /// store, pool, secrets or a clock given to the kind attached first serve the later ones too.
    /// [`on_event`](Self::on_event) learns of all kinds in the store.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::serde::{Deserialize, Serialize};
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// #[derive(Default, Serialize, Deserialize)]
    /// #[serde(crate = "rocket::serde", default)]
    /// struct Shop {
    ///     cart: Vec<u32>,
    /// }
    ///
    /// #[derive(Default, Serialize, Deserialize)]
    /// #[serde(crate = "rocket::serde", default)]
    /// struct Staff {
    ///     desk: u32,
    /// }
    ///
    /// let rocket = rocket::build()
    ///     .attach(Sessions::<Shop>::fairing())
    ///     .attach(Sessions::<Staff>::fairing().named("staff"));
    /// ```
    #[must_use]
    pub fn named(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }

    /// Uses these settings instead of the section `sessions`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionConfig, Sessions};
    ///
    /// let mut config = SessionConfig::default();
    /// config.max_sessions_per_user = 5;
    /// let sessions = Sessions::<Vec<String>>::fairing().config(config);
    /// ```
    #[must_use]
    pub fn config(mut self, config: SessionConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// Leaves the users to the application, like the setting `users = "external"`: any text or number
    /// is a user's id, and there is no table `users` of the library. It holds for kinds of session that
    /// are attached later, too. The guide on [users of your own](crate::guide::external_users) says more.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// let rocket = rocket::build().attach(Sessions::<Vec<String>>::fairing().external_users());
    /// ```
    #[must_use]
    pub fn external_users(mut self) -> Self {
        self.has_external_users = true;
        self
    }

    /// Uses these secrets instead of `SESSION_SECRET`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionKeys, Sessions};
    ///
    /// let keys = SessionKeys::parse("a secret of at least thirty-two bytes").unwrap();
    /// let sessions = Sessions::<Vec<String>>::fairing().keys(keys);
    /// ```
    #[must_use]
    pub fn keys(mut self, keys: SessionKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Uses this store instead of the database in `DATABASE_URL`. The application is responsible
    /// for its schema.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use rocket_diesel_sessions::{SessionConfig, Sessions};
    ///
    /// # fn main() -> Result<(), rocket_diesel_sessions::SetupError> {
    /// let config = SessionConfig::default();
    /// let store = Arc::new(config.open_store(&"sqlite://visits.db".parse()?)?);
    /// let sessions = Sessions::<Vec<String>>::fairing()
    ///     .config(config)
    ///     .store(store.clone())
    ///     .statistics(store);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn store(mut self, store: Arc<dyn SessionStore>) -> Self {
        self.source = Source::Store(store);
        self
    }

    /// Uses the application's own pool instead of the database in `DATABASE_URL`, and makes no
    /// connections of its own. Migrations run on one of the pool's connections.
    ///
    /// At most [`pool_size`](SessionConfig::pool_size) of the pool's connections are used for
    /// sessions at a time. The pool needs at least `workers` + 6 connections; with fewer, the
    /// launch stops. Add one for each handler that holds a connection while it awaits its session.
    /// [`DieselStore::from_pool`](crate::DieselStore::from_pool) describes which settings of a
    /// connection are changed, and for how long.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use diesel::pg::PgConnection;
    /// use diesel::r2d2::{ConnectionManager, Pool};
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = ConnectionManager::<PgConnection>::new("postgres://app@db.internal/app");
    /// let pool = Pool::builder().max_size(20).build(manager)?;
    /// let rocket = rocket::build()
    ///     .attach(Sessions::<Vec<String>>::fairing().pool(pool.clone()))
    ///     .manage(pool);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[cfg(feature = "diesel")]
    pub fn pool(mut self, pool: impl Into<ApplicationPool>) -> Self {
        self.source = Source::Pool(pool.into());
        self
    }

    /// Keeps usage statistics in this store. Without it, the database in `DATABASE_URL` keeps them.
    /// With a [`store`](Self::store) of your own and without this, no statistics are kept.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use rocket_diesel_sessions::Sessions;
    /// use rocket_diesel_sessions::store::{SessionStore, StatsStore};
    ///
    /// fn sessions(store: Arc<dyn SessionStore>, stats: Arc<dyn StatsStore>) -> Sessions<u64> {
    ///     Sessions::fairing().store(store).statistics(stats)
    /// }
    /// ```
    #[must_use]
    pub fn statistics(mut self, stats: Arc<dyn StatsStore>) -> Self {
        self.stats = Some(stats);
        self
    }

    /// Keeps the record of events in this store, for `events_retention`. Without it, the database in
    /// `DATABASE_URL` keeps it. With a [`store`](Self::store) of your own and without this, no events
    /// are recorded.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use rocket_diesel_sessions::Sessions;
    /// use rocket_diesel_sessions::store::{EventStore, SessionStore};
    ///
    /// fn sessions(store: Arc<dyn SessionStore>, events: Arc<dyn EventStore>) -> Sessions<u64> {
    ///     Sessions::fairing().store(store).events(events)
    /// }
    /// ```
    #[must_use]
    pub fn events(mut self, events: Arc<dyn EventStore>) -> Self {
        self.events = Some(events);
        self
    }

    /// Calls `hook` after each event: when a request or sweep of this instance has created, rotated
    /// or ended a session, or has signed a user in. The hook runs on the thread that made the change,
    /// which waits for it, so it should be quick.
    ///
    /// The event carries the user, the actor, the address, the user agent, the reason and the id of
    /// the request. What is not known is `None`: a sweep has no request, and ends on other instances
    /// or by SQL are not reported here.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionEventKind, Sessions};
    ///
    /// let sessions = Sessions::<Vec<String>>::fairing().on_event(|event| {
    ///     if let SessionEventKind::Ended(reason) = event.kind {
    ///         println!("session {} ended: {}", event.id, reason.name());
    ///     }
    ///     if event.kind == SessionEventKind::Login {
    ///         println!("{:?} signed in from {:?}", event.user, event.ip);
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn on_event(self, hook: impl Fn(&SessionEvent) + Send + Sync + 'static) -> Self {
        self.hooks.lock().push(Box::new(hook));
        self
    }

    /// Calls `id` for the id of a request, which the request's events carry. It is `None` by default:
    /// a header of the request may be whatever a visitor sends, so the application decides what is
    /// an id.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// // Behind a proxy that sets the header on every request.
    /// let sessions = Sessions::<u64>::fairing().request_id(|request| {
    ///     request.headers().get_one("X-Request-Id").map(str::to_owned)
    /// });
    /// ```
    #[must_use]
    pub fn request_id(
        mut self,
        id: impl Fn(&Request<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.request_id = Some(Arc::new(id));
        self
    }

    /// Gives the data a version. Rows of older versions are made into data by `upgrade`, which gets
    /// their JSON and version and returns `None` if that is impossible. Rows without a version are of
    /// version 0. [`SessionData::upgrade`] says when it is called; a type that implements that trait is
    /// attached with [`versioned`](Self::versioned) instead.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// // Version 0 was a single number.
    /// let sessions = Sessions::<Vec<u64>>::fairing().upgrade(1, |old, _version| {
    ///     old.as_u64().map(|number| vec![number])
    /// });
    /// ```
    #[must_use]
    pub fn upgrade(
        mut self,
        version: u32,
        upgrade: impl Fn(Value, u32) -> Option<D> + Send + Sync + 'static,
    ) -> Self {
        self.codec = Arc::new(Codec::versioned(version, upgrade));
        self
    }

    /// Uses the version and the upgrade of the data's type, see [`SessionData`].
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::serde::{Deserialize, Serialize};
    /// use rocket_diesel_sessions::{SessionData, Sessions};
    ///
    /// #[derive(Default, Serialize, Deserialize)]
    /// #[serde(crate = "rocket::serde", default)]
    /// struct Visits {
    ///     count: u64,
    /// }
    ///
    /// impl SessionData for Visits {
    ///     const VERSION: u32 = 1;
    /// }
    ///
    /// let sessions = Sessions::<Visits>::fairing().versioned();
    /// ```
    #[must_use]
    pub fn versioned(self) -> Self
    where
        D: SessionData,
    {
        self.upgrade(D::VERSION, D::upgrade)
    }

    /// Uses this clock instead of the system's.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use rocket_diesel_sessions::Sessions;
    /// use rocket_diesel_sessions::testing::ManualClock;
    ///
    /// let clock = Arc::new(ManualClock::starting_now());
    /// let sessions = Sessions::<Vec<String>>::fairing().clock(clock.clone());
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }
}
