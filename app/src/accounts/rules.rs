//! The rules for usernames and passwords, as pages state them. A script checks some as one types; only the
//! server decides.

use super::{passwords, username};

/// A rule for a field.
pub(crate) struct Rule {
    pub(crate) text: String,
    pub(crate) check: Check,
}

/// The way in which a script checks a rule.
pub(crate) enum Check {
    /// The value matches this regular expression of JavaScript with the flags `s` and `u`.
    Pattern(String),
    /// The value is not that of the form's field with this name.
    DiffersFrom(&'static str),
    /// Only the server can check it.
    OnlyHere,
}

impl Rule {
    fn new(text: impl Into<String>, check: Check) -> Self {
        let text = text.into();
        Self { text, check }
    }

    /// Requires a number of characters (Unicode code points).
    fn length(min: usize, max: usize) -> Self {
        let pattern = format!("^.{{{min},{max}}}$");
        Self::new(
            format!("{min} to {max} characters"),
            Check::Pattern(pattern),
        )
    }

    /// Returns the regular expression, if there is one.
    pub(crate) fn pattern(&self) -> Option<&str> {
        match &self.check {
            Check::Pattern(pattern) => Some(pattern),
            Check::DiffersFrom(_) | Check::OnlyHere => None,
        }
    }

    /// Returns the field whose value must be another, if there is one.
    pub(crate) fn differs_from(&self) -> Option<&str> {
        match self.check {
            Check::DiffersFrom(field) => Some(field),
            Check::Pattern(_) | Check::OnlyHere => None,
        }
    }
}

/// Returns the rules for the name that a visitor chooses.
pub(crate) fn of_username() -> [Rule; 3] {
    let pattern = |pattern: &str| Check::Pattern(pattern.to_owned());
    [
        Rule::length(username::MIN, username::MAX),
        Rule::new("Begins with a letter or a digit", pattern(username::FIRST)),
        Rule::new(
            "Letters, digits and signs such as . - _ @, without spaces",
            pattern(username::ALLOWED),
        ),
    ]
}

/// Returns the rules for a new password.
pub(crate) fn of_password() -> [Rule; 3] {
    [
        Rule::length(passwords::MIN, passwords::MAX),
        Rule::new("Not your username", Check::DiffersFrom("username")),
        Rule::new("Not one of the most common passwords", Check::OnlyHere),
    ]
}
