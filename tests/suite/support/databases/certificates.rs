//! Certificates for tests of TLS.

use std::path::Path;
use std::process::Command;

/// Creates a root certificate and a certificate signed by it for 127.0.0.1. Returns `None` if
/// openssl is missing.
pub(crate) fn certificates(folder: &Path) -> Option<()> {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        folder,
        &format!("req -x509 {key} -keyout root.key -out root.pem -subj /CN=root"),
    )?;
    openssl(
        folder,
        &format!("req {key} -keyout server.key -out server.csr -subj /CN=server"),
    )?;
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    openssl(
        folder,
        "x509 -req -in server.csr -CA root.pem -CAkey root.key -CAcreateserial -extfile names \
         -out server.pem",
    )?;
    // If the tests run as root, PostgreSQL runs as its own user and must own its key.
    let _ = Command::new("chown")
        .arg("-R")
        .arg("postgres")
        .arg(folder)
        .status();
    Some(())
}

/// Runs `openssl` in `folder`. Returns `None` if the program is missing.
fn openssl(folder: &Path, arguments: &str) -> Option<()> {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(folder);
    let output = command.output().ok()?;
    assert!(output.status.success(), "{output:?}");
    Some(())
}
