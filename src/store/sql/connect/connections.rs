//! The source of a store's connections: its own pool, or the application's.

use std::time::{Duration, Instant};

use super::application::{self, ApplicationPool, SharedLease, SharedPool};
use super::connection::{AnyConnection, OwnedConnection};
use super::pool::{OwnLease, OwnPool};
use crate::store::{DatabaseUrl, PoolState, StoreError, StoreOptions};

pub(in crate::store) enum Connections {
    Own(OwnPool),
    Application(SharedPool),
}

/// A connection on loan.
pub(in crate::store) enum Lease<'p> {
    Own(OwnLease<'p>),
    Application(SharedLease<'p>),
}

/// A connection for the queries of a start and for migrations. It is a new one, unless the
/// application makes the connections.
pub(in crate::store) enum Apart<'p> {
    New(OwnedConnection),
    Lent(Lease<'p>),
}

impl Connections {
    pub(in crate::store) fn own(url: &DatabaseUrl, options: &StoreOptions) -> Self {
        Self::Own(OwnPool::new(url, options))
    }

    /// Uses the application's pool. Also returns the name of its database.
    ///
    /// # Errors
    /// Fails if the pool gives no connection within the timeout, or if the database cannot contain
    /// sessions.
    pub(in crate::store) fn of_application(
        pool: ApplicationPool,
        options: &StoreOptions,
    ) -> Result<(Self, DatabaseUrl), StoreError> {
        let pool = SharedPool::new(pool, options);
        let name = application::name(&mut pool.checkout(options.timeout)?.lend())?;
        Ok((Self::Application(pool), name))
    }

    pub(in crate::store) fn is_of_application(&self) -> bool {
        matches!(self, Self::Application(_))
    }

    /// Waits for a connection for up to `timeout`.
    pub(in crate::store) fn checkout(&self, timeout: Duration) -> Result<Lease<'_>, StoreError> {
        match self {
            Self::Own(pool) => Ok(Lease::Own(pool.checkout(timeout)?)),
            Self::Application(pool) => Ok(Lease::Application(pool.checkout(timeout)?)),
        }
    }

    /// Returns a connection with its settings.
    pub(in crate::store) fn apart(&self, timeout: Duration) -> Result<Apart<'_>, StoreError> {
        match self {
            Self::Own(pool) => Ok(Apart::New(pool.apart()?)),
            Self::Application(_) => Ok(Apart::Lent(self.checkout(timeout)?)),
        }
    }

    pub(in crate::store) fn state(&self) -> PoolState {
        match self {
            Self::Own(pool) => pool.state(),
            Self::Application(pool) => pool.state(),
        }
    }

    /// Prevents this connection, and all older ones, from being used again.
    pub(in crate::store) fn mark_broken(&self, lease: &mut Lease<'_>) {
        lease.discard();
        match self {
            Self::Own(pool) => pool.mark_broken(),
            Self::Application(pool) => pool.mark_broken(),
        }
    }
}

impl Lease<'_> {
    pub(in crate::store) fn lend(&mut self) -> AnyConnection<'_> {
        match self {
            Self::Own(lease) => lease.lend(),
            Self::Application(lease) => lease.lend(),
        }
    }

    /// Returns whether the connection is known to be older than `moment`.
    pub(in crate::store) fn is_older_than(&self, moment: Instant) -> bool {
        match self {
            Self::Own(lease) => lease.is_older_than(moment),
            Self::Application(lease) => lease.is_older_than(moment),
        }
    }

    /// Prevents the connection from being used again.
    pub(in crate::store) fn discard(&mut self) {
        match self {
            Self::Own(lease) => lease.discard(),
            Self::Application(lease) => lease.discard(),
        }
    }
}

impl Apart<'_> {
    pub(in crate::store) fn lend(&mut self) -> AnyConnection<'_> {
        match self {
            Self::New(connection) => connection.lend(),
            Self::Lent(lease) => lease.lend(),
        }
    }
}
