//! Sessions for any Rocket application: guard, fairing, token, cookie, expiry, sweep.
//!
//! Nothing here knows of routes or pages, nor of SQL.

mod admin;
mod background;
mod clock;
mod codec;
mod config;
mod cookie;
mod error;
mod expiry;
mod fairing;
mod guard;
mod observe;
mod pipeline;
mod request;
mod response;
mod shared;
mod user_sessions;

pub use self::background::batches::clear_all;
pub use self::background::sweeper::{SweepReport, check_clock, sweep_once, sweep_with_progress};
pub use self::codec::TypedData;
#[cfg(feature = "app")]
pub(crate) use self::config::figment::{
    describe as describe_figment, is_environment, place as place_in_figment,
    section as figment_section,
};
pub use self::config::startup::database_url_from_env;
pub use self::cookie::keys::SessionKeys;
pub use self::cookie::policy::{CookieConfig, SameSite};
pub use self::guard::login::Login;
pub use self::observe::events::{SessionEvent, SessionEventKind};
#[cfg(feature = "app")]
pub(crate) use self::observe::monitor::AUDIT_LOG;
#[cfg(feature = "app")]
pub(crate) use self::request::address::{is_forwarded, visitor_address};
pub use self::user_sessions::{UserSession, UserSessionPage, UserSessions};
pub use admin::{SessionAdmin, SessionPage, SessionStats};
pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{OnUndecodable, SessionConfig};
pub use error::{ConfigError, SessionError, SetupError};
pub use fairing::Sessions;
pub use guard::Session;

#[cfg(feature = "bench")]
pub(crate) use self::codec::{decode, recode, to_json};
#[cfg(feature = "bench")]
pub(crate) use self::cookie::token::Token;
#[cfg(feature = "bench")]
pub(crate) use self::observe::monitor::Monitor;
#[cfg(feature = "bench")]
pub(crate) use self::pipeline::{Change, Pipeline, PipelineOptions};
