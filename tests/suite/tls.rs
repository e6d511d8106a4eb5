//! TLS to PostgreSQL, with root certificates of the system.

use std::path::Path;
use std::process::Command;

use crate::start::{assert_refused, release};
use crate::support::server::run_to_end;
use crate::support::{Cluster, Database};

/// Runs `openssl` in `folder`; `None` where there is no such program.
fn openssl(folder: &Path, arguments: &str) -> Option<()> {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(folder);
    let output = command.output().ok()?;
    assert!(output.status.success(), "{output:?}");
    Some(())
}

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

#[test]
fn the_systems_root_certificates_are_found() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        eprintln!("openssl is not installed: this test is skipped");
        return;
    }
    let path = |file: &str| folder.path().join(file).display().to_string();
    let options = format!(
        "-c ssl=on -c ssl_cert_file={} -c ssl_key_file={}",
        path("server.pem"),
        path("server.key")
    );
    let Some(cluster) = Cluster::start_with(&options) else {
        return;
    };
    let database = Database::on(cluster.url());
    let migrate = |parameters: &str, environment: &[(&str, &str)]| {
        let mut command = release(database.folder());
        let url = format!("{}?{parameters}", database.direct_url());
        command
            .arg("migrate")
            .env("DATABASE_URL", url)
            .envs(environment.iter().copied());
        command
    };
    let ours = [("SSL_CERT_FILE", &*path("root.pem"))];
    for parameters in [
        "sslrootcert=system",
        "sslrootcert=system&sslmode=verify-full",
    ] {
        let output = run_to_end(migrate(parameters, &ours));
        assert!(output.status.success(), "{output:?}");
    }
    let by_variable = [ours[0], ("PGSSLROOTCERT", "system")];
    assert!(run_to_end(migrate("", &by_variable)).status.success());
    // The system's own do not have ours, and are found.
    assert_refused(
        migrate("sslrootcert=system", &[]),
        &["certificate verify failed"],
    );
    assert_refused(
        migrate("sslrootcert=system&sslmode=require", &ours),
        &["verify-full"],
    );
    let file = "sslmode=verify-full&sslrootcert=/no/such/file";
    assert_refused(migrate(file, &[]), &["/no/such/file"]);
    let missing = [("SSL_CERT_FILE", "/no/such/file")];
    assert_refused(migrate("sslrootcert=system", &missing), &["SSL_CERT_FILE"]);
}
