//! The guard for registering.

use rocket::request::{self, FromRequest, Request};

use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::http::failure::outcome;

/// An attempt to register where visitors may. Other attempts are counted and get 403, whatever their
/// body.
pub(crate) struct OpenRegistration;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for OpenRegistration {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        let users = request.rocket().state::<Users>();
        let admitted = users.ok_or_else(ApiError::internal);
        let admitted = admitted.and_then(|users| Ok(users.admit_registration()?));
        outcome(request, admitted.map(|()| Self))
    }
}
