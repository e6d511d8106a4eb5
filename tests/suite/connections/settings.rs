//! The settings of a connection to PostgreSQL and their sources: the URL, libpq's environment, a
//! service file, this program, and the role.

use rocket_diesel_sessions::DieselStore;
use rocket_diesel_sessions::store::{SessionStore, StoreOptions};

use crate::support::altered;
use crate::support::server::run_to_end;
use crate::support::sessions::new_session;
use crate::support::start::release;
use crate::support::{Database, Kind, Server};

/// The program's settings with and without prepared statements.
const BOTH: [&str; 2] = ["{prepared_statements=true}", "{prepared_statements=false}"];

/// Starts a server on `url`, which keeps its tables in the schema `mine`, and visits it.
fn serves_from_its_schema(database: &Database, url: &str, environment: &[(&str, &str)]) {
    let command = |arguments: &[&str], settings: &str| {
        let mut command = release(database.folder());
        command
            .args(arguments)
            .envs(environment.iter().copied())
            .env("DATABASE_URL", url)
            .env("ROCKET_SESSIONS", settings);
        command
    };
    database.execute("DROP SCHEMA IF EXISTS mine CASCADE; CREATE SCHEMA mine");
    for settings in BOTH {
        let server = Server::spawn(command(&[], settings));
        assert_eq!(
            server.client().visit(),
            1,
            "{environment:?}: {}",
            server.log()
        );
        let listed = run_to_end(command(&["sessions", "list"], settings));
        assert!(listed.status.success(), "{listed:?}");
    }
    let visits = database.number("SELECT count(*) AS n FROM mine.sessions");
    assert_eq!(visits, 2, "{environment:?}");
}

#[test]
fn pgoptions_and_service_files_apply_to_migrations_and_to_requests() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let url = database.direct_url();
    serves_from_its_schema(&database, url, &[("PGOPTIONS", "-c search_path=mine")]);
    let file = database.folder().join("services");
    std::fs::write(&file, "[app]\noptions=-c search_path=mine\n").unwrap();
    let file = file.display().to_string();
    let by_variable = [("PGSERVICEFILE", file.as_str()), ("PGSERVICE", "app")];
    serves_from_its_schema(&database, url, &by_variable);
    let by_url = format!("{url}?service=app");
    serves_from_its_schema(&database, &by_url, &[("PGSERVICEFILE", &file)]);
    let own = format!("{url}?options=-c%20search_path%3Dmine");
    serves_from_its_schema(&database, &own, &[("PGOPTIONS", "-c search_path=public")]);
}

#[test]
fn limits_of_the_url_take_precedence_and_those_of_the_role_do_not() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let name = database.name();
    database.store();
    database.execute(&format!(
        "ALTER DATABASE {name} SET statement_timeout = '7s'; \
         ALTER DATABASE {name} SET lock_timeout = '7s'; \
         CREATE TABLE seen (statement text, lock text); \
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO seen SELECT current_setting('statement_timeout'), \
         current_setting('lock_timeout'); RETURN NULL; END $$; \
         CREATE TRIGGER see AFTER INSERT ON sessions EXECUTE FUNCTION see()"
    ));
    for (parameters, statement, lock) in [
        ("", "2s", "500ms"),
        ("?options=-c%20statement_timeout%3D9s", "9s", "500ms"),
        ("?options=-clock_timeout%3D8s", "2s", "8s"),
    ] {
        for prepared_statements in [true, false] {
            let options = altered(StoreOptions::default(), |options| {
                options.prepared_statements = prepared_statements;
            });
            let url = format!("{}{parameters}", database.direct_url());
            let store = DieselStore::open(&url.parse().unwrap(), options).unwrap();
            database.execute("TRUNCATE seen");
            store.create(&[new_session(None)]).unwrap();
            let seen = format!(
                "SELECT count(*) AS n FROM seen WHERE statement = '{statement}' AND lock = '{lock}'"
            );
            assert_eq!(
                database.number(&seen),
                1,
                "{parameters} {prepared_statements}"
            );
        }
    }
}

#[test]
fn messages_in_another_language_cause_a_warning() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let name = database.name();
    database.store();
    // The server appears to have German messages, and the role may not change that.
    database.execute(&format!(
        "CREATE SCHEMA fake; CREATE FUNCTION fake.current_setting(text) RETURNS text \
         LANGUAGE sql AS $$ SELECT 'de_DE.UTF-8' $$; CREATE ROLE {name} LOGIN; \
         GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}; \
         GRANT USAGE ON SCHEMA fake TO {name}; \
         ALTER ROLE {name} IN DATABASE {name} SET search_path = public, fake, pg_catalog"
    ));
    let url = database
        .direct_url()
        .replace("postgres@", &format!("{name}@"));
    for settings in BOTH {
        let mut command = release(database.folder());
        command
            .env("DATABASE_URL", &url)
            .env("ROCKET_SESSIONS", settings);
        let server = Server::spawn(command);
        assert_eq!(server.client().visit(), 1);
        let log = server.log_at_end();
        let warnings = log.matches("messages in another language").count();
        assert_eq!(warnings, 1, "{settings}: {log}");
    }
}

#[test]
fn an_encoding_that_lacks_characters_causes_a_warning() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let name = format!("{}_latin", database.name());
    database.execute_on_server(&format!(
        "CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    ));
    let server = database.direct_url().rsplit_once('/').unwrap().0;
    let log_of = |url: &str| {
        let mut command = release(database.folder());
        command.env("DATABASE_URL", url);
        let server = Server::spawn(command);
        assert_eq!(server.client().visit(), 1);
        server.log_at_end()
    };
    let log = log_of(&format!("{server}/{name}"));
    assert_eq!(log.matches("encoding LATIN1").count(), 1, "{log}");
    let log = log_of(database.direct_url());
    assert!(!log.contains("encoding"), "{log}");
}
