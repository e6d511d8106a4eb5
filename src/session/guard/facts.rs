//! What a request knows of its session, without I/O.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Session;
use crate::session::codec::TypedData;
use crate::store::{SessionHandle, SessionRecord, UserId};

impl<D: TypedData> Session<D> {
    /// Returns the stored session as this request last saw it, or `None` if nothing is stored.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::get;
    /// use rocket_diesel_sessions::Session;
    ///
    /// #[get("/version")]
    /// fn version(session: Session<Vec<String>>) -> Option<String> {
    ///     Some(session.record()?.version.to_string())
    /// }
    /// ```
    pub fn record(&self) -> Option<SessionRecord> {
        self.inner.state().record().cloned()
    }

    /// Returns the handle, the column `id`. It stays the same for the session's whole life.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::get;
    /// use rocket_diesel_sessions::Session;
    ///
    /// #[get("/support")]
    /// fn support(session: Session<Vec<String>>) -> String {
    ///     match session.handle() {
    ///         Some(handle) => format!("tell us this number: {handle}"),
    ///         None => "you have no session".to_owned(),
    ///     }
    /// }
    /// ```
    pub fn handle(&self) -> Option<SessionHandle> {
        self.field(|record| record.id.clone())
    }

    /// Returns the lookup half of the token, the column `session_id`. It is not secret.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::{State, post};
    /// use rocket_diesel_sessions::{Session, SessionError, UserSessions};
    ///
    /// #[post("/sign-out-everywhere")]
    /// async fn sign_out(
    ///     session: Session<Vec<String>>,
    ///     sessions: &State<UserSessions>,
    /// ) -> Result<(), SessionError> {
    ///     if let (Some(user), Some(this)) = (session.user_id(), session.session_id()) {
    ///         sessions.by(this).revoke_all(user).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn session_id(&self) -> Option<Uuid> {
        self.field(|record| record.session_id)
    }

    /// Returns the id of the signed-in user, or `None` for an anonymous visitor.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::get;
    /// use rocket_diesel_sessions::Session;
    ///
    /// #[get("/")]
    /// fn index(session: Session<Vec<String>>) -> String {
    ///     match session.user_id() {
    ///         Some(user) => format!("signed in as {user}"),
    ///         None => "not signed in".to_owned(),
    ///     }
    /// }
    /// ```
    pub fn user_id(&self) -> Option<UserId> {
        self.field(|record| record.user_id.clone()).flatten()
    }

    /// Returns the id of the signed-in user as the type that the application keeps it in, such as
    /// `i64` or `Uuid`. Returns `None` for an anonymous visitor, and for an id that is no `T`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::{get, post};
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// struct User { id: i64 }
    ///
    /// # fn authenticate() -> User { User { id: 42 } }
    /// #[post("/login")]
    /// async fn login(session: Session<Vec<String>>) -> Result<(), SessionError> {
    ///     let user = authenticate();
    ///     session.login(user.id).await
    /// }
    ///
    /// #[get("/user")]
    /// fn user(session: Session<Vec<String>>) -> Option<String> {
    ///     let id: i64 = session.user_id_as()?;
    ///     Some(format!("user number {id}"))
    /// }
    /// ```
    pub fn user_id_as<T: FromStr>(&self) -> Option<T> {
        self.user_id()?.parse()
    }

    /// Returns when the session was created.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::get;
    /// use rocket_diesel_sessions::Session;
    ///
    /// #[get("/time")]
    /// fn time(session: Session<Vec<String>>) -> Option<String> {
    ///     Some(format!("here since {}", session.created_at()?))
    /// }
    /// ```
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.field(|record| record.created_at)
    }

    /// Returns when the session expires unless there is further activity.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::get;
    /// use rocket_diesel_sessions::Session;
    ///
    /// #[get("/time")]
    /// fn time(session: Session<Vec<String>>) -> Option<String> {
    ///     Some(format!("here until {}", session.expires_at()?))
    /// }
    /// ```
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.field(|record| record.expires_at)
    }

    /// Returns whether the visitor came without a session.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::get;
    /// use rocket_diesel_sessions::Session;
    ///
    /// #[get("/")]
    /// fn greet(session: Session<Vec<String>>) -> &'static str {
    ///     if session.is_new() { "welcome" } else { "welcome back" }
    /// }
    /// ```
    pub fn is_new(&self) -> bool {
        self.inner.state().is_new
    }

    fn field<T>(&self, field: impl FnOnce(&SessionRecord) -> T) -> Option<T> {
        self.inner.state().record().map(field)
    }
}
