//! The cookie's value: a token and the session's handle, signed for one kind of session and one
//! cookie name.
//!
//! ```text
//! base64url(lookup half, secret half, handle) . base64url(HMAC-SHA-256(kind, name, the same bytes))
//! ```
//!
//! A cookie of one kind is invalid under the name of another. Earlier versions of this library
//! signed only the token. Their cookies stay valid, and while their instances may still run beside
//! this one, it issues cookies that they can read.
//!
//! A bearer token is written in the same way and signed for another purpose. So a cookie's value is
//! no bearer token, and the reverse: what is read out of one place is of no use in the other, and
//! each session has one client, which gets its new tokens. The signature covers the cookie's name
//! here too, because the name is what distinguishes applications that share a secret and a database.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::Mac;

use super::keys::{Key, SessionKeys};
use super::token::{TOKEN_LEN, Token};
use crate::session::expiry::token_time;
use crate::store::{SessionHandle, SessionKey};

/// Maximum length of a handle in a cookie, in bytes. A cuid2 has 24.
const MAX_HANDLE: usize = 64;

/// Maximum length of a token and a handle in base64url.
const MAX_PAYLOAD: usize = (TOKEN_LEN + MAX_HANDLE) * 4 / 3 + 1;

/// Length of a signature in base64url.
const SIGNATURE_LEN: usize = 43;

/// Distinguish signatures of cookies and of bearer tokens from those of other texts.
const COOKIE: &[u8] = b"session cookie\0";
const BEARER: &[u8] = b"session bearer\0";

/// How long a deploy may take. Until this time after the migration, instances of an earlier version
/// are assumed to run.
const DEPLOY: TimeDelta = TimeDelta::days(1);

/// Signs and verifies the cookies, or the bearer tokens, of one kind of session.
#[derive(Clone)]
pub(crate) struct Seal {
    /// One key per secret, bound to the purpose, the kind and the name.
    bound: Vec<Key>,
    /// One key per secret, unbound, for cookies of earlier versions.
    plain: Vec<Key>,
    /// Until when instances of an earlier version may issue cookies.
    earlier_until: Option<DateTime<Utc>>,
}

/// A token from a cookie, and the handle of its session. Cookies of earlier versions have no
/// handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) token: Token,
    pub(crate) handle: Option<SessionHandle>,
}

impl Opened {
    pub(crate) fn key(&self) -> SessionKey {
        SessionKey {
            session_id: self.token.session_id(),
            id: self.handle.clone(),
        }
    }
}

impl Seal {
    /// Creates the seal for the cookies `name` of a kind of session. The kind without a name is
    /// `""`. If an earlier version created the database, `upgraded_at` is the time of the migration
    /// to this one.
    pub(crate) fn new(
        keys: &SessionKeys,
        kind: &str,
        name: &str,
        upgraded_at: Option<DateTime<Utc>>,
    ) -> Self {
        Self {
            bound: bound(keys, COOKIE, kind, name),
            plain: keys.followed_by(b""),
            // Earlier versions do not know kinds.
            earlier_until: upgraded_at
                .filter(|_| kind.is_empty())
                .map(|time| time + DEPLOY),
        }
    }

    /// Creates the seal for the bearer tokens of the kind of session that has these cookies. No
    /// earlier version issued any.
    pub(crate) fn bearer(keys: &SessionKeys, kind: &str, name: &str) -> Self {
        Self {
            bound: bound(keys, BEARER, kind, name),
            plain: Vec::new(),
            earlier_until: None,
        }
    }

    /// Returns the cookie's value for a token of the session with this handle.
    pub(crate) fn close(
        &self,
        token: &Token,
        handle: &SessionHandle,
        now: DateTime<Utc>,
    ) -> String {
        let is_for_earlier = self.earlier_until.is_some_and(|until| now < until);
        if is_for_earlier {
            return signed(self.plain.first(), &token.to_bytes());
        }
        let bytes = [&token.to_bytes(), handle.as_str().as_bytes()].concat();
        signed(self.bound.first(), &bytes)
    }

    /// Returns the content of a cookie's value if any of the secrets signed it for this kind and
    /// name.
    pub(crate) fn open(&self, value: &str) -> Option<Opened> {
        let (payload, signature) = value.split_once('.')?;
        // Checked before anything is decoded, because a header may be long.
        if signature.len() != SIGNATURE_LEN || payload.len() > MAX_PAYLOAD {
            return None;
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let (token, handle) = payload.split_first_chunk::<TOKEN_LEN>()?;
        let keys = if handle.is_empty() {
            &self.plain
        } else {
            &self.bound
        };
        let is_by = |key: &Key| {
            let signed = key.clone().chain_update(&payload);
            signed.verify_slice(&signature).is_ok()
        };
        if !keys.iter().any(is_by) {
            return None;
        }
        let token = Token::from_bytes(token);
        let handle = match handle {
            [] if self.may_be_earlier(&token) => None,
            [] => return None,
            handle => Some(str::from_utf8(handle).ok()?.into()),
        };
        Some(Opened { token, handle })
    }

    /// Returns whether an instance of an earlier version may have issued the token.
    fn may_be_earlier(&self, token: &Token) -> bool {
        let issued = token_time(token.session_id());
        self.earlier_until
            .zip(issued)
            .is_some_and(|(until, issued)| issued <= until)
    }
}

/// Returns each secret as a key for this purpose, kind and name.
fn bound(keys: &SessionKeys, purpose: &[u8], kind: &str, name: &str) -> Vec<Key> {
    let context = [purpose, kind.as_bytes(), b"\0", name.as_bytes(), b"\0"].concat();
    keys.followed_by(&context)
}

/// Returns whether a text has the form of a bearer token, whoever made it. Nothing is decoded, so
/// this is also quick for a long header.
pub(crate) fn has_form(text: &str) -> bool {
    let is_base64url = |text: &str| {
        let mut bytes = text.bytes();
        bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= MAX_PAYLOAD + 1 + SIGNATURE_LEN
        && text.split_once('.').is_some_and(|(payload, signature)| {
            signature.len() == SIGNATURE_LEN
                && payload.len() > TOKEN_LEN * 4 / 3
                && is_base64url(payload)
                && is_base64url(signature)
        })
}

fn signed(key: Option<&Key>, bytes: &[u8]) -> String {
    let mut value = URL_SAFE_NO_PAD.encode(bytes);
    if let Some(key) = key {
        value.push('.');
        let signature = key.clone().chain_update(bytes).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode_string(signature, &mut value);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "a secret of more than thirty-two bytes";
    const B: &str = "another secret of more than thirty-two bytes";
    const HANDLE: &str = "tz4a98xxat96iws9zmbrgj3a";

    fn keys(list: &str) -> SessionKeys {
        SessionKeys::parse(list).unwrap()
    }

    fn seal(list: &str) -> Seal {
        Seal::new(&keys(list), "", "session", None)
    }

    #[test]
    fn every_list_with_the_signing_secret_opens_a_cookie() {
        let token = Token::generate(Utc::now()).unwrap();
        let value = seal(A).close(&token, &HANDLE.into(), Utc::now());
        let opened = Some(Opened {
            token,
            handle: Some(HANDLE.into()),
        });
        assert_eq!(seal(A).open(&value), opened);
        assert_eq!(seal(&format!("{B}, {A}")).open(&value), opened);
        assert_eq!(seal(B).open(&value), None);
    }

    #[test]
    fn i7_a_cookie_of_another_kind_or_name_does_not_open() {
        let token = Token::generate(Utc::now()).unwrap();
        let value = seal(A).close(&token, &HANDLE.into(), Utc::now());
        for (kind, name) in [("staff", "session"), ("", "session-staff"), ("session", "")] {
            assert_eq!(Seal::new(&keys(A), kind, name, None).open(&value), None);
        }
    }

    #[test]
    fn i7_a_bearer_token_is_no_cookie_and_no_cookie_is_one() {
        let now = Utc::now();
        let token = Token::generate(now).unwrap();
        let bearer = |kind, name| Seal::bearer(&keys(A), kind, name);
        let value = bearer("", "session").close(&token, &HANDLE.into(), now);
        assert!(has_form(&value), "{value}");
        let opened = bearer("", "session").open(&value).unwrap();
        assert_eq!(
            (opened.token, opened.handle),
            (token.clone(), Some(HANDLE.into()))
        );
        for (kind, name) in [("staff", "session"), ("", "session-staff"), ("session", "")] {
            assert_eq!(bearer(kind, name).open(&value), None, "{kind:?} {name:?}");
        }
        assert_eq!(seal(A).open(&value), None);
        let cookie = seal(A).close(&token, &HANDLE.into(), now);
        assert!(has_form(&cookie), "{cookie}");
        assert_eq!(bearer("", "session").open(&cookie), None);
        let earlier = Seal::new(&keys(A), "", "session", Some(now));
        let earlier = earlier.close(&token, &HANDLE.into(), now);
        assert_eq!(bearer("", "session").open(&earlier), None);
    }

    #[test]
    fn cookies_of_an_earlier_version_open_where_one_has_run() {
        let now = Utc::now();
        let token = Token::generate(now).unwrap();
        let upgraded = Seal::new(&keys(A), "", "session", Some(now));
        let earlier = upgraded.close(&token, &HANDLE.into(), now);
        assert_eq!(
            earlier.len(),
            64 + 1 + SIGNATURE_LEN,
            "instances of it can read this"
        );
        assert_eq!(upgraded.open(&earlier).unwrap().handle, None);
        assert_eq!(seal(A).open(&earlier), None, "none has run there");
        let staff = Seal::new(&keys(A), "staff", "session", Some(now));
        assert_eq!(staff.open(&earlier), None, "it knew no kinds");

        let later = now + DEPLOY + TimeDelta::seconds(1);
        let value = upgraded.close(&token, &HANDLE.into(), later);
        assert_eq!(upgraded.open(&value).unwrap().handle, Some(HANDLE.into()));
        let late = Token::generate(later).unwrap();
        let forged = signed(upgraded.plain.first(), &late.to_bytes());
        assert_eq!(
            upgraded.open(&forged),
            None,
            "too late for an earlier version"
        );
    }

    #[test]
    fn i7_no_changed_cookie_opens() {
        let seal = seal(A);
        let value = seal.close(
            &Token::generate(Utc::now()).unwrap(),
            &HANDLE.into(),
            Utc::now(),
        );
        for at in 0..value.len() {
            for replacement in ['A', 'B', '-', '.', '=', ' '] {
                let mut changed: Vec<char> = value.chars().collect();
                if changed[at] != replacement {
                    changed[at] = replacement;
                    let changed: String = changed.into_iter().collect();
                    assert_eq!(seal.open(&changed), None, "{changed}");
                }
            }
            assert_eq!(seal.open(&value[..at]), None);
        }
        for made_up in [
            "",
            ".",
            &"A".repeat(value.len()),
            &"A".repeat(8192),
            &format!("{}.{}", "A".repeat(8192), "A".repeat(SIGNATURE_LEN)),
            &format!("{value}A"),
            &"ä".repeat(54),
        ] {
            assert_eq!(seal.open(made_up), None, "{made_up}");
        }
    }
}
