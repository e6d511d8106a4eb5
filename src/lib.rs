//! Database-backed, typed sessions for [Rocket](rocket), kept in SQLite or PostgreSQL through
//! [Diesel](diesel): exact under concurrency, never brought back once ended.
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
//! 1. **A request comes in.** Unless a handler asks for the session, nothing happens: no
//!    statement, no cookie.
//! 2. **The guard asks.** [`Session<D>`](Session) as a handler's argument looks for the cookie.
//!    Its signature is checked with the secrets of [`SessionKeys`] before the database hears of
//!    it; a forged cookie counts as none.
//! 3. **The row is loaded**, once a request, by the cookie's lookup half. Its secret half must
//!    hash to what is stored, and the row must not have passed its idle or absolute deadline.
//!    Then its JSON is decoded as `D`.
//! 4. **Or there is none.** A visitor without a session gets `D::default()`, and still no row.
//! 5. **The handler reads** with [`data`](Session::data) and
//!    **changes** with [`update`](Session::update): a closure, applied to the newest data and
//!    committed before the call returns. When another request was faster, the closure is applied
//!    again to what that one stored. The first change that leaves something other than
//!    `D::default()` makes the row, with a token of 256 random bits. The database gets only a hash
//!    of it.
//! 6. **The answer goes out.** The fairing adds the cookie if there is a new token, on answers of
//!    every status but 503. A new token that no answer brings to its visitor is taken back, and the
//!    old cookie is good again. Activity was recorded with the load, if that was due
//!    ([`SessionConfig`]'s `touch_interval`), without making the visitor wait.
//! 7. **The token changes** with what the session may do: [`login`](Session::login) binds the
//!    session to a user and replaces its token in one transaction, [`rotate`](Session::rotate)
//!    replaces only the token. The data stays, and the old token is dead at once.
//! 8. **The session ends**: by [`logout`](Session::logout) or [`destroy`](Session::destroy), by
//!    [`UserSessions`] or [`SessionAdmin`], with its user, or at a deadline. From then on no request
//!    writes to it, whenever it was loaded; what is still under way gets
//!    [`SessionError::Ended`].
//! 9. **The row goes.** Ended sessions are deleted at once, expired ones by a background thread,
//!    every hour ([`admin::sweep_once`] is one pass of it).
//!
//! When the database fails, none of this turns into a logout: the guard answers 503 with
//! `Retry-After`, and the cookie stays.
//!
//! # Setting it up
//!
//! [`Sessions::fairing`] takes what it needs from the environment: `DATABASE_URL`,
//! `SESSION_SECRET`, and the section `[default.sessions]` of Rocket.toml, which is
//! [`SessionConfig`]. Each can be given in code instead. Other databases can be served by another
//! [`SessionStore`](store::SessionStore); [`testing::conformance`] checks what one must do.
//!
//! The guides say more: [testing](guide::testing) an application, [rolling deploys](guide::rolling_deploys),
//! [operating](guide::operating) a server, [custom stores](guide::custom_store).
//!
//! # Features
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `sqlite`, `postgres` | yes | the two databases; at least one is needed |
//! | `bundled` | no | builds SQLite, libpq and OpenSSL from source; without it, the system's are linked |

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!("enable the feature `sqlite` or `postgres`, or both");

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod cause;
mod cross_site;
pub mod guide;
mod session;
pub mod store;
pub mod testing;

// For handlers.
pub use cause::Cause;
pub use cross_site::{CrossSiteProtection, Origin};
pub use session::{
    Login, Session, SessionError, Sessions, TypedData, UserSession, UserSessionPage, UserSessions,
    is_forwarded, visitor_address,
};

// To set up and configure.
pub use session::{
    ConfigError, CookieConfig, OnUndecodable, SameSite, SessionConfig, SessionKeys, SetupError,
    database_url_from_env, figment,
};
#[doc(inline)]
pub use store::{DatabaseUrl, DieselStore, OnSessionLimit, SqliteSynchronous};

// To see what happens.
pub use session::{Clock, SessionAdmin, SessionEvent, SessionEventKind, SystemClock};
#[doc(inline)]
pub use store::EndReason;

/// For pages and programs of administrators: lists, statistics, sweeps and the audit log.
pub mod admin {
    pub use crate::session::{
        AUDIT_LOG, SessionPage, SessionStats, SweepReport, check_clock, clear_all, sweep_once,
        sweep_with_progress,
    };
}

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[allow(missing_debug_implementations)]
pub struct Readme;
