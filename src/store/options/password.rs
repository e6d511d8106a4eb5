//! Passwords that the application supplies for each connection.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

type Ask = dyn Fn() -> Result<String, Box<dyn Error + Send + Sync>> + Send + Sync;

/// A function that returns the password for a new connection to PostgreSQL, for passwords that
/// expire: access tokens of a cloud's identity service, or secrets that a vault replaces.
///
/// It is called once for each attempt to connect, never for a connection that is open. It may block:
/// a connection that is not made in time fails, and requests on others go on. Only methods that
/// connect themselves, such as `DieselStore::open` and `migrate`, wait for as long as it takes.
/// During an outage there are some attempts per second, so it should keep a password that is still
/// good. `Debug` does not show the password.
///
/// # Example
///
/// ```no_run
/// use rocket_diesel_sessions::{DatabasePassword, DieselStore};
/// use rocket_diesel_sessions::store::StoreOptions;
///
/// # fn main() -> Result<(), rocket_diesel_sessions::store::StoreError> {
/// let mut options = StoreOptions::default();
/// // A file that a sidecar keeps up to date.
/// let file = "/run/secrets/database-password";
/// options.password = Some(DatabasePassword::new(move || {
///     std::fs::read_to_string(file).map(|password| password.trim_end().to_owned())
/// }));
/// let store = DieselStore::open(&"postgres://app@db.internal/app".parse()?, options)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DatabasePassword(Arc<Ask>);

impl DatabasePassword {
    /// Wraps a function that returns the password. If it fails, the connection is not made, and the
    /// error's text is reported. That text must not contain a password.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::DatabasePassword;
    ///
    /// let password = DatabasePassword::new(|| std::env::var("DATABASE_TOKEN"));
    /// assert_eq!(format!("{password:?}"), "DatabasePassword(..)");
    /// ```
    pub fn new<E>(password: impl Fn() -> Result<String, E> + Send + Sync + 'static) -> Self
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Self(Arc::new(move || password().map_err(Into::into)))
    }

    /// Returns the password for a new connection, or the reason why there is none.
    #[cfg(feature = "postgres")]
    pub(crate) fn ask(&self) -> Result<String, String> {
        let password = (self.0)().map_err(|error| {
            let mut reason = format!("the application supplied no password: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                reason = format!("{reason}: {error}");
                cause = error.source();
            }
            reason
        })?;
        // An empty password would make libpq look for another one in a file.
        if password.is_empty() {
            return Err("the password that the application supplied is empty".to_owned());
        }
        if password.contains('\0') {
            let reason = "the password that the application supplied contains a NUL, which \
                          PostgreSQL cannot receive";
            return Err(reason.to_owned());
        }
        Ok(password)
    }
}

/// A password is equal to its clones only, because functions cannot be compared.
impl PartialEq for DatabasePassword {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for DatabasePassword {}

impl fmt::Debug for DatabasePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabasePassword(..)")
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;

    fn asked(password: Result<&'static str, &'static str>) -> Result<String, String> {
        DatabasePassword::new(move || password.map(str::to_owned)).ask()
    }

    #[test]
    fn passwords_that_cannot_be_sent_are_refused_by_name() {
        assert_eq!(asked(Ok(" %'\\@ ")).unwrap(), " %'\\@ ");
        assert!(asked(Ok("")).unwrap_err().contains("empty"));
        let refused = asked(Ok("se\0cret")).unwrap_err();
        assert!(refused.contains("NUL") && !refused.contains("cret"));
        assert!(
            asked(Err("the vault is sealed"))
                .unwrap_err()
                .ends_with(": the vault is sealed")
        );
    }

    #[test]
    fn i8_debug_does_not_show_the_password() {
        let password = DatabasePassword::new(|| Ok::<_, String>("s3cret".to_owned()));
        let options = crate::store::StoreOptions {
            password: Some(password.clone()),
            ..Default::default()
        };
        assert!(!format!("{options:?}").contains("s3cret"));
        assert_eq!(password, password.clone());
        assert_ne!(
            password,
            DatabasePassword::new(|| Ok::<_, String>("s3cret".to_owned()))
        );
    }
}
