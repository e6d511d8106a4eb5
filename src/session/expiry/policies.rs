//! The timeouts of all kinds of session that share a store.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use parking_lot::RwLock;

use super::{ExpiryPolicy, is_expired};
use crate::store::SessionRecord;

/// The timeouts of each kind of session.
#[derive(Default)]
pub(crate) struct Policies(RwLock<HashMap<String, ExpiryPolicy>>);

impl Policies {
    /// Sets the timeouts of a kind.
    pub(crate) fn set(&self, kind: &str, policy: ExpiryPolicy) {
        self.0.write().insert(kind.to_owned(), policy);
    }

    /// Returns the row with its effective deadlines. Rows of kinds that are not attached keep the
    /// stored ones.
    pub(crate) fn effective(&self, record: SessionRecord) -> SessionRecord {
        match self.0.read().get(&record.kind) {
            Some(policy) => policy.effective(record),
            None => record,
        }
    }

    /// Returns the sessions that may be served, with their effective deadlines.
    pub(crate) fn live(
        &self,
        sessions: Vec<SessionRecord>,
        now: DateTime<Utc>,
    ) -> Vec<SessionRecord> {
        let effective = sessions.into_iter().map(|record| self.effective(record));
        effective
            .filter(|record| !is_expired(record, now))
            .collect()
    }
}
