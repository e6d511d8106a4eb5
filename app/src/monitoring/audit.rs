//! The audit log: one line per event that matters for security, with who caused it, whom it concerns
//! and where it came from.
//!
//! The lines have a target of their own, so that they can be stored separately. They are written in
//! release too. No line contains a token or a password.

use std::net::IpAddr;

use rocket::request::{self, FromRequest, Request};
use rocket_diesel_sessions::{SessionHandle, UserId, visitor_address};
use uuid::Uuid;

use crate::http::request_id;

/// The target of the lines.
pub const TARGET: &str = rocket_diesel_sessions::admin::AUDIT_LOG;

/// An event that matters for security.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A user registered, or was added by an administrator.
    Register,
    /// A user signed in, or entered the password again.
    Login,
    /// A user signed out.
    Logout,
    /// A password was wrong, or its user is unknown or disabled.
    LoginFailed,
    /// An attempt was refused because too many had preceded it.
    LoginLimited,
    /// A password was changed.
    PasswordChanged,
    /// An account was deleted.
    AccountDeleted,
    /// A session was ended by someone other than its visitor, or from another device.
    SessionRevoked,
    /// All sessions were ended.
    SessionsCleared,
    /// A user was disabled and can no longer sign in.
    UserDisabled,
    /// A user was enabled and can sign in again.
    UserEnabled,
    /// A user became an administrator.
    UserPromoted,
    /// A user is no longer an administrator.
    UserDemoted,
    /// Expired sessions were deleted, on request or by the server's own sweep. A sweep that finds
    /// none writes no line.
    Swept,
}

impl Event {
    /// The value of the field `event`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::LoginFailed => "login_failed",
            Self::LoginLimited => "login_limited",
            Self::PasswordChanged => "password_changed",
            Self::AccountDeleted => "account_deleted",
            Self::SessionRevoked => "session_revoked",
            Self::SessionsCleared => "sessions_cleared",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::UserPromoted => "user_promoted",
            Self::UserDemoted => "user_demoted",
            Self::Swept => "swept",
        }
    }
}

/// A line of the audit log. Unknown fields are left out.
#[derive(Clone, Debug)]
pub struct Entry {
    event: Event,
    user_id: Option<UserId>,
    by: Option<String>,
    session: Option<SessionHandle>,
    address: Option<IpAddr>,
    deleted: Option<u64>,
    trail: Trail,
}

impl Entry {
    /// Begins the line of an event that no request caused.
    pub fn new(event: Event) -> Self {
        Self {
            event,
            user_id: None,
            by: None,
            session: None,
            address: None,
            deleted: None,
            trail: Trail::default(),
        }
    }

    /// Sets the user whom the event concerns, by id.
    #[must_use]
    pub fn user<'a>(mut self, id: impl Into<Option<&'a UserId>>) -> Self {
        self.user_id = id.into().cloned();
        self
    }

    /// Sets who caused the event: a user's id, or a word in its place such as `command_line`.
    #[must_use]
    pub fn by(mut self, by: impl Into<String>) -> Self {
        self.by = Some(by.into());
        self
    }

    /// Sets the session that the event concerns, by its handle.
    #[must_use]
    pub fn session<'a>(mut self, handle: impl Into<Option<&'a SessionHandle>>) -> Self {
        self.session = handle.into().cloned();
        self
    }

    /// Sets the address whose sessions the event concerns.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Sets how many sessions were deleted.
    #[must_use]
    pub fn deleted(mut self, number: usize) -> Self {
        self.deleted = u64::try_from(number).ok();
        self
    }

    /// Writes the line.
    pub fn write(self) {
        let event = self.event.name();
        let (user_id, by) = (
            self.user_id.as_ref().map(UserId::as_str),
            self.by.as_deref(),
        );
        let session = self.session.as_ref().map(SessionHandle::as_str);
        let deleted = self.deleted;
        let address = self.address.map(tracing::field::display);
        let ip = self.trail.ip.map(tracing::field::display);
        let request_id = self.trail.request_id.map(tracing::field::display);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: TARGET, parent: None, event, user_id, by, ip, session, request_id, deleted,
                    address
                )
            };
        }
        match self.event {
            Event::LoginFailed | Event::LoginLimited => line!(warn),
            _ => line!(info),
        }
    }
}

/// The address that a request came from, and its id in the logs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trail {
    ip: Option<IpAddr>,
    request_id: Option<Uuid>,
}

impl Trail {
    pub(crate) fn of(request: &Request<'_>) -> Self {
        Self {
            ip: visitor_address(request),
            request_id: Some(request_id::of(request)),
        }
    }

    /// The visitor's address.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// Begins the line of an event that the request caused.
    pub(crate) fn event(self, event: Event) -> Entry {
        Entry {
            trail: self,
            ..Entry::new(event)
        }
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Trail {
    type Error = std::convert::Infallible;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, Self::Error> {
        request::Outcome::Success(Self::of(request))
    }
}
