//! Checks of changes of users.

use chrono::TimeDelta;

use super::{Checked, now, same};
use crate::store::{
    LastAdmin, StoreError, UserAction, UserChange, UserOutcome, UserRecord, UserStore,
};

/// Checks that a store of users makes each change once: of two equal ones, the second finds nothing to
/// do. It adds the user `changeling` and deletes it.
///
/// # Example
///
/// ```no_run
/// use rocket_diesel_sessions::DieselStore;
/// use rocket_diesel_sessions::store::StoreOptions;
/// use rocket_diesel_sessions::testing::conformance;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = DieselStore::open(&"sqlite://scratch.db".parse()?, StoreOptions::default())?;
/// store.migrate()?;
/// conformance::run_user_changes(&store)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Returns a [`Violation`](super::Violation) that names the failed check.
pub fn run_user_changes(store: &dyn UserStore) -> Checked {
    const DONE: &str = "a change that makes a difference is done, with its time";
    const UNCHANGED: &str = "a change that makes no difference leaves the user as before";
    const ABSENT: &str = "no one is changed who does not exist";
    let start = now();
    let user = UserRecord::new("id-of-changeling", "changeling", start);
    store.add_user(&user)?;
    let change = |action, seconds| {
        let later = start + TimeDelta::seconds(seconds);
        let mut change = UserChange::new(&user.id, action, later);
        change.last_admin = LastAdmin::MayGo;
        let outcome = store.change_user(&change)?;
        Ok::<_, StoreError>((outcome, store.user(&user.id)?))
    };
    let done = UserOutcome::Done(Vec::new());
    let unchanged = UserOutcome::Unchanged(Vec::new());
    for (seconds, action) in (1..).zip([
        UserAction::Promote,
        UserAction::Demote,
        UserAction::Disable,
        UserAction::Enable,
    ]) {
        let at = start + TimeDelta::seconds(seconds);
        let mut expected = user.clone();
        expected.updated_at = at;
        expected.is_admin = action == UserAction::Promote;
        expected.disabled_at = (action == UserAction::Disable).then_some(at);
        same(
            DONE,
            change(action, seconds)?,
            (done.clone(), Some(expected.clone())),
        )?;
        let again = (unchanged.clone(), Some(expected));
        same(UNCHANGED, change(action, seconds + 100)?, again)?;
    }
    same(DONE, change(UserAction::Delete, 5)?, (done, None))?;
    for action in [
        UserAction::Promote,
        UserAction::Demote,
        UserAction::Disable,
        UserAction::Enable,
        UserAction::Delete,
    ] {
        same(ABSENT, change(action, 6)?, (UserOutcome::NoUser, None))?;
    }
    Ok(())
}
