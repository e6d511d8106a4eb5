//! The cause of an error, with its type hidden.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The underlying cause of an error of this crate: an error of a database's client library, of the
/// system, or of a custom store.
///
/// The type of the inner error is not part of this crate's API, so that a new version of Diesel
/// does not require a new version of this crate. `Display`, `Debug` and [`source`](Error::source)
/// are those of the inner error.
///
/// ```
/// use rocket_diesel_sessions::Cause;
///
/// let cause = Cause::new(std::io::Error::other("the cable was cut"));
/// assert_eq!(cause.to_string(), "the cable was cut");
/// assert!(cause.downcast_ref::<std::io::Error>().is_some());
/// ```
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// Wraps an error, or a text that describes one.
    ///
    /// # Example
    ///
    /// ```
    /// # use rocket_diesel_sessions::Cause;
    /// assert_eq!(Cause::new("the id is taken").to_string(), "the id is taken");
    /// ```
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into().into())
    }

    /// Returns the inner error if it is an `E`. This finds the errors of a custom store.
    ///
    /// # Example
    ///
    /// ```
    /// # use rocket_diesel_sessions::Cause;
    /// let cause = Cause::new("7x".parse::<u32>().unwrap_err());
    /// assert!(cause.downcast_ref::<std::num::ParseIntError>().is_some());
    /// ```
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

/// A cause is equal to its clones only: no two errors are the same because they say the same.
impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Cause {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
