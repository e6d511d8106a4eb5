//! How the fairing of a test and its handle come about.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use rocket::{Build, Rocket};

use super::TestSessions;
use super::sign_in::route;
use crate::session::codec::TypedData;
use crate::session::config::SessionConfig;
use crate::session::cookie::keys::SessionKeys;
use crate::session::fairing::Sessions;
use crate::session::fairing::shared::{Attached, Shared};
use crate::testing::{ManualClock, MemoryStore};

/// The number of the next handle, which makes the path of its route unique.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What a fairing and its handle share.
#[derive(Clone)]
pub(in crate::session) struct Link {
    /// The path of the route that signs visitors in.
    path: Arc<str>,
    /// The state of the Rocket to which the fairing is attached, once that is ignited.
    shared: Arc<OnceLock<Weak<Shared>>>,
}

impl Link {
    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            path: format!("/.rocket_diesel_sessions/testing/{number}").into(),
            shared: Arc::default(),
        }
    }

    /// Connects the handle to a Rocket that ignites.
    pub(in crate::session) fn connect<D: TypedData>(
        &self,
        rocket: Rocket<Build>,
        attached: &Attached<D>,
    ) -> Rocket<Build> {
        // A fairing is attached to one Rocket.
        let _ = self.shared.set(Arc::downgrade(&attached.shared));
        rocket.mount("/", [route::<D>(&self.path)])
    }

    /// Returns the path of the route that signs visitors in.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the state of the Rocket, if it is ignited and not yet dropped.
    pub(super) fn shared(&self) -> Option<Arc<Shared>> {
        self.shared.get()?.upgrade()
    }
}

impl<D: TypedData> Sessions<D> {
    /// Creates a fairing for a test, and the test's handle on it. Sessions are kept in memory, and
    /// time stands still until the handle moves it. Any user can sign in.
    ///
    /// The secrets are random, and the settings have their defaults. Neither the section `sessions`
    /// nor an environment variable is read. The methods of the fairing replace each of them, such
    /// as [`config`](Self::config).
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// let (sessions, test) = Sessions::<Vec<String>>::testing();
    /// let rocket = rocket::build().attach(sessions);
    /// ```
    #[must_use]
    pub fn testing() -> (Self, TestSessions<D>) {
        let secret = SessionKeys::generate_secret().ok();
        let handle = TestSessions {
            store: Arc::new(MemoryStore::default()),
            clock: Arc::new(ManualClock::starting_now()),
            // Without random numbers there are no tokens either.
            keys: secret.and_then(|secret| SessionKeys::parse(&secret).ok()),
            link: Link::new(),
            marker: PhantomData,
        };
        (handle.fairing(), handle)
    }
}

impl<D: TypedData> TestSessions<D> {
    /// Creates the fairing of a further kind of session, and its handle. It has the clock, the
    /// store and the secrets of this one.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::serde::{Deserialize, Serialize};
    /// use rocket_diesel_sessions::Sessions;
    ///
    /// #[derive(Default, Serialize, Deserialize)]
    /// #[serde(crate = "rocket::serde", default)]
    /// struct Staff {
    ///     desk: u32,
    /// }
    ///
    /// let (shop, test) = Sessions::<Vec<String>>::testing();
    /// let (staff, test_staff) = test.kind::<Staff>("staff");
    /// let rocket = rocket::build().attach(shop).attach(staff);
    /// ```
    #[must_use]
    pub fn kind<E: TypedData>(&self, name: impl Into<String>) -> (Sessions<E>, TestSessions<E>) {
        let handle = TestSessions {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            keys: self.keys.clone(),
            link: Link::new(),
            marker: PhantomData,
        };
        (handle.fairing().named(name), handle)
    }

    fn fairing(&self) -> Sessions<D> {
        let mut sessions = Sessions::fairing()
            .config(SessionConfig::default())
            .store(self.store.clone())
            .clock(self.clock.clone());
        if let Some(keys) = &self.keys {
            sessions = sessions.keys(keys.clone());
        }
        sessions.link = Some(self.link.clone());
        sessions
    }
}
