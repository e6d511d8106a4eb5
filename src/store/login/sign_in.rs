//! The sign-in of a session: its time and methods, its timeouts, and a login that awaits a further
//! factor.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::store::ids::UserId;

/// A session's own timeouts. The settings apply to those that are not set.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use rocket_diesel_sessions::store::Lifetime;
///
/// let mut lifetime = Lifetime::default();
/// lifetime.idle = Some(Duration::from_secs(30 * 24 * 3600));
/// assert!(lifetime.absolute.is_none() && !lifetime.browser_session);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lifetime {
    /// The idle timeout, stored in whole seconds.
    pub idle: Option<Duration>,
    /// The absolute timeout, stored in whole seconds and counted from the login.
    pub absolute: Option<Duration>,
    /// Whether the browser removes the cookie when it is closed.
    pub browser_session: bool,
}

/// The time and the methods of a session's sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignIn {
    /// Time of the login, or the earlier one that it names
    /// ([`Login::authenticated_at`](crate::Login::authenticated_at)).
    pub at: DateTime<Utc>,
    /// The methods that the login named, in order: values of `amr` in `OpenID` Connect (RFC 8176),
    /// such as `pwd` and `otp`.
    pub methods: Vec<String>,
    /// The person who acts for the user, if it is someone else.
    pub actor: Option<String>,
}

impl SignIn {
    /// Creates a sign-in at this time, without methods.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::SignIn;
    ///
    /// let sign_in = SignIn::new(chrono::Utc::now());
    /// assert!(sign_in.methods.is_empty() && sign_in.actor.is_none());
    /// ```
    pub const fn new(at: DateTime<Utc>) -> Self {
        Self {
            at,
            methods: Vec::new(),
            actor: None,
        }
    }
}

/// A login that awaits a further factor. It does not sign the session in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingSignIn {
    /// The user to be signed in.
    pub user_id: UserId,
    /// The methods used so far.
    pub methods: Vec<String>,
    /// The person who acts for the user, if it is someone else.
    pub actor: Option<String>,
    /// The time at which the login lapses and has to start again.
    pub until: DateTime<Utc>,
}
