//! Passwords: which ones are accepted, their Argon2id hashes, and the limits on guessing them.

mod places;
pub(super) mod recognition;
pub(super) mod throttle;

use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use passwords::analyzer::is_common_password;
use rocket::tokio::task::spawn_blocking;
use rocket::tokio::time::timeout;
use rocket_diesel_sessions::SessionError;

use super::error::AccountError;
use super::refusal::{Length, Refusal};
use super::username;
use places::Places;

pub(super) use places::Urgency;

/// The length of a password in characters (Unicode code points), counted as typed
/// (OWASP ASVS 5.0, 6.2.1 and 6.2.9).
pub(crate) const MIN: usize = 8;
pub(crate) const MAX: usize = 128;

/// A password that may be chosen: long enough and not a common one. It may have any characters, and
/// none is changed (OWASP ASVS 5.0, 6.2.5 and 6.2.8).
pub(crate) struct NewPassword(String);

impl NewPassword {
    /// Accepts a password.
    ///
    /// # Errors
    /// A refusal that says what is wrong with the password.
    pub(crate) fn new(password: &str) -> Result<Self, Refusal> {
        let length = password.chars().count();
        if !(MIN..=MAX).contains(&length) {
            return Err(Refusal::length("password", Length::Is(length), (MIN, MAX)));
        }
        // The list has far more than the 3,000 that ASVS 6.2.4 asks for.
        if is_common_password(password) || is_common_password(password.to_lowercase()) {
            return Err(Refusal::new(
                "password: is one of the most common passwords, which attackers try first; choose \
                 another",
                "This password is one of the most common ones, which attackers try first. Choose \
                 another.",
            ));
        }
        Ok(Self(password.to_owned()))
    }

    /// Hashes the password, as a PHC string. Takes long, by design.
    pub(crate) fn hash(&self) -> Result<String, String> {
        hash(&self.0)
    }
}

/// Refuses the username as a password, since attackers try that first.
pub(super) fn refuse_username(username: &str, password: &str) -> Result<(), Refusal> {
    let folded = username::fold(password);
    if password.trim().to_lowercase() == username || folded.is_ok_and(|name| name == username) {
        return Err(Refusal::new(
            "password: must not be the username",
            "Your password can't be your username. Choose another.",
        ));
    }
    Ok(())
}

/// Makes and verifies hashes, a bounded number at a time, on threads that may block.
///
/// Uses Argon2id with the crate's default parameters, which are those of OWASP's Password Storage
/// Cheat Sheet: 19 MiB, 2 passes, 1 lane.
pub(crate) struct Hasher {
    places: Places,
    timeout: Duration,
    /// The hash to verify against where there is no user, so that it takes as long.
    stand_in: String,
}

impl Hasher {
    /// Hashes at most `at_once` passwords at a time, each of which waits for at most `timeout`.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(crate) fn new(at_once: u32, timeout: Duration) -> Result<Self, String> {
        Ok(Self {
            places: Places::new(at_once as usize),
            timeout,
            stand_in: hash("a password that no one has")?,
        })
    }

    /// Hashes a new password, as a PHC string.
    ///
    /// # Errors
    /// When no place is free in time, or the system gives no random bytes.
    pub(crate) async fn hash(
        &self,
        password: NewPassword,
        urgency: Urgency,
    ) -> Result<String, AccountError> {
        let hashed = self.run(urgency, move || password.hash()).await?;
        hashed.map_err(|error| {
            tracing::error!("a password cannot be hashed: {error}");
            AccountError::Hash(error)
        })
    }

    /// Returns whether the password matches the hash. Takes as long where there is no hash.
    ///
    /// # Errors
    /// When no place is free in time.
    pub(crate) async fn verify(
        &self,
        password: &str,
        hash: Option<&str>,
        urgency: Urgency,
    ) -> Result<bool, AccountError> {
        let (password, exists) = (password.to_owned(), hash.is_some());
        let hash = hash.unwrap_or(&self.stand_in).to_owned();
        let verified = self.run(urgency, move || verify(&password, &hash));
        Ok(verified.await? && exists)
    }

    /// Waits for a place and runs the job there, on a thread that may block. The place stays taken
    /// until the job is done, even if the caller leaves.
    async fn run<T: Send + 'static>(
        &self,
        urgency: Urgency,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AccountError> {
        let place = timeout(self.timeout, self.places.take(urgency)).await;
        let place = place.map_err(|_| SessionError::Overloaded)?;
        let done = spawn_blocking(move || {
            let _place = place;
            job()
        });
        done.await.map_err(|_| SessionError::Aborted.into())
    }
}

fn hash(password: &str) -> Result<String, String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash: PasswordHash| hash.to_string())
        .map_err(|error| error.to_string())
}

fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_in_characters_and_common_passwords_are_refused() {
        let refused = |password: &str| {
            let refused = NewPassword::new(password).err();
            refused.map_or_else(String::new, |refusal| refusal.to_string())
        };
        assert!(refused("").contains("8 to 128"));
        assert!(refused("7 chars").contains("has 7 characters"));
        assert!(refused(&"x".repeat(129)).contains("has 129 characters"));
        for common in [
            "password",
            "12345678",
            "PASSWORD",
            "Password1",
            "qwertyuiop",
            "1234567890",
        ] {
            assert!(refused(common).contains("common"), "{common}");
        }
        for good in [
            "👋🏽👋🏽👋🏽👋🏽",
            "correct horse battery staple",
            " 8 blank ",
            "'; DROP TABLE users; --",
        ] {
            assert_eq!(refused(good), "", "{good}");
        }
        assert_eq!(refused(&"👋".repeat(128)), "");
    }

    #[test]
    fn a_hash_is_argon2id_with_owasps_parameters_and_fits_only_its_password() {
        let made = hash("sesame, open").unwrap();
        assert!(
            made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{made}"
        );
        assert_ne!(made, hash("sesame, open").unwrap());
        assert!(verify("sesame, open", &made));
        assert!(!verify("sesame, open ", &made));
        assert!(!verify("", ""));
    }
}
