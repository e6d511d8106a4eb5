//! Looking through all sessions in bounded steps, and ending those of one address.

use std::collections::HashMap;
use std::net::IpAddr;

use uuid::Uuid;

use super::{MAX_PAGE, SessionAdmin};
use crate::session::error::SessionError;
use crate::store::{ScanSessions, SessionRecord, SessionScan};

impl SessionAdmin {
    /// Makes one step through the live sessions: reads at most `scan.limit` rows, and at most
    /// 10,000, so that no step takes longer as the table grows. `scan.now` is set to the present
    /// time. The `data` of the sessions may be empty; [`load`](Self::load) reads it.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    /// use rocket_diesel_sessions::store::{ScanSessions, SessionRecord};
    ///
    /// /// Returns the sessions of a browser among the 5,000 newest ones.
    /// async fn of_firefox(admin: &SessionAdmin) -> Result<Vec<SessionRecord>, SessionError> {
    ///     let step = admin.scan(ScanSessions::new(chrono::Utc::now(), 5000)).await?;
    ///     let sessions = step.sessions.into_iter().map(|scanned| scanned.session);
    ///     let is_firefox = |agent: &String| agent.contains("Firefox");
    ///     Ok(sessions.filter(|session| session.user_agent.as_ref().is_some_and(is_firefox)).collect())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn scan(&self, mut scan: ScanSessions) -> Result<SessionScan, SessionError> {
        scan.now = self.clock.now();
        scan.limit = scan.limit.min(MAX_PAGE);
        let now = scan.now;
        let mut step = self.pipeline.scan(scan).await?;
        step.sessions.retain_mut(|scanned| {
            let live = self.policies.live(vec![scanned.session.clone()], now);
            let live = live.into_iter().next();
            let is_live = live.is_some();
            if let Some(session) = live {
                scanned.session = session;
            }
            is_live
        });
        Ok(step)
    }

    /// Returns the sessions with these lookup halves, in their order, with their data. Those that
    /// have ended are left out, as are those that cannot be read.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    /// use rocket_diesel_sessions::store::{SessionRecord, SessionScan};
    ///
    /// async fn whole(
    ///     admin: &SessionAdmin,
    ///     step: SessionScan,
    /// ) -> Result<Vec<SessionRecord>, SessionError> {
    ///     let ids = step.sessions.iter().map(|scanned| scanned.place.session_id).collect();
    ///     admin.load(ids).await
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn load(&self, session_ids: Vec<Uuid>) -> Result<Vec<SessionRecord>, SessionError> {
        let records = self.pipeline.records(session_ids.clone()).await?;
        let live = self.policies.live(records, self.clock.now());
        let mut by_id: HashMap<Uuid, SessionRecord> = live
            .into_iter()
            .map(|record| (record.session_id, record))
            .collect();
        Ok(session_ids
            .iter()
            .filter_map(|id| by_id.remove(id))
            .collect())
    }

    /// Ends the live sessions last used from an address, in batches, and returns their number. If
    /// this takes more than a minute, it continues in the background, and the log reports the
    /// number. Sessions that are created there in the meantime may end too.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::{SessionAdmin, SessionError};
    ///
    /// async fn block(admin: &SessionAdmin, ip: std::net::IpAddr) -> Result<(), SessionError> {
    ///     let ended = admin.revoke_address(ip).await?;
    ///     println!("{ended} sessions of {ip} ended");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store fails, and with [`SessionError::Timeout`] after a minute.
    pub async fn revoke_address(&self, ip: IpAddr) -> Result<usize, SessionError> {
        let context = self.context.clone();
        self.pipeline
            .revoke_address(ip, self.clock.now(), context)
            .await
    }
}
