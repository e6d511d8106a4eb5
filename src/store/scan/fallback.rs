//! Looks through the sessions of a store that can only list them.

use std::cmp::Ordering;

use super::{ScanSessions, SessionOrder, SessionPlace, SessionScan, SessionScope, forms};
use crate::store::error::StoreError;
use crate::store::record::SessionRecord;
use crate::store::request::ListSessions;
use crate::store::sessions::SessionStore;

/// How many sessions are listed at a time.
const PAGE: u32 = 1000;

/// Makes a step by listing. Lists all sessions, unless the scan goes forwards through the newest ones
/// of all or of one user.
pub(in crate::store) fn by_listing<S: SessionStore + ?Sized>(
    store: &S,
    scan: &ScanSessions,
) -> Result<SessionScan, StoreError> {
    let mut query = ListSessions::new(scan.now, scan.limit.saturating_add(1));
    if let SessionScope::User(user_id) = &scan.scope {
        query.user_id = Some(user_id.clone());
    }
    let is_listed = matches!(scan.scope, SessionScope::All | SessionScope::User(_))
        && scan.order == SessionOrder::NewestFirst
        && !scan.is_backwards;
    if is_listed {
        query.after = scan.after.map(|place| place.session_id);
        return Ok(SessionScan::of_rows(store.list(&query)?, scan));
    }
    let mut rows = Vec::new();
    query.limit = PAGE;
    loop {
        let page = store.list(&query)?;
        let is_last = page.len() < PAGE as usize;
        query.after = page.last().map(|row| row.session_id);
        rows.extend(page.into_iter().filter(|row| concerns(scan, row)));
        if is_last {
            break;
        }
    }
    rows.sort_by(|a, b| order(scan, &SessionPlace::of(a), &SessionPlace::of(b)));
    if matches!(scan.scope, SessionScope::HandlePrefix(_)) {
        rows.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    }
    rows.truncate(scan.limit as usize + 1);
    Ok(SessionScan::of_rows(rows, scan))
}

fn concerns(scan: &ScanSessions, row: &SessionRecord) -> bool {
    let is_in_scope = match &scan.scope {
        SessionScope::All => true,
        SessionScope::User(user_id) => row.user_id.as_ref() == Some(user_id),
        SessionScope::Address(ip) => row.ip.as_ref().is_some_and(|of| forms(*ip).contains(of)),
        SessionScope::HandlePrefix(prefix) => return row.id.as_str().starts_with(prefix.as_str()),
    };
    let is_after = |place| order(scan, &place, &SessionPlace::of(row)).is_lt();
    is_in_scope && scan.after.is_none_or(is_after)
}

/// Compares two places in the direction of the scan.
fn order(scan: &ScanSessions, a: &SessionPlace, b: &SessionPlace) -> Ordering {
    let is_by_address = matches!(scan.scope, SessionScope::Address(_));
    let order = match scan.order {
        SessionOrder::ExpiringFirst if !is_by_address => {
            (a.expires_at, a.session_id).cmp(&(b.expires_at, b.session_id))
        }
        _ => b.session_id.cmp(&a.session_id),
    };
    if scan.is_backwards {
        order.reverse()
    } else {
        order
    }
}
