//! A gate at which handlers and closures wait.

use std::sync::{Condvar, Mutex};

use rocket::tokio::sync::Semaphore;

/// Holds a handler between the load of its session and its next operation.
pub(crate) struct Gate {
    arrived: Semaphore,
    open: Semaphore,
    /// For a closure, which cannot await.
    closure: (Mutex<bool>, Condvar),
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            arrived: Semaphore::new(0),
            open: Semaphore::new(0),
            closure: (Mutex::new(false), Condvar::new()),
        }
    }

    /// Waits until the test opens the gate.
    pub(crate) async fn pass(&self) {
        self.arrived.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    pub(super) fn block_closure(&self) {
        self.arrived.add_permits(1);
        let (is_open, changed) = &self.closure;
        let is_open = is_open.lock().unwrap();
        drop(changed.wait_while(is_open, |is_open| !*is_open).unwrap());
    }

    /// Lets blocked closures go on.
    pub(crate) fn open_closure(&self) {
        *self.closure.0.lock().unwrap() = true;
        self.closure.1.notify_all();
    }

    /// Waits until a handler stands at the gate.
    pub(crate) async fn arrival(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    /// Lets one handler pass.
    pub(crate) fn open(&self) {
        self.open.add_permits(1);
    }
}
