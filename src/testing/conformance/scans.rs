//! Checks of looking through the sessions in steps.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Checked, new_session, now, same};
use crate::store::{
    NewSession, ScanSessions, SessionOrder, SessionRecord, SessionScope, SessionStore, StoreError,
};

/// Creates sessions of three addresses, which expire in another order than they were created in.
fn some(store: &dyn SessionStore, now: DateTime<Utc>) -> Result<Vec<SessionRecord>, StoreError> {
    let ips = ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::7"];
    let new = |(number, ip): (u32, &str)| NewSession {
        id: format!("scan{}{number}x", number % 2).into(),
        ip: Some(ip.to_owned()),
        // Every third has expired.
        expires_at: now + TimeDelta::minutes(i64::from((number * 7) % 9)) - TimeDelta::minutes(2),
        ..new_session(now)
    };
    let made: Vec<NewSession> = (0..9).zip(ips.into_iter().cycle()).map(new).collect();
    store.create(&made)?;
    Ok(made.into_iter().map(NewSession::into_record).collect())
}

/// Returns the lookup halves of all sessions that the scan meets, in steps of this many rows.
fn met(store: &dyn SessionStore, scan: &ScanSessions, limit: u32) -> Result<Vec<Uuid>, StoreError> {
    let mut scan = ScanSessions {
        limit,
        ..scan.clone()
    };
    let mut met = Vec::new();
    loop {
        let step = store.scan(&scan)?;
        met.extend(step.sessions.iter().map(|one| one.session.session_id));
        match step.next {
            Some(next) => scan.after = Some(next),
            None => return Ok(met),
        }
    }
}

pub(super) fn scans_meet_all_live_sessions_in_order(store: &dyn SessionStore) -> Checked {
    const CHECK: &str = "a scan meets each live session of its scope once, in its order";
    let now = now();
    while !store.clear(now, 1000)?.is_empty() {}
    let mut live = some(store, now)?;
    live.retain(|row| row.expires_at > now);
    let of = |ips: &[&str]| -> Vec<Uuid> {
        let rows = live.iter().rev();
        let rows = rows.filter(|row| row.ip.as_deref().is_some_and(|ip| ips.contains(&ip)));
        rows.map(|row| row.session_id).collect()
    };
    let newest: Vec<Uuid> = live.iter().rev().map(|row| row.session_id).collect();
    let mut by_expiry: Vec<&SessionRecord> = live.iter().collect();
    by_expiry.sort_by_key(|row| row.expires_at);
    let expiring: Vec<Uuid> = by_expiry.iter().map(|row| row.session_id).collect();
    let address = |ip: &str| ip.parse().map_or(SessionScope::All, SessionScope::Address);
    for (scope, order, expected) in [
        (SessionScope::All, SessionOrder::NewestFirst, newest),
        (SessionScope::All, SessionOrder::ExpiringFirst, expiring),
        (
            SessionScope::User("no one".into()),
            SessionOrder::NewestFirst,
            Vec::new(),
        ),
        (
            address("192.0.2.7"),
            SessionOrder::NewestFirst,
            of(&["192.0.2.7", "::ffff:192.0.2.7"]),
        ),
        (
            address("2001:db8::7"),
            SessionOrder::NewestFirst,
            of(&["2001:db8::7"]),
        ),
    ] {
        let scan = ScanSessions {
            scope,
            order,
            ..ScanSessions::new(now, 0)
        };
        let backwards = ScanSessions {
            is_backwards: true,
            ..scan.clone()
        };
        let reversed: Vec<Uuid> = expected.iter().rev().copied().collect();
        for limit in [1, 2, 100] {
            same(CHECK, met(store, &scan, limit)?, expected.clone())?;
            same(CHECK, met(store, &backwards, limit)?, reversed.clone())?;
        }
    }
    by_handle(store, &live, now)
}

fn by_handle(store: &dyn SessionStore, live: &[SessionRecord], now: DateTime<Utc>) -> Checked {
    const CHECK: &str = "a scan finds sessions by the beginning of their handles";
    let mut scan = ScanSessions::new(now, 100);
    for prefix in ["scan", "scan0", "scan1", "scan18x", "scan18xy", "can"] {
        let fits = |row: &&SessionRecord| row.id.as_str().starts_with(prefix);
        let mut expected: Vec<_> = live.iter().filter(fits).map(|row| row.id.clone()).collect();
        expected.sort();
        scan.scope = SessionScope::HandlePrefix(prefix.to_owned());
        let found = store.scan(&scan)?.sessions;
        let found: Vec<_> = found.into_iter().map(|one| one.session.id).collect();
        same(CHECK, found, expected)?;
    }
    Ok(())
}
