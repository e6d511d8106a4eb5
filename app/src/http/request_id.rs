//! An id for each request. It is in the header `X-Request-Id`, in the bodies of errors, and in the log
//! lines that are written while a handler runs.
//!
//! The id is a `UUIDv7` that is made here. An id that the client sends is ignored, because a client
//! could make two requests look like one.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rocket::Request;
use uuid::{Builder, Uuid};

/// What is known of a request from its start.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) id: Uuid,
    pub(super) start: Instant,
}

/// Returns what is known of a request. The first call sets it.
pub(super) fn known(request: &Request<'_>) -> Known {
    *request.local_cache(|| Known {
        id: new_id(),
        start: Instant::now(),
    })
}

/// Returns the id of a request.
pub(crate) fn of(request: &Request<'_>) -> Uuid {
    known(request).id
}

/// Makes an id without asking the operating system for random bytes. After the time come the low bits of a
/// counter, then a hash of the counter under a key that each process draws once. No one relies on an id
/// being hard to guess.
fn new_id() -> Uuid {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let [.., high, low] = count.to_be_bytes();
    let mut tail = [0; 10];
    tail[..2].copy_from_slice(&[high, low]);
    tail[2..].copy_from_slice(&KEY.hash_one(count).to_be_bytes());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let milliseconds = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    Builder::from_unix_timestamp_millis(milliseconds, &tail).into_uuid()
}

thread_local! {
    static CURRENT: Cell<Option<Uuid>> = const { Cell::new(None) };
}

/// Runs work. Log lines that this thread writes in the meantime belong to the request with this id.
///
/// This is less than a span of `tracing`, which would be made for each request and stored for lines
/// that hardly any request writes.
pub(super) fn within<T>(id: Uuid, work: impl FnOnce() -> T) -> T {
    struct Restored(Option<Uuid>);
    impl Drop for Restored {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restored = Restored(CURRENT.replace(Some(id)));
    work()
}

/// Returns the id of the request to which log lines of this thread belong.
pub(crate) fn current() -> Option<Uuid> {
    CURRENT.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinct_and_have_the_time() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let ids: std::collections::HashSet<Uuid> = (0..10_000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 10_000);
        for id in ids {
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
            let (seconds, _) = id.get_timestamp().unwrap().to_unix();
            assert!((before.as_secs()..=before.as_secs() + 60).contains(&seconds));
        }
    }

    #[test]
    fn lines_belong_to_the_innermost_request_even_after_a_panic() {
        let (outer, inner) = (new_id(), new_id());
        within(outer, || {
            let panicked = std::panic::catch_unwind(|| within(inner, || panic!("{inner}")));
            assert!(panicked.is_err());
            assert_eq!(current(), Some(outer));
        });
        assert_eq!(current(), None);
    }
}
