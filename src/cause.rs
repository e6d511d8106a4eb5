//! The cause of an error, without its type.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What an error of this crate was caused by: an error of a database's client library, of the
/// system, or of a store's own.
///
/// The type of the error inside is not part of this crate's interface, so that another version of
/// Diesel is not another version of this crate. `Display`, `Debug` and
/// [`source`](Error::source) are those of the error inside.
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
    /// Takes an error, or a text in its place.
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

    /// Returns the error inside if it is an `E`. A store's own errors can be found by this.
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
