//! Why data cannot be decoded.

use serde_json::Error;
use serde_json::error::Category;

/// The kinds of error of which only the kind is reported, because serde's message quotes the data.
const KINDS: [&str; 5] = [
    "invalid type",
    "invalid value",
    "invalid length",
    "unknown variant",
    "unknown field",
];

/// The kinds of error whose message names a field of the type, and nothing of the data.
const FIELD_KINDS: [&str; 2] = ["missing field `", "duplicate field `"];

/// The reason why data cannot be decoded. Its text says nothing of the data.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) reason: String,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let mut reason = kind(&error);
        if error.line() > 0 {
            reason = format!(
                "{reason} at line {}, column {}",
                error.line(),
                error.column()
            );
        }
        Self { reason }
    }
}

impl Fault {
    /// Returns the fault of an upgrade that returned no data.
    pub(super) fn not_upgraded(version: u32) -> Self {
        Self {
            reason: format!("upgrade returns no data for version {version}"),
        }
    }

    /// Returns the fault of an upgrade that panicked.
    pub(super) fn panicked(version: u32) -> Self {
        Self {
            reason: format!("upgrade panics for version {version}"),
        }
    }

    /// Adds that the data is of a newer version than the type.
    pub(super) fn of_newer(self, version: u32, own: u32) -> Self {
        let reason = self.reason;
        Self {
            reason: format!("{reason} (it is of version {version}, and the type of version {own})"),
        }
    }
}

fn kind(error: &Error) -> String {
    match error.classify() {
        Category::Io | Category::Syntax => return "not JSON".to_owned(),
        Category::Eof => return "incomplete JSON".to_owned(),
        Category::Data => {}
    }
    let message = error.to_string();
    if let Some(kind) = KINDS.iter().find(|kind| message.starts_with(**kind)) {
        return (*kind).to_owned();
    }
    let field = FIELD_KINDS.iter().find_map(|kind| {
        let (name, _) = message.strip_prefix(kind)?.split_once('`')?;
        Some(format!("{kind}{name}`"))
    });
    field.unwrap_or_else(|| "another form".to_owned())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only decoded")]
    struct Data {
        count: u8,
        kind: Kind,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        A,
    }

    #[test]
    fn i8_a_reason_names_its_kind_and_quotes_no_data() {
        for (raw, reason) in [
            (
                r#"{"count":"secret","kind":"A"}"#,
                "invalid type at line 1, column 17",
            ),
            (
                r#"{"count":777,"kind":"A"}"#,
                "invalid value at line 1, column 12",
            ),
            (
                r#"{"count":1,"kind":"secret"}"#,
                "unknown variant at line 1, column 26",
            ),
            (r#"{"secret":1}"#, "unknown field at line 1, column 9"),
            (
                r#"{"count":1}"#,
                "missing field `kind` at line 1, column 11",
            ),
            (
                r#"{"count":1,"count":1}"#,
                "duplicate field `count` at line 1, column 18",
            ),
            ("secret", "not JSON at line 1, column 1"),
            ("{", "incomplete JSON at line 1, column 1"),
        ] {
            let error = serde_json::from_str::<Data>(raw).unwrap_err();
            assert_eq!(Fault::from(error).reason, reason);
        }
    }
}
