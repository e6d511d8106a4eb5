//! Checks of operations on users: signing them in, and ending only their sessions.

use chrono::TimeDelta;
use uuid::Uuid;

use super::{Checked, created, load, login, now, same, withdrawals, write};
use crate::store::{
    ListSessions, LoginOutcome, OnSessionLimit, Revocation, RevokeScope, SaveOutcome,
    SessionHandle, SessionLimit, SessionRecord, SessionStore, SignIn, StoreError, UserId,
    UserPresence,
};

type Check = fn(&dyn SessionStore, [&str; 2]) -> Checked;

/// Runs the checks that need users, up to the first failure. Both `users` must exist.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::testing::{MemoryStore, conformance};
///
/// let store = MemoryStore::with_users(["ada", "bob"]);
/// conformance::run_with_users(&store, ["ada", "bob"]).unwrap();
/// ```
///
/// # Errors
/// Returns a [`Violation`](super::Violation) that names the failed check.
pub fn run_with_users(store: &dyn SessionStore, users: [&str; 2]) -> Checked {
    a_user_who_does_not_exist_is_refused(store, users)?;
    run_with_external_users(store, users)
}

/// Runs the checks for a store that accepts any user id because the application keeps the users, up
/// to the first failure.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::testing::{MemoryStore, conformance};
///
/// let store = MemoryStore::default();
/// conformance::run_with_external_users(&store, ["1", "2"]).unwrap();
/// ```
///
/// # Errors
/// Returns a [`Violation`](super::Violation) that names the failed check.
pub fn run_with_external_users(store: &dyn SessionStore, users: [&str; 2]) -> Checked {
    const CHECKS: [Check; 9] = [
        a_login_keeps_the_session_under_a_new_token,
        a_login_without_a_live_session_creates_one,
        a_login_never_hands_over_another_users_session,
        a_login_keeps_to_the_limit,
        kinds_of_session_are_kept_apart,
        a_revocation_ends_only_the_users_sessions,
        live_sessions_of_users_are_counted,
        withdrawals::a_login_can_be_withdrawn,
        withdrawals::a_login_starts_a_new_absolute_lifetime,
    ];
    CHECKS.iter().try_for_each(|check| {
        for user in users {
            store.revoke(&revocation(user, RevokeScope::All))?;
        }
        check(store, users)
    })
}

fn revocation(user: &str, scope: RevokeScope) -> Revocation {
    Revocation {
        user_id: user.into(),
        scope,
        kind: None,
        by: None,
    }
}

/// Returns the user's live sessions, newest token first.
fn sessions_of(store: &dyn SessionStore, user: &str) -> Result<Vec<SessionRecord>, StoreError> {
    store.list(&ListSessions {
        now: now(),
        after: None,
        user_id: Some(user.into()),
        kind: None,
        limit: 100,
    })
}

fn a_login_keeps_the_session_under_a_new_token(
    store: &dyn SessionStore,
    [user, _]: [&str; 2],
) -> Checked {
    const CHECK: &str = "a login changes token, user and activity, and never moves a deadline back";
    const AGAIN: &str =
        "another login of the same user keeps the session and moves the idle deadline forward";
    let start = now();
    let record = created(store, start)?;
    let later = start + TimeDelta::seconds(1);
    let mut request = login(user, Some(&record), later);
    request.fresh.ip = Some("::1".to_owned());
    if let Some(session) = &mut request.session {
        session.expires_at = record.expires_at - TimeDelta::hours(1);
    }
    let outcome = store.login(&request)?;
    same(CHECK, outcome, LoginOutcome::Bound(Vec::new()))?;
    same(CHECK, load(store, record.session_id)?, None)?;
    let saved = store.save(&[write(&record, "1", later)])?;
    same(CHECK, saved, vec![SaveOutcome::Refused])?;
    let expected = SessionRecord {
        session_id: request.fresh.session_id,
        token_hash: request.fresh.token_hash,
        user_id: Some(user.into()),
        last_seen_at: later,
        ip: Some("::1".to_owned()),
        updated_at: later,
        ..record
    };
    same(
        CHECK,
        load(store, expected.session_id)?,
        Some(expected.clone()),
    )?;

    let mut request = login(user, Some(&expected), later);
    if let Some(session) = &mut request.session {
        session.expires_at = expected.expires_at + TimeDelta::hours(1);
    }
    let outcome = store.login(&request)?;
    same(AGAIN, outcome, LoginOutcome::Bound(Vec::new()))?;
    let kept = load(store, request.fresh.session_id)?.map(|record| (record.id, record.expires_at));
    let deadline = expected.expires_at + TimeDelta::hours(1);
    same(AGAIN, kept, Some((expected.id, deadline)))
}

fn a_login_without_a_live_session_creates_one(
    store: &dyn SessionStore,
    [user, _]: [&str; 2],
) -> Checked {
    const CHECK: &str = "a login without a live session creates one";
    let now = now();
    let expired = created(store, now - TimeDelta::days(1))?;
    let stranger = SessionRecord {
        session_id: Uuid::now_v7(),
        ..expired.clone()
    };
    for session in [None, Some(&expired), Some(&stranger)] {
        let request = login(user, session, now);
        let outcome = store.login(&request)?;
        same(CHECK, outcome, LoginOutcome::Created(Vec::new()))?;
        let mut expected = request.fresh.into_record();
        expected.user_id = Some(user.into());
        same(CHECK, load(store, expected.session_id)?, Some(expected))?;
    }
    same(CHECK, load(store, expired.session_id)?, Some(expired))
}

fn a_login_never_hands_over_another_users_session(
    store: &dyn SessionStore,
    [user, other]: [&str; 2],
) -> Checked {
    const CHECK: &str = "a login ends a session of another user and creates a new one";
    let now = now();
    let request = login(other, None, now);
    store.login(&request)?;
    let others = load(store, request.fresh.session_id)?;
    let request = login(user, others.as_ref(), now);
    let ended = others.iter().map(|record| record.id.clone()).collect();
    same(CHECK, store.login(&request)?, LoginOutcome::Created(ended))?;
    same(CHECK, sessions_of(store, other)?, Vec::new())?;
    let mine = load(store, request.fresh.session_id)?;
    let id = mine.as_ref().map(|record| record.id.clone());
    same(CHECK, id, Some(request.fresh.id))
}

fn a_user_who_does_not_exist_is_refused(store: &dyn SessionStore, [user, _]: [&str; 2]) -> Checked {
    const CHECK: &str = "a user who does not exist or has a different password is not signed in";
    let now = now();
    let record = created(store, now)?;
    let mut request = login("nobody", Some(&record), now);
    same(CHECK, store.login(&request)?, LoginOutcome::UserRefused)?;
    request.user_id = user.into();
    request.password_hash = Some("a hash that no user has".to_owned());
    same(CHECK, store.login(&request)?, LoginOutcome::UserRefused)?;
    same(CHECK, load(store, request.fresh.session_id)?, None)?;
    same(CHECK, load(store, record.session_id)?, Some(record))
}

fn a_login_keeps_to_the_limit(store: &dyn SessionStore, [user, other]: [&str; 2]) -> Checked {
    const CHECK: &str = "a login ends the user's oldest sessions beyond the limit, and no others";
    const REFUSED: &str = "a login refused at the limit changes nothing";
    let now = now();
    store.login(&login(other, None, now))?;
    let mut logins = Vec::new();
    for _ in 0..4 {
        let mut request = login(user, None, now);
        request.limit.max = 2;
        logins.push((request.fresh.id.clone(), store.login(&request)?));
    }
    let ended = |of: usize| LoginOutcome::Created(vec![logins[of].0.clone()]);
    let none = LoginOutcome::Created(Vec::new());
    let seen: Vec<LoginOutcome> = logins.iter().map(|(_, outcome)| outcome.clone()).collect();
    same(CHECK, seen, vec![none.clone(), none, ended(0), ended(1)])?;
    same(CHECK, sessions_of(store, other)?.len(), 1)?;

    let before = sessions_of(store, user)?;
    let mut request = login(user, None, now);
    request.limit = SessionLimit {
        max: 2,
        on_limit: OnSessionLimit::Refuse,
    };
    same(REFUSED, store.login(&request)?, LoginOutcome::LimitReached)?;
    same(REFUSED, sessions_of(store, user)?, before.clone())?;
    // A session that already belongs to the user does not count twice.
    let mut request = login(user, before.first(), now);
    request.limit = SessionLimit {
        max: 2,
        on_limit: OnSessionLimit::Refuse,
    };
    let outcome = store.login(&request)?;
    same(REFUSED, outcome, LoginOutcome::Bound(Vec::new()))
}

fn kinds_of_session_are_kept_apart(store: &dyn SessionStore, [user, _]: [&str; 2]) -> Checked {
    const CHECK: &str =
        "logins, lists and revocations of one kind of session leave the others alone";
    let now = now();
    let mut staff = login(user, None, now);
    staff.fresh.kind = String::from("staff");
    store.login(&staff)?;
    let mut request = login(user, None, now);
    request.limit.max = 1;
    let outcome = store.login(&request)?;
    same(CHECK, outcome, LoginOutcome::Created(Vec::new()))?;
    let mut listed = Vec::new();
    for kind in ["staff", ""] {
        listed.extend(store.list(&ListSessions {
            now,
            after: None,
            user_id: Some(user.into()),
            kind: Some(kind.to_owned()),
            limit: 100,
        })?);
    }
    let handles: Vec<_> = listed.into_iter().map(|record| record.id).collect();
    let (staff, other) = (staff.fresh.id, request.fresh.id);
    same(CHECK, handles, vec![staff.clone(), other.clone()])?;
    let ended = store.revoke(&Revocation {
        kind: Some("staff".to_owned()),
        ..revocation(user, RevokeScope::All)
    })?;
    same(CHECK, ended, Some(vec![staff]))?;
    same(CHECK, store.find(&other)?.is_some(), true)
}

fn a_revocation_ends_only_the_users_sessions(
    store: &dyn SessionStore,
    [user, other]: [&str; 2],
) -> Checked {
    const CHECK: &str = "a revocation ends only its user's sessions: one, all others or all";
    let now = now();
    let anonymous = created(store, now)?;
    let mut ids = Vec::new();
    for owner in [user, user, user, other] {
        let request = login(owner, None, now);
        store.login(&request)?;
        ids.push(request.fresh.id);
    }
    let revoke = |scope: RevokeScope| {
        let mut ended = store.revoke(&revocation(user, scope))?.unwrap_or_default();
        ended.sort();
        Ok::<_, StoreError>(ended)
    };
    let one = |id: &SessionHandle| RevokeScope::One(id.clone());
    same(CHECK, revoke(one(&ids[3]))?, Vec::new())?;
    same(CHECK, revoke(one(&anonymous.id))?, Vec::new())?;
    same(CHECK, revoke(one(&ids[0]))?, vec![ids[0].clone()])?;
    same(CHECK, revoke(one(&ids[0]))?, Vec::new())?;
    let others = revoke(RevokeScope::AllBut(ids[1].clone()))?;
    same(CHECK, others, vec![ids[2].clone()])?;
    same(CHECK, revoke(RevokeScope::All)?, vec![ids[1].clone()])?;
    same(CHECK, sessions_of(store, other)?.len(), 1)?;
    same(CHECK, load(store, anonymous.session_id)?, Some(anonymous))
}

fn live_sessions_of_users_are_counted(
    store: &dyn SessionStore,
    [user, other]: [&str; 2],
) -> Checked {
    const CHECK: &str = "the live sessions of users are counted, and the newest sign-in is known";
    let start = now();
    let mut last = None;
    for seconds in [2, 1, 0] {
        let mut request = login(user, None, start);
        let at = start - TimeDelta::seconds(seconds);
        request.fresh.sign_in = Some(SignIn::new(at));
        last = Some(at);
        store.login(&request)?;
    }
    let asked = [user.into(), other.into(), UserId::from("nobody")];
    let expected = UserPresence {
        user_id: user.into(),
        sessions: 3,
        last_sign_in: last,
    };
    same(CHECK, store.presence(&asked, start)?, vec![expected])?;
    let later = start + TimeDelta::days(400);
    same(CHECK, store.presence(&asked, later)?, Vec::new())?;
    same(CHECK, store.presence(&[], start)?, Vec::new())
}
