//! Waiting for the end of a session: [`Session::ended`].

use std::future::pending;

use super::Session;
use super::state::Phase;
use crate::session::background::watch;
use crate::session::codec::TypedData;

impl<D: TypedData> Session<D> {
    /// Returns a future that resolves when the session ends, so that a stream can end with it.
    ///
    /// It does not matter how or where the session ends: by a logout, a revocation, a deadline or a
    /// sweep, because its user is disabled or deleted, on this instance or another. An end by a
    /// request or sweep of this instance is noticed at once, any other within `watch_interval`, by
    /// one statement for all watched sessions. While the database cannot be reached, the future
    /// waits, because an outage is not a logout.
    ///
    /// A touch, a new token, or a login that keeps the session does not end it. If the visitor
    /// signs in as another user, the session ends and another one begins. Waiting does not count as
    /// activity, and the deadlines are the stored ones. For a visitor without a session, the future
    /// never resolves. If this request has ended the session, it resolves at once.
    ///
    /// The future does not borrow the session. Dropping it ends the watch.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use rocket::get;
    /// use rocket::response::stream::{Event, EventStream};
    /// use rocket::tokio::{pin, select, time::interval};
    /// use rocket_diesel_sessions::Session;
    ///
    /// #[get("/news")]
    /// fn news(session: Session<u64>) -> EventStream![] {
    ///     let ended = session.ended();
    ///     EventStream! {
    ///         pin!(ended);
    ///         let mut timer = interval(Duration::from_secs(10));
    ///         loop {
    ///             select! {
    ///                 () = &mut ended => break,
    ///                 _ = timer.tick() => {}
    ///             }
    ///             yield Event::data("news");
    ///         }
    ///     }
    /// }
    /// # rocket::build().mount("/", rocket::routes![news]);
    /// ```
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static + use<D> {
        let inner = self.inner();
        let (handle, has_ended) = {
            let state = inner.state();
            let handle = state.record().map(|record| record.id.clone());
            (handle, matches!(state.phase, Phase::Ended))
        };
        let watch = handle.map(|handle| watch::ended(inner.shared(), handle));
        async move {
            match watch {
                Some(ended) => ended.await,
                None if has_ended => {}
                None => pending().await,
            }
        }
    }
}
