//! Connections to PostgreSQL and their settings.

use std::sync::Once;

use diesel::connection::{CacheSize, SimpleConnection};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{Array, Text};

use super::failure;
use super::libpq::{self, Limits};
use crate::store::sql::error::SqlError;
use crate::store::{DatabaseUrl, StoreError, StoreOptions};

/// Connects with the password that the application supplies, if it does. Connects with limits, or
/// without them if they are refused, because a service without limits is better than none.
pub(super) fn connect(
    url: &DatabaseUrl,
    location: &str,
    options: &StoreOptions,
) -> Result<PgConnection, StoreError> {
    static WARNED: Once = Once::new();
    let password = options.password.as_ref().map(|password| {
        let password = password.ask();
        password.map_err(|reason| failure::without_password(url, &reason))
    });
    let password = password.transpose()?;
    let with = |limits| establish(url, location, password.as_deref(), options, limits);
    if options.prepared_statements {
        return with(Limits::AsGiven);
    }
    // Behind a pooler in transaction mode, a SET would also affect other clients.
    match with(Limits::ByTimeout) {
        Err(StoreError::Connect { reason, .. }) if libpq::refuses_limits(&reason) => {
            let connection = with(Limits::AsGiven)?;
            WARNED.call_once(|| {
                tracing::warn!(
                    "{url} refuses settings at the start of a connection ({reason}): set \
                     statement_timeout and lock_timeout for the role, see \
                     docs/operating.md on PgBouncer"
                );
            });
            Ok(connection)
        }
        result => result,
    }
}

/// Makes a connection with only the settings of its start.
fn establish(
    url: &DatabaseUrl,
    location: &str,
    password: Option<&str>,
    options: &StoreOptions,
    limits: Limits,
) -> Result<PgConnection, StoreError> {
    let location = libpq::location(location, password, options.timeout, limits);
    let location = location.map_err(StoreError::Url)?;
    let connection = PgConnection::establish(&location);
    let mut connection =
        connection.map_err(|error| failure::connecting_by(url, &location, error))?;
    if !options.prepared_statements {
        connection.set_prepared_statement_cache_size(CacheSize::Disabled);
    }
    Ok(connection)
}

/// Limits statements and requests messages in English. Behind a pooler in transaction mode, it only
/// checks the server once.
pub(super) fn set_up(
    connection: &mut PgConnection,
    url: &DatabaseUrl,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    static LOOKED: Once = Once::new();
    if !options.prepared_statements {
        if !LOOKED.is_completed() {
            look(connection, url)?;
            LOOKED.call_once(|| {});
        }
        return Ok(());
    }
    let mut limits: Vec<(&str, u128)> = libpq::limits(options.timeout).into();
    limits.extend(
        options
            .read_only
            .then_some(("default_transaction_read_only", 1)),
    );
    if let Some(schema) = &options.schema {
        let used = connection.batch_execute(&schema.for_connection());
        used.map_err(|error| failure::connecting(url, error))?;
    }
    let server = match Server::ask(connection, &limits) {
        Ok(server) => server,
        Err(error) => return unless_broken(url, error),
    };
    server.warn_of_encoding(url);
    if !server.is_english()
        && let Err(error) = ask_for_english(connection)
    {
        warn_of_language(url, &error.to_string());
    }
    Ok(())
}

/// Logs warnings about settings of the server that cause trouble. Changes nothing.
pub(super) fn look(connection: &mut PgConnection, url: &DatabaseUrl) -> Result<(), StoreError> {
    let server = match Server::ask(connection, &[]) {
        Ok(server) => server,
        Err(error) => return unless_broken(url, error),
    };
    server.warn_of_encoding(url);
    if !server.is_english() {
        warn_of_language(url, &server.messages);
    }
    Ok(())
}

/// Properties of a server.
#[derive(QueryableByName)]
struct Server {
    /// The value of `lc_messages`.
    #[diesel(sql_type = Text)]
    messages: String,
    /// The value of `server_encoding`.
    #[diesel(sql_type = Text)]
    encoding: String,
}

impl Server {
    /// Queries the server. In the same round trip, sets the limits that the client has not set
    /// itself in the URL, in PGOPTIONS or in a service file.
    fn ask(connection: &mut PgConnection, limits: &[(&str, u128)]) -> QueryResult<Self> {
        let names: Vec<&str> = limits.iter().map(|(name, _)| *name).collect();
        let values: Vec<String> = limits.iter().map(|(_, value)| value.to_string()).collect();
        diesel::sql_query(
            "SELECT current_setting('lc_messages') AS messages, \
             current_setting('server_encoding') AS encoding, \
             (SELECT count(set_config(name, l.value, false)) \
             FROM unnest($1::text[], $2::text[]) AS l (name, value) JOIN pg_settings USING (name) \
             WHERE source IS DISTINCT FROM 'client') AS limited",
        )
        .bind::<Array<Text>, _>(names)
        .bind::<Array<Text>, _>(values)
        .get_result(connection)
    }

    /// Returns whether messages are in English. Only messages distinguish deadlocks and lock
    /// timeouts from other errors, because Diesel does not report the SQLSTATE.
    fn is_english(&self) -> bool {
        let language = self.messages.split(['.', '@']).next().unwrap_or_default();
        matches!(language, "C" | "POSIX") || language.to_lowercase().starts_with("en")
    }

    fn warn_of_encoding(&self, url: &DatabaseUrl) {
        static WARNED: Once = Once::new();
        if matches!(self.encoding.as_str(), "UTF8" | "SQL_ASCII") {
            return;
        }
        WARNED.call_once(|| {
            tracing::warn!(
                "{url} has the encoding {}: text with other characters is refused; a database with \
                 the encoding UTF8 accepts all characters",
                self.encoding
            );
        });
    }
}

/// Requests messages in English.
///
/// # Errors
/// Fails if the role lacks the right to do so.
fn ask_for_english(connection: &mut PgConnection) -> QueryResult<()> {
    diesel::sql_query("SELECT set_config('lc_messages', 'C', false)")
        .execute(connection)
        .map(drop)
}

fn warn_of_language(url: &DatabaseUrl, reason: &str) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            "{url} has messages in another language ({reason}): deadlocks and locked rows cannot \
             be distinguished from other errors; ALTER ROLE … SET lc_messages = 'C' fixes this"
        );
    });
}

/// Ignores the error unless the connection broke, because a server without these settings can still
/// be used.
fn unless_broken(url: &DatabaseUrl, error: DieselError) -> Result<(), StoreError> {
    static WARNED: Once = Once::new();
    match SqlError::from(error).into() {
        StoreError::Broken(error) => Err(failure::connecting(url, error)),
        error => {
            WARNED.call_once(|| {
                tracing::warn!(
                    "{url} refuses limits ({error}): set statement_timeout and lock_timeout for the \
                     role"
                );
            });
            Ok(())
        }
    }
}
