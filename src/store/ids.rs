//! Names of sessions and users, in types of their own so that one is not mistaken for the other.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Maximum length in bytes of a name. Stores are not asked for longer ones.
const MAX_LEN: usize = 512;

/// Returns whether a name can be stored: it is not empty, has at most [`MAX_LEN`] bytes, and has no
/// NUL, which a text column of PostgreSQL cannot hold.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_LEN && !text.contains('\0')
}

/// A session's public handle: stable for the session's whole life, and not secret. Lists, logs and
/// administrators name the session by it.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::SessionHandle;
///
/// let handle = SessionHandle::from("tz4a98xxat96iws9zmbrgj3a");
/// assert_eq!(handle, "tz4a98xxat96iws9zmbrgj3a");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionHandle(String);

/// A user's id. Any text, number or UUID that names a user in the application can be one.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::UserId;
///
/// let id = UserId::from(42);
/// assert_eq!(id, "42");
/// assert_eq!(id.parse(), Some(42_i64));
/// assert_eq!(UserId::from("ada").parse::<i64>(), None);
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(String);

impl UserId {
    /// Parses the id, for example as a number or a UUID. Returns `None` if it is not a `T`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::UserId;
    /// use uuid::Uuid;
    ///
    /// let id = Uuid::now_v7();
    /// assert_eq!(UserId::from(id).parse(), Some(id));
    /// assert_eq!(UserId::from(id).parse::<u32>(), None);
    /// ```
    pub fn parse<T: FromStr>(&self) -> Option<T> {
        self.0.parse().ok()
    }
}

macro_rules! text {
    ($name:ident, $example:literal) => {
        impl $name {
            /// Returns the text.
            ///
            /// # Example
            ///
            /// ```
            #[doc = concat!("use rocket_diesel_sessions::", stringify!($name), ";")]
            ///
            #[doc = concat!("assert_eq!(", stringify!($name), "::from(\"", $example, "\").as_str(), \"", $example, "\");")]
            /// ```
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns whether a session or user can have this name. A store is not asked for others.
            pub(crate) fn is_possible(&self) -> bool {
                is_name(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                Self(text.clone())
            }
        }

        impl From<Cow<'_, str>> for $name {
            fn from(text: Cow<'_, str>) -> Self {
                Self(text.into_owned())
            }
        }

        impl From<&Self> for $name {
            fn from(name: &Self) -> Self {
                name.clone()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl From<&$name> for String {
            fn from(name: &$name) -> Self {
                name.0.clone()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl PartialEq<String> for $name {
            fn eq(&self, other: &String) -> bool {
                self.0 == *other
            }
        }

        impl PartialEq<$name> for str {
            fn eq(&self, other: &$name) -> bool {
                *self == other.0
            }
        }

        impl PartialEq<$name> for &str {
            fn eq(&self, other: &$name) -> bool {
                **self == other.0
            }
        }

        impl PartialEq<$name> for String {
            fn eq(&self, other: &$name) -> bool {
                *self == other.0
            }
        }
    };
}

text!(SessionHandle, "tz4a98xxat96iws9zmbrgj3a");
text!(UserId, "ada");

macro_rules! number {
    ($($number:ty),+) => {
        $(
            impl From<$number> for UserId {
                fn from(number: $number) -> Self {
                    Self(number.to_string())
                }
            }
        )+
    };
}

number!(i32, i64, u32, u64, Uuid);

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    #[test]
    fn a_user_id_is_made_from_whatever_names_a_user() {
        let uuid = Uuid::now_v7();
        let text = String::from("ada");
        let made: [(UserId, &str); 9] = [
            ("ada".into(), "ada"),
            (text.clone().into(), "ada"),
            ((&text).into(), "ada"),
            ((&UserId::from("ada")).into(), "ada"),
            ((-7_i32).into(), "-7"),
            (i64::MIN.into(), "-9223372036854775808"),
            (7_u32.into(), "7"),
            (u64::MAX.into(), "18446744073709551615"),
            (uuid.into(), &uuid.to_string()),
        ];
        for (id, text) in made {
            assert_eq!(id, *text);
            assert_eq!(
                (id.to_string(), format!("{id:?}")),
                (text.to_owned(), format!("{text:?}"))
            );
        }
        assert_eq!(UserId::from(i64::MIN).parse(), Some(i64::MIN));
        assert_eq!(UserId::from(i64::MIN).parse::<u64>(), None);
        assert_eq!(UserId::from(uuid).parse(), Some(uuid));
    }

    #[test]
    fn names_are_found_by_text_in_maps_and_are_plain_text_in_json() {
        let handle = SessionHandle::from("abc");
        let hashed = HashMap::from([(handle.clone(), 1)]);
        let sorted = BTreeMap::from([(handle.clone(), 1)]);
        assert_eq!((hashed.get("abc"), sorted.get("abc")), (Some(&1), Some(&1)));
        let json = serde_json::to_string(&handle).unwrap();
        assert_eq!(json, "\"abc\"");
        assert_eq!(
            serde_json::from_str::<SessionHandle>(&json).unwrap(),
            handle
        );
    }

    #[test]
    fn i12_a_store_is_asked_for_no_name_that_none_can_have() {
        let longest = "x".repeat(MAX_LEN);
        for possible in [
            "0",
            "ada",
            "auth0|5f7c8ec7c33c6c004bbafe82",
            "\u{65e5}\u{672c}",
            &longest,
        ] {
            assert!(UserId::from(possible).is_possible(), "{possible}");
            assert!(SessionHandle::from(possible).is_possible(), "{possible}");
        }
        for impossible in [
            "",
            "\0",
            "ada\0",
            &format!("{longest}x"),
            &"x".repeat(1 << 20),
        ] {
            assert!(
                !UserId::from(impossible).is_possible(),
                "{}",
                impossible.len()
            );
            assert!(
                !SessionHandle::from(impossible).is_possible(),
                "{}",
                impossible.len()
            );
        }
    }
}
