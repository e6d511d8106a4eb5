//! Passwords that the application supplies for each connection, on a server that demands them.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rocket_diesel_sessions::store::{SessionStore, StoreError, StoreOptions};
use rocket_diesel_sessions::{DatabasePassword, DatabaseUrl, DieselStore, SessionConfig};

use crate::support::sessions::new_session;
use crate::support::{AppPool, Cluster, Database, Kind, altered, wait_until};

/// A password with characters that have a meaning in URLs, in settings of libpq, or in SQL.
const ODD: &str = " %41'\"\\@:/?#&=+ \u{20ac}\u{fc} ";

/// A server that demands the password of the role `app`.
struct Guarded {
    database: Database,
    _folder: tempfile::TempDir,
    _cluster: Cluster,
}

impl Guarded {
    /// Returns `None` if PostgreSQL is to be skipped.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pg_hba.conf");
        let rules = "local all all trust\n\
                     host all app 127.0.0.1/32 scram-sha-256\n\
                     host all all 127.0.0.1/32 trust\n";
        std::fs::write(&file, rules).unwrap();
        give_to_the_server(folder.path());
        let cluster = Cluster::start_with(&format!("-c hba_file={}", file.display()))?;
        let database = Database::on(cluster.url());
        database.execute(&format!(
            "CREATE ROLE app LOGIN; ALTER DATABASE {} OWNER TO app",
            database.name()
        ));
        Some(Self {
            database,
            _folder: folder,
            _cluster: cluster,
        })
    }

    fn set_password(&self, password: &str) {
        let quoted = password.replace('\'', "''");
        self.database.execute(&format!(
            "SET standard_conforming_strings = on; ALTER ROLE app PASSWORD '{quoted}'"
        ));
    }

    /// Returns the URL of the role, with credentials such as `app` or `app:password`.
    fn url(&self, credentials: &str) -> DatabaseUrl {
        let url = self.database.direct_url();
        let url = url.replace("postgres@", &format!("{credentials}@"));
        url.parse().unwrap()
    }

    /// Closes the role's connections and waits until their processes are gone. These close the
    /// connections after PostgreSQL no longer lists them.
    fn close_connections(&self) {
        let pids = self.database.backends();
        let of_role = "FROM pg_stat_activity WHERE usename = 'app'";
        self.database
            .execute(&format!("SELECT pg_terminate_backend(pid) {of_role}"));
        wait_until("the connections are closed", || {
            let mut processes = pids.iter().map(|pid| format!("/proc/{pid}"));
            processes.all(|process| !Path::new(&process).exists())
        });
    }
}

/// If the tests run as root, PostgreSQL runs as its own user and must be able to read the folder.
fn give_to_the_server(folder: &Path) {
    let mut command = Command::new("chown");
    let _ = command.arg("-R").arg("postgres").arg(folder).status();
}

/// What the application answers when it is asked for a password.
#[derive(Clone, Default)]
struct Vault(Arc<Inside>);

#[derive(Default)]
struct Inside {
    /// The password, or the reason why there is none.
    answer: Mutex<Option<Result<String, String>>>,
    asked: AtomicU32,
}

impl Vault {
    fn with(password: &str) -> Self {
        let vault = Self::default();
        vault.answer(Ok(password));
        vault
    }

    fn answer(&self, answer: Result<&str, &str>) {
        let answer = answer.map(str::to_owned).map_err(str::to_owned);
        *self.0.answer.lock().unwrap() = Some(answer);
    }

    /// Returns how often it was asked since the last call.
    fn asked(&self) -> u32 {
        self.0.asked.swap(0, Ordering::SeqCst)
    }

    fn password(&self) -> DatabasePassword {
        let vault = Arc::clone(&self.0);
        DatabasePassword::new(move || {
            vault.asked.fetch_add(1, Ordering::SeqCst);
            let answer = vault.answer.lock().unwrap_or_else(PoisonError::into_inner);
            answer.clone().expect("an answer was set")
        })
    }

    /// Returns the options of a store with a single connection.
    fn options(&self) -> StoreOptions {
        altered(StoreOptions::default(), |options| {
            options.password = Some(self.password());
            options.pool_size = 1;
        })
    }
}

/// Creates a session.
fn create(store: &DieselStore) -> Result<(), StoreError> {
    store.create(&[new_session(None)]).map(drop)
}

/// Returns the reason of a failure to connect that waiting may mend.
fn reason(failed: StoreError) -> String {
    match failed {
        StoreError::Connect {
            reason,
            permanent: false,
            ..
        } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_new_connection_has_the_password_of_its_time() {
    let Some(guarded) = Guarded::start() else {
        return;
    };
    guarded.set_password("first");
    let refused = DieselStore::open(&guarded.url("app"), StoreOptions::default()).unwrap_err();
    assert!(refused.to_string().contains("password"), "{refused}");

    // The password of the URL does not count.
    let vault = Vault::with("first");
    let store = DieselStore::open(&guarded.url("app:stale"), vault.options()).unwrap();
    assert_eq!(vault.asked(), 1, "opening");
    store.migrate().unwrap();
    assert_eq!(vault.asked(), 2, "looking for migrations, and running them");
    create(&store).unwrap();
    assert_eq!(vault.asked(), 1, "the first connection of the pool");

    // An open connection goes on, and a new one has the new password.
    for password in ["second", ODD] {
        guarded.set_password(password);
        vault.answer(Ok(password));
        (0..20).for_each(|_| create(&store).unwrap());
        assert_eq!(vault.asked(), 0, "{password:?}: the connection is open");
        guarded.close_connections();
        create(&store).unwrap();
        assert_eq!(vault.asked(), 1, "{password:?}: the connection was closed");
    }
    assert_eq!(guarded.database.sessions(), 43);
}

#[test]
fn i8_a_password_that_is_missing_or_wrong_is_reported_and_can_be_mended() {
    let Some(guarded) = Guarded::start() else {
        return;
    };
    guarded.set_password(ODD);
    let vault = Vault::with(ODD);
    let store = DieselStore::open(&guarded.url("app"), vault.options()).unwrap();
    store.migrate().unwrap();
    create(&store).unwrap();
    for (answer, expected) in [
        (Err("the vault is sealed"), "the vault is sealed"),
        (Ok("hunter2-hunter2"), "password authentication failed"),
        (Ok("hunter2\0hunter2"), "NUL"),
        (Ok(""), "is empty"),
        (
            Err("no lease at https://vault/?key=hunter2"),
            "no lease at ...",
        ),
    ] {
        vault.answer(answer);
        guarded.close_connections();
        // Until the pool's next attempt to connect, there is no reason to tell.
        wait_until("the reason is told", || {
            let failed = reason(create(&store).unwrap_err());
            assert!(!failed.contains("hunter2"), "{answer:?}: {failed}");
            failed.contains(expected)
        });
        vault.answer(Ok(ODD));
        wait_until("it connects again", || create(&store).is_ok());
    }
    vault.answer(Err("the vault is sealed"));
    let failed = DieselStore::open(&guarded.url("app"), vault.options()).unwrap_err();
    assert!(reason(failed).contains("the vault is sealed"));
}

#[test]
fn i11_a_function_that_hangs_holds_up_only_new_connections() {
    let Some(guarded) = Guarded::start() else {
        return;
    };
    guarded.set_password("first");
    let vault = Vault::with("first");
    let options = altered(vault.options(), |options| {
        options.timeout = Duration::from_millis(200);
        options.pool_size = 2;
    });
    let store = DieselStore::open(&guarded.url("app"), options).unwrap();
    store.migrate().unwrap();
    create(&store).unwrap();
    // While this is locked, the function hangs.
    let sealed = vault.0.answer.lock().unwrap();
    (0..20).for_each(|_| create(&store).unwrap());
    guarded.close_connections();
    let refused = || reason(create(&store).unwrap_err());
    let start = Instant::now();
    let mut failed = refused();
    assert!(start.elapsed() < Duration::from_secs(20), "{failed}");
    wait_until("the wait is over", || {
        failed = refused();
        failed.contains("the function that supplies its password")
    });
    drop(sealed);
    wait_until("it connects again", || create(&store).is_ok());
}

#[test]
fn the_settings_take_it_to_a_server() {
    let Some(guarded) = Guarded::start() else {
        return;
    };
    guarded.set_password(ODD);
    let vault = Vault::with(ODD);
    for prepared_statements in [true, false] {
        let config = altered(SessionConfig::default(), |config| {
            config.password = Some(vault.password());
            config.prepared_statements = prepared_statements;
        });
        let store = config.open_store(&guarded.url("app")).unwrap();
        vault.asked();
        create(&store).unwrap();
        assert!(vault.asked() > 0);
    }
}

#[test]
fn it_is_refused_where_no_connection_would_have_it() {
    let file = Database::new(Kind::Sqlite).unwrap();
    let vault = Vault::with("unused");
    let permanent = |failed: StoreError| match failed {
        StoreError::Connect {
            reason,
            permanent: true,
            ..
        } => reason,
        other => panic!("{other:?}"),
    };
    let refused = permanent(DieselStore::open(&file.url(), vault.options()).unwrap_err());
    assert!(refused.contains("password is for PostgreSQL"), "{refused}");
    let pool = AppPool::new(&file, 2);
    let refused = DieselStore::from_pool(pool.lent(), vault.options()).unwrap_err();
    let refused = permanent(refused);
    assert!(refused.contains("remove the option password"), "{refused}");
    assert_eq!(vault.asked(), 0);
}
