//! [`SessionAdmin`]: all sessions, for the application's operators.

mod events;
mod scan;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::clock::Clock;
use super::error::SessionError;
use super::expiry::policies::Policies;
use super::observe::archive::Archive;
use super::observe::context::EventContext;
use super::pipeline::Pipeline;
use crate::store::admin::{SessionPage, SessionStats, SweepReport};
use crate::store::{
    EndReason, ListSessions, SessionHandle, SessionRecord, StoreError, SweepRecord, UserId,
};

/// Maximum number of sessions in a page of the list.
const MAX_PAGE: u32 = 10_000;

/// Lists and ends any visitor's sessions, of all kinds in one store. It is managed state of a
/// Rocket with [`Sessions`](crate::Sessions) attached: `&State<SessionAdmin>`. The application
/// decides who may use it. Kinds with a store of their own have another:
/// [`Attached::admin`](crate::Attached::admin).
#[derive(Clone)]
pub struct SessionAdmin {
    pipeline: Arc<Pipeline>,
    clock: Arc<dyn Clock>,
    policies: Arc<Policies>,
    /// The context of the events that it causes.
    context: EventContext,
    /// The record of events, if there is one.
    archive: Option<Arc<Archive>>,
}

impl SessionAdmin {
    pub(crate) fn new(
        pipeline: Arc<Pipeline>,
        clock: Arc<dyn Clock>,
        policies: Arc<Policies>,
        archive: Option<Arc<Archive>>,
    ) -> Self {
        Self {
            pipeline,
            clock,
            policies,
            context: EventContext::default(),
            archive,
        }
    }

    /// Returns this with the context of the events that it causes: the request, who sent it, and
    /// why.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{EventContext, SessionAdmin, SessionError};
    ///
    /// async fn end(admin: &SessionAdmin, id: &str) -> Result<bool, SessionError> {
    ///     let context = EventContext::default().actor("command_line");
    ///     admin.with_context(context).revoke(id).await
    /// }
    /// ```
    #[must_use]
    pub fn with_context(&self, context: EventContext) -> Self {
        Self {
            context,
            ..self.clone()
        }
    }

    /// Returns one page of the live sessions, newest token first: those after the cursor `after`,
    /// at most `limit` and at most 10,000. With `user_id`, only those of that user. A page can be
    /// shorter although there is a next one, because sessions that have expired under stricter new
    /// timeouts are omitted.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn show(admin: &SessionAdmin) -> Result<(), SessionError> {
    ///     let page = admin.list(100, None, None).await?;
    ///     for session in &page.sessions {
    ///         println!("{} of {:?}", session.id, session.user_id);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn list(
        &self,
        limit: u32,
        after: Option<Uuid>,
        user_id: Option<UserId>,
    ) -> Result<SessionPage, SessionError> {
        let now = self.clock.now();
        let query = ListSessions {
            now,
            after,
            user_id,
            kind: None,
            limit: limit.min(MAX_PAGE),
        };
        let mut page = self.pipeline.list(query).await?;
        page.sessions = self.policies.live(page.sessions, now);
        Ok(page)
    }

    /// Returns the session with this handle, even if it has expired.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn show(admin: &SessionAdmin) -> Result<(), SessionError> {
    ///     if let Some(session) = admin.find("tz4a98xxat96iws9zmbrgj3a").await? {
    ///         println!("last used at {}", session.last_seen_at);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn find(
        &self,
        handle: impl Into<SessionHandle>,
    ) -> Result<Option<SessionRecord>, SessionError> {
        let found = self.pipeline.find(handle.into()).await?;
        Ok(found.map(|record| self.policies.effective(record)))
    }

    /// Ends the session with this handle. Returns whether it existed.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn revoke(admin: &SessionAdmin) -> Result<bool, SessionError> {
    ///     admin.revoke("tz4a98xxat96iws9zmbrgj3a").await
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn revoke(&self, handle: impl Into<SessionHandle>) -> Result<bool, SessionError> {
        let (handle, context) = (handle.into(), self.context.clone());
        let facts = self.pipeline.facts_of(&handle, context).await;
        self.pipeline
            .delete(handle, EndReason::Revoked, facts)
            .await
    }

    /// Ends all sessions, in batches, and returns their number. If this takes more than a minute,
    /// it continues in the background, and the log reports the number.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn sign_out_everyone(admin: &SessionAdmin) -> Result<(), SessionError> {
    ///     let ended = admin.clear().await?;
    ///     println!("{ended} sessions ended");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails, and with [`SessionError::Timeout`] after a minute.
    pub async fn clear(&self) -> Result<usize, SessionError> {
        let context = self.context.clone();
        self.pipeline.clear(self.clock.now(), context).await
    }

    /// Deletes the sessions that have expired by now, like the hourly sweep.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn sweep(admin: &SessionAdmin) -> Result<(), SessionError> {
    ///     let report = admin.sweep().await?;
    ///     println!("{} deleted in {:?}", report.deleted, report.elapsed);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn sweep(&self) -> Result<SweepReport, SessionError> {
        self.pipeline.sweep().await
    }

    /// Checks whether requests would be served, by taking the path of a request that loads its
    /// session.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::{State, get, http::Status};
    /// use rocket_diesel_sessions::SessionAdmin;
    ///
    /// #[get("/readyz")]
    /// async fn ready(admin: &State<SessionAdmin>) -> Status {
    ///     match admin.ping().await {
    ///         Ok(()) => Status::NoContent,
    ///         Err(error) => error.status(),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if a request would be answered 503.
    pub async fn ping(&self) -> Result<(), SessionError> {
        self.pipeline.ready().await
    }

    /// Checks that the database is not known to be down, without a statement. An application can
    /// call it before its own queries, so that they do not wait for a failed database either.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn ask(admin: &SessionAdmin) -> Result<(), SessionError> {
    ///     admin.ensure_available()?;
    ///     // A query of the application's own.
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::Unavailable`] during an outage.
    pub fn ensure_available(&self) -> Result<(), SessionError> {
        self.pipeline.ensure_available()
    }

    /// Waits until this instance's work in the background for earlier requests is done: touches are
    /// written, and tokens that did not reach their visitors are withdrawn. This is for tests that
    /// then move a [`ManualClock`](crate::testing::ManualClock), or look at another instance or at
    /// the database.
    ///
    /// # Example
    ///
    /// ```
    /// use chrono::TimeDelta;
    /// use rocket_diesel_sessions::testing::ManualClock;
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn a_day_later(admin: &SessionAdmin, clock: &ManualClock) -> Result<(), SessionError> {
    ///     admin.settle().await?;
    ///     clock.advance(TimeDelta::days(1));
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::Timeout`] if that takes longer than `timeout`.
    pub async fn settle(&self) -> Result<(), SessionError> {
        self.pipeline.settle().await
    }

    /// Runs a blocking call of the application, such as its own query, on a separate thread with
    /// the session layer's deadline. Fails at once while the database is known to be down. A call
    /// that never returns releases its slot to others.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::{StoreError, UserRecord, UserStore};
    /// use rocket_diesel_sessions::{DieselStore, SessionAdmin, SessionError, UserId};
    /// use std::sync::Arc;
    ///
    /// async fn user(
    ///     admin: &SessionAdmin,
    ///     store: Arc<DieselStore>,
    ///     id: UserId,
    /// ) -> Result<Option<UserRecord>, SessionError> {
    ///     admin.call(move || store.user(&id)).await
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns the error of the call, and [`SessionError::Timeout`] if it takes longer than
    /// `timeout`.
    pub async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.pipeline.call(call).await
    }

    /// Returns the number of live sessions and the usage of the last `hours` hours, including the
    /// current one; at most ten years.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn report(admin: &SessionAdmin) -> Result<(), SessionError> {
    ///     let stats = admin.stats(24).await?;
    ///     let created: u64 = stats.hours.iter().map(|hour| hour.created).sum();
    ///     println!("{} live sessions, {created} made in a day", stats.active);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails or keeps no statistics.
    pub async fn stats(&self, hours: u32) -> Result<SessionStats, SessionError> {
        self.pipeline.stats(self.clock.now(), hours).await
    }

    /// Returns the next deadlines of live sessions, earliest first, at most 10,000. Activity can still
    /// move them. Reads no sessions, only the index of their deadlines.
    ///
    /// # Example
    ///
    /// ```
    /// use chrono::{DateTime, Utc};
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// /// Counts the sessions that expire by then, up to a thousand.
    /// async fn expiring(admin: &SessionAdmin, by: DateTime<Utc>) -> Result<usize, SessionError> {
    ///     let next = admin.next_expiries(1000).await?;
    ///     Ok(next.into_iter().take_while(|deadline| *deadline <= by).count())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`stats`](Self::stats).
    pub async fn next_expiries(&self, limit: u32) -> Result<Vec<DateTime<Utc>>, SessionError> {
        let limit = limit.min(MAX_PAGE);
        self.pipeline.next_expiries(self.clock.now(), limit).await
    }

    /// Returns the last sweep passes of all instances, newest first.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn report(admin: &SessionAdmin) -> Result<(), SessionError> {
    ///     for pass in admin.sweeps(10).await? {
    ///         println!("{}: {} deleted", pass.started_at, pass.deleted);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails or keeps no statistics.
    pub async fn sweeps(&self, limit: u32) -> Result<Vec<SweepRecord>, SessionError> {
        self.pipeline.sweeps(limit).await
    }

    /// Returns this process's metrics in Prometheus' text format, version 0.0.4. Needs no
    /// statement.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::{State, get};
    /// use rocket_diesel_sessions::SessionAdmin;
    ///
    /// #[get("/metrics")]
    /// fn metrics(admin: &State<SessionAdmin>) -> String {
    ///     admin.metrics()
    /// }
    /// ```
    pub fn metrics(&self) -> String {
        self.pipeline.metrics()
    }
}

impl fmt::Debug for SessionAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionAdmin").finish_non_exhaustive()
    }
}
