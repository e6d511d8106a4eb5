//! Sessions for any Rocket application: guard, fairing, token, cookie, expiry and sweep.
//!
//! Nothing in this module depends on routes, pages or SQL.

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
mod sign_in;
#[cfg(feature = "testing")]
mod test_sessions;
mod user_sessions;

pub use admin::SessionAdmin;
pub use clock::{Clock, SystemClock};
pub use codec::{SessionData, TypedData, typed_data};
pub use config::figment;
pub use config::transport::{SiteData, Transport};
pub use config::url::database_url_from_env;
pub use config::webhook::WebhookConfig;
pub use config::{OnUndecodable, SessionConfig};
pub use cookie::keys::SessionKeys;
pub use cookie::policy::{CookieConfig, SameSite};
pub use error::{ConfigError, SessionError, SetupError};
pub use fairing::Sessions;
pub use fairing::shared::Attached;
pub use guard::Session;
pub use guard::access::{Fresh, PassiveSession, SignedIn};
pub use guard::activity::SessionStatus;
pub use guard::token::BearerToken;
pub use observe::context::EventContext;
pub use observe::events::{SessionEvent, SessionEventKind};
pub use observe::monitor::AUDIT_LOG;
pub use observe::prepared::PreparedEvent;
#[cfg(feature = "diesel")]
pub use pipeline::UncommittedLogin;
pub use request::address::{is_forwarded, visitor_address};
pub(crate) use request::bearer::Transports;
pub use sign_in::Login;
#[cfg(feature = "testing")]
pub use test_sessions::{TestClient, TestSessions, TestVisitor};
pub use user_sessions::{UserSession, UserSessionPage, UserSessions};

#[cfg(feature = "bench")]
pub(crate) use codec::{Codec, to_json};
#[cfg(feature = "bench")]
pub(crate) use cookie::seal::Seal;
#[cfg(feature = "bench")]
pub(crate) use cookie::token::Token;
#[cfg(feature = "bench")]
pub(crate) use observe::monitor::{Keeps, Monitor};
#[cfg(feature = "bench")]
pub(crate) use pipeline::{Change, Pipeline, PipelineOptions};
