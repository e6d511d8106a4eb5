//! The futures that wait for the end of a session.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::IntGauge;
use rocket::tokio::sync::watch::{Receiver, Sender};

use super::seldom::Seldom;

use crate::store::SessionHandle;

/// All watchers of this instance.
pub(crate) struct Watchers {
    state: Mutex<State>,
    /// Number of watchers.
    number: IntGauge,
    /// Limits how often failures to ask the store are logged.
    pub(crate) failure: Seldom,
}

#[derive(Default)]
struct State {
    /// The watched sessions by handle. Dropping a sender wakes the session's watchers.
    sessions: HashMap<SessionHandle, Sender<()>>,
    /// Whether a task asks the store about the watched sessions.
    is_asking: bool,
}

/// Waits for the end of one session. Dropping it unregisters it.
pub(crate) struct Watcher {
    watchers: Arc<Watchers>,
    handle: SessionHandle,
    /// Closed when the session ends. Dropped only while the state is locked, so that every session
    /// in it has a watcher.
    wake: Option<Receiver<()>>,
}

/// The right to ask the store about the watched sessions, which one task has at a time.
pub(crate) struct Asking {
    watchers: Arc<Watchers>,
    is_over: bool,
}

impl Watchers {
    pub(crate) fn new(number: IntGauge) -> Self {
        Self {
            state: Mutex::default(),
            number,
            failure: Seldom::default(),
        }
    }

    /// Registers a watcher of the session with this handle.
    pub(crate) fn watch(self: &Arc<Self>, handle: SessionHandle) -> Watcher {
        let mut state = self.state.lock();
        let sender = state.sessions.entry(handle.clone());
        let wake = sender.or_insert_with(|| Sender::new(())).subscribe();
        self.number.inc();
        Watcher {
            watchers: Arc::clone(self),
            handle,
            wake: Some(wake),
        }
    }

    /// Returns whether no session is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().sessions.is_empty()
    }

    /// Wakes the watchers of sessions that have ended.
    pub(crate) fn wake(&self, handles: &[SessionHandle]) {
        let woken: Vec<_> = {
            let sessions = &mut self.state.lock().sessions;
            if sessions.is_empty() {
                return;
            }
            let ended = handles.iter();
            ended.filter_map(|handle| sessions.remove(handle)).collect()
        };
        // Without the lock, because what wakes up may drop its watcher at once.
        drop(woken);
    }

    /// Returns the right to ask the store, unless a task has it.
    pub(crate) fn begin_asking(self: &Arc<Self>) -> Option<Asking> {
        let was_asking = std::mem::replace(&mut self.state.lock().is_asking, true);
        let asking = || Asking {
            watchers: Arc::clone(self),
            is_over: false,
        };
        (!was_asking).then(asking)
    }
}

impl Watcher {
    /// Waits until the session has ended.
    pub(crate) async fn woken(mut self) {
        if let Some(wake) = &mut self.wake {
            // Nothing is ever sent.
            while wake.changed().await.is_ok() {}
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watchers.number.dec();
        let mut state = self.watchers.state.lock();
        self.wake = None;
        if let Entry::Occupied(session) = state.sessions.entry(self.handle.clone())
            && session.get().receiver_count() == 0
        {
            session.remove();
        }
    }
}

impl Asking {
    /// Returns the handles of the watched sessions. If there are none, the right to ask is gone.
    pub(crate) fn handles(&mut self) -> Vec<SessionHandle> {
        let mut state = self.watchers.state.lock();
        if state.sessions.is_empty() && !self.is_over {
            state.is_asking = false;
            self.is_over = true;
        }
        state.sessions.keys().cloned().collect()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.is_over {
            self.watchers.state.lock().is_asking = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn watchers() -> Arc<Watchers> {
        let number = IntGauge::new("watchers", "a number").unwrap();
        Arc::new(Watchers::new(number))
    }

    fn is_woken(watcher: Watcher) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(pin!(watcher.woken()).poll(&mut context), Poll::Ready(()))
    }

    #[test]
    fn only_the_watchers_of_the_ended_session_wake_up() {
        let watchers = watchers();
        let watch = |handle: &str| watchers.watch(handle.into());
        let (one, two, other) = (watch("a"), watch("a"), watch("b"));
        watchers.wake(&["a".into(), "c".into()]);
        assert!(is_woken(one) && is_woken(two) && !is_woken(other));
    }

    #[test]
    fn a_dropped_watcher_leaves_nothing_and_the_others_watching() {
        let watchers = watchers();
        let watch = || watchers.watch("a".into());
        let (one, two) = (watch(), watch());
        assert_eq!(watchers.number.get(), 2);
        drop(one);
        assert_eq!(watchers.number.get(), 1);
        // A watcher of a session that has ended must not unregister a later one of its handle.
        watchers.wake(&["a".into()]);
        let three = watch();
        assert!(is_woken(two) && !watchers.is_empty());
        assert!(!is_woken(three) && watchers.is_empty());
        assert_eq!(watchers.number.get(), 0);
    }

    #[test]
    fn one_task_at_a_time_asks_while_there_are_watchers() {
        let watchers = watchers();
        let watcher = watchers.watch("a".into());
        let mut asking = watchers.begin_asking().unwrap();
        assert!(watchers.begin_asking().is_none());
        assert_eq!(asking.handles(), ["a"]);
        drop(watcher);
        assert!(asking.handles().is_empty());
        let mut next = watchers.begin_asking().unwrap();
        drop(asking);
        assert!(
            watchers.begin_asking().is_none(),
            "the right is the next one's"
        );
        assert!(next.handles().is_empty());
        drop(watchers.begin_asking().unwrap());
        assert!(watchers.begin_asking().is_some(), "a task that was dropped");
    }
}
