//! The cursors of lists, over HTTP and on the command line.

use uuid::Uuid;

/// Parses the `next` of an earlier list, which is the lookup half of a token. Returns `None` if the text
/// cannot be one.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions_app::api::cursor;
///
/// assert!(cursor::parse("0198f2a4-6f6a-7c39-b6c7-0b5d6f0a9e11").is_some());
/// assert!(cursor::parse("x").is_none());
/// ```
pub fn parse(text: &str) -> Option<Uuid> {
    let cursor = Uuid::try_parse(text).ok()?;
    (cursor.get_version_num() == 7).then_some(cursor)
}
