//! Who may see and end other people's sessions.

use std::fmt;
use std::net::IpAddr;

use rocket::Config;
use rocket::http::Status;
use rocket::http::uri::Host;
use rocket::request::{self, FromRequest, Request};
use rocket_diesel_sessions::{ConfigError, SetupError, is_forwarded};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::signed_in::SignedIn;
use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::http::failure::outcome;
use crate::monitoring::audit::{Event, Trail};

/// The environment variable that holds the token.
const SESSION_ADMIN_TOKEN: &str = "SESSION_ADMIN_TOKEN";

/// Least length of the token in bytes, as of a signing secret. In the debug profile, shorter ones are
/// accepted with a warning.
const MIN_LEN: usize = 32;

/// What is open, and to whom, in the debug profile.
pub(crate) const OPEN: &str = "administration is open to this machine (debug profile)";

/// Who has the token, in the audit log.
const TOKEN_NAME: &str = "admin_token";

/// The administrators' bearer token, if there is one. Kept as a hash; `Debug` shows nothing.
#[derive(Clone, Default)]
pub struct AdminToken(Option<[u8; 32]>);

impl AdminToken {
    /// A token to be compared with. An empty one counts as none.
    pub fn new(token: &str) -> Self {
        let token = token.trim();
        Self((!token.is_empty()).then(|| Sha256::digest(token).into()))
    }

    /// `SESSION_ADMIN_TOKEN`.
    ///
    /// # Errors
    /// When it is too short outside the debug profile, or not UTF-8.
    pub(crate) fn from_env(is_debug: bool) -> Result<Self, SetupError> {
        let token = match std::env::var(SESSION_ADMIN_TOKEN) {
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(ConfigError::unfit(SESSION_ADMIN_TOKEN, "must be UTF-8").into());
            }
            token => token.unwrap_or_default(),
        };
        let length = token.trim().len();
        if (1..MIN_LEN).contains(&length) {
            let problem = format!(
                "has fewer than {MIN_LEN} bytes and may be guessed, so that only the debug profile takes \
                 it; `rocket_diesel_sessions secret` prints a fresh one"
            );
            if !is_debug {
                return Err(ConfigError::unfit(SESSION_ADMIN_TOKEN, problem).into());
            }
            tracing::warn!("{SESSION_ADMIN_TOKEN}: {problem}");
        }
        Ok(Self::new(&token))
    }

    /// Whether this is the token, in a time that does not depend on where the two differ.
    fn admits(&self, presented: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented).into();
        self.0.is_some_and(|token| token.ct_eq(&presented).into())
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "AdminToken(..)"
        } else {
            "AdminToken(none)"
        })
    }
}

/// A request guard for administrators: `Authorization: Bearer` with the token, or a signed-in user
/// with `is_admin`. In the debug profile, bound to a loopback address, a request that was made on this
/// machine without that header is let in too.
#[derive(Clone, Debug)]
pub(crate) enum Admin {
    /// A client that has the token.
    Token,
    /// A signed-in user, by id.
    User(String),
    /// A client on this machine.
    Local,
}

impl Admin {
    /// Who it is, for the audit log.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Token => TOKEN_NAME,
            Self::User(id) => id,
            Self::Local => "local",
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

/// An administrator who may end other people's sessions. One who is signed in has given the password
/// a short time ago.
pub(crate) struct RecentAdmin(pub(crate) Admin);

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
        if let Admin::User(_) = &admin {
            let signed_in = SignedIn::of(request).await?;
            signed_in.require_password(users(request)?)?;
        }
        Ok(Self(admin))
    }
}

/// Returns whether administration is open to those who are on this machine.
pub(crate) fn is_open(config: &Config) -> bool {
    config.profile == Config::DEBUG_PROFILE && config.address.is_loopback()
}

/// Returns whether a request was made on this machine, and to it by a name of its own: a tunnel or proxy
/// on it connects from here too, but says for whom it does or keeps the name that it was called by.
/// Another name may also be of a site that has it point here, so that its pages can ask us (DNS
/// rebinding).
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
        // Rocket's local client leaves the header as it is.
        None => match request.headers().get_one("Host").map(Host::parse) {
            Some(Err(_)) => return false,
            host => host.and_then(Result::ok),
        },
    };
    let name = host.as_ref().map(|host| host.domain().as_str());
    // Rocket's local client, in this process, has no peer.
    request.remote().is_none_or(|peer| is_loopback(peer.ip())) && name.is_none_or(is_local_name)
}

/// The bearer token of a request, if it has one. Other schemes are a proxy's affair.
pub(crate) fn presented_token<'r>(request: &'r Request<'_>) -> Option<&'r str> {
    request.headers().get("Authorization").find_map(bearer)
}

/// Admits a client that has the token. Wrong tokens are counted for their address.
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

/// Admits a signed-in administrator. The errors are those for administrators, who may also come with
/// the token.
async fn signed_in(request: &Request<'_>) -> Result<Admin, ApiError> {
    let for_admins = |error: ApiError| ApiError::of(error.status());
    let signed_in = SignedIn::of(request).await.map_err(for_admins)?;
    let user = signed_in.user(users(request)?).await.map_err(for_admins)?;
    if user.is_admin {
        Ok(Admin::User(user.id))
    } else {
        Err(ApiError::of(Status::Forbidden))
    }
}

fn users<'r>(request: &'r Request<'_>) -> Result<&'r Users, ApiError> {
    request.rocket().state().ok_or_else(ApiError::internal)
}

/// The token of an `Authorization` header (RFC 6750, section 2.1; the scheme's case is free), which
/// may be missing; `None` for another scheme.
fn bearer(header: &str) -> Option<&str> {
    let header = header.trim();
    let (scheme, token) = header.split_once([' ', '\t']).unwrap_or((header, ""));
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_admitted() {
        let token = AdminToken::new("a long admin token for this test");
        assert!(token.admits("a long admin token for this test"));
        assert!(!token.admits("a long admin token for this tes"));
        assert!(!token.admits(""));
        assert!(!AdminToken::new("").admits(""));
        assert_eq!(format!("{token:?}"), "AdminToken(..)");
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        assert_eq!(bearer("bearer  x"), Some("x"));
        assert_eq!(bearer("Basic x"), None);
        assert_eq!(bearer("Bearer"), Some(""));
        assert_eq!(bearer("Bearerx y"), None);
        assert_eq!(bearer(""), None);
    }
}
