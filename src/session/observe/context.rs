//! [`EventContext`]: the request that causes an event.

use std::convert::Infallible;
use std::sync::Arc;

use rocket::Request;
use rocket::request::{self, FromRequest};

use crate::session::request::address::visitor_address;
use crate::session::request::user_agent;

/// A function that returns the id of a request.
pub(crate) type RequestId = Arc<dyn Fn(&Request<'_>) -> Option<String> + Send + Sync>;

/// Rocket's managed state: how a request's id is found.
pub(crate) struct RequestIds(pub(crate) RequestId);

/// Returns the id of a request, if the application gives it one.
pub(crate) fn request_id(request: &Request<'_>) -> Option<String> {
    let RequestIds(id) = request.rocket().state()?;
    id(request)
}

/// The request that causes an event: its address, user agent and id, who sent it, and why. It is
/// for [`UserSessions::with_context`](crate::UserSessions::with_context) and
/// [`SessionAdmin::with_context`](crate::SessionAdmin::with_context), which do not see the request.
/// As a request guard, it always succeeds.
///
/// # Example
///
/// ```
/// use rocket::{State, delete};
/// use rocket_diesel_sessions::{EventContext, SessionAdmin, SessionError};
///
/// #[delete("/sessions/<id>")]
/// async fn end(
///     admin: &State<SessionAdmin>,
///     context: EventContext,
///     id: &str,
/// ) -> Result<(), SessionError> {
///     let context = context.actor("support").reason("reported as stolen");
///     admin.with_context(context).revoke(id).await?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventContext {
    pub(crate) actor: Option<String>,
    pub(crate) actor_name: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) reason: Option<String>,
    /// Whether the user has not signed in with this browser before, as far as its cookie shows.
    pub(crate) is_unknown_device: bool,
}

impl EventContext {
    /// Returns the context of a request.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::Request;
    /// use rocket_diesel_sessions::EventContext;
    ///
    /// fn by_support(request: &Request<'_>) -> EventContext {
    ///     EventContext::of(request).actor("support")
    /// }
    /// ```
    pub fn of(request: &Request<'_>) -> Self {
        Self {
            actor: None,
            actor_name: None,
            ip: visitor_address(request).map(|ip| ip.to_string()),
            user_agent: user_agent(request),
            request_id: request_id(request),
            reason: None,
            is_unknown_device: false,
        }
    }

    /// Sets who causes the event, if not the session's user: an id, or a word in its place.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::EventContext;
    ///
    /// let context = EventContext::default().actor("command_line");
    /// ```
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Sets the name of the actor, for the time after the actor's account is deleted.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::EventContext;
    ///
    /// let context = EventContext::default().actor("tz4a98xxat96iws9zmbrgj3a").actor_name("ada");
    /// ```
    #[must_use]
    pub fn actor_name(mut self, name: impl Into<String>) -> Self {
        self.actor_name = Some(name.into());
        self
    }

    /// Sets why the event happens.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::EventContext;
    ///
    /// let context = EventContext::default().reason("password_changed");
    /// ```
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for EventContext {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, Infallible> {
        request::Outcome::Success(Self::of(request))
    }
}
