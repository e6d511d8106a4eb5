//! I12: a start that waiting cannot help is refused at once, with the reason.

use crate::support::fake_postgres::{self, Behaviour};
use crate::support::server::run_to_end;
use crate::support::start::{folder, refusal, release};
use crate::support::{Cluster, Database, Kind};

/// Returns the message of a start that is refused without waiting. `environment` sets environment
/// variables.
fn refused_at_once(url: &str, environment: &[(&str, &str)]) -> String {
    let folder = folder();
    let mut command = release(folder.path());
    command
        .arg("migrate")
        .env("DATABASE_URL", url)
        .envs(environment.iter().copied());
    let message = refusal(&run_to_end(command));
    for word in ["waiting for", "waited"] {
        assert!(!message.contains(word), "{url}: {message}");
    }
    message
}

#[test]
fn i12_parameters_that_libpq_refuses_are_named_at_once() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    for (parameter, word) in [
        ("schema=public", "schema"),
        ("pgbouncer=true", "pgbouncer"),
        ("sslmod=require", "sslmod"),
        ("sslmode=reqire", "reqire"),
        ("sslmode=no-verify", "no-verify"),
        ("sslmode=require", "SSL"),
        ("sslrootcert=system&sslmode=require", "verify-full"),
        ("target_session_attrs=rw", "target_session_attrs"),
        ("connect_timeout=abc", "connect_timeout"),
        ("port=abc", "65535"),
        ("gssencmode=x", "gssencmode"),
        ("hostaddr=x", "network address"),
        ("service=none-of-that-name", "none-of-that-name"),
        ("options=-cno_such_setting%3D1", "no_such_setting"),
        ("user=nobody-of-that-name", "does not exist"),
        ("dbname=no-such-database", "does not exist"),
        ("host=/no/such/folder", "No such file"),
    ] {
        let message = refused_at_once(&format!("{}?{parameter}", database.direct_url()), &[]);
        assert!(message.contains(word), "{parameter}: {message}");
    }
    for (variable, value, word) in [
        ("PGSSLMODE", "reqire", "reqire"),
        ("PGCONNECT_TIMEOUT", "soon", "soon"),
        ("PGSERVICE", "none-of-that-name", "none-of-that-name"),
    ] {
        let message = refused_at_once(database.direct_url(), &[(variable, value)]);
        assert!(message.contains(word), "{variable}: {message}");
    }
}

#[test]
fn i12_a_refusal_by_the_server_is_reported_at_once() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let name = database.name();
    for sql in [
        format!("CREATE ROLE {name}_in NOLOGIN; CREATE ROLE {name}_out LOGIN"),
        format!("CREATE DATABASE {name}_shut ALLOW_CONNECTIONS false"),
        format!("CREATE DATABASE {name}_private"),
        format!("REVOKE CONNECT ON DATABASE {name}_private FROM public"),
    ] {
        database.execute_on_server(&sql);
    }
    let server = database.direct_url().rsplit_once('/').unwrap().0;
    let as_role = |role: &str, of: &str| {
        let server = server.replace("postgres@", &format!("{role}@"));
        format!("{server}/{name}{of}")
    };
    for (url, word) in [
        (
            as_role(&format!("{name}_in"), ""),
            "not permitted to log in",
        ),
        (
            as_role(&format!("{name}_out"), "_private"),
            "permission denied",
        ),
        (as_role("postgres", "_shut"), "not currently accepting"),
    ] {
        let message = refused_at_once(&url, &[]);
        assert!(message.contains(word), "{url}: {message}");
    }
}

#[test]
fn i12_pg_hba_and_wrong_passwords_refuse_at_once() {
    let folder = folder();
    let rules = folder.path().join("pg_hba.conf");
    let text = "local all all trust\nhost all postgres all trust\nhost all locked all reject\n\
                host all secret all scram-sha-256\n";
    std::fs::write(&rules, text).unwrap();
    open_to_all(folder.path());
    let Some(cluster) = Cluster::start_with(&format!("-c hba_file={}", rules.display())) else {
        return;
    };
    let database = Database::on(cluster.url());
    database.execute("CREATE ROLE locked LOGIN; CREATE ROLE secret LOGIN PASSWORD 'right'");
    for (role, word) in [
        ("locked", "pg_hba.conf rejects"),
        ("secret:hunter2", "authentication failed"),
        ("secret", "password"),
        ("other", "pg_hba.conf"),
    ] {
        let url = database
            .direct_url()
            .replace("postgres@", &format!("{role}@"));
        let message = refused_at_once(&url, &[]);
        assert!(message.contains(word), "{role}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

/// Makes a directory readable for PostgreSQL, which runs as its own user.
fn open_to_all(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn i12_a_refusal_in_another_language_is_tried_twice() {
    let wrong = "Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen";
    let url = fake_postgres::start(&[Behaviour::Refusing(
        "Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen",
    )]);
    let message = refused_at_once(&url, &[]);
    assert!(message.contains(wrong), "{message}");
    // A server that reports in German that it is starting gets a moment to do so.
    let url = fake_postgres::start(&[
        Behaviour::Refusing("das Datenbanksystem startet"),
        Behaviour::Refusing("role \"app\" does not exist"),
    ]);
    let message = refused_at_once(&url, &[]);
    assert!(message.contains("does not exist"), "{message}");
}

#[test]
fn i11_a_server_that_says_nothing_does_not_keep_a_start_for_ever() {
    for (behaviour, word) in [
        (&[Behaviour::Silent], "timeout expired"),
        (&[Behaviour::Deaf], "has not answered"),
    ] {
        let url = fake_postgres::start(behaviour);
        let folder = folder();
        let mut command = release(folder.path());
        let settings = r#"{startup_timeout="1s",timeout="1s"}"#;
        command
            .env("DATABASE_URL", url)
            .env("ROCKET_SESSIONS", settings);
        let message = refusal(&run_to_end(command));
        assert!(message.contains(word), "{behaviour:?}: {message}");
    }
}
