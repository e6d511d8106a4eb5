//! A Citus cluster: a coordinator and two workers, each a throwaway server.

use parking_lot::Mutex;

use super::proxy::Proxy;
use super::{Cluster, Database};

/// Enough for the maintenance of the databases of all tests, and for transactions over several
/// nodes. The nodes use no TLS, so that proxies can read what they say.
const OPTIONS: &str = "-c fsync=on -c max_connections=1500 -c shared_preload_libraries=citus -c max_worker_processes=300 \
                       -c max_prepared_transactions=300 -c citus.shard_count=8 -c citus.recover_2pc_interval=1s \
                       -c citus.node_conninfo=sslmode=disable \
                       -c citus.max_background_task_executors_per_node=1";

/// A coordinator and its workers.
pub(crate) struct Citus {
    coordinator: Cluster,
    workers: Vec<Cluster>,
    setting_up: Mutex<()>,
}

impl Citus {
    /// Starts a cluster. Returns `None` if Citus is not installed or PostgreSQL is to be skipped.
    pub(crate) fn start() -> Option<Self> {
        if !is_installed() {
            eprintln!("the extension Citus is not installed: its tests are skipped");
            return None;
        }
        Some(Self {
            coordinator: Cluster::start_with(OPTIONS)?,
            workers: vec![Cluster::start_with(OPTIONS)?, Cluster::start_with(OPTIONS)?],
            setting_up: Mutex::new(()),
        })
    }

    /// Creates a database on all nodes. Its tables are not distributed yet.
    pub(crate) fn database(&self) -> Database {
        let ports = self.workers.iter().map(port_of);
        self.database_on(&ports.collect::<Vec<&str>>())
    }

    /// Creates a database as [`database`](Self::database) does. The coordinator reaches the workers
    /// through proxies.
    pub(crate) fn database_behind_proxies(&self) -> (Database, Vec<Proxy>) {
        let before = |worker: &Cluster| Proxy::before(worker.url());
        let (proxies, urls): (Vec<Proxy>, Vec<String>) = self.workers.iter().map(before).unzip();
        let ports: Vec<&str> = urls.iter().map(|url| last_number(url)).collect();
        (self.database_on(&ports), proxies)
    }

    fn database_on(&self, ports: &[&str]) -> Database {
        // The nodes do not like several databases to be set up at once.
        let _alone = self.setting_up.lock();
        let database = Database::on(self.coordinator.url());
        database.execute("CREATE EXTENSION citus");
        let port = port_of(&self.coordinator);
        database.execute(&format!(
            "SELECT citus_set_coordinator_host('127.0.0.1', {port})"
        ));
        for (worker, port) in self.workers.iter().zip(ports) {
            let there = Database::named(worker.url(), database.name());
            there.execute_on_server(&format!("CREATE DATABASE {}", database.name()));
            there.execute("CREATE EXTENSION citus");
            database.execute(&format!("SELECT citus_add_node('127.0.0.1', {port})"));
        }
        database
    }

    /// Sends a worker's script a command, such as `kill` or `start`.
    pub(crate) fn tell_worker(&mut self, worker: usize, command: &str) {
        self.workers[worker].tell(command);
    }

    /// Returns the port of a worker.
    pub(crate) fn port_of_worker(&self, worker: usize) -> &str {
        port_of(&self.workers[worker])
    }
}

fn port_of(cluster: &Cluster) -> &str {
    last_number(cluster.url())
}

fn last_number(url: &str) -> &str {
    url.rsplit_once(':').expect("it has a port").1
}

fn is_installed() -> bool {
    std::fs::read_dir("/usr/share/postgresql").is_ok_and(|versions| {
        versions
            .flatten()
            .any(|version| version.path().join("extension/citus.control").exists())
    })
}
