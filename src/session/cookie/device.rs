//! The cookie of known devices: which users have signed in with a browser.
//!
//! ```text
//! base64url(salt, tag of a user, …) . base64url(HMAC-SHA-256(kind, name, the same bytes))
//! ```
//!
//! A tag is a keyed hash of the salt and the user, so the cookie names no one, and two browsers of one
//! user have nothing in common.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::Mac;
use rocket::http::Cookie;

use super::keys::{Key, SessionKeys};
use super::policy::CookiePolicy;
use crate::store::UserId;

/// Distinguishes signatures of these cookies, and tags, from those of other texts.
const PURPOSE: &[u8] = b"known devices\0";
const TAG_PURPOSE: &[u8] = b"known device's user\0";

const SALT_LEN: usize = 16;
const TAG_LEN: usize = 12;

/// Maximum number of users that a browser is known to. The one who signed in longest ago is forgotten
/// first.
const MAX_USERS: usize = 16;

/// Maximum length of a cookie's value.
const MAX_VALUE: usize = (SALT_LEN + MAX_USERS * TAG_LEN).div_ceil(3) * 4 + 1 + 43;

/// How long a browser is known after its last sign-in. Browsers keep no cookie for longer.
const KNOWN_FOR: TimeDelta = TimeDelta::days(400);

/// The users that a browser is known to, newest first.
struct Known {
    salt: [u8; SALT_LEN],
    tags: Vec<[u8; TAG_LEN]>,
}

/// Reads and makes the cookies of known devices for one kind of session.
pub(crate) struct Devices {
    cookie: CookiePolicy,
    /// One key per secret for the signature.
    keys: Vec<Key>,
    /// One key per secret for the tags.
    tag_keys: Vec<Key>,
}

impl Devices {
    /// Creates them beside the session cookie of a kind of session.
    pub(crate) fn new(keys: &SessionKeys, kind: &str, session_cookie: &CookiePolicy) -> Self {
        let cookie = session_cookie.followed_by("-device");
        let of = |purpose: &[u8]| {
            let name = cookie.name().as_bytes();
            keys.followed_by(&[purpose, kind.as_bytes(), b"\0", name, b"\0"].concat())
        };
        let (keys, tag_keys) = (of(PURPOSE), of(TAG_PURPOSE));
        Self {
            cookie,
            keys,
            tag_keys,
        }
    }

    /// Returns the name of the cookie.
    pub(crate) fn cookie_name(&self) -> &str {
        self.cookie.name()
    }

    /// Returns the value that a request brings, if any.
    pub(crate) fn value<'h>(&self, headers: impl Iterator<Item = &'h str>) -> Option<&'h str> {
        let mut values = self.cookie.candidates(headers);
        values.find(|value| self.open(value).is_some())
    }

    /// Returns whether the user has signed in with the browser that brings this value.
    pub(crate) fn knows(&self, value: Option<&str>, user: &UserId) -> bool {
        let Some(known) = value.and_then(|value| self.open(value)) else {
            return false;
        };
        let mut tags = self.tag_keys.iter().map(|key| tag(key, &known.salt, user));
        tags.any(|tag| known.tags.contains(&tag))
    }

    /// Returns the cookie for a browser with which the user has just signed in. Returns `None` if
    /// the system has no random numbers.
    pub(crate) fn renewed(
        &self,
        value: Option<&str>,
        user: &UserId,
        now: DateTime<Utc>,
    ) -> Option<Cookie<'static>> {
        let mut known = if let Some(known) = value.and_then(|value| self.open(value)) {
            known
        } else {
            let mut salt = [0; SALT_LEN];
            getrandom::fill(&mut salt).ok()?;
            let tags = Vec::new();
            Known { salt, tags }
        };
        let own = self.tag_keys.iter().map(|key| tag(key, &known.salt, user));
        let own: Vec<_> = own.collect();
        known.tags.retain(|tag| !own.contains(tag));
        known.tags.insert(0, *own.first()?);
        known.tags.truncate(MAX_USERS);
        let mut bytes = known.salt.to_vec();
        known.tags.iter().for_each(|tag| bytes.extend(tag));
        let mut value = URL_SAFE_NO_PAD.encode(&bytes);
        let signature = self.keys.first()?.clone().chain_update(&bytes).finalize();
        value.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.into_bytes(), &mut value);
        Some(self.cookie.issue(value, now + KNOWN_FOR, now, false))
    }

    /// Returns the content of a value that any of the secrets signed.
    fn open(&self, value: &str) -> Option<Known> {
        let (payload, signature) = value.split_once('.')?;
        if value.len() > MAX_VALUE {
            return None;
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let is_by = |key: &Key| {
            let signed = key.clone().chain_update(&payload);
            signed.verify_slice(&signature).is_ok()
        };
        if !self.keys.iter().any(is_by) {
            return None;
        }
        let (salt, tags) = payload.split_first_chunk()?;
        let (tags, []) = tags.as_chunks() else {
            return None;
        };
        Some(Known {
            salt: *salt,
            tags: tags.to_vec(),
        })
    }
}

fn tag(key: &Key, salt: &[u8], user: &UserId) -> [u8; TAG_LEN] {
    let hash = key.clone().chain_update(salt).chain_update(user.as_str());
    let hash = hash.finalize().into_bytes();
    std::array::from_fn(|place| hash[place])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::cookie::policy::CookieConfig;

    fn devices(secrets: &str, kind: &str) -> Devices {
        let cookie = CookiePolicy::new(&CookieConfig::default(), false).unwrap();
        Devices::new(&SessionKeys::parse(secrets).unwrap(), kind, &cookie)
    }

    const A: &str = "a secret of more than thirty-two bytes";
    const B: &str = "another secret of more than thirty-two bytes";

    fn renewed(devices: &Devices, value: Option<&str>, user: &str) -> String {
        let cookie = devices.renewed(value, &user.into(), Utc::now()).unwrap();
        cookie.value().to_owned()
    }

    #[test]
    fn a_browser_is_known_to_the_users_who_signed_in_with_it_last() {
        let devices = devices(A, "");
        assert!(!devices.knows(None, &"ada".into()));
        let mut value = renewed(&devices, None, "ada");
        value = renewed(&devices, Some(&value), "bob");
        value = renewed(&devices, Some(&value), "ada");
        for (user, is_known) in [("ada", true), ("bob", true), ("chidi", false)] {
            assert_eq!(
                devices.knows(Some(&value), &user.into()),
                is_known,
                "{user}"
            );
        }
        assert!(!value.contains("ada"));
        for number in 0..MAX_USERS - 1 {
            value = renewed(&devices, Some(&value), &format!("user {number}"));
        }
        assert!(value.len() <= MAX_VALUE, "{}", value.len());
        assert!(
            devices.knows(Some(&value), &"ada".into()),
            "the last but 15"
        );
        assert!(!devices.knows(Some(&value), &"bob".into()));
    }

    #[test]
    fn i7_a_value_of_another_secret_kind_or_browser_is_nothing() {
        let own = devices(A, "");
        let value = renewed(&own, None, "ada");
        assert!(devices(&format!("{B},{A}"), "").knows(Some(&value), &"ada".into()));
        assert!(!devices(B, "").knows(Some(&value), &"ada".into()));
        assert!(!devices(A, "staff").knows(Some(&value), &"ada".into()));
        for changed in [
            "",
            ".",
            &value[1..],
            &format!("{value}A"),
            &"A".repeat(9000),
        ] {
            assert!(!own.knows(Some(changed), &"ada".into()), "{changed}");
        }
        let other = renewed(&own, None, "ada");
        assert_ne!(other.split('.').next(), value.split('.').next());
    }

    #[test]
    fn the_cookie_has_the_attributes_of_the_session_cookie() {
        let cookie = devices(A, "")
            .renewed(None, &"ada".into(), Utc::now())
            .unwrap();
        assert_eq!(cookie.name(), "__Host-session-device");
        assert_eq!(
            (cookie.http_only(), cookie.secure()),
            (Some(true), Some(true))
        );
        assert_eq!(cookie.max_age().unwrap().whole_days(), 400);
    }
}
