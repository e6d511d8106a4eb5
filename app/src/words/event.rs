//! Events of the record in words, for operators.

use rocket_diesel_sessions::store::EventRecord;

/// The events of this application, by name, with the words of a choice among them.
pub const CHOICES: [(&str, &str); 16] = [
    ("login", "Signed in"),
    ("logout", "Signed out"),
    ("revoked", "Session ended"),
    ("replaced", "Session replaced by a sign-in"),
    ("new_device", "New device"),
    ("password_changed", "Password changed"),
    ("signed_out_everywhere", "Signed out everywhere"),
    ("user_disabled", "Account disabled"),
    ("user_enabled", "Account enabled"),
    ("user_promoted", "Made an administrator"),
    ("user_demoted", "No longer an administrator"),
    ("user_deleted", "Account deleted"),
    ("sessions_cleared", "All sessions ended"),
    ("address_ended", "All sessions of an address ended"),
    ("login_pending", "First factor given"),
    ("expired", "Session expired"),
];

/// Puts an event in words: what happened, and on whose or which occasion, if that is known.
pub fn what(event: &EventRecord) -> (String, Option<String>) {
    let reason = event.reason.as_deref();
    let (what, detail) = match (event.event.as_str(), reason) {
        ("login", Some("reauthentication")) => ("Entered the password again", None),
        ("revoked", Some("password_changed")) => ("Session ended", Some("new password")),
        ("revoked", Some("signed_out_everywhere")) => {
            ("Session ended", Some("signed out everywhere"))
        }
        ("revoked", Some("address_ended")) => ("Session ended", Some("all sessions of an address")),
        ("revoked", Some("user_disabled")) => ("Session ended", Some("account disabled")),
        ("revoked", Some("undelivered")) => ("Session ended", Some("its cookie reached no one")),
        ("revoked", None) if event.actor.is_none() => {
            ("Session ended", Some("from another device"))
        }
        ("replaced", Some("limit")) => ("Session ended", Some("too many devices")),
        ("user_deleted", Some(id)) => {
            return ("Account deleted".to_owned(), Some(format!("id {id}")));
        }
        (name, reason) => match CHOICES.iter().find(|(choice, _)| *choice == name) {
            Some((_, words)) => (*words, reason),
            None => return (name.replace('_', " "), reason.map(str::to_owned)),
        },
    };
    (what.to_owned(), detail.map(str::to_owned))
}

/// Returns whether two events are parts of one act: the same one for several sessions, or a change of a
/// user and the end of a session because of it.
pub fn belong_together(one: &EventRecord, other: &EventRecord) -> bool {
    let is_same = one.event == other.event && one.reason == other.reason;
    one.request_id.is_some()
        && one.request_id == other.request_id
        && one.user_id == other.user_id
        && (is_same || is_effect(one, other) || is_effect(other, one))
}

/// Returns whether a session ended because of a change of its user.
fn is_effect(change: &EventRecord, end: &EventRecord) -> bool {
    is_of_user(change) && end.reason.as_deref() == Some(change.event.as_str())
}

/// Returns the event that says what was done, of those that belong together.
pub fn act(group: &[EventRecord]) -> Option<&EventRecord> {
    group
        .iter()
        .find(|event| is_of_user(event))
        .or(group.first())
}

/// Returns whether an event is of a user and not of a session.
pub fn is_of_user(event: &EventRecord) -> bool {
    event.session.as_str().is_empty()
}

/// The actors that are not users, with their names.
pub const ACTORS: [(&str, &str); 3] = [
    ("admin_token", "Administrators’ token"),
    ("command_line", "Command line"),
    ("local", "This machine"),
];

/// Returns the name of an actor that is not a user, such as `command_line`.
pub fn actor(actor: &str) -> Option<&'static str> {
    let named = ACTORS.iter().find(|(word, _)| *word == actor);
    named.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_words_and_details_where_they_are_known() {
        let what = |name: &str, reason: Option<&str>, actor: Option<&str>| {
            let mut event = EventRecord::new(chrono::Utc::now(), name, "");
            event.reason = reason.map(str::to_owned);
            event.actor = actor.map(str::to_owned);
            let (what, detail) = super::what(&event);
            detail.map_or(what.clone(), |detail| format!("{what}: {detail}"))
        };
        for (seen, expected) in [
            (what("login", None, None), "Signed in"),
            (
                what("revoked", None, None),
                "Session ended: from another device",
            ),
            (what("revoked", None, Some("ruth")), "Session ended"),
            (
                what("signed_out_everywhere", Some("3 sessions"), Some("ruth")),
                "Signed out everywhere: 3 sessions",
            ),
            (
                what("paid_an_invoice", Some("no 7"), None),
                "paid an invoice: no 7",
            ),
        ] {
            assert_eq!(seen, expected);
        }
    }
}
