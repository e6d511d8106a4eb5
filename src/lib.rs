//! Database-backed, typed sessions for [Rocket](rocket), stored in SQLite or PostgreSQL through
//! [Diesel](diesel). Concurrent updates are never lost, and ended sessions never come back.
//!
//! ```no_run
//! use rocket::serde::{Deserialize, Serialize};
//! use rocket::{get, launch, routes};
//! use rocket_diesel_sessions::{Session, SessionError, Sessions};
//!
//! #[derive(Default, Serialize, Deserialize)]
//! #[serde(crate = "rocket::serde", default)]
//! struct Visits {
//!     count: u64,
//! }
//!
//! #[get("/")]
//! async fn index(session: Session<Visits>) -> Result<String, SessionError> {
//!     let count = session.update(|visits| {
//!         visits.count += 1;
//!         visits.count
//!     });
//!     Ok(format!("visit number {}", count.await?))
//! }
//!
//! #[launch]
//! fn rocket() -> _ {
//!     rocket::build()
//!         .attach(Sessions::<Visits>::fairing())
//!         .mount("/", routes![index])
//! }
//! ```
//!
//! # The life of a session
//!
//! 1. **A request arrives.** Unless a handler asks for the session, nothing happens: no statement
//!    is run and no cookie is set.
//! 2. **The guard reads the cookie.** [`Session<D>`](Session) as a handler's argument verifies the
//!    cookie's signature with the secrets of [`SessionKeys`] before it asks the database. A forged
//!    cookie counts as none. [Clients without cookies](guide::bearer_clients) send the token in
//!    `Authorization`.
//! 3. **The row is loaded** once per request, by the token's lookup half. The hash of the token's
//!    secret half must match the stored one, and the session must not have passed its idle or
//!    absolute deadline. The row's JSON is then decoded as `D`.
//! 4. **A visitor without a session** gets `D::default()`. No row is created yet.
//! 5. **The handler reads** with [`data`](Session::data) **and changes** with
//!    [`update`](Session::update). Its closure is applied to the newest data and committed before
//!    the call returns. If another request has changed the data first, the closure is applied again
//!    to the result. The first change that differs from `D::default()` creates the row, with a
//!    token of 256 random bits. The database gets only a hash of it.
//! 6. **The response is sent.** If there is a new token, the fairing adds the cookie to a response
//!    of any status except 503. A new token that no response delivers is withdrawn, and the old
//!    cookie is valid again. Activity has been recorded with the load, if due ([`SessionConfig`]'s
//!    `touch_interval`), without making the visitor wait.
//! 7. **The token changes** with the session's privileges. [`login`](Session::login) binds the
//!    session to a user and replaces its token in one transaction; [`rotate`](Session::rotate)
//!    replaces only the token. The data is kept, and the old token is invalid at once.
//! 8. **The session ends** by [`logout`](Session::logout) or [`destroy`](Session::destroy), through
//!    [`UserSessions`] or [`SessionAdmin`], with its user, or at a deadline. No request can write to
//!    it afterwards, whenever it was loaded. A request in progress gets [`SessionError::Ended`].
//! 9. **The row is deleted**, for ended sessions at once, and for expired ones by a background
//!    thread every hour ([`StoreAdmin::sweep`](admin::StoreAdmin::sweep) runs one pass).
//!
//! A failure of the database never turns into a logout: the guard answers 503 with `Retry-After`,
//! and the cookie stays valid.
//!
//! # Setting it up
//!
//! [`Sessions::fairing`] takes its settings from the environment: `DATABASE_URL`, `SESSION_SECRET`,
//! and the section `[default.sessions]` of Rocket.toml, which is [`SessionConfig`]. Each can be
//! given in code instead. One Rocket can have several kinds of session: [`Sessions::named`]. Another [`SessionStore`](store::SessionStore) can support other
//! databases; [`testing::conformance`] checks what it must do.
//!
//! The guides contain more: applications with [users of their own](guide::external_users),
//! [testing](guide::testing) an application, [evolving data](guide::evolving_data), [rolling
//! deploys](guide::rolling_deploys), [operating](guide::operating) a server, [clients without
//! cookies](guide::bearer_clients), [custom stores](guide::custom_store), and how to come from
//! [`rocket_flex_session`](guide::from_rocket_flex_session),
//! [tower-sessions](guide::from_tower_sessions) or [express-session](guide::from_express).
//!
//! # Features
//!
//! | feature | default | effect |
//! |---|---|---|
//! | `sqlite`, `postgres` | yes | support the database; without both, [`Sessions::store`] must be given a store |
//! | `testing` | no | the module [`testing`]: sessions in memory for the tests of applications, conformance checks for stores |
//! | `webhook` | no | send events to another server ([`WebhookConfig`]) |
//! | `bundled` | no | build SQLite, libpq and OpenSSL from source instead of linking the system's |

#[cfg(all(feature = "diesel", not(any(feature = "sqlite", feature = "postgres"))))]
compile_error!("enable the feature `sqlite` or `postgres` instead of `diesel`");

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod cause;
mod cross_site;
pub mod guide;
mod session;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

// For handlers.
pub use cause::Cause;
pub use cross_site::{CrossSiteProtection, Origin};
#[cfg(feature = "diesel")]
pub use session::UncommittedLogin;
pub use session::{
    Attached, BearerToken, Fresh, Login, PassiveSession, Session, SessionData, SessionError,
    SessionStatus, Sessions, SignedIn, TypedData, UserSession, UserSessionPage, UserSessions,
    is_forwarded, visitor_address,
};

// For setup and configuration.
pub use session::{
    ConfigError, CookieConfig, OnUndecodable, SameSite, SessionConfig, SessionKeys, SetupError,
    SiteData, Transport, WebhookConfig, database_url_from_env, figment,
};
#[cfg(feature = "diesel")]
#[doc(inline)]
pub use store::{ApplicationPool, DieselStore};
#[doc(inline)]
pub use store::{
    DatabasePassword, DatabaseUrl, OnSessionLimit, SchemaName, SqliteSynchronous, UserSource,
};

// For observation.
pub use session::{
    Clock, EventContext, PreparedEvent, SessionAdmin, SessionEvent, SessionEventKind, SystemClock,
};
#[doc(inline)]
pub use store::EndReason;

// The names of sessions and users.
#[doc(inline)]
pub use store::{SessionHandle, UserId};

/// Items for administration: lists, statistics, sweeps and the audit log.
pub mod admin {
    pub use crate::session::{AUDIT_LOG, typed_data};
    pub use crate::store::admin::{SessionPage, SessionStats, StoreAdmin, SweepReport};
}

/// Checks that the README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[allow(missing_debug_implementations)]
pub struct Readme;
