//! Who may see and end other people's sessions.

use std::fmt;
use std::net::IpAddr;

use rocket::http::Status;
use rocket::http::uri::Host;
use rocket::outcome::Outcome;
use rocket::request::{self, FromRequest, Request};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::signed_in::SignedIn;
use super::users::Users;

/// The environment variable that holds the token.
const SESSION_ADMIN_TOKEN: &str = "SESSION_ADMIN_TOKEN";

/// Shorter tokens are accepted with a warning.
const GOOD_LEN: usize = 32;

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
    pub(super) fn from_env() -> Self {
        let token = std::env::var(SESSION_ADMIN_TOKEN).unwrap_or_default();
        if (1..GOOD_LEN).contains(&token.trim().len()) {
            tracing::warn!(
                "{SESSION_ADMIN_TOKEN} has fewer than {GOOD_LEN} bytes and may be guessed; \
                 `rocket_diesel_sessions secret` prints a better one"
            );
        }
        Self::new(&token)
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
/// with `is_admin`. In the debug profile, bound to a loopback address, a request without that
/// header is let in too.
#[derive(Clone, Debug)]
pub(super) enum Admin {
    /// Whoever has the token.
    Token,
    /// A signed-in user, by id.
    User(String),
    /// Whoever is on this machine.
    Local,
}

impl Admin {
    /// Who it is, for the audit log.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Token => "admin_token",
            Self::User(id) => id,
            Self::Local => "local",
        }
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Admin {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        let config = request.rocket().config();
        let is_open = config.profile == rocket::Config::DEBUG_PROFILE
            && config.address.is_loopback()
            && names_loopback(request);
        let admitted = match request.headers().get_one("Authorization") {
            None if is_open => Ok(Self::Local),
            None => signed_in(request).await,
            Some(header) => request
                .rocket()
                .state::<AdminToken>()
                .zip(bearer(header))
                .filter(|(token, presented)| token.admits(presented))
                .map(|_| Self::Token)
                .ok_or(Status::Unauthorized),
        };
        match admitted {
            Ok(admin) => Outcome::Success(admin),
            Err(status) => Outcome::Error((status, ())),
        }
    }
}

/// Whether the request was made to this machine by a name of its own. Another name may be of a
/// site that has it point here, so that its pages can ask us (DNS rebinding).
pub(super) fn names_loopback(request: &Request<'_>) -> bool {
    match request.host().map(Host::domain) {
        // Rocket's local client names none.
        None => true,
        Some(domain) => {
            let name = domain.as_str().trim_matches(['[', ']']);
            name.eq_ignore_ascii_case("localhost")
                || name
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
    }
}

/// The visitor as an administrator: 401 for nobody, 403 for other users.
async fn signed_in(request: &Request<'_>) -> Result<Admin, Status> {
    let signed_in = match request.guard::<SignedIn>().await {
        Outcome::Success(signed_in) => signed_in,
        Outcome::Error((status, _)) | Outcome::Forward(status) => return Err(status),
    };
    let users = request.rocket().state::<Users>();
    let users = users.ok_or(Status::InternalServerError)?;
    let user = signed_in
        .user(users)
        .await
        .map_err(|error| error.status())?;
    if user.is_admin {
        Ok(Admin::User(user.id))
    } else {
        Err(Status::Forbidden)
    }
}

/// The token of an `Authorization` header (RFC 6750, section 2.1; the scheme's case is free).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
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
        assert_eq!(bearer("Bearer"), None);
    }
}
