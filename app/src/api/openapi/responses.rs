//! Sets of the errors with which routes can answer, by what the routes do.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{Ref, RefOr, Response};

use super::errors::ERRORS;

/// Defines sets of errors by their statuses.
macro_rules! sets {
    ($($(#[$text:meta])* $name:ident: $($status:literal)+;)+) => {$(
        $(#[$text])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                references(&[$($status),+])
            }
        }
    )+};
}

sets! {
    /// Of routes that ask the store.
    Stored: 500 503;
    /// Of routes with an unsafe method, which pages of other sites must not call.
    OwnSite: 403;
    /// Of routes that change the session, which another request may have ended.
    Changes: 409;
    /// Of routes for users who are signed in.
    ForUsers: 401;
    /// Of routes that need a recent password.
    NeedsPassword: 403;
    /// Of routes for administrators.
    ForAdministrators: 401 403 429;
    /// Of routes with a query that is checked.
    Checked: 422;
    /// Of routes that may store more data than fits.
    TooLarge: 413;
    /// Of routes that read a body.
    ReadsBody: 400 413 415 422;
    /// Of routes that check a password.
    ChecksPassword: 401 429;
    /// Of routes whose address names something.
    Names: 404;
}

fn references(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let described = ERRORS
        .iter()
        .filter(|error| statuses.contains(&error.status));
    let reference = |name| RefOr::Ref(Ref::from_response_name(name));
    described
        .map(|error| (error.status.to_string(), reference(error.name)))
        .collect()
}
