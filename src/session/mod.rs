//! Sessions for any Rocket application: guard, fairing, token, cookie, expiry, sweep.
//!
//! Nothing here knows of routes or pages, nor of SQL.

mod address;
mod admin;
mod background;
mod batches;
mod clock;
mod config;
mod cookie;
mod core;
mod cross_site;
mod data;
mod error;
mod events;
mod evolution;
mod expiry;
mod fairing;
mod figment;
mod guard;
mod keys;
mod load;
mod login;
mod metrics;
mod monitor;
mod origin;
mod pipeline;
mod recorder;
mod response;
mod seldom;
mod startup;
mod state;
mod sweeper;
mod token;
mod usage;
mod users;
mod write;

#[cfg(feature = "app")]
pub(crate) use address::{is_forwarded, visitor_address};
pub use admin::{SessionAdmin, SessionPage, SessionStats};
pub use batches::clear_all;
pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{OnUndecodable, SessionConfig};
pub use cookie::{CookieConfig, SameSite};
pub use cross_site::CrossSiteProtection;
pub use data::TypedData;
pub use error::{ConfigError, SessionError, SetupError};
pub use events::{SessionEvent, SessionEventKind};
pub use fairing::Sessions;
#[cfg(feature = "app")]
pub(crate) use figment::{
    describe as describe_figment, is_environment, place as place_in_figment,
    section as figment_section,
};
pub use guard::Session;
pub use keys::SessionKeys;
pub use login::Login;
#[cfg(feature = "app")]
pub(crate) use monitor::AUDIT_LOG;
pub use origin::Origin;
pub use startup::database_url_from_env;
pub use sweeper::{SweepReport, check_clock, sweep_once, sweep_with_progress};
pub use users::{UserSession, UserSessionPage, UserSessions};

#[cfg(feature = "bench")]
pub(crate) use {
    data::{decode, recode, to_json},
    monitor::Monitor,
    pipeline::{Change, Pipeline, PipelineOptions},
    token::Token,
};
