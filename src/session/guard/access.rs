//! Guards with other requirements than [`Session`](super::Session): [`SignedIn`], [`Fresh`] and
//! [`PassiveSession`].

use std::any::type_name;
use std::ops::Deref;
use std::str::FromStr;

use rocket::Request;
use rocket::request::{self, FromRequest};
use rocket::{Ignite, Rocket, Sentinel};

use super::Session;
use crate::session::codec::TypedData;
use crate::session::error::SessionError;
use crate::session::request::failure::outcome;
use crate::store::{StoreError, UserId};

/// The session of a signed-in user. Other visitors get 401, with `WWW-Authenticate: Bearer` if
/// [`transport`](crate::SessionConfig::transport) allows bearer tokens.
///
/// # Example
///
/// ```
/// use rocket::get;
/// use rocket_diesel_sessions::SignedIn;
///
/// #[get("/account")]
/// fn account(session: SignedIn<Vec<String>>) -> String {
///     format!("user {}", session.user())
/// }
/// ```
#[derive(Debug)]
pub struct SignedIn<D> {
    session: Session<D>,
    user: UserId,
}

impl<D> SignedIn<D> {
    /// Returns the user's id.
    ///
    /// # Example
    ///
    /// ```
    /// # use rocket_diesel_sessions::SignedIn;
    /// fn greeting(session: &SignedIn<u64>) -> String {
    ///     format!("hello, {}", session.user())
    /// }
    /// ```
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// Returns the user's id as the type that the application keeps it in, such as `i64` or `Uuid`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::get;
    /// use rocket_diesel_sessions::{SessionError, SignedIn};
    ///
    /// #[get("/orders")]
    /// async fn orders(session: SignedIn<Vec<String>>) -> Result<String, SessionError> {
    ///     let user: i64 = session.user_as()?;
    ///     Ok(format!("the orders of user number {user}"))
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::Refused`] (500) if the id is not a `T`.
    pub fn user_as<T: FromStr>(&self) -> Result<T, SessionError>
    where
        D: TypedData,
    {
        self.user.parse().ok_or_else(|| {
            let handle = self.handle().map(String::from).unwrap_or_default();
            let reason = format!("the user's id is not of the type {}", type_name::<T>());
            StoreError::corrupt(handle, reason).into()
        })
    }
}

/// The session of a user who has signed in within the setting `fresh_for`, for changes that need
/// the password again (OWASP ASVS 5.0, 7.5.2). Visitors who are not signed in get 401, and other
/// users 403: [`SessionError::ReauthenticationRequired`].
///
/// # Example
///
/// ```
/// use rocket::post;
/// use rocket_diesel_sessions::{Fresh, SessionError};
///
/// #[post("/account/email")]
/// async fn change_address(session: Fresh<Vec<String>>) -> Result<(), SessionError> {
///     session.revoke_others().await?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Fresh<D>(SignedIn<D>);

/// A session whose request does not count as activity, for requests that a page makes by itself. No
/// other guard may have loaded the session earlier in the same request.
///
/// # Example
///
/// ```
/// use rocket::get;
/// use rocket_diesel_sessions::PassiveSession;
///
/// #[get("/unread")]
/// fn unread(session: PassiveSession<Vec<String>>) -> String {
///     session.data().len().to_string()
/// }
/// ```
#[derive(Debug)]
pub struct PassiveSession<D>(Session<D>);

impl<D> Deref for SignedIn<D> {
    type Target = Session<D>;

    fn deref(&self) -> &Session<D> {
        &self.session
    }
}

impl<D> Deref for Fresh<D> {
    type Target = SignedIn<D>;

    fn deref(&self) -> &SignedIn<D> {
        &self.0
    }
}

impl<D> Deref for PassiveSession<D> {
    type Target = Session<D>;

    fn deref(&self) -> &Session<D> {
        &self.0
    }
}

async fn signed_in<D: TypedData>(request: &Request<'_>) -> Result<SignedIn<D>, SessionError> {
    let session = Session::<D>::of(request).await?;
    match session.user_id() {
        Some(user) => Ok(SignedIn { session, user }),
        None => Err(SessionError::SignedOut),
    }
}

async fn fresh<D: TypedData>(request: &Request<'_>) -> Result<Fresh<D>, SessionError> {
    let signed_in = signed_in::<D>(request).await?;
    if signed_in.authenticated_within(signed_in.inner.shared.fresh_for) {
        Ok(Fresh(signed_in))
    } else {
        Err(SessionError::ReauthenticationRequired)
    }
}

async fn passive<D: TypedData>(request: &Request<'_>) -> Result<PassiveSession<D>, SessionError> {
    Session::<D>::without_activity(request);
    Session::<D>::of(request).await.map(PassiveSession)
}

/// Defines a guard from a function that returns it.
macro_rules! guard {
    ($guard:ident by $of:ident) => {
        #[rocket::async_trait]
        impl<'r, D: TypedData> FromRequest<'r> for $guard<D> {
            type Error = SessionError;

            async fn from_request(
                request: &'r Request<'_>,
            ) -> request::Outcome<Self, SessionError> {
                outcome(request, $of(request).await)
            }
        }

        impl<D: TypedData> Sentinel for $guard<D> {
            fn abort(rocket: &Rocket<Ignite>) -> bool {
                Session::<D>::abort(rocket)
            }
        }
    };
}

guard!(SignedIn by signed_in);
guard!(Fresh by fresh);
guard!(PassiveSession by passive);
