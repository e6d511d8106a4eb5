//! How a connection is made: to which database, with which settings, and what a failure means.

#[cfg(feature = "postgres")]
use std::sync::Once;
#[cfg(feature = "postgres")]
use std::time::Duration;

#[cfg(feature = "postgres")]
use diesel::connection::CacheSize;
#[cfg(feature = "sqlite")]
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::connection::AnyConnection;
#[cfg(feature = "postgres")]
use super::libpq::{self, Limits};
use super::{DatabaseUrl, StoreError, StoreOptions};

/// One connection outside any pool, set up like the pool's.
pub(super) fn connect(
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<AnyConnection, StoreError> {
    match url {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::Sqlite(location) => {
            let mut connection = establish::<SqliteConnection>(url, location)?;
            let setup = super::sqlite::session_setup(options);
            connection
                .batch_execute(&setup)
                .map_err(|e| failed(url, e))?;
            Ok(AnyConnection::Sqlite(connection))
        }
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(location) => {
            let mut connection = establish_postgres(url, location, options.timeout)?;
            if options.prepared_statements {
                ask_for_english(url, &mut connection);
            } else {
                // What SET does behind a pooler in transaction mode, it does to others as well.
                connection.set_prepared_statement_cache_size(CacheSize::Disabled);
            }
            Ok(AnyConnection::Postgres(connection))
        }
        #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
        _ => Err(StoreError::Url("not part of this build".to_owned())),
    }
}

/// Connects with limits, or without where they are refused: a service without them is better than
/// none.
#[cfg(feature = "postgres")]
fn establish_postgres(
    url: &DatabaseUrl,
    location: &str,
    timeout: Duration,
) -> Result<PgConnection, StoreError> {
    static WARNED: Once = Once::new();
    let with = |limits| {
        let location = libpq::location(location, timeout, limits);
        establish::<PgConnection>(url, &location)
    };
    match with(Limits::ByTimeout) {
        Err(StoreError::Connect { reason, .. }) if libpq::refuses_limits(&reason) => {
            let connection = with(Limits::AsTheServerSays)?;
            WARNED.call_once(|| {
                tracing::warn!(
                    "{url} takes no settings with a connection ({reason}): set statement_timeout \
                     and lock_timeout for the role, see the README on PgBouncer"
                );
            });
            Ok(connection)
        }
        result => result,
    }
}

#[cfg(feature = "postgres")]
fn ask_for_english(url: &DatabaseUrl, connection: &mut PgConnection) {
    static WARNED: Once = Once::new();
    if let Err(error) = super::postgres::ask_for_english(connection) {
        WARNED.call_once(|| {
            tracing::warn!(
                "{url} has messages in another language ({error}): deadlocks and locked rows are \
                 not told from other errors; ALTER ROLE … SET lc_messages = 'C' mends it"
            );
        });
    }
}

/// Opens a connection as it is, with no session settings.
pub(super) fn establish<C: Connection>(url: &DatabaseUrl, location: &str) -> Result<C, StoreError> {
    C::establish(location).map_err(|error| failed(url, error))
}

fn failed(url: &DatabaseUrl, error: impl std::fmt::Display) -> StoreError {
    let reason = error.to_string().trim().to_owned();
    let permanent = match url {
        // A file that cannot be opened now will not be in a second; one that is locked may be.
        DatabaseUrl::Sqlite(_) => !reason.contains("locked"),
        DatabaseUrl::Postgres(_) => is_refusal(&reason),
    };
    StoreError::Connect {
        database: url.to_string(),
        reason,
        permanent,
    }
}

/// Whether a PostgreSQL server answered and refused in a way that waiting does not change.
/// libpq hands on the text alone, without the SQLSTATE.
fn is_refusal(reason: &str) -> bool {
    const LASTING: [&str; 5] = [
        "does not exist",
        "authentication failed",
        "no password supplied",
        "no pg_hba.conf entry",
        "invalid connection option",
    ];
    LASTING.iter().any(|text| reason.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_mends_a_server_that_starts_but_no_wrong_password() {
        assert!(is_refusal(
            "FATAL:  password authentication failed for user \"u\""
        ));
        assert!(is_refusal("FATAL:  database \"d\" does not exist"));
        assert!(!is_refusal("FATAL:  the database system is starting up"));
        assert!(!is_refusal("connection refused"));
    }
}
