//! [`DieselStore`]: a [`SessionStore`] on an r2d2 pool of Diesel connections.

pub(super) mod open;

use std::fmt;
use std::time::Instant;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use parking_lot::Mutex;
use uuid::Uuid;

use super::connect::connection::{AnyConnection, run_on};
use super::connect::connections::Connections;
use super::connect::prelude::Prelude;
#[cfg(feature = "postgres")]
use super::engine::Engine;
use super::engine::KnownEngine;
use super::error::SqlError;
use super::listing::scan;
use super::login::lock::sweep_locks;
use super::login::{self, withdraw};
use super::migrations::history::taken_over_at;
use super::row::{self, SessionRow};
use super::run::contention::{Contention, HeldRows};
use super::schema::sessions;
use super::statements::keyed::{KeyedRotation, keep_named};
#[cfg(feature = "sqlite")]
use super::statements::sqlite;
#[cfg(feature = "postgres")]
use super::statements::{portable, postgres};
use super::users::ends;
use crate::store::{
    DatabaseUrl, DeleteOutcome, ListSessions, LoginOutcome, LoginSession, PoolState, Revocation,
    RotateOutcome, RotateSession, SaveOutcome, ScanSessions, SessionFilter, SessionHandle,
    SessionKey, SessionRecord, SessionScan, SessionScope, SessionStore, StoreError, StoreOptions,
    SweepBatch, SweepOutcome, UserId, UserPresence, UserSource, Withdrawal, WriteBatch,
    WriteOutcome,
};

/// A store of sessions in SQLite or PostgreSQL, depending on the URL.
///
/// # Example
///
/// ```no_run
/// use rocket_diesel_sessions::DieselStore;
/// use rocket_diesel_sessions::store::{SessionStore, StoreOptions};
///
/// # fn main() -> Result<(), rocket_diesel_sessions::store::StoreError> {
/// let store = DieselStore::open(&"sqlite://sessions.db".parse()?, StoreOptions::default())?;
/// store.migrate()?;
/// store.ping()?;
/// # Ok(())
/// # }
/// ```
pub struct DieselStore {
    pub(in crate::store) url: DatabaseUrl,
    pub(in crate::store) options: StoreOptions,
    pub(in crate::store) connections: Connections,
    /// The start of a job on a connection of the application.
    pub(in crate::store) prelude: Option<Prelude>,
    /// The start of a write to distributed tables.
    #[cfg(feature = "postgres")]
    pub(in crate::store) distributed: Prelude,
    /// Orders the writers of this process, because SQLite allows one at a time. A waiting thread
    /// wakes up at once, unlike with SQLite's busy timeout, which only orders processes.
    pub(in crate::store) writer: Mutex<()>,
    pub(in crate::store) engine: KnownEngine,
    pub(in crate::store) contention: Contention,
    /// When the cause of an unknown error was last looked for in a change of the database.
    pub(in crate::store) looked_into_failure: Mutex<Option<Instant>>,
}

impl fmt::Debug for DieselStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DieselStore")
            .field("url", &self.url)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

diesel::alias!(sessions as old: OldSessions);

/// Runs the engine's own version of a statement.
macro_rules! on_engine {
    ($store:expr, $connection:expr, $function:ident($($argument:expr),*)) => {
        match ($connection.reborrow(), $store.engine.get()) {
            #[cfg(feature = "sqlite")]
            (AnyConnection::Sqlite(connection), _) => sqlite::$function(connection, $($argument),*)?,
            #[cfg(feature = "postgres")]
            (AnyConnection::Postgres(connection), Engine::Postgres) => {
                postgres::$function(connection, $($argument),*)?
            }
            #[cfg(feature = "postgres")]
            (AnyConnection::Postgres(connection), _) => {
                portable::$function(connection, $($argument),*)?
            }
        }
    };
}

impl SessionStore for DieselStore {
    fn load(&self, session_ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError> {
        let keys: Vec<SessionKey> = session_ids.iter().copied().map(SessionKey::new).collect();
        self.load_by_key(&keys)
    }

    fn load_by_key(&self, keys: &[SessionKey]) -> Result<Vec<SessionRecord>, StoreError> {
        let rows = self.look_up(|connection| Ok(on_engine!(self, connection, load(keys))))?;
        let mut records = row::records(rows)?;
        keep_named(&mut records, keys);
        Ok(records)
    }

    fn find(&self, handle: &SessionHandle) -> Result<Option<SessionRecord>, StoreError> {
        if !handle.is_possible() {
            return Ok(None);
        }
        let row = self.read(|connection| {
            run_on!(connection, |connection| {
                let row = sessions::table
                    .find(handle)
                    .select(SessionRow::as_select())
                    .first(connection);
                Ok(row.optional()?)
            })
        })?;
        row.map(TryInto::try_into).transpose()
    }

    fn find_live(
        &self,
        ids: &[SessionHandle],
        now: DateTime<Utc>,
    ) -> Result<Vec<SessionHandle>, StoreError> {
        let now = now.naive_utc();
        self.read(|connection| Ok(on_engine!(self, connection, find_live(ids, now))))
    }

    fn write(&self, batch: &WriteBatch<'_>) -> Result<WriteOutcome, StoreError> {
        let waits = !batch.touches.is_empty() && self.engine.get().waits_to_touch();
        if batch.saves.is_empty() && !waits {
            // New rows cannot be locked, and touches skip locked rows.
            return self.change_batch(|connection| {
                Ok(on_engine!(self, connection, write(batch, HeldRows::Wait)))
            });
        }
        self.change_around_held(
            |written: &WriteOutcome| written.saved.contains(&SaveOutcome::Held),
            |connection, held_rows| Ok(on_engine!(self, connection, write(batch, held_rows))),
        )
    }

    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError> {
        let keyed: Vec<KeyedRotation<'_>> = rotations.iter().map(Into::into).collect();
        let outcomes = self.change_batch(|connection| {
            Ok(on_engine!(
                self,
                connection,
                try_rotate(&keyed, HeldRows::Wait)
            ))
        })?;
        let was_there = |outcome: RotateOutcome| outcome == RotateOutcome::Rotated;
        Ok(outcomes.into_iter().map(was_there).collect())
    }

    fn login(&self, login: &LoginSession) -> Result<LoginOutcome, StoreError> {
        Ok(self.login_from(login)?.0)
    }

    fn login_from(
        &self,
        login: &LoginSession,
    ) -> Result<(LoginOutcome, Option<SessionRecord>), StoreError> {
        if !login.user_id.is_possible() {
            return Ok((LoginOutcome::UserRefused, None));
        }
        self.change(|connection| login::login(connection, login, self.options.users))
    }

    fn revoke(&self, revocation: &Revocation) -> Result<Option<Vec<SessionHandle>>, StoreError> {
        self.change(|connection| ends::revoke(connection, revocation))
    }

    fn delete(&self, handles: &[SessionHandle]) -> Result<Vec<SessionHandle>, StoreError> {
        self.change_batch(|connection| Ok(on_engine!(self, connection, delete(handles))))
    }

    fn try_rotate(&self, rotations: &[RotateSession]) -> Result<Vec<RotateOutcome>, StoreError> {
        self.rotate_keyed(&rotations.iter().map(Into::into).collect::<Vec<_>>())
    }

    fn rotate_by_key(
        &self,
        rotations: &[(SessionHandle, RotateSession)],
    ) -> Result<Vec<RotateOutcome>, StoreError> {
        self.rotate_keyed(&rotations.iter().map(Into::into).collect::<Vec<_>>())
    }

    fn try_delete(&self, handles: &[SessionHandle]) -> Result<DeleteOutcome, StoreError> {
        self.change_around_held(
            |deleted: &DeleteOutcome| !deleted.held.is_empty(),
            |connection, held_rows| match (connection, held_rows) {
                #[cfg(feature = "postgres")]
                (AnyConnection::Postgres(connection), HeldRows::Skip(contention)) => {
                    Ok(match self.engine.get() {
                        Engine::Postgres => postgres::delete_free(connection, handles)?,
                        _ => portable::delete_free(connection, handles, contention)?,
                    })
                }
                (connection, _) => Ok(DeleteOutcome {
                    ended: on_engine!(self, connection, delete(handles)),
                    held: Vec::new(),
                }),
            },
        )
    }

    fn withdraw(
        &self,
        withdrawals: &[Withdrawal],
        now: DateTime<Utc>,
    ) -> Result<Vec<bool>, StoreError> {
        self.change_batch(|connection| {
            withdraw::withdraw(connection, withdrawals, self.options.users, now)
        })
    }

    fn clock(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.read(|connection| match connection {
            // The file is on this machine, so its clock is ours.
            #[cfg(feature = "sqlite")]
            AnyConnection::Sqlite(_) => Ok(None),
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(connection) => Ok(Some(postgres::clock(connection)?.and_utc())),
        })
    }

    fn clear(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<SessionHandle>, StoreError> {
        let limit = limit.min(self.engine.get().largest_batch());
        // Ordered by `session_id`, so that a session rotated in the meantime moves to the end and
        // is still reached.
        let some = old
            .filter(old.field(sessions::created_at).le(now.naive_utc()))
            .order(old.field(sessions::session_id))
            .limit(limit.into())
            .select(old.field(sessions::id));
        self.change(|connection| {
            let rows = sessions::table.filter(sessions::id.eq_any(some));
            let deletion = diesel::delete(rows).returning(sessions::id);
            Ok(run_on!(connection, |connection| deletion.get_results(connection)?))
        })
    }

    fn list(&self, query: &ListSessions) -> Result<Vec<SessionRecord>, StoreError> {
        self.list_filtered(query, &SessionFilter::default())
    }

    fn presence(
        &self,
        users: &[UserId],
        now: DateTime<Utc>,
    ) -> Result<Vec<UserPresence>, StoreError> {
        self.read_presence(users, now)
    }

    fn scan(&self, scan: &ScanSessions) -> Result<SessionScan, StoreError> {
        if matches!(&scan.scope, SessionScope::User(user_id) if !user_id.is_possible()) {
            return Ok(SessionScan::default());
        }
        let rows = self.read(|connection| scan::rows(connection, scan))?;
        Ok(SessionScan::of_rows(rows, scan))
    }

    fn sweep(&self, batch: &SweepBatch) -> Result<SweepOutcome, StoreError> {
        self.change(|connection| {
            let swept = on_engine!(self, connection, sweep(batch, &self.contention));
            if swept.deleted == 0 && self.options.users == UserSource::External {
                sweep_locks(connection, batch.now)?;
            }
            Ok(swept)
        })
    }

    fn ping(&self) -> Result<(), StoreError> {
        self.read(|connection| Ok(connection.ping()?))
    }

    /// Uses a connection outside the pool, because the pool hides for a while why it has none.
    fn probe(&self) -> Result<(), StoreError> {
        Ok(self.apart()?.lend().ping().map_err(SqlError::from)?)
    }

    fn upgraded_at(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.read(|connection| {
            Ok(run_on!(connection, |connection| taken_over_at(
                connection,
                Utc::now()
            )?))
        })
    }

    fn pool(&self) -> Option<PoolState> {
        Some(self.connections.state())
    }

    fn diesel(&self) -> Option<&DieselStore> {
        Some(self)
    }

    fn max_writers(&self) -> usize {
        match self.url {
            // While one worker writes, another prepares its batch.
            DatabaseUrl::Sqlite(_) => 2,
            DatabaseUrl::Postgres(_) => usize::MAX,
        }
    }
}

impl DieselStore {
    fn rotate_keyed(
        &self,
        rotations: &[KeyedRotation<'_>],
    ) -> Result<Vec<RotateOutcome>, StoreError> {
        self.change_around_held(
            |outcomes: &Vec<RotateOutcome>| outcomes.contains(&RotateOutcome::Held),
            |connection, held_rows| {
                Ok(on_engine!(
                    self,
                    connection,
                    try_rotate(rotations, held_rows)
                ))
            },
        )
    }
}
