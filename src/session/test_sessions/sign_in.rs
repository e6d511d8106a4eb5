//! The route that signs a test's visitors in.

use std::marker::PhantomData;
use std::sync::Arc;

use parking_lot::Mutex;
use rocket::http::{Cookie, Method, Status};
use rocket::outcome::Outcome;
use rocket::route::{self, Handler};
use rocket::{Data, Request, Response, Route};

use crate::session::codec::TypedData;
use crate::session::error::SessionError;
use crate::session::guard::Session;
use crate::session::sign_in::Login;

/// The cookie of the session that was signed in.
pub(super) type SignedIn = Result<Cookie<'static>, SessionError>;

/// A login that a test has asked for. It is in the cache of its request, which only a test can
/// fill, so that other requests to the route find nothing.
#[derive(Clone, Debug)]
pub struct Asked {
    login: Option<Login>,
    /// The route's result, once it has run.
    result: Arc<Mutex<Option<Result<(), SessionError>>>>,
}

impl Asked {
    pub(super) fn new(login: Login) -> Self {
        Self {
            login: Some(login),
            result: Arc::default(),
        }
    }

    fn nothing() -> Self {
        Self {
            login: None,
            result: Arc::default(),
        }
    }

    /// Returns the result, given the session's cookie in the response.
    pub(super) fn answer(&self, cookie: Option<&Cookie<'_>>) -> SignedIn {
        match (self.result.lock().take(), cookie) {
            (Some(Ok(())), Some(cookie)) => Ok(cookie.clone().into_owned()),
            // The response became a 503, and the login was undone.
            (Some(Ok(())), None) => Err(SessionError::Aborted),
            (Some(Err(error)), _) => Err(error),
            (None, _) => Err(SessionError::NotAttached),
        }
    }
}

/// Returns the route that signs visitors in.
pub(super) fn route<D: TypedData>(path: &str) -> Route {
    let handler = SignIn::<D>(PhantomData);
    // Before any route of the application.
    Route::ranked(isize::MIN, Method::Get, path, handler)
}

struct SignIn<D>(PhantomData<fn() -> D>);

impl<D> Clone for SignIn<D> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

#[rocket::async_trait]
impl<D: TypedData> Handler for SignIn<D> {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> route::Outcome<'r> {
        let asked = request.local_cache(Asked::nothing);
        let Some(login) = asked.login.clone() else {
            return Outcome::Forward((data, Status::NotFound));
        };
        let result = sign_in::<D>(request, login).await;
        let mut response = Response::new();
        response.set_status(match &result {
            Ok(()) => Status::NoContent,
            Err(error) => error.status(),
        });
        *asked.result.lock() = Some(result);
        Outcome::Success(response)
    }
}

async fn sign_in<D: TypedData>(request: &Request<'_>, login: Login) -> Result<(), SessionError> {
    Session::<D>::of(request).await?.login(login).await
}
