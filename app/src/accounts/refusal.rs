//! The reason why a username or a password cannot be chosen, for programs and for people.

use thiserror::Error;

/// The reason why a username or a password is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refusal {
    message: String,
    in_words: String,
}

impl Refusal {
    /// Makes a refusal. `message` begins with the name of the field, and `in_words` says what to do.
    pub(super) fn new(message: impl Into<String>, in_words: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            in_words: in_words.into(),
        }
    }

    /// Refuses a length. `name` is that of the field, as in "username".
    pub(super) fn length(name: &str, length: Length, (min, max): (usize, usize)) -> Self {
        let (is_short, counted) = match length {
            Length::Is(length) => (length < min, length.to_string()),
            Length::MoreThan(most) => (false, format!("more than {most}")),
        };
        let message = format!("{name}: has {counted} characters; {min} to {max} are allowed");
        let in_words = match length {
            Length::Is(0) => format!("Enter a {name}."),
            _ if is_short => {
                format!("This {name} is too short. Use at least {min} characters.")
            }
            _ => format!("This {name} is too long. Use at most {max} characters."),
        };
        Self { message, in_words }
    }

    /// Returns the reason for people.
    pub fn in_words(&self) -> &str {
        &self.in_words
    }
}

/// A length in characters.
#[derive(Clone, Copy)]
pub(super) enum Length {
    Is(usize),
    /// The rest was not counted.
    MoreThan(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_length_says_what_to_do() {
        let refused = |length| Refusal::length("username", length, (3, 64));
        for (length, message, in_words) in [
            (
                Length::Is(0),
                "username: has 0 characters; 3 to 64 are allowed",
                "Enter a username.",
            ),
            (
                Length::Is(2),
                "username: has 2 characters; 3 to 64 are allowed",
                "This username is too short. Use at least 3 characters.",
            ),
            (
                Length::Is(65),
                "username: has 65 characters; 3 to 64 are allowed",
                "This username is too long. Use at most 64 characters.",
            ),
            (
                Length::MoreThan(256),
                "username: has more than 256 characters; 3 to 64 are allowed",
                "This username is too long. Use at most 64 characters.",
            ),
        ] {
            let refusal = refused(length);
            assert_eq!(refusal.to_string(), message);
            assert_eq!(refusal.in_words(), in_words);
        }
    }
}
