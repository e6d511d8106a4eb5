//! The session token: 16 bytes that find the session and 32 random bytes that authenticate it.

use std::fmt;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::Cause;
use crate::session::error::SessionError;
use crate::store::TokenHash;

/// Length of a token in bytes.
pub(crate) const TOKEN_LEN: usize = 48;

/// A session token: a `UUIDv7`, the lookup half, and 256 bits from the system's CSPRNG, the secret
/// half (OWASP ASVS 5.0, 7.2.3 requires 128). `Debug` shows only the lookup half.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    session_id: Uuid,
    secret: [u8; 32],
}

impl Token {
    /// Generates a token. Its lookup half sorts by the millisecond of `now`.
    pub(crate) fn generate(now: DateTime<Utc>) -> Result<Self, SessionError> {
        let mut random = [0; 42];
        getrandom::fill(&mut random).map_err(|error| SessionError::Random(Cause::new(error)))?;
        let (mut lookup, mut secret) = ([0; 10], [0; 32]);
        lookup.copy_from_slice(&random[..10]);
        secret.copy_from_slice(&random[10..]);
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        let session_id = uuid::Builder::from_unix_timestamp_millis(millis, &lookup).into_uuid();
        Ok(Self { session_id, secret })
    }

    /// Returns the lookup half, which is not secret.
    pub(crate) fn session_id(&self) -> Uuid {
        self.session_id
    }

    /// Returns the hash of the secret half, to be stored or compared.
    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash::of(&self.secret)
    }

    pub(crate) fn to_bytes(&self) -> [u8; TOKEN_LEN] {
        let mut bytes = [0; TOKEN_LEN];
        bytes[..16].copy_from_slice(self.session_id.as_bytes());
        bytes[16..].copy_from_slice(&self.secret);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; TOKEN_LEN]) -> Self {
        let (mut id, mut secret) = ([0; 16], [0; 32]);
        id.copy_from_slice(&bytes[..16]);
        secret.copy_from_slice(&bytes[16..]);
        Self {
            session_id: Uuid::from_bytes(id),
            secret,
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, ..)", self.session_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_conversion_to_bytes_and_back() {
        let token = Token::generate(Utc::now()).unwrap();
        assert_eq!(Token::from_bytes(&token.to_bytes()), token);
        assert_eq!(token.session_id().get_version_num(), 7);
    }

    #[test]
    fn later_tokens_sort_after_earlier_ones() {
        let now = Utc::now();
        let first = Token::generate(now).unwrap();
        let later = Token::generate(now + chrono::TimeDelta::milliseconds(1)).unwrap();
        assert!(first.session_id() < later.session_id());
        assert!(first.session_id().to_string() < later.session_id().to_string());
    }

    #[test]
    fn i8_debug_shows_no_secret() {
        let token = Token::from_bytes(&[0x5a; TOKEN_LEN]);
        let shown = format!("{token:?} {:?}", token.hash());
        assert_eq!(
            shown,
            "Token(5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a, ..) TokenHash(..)"
        );
    }
}
