//! Finding users by a part of their names, page by page.

use std::fmt;
use std::ops::Bound;

use super::UserRecord;
use crate::store::error::StoreError;

/// How many users a page looks at for names that contain a text. No index helps with that.
const LOOKED_AT: u32 = 5000;

/// How many users are read at a time for that.
const CHUNK: u32 = 1000;

/// A query for one page of users, in bytewise order of their names. With a text, the names that begin
/// with it come before those that contain it elsewhere.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::FindUsers;
///
/// let mut query = FindUsers::new(50);
/// query.text = "ada".to_owned();
/// query.disabled = true;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FindUsers {
    /// Only users whose names contain this text, as it is written. Default empty, which keeps all.
    pub text: String,
    /// Only administrators. Default `false`.
    pub admins: bool,
    /// Only users who are disabled. Default `false`.
    pub disabled: bool,
    /// Only users after this place in the list. Default `None`.
    pub after: Option<UserCursor>,
    /// Maximum number of users.
    pub limit: u32,
}

impl FindUsers {
    /// Creates a query for the first page of at most `limit` users.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::FindUsers;
    ///
    /// assert!(FindUsers::new(50).text.is_empty());
    /// ```
    pub fn new(limit: u32) -> Self {
        Self {
            text: String::new(),
            admins: false,
            disabled: false,
            after: None,
            limit,
        }
    }

    /// Returns whether the filters keep a user.
    fn keeps(&self, user: &UserRecord) -> bool {
        (!self.admins || user.is_admin) && (!self.disabled || user.disabled_at.is_some())
    }
}

/// A place in the list that a [`FindUsers`] query reads. As a text, it is for an address.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::UserCursor;
///
/// let cursor = UserCursor::Containing("ada".to_owned());
/// assert_eq!(UserCursor::parse(&cursor.to_string()), Some(cursor));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserCursor {
    /// After this one of the names that begin with the text.
    Beginning(String),
    /// After this name, where names that contain the text are looked for.
    Containing(String),
}

impl UserCursor {
    /// Parses what `Display` has written. Returns `None` for another text.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::store::UserCursor;
    ///
    /// assert_eq!(UserCursor::parse("ada"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let (place, name) = text.split_once(':')?;
        match place {
            "b" => Some(Self::Beginning(name.to_owned())),
            "c" => Some(Self::Containing(name.to_owned())),
            _ => None,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Beginning(name) | Self::Containing(name) => name,
        }
    }

    /// Returns where the next read begins.
    fn bound(&self) -> Bound<&str> {
        match self.name() {
            "" => Bound::Unbounded,
            name => Bound::Excluded(name),
        }
    }
}

impl fmt::Display for UserCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beginning(name) => write!(f, "b:{name}"),
            Self::Containing(name) => write!(f, "c:{name}"),
        }
    }
}

/// One page of users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserPage {
    /// The users. There can be fewer than the limit, or none, although there is a next page.
    pub users: Vec<UserRecord>,
    /// The cursor of the next page. `None` on the last page.
    pub next: Option<UserCursor>,
}

/// Reads a page with `read`, which returns at most so many users in order of their names from a bound
/// on. It may leave out users that the query's filters do not keep.
pub(in crate::store) fn page(
    query: &FindUsers,
    mut read: impl FnMut(Bound<&str>, u32) -> Result<Vec<UserRecord>, StoreError>,
) -> Result<UserPage, StoreError> {
    let text = query.text.as_str();
    let mut page = UserPage::default();
    // No name contains it, and not every database can compare it.
    let after = query.after.as_ref().map_or("", UserCursor::name);
    if text.contains('\0') || after.contains('\0') {
        return Ok(page);
    }
    let limit = query.limit.max(1);
    let mut place = query.after.clone();
    let mut left = LOOKED_AT;
    while left > 0 {
        let begins = !matches!(place, Some(UserCursor::Containing(_)));
        let missing = limit.saturating_sub(u32::try_from(page.users.len()).unwrap_or(limit));
        let size = if begins {
            missing.saturating_add(1)
        } else {
            CHUNK
        };
        let size = size.min(left);
        let from = match &place {
            None if text.is_empty() => Bound::Unbounded,
            None => Bound::Included(text),
            Some(place) => place.bound(),
        };
        let rows = read(from, size)?;
        let mut is_over = rows.len() < size as usize;
        for user in rows {
            if begins && !user.username.starts_with(text) {
                is_over = true;
                break;
            }
            let is_new = begins || !user.username.starts_with(text);
            let fits = is_new && user.username.contains(text) && query.keeps(&user);
            if fits && page.users.len() >= limit as usize {
                page.next = place;
                return Ok(page);
            }
            left -= 1;
            let name = user.username.clone();
            place = Some(if begins {
                UserCursor::Beginning(name)
            } else {
                UserCursor::Containing(name)
            });
            page.users.extend(fits.then_some(user));
        }
        if is_over && (!begins || text.is_empty()) {
            return Ok(page);
        }
        if is_over {
            place = Some(UserCursor::Containing(String::new()));
        }
    }
    page.next = place;
    Ok(page)
}
