//! The error of a failed guard, kept for the application's catchers.

use parking_lot::Mutex;
use rocket::Request;
use rocket::outcome::Outcome;
use rocket::request;

use crate::session::error::SessionError;

/// The error of a failed guard of this request, for the application's catchers.
#[derive(Default)]
struct Failure(Mutex<Option<SessionError>>);

impl SessionError {
    /// Returns the error with which a guard of this library failed in this request, for a catcher
    /// that needs more than the status.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::{Request, catch};
    /// use rocket_diesel_sessions::SessionError;
    ///
    /// #[catch(403)]
    /// fn forbidden(request: &Request<'_>) -> &'static str {
    ///     match SessionError::of(request) {
    ///         Some(SessionError::ReauthenticationRequired) => "please give your password again",
    ///         _ => "this is not for you",
    ///     }
    /// }
    /// ```
    pub fn of(request: &Request<'_>) -> Option<Self> {
        request.local_cache(Failure::default).0.lock().clone()
    }
}

/// Returns the outcome of a guard and keeps its error for catchers.
pub(in crate::session) fn outcome<T>(
    request: &Request<'_>,
    result: Result<T, SessionError>,
) -> request::Outcome<T, SessionError> {
    match result {
        Ok(guard) => Outcome::Success(guard),
        Err(error) => {
            // The last failure determines the response. An earlier one was no obstacle: its guard was
            // optional, or another route was tried.
            let failure = request.local_cache(Failure::default);
            *failure.0.lock() = Some(error.clone());
            Outcome::Error((error.status(), error))
        }
    }
}
