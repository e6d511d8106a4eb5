//! The bearer token of administrators.

use std::fmt;

use rocket::request::Request;
use rocket_diesel_sessions::{ConfigError, SetupError};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The environment variable that holds the token.
const SESSION_ADMIN_TOKEN: &str = "SESSION_ADMIN_TOKEN";

/// The least length of the token in bytes, which is that of a signing secret. The debug profile accepts
/// shorter ones with a warning.
const MIN_LEN: usize = 32;

/// The administrators' bearer token, if there is one. It is kept as a hash, and `Debug` shows nothing of
/// it.
#[derive(Clone, Default)]
pub struct AdminToken(Option<[u8; 32]>);

impl AdminToken {
    /// Takes the token that clients must present. An empty one counts as none.
    pub fn new(token: &str) -> Self {
        let token = token.trim();
        Self((!token.is_empty()).then(|| Sha256::digest(token).into()))
    }

    /// Reads `SESSION_ADMIN_TOKEN`.
    ///
    /// # Errors
    /// When the token is too short outside the debug profile, or not UTF-8.
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
                "has fewer than {MIN_LEN} bytes and may be guessed, so only the debug profile accepts \
                 it; `rocket_diesel_sessions secret` prints a new one"
            );
            if !is_debug {
                return Err(ConfigError::unfit(SESSION_ADMIN_TOKEN, problem).into());
            }
            tracing::warn!("{SESSION_ADMIN_TOKEN}: {problem}");
        }
        Ok(Self::new(&token))
    }

    /// Returns whether a client has presented the token, in a time that does not depend on where the two
    /// differ.
    pub(super) fn admits(&self, presented: &str) -> bool {
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

/// Returns the bearer token of a request, if it has one. Other schemes are left to a proxy.
pub(crate) fn presented_token<'r>(request: &'r Request<'_>) -> Option<&'r str> {
    request.headers().get("Authorization").find_map(bearer)
}

/// Returns the token of an `Authorization` header, which is empty if the token is missing, and `None` for
/// another scheme. The case of the scheme is free (RFC 6750, section 2.1).
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
