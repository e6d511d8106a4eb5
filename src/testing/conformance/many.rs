//! Checks of operations on many sessions: finding live ones, listing them page by page, and deleting
//! expired ones.

use chrono::TimeDelta;

use super::{Checked, created, load, now, same};
use crate::store::{ListSessions, SessionStore, SweepBatch};

fn clear(store: &dyn SessionStore) -> Checked {
    while !store.clear(now(), 1000)?.is_empty() {}
    Ok(())
}

pub(super) fn live_sessions_are_found(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "of the sessions asked for, those that are live are found";
    let now = now();
    let live = created(store, now)?;
    let expired = created(store, now - TimeDelta::days(1))?;
    created(store, now)?;
    let ids = ["gone".into(), expired.id, live.id.clone()];
    let before = live.expires_at - TimeDelta::microseconds(1);
    same(CHECK, store.find_live(&ids, before)?, vec![live.id])?;
    same(CHECK, store.find_live(&ids, live.expires_at)?, Vec::new())?;
    same(CHECK, store.find_live(&[], now)?, Vec::new())
}

pub(super) fn a_list_is_paged_newest_first(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a list contains only live sessions, newest first, page by page";
    let now = now();
    clear(store)?;
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.insert(0, created(store, now)?.session_id);
    }
    let mut query = ListSessions {
        now,
        after: None,
        user_id: None,
        kind: None,
        limit: 2,
    };
    let mut seen = Vec::new();
    loop {
        let page = store.list(&query)?;
        let Some(last) = page.last() else { break };
        query.after = Some(last.session_id);
        seen.extend(page.iter().map(|record| record.session_id));
    }
    same(CHECK, seen, expected)?;
    let late = ListSessions {
        now: now + TimeDelta::days(1),
        after: None,
        ..query.clone()
    };
    same(CHECK, store.list(&late)?, Vec::new())?;
    let nobodys = ListSessions {
        after: None,
        user_id: Some("nobody".into()),
        ..query
    };
    same(CHECK, store.list(&nobodys)?, Vec::new())
}

pub(super) fn a_sweep_deletes_only_expired_sessions(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a sweep deletes only expired sessions, one batch at a time";
    let now = now();
    clear(store)?;
    let live = created(store, now)?;
    let mut expired = Vec::new();
    for _ in 0..3 {
        expired.push(created(store, now - TimeDelta::days(1))?.id);
    }
    expired.sort();
    let batch = |handles| SweepBatch {
        now,
        limit: 2,
        from: None,
        handles,
        contended: false,
    };
    let swept = [store.sweep(&batch(true))?, store.sweep(&batch(true))?];
    same(CHECK, swept.each_ref().map(|swept| swept.deleted), [2, 1])?;
    let mut handles = swept.map(|swept| swept.handles).concat();
    handles.sort();
    same(CHECK, handles, expired)?;
    same(CHECK, store.sweep(&batch(true))?.handles, Vec::new())?;
    for _ in 0..3 {
        created(store, now - TimeDelta::days(1))?;
    }
    for deleted in [2, 1, 0] {
        same(CHECK, store.sweep(&batch(false))?.deleted, deleted)?;
    }
    same(CHECK, load(store, live.session_id)?, Some(live.clone()))?;
    let before = now - TimeDelta::microseconds(1);
    same(CHECK, store.clear(before, 10)?, Vec::new())?;
    same(CHECK, store.clear(now, 10)?, vec![live.id])?;
    same(CHECK, store.clear(now, 10)?, Vec::new())?;
    store.ping()?;
    same(CHECK, store.max_writers() > 0, true)
}
