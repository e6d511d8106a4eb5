//! Where sessions are kept: the [`SessionStore`] trait and its Diesel implementation.
//!
//! Nothing here knows of HTTP, cookies or the type of the data. What is specific to one database
//! is in the file of its name.

pub mod conformance;
mod connection;
mod diesel;
mod error;
mod migrations;
mod options;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod record;
mod row;
#[allow(missing_docs, unreachable_pub)]
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statement;
mod url;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use self::diesel::DieselStore;
pub use error::StoreError;
pub use options::{SqliteSynchronous, StoreOptions};
pub use record::{
    ListSessions, NewSession, RotateSession, SaveOutcome, SaveSession, SessionRecord, TokenHash,
    TouchSession,
};
pub use url::DatabaseUrl;

/// Keeps sessions: what the `Store` interface is to express-session.
///
/// The verbs are synchronous, because Diesel is, and take batches, because a batch costs one
/// statement and one commit; whoever calls them decides how many threads do. A batch is atomic:
/// an error means that none of it was written, unless the error is [`StoreError::Broken`], after
/// which nobody knows.
///
/// Only [`create`](Self::create) inserts. All other verbs leave a session alone that is gone:
/// this is what keeps a session that was ended from coming back.
pub trait SessionStore: Send + Sync + 'static {
    /// Loads the sessions with these lookup ids, in no particular order; absent ones are left out.
    /// Expired ones are not: whether a session may be served is the caller's to judge.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn load(&self, session_ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError>;

    /// Inserts sessions.
    ///
    /// # Errors
    /// When the database fails or cannot be reached, or when an id is taken or a user does not
    /// exist.
    fn create(&self, sessions: &[NewSession]) -> Result<(), StoreError>;

    /// Writes data where the version still is the expected one; outcomes are in the order of
    /// `writes`. Of several writes to one session in a batch, the first counts, the rest is
    /// refused.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn save(&self, writes: &[SaveSession]) -> Result<Vec<SaveOutcome>, StoreError>;

    /// Records activity; returns how many sessions were there to be touched.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn touch(&self, touches: &[TouchSession]) -> Result<usize, StoreError>;

    /// Gives sessions a new token; for each, whether it was there.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError>;

    /// Deletes the sessions with these public handles; returns how many there were.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn delete(&self, ids: &[String]) -> Result<usize, StoreError>;

    /// Deletes every session; returns how many there were.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn delete_all(&self) -> Result<usize, StoreError>;

    /// One page of live sessions, newest token first.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn list(&self, query: &ListSessions) -> Result<Vec<SessionRecord>, StoreError>;

    /// Deletes at most `limit` sessions that have expired by `now`, leaving out those that another
    /// sweep or a request holds; returns how many. 0 means that there is nothing left to do.
    ///
    /// # Errors
    /// When the database fails or cannot be reached.
    fn sweep(&self, now: DateTime<Utc>, limit: u32) -> Result<usize, StoreError>;

    /// Asks the database for a sign of life, with one statement.
    ///
    /// # Errors
    /// When it gives none.
    fn ping(&self) -> Result<(), StoreError>;

    /// How many calls can usefully run at the same time (the size of the connection pool).
    fn concurrency(&self) -> usize;
}
