//! Compares the stored rows after a step with the possible ones.

use std::time::{Duration, Instant};

use rocket::tokio;
use uuid::Uuid;

use super::play::{Changes, Checked, Play};
use super::world::{Seen, Time};
use crate::support::wait_for;

impl Play<'_> {
    /// Compares the stored rows with the possible ones, and continues with them. Touches and undos
    /// take a moment.
    pub(super) async fn reconcile(&mut self, changes: &Changes, window: (Time, Time)) -> Checked {
        let patience = Duration::from_millis(if self.app.has_faults { 10_000 } else { 3_000 });
        let start = Instant::now();
        let stored = loop {
            match self.compare(changes, window) {
                Ok(stored) => break stored,
                Err(error) if start.elapsed() > patience => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        let world = &mut self.world;
        for (id, now) in stored {
            let row = world.rows.get_mut(&id).expect("known");
            let old = (row.cookie.clone(), row.seen.session_id);
            let has_kept = now.as_ref().map(|now| now.session_id) == Some(old.1);
            if !has_kept {
                world.dead.push(old);
            }
            match now {
                Some(seen) if has_kept => row.seen = seen,
                Some(seen) => {
                    let issued = self
                        .issued
                        .iter()
                        .find(|(token, _)| *token == seen.session_id);
                    let (_, cookie) = issued.expect("a token that was handed out");
                    row.cookie.clone_from(cookie);
                    row.seen = seen;
                }
                None => drop(world.rows.remove(&id)),
            }
        }
        for (session_id, cookie) in self.issued.drain(..) {
            if !world.knows(&cookie) {
                world.dead.push((cookie, session_id));
            }
        }
        Ok(())
    }

    /// Waits until the touch that a load at this time causes is written.
    pub(super) async fn wait_for_touch(&self, cookie: Option<&str>, now: Time) {
        let Some((id, row)) = self.world.by_cookie(cookie) else {
            return;
        };
        if self.app.has_faults || !row.seen.is_live(now) {
            return;
        }
        wait_for("activity is written", async || {
            let stored = self.app.ground.find(&(&id).into()).unwrap();
            stored.is_some_and(|stored| !Seen::from(&stored).touch_is_due(now))
        })
        .await;
    }

    fn compare(
        &self,
        changes: &Changes,
        window: (Time, Time),
    ) -> Result<Vec<(String, Option<Seen>)>, String> {
        let ground = &self.app.ground;
        let mut stored = Vec::new();
        for (id, row) in &self.world.rows {
            let now = ground.find(&id.into()).map_err(|error| error.to_string())?;
            let now = now.as_ref().map(Seen::from);
            let is_explained = match changes.get(id) {
                Some((possible, touch)) => possible
                    .iter()
                    .any(|one| one.explains(&row.seen, now.as_ref(), *touch, window)),
                None => match &now {
                    Some(now) => *now == row.seen,
                    None => row.seen.is_expired(window.1),
                },
            };
            if !is_explained {
                return Err(format!(
                    "{id} was {:?} and is {now:?}; it may be {:?}",
                    row.seen,
                    changes.get(id)
                ));
            }
            stored.push((id.clone(), now));
        }
        let dead: Vec<Uuid> = self.world.dead.iter().map(|(_, token)| *token).collect();
        match ground
            .load(&dead)
            .map_err(|error| error.to_string())?
            .first()
        {
            Some(record) => Err(format!("I2: a dead token lives again: {record:?}")),
            None => Ok(stored),
        }
    }

    /// Checks that dead cookies are not answered as if they were live.
    pub(super) async fn replay_the_dead(&mut self) -> Checked {
        self.app.settle().await?;
        for (cookie, _) in &self.world.dead {
            for instance in 0..2 {
                let mut reply = self.app.get(instance, "read", Some(cookie)).await;
                while self.app.has_faults && reply.status == 503 {
                    // The machine may be slower than the short timeout.
                    self.app.settle().await?;
                    reply = self.app.get(instance, "read", Some(cookie)).await;
                }
                let is_empty = reply
                    .view
                    .as_ref()
                    .is_some_and(|view| view.session.is_none());
                if !is_empty || reply.set_cookie.is_some() {
                    return Err(format!("I2: a dead cookie is answered {reply:?}"));
                }
            }
        }
        Ok(())
    }
}
