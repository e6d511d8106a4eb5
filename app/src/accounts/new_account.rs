//! Accounts for the command line, which has no request. Usernames and passwords obey the rules of
//! the forms.

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::store::UserRecord;

use super::error::AccountError;
use super::passwords::NewPassword;
use super::username;

/// Returns the form of a username that is stored and compared. It is the same for all ways to write
/// the name.
///
/// # Errors
/// When the name is not allowed.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions_app::accounts::new_account::fold_username;
///
/// assert_eq!(fold_username("Ada").unwrap(), "ada");
/// assert!(fold_username("a b c").unwrap_err().to_string().starts_with("username:"));
/// ```
pub fn fold_username(name: &str) -> Result<String, AccountError> {
    Ok(username::fold(name)?)
}

/// Hashes a new password with Argon2id, as a PHC string. Blocks for long, by design.
///
/// # Errors
/// When the password is not allowed, or the system gives no random bytes.
pub fn hash_password(password: &str) -> Result<String, AccountError> {
    let password = NewPassword::new(password)?;
    password.hash().map_err(AccountError::Hash)
}

/// Returns a new user with a folded name, who is not an administrator.
pub fn new_user(username: String, password_hash: String, now: DateTime<Utc>) -> UserRecord {
    let mut user = UserRecord::new(cuid2::create_id(), username, now);
    user.password_hash = password_hash;
    user
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_hashed_if_it_is_allowed() {
        let hash = hash_password("sesame, open").unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        for (password, reason) in [("7 chars", "8 to 128"), ("password", "common")] {
            let refusal = hash_password(password).unwrap_err();
            assert!(matches!(refusal, AccountError::Refused(_)));
            assert!(refusal.to_string().contains(reason), "{refusal}");
        }
    }
}
