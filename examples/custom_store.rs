//! Sessions kept in a store of one's own: here a map in memory, which a restart forgets.
//! `cargo test --example custom_store` checks that it does all that a store must do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use rocket::{get, launch, routes};
use rocket_diesel_sessions::store::{
    ListSessions, LoginOutcome, LoginSession, Revocation, RotateSession, SaveOutcome,
    SessionRecord, SessionStore, StoreError, SweepBatch, SweepOutcome, WriteBatch, WriteOutcome,
};
use rocket_diesel_sessions::{Session, SessionError, SessionHandle, Sessions};
use uuid::Uuid;

/// The sessions by handle.
type Rows = BTreeMap<SessionHandle, SessionRecord>;

#[derive(Default)]
struct MemoryStore(Mutex<Rows>);

impl MemoryStore {
    /// Locks all rows until the end of a call, which is this store's transaction.
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends at most `limit` sessions that `is_meant`; returns their handles.
fn end(
    rows: &mut Rows,
    limit: usize,
    is_meant: impl Fn(&SessionRecord) -> bool,
) -> Vec<SessionHandle> {
    let meant = rows.values().filter(|row| is_meant(row)).take(limit);
    let ended: Vec<_> = meant.map(|row| row.id.clone()).collect();
    rows.retain(|handle, _| !ended.contains(handle));
    ended
}

/// Replaces the row for which `change` returns another. Returns whether there is one.
fn change(rows: &mut Rows, change: impl Fn(SessionRecord) -> Option<SessionRecord>) -> bool {
    let changed = rows.values().find_map(|row| change(row.clone()));
    let is_changed = changed.is_some();
    rows.extend(changed.map(|row| (row.id.clone(), row)));
    is_changed
}

impl SessionStore for MemoryStore {
    fn load(&self, session_ids: &[Uuid]) -> Result<Vec<SessionRecord>, StoreError> {
        let rows = self.rows();
        let asked = rows
            .values()
            .filter(|row| session_ids.contains(&row.session_id));
        Ok(asked.cloned().collect())
    }

    fn find(&self, handle: &SessionHandle) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.rows().get(handle).cloned())
    }

    fn write(&self, batch: &WriteBatch<'_>) -> Result<WriteOutcome, StoreError> {
        let mut rows = self.rows();
        let mut changed = rows.clone();
        for new in batch.creates {
            let is_token = |row: &SessionRecord| row.session_id == new.session_id;
            if changed.contains_key(&new.id) || changed.values().any(is_token) {
                return Err(StoreError::constraint("the id is taken"));
            }
            changed.insert(new.id.clone(), new.clone().into_record());
        }
        let mut written = WriteOutcome::default();
        for save in batch.saves {
            let is_saved = change(&mut changed, |row| save.saved(row));
            let outcome = if is_saved {
                SaveOutcome::Saved
            } else {
                SaveOutcome::Refused
            };
            written.saved.push(outcome);
        }
        for touch in batch.touches {
            written.touched += usize::from(change(&mut changed, |row| touch.touched(row)));
        }
        *rows = changed;
        Ok(written)
    }

    fn rotate(&self, rotations: &[RotateSession]) -> Result<Vec<bool>, StoreError> {
        let mut rows = self.rows();
        let rotations = rotations.iter();
        Ok(rotations
            .map(|rotation| change(&mut rows, |row| rotation.rotated(row)))
            .collect())
    }

    fn login(&self, login: &LoginSession) -> Result<LoginOutcome, StoreError> {
        if login.password_hash.is_some() {
            // There are no passwords here to compare it with.
            return Ok(LoginOutcome::UserRefused);
        }
        let mut rows = self.rows();
        let concerned = rows.values().filter(|row| login.concerns(row));
        let changes = login.changes(&concerned.cloned().collect::<Vec<_>>())?;
        rows.retain(|handle, _| !changes.ended().contains(handle));
        rows.extend(changes.session.map(|row| (row.id.clone(), row)));
        Ok(changes.outcome)
    }

    fn revoke(&self, revocation: &Revocation) -> Result<Option<Vec<SessionHandle>>, StoreError> {
        let mut rows = self.rows();
        let by = revocation.by.map(|by| by.session_id);
        let acting = rows.values().find(|row| Some(row.session_id) == by);
        let is_allowed = revocation.is_allowed_by(acting);
        Ok(is_allowed.then(|| end(&mut rows, usize::MAX, |row| revocation.ends(row))))
    }

    fn delete(&self, handles: &[SessionHandle]) -> Result<Vec<SessionHandle>, StoreError> {
        Ok(end(&mut self.rows(), usize::MAX, |row| {
            handles.contains(&row.id)
        }))
    }

    fn clear(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<SessionHandle>, StoreError> {
        Ok(end(&mut self.rows(), limit as usize, |row| {
            row.created_at <= now
        }))
    }

    fn list(&self, query: &ListSessions) -> Result<Vec<SessionRecord>, StoreError> {
        let rows = self.rows();
        let mut page: Vec<_> = rows
            .values()
            .filter(|row| query.lists(row))
            .cloned()
            .collect();
        page.sort_by_key(|row| std::cmp::Reverse(row.session_id));
        page.truncate(query.limit as usize);
        Ok(page)
    }

    fn sweep(&self, batch: &SweepBatch) -> Result<SweepOutcome, StoreError> {
        let mut swept = SweepOutcome::default();
        swept.handles = end(&mut self.rows(), batch.limit as usize, |row| {
            row.expires_at <= batch.now
        });
        swept.deleted = swept.handles.len();
        Ok(swept)
    }

    fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[get("/")]
async fn index(session: Session<u64>) -> Result<String, SessionError> {
    let count = session.update(|count| {
        *count += 1;
        *count
    });
    Ok(format!("visit number {}\n", count.await?))
}

#[launch]
fn rocket() -> _ {
    rocket::build()
        .attach(Sessions::<u64>::fairing().store(Arc::new(MemoryStore::default())))
        .mount("/", routes![index])
}

#[cfg(test)]
mod tests {
    use rocket_diesel_sessions::testing::conformance;

    use super::*;

    #[test]
    fn it_does_all_that_a_store_must_do() {
        let store = MemoryStore::default();
        conformance::run(&store).unwrap();
        conformance::run_with_external_users(&store, ["1", "2"]).unwrap();
    }
}
