//! The signing secrets. The first signs cookies; all of them verify.

use std::fmt;
use std::io::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Cause;
use crate::session::error::{ConfigError, SetupError};

/// Minimum length of a secret in bytes: the output size of HMAC-SHA-256 (RFC 2104, section 3).
const MIN_SECRET_LEN: usize = 32;

/// A secret as the key of a signature.
pub(super) type Key = Hmac<Sha256>;

/// The environment variable that holds the secrets.
pub(crate) const SESSION_SECRET: &str = "SESSION_SECRET";

/// The file in which the debug profile keeps the secret that it generated.
const SECRET_FILE: &str = ".session-secret";

/// The signing secrets, in the order of `SESSION_SECRET`. `Debug` shows only how many there are.
///
/// To rotate the secret without ending any session, put the new one first and remove the old one
/// after `absolute_timeout` has passed.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::SessionKeys;
///
/// let secret = SessionKeys::generate_secret().unwrap();
/// let keys = SessionKeys::parse(&secret).unwrap();
/// assert!(SessionKeys::parse("too short").is_err());
/// # let _ = keys;
/// ```
#[derive(Clone)]
pub struct SessionKeys(Vec<Key>);

impl SessionKeys {
    /// Reads a comma-separated list of secrets of at least 32 bytes each. Spaces around them are
    /// ignored.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::SessionKeys;
    ///
    /// let (new, old) = ["new", "old"].map(|name| format!("the {name} secret of thirty-two bytes")).into();
    /// let keys = SessionKeys::parse(&format!("{new}, {old}")).unwrap();
    /// assert!(keys.verify_text("mail:ada", &SessionKeys::parse(&old).unwrap().sign_text("mail:ada")));
    /// ```
    ///
    /// # Errors
    /// Fails if the list is empty or a secret is too short. The error gives the secret's position,
    /// never its text.
    pub fn parse(list: &str) -> Result<Self, ConfigError> {
        let mut keys = Vec::new();
        for (index, secret) in list.split(',').map(str::trim).enumerate() {
            if secret.len() < MIN_SECRET_LEN {
                return Err(ConfigError::unfit(
                    SESSION_SECRET,
                    format_args!(
                        "secret {} has {} bytes; each secret must have at least {MIN_SECRET_LEN} \
                         bytes, such as `openssl rand -base64 48` prints",
                        index + 1,
                        secret.len()
                    ),
                ));
            }
            let key = Hmac::new_from_slice(secret.as_bytes()).map_err(|error| {
                ConfigError::unfit(
                    SESSION_SECRET,
                    format_args!("secret {}: {error}", index + 1),
                )
            })?;
            keys.push(key);
        }
        Ok(Self(keys))
    }

    /// Generates a secret: 48 random bytes in base64url, which are 64 characters.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::SessionKeys;
    ///
    /// let secret = SessionKeys::generate_secret().unwrap();
    /// assert_eq!(secret.len(), 64);
    /// ```
    ///
    /// # Errors
    /// Fails if the system's random number generator fails.
    pub fn generate_secret() -> Result<String, SetupError> {
        let mut bytes = [0; 48];
        getrandom::fill(&mut bytes).map_err(|error| SetupError::Random(Cause::new(error)))?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads the keys from `SESSION_SECRET`. If it is not set, the debug profile uses the secret in
    /// the file `.session-secret` and creates that file (mode 0600) at the first start.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use rocket_diesel_sessions::SessionKeys;
    ///
    /// # fn main() -> Result<(), rocket_diesel_sessions::SetupError> {
    /// let keys = SessionKeys::from_env(cfg!(debug_assertions))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Fails if the secret is unfit, if it is missing outside the debug profile, or if the file
    /// cannot be used.
    pub fn from_env(debug: bool) -> Result<Self, SetupError> {
        match std::env::var(SESSION_SECRET) {
            Ok(list) if !list.trim().is_empty() => Ok(Self::parse(&list)?),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(ConfigError::unfit(SESSION_SECRET, "must be UTF-8").into())
            }
            _ if debug => Self::from_file(Path::new(SECRET_FILE)),
            _ => Err(ConfigError::unfit(
                SESSION_SECRET,
                format_args!(
                    "is not set; outside the debug profile it must hold a secret of at least \
                     {MIN_SECRET_LEN} bytes, such as `openssl rand -base64 48` prints"
                ),
            )
            .into()),
        }
    }

    /// Returns the keys that [`from_env`](Self::from_env) would use, without creating the file. If
    /// it is missing, the keys are random and stored nowhere.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use rocket_diesel_sessions::SessionKeys;
    ///
    /// // For a command that checks the settings:
    /// match SessionKeys::inspect(false) {
    ///     Ok(_) => println!("SESSION_SECRET can be used"),
    ///     Err(error) => println!("{error}"),
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails as `from_env` does.
    pub fn inspect(debug: bool) -> Result<Self, SetupError> {
        let is_set = std::env::var_os(SESSION_SECRET)
            .is_some_and(|list| list.to_str().is_none_or(|list| !list.trim().is_empty()));
        if !debug || is_set || Path::new(SECRET_FILE).exists() {
            return Self::from_env(debug);
        }
        Ok(Self::parse(&Self::generate_secret()?)?)
    }

    /// Reads the secret in `path`. Creates the file first if it is missing.
    fn from_file(path: &Path) -> Result<Self, SetupError> {
        let failed = |source| SetupError::SecretFile {
            path: path.to_owned(),
            source,
        };
        if !path.exists() {
            create_secret_file(path, &Self::generate_secret()?).map_err(failed)?;
        }
        let secret = std::fs::read_to_string(path).map_err(failed)?;
        Ok(Self::parse(secret.trim())?)
    }

    /// Signs a text of the application and returns the signature in base64url. Begin the text with
    /// its purpose, so that it cannot be taken for a token or for a text with another purpose.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::SessionKeys;
    ///
    /// let keys = SessionKeys::parse("a secret of at least thirty-two bytes").unwrap();
    /// let signature = keys.sign_text("unsubscribe:ada");
    /// assert!(keys.verify_text("unsubscribe:ada", &signature));
    /// assert!(!keys.verify_text("unsubscribe:eve", &signature));
    /// ```
    pub fn sign_text(&self, text: &str) -> String {
        let sign = |key: &Key| {
            let signature = key.clone().chain_update(text).finalize().into_bytes();
            URL_SAFE_NO_PAD.encode(signature)
        };
        self.0.first().map(sign).unwrap_or_default()
    }

    /// Returns whether one of the secrets signed this text.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::SessionKeys;
    ///
    /// let keys = SessionKeys::parse("a secret of at least thirty-two bytes").unwrap();
    /// assert!(!keys.verify_text("unsubscribe:ada", "a guess"));
    /// ```
    pub fn verify_text(&self, text: &str, signature: &str) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
            return false;
        };
        let signed = |key: &Key| key.clone().chain_update(text).verify_slice(&signature);
        self.0.iter().any(|key| signed(key).is_ok())
    }

    /// Returns each key with `context` hashed already, so that only what follows has to be.
    pub(super) fn followed_by(&self, context: &[u8]) -> Vec<Key> {
        let keys = self.0.iter().cloned();
        keys.map(|key| key.chain_update(context)).collect()
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKeys({} secrets)", self.0.len())
    }
}

/// Creates the file atomically. Of several processes that start together, one wins, and the others
/// read the secret that it wrote.
fn create_secret_file(path: &Path, secret: &str) -> std::io::Result<()> {
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "a secret of more than thirty-two bytes";
    const B: &str = "another secret of more than thirty-two bytes";

    fn keys(list: &str) -> SessionKeys {
        SessionKeys::parse(list).unwrap()
    }

    #[test]
    fn a_short_secret_is_refused_by_position_and_never_shown() {
        let error = SessionKeys::parse(&format!("{A},hunter2")).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("SESSION_SECRET") && message.contains("secret 2"),
            "{message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
        assert!(SessionKeys::parse("").is_err());
        assert!(SessionKeys::parse(&format!("{A},")).is_err());
    }

    #[test]
    fn i8_debug_shows_no_secret() {
        assert_eq!(
            format!("{:?}", keys(&format!("{A},{B}"))),
            "SessionKeys(2 secrets)"
        );
    }

    #[test]
    fn the_debug_secret_is_created_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SECRET_FILE);
        let signature = SessionKeys::from_file(&path).unwrap().sign_text("test");
        let again = SessionKeys::from_file(&path).unwrap();
        assert!(again.verify_text("test", &signature));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
