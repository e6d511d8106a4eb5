//! Checks of the search for users.

use super::{Checked, now, same};
use crate::store::{FindUsers, StoreError, UserCursor, UserRecord, UserStore};

/// Checks that a store of users finds them by a part of the name, page by page. It adds users whose
/// names begin with `seeker`.
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
/// conformance::run_user_search(&store)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Returns a [`Violation`](super::Violation) that names the failed check.
pub fn run_user_search(store: &dyn UserStore) -> Checked {
    const FOUND: &str = "names that begin with a text come first, then those that contain it";
    const PAGES: &str = "the pages of a search have each user once";
    const FILTERS: &str = "a search keeps only administrators, or only disabled users";
    let now = now();
    for (name, is_admin, is_disabled) in [
        ("seeker-ann", false, false),
        ("seeker-ann-b", true, false),
        ("a-seeker-ann", false, true),
        ("seeker-100%", true, true),
        ("seeker_bob", false, false),
        ("seeker-zoë", false, false),
    ] {
        let mut user = UserRecord::new(format!("id-of-{name}"), name, now);
        user.is_admin = is_admin;
        user.disabled_at = is_disabled.then_some(now);
        store.add_user(&user)?;
    }
    let found = |text: &str, limit, admins, disabled| {
        let mut query = FindUsers::new(limit);
        text.clone_into(&mut query.text);
        (query.admins, query.disabled) = (admins, disabled);
        names(store, query)
    };
    let all = "seeker-100% seeker-ann seeker-ann-b seeker-zoë seeker_bob a-seeker-ann";
    for limit in [1, 2, 100] {
        same(PAGES, found("seeker", limit, false, false)?, all.to_owned())?;
        for (text, expected) in [
            ("seeker-ann", "seeker-ann seeker-ann-b a-seeker-ann"),
            ("oë", "seeker-zoë"),
            ("%", "seeker-100%"),
            ("r_b", "seeker_bob"),
            ("seeker-ann-b-c", ""),
            ("a\0", ""),
        ] {
            same(
                FOUND,
                found(text, limit, false, false)?,
                expected.to_owned(),
            )?;
        }
        for (admins, disabled, expected) in [
            (true, false, "seeker-100% seeker-ann-b"),
            (false, true, "seeker-100% a-seeker-ann"),
            (true, true, "seeker-100%"),
        ] {
            let kept = found("seeker", limit, admins, disabled)?;
            same(FILTERS, kept, expected.to_owned())?;
        }
    }
    let mut nowhere = FindUsers::new(10);
    nowhere.after = Some(UserCursor::Beginning("a\0".to_owned()));
    same(PAGES, names(store, nowhere)?, String::new())
}

/// Returns the names on all pages of a query, separated by blanks.
fn names(store: &dyn UserStore, mut query: FindUsers) -> Result<String, StoreError> {
    let mut names = Vec::new();
    loop {
        let page = store.find_users(&query)?;
        names.extend(page.users.into_iter().map(|user| user.username));
        if page.next.is_none() {
            return Ok(names.join(" "));
        }
        query.after = page.next;
    }
}
