//! Settings: `[default.sessions]` in Rocket.toml and `ROCKET_SESSIONS`.

mod check;
pub mod figment;
mod kinds;
mod parts;
#[cfg(feature = "diesel")]
pub(super) mod startup;
#[cfg(test)]
mod tests;
pub(super) mod transport;
pub(super) mod url;
pub(super) mod webhook;

use std::time::Duration;

use rocket::data::{ByteUnit, ToByteUnit};
use rocket::figment::Figment;
use serde::{Deserialize, Serialize};

pub(crate) use self::kinds::check_name;
use self::transport::{SiteData, Transport};
use self::webhook::WebhookConfig;
use super::cookie::policy::CookieConfig;
#[cfg(feature = "diesel")]
use super::error::ConfigError;
use super::error::SetupError;
use super::expiry::ExpiryPolicy;
use super::pipeline::{CALL_CONNECTIONS, MIN_DIRECT_CALLS};
#[cfg(feature = "diesel")]
use crate::store::ApplicationPool;
use crate::store::{
    DatabasePassword, DatabaseUrl, Dialect, OnSessionLimit, SchemaName, SqliteSynchronous,
    UserSource,
};

/// Name of the section in Rocket's configuration.
const SECTION: &str = "sessions";

/// Connections for the sweeper and the recorder.
const BACKGROUND_CONNECTIONS: u32 = 2;

/// Connections beyond those of the workers: for calls that bypass the queue, and for background
/// tasks.
const OTHER_CONNECTIONS: u32 = CALL_CONNECTIONS + BACKGROUND_CONNECTIONS;

/// Connections beyond those of the workers that direct calls must leave free.
const NOT_DIRECT: u32 = OTHER_CONNECTIONS - MIN_DIRECT_CALLS;

/// Settings of the session layer. Durations are written like `"24h"` or `"1h 30m"`.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use rocket::figment::providers::{Format, Toml};
/// use rocket_diesel_sessions::SessionConfig;
///
/// let figment = rocket::Config::figment().merge(Toml::string(r#"
///     [default.sessions]
///     idle_timeout = "20m"
/// "#).nested());
/// let config = SessionConfig::from_figment(&figment).unwrap();
/// assert_eq!(config.idle_timeout, Duration::from_secs(20 * 60));
/// assert_eq!(config.absolute_timeout, Duration::from_secs(30 * 24 * 3600));
/// ```
///
/// Settings can be given in code instead:
///
/// ```
/// use rocket_diesel_sessions::{SameSite, SessionConfig};
///
/// let mut config = SessionConfig::default();
/// config.max_sessions_per_user = 5;
/// config.cookie.same_site = SameSite::Strict;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SessionConfig {
    /// The URL of the database, such as `"postgres://app@db.internal/app"`. Default `DATABASE_URL`.
    pub url: Option<DatabaseUrl>,
    /// PostgreSQL only, and only in code: supplies the password of each new connection, instead of
    /// the URL. Default none. Kinds of session that share a store have that of the kind attached
    /// first.
    #[serde(skip)]
    pub password: Option<DatabasePassword>,
    /// PostgreSQL only: the schema of the library's tables, regardless of the search path. It is
    /// created if it is missing. Default: the first schema of the search path.
    pub schema: Option<SchemaName>,
    /// Where the users are kept. Default `own`, the library's table `users`. With `external`, the
    /// application keeps them, and a user id is any text.
    pub users: UserSource,
    /// How tokens travel. Default `cookie`.
    pub transport: Transport,
    /// The cookie's attributes.
    pub cookie: CookieConfig,
    /// What browsers forget when a session is logged out. Default nothing.
    pub clear_site_data: Vec<SiteData>,
    /// A session ends after this time without activity. Default 24 h (OWASP ASVS 5.0, 7.3.1).
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// The idle timeout of visitors who are not signed in. At most `idle_timeout`, which is the
    /// default.
    #[serde(with = "humantime_serde")]
    pub anonymous_idle_timeout: Option<Duration>,
    /// A session ends this long after it was created, or after the latest login, even if it is in
    /// use. Default 30 d (OWASP ASVS 5.0, 7.3.2).
    #[serde(with = "humantime_serde")]
    pub absolute_timeout: Duration,
    /// Precision of the recorded activity: a session is touched at most once in this time. Default
    /// 5 min.
    #[serde(with = "humantime_serde")]
    pub touch_interval: Duration,
    /// Time between two sweeps of expired sessions. Default 1 h. Events whose time is over are deleted
    /// as often, but at most once an hour.
    #[serde(with = "humantime_serde")]
    pub cleanup_interval: Duration,
    /// Time limit of an operation, after which its request is answered with 503. Default 2 s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How long the start waits for the database. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub startup_timeout: Duration,
    /// How often the database is asked whether sessions that are watched by
    /// [`Session::ended`](crate::Session::ended) are still live, from 100 ms to 1 h. Default 5 s.
    #[serde(with = "humantime_serde")]
    pub watch_interval: Duration,
    /// Maximum size of a session's data as JSON. Default 64 KiB.
    pub max_data_size: ByteUnit,
    /// Maximum number of live sessions per user; 0 means no limit. Default 0 (OWASP ASVS 5.0,
    /// 7.1.2).
    pub max_sessions_per_user: u32,
    /// What a login does that would exceed `max_sessions_per_user`. Default `end_oldest`.
    pub on_session_limit: OnSessionLimit,
    /// The time after a sign-in during which the guard [`Fresh`](crate::Fresh) accepts the user.
    /// Default 10 min (OWASP ASVS 5.0, 7.5.2).
    #[serde(with = "humantime_serde")]
    pub fresh_for: Duration,
    /// Time between two writes of usage to the statistics, from 1 s on; `0s` records no usage.
    /// Default 1 min.
    #[serde(with = "humantime_serde")]
    pub stats_interval: Duration,
    /// How long statistics are kept. Default 90 d.
    #[serde(with = "humantime_serde")]
    pub stats_retention: Duration,
    /// How long events of users' sessions are kept, from 1 h on; `0s` keeps none. Default 90 d.
    #[serde(with = "humantime_serde")]
    pub events_retention: Duration,
    /// Whether a sign-in with a browser that the user has never used is an event, `new_device`.
    /// Needs `events_retention`. Default `false`.
    pub known_devices: bool,
    /// A server to which events of users' sessions are sent. Default none.
    pub webhook: Option<WebhookConfig>,
    /// What a visitor gets whose stored data cannot be decoded. Default `keep`.
    pub on_undecodable: OnUndecodable,
    /// Whether the start runs pending migrations. Default `true`.
    pub auto_migrate: bool,
    /// Maximum number of open database connections: at least `workers` + 6, at most 1000. Default
    /// 12. With the application's pool, the maximum number of its connections used for sessions at
    /// a time.
    pub pool_size: u32,
    /// Number of worker threads for queued jobs, each with a connection, 1 to 64. Default 4.
    pub workers: u32,
    /// Maximum number of jobs in one batch, 1 to 1000. Default 256.
    pub max_batch: u32,
    /// Maximum number of waiting loads, and of waiting writes, 1 to 1,000,000. Further ones are
    /// answered with 503 at once. Default 4096.
    pub max_queue: u32,
    /// PostgreSQL only: whether statements are prepared once per connection. Default `true`. Set it
    /// to `false` for PgBouncer in transaction mode.
    pub prepared_statements: bool,
    /// PostgreSQL only: which statements and migrations are used, `auto`, `postgres` or `portable`.
    /// Default `auto`: those that fit the database, which is asked what it is.
    pub dialect: Dialect,
    /// SQLite only: how durable a commit is. Default `full`.
    pub sqlite_synchronous: SqliteSynchronous,
}

/// What a visitor gets whose stored data cannot be decoded as the type of this build. The data is not
/// lost in any case. Signing in and out works in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OnUndecodable {
    /// The session and its user, with `D::default()`. The first change of the data puts the stored
    /// data aside, in the same row. It stays there until the session ends. A version of the
    /// application that can decode it continues with it.
    #[default]
    Keep,
    /// A new session, as if none were stored. The row stays unchanged until it expires. The visitor
    /// is not signed in.
    Fresh,
    /// The session and its user, and [`SessionError::Undecodable`](crate::SessionError::Undecodable)
    /// (500) when the data is read or changed. The row stays unchanged.
    Error,
}

impl Default for SessionConfig {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_hours(1);
        Self {
            url: None,
            password: None,
            schema: None,
            users: UserSource::Own,
            transport: Transport::Cookie,
            cookie: CookieConfig::default(),
            clear_site_data: Vec::new(),
            idle_timeout: 24 * HOUR,
            anonymous_idle_timeout: None,
            absolute_timeout: 30 * 24 * HOUR,
            touch_interval: Duration::from_mins(5),
            cleanup_interval: HOUR,
            timeout: Duration::from_secs(2),
            startup_timeout: Duration::from_secs(30),
            watch_interval: Duration::from_secs(5),
            max_data_size: 64.kibibytes(),
            max_sessions_per_user: 0,
            on_session_limit: OnSessionLimit::EndOldest,
            fresh_for: Duration::from_mins(10),
            stats_interval: Duration::from_mins(1),
            stats_retention: 90 * 24 * HOUR,
            events_retention: 90 * 24 * HOUR,
            known_devices: false,
            webhook: None,
            on_undecodable: OnUndecodable::Keep,
            auto_migrate: true,
            pool_size: 12,
            workers: 4,
            max_batch: 256,
            max_queue: 4096,
            prepared_statements: true,
            dialect: Dialect::Auto,
            sqlite_synchronous: SqliteSynchronous::Full,
        }
    }
}

impl SessionConfig {
    /// Reads the section `sessions` of the figment's selected profile and checks it. The tables in
    /// it that are sections of other kinds of session are checked too; see
    /// [`of_kind`](Self::of_kind).
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::SessionConfig;
    ///
    /// let figment = rocket::Config::figment().merge(("sessions.max_sessions_per_user", 5));
    /// let config = SessionConfig::from_figment(&figment).unwrap();
    /// assert_eq!(config.max_sessions_per_user, 5);
    ///
    /// let figment = rocket::Config::figment().merge(("sessions.workers", 0));
    /// let error = SessionConfig::from_figment(&figment).unwrap_err();
    /// assert!(error.to_string().starts_with("sessions.workers"));
    /// ```
    ///
    /// # Errors
    /// Fails if a key is unknown, or if a value has the wrong type or is out of range.
    pub fn from_figment(figment: &Figment) -> Result<Self, SetupError> {
        Self::of_unnamed(figment)
    }

    /// Returns the settings with the values filled in that depend on other settings or on the
    /// profile.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::SessionConfig;
    ///
    /// let figment = rocket::Config::figment().select("release");
    /// let config = SessionConfig::default().effective(&figment);
    /// assert_eq!(config.cookie.name.as_deref(), Some("__Host-session"));
    /// ```
    #[must_use]
    pub fn effective(&self, figment: &Figment) -> Self {
        Self {
            cookie: self.cookie.effective(is_debug(figment)),
            anonymous_idle_timeout: Some(self.anonymous_idle()),
            ..self.clone()
        }
    }

    /// Returns the settings for the application's pool, which may have fewer than `pool_size`
    /// connections.
    #[cfg(feature = "diesel")]
    pub(crate) fn within(&self, pool: &ApplicationPool) -> Result<Self, ConfigError> {
        let (size, least) = (pool.max_size(), self.workers + OTHER_CONNECTIONS);
        if size < least {
            let allowed = format!(
                "must be at least {least} (for {SECTION}.workers = {}, and {OTHER_CONNECTIONS} more \
                 for logins, the sweep, statistics and administration)",
                self.workers
            );
            return Err(ConfigError::new("max_size of the pool", size, allowed));
        }
        Ok(Self {
            pool_size: self.pool_size.min(size),
            ..self.clone()
        })
    }

    /// Returns whether usage is written to the statistics, if there are any.
    pub(crate) fn records_usage(&self) -> bool {
        !self.stats_interval.is_zero()
    }

    pub(crate) fn expiry(&self) -> ExpiryPolicy {
        ExpiryPolicy::new(
            self.idle_timeout,
            self.anonymous_idle(),
            self.absolute_timeout,
            self.touch_interval,
        )
    }

    fn anonymous_idle(&self) -> Duration {
        self.anonymous_idle_timeout.unwrap_or(self.idle_timeout)
    }
}

/// Returns whether the selected profile is `debug`. Every other profile is treated as production.
pub(crate) fn is_debug(figment: &Figment) -> bool {
    figment.profile() == rocket::Config::DEBUG_PROFILE
}
