//! The library's own r2d2 pool. It connects by URL scheme, never reuses a broken connection, and
//! replaces connections whose calls are stuck.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::InstrumentationEvent;
use parking_lot::{Mutex, MutexGuard};
use r2d2::{ManageConnection, NopErrorHandler, Pool, PooledConnection};

use super::connection::{AnyConnection, OwnedConnection};
use super::hosts::Hosts;
use super::{bounded, set_up};
use crate::store::sql::error::SqlError;
use crate::store::{DatabaseUrl, PoolState, StoreError, StoreOptions};

/// Target of the log lines that show each statement, at level debug.
const SQL_LOG: &str = "rocket_diesel_sessions::sql";

/// Maximum wait between two attempts to connect, so the time after which a recovered database is
/// found.
const MAX_RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// Maximum number of abandoned connections with stuck calls, as a multiple of the pool's size. It
/// bounds the additional connections that a hanging database has to bear.
const LOST_SHARE: usize = 2;

/// How long to wait for a connection before checking for stuck ones again.
const WAIT_SLICE: Duration = Duration::from_millis(250);

/// A place in the pool. Its connection is on loan while it is used.
///
/// Diesel's own check detects a broken transaction, but not a lost server.
pub(in crate::store) struct Place {
    connection: Option<OwnedConnection>,
    made: Instant,
    /// Whether this program's settings have been applied.
    is_set_up: bool,
    broken: bool,
}

/// A connection on loan from the pool.
///
/// The pool keeps the connection's place, so that it can fill the place again if a call is stuck in
/// the client library, which has no time limit.
pub(in crate::store) struct OwnLease<'p> {
    pool: &'p OwnPool,
    number: u64,
    connection: Option<OwnedConnection>,
    made: Instant,
    broken: bool,
}

/// The places whose connections are on loan.
#[derive(Default)]
struct Loans {
    next: u64,
    places: HashMap<u64, Loan>,
    /// Number of connections that were replaced and whose calls have not returned.
    lost: usize,
}

struct Loan {
    place: PooledConnection<Manager>,
    began: Instant,
}

impl OwnLease<'_> {
    #[expect(clippy::expect_used, reason = "only `drop` takes the connection out")]
    pub(super) fn lend(&mut self) -> AnyConnection<'_> {
        self.connection.as_mut().expect("on loan").lend()
    }

    /// Returns whether the connection was made before `moment`.
    pub(super) fn is_older_than(&self, moment: Instant) -> bool {
        self.made < moment
    }

    /// Prevents the connection from being used again.
    pub(super) fn discard(&mut self) {
        self.broken = true;
    }
}

impl Drop for OwnLease<'_> {
    fn drop(&mut self) {
        let loan = {
            let mut loans = self.pool.loans();
            let loan = loans.places.remove(&self.number);
            if loan.is_none() {
                loans.lost = loans.lost.saturating_sub(1);
            }
            loan
        };
        // If its place has been filled again, the connection is closed here.
        if let Some(mut loan) = loan {
            loan.place.broken |= self.broken;
            loan.place.connection = self.connection.take();
        }
    }
}

pub(in crate::store) struct Manager {
    url: DatabaseUrl,
    options: StoreOptions,
    hosts: Arc<Hosts>,
    /// Number of threads that are connecting, including stuck ones.
    connecting: Arc<AtomicUsize>,
}

/// Counts a thread while it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Manager {
    /// Connects on a separate thread. A server that accepts connections and then stays silent would
    /// otherwise block the pool's few threads for ever.
    fn connect_in_time(&self) -> Result<OwnedConnection, StoreError> {
        let most = LOST_SHARE * self.options.pool_size as usize;
        if self.connecting.load(Ordering::Acquire) >= most {
            return Err(StoreError::Connect {
                database: self.url.to_string(),
                reason: format!("{most} earlier attempts to connect have not been answered"),
                permanent: false,
            });
        }
        let (hosts, options) = (Arc::clone(&self.hosts), self.options.clone());
        let counted = Counted::new(&self.connecting);
        bounded(
            &self.url,
            self.options.password.as_ref(),
            self.options.patience(),
            move || {
                let _counted = counted;
                hosts.connect(&options)
            },
        )
    }
}

impl ManageConnection for Manager {
    type Connection = Place;
    type Error = StoreError;

    fn connect(&self) -> Result<Place, StoreError> {
        let connection = self.connect_in_time()?;
        Ok(Place {
            connection: Some(connection),
            made: Instant::now(),
            is_set_up: false,
            broken: false,
        })
    }

    fn is_valid(&self, place: &mut Place) -> Result<(), StoreError> {
        match &mut place.connection {
            Some(connection) => Ok(connection.lend().ping().map_err(SqlError::from)?),
            None => Ok(()),
        }
    }

    fn has_broken(&self, place: &mut Place) -> bool {
        std::thread::panicking()
            || place.broken
            || place
                .connection
                .as_mut()
                .is_none_or(OwnedConnection::is_broken)
    }
}

/// The pool. It opens connections on demand.
pub(in crate::store) struct OwnPool {
    url: DatabaseUrl,
    options: StoreOptions,
    hosts: Arc<Hosts>,
    pool: Pool<Manager>,
    loans: Mutex<Loans>,
    /// When a connection was last found to be broken.
    last_break: Mutex<Option<Instant>>,
}

impl OwnPool {
    pub(super) fn new(url: &DatabaseUrl, options: &StoreOptions) -> Self {
        let hosts = Arc::new(Hosts::of(url));
        let manager = Manager {
            url: url.clone(),
            options: options.clone(),
            hosts: Arc::clone(&hosts),
            connecting: Arc::default(),
        };
        let pool = Pool::builder()
            .max_size(options.pool_size)
            .min_idle(Some(0))
            // A test costs a round trip per use. A broken connection is dropped when it fails.
            .test_on_check_out(false)
            // Each use gives its own timeout. This one only determines how fast the pool
            // reconnects.
            .connection_timeout(2 * MAX_RECONNECT_DELAY)
            // The error reaches the caller that waits for the connection, so r2d2 need not log it.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(manager);
        Self {
            url: url.clone(),
            options: options.clone(),
            hosts,
            pool,
            loans: Mutex::default(),
            last_break: Mutex::new(None),
        }
    }

    /// Makes a connection outside of the pool, with its settings.
    pub(super) fn apart(&self) -> Result<OwnedConnection, StoreError> {
        let mut connection = self.hosts.connect(&self.options)?;
        set_up(&mut connection.lend(), &self.url, &self.options)?;
        Ok(connection)
    }

    /// Waits for a connection for up to `timeout`. Connections older than the last break are not
    /// used, because a restart of the server breaks all of them.
    pub(super) fn checkout(&self, timeout: Duration) -> Result<OwnLease<'_>, StoreError> {
        let start = Instant::now();
        let deadline = start + timeout;
        loop {
            self.replace_stuck();
            let left = deadline.saturating_duration_since(Instant::now());
            match self.pool.get_timeout(left.min(WAIT_SLICE)) {
                Ok(mut place) if self.last_break().is_some_and(|broke| broke >= place.made) => {
                    place.broken = true;
                }
                Ok(place) => match self.lend(place) {
                    // The server may have closed it before its first use.
                    Err((made, _)) if made < start && Instant::now() < deadline => {}
                    result => return result.map_err(|(_, error)| error),
                },
                Err(_) if left > WAIT_SLICE => {}
                Err(error) => return Err(self.no_connection(&error, timeout)),
            }
        }
    }

    /// Lends a connection. A new one gets its settings here rather than where it is made, because
    /// the database may hang, and the pool's own threads must not.
    fn lend(
        &self,
        mut place: PooledConnection<Manager>,
    ) -> Result<OwnLease<'_>, (Instant, StoreError)> {
        let (connection, made) = (place.connection.take(), place.made);
        let is_set_up = std::mem::replace(&mut place.is_set_up, true);
        let mut loans = self.loans();
        let number = loans.next;
        loans.next += 1;
        let began = Instant::now();
        loans.places.insert(number, Loan { place, began });
        drop(loans);
        let mut lease = OwnLease {
            pool: self,
            number,
            connection,
            made,
            broken: false,
        };
        if !is_set_up {
            if let Err(error) = set_up(&mut lease.lend(), &self.url, &self.options) {
                lease.discard();
                return Err((made, error));
            }
            log_statements(&mut lease.lend());
        }
        Ok(lease)
    }

    /// Replaces connections that have been on loan for too long, whose calls are stuck in the
    /// client library. Connections made before may be stuck too and are not used again.
    fn replace_stuck(&self) {
        let most = LOST_SHARE * self.pool.max_size() as usize;
        let stuck: Vec<Loan> = {
            let mut loans = self.loans();
            let free = most.saturating_sub(loans.lost);
            let patience = self.options.patience();
            let is_stuck = |loan: &Loan| loan.began.elapsed() >= patience;
            let numbers: Vec<u64> = loans
                .places
                .iter()
                .filter(|(_, loan)| is_stuck(loan))
                .map(|(number, _)| *number)
                .take(free)
                .collect();
            loans.lost += numbers.len();
            numbers
                .iter()
                .filter_map(|number| loans.places.remove(number))
                .collect()
        };
        if stuck.is_empty() {
            return;
        }
        tracing::error!(
            "{}: {} calls have been stuck for over {:?}; their connections are abandoned",
            self.url,
            stuck.len(),
            self.options.patience()
        );
        *self.last_break() = Some(Instant::now());
        // Their places are empty, so the pool drops them.
        drop(stuck);
    }

    /// Returns the error for a wait that got no connection. If there are no connections, none can
    /// be made; otherwise all are in use.
    fn no_connection(&self, error: &r2d2::Error, waited: Duration) -> StoreError {
        let reason = error.to_string();
        if self.pool.state().connections == 0 {
            StoreError::Connect {
                database: self.url.to_string(),
                reason,
                permanent: false,
            }
        } else {
            StoreError::Pool { waited, reason }
        }
    }

    pub(super) fn state(&self) -> PoolState {
        let state = self.pool.state();
        PoolState {
            open: state.connections,
            in_use: state.connections.saturating_sub(state.idle_connections),
            size: self.pool.max_size(),
        }
    }

    /// Prevents connections that are older than this moment from being used again.
    pub(super) fn mark_broken(&self) {
        *self.last_break() = Some(Instant::now());
    }

    fn loans(&self) -> MutexGuard<'_, Loans> {
        self.loans.lock()
    }

    fn last_break(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_break.lock()
    }
}

impl Drop for OwnPool {
    /// Closes the idle connections at once. A thread of the pool may keep the pool alive for a
    /// moment, and a process that ends before that would leave an SQLite file's write-ahead log
    /// behind.
    fn drop(&mut self) {
        while let Some(mut place) = self.pool.try_get() {
            place.broken = true;
            drop(place.connection.take());
        }
    }
}

/// Logs each statement, without its values, if that log target is enabled.
fn log_statements(connection: &mut AnyConnection<'_>) {
    if !tracing::enabled!(target: SQL_LOG, tracing::Level::DEBUG) {
        return;
    }
    connection.set_instrumentation(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let query = query.to_string();
            let statement = query.split(" -- binds:").next().unwrap_or_default();
            tracing::debug!(target: SQL_LOG, "{statement}");
        }
    });
}
