//! How a user signed in, how long the session may live for it, and a login that awaits a further
//! factor.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A session's own timeouts. Those that are not set are the settings'.
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
    /// The absolute timeout, stored in whole seconds. Counts from the login.
    pub absolute: Option<Duration>,
    /// Whether the browser is to forget the cookie when it is closed.
    pub browser_session: bool,
}

/// When and how a session's user signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignIn {
    /// Time of the login.
    pub at: DateTime<Utc>,
    /// The methods that the login named, in their order: values of the claim `amr`
    /// (RFC 8176), such as `pwd` and `otp`.
    pub methods: Vec<String>,
    /// Who acts for the user, if someone else does.
    pub actor: Option<String>,
}

impl SignIn {
    /// Makes a sign-in of the user, by no named method.
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

/// A login that awaits a further factor. The session is not signed in by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingSignIn {
    /// The user who is to be signed in.
    pub user_id: String,
    /// The methods that were used so far.
    pub methods: Vec<String>,
    /// Who acts for the user, if someone else does.
    pub actor: Option<String>,
    /// The time from which on the login has to begin anew.
    pub until: DateTime<Utc>,
}
