//! The signed cookies of express-session.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The secrets of Express. All of them verify, as in its option `secret`.
pub(crate) struct Secrets(Vec<Hmac<Sha256>>);

impl Secrets {
    pub(crate) fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let keys = secrets.into_iter().map(str::as_bytes);
        // HMAC takes keys of any length.
        Self(
            keys.filter_map(|key| Hmac::new_from_slice(key).ok())
                .collect(),
        )
    }

    /// Returns the id of the session in a cookie's decoded value: `s:`, the id, `.`, and the
    /// HMAC-SHA-256 of the id in base64 without padding. Compares in constant time.
    pub(crate) fn verify<'v>(&self, value: &'v str) -> Option<&'v str> {
        let (sid, signature) = value.strip_prefix("s:")?.rsplit_once('.')?;
        let signature = STANDARD_NO_PAD.decode(signature).ok()?;
        let is_signed = |key: &Hmac<Sha256>| {
            let mac = key.clone().chain_update(sid);
            mac.verify_slice(&signature).is_ok()
        };
        self.0.iter().any(is_signed).then_some(sid)
    }
}

#[cfg(test)]
mod tests {
    use super::Secrets;

    // Made by express-session 1.19.0 with the secret "keyboard cat".
    const COOKIE: &str =
        "s:k8gW2V0uXwq4m1nHqZ0b7aR3yT5cE9fJ.1NCWEnakqhh6qx31aSBMpY+43ehiBY/VgCn8AxH4F8A";

    #[test]
    fn a_cookie_is_accepted_with_any_of_the_secrets() {
        let secrets = Secrets::new(["new", "keyboard cat"]);
        assert_eq!(
            secrets.verify(COOKIE),
            Some("k8gW2V0uXwq4m1nHqZ0b7aR3yT5cE9fJ")
        );
        assert_eq!(Secrets::new(["new"]).verify(COOKIE), None);
    }

    #[test]
    fn i7_a_cookie_that_was_changed_is_refused() {
        let secrets = Secrets::new(["keyboard cat"]);
        for at in 0..COOKIE.len() {
            let (before, after) = COOKIE.split_at(at);
            let changed = format!(
                "{before}{}{}",
                if after.starts_with('A') { 'B' } else { 'A' },
                &after[1..]
            );
            assert_eq!(secrets.verify(&changed), None, "{changed}");
            assert_eq!(secrets.verify(before), None, "{before}");
        }
    }
}
