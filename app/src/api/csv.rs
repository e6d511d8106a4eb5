//! Lists as CSV (RFC 4180), for spreadsheets.

use rocket_diesel_sessions::UserId;
use rocket_diesel_sessions::store::SessionRecord;

use crate::words;

/// The columns of a list of sessions.
const COLUMNS: [&str; 11] = [
    "handle",
    "lookup_id",
    "user_id",
    "username",
    "device",
    "user_agent",
    "address",
    "created_at",
    "last_seen_at",
    "expires_at",
    "absolute_expires_at",
];

/// Returns sessions and the names of their users, if they are known, as a table with a header.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::SessionRecord;
/// use rocket_diesel_sessions_app::api::csv;
///
/// fn of_ada(sessions: &[SessionRecord]) -> String {
///     csv::sessions(sessions.iter().map(|session| (session, Some("ada"))))
/// }
/// assert!(of_ada(&[]).starts_with("\"handle\","));
/// ```
pub fn sessions<'s>(
    sessions: impl IntoIterator<Item = (&'s SessionRecord, Option<&'s str>)>,
) -> String {
    let mut csv = line(COLUMNS);
    for (session, username) in sessions {
        csv.push_str(&line(row(session, username).iter().map(String::as_str)));
    }
    csv
}

fn row(session: &SessionRecord, username: Option<&str>) -> [String; 11] {
    let or_empty = |text: Option<&str>| text.unwrap_or_default().to_owned();
    [
        session.id.to_string(),
        session.session_id.to_string(),
        or_empty(session.user_id.as_ref().map(UserId::as_str)),
        or_empty(username),
        words::name(session.user_agent.as_deref()),
        or_empty(session.user_agent.as_deref()),
        or_empty(session.ip.as_deref()),
        session.created_at.to_rfc3339(),
        session.last_seen_at.to_rfc3339(),
        session.expires_at.to_rfc3339(),
        session.absolute_expires_at.to_rfc3339(),
    ]
}

fn line<'t>(fields: impl IntoIterator<Item = &'t str>) -> String {
    let fields: Vec<String> = fields.into_iter().map(field).collect();
    fields.join(",") + "\r\n"
}

/// Quotes a field. Spreadsheets take some beginnings for a formula, which an apostrophe prevents (OWASP,
/// "CSV Injection").
fn field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let apostrophe = if is_formula { "'" } else { "" };
    format!("\"{apostrophe}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_and_never_a_formula() {
        for (text, quoted) in [
            ("ada", "\"ada\""),
            ("", "\"\""),
            ("a\"b,c\nd", "\"a\"\"b,c\nd\""),
            ("=1+1", "\"'=1+1\""),
            ("@x", "\"'@x\""),
            ("-1", "\"'-1\""),
            ("\t=1", "\"'\t=1\""),
        ] {
            assert_eq!(field(text), quoted);
        }
    }
}
