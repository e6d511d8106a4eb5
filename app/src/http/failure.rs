//! The way of an error to the catcher. Rocket gives catchers only a status, so the error itself waits
//! in the cache of the request.

use std::sync::OnceLock;

use rocket::http::{Accept, Status};
use rocket::outcome::Outcome;
use rocket::request::Request;
use rocket::response::{self, Responder};

use super::error::ApiError;

/// Addresses outside `/api/` that only programs open.
const FOR_PROGRAMS: [&str; 2] = ["/admin/live", "/readyz"];

/// The error of a request, on its way to the catcher.
#[derive(Default)]
struct Failure(OnceLock<ApiError>);

/// Leaves an error for the catcher and returns the status to fail with.
pub(crate) fn fail(request: &Request<'_>, error: ApiError) -> Status {
    let status = error.status();
    // A request fails once.
    let _ = request.local_cache(Failure::default).0.set(error);
    status
}

/// Returns the error that a request has failed with, if it has this status.
pub(crate) fn failure<'r>(request: &'r Request<'_>, status: Status) -> Option<&'r ApiError> {
    let error = request.local_cache(Failure::default).0.get();
    error.filter(|error| error.status() == status)
}

/// Returns the outcome of a guard of a request or of its body, and leaves its error for the catcher.
pub(crate) fn outcome<T, F>(
    request: &Request<'_>,
    admitted: Result<T, ApiError>,
) -> Outcome<T, (Status, ()), F> {
    match admitted {
        Ok(admitted) => Outcome::Success(admitted),
        Err(error) => Outcome::Error((fail(request, error), ())),
    }
}

/// Returns whether to answer with a page: to a browser, at an address that is not only for programs.
pub(crate) fn wants_page(request: &Request<'_>) -> bool {
    let path = request.uri().path();
    let is_for_programs = path.starts_with("/api/") || FOR_PROGRAMS.contains(&path.as_str());
    let accepts_html = |accept: &Accept| accept.iter().any(|media| media.media_type().is_html());
    !is_for_programs && request.accept().is_some_and(accepts_html)
}

/// Answers programs with JSON, and leaves browsers to the catcher.
impl<'r> Responder<'r, 'static> for ApiError {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        if wants_page(request) {
            return Err(fail(request, self));
        }
        self.as_json(request)
    }
}
