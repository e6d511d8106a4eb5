//! A login on a connection that the application lends, inside of its own transaction.

use diesel::r2d2::{ConnectionManager, PooledConnection};

use self::sealed::{Lend, Lent};
use crate::Cause;
use crate::store::sql::connect::connection::AnyConnection;
use crate::store::sql::login::login;
use crate::store::{
    DatabaseUrl, DieselStore, LoginOutcome, LoginSession, SessionRecord, StoreError, UserSource,
};

/// A connection on which the application can commit a login: Diesel's `PgConnection` or
/// `SqliteConnection`, or one of them from an r2d2 pool. See
/// [`Session::login_with`](crate::Session::login_with).
pub trait LoginConnection: sealed::Lend {}

mod sealed {
    use crate::store::sql::connect::connection::AnyConnection;

    /// Hides the type inside, which is private.
    #[allow(missing_debug_implementations, reason = "it cannot be named")]
    pub struct Lent<'c>(pub(super) AnyConnection<'c>);

    pub trait Lend {
        fn lend(&mut self) -> Lent<'_>;
    }
}

macro_rules! login_connection {
    ($connection:ty, $variant:ident) => {
        impl LoginConnection for $connection {}

        impl Lend for $connection {
            fn lend(&mut self) -> Lent<'_> {
                Lent(AnyConnection::$variant(self))
            }
        }

        impl LoginConnection for PooledConnection<ConnectionManager<$connection>> {}

        impl Lend for PooledConnection<ConnectionManager<$connection>> {
            fn lend(&mut self) -> Lent<'_> {
                Lent(AnyConnection::$variant(self))
            }
        }
    };
}

#[cfg(feature = "sqlite")]
login_connection!(diesel::SqliteConnection, Sqlite);
#[cfg(feature = "postgres")]
login_connection!(diesel::PgConnection, Postgres);

/// The place where a store keeps a login.
#[derive(Clone)]
pub(crate) struct LoginSite {
    url: DatabaseUrl,
    users: UserSource,
    #[cfg(feature = "postgres")]
    schema: Option<crate::store::SchemaName>,
}

impl DieselStore {
    /// Returns the place where this store keeps a login.
    pub(crate) fn login_site(&self) -> LoginSite {
        LoginSite {
            url: self.url.clone(),
            users: self.options.users,
            #[cfg(feature = "postgres")]
            schema: self.options.schema.clone(),
        }
    }
}

impl LoginSite {
    /// Signs a user in on the application's connection. It is committed with the transaction that
    /// the connection is in. Also returns the session that was bound, as it was before.
    ///
    /// # Errors
    /// Fails if the connection is to the other kind of database, or if the database fails. Nothing is
    /// written then.
    pub(crate) fn login(
        &self,
        connection: &mut impl LoginConnection,
        request: &LoginSession,
    ) -> Result<(LoginOutcome, Option<SessionRecord>), StoreError> {
        let sign_in = |connection: &mut AnyConnection<'_>| login(connection, request, self.users);
        let result = match (connection.lend().0, &self.url) {
            #[cfg(feature = "postgres")]
            (AnyConnection::Postgres(connection), DatabaseUrl::Postgres(_)) => match &self.schema {
                Some(schema) => in_schema(connection, schema, sign_in),
                None => sign_in(&mut AnyConnection::Postgres(connection)),
            },
            #[cfg(feature = "sqlite")]
            (AnyConnection::Sqlite(connection), DatabaseUrl::Sqlite(_)) => {
                sign_in(&mut AnyConnection::Sqlite(connection))
            }
            _ => Err(StoreError::Refused(Cause::new(format!(
                "the login was applied to another database than {}, which has the sessions",
                self.url
            )))
            .into()),
        };
        Ok(result?)
    }
}

/// Runs a job in another schema than the application's statements before and after it.
#[cfg(feature = "postgres")]
fn in_schema<T>(
    connection: &mut diesel::PgConnection,
    schema: &crate::store::SchemaName,
    job: impl FnOnce(&mut AnyConnection<'_>) -> Result<T, crate::store::sql::error::SqlError>,
) -> Result<T, crate::store::sql::error::SqlError> {
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;
    use diesel::sql_types::Text;

    use crate::store::sql::migrations::history::History;

    // If the job fails, the rollback to the savepoint restores the path.
    connection.transaction(|connection| {
        let own = connection.texts("SELECT current_setting('search_path') AS text")?;
        connection.batch_execute(&schema.for_transaction())?;
        let done = job(&mut AnyConnection::Postgres(connection))?;
        diesel::sql_query("SELECT set_config('search_path', $1, true)")
            .bind::<Text, _>(own.concat())
            .execute(connection)?;
        Ok(done)
    })
}
