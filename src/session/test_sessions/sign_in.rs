//! The route that signs a test's visitors in.

use std::marker::PhantomData;
use std::sync::Arc;

use parking_lot::Mutex;
use rocket::http::{Cookie, Method, Status};
use rocket::route::{self, Handler};
use rocket::{Data, Request, Response, Route};

use crate::session::codec::TypedData;
use crate::session::error::SessionError;
use crate::session::guard::Session;
use crate::session::guard::token::BearerToken;
use crate::session::sign_in::Login;

/// The outcome of a login: the token, if it was to be taken.
type Outcome = Result<Option<BearerToken>, SessionError>;

/// A login that a test has asked for. It is in the cache of its request, which only a test can
/// fill, so that other requests to the route find nothing.
#[derive(Clone, Debug)]
pub struct Asked {
    login: Option<Login>,
    /// Whether the token is taken out of the session, for a client without cookies.
    takes_token: bool,
    /// The route's outcome, once it has run.
    outcome: Arc<Mutex<Option<Outcome>>>,
}

impl Asked {
    pub(super) fn new(login: Login, takes_token: bool) -> Self {
        Self {
            login: Some(login),
            takes_token,
            outcome: Arc::default(),
        }
    }

    fn nothing() -> Self {
        Self {
            login: None,
            takes_token: false,
            outcome: Arc::default(),
        }
    }

    /// Returns the session's cookie from the response.
    pub(super) fn cookie(
        &self,
        cookie: Option<&Cookie<'_>>,
    ) -> Result<Cookie<'static>, SessionError> {
        self.token()?;
        // Without a cookie, the login was undone.
        let cookie = cookie.ok_or(SessionError::Aborted)?;
        Ok(cookie.clone().into_owned())
    }

    /// Returns the token that was taken.
    pub(super) fn bearer(&self, _: Option<&Cookie<'_>>) -> Result<BearerToken, SessionError> {
        self.token()?.ok_or(SessionError::Aborted)
    }

    fn token(&self) -> Outcome {
        self.outcome
            .lock()
            .take()
            .unwrap_or(Err(SessionError::NotAttached))
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
            return route::Outcome::Forward((data, Status::NotFound));
        };
        let result = sign_in::<D>(request, login, asked.takes_token).await;
        let mut response = Response::new();
        response.set_status(match &result {
            Ok(_) => Status::NoContent,
            Err(error) => error.status(),
        });
        *asked.outcome.lock() = Some(result);
        route::Outcome::Success(response)
    }
}

async fn sign_in<D: TypedData>(request: &Request<'_>, login: Login, takes_token: bool) -> Outcome {
    let session = Session::<D>::of(request).await?;
    session.login(login).await?;
    Ok(takes_token.then(|| session.token_once()).flatten())
}
