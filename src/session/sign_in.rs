//! [`Login`]: the user to be signed in, the methods used, and the timeouts.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::expiry::LONGEST;
use crate::store::{Lifetime, PendingSignIn, SessionRecord, SignIn, UserId};

/// The minimum timeout that a login can set.
const SHORTEST: Duration = Duration::from_secs(1);

/// A login: the user, a condition that must still hold when the login is committed, the methods of
/// the sign-in, and the session's timeouts.
///
/// # Example
///
/// ```no_run
/// # use std::time::Duration;
/// # use rocket_diesel_sessions::{Login, Session, SessionError};
/// # use rocket_diesel_sessions::store::UserRecord;
/// # async fn sign_in(session: Session<u64>, user: UserRecord) -> Result<(), SessionError> {
/// const DAY: Duration = Duration::from_secs(24 * 3600);
///
/// // However the user was authenticated:
/// session.login(&user.id).await?;
/// // With a password that was checked against this hash, and "keep me signed in":
/// session
///     .login(
///         Login::new(&user.id)
///             .verified_against(&user.password_hash)
///             .method("pwd")
///             .idle_timeout(30 * DAY)
///             .absolute_timeout(365 * DAY),
///     )
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Login {
    pub(super) user_id: UserId,
    pub(super) password_hash: Option<String>,
    idle: Option<Duration>,
    absolute: Option<Duration>,
    browser_session: bool,
    methods: Vec<String>,
    actor: Option<String>,
    authenticated_at: Option<DateTime<Utc>>,
    awaits: Option<Duration>,
}

impl Login {
    /// Creates a login of the user with this id. With `users = "own"`, the id is that of a row of
    /// the table `users`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Login;
    ///
    /// let login = Login::new("42");
    /// ```
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
            password_hash: None,
            idle: None,
            absolute: None,
            browser_session: false,
            methods: Vec::new(),
            actor: None,
            authenticated_at: None,
            awaits: None,
        }
    }

    /// Refuses the login if the user's password hash has changed. Without this, a login in progress
    /// while the password is changed would survive the change (OWASP ASVS 5.0, 7.4.3). Requires
    /// `users = "own"`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Login;
    ///
    /// # let hash = "$argon2id$…";
    /// let login = Login::new("42").verified_against(hash);
    /// ```
    #[must_use]
    pub fn verified_against(mut self, password_hash: impl Into<String>) -> Self {
        self.password_hash = Some(password_hash.into());
        self
    }

    /// Ends the session after this time without activity, instead of the setting `idle_timeout`.
    /// Values are limited to the range from one second to ten years. The absolute timeout still
    /// applies.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use rocket_diesel_sessions::Login;
    ///
    /// let kiosk = Login::new("42").idle_timeout(Duration::from_secs(5 * 60));
    /// ```
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle = Some(timeout.clamp(SHORTEST, LONGEST));
        self
    }

    /// Ends the session this long after the login, instead of the setting `absolute_timeout`. The
    /// browser keeps the cookie until then, whatever the idle timeout is. Values are limited to the
    /// range from one second to ten years.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use rocket_diesel_sessions::Login;
    ///
    /// let shift = Login::new("42").absolute_timeout(Duration::from_secs(8 * 3600));
    /// ```
    #[must_use]
    pub fn absolute_timeout(mut self, timeout: Duration) -> Self {
        self.absolute = Some(timeout.clamp(SHORTEST, LONGEST));
        self
    }

    /// Lets the browser remove the cookie when it is closed. The timeouts still apply.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Login;
    ///
    /// let on_a_shared_computer = Login::new("42").browser_session();
    /// ```
    #[must_use]
    pub fn browser_session(mut self) -> Self {
        self.browser_session = true;
        self
    }

    /// Adds a method by which the user signed in: a value of `amr` in `OpenID` Connect (RFC 8176),
    /// such as `pwd`, `otp` or `hwk`. Call this once per method.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Login;
    ///
    /// let login = Login::new("42").method("pwd").method("otp");
    /// ```
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.methods.push(method.into());
        self
    }

    /// Names the person who acts for the user, for example an administrator who investigates a
    /// problem.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Login;
    ///
    /// let login = Login::new("42").actor("support:7");
    /// ```
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Sets when the user was authenticated, if that was before this login: by an identity provider,
    /// whose `auth_time` it is (`OpenID` Connect Core 1.0, section 2), or by the sessions of another
    /// library. [`authenticated_within`](crate::Session::authenticated_within) and the guard
    /// [`Fresh`](crate::Fresh) go by it, while the timeouts count from the login. A time in the
    /// future counts as the time of the login.
    ///
    /// # Example
    ///
    /// ```
    /// use chrono::DateTime;
    /// use rocket_diesel_sessions::Login;
    ///
    /// # let auth_time = 1_767_225_600;
    /// let login = Login::new("42").method("fed");
    /// let login = match DateTime::from_timestamp(auth_time, 0) {
    ///     Some(time) => login.authenticated_at(time),
    ///     None => login,
    /// };
    /// ```
    #[must_use]
    pub fn authenticated_at(mut self, time: DateTime<Utc>) -> Self {
        self.authenticated_at = Some(time);
        self
    }

    /// Awaits a further factor for at most this time. The session gets a new token and remembers
    /// the login, but is not signed in. A later login of the same user without this completes it
    /// and keeps the methods named here. A session that is already signed in ends.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use rocket_diesel_sessions::Login;
    ///
    /// let first = Login::new("42").method("pwd").awaiting_factor(Duration::from_secs(600));
    /// let second = Login::new("42").method("otp");
    /// ```
    #[must_use]
    pub fn awaiting_factor(mut self, at_most: Duration) -> Self {
        self.awaits = Some(at_most.clamp(SHORTEST, LONGEST));
        self
    }

    /// Returns whether the login awaits a further factor and leaves the session signed out.
    pub(super) fn is_pending(&self) -> bool {
        self.awaits.is_some()
    }

    /// Returns whether the login sets timeouts. They apply even if they are shorter than those of
    /// the session.
    pub(super) fn has_timeouts(&self) -> bool {
        self.idle.is_some() || self.absolute.is_some()
    }

    /// Returns the lifetime of the session. A login of the same user that sets none, for example
    /// one that confirms the password, keeps that of the session.
    pub(super) fn lifetime(&self, session: Option<&SessionRecord>) -> Lifetime {
        let asks = self.has_timeouts() || self.browser_session;
        let is_own = |record: &&SessionRecord| record.user_id.as_ref() == Some(&self.user_id);
        match session.filter(is_own) {
            Some(own) if !asks => own.lifetime,
            _ => Lifetime {
                idle: self.idle,
                absolute: self.absolute,
                browser_session: self.browser_session,
            },
        }
    }

    /// Returns the sign-in, including the methods of the login that it completes, or the login that
    /// still has to be completed.
    pub(super) fn sign_in(
        &self,
        session: Option<&SessionRecord>,
        now: DateTime<Utc>,
    ) -> Result<SignIn, PendingSignIn> {
        let begun = session.and_then(|record| record.pending.as_ref());
        let begun = begun.filter(|begun| begun.user_id == self.user_id && now < begun.until);
        let earlier = begun.map(|begun| begun.methods.as_slice());
        let mut methods = earlier.unwrap_or_default().to_vec();
        for method in &self.methods {
            if !methods.contains(method) {
                methods.push(method.clone());
            }
        }
        let actor = self.actor.clone();
        let actor = actor.or_else(|| begun.and_then(|begun| begun.actor.clone()));
        match self.awaits {
            Some(at_most) => Err(PendingSignIn {
                user_id: self.user_id.clone(),
                methods,
                actor,
                until: now + at_most,
            }),
            None => Ok(SignIn {
                at: self.authenticated_at.map_or(now, |time| time.min(now)),
                methods,
                actor,
            }),
        }
    }
}

impl<T: Into<UserId>> From<T> for Login {
    fn from(user_id: T) -> Self {
        Self::new(user_id)
    }
}

/// Shows only the user's id.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({:?}, ..)", self.user_id)
    }
}
