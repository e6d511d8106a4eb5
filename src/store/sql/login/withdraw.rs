//! Withdraws tokens that were committed but never reached their visitors.

#[cfg(feature = "postgres")]
use diesel::connection::SimpleConnection;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::Timestamp;

use crate::store::sql::connect::connection::{AnyConnection, run_on};
use crate::store::sql::error::SqlError;
use crate::store::sql::login::lock::lock_own;
use crate::store::sql::row::{methods, pending, seconds};
use crate::store::sql::schema::sessions;
use crate::store::{SessionRecord, UserSource, Withdrawal};

/// Commits without waiting for a synchronous standby: an unreachable standby is one of the reasons
/// for a withdrawal. A withdrawal lost in a failover is harmless, because it leaves a valid token
/// that no visitor has.
#[cfg(feature = "postgres")]
const COMMIT_WITHOUT_STANDBY: &str = "SET LOCAL synchronous_commit = local";

/// Waits only briefly for a lock. The withdrawal is tried again later, and others wait for one of
/// the few writers.
#[cfg(feature = "postgres")]
const SHORT_WAIT: &str = "SET LOCAL lock_timeout = 50";

/// Withdraws tokens in one transaction. Returns, for each withdrawal, whether its token was still
/// the session's.
pub(in crate::store) fn withdraw(
    connection: &mut AnyConnection<'_>,
    withdrawals: &[Withdrawal],
    users: UserSource,
    now: DateTime<Utc>,
) -> Result<Vec<bool>, SqlError> {
    // Sorted, so that two calls lock rows in the same order. Withdrawals of one session keep their
    // order, newest first.
    let mut order: Vec<usize> = (0..withdrawals.len()).collect();
    order.sort_by_key(|&of| &withdrawals[of].id);
    connection.transaction(|connection| {
        match connection {
            #[cfg(feature = "sqlite")]
            AnyConnection::Sqlite(_) => {}
            #[cfg(feature = "postgres")]
            AnyConnection::Postgres(connection) => {
                connection.batch_execute(&format!("{COMMIT_WITHOUT_STANDBY}; {SHORT_WAIT}"))?;
            }
        }
        let mut done = vec![false; withdrawals.len()];
        for of in order {
            done[of] = take_back(connection, &withdrawals[of], users, now.naive_utc())?;
        }
        Ok(done)
    })
}

fn take_back(
    connection: &mut AnyConnection<'_>,
    withdrawal: &Withdrawal,
    users: UserSource,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    let Some(previous) = &withdrawal.previous else {
        return delete(connection, withdrawal);
    };
    let user = previous.user_id.as_ref();
    let user = user.filter(|_| !withdrawal.is_rotation && users == UserSource::Own);
    // Its former user was disabled or deleted, which would have ended the session too.
    if let Some(user) = user
        && !lock_own(connection, user)?
    {
        return delete(connection, withdrawal);
    }
    restore(connection, withdrawal, previous, now)
}

fn restore(
    connection: &mut AnyConnection<'_>,
    withdrawal: &Withdrawal,
    previous: &SessionRecord,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    let absolute = previous.absolute_expires_at.naive_utc();
    let expires_at = previous.expires_at.naive_utc();
    // The former deadline, or the one to which activity has moved it since.
    let former = case_when(
        sessions::expires_at.gt(absolute),
        absolute.into_sql::<Timestamp>(),
    )
    .when(
        sessions::expires_at.lt(expires_at),
        expires_at.into_sql::<Timestamp>(),
    )
    .otherwise(sessions::expires_at);
    let deadlines = (
        sessions::expires_at.eq(former),
        sessions::absolute_expires_at.eq(absolute),
    );
    let sign_in = previous.sign_in.as_ref();
    let user = (
        sessions::user_id.eq(previous.user_id.as_ref()),
        sessions::idle_timeout.eq(previous.lifetime.idle.map(seconds)),
        sessions::absolute_timeout.eq(previous.lifetime.absolute.map(seconds)),
        sessions::browser_session.eq(previous.lifetime.browser_session),
        sessions::authenticated_at.eq(sign_in.map(|sign_in| sign_in.at.naive_utc())),
        sessions::methods.eq(sign_in.and_then(methods)),
        sessions::actor.eq(sign_in.and_then(|sign_in| sign_in.actor.as_ref())),
        sessions::pending_login.eq(previous.pending.as_ref().map(pending)),
    );
    let restoration = diesel::update(sessions::table.find(&withdrawal.id))
        .filter(sessions::session_id.eq(withdrawal.session_id.to_string()))
        .set((
            sessions::session_id.eq(previous.session_id.to_string()),
            sessions::token_hash.eq(previous.token_hash.as_bytes().to_vec()),
            // A rotation changes neither the user nor the deadlines.
            (!withdrawal.is_rotation).then_some((user, deadlines)),
            sessions::updated_at.eq(now),
        ));
    let restored = run_on!(connection, |connection| restoration.execute(connection)?);
    Ok(restored == 1)
}

fn delete(connection: &mut AnyConnection<'_>, withdrawal: &Withdrawal) -> QueryResult<bool> {
    let session = sessions::table
        .find(&withdrawal.id)
        .filter(sessions::session_id.eq(withdrawal.session_id.to_string()));
    let deletion = diesel::delete(session);
    let deleted = run_on!(connection, |connection| deletion.execute(connection)?);
    Ok(deleted == 1)
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::store::{
        DieselStore, LastAdmin, NewSession, SessionStore, StoreOptions, UserRecord, UserStore,
    };
    use crate::testing::new_session;

    /// Returns a session of a user during a second sign-in, when it is anonymous, and its
    /// withdrawal.
    fn second_sign_in(user: &str) -> (NewSession, Withdrawal) {
        let before = new_session(Utc::now()).into_record();
        let during = NewSession {
            id: before.id.clone(),
            ..new_session(Utc::now())
        };
        let previous = SessionRecord {
            user_id: Some(user.into()),
            ..before
        };
        let withdrawal = Withdrawal {
            id: during.id.clone(),
            session_id: during.session_id,
            previous: Some(Box::new(previous)),
            is_rotation: false,
        };
        (during, withdrawal)
    }

    #[test]
    fn i2_a_withdrawal_gives_no_session_back_to_a_user_who_is_disabled_or_gone() {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}/test.db", folder.path().display());
        let store = DieselStore::open(&url.parse().unwrap(), StoreOptions::default()).unwrap();
        store.migrate().unwrap();
        for name in ["ada", "bob"] {
            let user = UserRecord::new(name, name, Utc::now());
            assert!(store.add_user(&user).unwrap());
        }
        let withdrawn = ["ada", "bob", "nobody"].map(|user| {
            let (during, withdrawal) = second_sign_in(user);
            store.create(&[during]).unwrap();
            withdrawal
        });
        store
            .disable_user(&"bob".into(), Utc::now(), LastAdmin::Keep)
            .unwrap();
        let outcomes = store.withdraw(&withdrawn, Utc::now()).unwrap();
        assert_eq!(outcomes, [true, true, true]);
        let [ada, bob, nobody] = withdrawn.map(|it| store.find(&it.id).unwrap());
        assert_eq!(ada.unwrap().user_id, Some("ada".into()));
        assert!(bob.is_none() && nobody.is_none());
    }
}
