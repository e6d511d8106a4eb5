//! Support for `sslrootcert=system`: the root certificates of the operating system.
//!
//! An OpenSSL built from source looks for them in its own installation directory, which does not
//! exist. libpq is therefore given the system's file.

use super::settings::{Environment, Settings};

/// Replaces `system` by the system's file. The requirement of `system` is kept: the certificate
/// must match the server's name.
#[cfg(feature = "bundled")]
pub(super) fn trust_the_systems(
    settings: &mut Settings<'_>,
    environment: &Environment<'_>,
) -> Result<(), String> {
    use super::settings::Found;

    if settings.find("sslrootcert") != Found::Value("system".to_owned()) {
        return Ok(());
    }
    match settings.find("sslmode") {
        Found::Value(mode) if mode == "verify-full" => {}
        Found::Value(mode) => {
            return Err(format!(
                "sslrootcert=system requires sslmode=verify-full, not {mode:?}: anyone can get a \
                 certificate signed by some root"
            ));
        }
        Found::Nothing | Found::Unknown => settings.set("sslmode", "verify-full"),
    }
    if let Some(file) = file(environment)? {
        settings.set("sslrootcert", &file);
    }
    Ok(())
}

/// Does nothing, because the system's own OpenSSL finds the certificates.
#[cfg(not(feature = "bundled"))]
#[expect(clippy::unnecessary_wraps, reason = "a bundled OpenSSL may find none")]
pub(super) fn trust_the_systems(
    _settings: &mut Settings<'_>,
    _environment: &Environment<'_>,
) -> Result<(), String> {
    Ok(())
}

/// Returns the file of root certificates, or `None` if OpenSSL finds a directory of them itself.
#[cfg(feature = "bundled")]
fn file(environment: &Environment<'_>) -> Result<Option<String>, String> {
    let exists = |path: &String| std::path::Path::new(path).exists();
    if let Some(file) = environment("SSL_CERT_FILE") {
        return if exists(&file) {
            Ok(Some(file))
        } else {
            Err(format!(
                "SSL_CERT_FILE names a file that does not exist: {file:?}"
            ))
        };
    }
    if environment("SSL_CERT_DIR").as_ref().is_some_and(exists) {
        return Ok(None);
    }
    let found = openssl_probe::probe().cert_file;
    let file = found.and_then(|path| path.into_os_string().into_string().ok());
    file.map(Some).ok_or_else(|| {
        "sslrootcert=system, but this system has no file of root certificates (install \
         ca-certificates, or name one with SSL_CERT_FILE or sslrootcert)"
            .to_owned()
    })
}

#[cfg(all(test, feature = "bundled"))]
mod tests {
    use super::*;

    fn asked_for(url: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| {
            let own = variables.iter().find(|(own, _)| *own == name);
            own.map(|(_, value)| (*value).to_owned())
        };
        let mut settings = Settings::of(url, &variable);
        trust_the_systems(&mut settings, &variable)?;
        Ok(settings.into_url())
    }

    #[test]
    fn ssl_cert_file_replaces_the_systems_certificates() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let environment = [("SSL_CERT_FILE", file)];
        let own = asked_for("postgres://h/d?sslrootcert=system", &environment).unwrap();
        let expected = format!("postgres://h/d?sslrootcert={file}&sslmode=verify-full");
        assert_eq!(own, expected);
        let by_variable = [environment[0], ("PGSSLROOTCERT", "system")];
        let own = asked_for("postgres://h/d?sslmode=verify-full", &by_variable).unwrap();
        let expected = format!("postgres://h/d?sslmode=verify-full&sslrootcert={file}");
        assert_eq!(own, expected);
        let folder = [("SSL_CERT_DIR", env!("CARGO_MANIFEST_DIR"))];
        let own = asked_for("postgres://h/d?sslrootcert=system", &folder).unwrap();
        assert!(
            own.contains("sslrootcert=system&sslmode=verify-full"),
            "{own}"
        );
        let other = "postgres://h/d?sslrootcert=x&sslmode=require";
        assert_eq!(asked_for(other, &[]).unwrap(), other);
    }

    #[test]
    fn i12_unusable_system_certificates_are_refused_by_name() {
        let weak = asked_for("postgres://h/d?sslrootcert=system&sslmode=require", &[]);
        assert!(weak.unwrap_err().contains("verify-full"));
        let weak = [("PGSSLMODE", "prefer")];
        let weak = asked_for("postgres://h/d?sslrootcert=system", &weak);
        assert!(weak.unwrap_err().contains("verify-full"));
        let missing = [("SSL_CERT_FILE", "/no/such/file")];
        let missing = asked_for("postgres://h/d?sslrootcert=system", &missing);
        assert!(missing.unwrap_err().contains("SSL_CERT_FILE"));
    }
}
