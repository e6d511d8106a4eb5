//! The operations that bypass the queue because they are rare. Each runs on its own thread and
//! reports its result to the monitor, even if its caller has stopped waiting.

pub(super) mod calls;
mod login;
pub(super) mod sweep;
#[cfg(feature = "diesel")]
pub(super) mod uncommitted;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rocket::tokio::sync::Semaphore;
use uuid::Uuid;

use super::start::Pipeline;
use crate::session::error::SessionError;
use crate::session::observe::archive::Archive;
use crate::session::observe::context::EventContext;
use crate::session::observe::events::Facts;
use crate::session::observe::monitor::Monitor;
use crate::session::observe::prepared::PreparedEvent;
use crate::session::observe::statistics::Statistics;
use crate::store::admin::{SessionPage, SessionStats, StoreAdmin, SweepReport};
use crate::store::{
    EndReason, ListSessions, Revocation, RevokeScope, ScanSessions, SessionHandle, SessionRecord,
    SessionScan, SessionStore, StoreError, SweepRecord, UserId, UserPresence,
};

/// Maximum duration of an operation on all sessions.
const BULK_TIMEOUT: Duration = Duration::from_mins(1);

impl Pipeline {
    /// Returns one page of the live sessions.
    pub(crate) async fn list(&self, query: ListSessions) -> Result<SessionPage, SessionError> {
        let of_user = query.user_id.as_ref();
        if of_user.is_some_and(|user_id| !user_id.is_possible()) {
            return Ok(SessionPage::default());
        }
        let list = move |store: &dyn SessionStore| StoreAdmin::new(store).list(&query);
        self.run(list).await
    }

    /// Returns the session with this handle, even if it has expired.
    pub(crate) async fn find(
        &self,
        handle: SessionHandle,
    ) -> Result<Option<SessionRecord>, SessionError> {
        if !handle.is_possible() {
            return Ok(None);
        }
        self.run(move |store| store.find(&handle)).await
    }

    /// Returns the facts of the end of a session of which only the handle is known. Asks the store
    /// only if someone wants to know, and tells less if that fails.
    pub(crate) async fn facts_of(&self, handle: &SessionHandle, context: EventContext) -> Facts {
        let found = if self.shared.monitor.needs_facts() {
            self.find(handle.clone()).await.ok().flatten()
        } else {
            None
        };
        let (user, session_kind) = found
            .map(|record| (record.user_id, record.kind))
            .unwrap_or_default();
        Facts {
            user,
            session_kind,
            context,
        }
    }

    /// Returns which of these sessions have ended or are past their deadlines.
    pub(crate) async fn find_ended(
        &self,
        ids: Vec<SessionHandle>,
    ) -> Result<Vec<SessionHandle>, SessionError> {
        let now = self.shared.monitor.now();
        let find = move |store: &dyn SessionStore| {
            let live: HashSet<SessionHandle> = store.find_live(&ids, now)?.into_iter().collect();
            let is_ended = |id: &SessionHandle| !live.contains(id);
            Ok(ids.into_iter().filter(is_ended).collect())
        };
        self.run(find).await
    }

    /// Returns which of these sessions are live.
    pub(crate) async fn find_live(
        &self,
        ids: Vec<SessionHandle>,
    ) -> Result<HashSet<SessionHandle>, SessionError> {
        let now = self.shared.monitor.now();
        let find = move |store: &dyn SessionStore| store.find_live(&ids, now);
        Ok(self.run(find).await?.into_iter().collect())
    }

    /// Ends sessions of one user and returns their number.
    ///
    /// # Errors
    /// Returns [`SessionError::Ended`] if the acting session has ended.
    pub(crate) async fn revoke(
        &self,
        mut revocation: Revocation,
        context: EventContext,
    ) -> Result<usize, SessionError> {
        if !revocation.user_id.is_possible() {
            return Ok(0);
        }
        match &revocation.scope {
            RevokeScope::One(handle) if !handle.is_possible() => return Ok(0),
            // No session is exempt.
            RevokeScope::AllBut(keep) if !keep.is_possible() => {
                revocation.scope = RevokeScope::All;
            }
            _ => {}
        }
        let monitor = Arc::clone(&self.shared.monitor);
        let revoke = move |store: &dyn SessionStore| {
            let ended = store.revoke(&revocation)?;
            let facts = Facts {
                user: Some(revocation.user_id),
                session_kind: revocation.kind.unwrap_or_default(),
                context,
            };
            let ids = ended.as_deref().unwrap_or_default();
            monitor.ended(ids, EndReason::Revoked, &facts);
            Ok(ended.map(|ended| ended.len()))
        };
        self.run(revoke).await?.ok_or(SessionError::Ended)
    }

    /// Records the end of sessions that the application has ended in its own transaction.
    pub(crate) fn note_ended(&self, handles: &[SessionHandle], facts: &Facts) {
        self.shared
            .monitor
            .ended(handles, EndReason::Revoked, facts);
    }

    /// Makes an event of the application that has no session and is reported later.
    pub(crate) fn prepared(
        &self,
        name: &'static str,
        user: Option<UserId>,
        context: EventContext,
    ) -> PreparedEvent {
        let facts = Facts {
            user,
            session_kind: String::new(),
            context,
        };
        let monitor = Arc::clone(&self.shared.monitor);
        monitor.prepared(&"".into(), name, &facts)
    }

    /// Returns the sign-ins and live sessions of users.
    pub(crate) async fn presence(
        &self,
        users: Vec<UserId>,
        now: DateTime<Utc>,
        archive: Option<Arc<Archive>>,
    ) -> Result<Vec<UserPresence>, SessionError> {
        let read = move |store: &dyn SessionStore| {
            let sessions = StoreAdmin::new(store);
            match archive {
                Some(archive) => archive.presence(sessions, &users, now),
                None => sessions.presence(&users, now, None),
            }
        };
        self.run(read).await
    }

    /// Ends all sessions and returns their number. If this takes longer than the caller waits, it
    /// continues in the background and logs the number.
    pub(crate) async fn clear(
        &self,
        now: DateTime<Utc>,
        context: EventContext,
    ) -> Result<usize, SessionError> {
        let deadline = Instant::now() + BULK_TIMEOUT;
        let monitor = Arc::clone(&self.shared.monitor);
        let clear = move |store: &dyn SessionStore| {
            let facts = Facts {
                context,
                ..Facts::default()
            };
            let mut deleted = 0;
            let cleared = StoreAdmin::new(store).clear(now, |batch| {
                deleted += batch.len();
                monitor.ended(batch, EndReason::Cleared, &facts);
            });
            if Instant::now() >= deadline {
                match &cleared {
                    Ok(()) => tracing::info!("all {deleted} sessions have been ended"),
                    Err(error) => {
                        tracing::error!(
                            "{deleted} sessions have been ended, but not all of them: {error}"
                        );
                    }
                }
            }
            cleared.map(|()| deleted)
        };
        self.run_in(&self.long, deadline, clear).await
    }

    /// Ends all sessions of an address and returns their number. If this takes longer than the caller
    /// waits, it continues in the background and logs the number.
    pub(crate) async fn revoke_address(
        &self,
        ip: IpAddr,
        now: DateTime<Utc>,
        context: EventContext,
    ) -> Result<usize, SessionError> {
        let deadline = Instant::now() + BULK_TIMEOUT;
        let monitor = Arc::clone(&self.shared.monitor);
        let end = move |store: &dyn SessionStore| {
            let mut number = 0;
            let ended = StoreAdmin::new(store).revoke_address(ip, now, |batch| {
                number += batch.len();
                report_revoked(&monitor, batch, &context);
            });
            if Instant::now() >= deadline {
                tracing::info!("{number} sessions of one address have been ended");
            }
            ended.map(|()| number)
        };
        self.run_in(&self.long, deadline, end).await
    }

    /// Makes one step through the sessions.
    pub(crate) async fn scan(&self, scan: ScanSessions) -> Result<SessionScan, SessionError> {
        self.run(move |store| store.scan(&scan)).await
    }

    /// Returns the sessions with these lookup halves, even if they have expired.
    pub(crate) async fn records(
        &self,
        session_ids: Vec<Uuid>,
    ) -> Result<Vec<SessionRecord>, SessionError> {
        let one = |store: &dyn SessionStore, id| match store.load(&[id]) {
            // One unreadable row must not hide the others.
            Err(StoreError::Corrupt { .. }) => Ok(Vec::new()),
            loaded => loaded,
        };
        let load = move |store: &dyn SessionStore| match store.load(&session_ids) {
            Err(StoreError::Corrupt { .. }) => {
                let rows: Result<Vec<_>, _> =
                    session_ids.iter().map(|id| one(store, *id)).collect();
                Ok(rows?.concat())
            }
            loaded => loaded,
        };
        self.run(load).await
    }

    /// Runs one sweep pass, which ends when its caller stops waiting.
    pub(crate) async fn sweep(&self) -> Result<SweepReport, SessionError> {
        let deadline = Instant::now() + BULK_TIMEOUT;
        let sweep = Arc::clone(&self.sweep);
        let pass = move |_: &dyn SessionStore| sweep.pass(|| Instant::now() >= deadline);
        self.run_in(&self.long, deadline, pass).await
    }

    /// Returns the number of live sessions and the usage of the last `hours` hours.
    ///
    /// # Errors
    /// Returns [`SessionError::NoStatistics`] without statistics.
    pub(crate) async fn stats(
        &self,
        now: DateTime<Utc>,
        hours: u32,
    ) -> Result<SessionStats, SessionError> {
        self.ask(move |statistics| statistics.read(now, hours))
            .await
    }

    /// Returns the next deadlines of live sessions.
    ///
    /// # Errors
    /// Returns [`SessionError::NoStatistics`] without statistics.
    pub(crate) async fn next_expiries(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DateTime<Utc>>, SessionError> {
        self.ask(move |statistics| statistics.store().next_expiries(now, limit))
            .await
    }

    /// Returns the last sweep passes of all instances, newest first.
    ///
    /// # Errors
    /// Returns [`SessionError::NoStatistics`] without statistics.
    pub(crate) async fn sweeps(&self, limit: u32) -> Result<Vec<SweepRecord>, SessionError> {
        self.ask(move |statistics| statistics.store().sweeps(limit))
            .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Statistics) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let statistics = self.statistics.clone();
        let statistics = statistics.ok_or(SessionError::NoStatistics)?;
        self.run(move |_| ask(&statistics)).await
    }

    /// Runs a blocking call of the application.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.run(move |_| call()).await
    }

    /// Runs a call of the store within the timeout.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.run_in(&self.direct, self.deadline(), job).await
    }

    async fn run_in<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        deadline: Instant,
        job: impl FnOnce(&dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let result = match self.shared.breaker.ready(deadline).await {
            Ok(()) => {
                let calls = &self.calls;
                let slack = self.slack();
                calls.run(&self.shared, places, deadline, slack, job).await
            }
            Err(error) => Err(error),
        };
        result.map_err(|error| self.failed(error))
    }
}

/// Reports the end of sessions, to each user's events those of the user.
fn report_revoked(monitor: &Monitor, sessions: &[SessionRecord], context: &EventContext) {
    let mut of_owners: HashMap<(Option<&UserId>, &str), Vec<SessionHandle>> = HashMap::new();
    for session in sessions {
        let owner = (session.user_id.as_ref(), session.kind.as_str());
        of_owners.entry(owner).or_default().push(session.id.clone());
    }
    for ((user, kind), handles) in of_owners {
        let facts = Facts {
            user: user.cloned(),
            session_kind: kind.to_owned(),
            context: context.clone(),
        };
        monitor.ended(&handles, EndReason::Revoked, &facts);
    }
}
