//! Certificates for tests of TLS.

use std::path::Path;
use std::process::Command;

/// A root, and a certificate of it for 127.0.0.1; `None` where there is no openssl.
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
    // PostgreSQL runs as a user of its own where the tests run as root, and wants to own its key.
    let _ = Command::new("chown")
        .arg("-R")
        .arg("postgres")
        .arg(folder)
        .status();
    Some(())
}

/// Runs `openssl` in `folder`; `None` where there is no such program.
fn openssl(folder: &Path, arguments: &str) -> Option<()> {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(folder);
    let output = command.output().ok()?;
    assert!(output.status.success(), "{output:?}");
    Some(())
}
