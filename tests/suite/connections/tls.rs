//! TLS to PostgreSQL with the system's root certificates.

use crate::support::certificates::certificates;
use crate::support::server::run_to_end;
use crate::support::start::{assert_refused, release};
use crate::support::{Cluster, Database};

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
    // The system's own file lacks our root, but is found.
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
