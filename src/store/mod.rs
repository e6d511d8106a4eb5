//! The storage of sessions: the [`SessionStore`] trait and its Diesel implementation.
//!
//! Nothing in this module depends on HTTP, cookies or the type of the data. Database-specific code
//! is in the file of that database's name.

pub(crate) mod admin;
mod error;
mod events;
mod ids;
mod login;
mod options;
mod record;
mod request;
mod scan;
mod sessions;
#[cfg(feature = "diesel")]
mod sql;
mod stats;
mod url;
mod users;

pub use error::StoreError;
pub use events::{EventPage, EventRecord, EventStore, ListEvents};
pub use ids::{SessionHandle, UserId};
pub use login::sign_in::{Lifetime, PendingSignIn, SignIn};
pub use login::{
    ActingSession, BindSession, LoginChanges, LoginOutcome, LoginSession, OnSessionLimit,
    Revocation, RevokeScope, SessionLimit,
};
pub(crate) use options::patience;
pub use options::{
    DatabasePassword, Dialect, SchemaName, SqliteSynchronous, StoreOptions, UserSource,
};
pub use record::{NewSession, SessionRecord, TokenHash};
pub use request::outcome::{
    DeleteOutcome, PoolState, RotateOutcome, SaveOutcome, SweepOutcome, WriteOutcome,
};
pub use request::{
    ListSessions, RotateSession, SaveSession, SessionKey, SweepBatch, TouchSession, Withdrawal,
    WriteBatch,
};
pub use scan::{
    ScanSessions, ScannedSession, SessionOrder, SessionPlace, SessionScan, SessionScope,
};
pub use sessions::{SessionStore, UserPresence};
#[cfg(feature = "diesel")]
pub use sql::connect::application::ApplicationPool;
#[cfg(feature = "diesel")]
pub(crate) use sql::connect::bounded;
#[cfg(feature = "diesel")]
pub use sql::listing::SessionFilter;
#[cfg(feature = "diesel")]
pub use sql::login::lent::LoginConnection;
#[cfg(feature = "diesel")]
pub(crate) use sql::login::lent::LoginSite;
#[cfg(feature = "diesel")]
pub use sql::store::DieselStore;
pub use stats::{Census, EndCounts, EndReason, HourStats, StatsStore, SweepRecord, UsageDelta};
pub use url::DatabaseUrl;
pub use users::{
    FindUsers, LastAdmin, PasswordChange, SettingsChange, UserAction, UserChange, UserCursor,
    UserOutcome, UserPage, UserRecord, UserSettings, UserStore,
};
