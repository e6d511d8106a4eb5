//! The guards of administrators, who may see and end other people's sessions.

use std::net::IpAddr;

use rocket::Config;
use rocket::http::Status;
use rocket::http::uri::Host;
use rocket::request::{self, FromRequest, Request};
use rocket_diesel_sessions::{EventContext, UserId, is_forwarded};

use super::admin_token::{AdminToken, presented_token};
use super::signed_in::SignedIn;
use crate::accounts::administration::Acting;
use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::http::failure::outcome;
use crate::monitoring::audit::{Event, Trail};

/// The line that says what is open, and to whom, in the debug profile.
pub(crate) const OPEN: &str = "administration is open to this machine (debug profile)";

/// The name in the audit log of a client that has the token.
const TOKEN_NAME: &str = "admin_token";

/// An administrator: a client that sends `Authorization: Bearer` with the token, or a signed-in user with
/// `is_admin`. In the debug profile on a loopback address, a client on this machine needs neither.
#[derive(Clone, Debug)]
pub(crate) enum Admin {
    /// A client that has the token.
    Token,
    /// A signed-in user.
    User { id: UserId, name: String },
    /// A client on this machine.
    Local,
}

impl Admin {
    /// Returns the name for the audit log.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Token => TOKEN_NAME,
            Self::User { id, .. } => id.as_str(),
            Self::Local => "local",
        }
    }

    /// Returns the context of the events that the administrator's request causes.
    pub(crate) fn context(&self, request: &Request<'_>) -> EventContext {
        let context = EventContext::of(request).actor(self.name());
        match self {
            Self::User { name, .. } => context.actor_name(name),
            Self::Token | Self::Local => context,
        }
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Admin {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        outcome(request, Self::of(request).await)
    }
}

impl Admin {
    /// Returns the administrator who sends a request, for guards that build on this one.
    ///
    /// # Errors
    /// 401 without a session or with a wrong token, 429 after too many wrong tokens, 403 for other
    /// users.
    pub(crate) async fn of(request: &Request<'_>) -> Result<Self, ApiError> {
        let is_open = is_open(request.rocket().config());
        match presented_token(request) {
            Some(token) => with_token(request, token),
            None if is_open && is_from_this_machine(request) => Ok(Self::Local),
            None => signed_in(request).await,
        }
    }
}

/// The request of an administrator who may change users and end other people's sessions. One who is
/// signed in has given the password a short time ago.
pub(crate) struct RecentAdmin(pub(crate) Acting);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for RecentAdmin {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        outcome(request, Self::of(request).await)
    }
}

impl RecentAdmin {
    async fn of(request: &Request<'_>) -> Result<Self, ApiError> {
        let admin = Admin::of(request).await?;
        if let Admin::User { .. } = &admin {
            let signed_in = SignedIn::of(request).await?;
            signed_in.require_password(users(request)?)?;
        }
        Ok(Self(Acting::of(&admin, request)))
    }
}

impl Acting {
    /// Returns the request of this administrator.
    pub(crate) fn of(admin: &Admin, request: &Request<'_>) -> Self {
        Self {
            by: admin.name().to_owned(),
            context: admin.context(request),
            trail: Trail::of(request),
        }
    }
}

/// Returns whether administration is open to clients on this machine.
pub(crate) fn is_open(config: &Config) -> bool {
    config.profile == Config::DEBUG_PROFILE && config.address.is_loopback()
}

/// Returns whether a request was made on this machine and under one of its own names.
///
/// A tunnel or proxy on this machine connects from here too, but it names its client in a header or
/// keeps the name that it was called by. Another name may also belong to a site that points it here, so
/// that its pages can send requests to us (DNS rebinding).
pub(crate) fn is_from_this_machine(request: &Request<'_>) -> bool {
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    let is_local_name = |name: &str| {
        let name = name.trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
    };
    if is_forwarded(request) {
        return false;
    }
    let host = match request.host() {
        Some(host) => Some(host.clone()),
        // Rocket's local client does not parse the header.
        None => match request.headers().get_one("Host").map(Host::parse) {
            Some(Err(_)) => return false,
            host => host.and_then(Result::ok),
        },
    };
    let name = host.as_ref().map(|host| host.domain().as_str());
    // Rocket's local client, in this process, has no peer.
    request.remote().is_none_or(|peer| is_loopback(peer.ip())) && name.is_none_or(is_local_name)
}

/// Admits a client that has the token. Counts wrong tokens for their address.
fn with_token(request: &Request<'_>, presented: &str) -> Result<Admin, ApiError> {
    let token = request.rocket().state::<AdminToken>();
    if token.is_some_and(|token| token.admits(presented)) {
        return Ok(Admin::Token);
    }
    let trail = Trail::of(request);
    let (event, error) = match users(request)?.count_wrong_token(trail.ip()) {
        Ok(()) => (Event::LoginFailed, ApiError::of(Status::Unauthorized)),
        Err(wait) => {
            let error = ApiError::too_many("too many wrong tokens were given", wait);
            (Event::LoginLimited, error)
        }
    };
    trail.event(event).by(TOKEN_NAME).write();
    Err(error)
}

/// Admits a signed-in administrator. The errors are those of administrators, who may also send the
/// token.
async fn signed_in(request: &Request<'_>) -> Result<Admin, ApiError> {
    let for_admins = |error: ApiError| ApiError::of(error.status());
    let signed_in = SignedIn::of(request).await.map_err(for_admins)?;
    let user = signed_in.user(users(request)?).await.map_err(for_admins)?;
    if user.is_admin {
        Ok(Admin::User {
            id: user.id,
            name: user.username,
        })
    } else {
        Err(ApiError::of(Status::Forbidden))
    }
}

fn users<'r>(request: &'r Request<'_>) -> Result<&'r Users, ApiError> {
    request.rocket().state().ok_or_else(ApiError::internal)
}
