//! Touches of sessions that are not yet written.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::session::pipeline::job::Moment;
use crate::store::{SessionRecord, TouchSession};

/// A touch that is to be written if its session is still live.
struct Activity {
    touch: TouchSession,
    /// The session's deadline without this touch.
    alive_until: DateTime<Utc>,
    came: Moment,
}

impl Activity {
    /// Returns whether the session is still live. If not, a request may have been refused, and the
    /// session must not be served again.
    fn is_in_time(&self) -> bool {
        self.came.present() < self.alive_until
    }

    /// Returns whether both touches can be written as one: the session is live at the later touch
    /// even without the earlier one.
    fn can_take(&self, other: &Self) -> bool {
        other.touch.now < self.alive_until
    }

    /// Merges two touches of one session. The later times count.
    fn merge(&mut self, other: Self) {
        let (kept, touch) = (&mut self.touch, other.touch);
        kept.expires_at = kept.expires_at.max(touch.expires_at);
        if touch.now >= kept.now {
            kept.now = touch.now;
            kept.user_agent = touch.user_agent.or(kept.user_agent.take());
            kept.ip = touch.ip.or(kept.ip.take());
            self.came = other.came;
        }
    }
}

/// The activity of a session that is not yet in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session::pipeline) struct Seen {
    /// The first activity. The rest counts only if the session was live at that time.
    pub(in crate::session::pipeline) first: DateTime<Utc>,
    /// The last activity.
    pub(in crate::session::pipeline) last: DateTime<Utc>,
    /// The resulting deadline.
    pub(in crate::session::pipeline) until: DateTime<Utc>,
}

impl Seen {
    /// Adds the activity to a row that was read after it.
    pub(in crate::session::pipeline) fn apply(self, record: &mut Arc<SessionRecord>) {
        if record.expires_at > self.first {
            let record = Arc::make_mut(record);
            let deadline = self.until.min(record.absolute_expires_at);
            record.expires_at = record.expires_at.max(deadline);
            record.last_seen_at = record.last_seen_at.max(self.last);
        }
    }
}

/// The waiting touches, and those of running turns.
#[derive(Default)]
pub(super) struct Touches {
    /// The touches per session that cannot be merged, in their order.
    waiting: HashMap<Uuid, Vec<Activity>>,
    /// When the first waiting touch arrived.
    since: Option<Instant>,
    writing: HashMap<Uuid, Activity>,
    /// The touches of sessions in `writing`. Written beside the touch before, they would find the
    /// row locked, and a touch leaves locked rows out.
    behind: HashMap<Uuid, Vec<Activity>>,
}

impl Touches {
    /// Adds a touch of a session that expires at `alive_until` without it, unless touches of `most`
    /// sessions are already waiting.
    pub(super) fn push(
        &mut self,
        touch: TouchSession,
        alive_until: DateTime<Utc>,
        came: Moment,
        most: usize,
    ) {
        let is_full = self.waiting.len() + self.behind.len() >= most;
        let is_behind = self.writing.contains_key(&touch.session_id);
        let touches = if is_behind {
            &mut self.behind
        } else {
            &mut self.waiting
        };
        if is_full && !touches.contains_key(&touch.session_id) {
            return;
        }
        if !is_behind {
            self.since.get_or_insert_with(Instant::now);
        }
        let waiting = touches.entry(touch.session_id).or_default();
        let activity = Activity {
            touch,
            alive_until,
            came,
        };
        match waiting.last_mut() {
            Some(last) if last.can_take(&activity) => last.merge(activity),
            _ => waiting.push(activity),
        }
    }

    /// Returns whether all touches are written.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.writing.is_empty()
    }

    /// Returns whether there is no touch to take out now.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns when the first waiting touch arrived.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Takes out one touch each of at most `most` sessions, to be written.
    pub(super) fn take(&mut self, most: usize) -> Vec<TouchSession> {
        let sessions: Vec<Uuid> = self.waiting.keys().take(most).copied().collect();
        let mut taken = Vec::with_capacity(sessions.len());
        for id in sessions {
            let Some(mut waiting) = self.waiting.remove(&id) else {
                continue;
            };
            let first = waiting.remove(0);
            let is_in_time = first.is_in_time();
            if is_in_time {
                taken.push(first.touch.clone());
                self.writing.insert(id, first);
            }
            if !waiting.is_empty() {
                let touches = if is_in_time {
                    &mut self.behind
                } else {
                    &mut self.waiting
                };
                touches.insert(id, waiting);
            }
        }
        if self.waiting.is_empty() {
            self.since = None;
        }
        taken
    }

    /// Records that the touch of a session was written or will not be.
    pub(super) fn written(&mut self, session_id: &Uuid) {
        self.writing.remove(session_id);
        if let Some((id, next)) = self.behind.remove_entry(session_id) {
            self.waiting.insert(id, next);
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// Returns the activity of a session that is not yet written.
    pub(super) fn seen(&self, session_id: &Uuid) -> Option<Seen> {
        let waiting = self.waiting.get(session_id);
        let waiting = waiting.or_else(|| self.behind.get(session_id));
        let waiting = waiting.into_iter().flatten();
        let mut touches = self.writing.get(session_id).into_iter().chain(waiting);
        let first = touches.next().filter(|first| first.is_in_time())?;
        let mut seen = Seen {
            first: first.touch.now,
            last: first.touch.now,
            until: first.touch.expires_at,
        };
        for later in touches {
            seen.last = seen.last.max(later.touch.now);
            seen.until = seen.until.max(later.touch.expires_at);
        }
        Some(seen)
    }
}
