//! A store whose writes wait at a gate while a test collects a batch.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rocket::futures::future::join;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket_diesel_sessions::{DieselStore, SessionAdmin, SessionConfig};

use super::hooked::{Call, HookedStore};
use crate::support::embedded::{get, patient};
use crate::support::{altered, queued, wait_for};

/// Settings with one thread for writes, so that all jobs that wait behind a write form one batch.
pub(crate) fn one_writer() -> SessionConfig {
    altered(patient(), |config| config.workers = 2)
}

/// The gate of a store.
pub(crate) struct Gate {
    shut: Mutex<()>,
    /// Number of writes that have arrived at the gate.
    arrived: AtomicUsize,
}

/// Returns a store with a gate before its writes.
pub(crate) fn gated(store: Arc<DieselStore>) -> (Arc<HookedStore>, Arc<Gate>) {
    let gate = Arc::new(Gate {
        shut: Mutex::default(),
        arrived: AtomicUsize::new(0),
    });
    let at_gate = Arc::clone(&gate);
    let store = HookedStore::new(store, move |call| {
        if let Call::Write(_) = call {
            at_gate.arrived.fetch_add(1, Ordering::SeqCst);
            drop(at_gate.shut.lock());
        }
        Ok(())
    });
    (store, gate)
}

impl Gate {
    /// Makes one batch of the `writes` that `requests` cause: the write of another session waits at
    /// the gate until all of them are queued behind it. The client must have the settings of
    /// [`one_writer`].
    pub(crate) async fn one_batch<T>(
        &self,
        client: &Client,
        writes: u64,
        requests: impl Future<Output = T>,
    ) -> T {
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        let arrived = || self.arrived.load(Ordering::SeqCst);
        let before = arrived();
        let shut = self.shut.lock().unwrap();
        let behind = async {
            wait_for("a write is at the gate", async || arrived() > before).await;
            let gather = async {
                wait_for("all are queued", async || queued(admin, "write") == writes).await;
                drop(shut);
            };
            join(requests, gather).await.0
        };
        let (first, answers) = join(get(client, "/count", None), behind).await;
        assert_eq!(first.status, Status::Ok, "{}", first.body);
        answers
    }
}
