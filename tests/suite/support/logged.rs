//! What the library logs in this process.

use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use rocket::tokio::runtime::Builder;
use tracing::Level;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a future on this thread. Returns its output, and what it has logged on this thread.
pub(crate) fn logged<T>(work: impl Future<Output = T>) -> (T, String) {
    logged_at(Level::INFO, work)
}

/// Runs a future as [`logged`] does, with what it has logged at this level and above.
pub(crate) fn logged_at<T>(level: Level, work: impl Future<Output = T>) -> (T, String) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(level)
        .with_writer(move || writer.clone())
        .finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let output = runtime.block_on(work);
    let said = log.0.lock();
    (output, String::from_utf8(said.clone()).unwrap())
}
