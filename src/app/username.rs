//! Names of users: one form for all ways to write the same name.

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use precis_profiles::precis_core::{Error, UnexpectedError};

/// Characters (Unicode code points) of a name, in the form that is kept.
const MIN: usize = 3;
const MAX: usize = 64;

/// The form in which a name is kept and compared: the profile `UsernameCaseMapped` (RFC 8265,
/// section 3.3), which folds case and width and composes accents. It allows letters, digits and
/// ASCII's signs of every script, and no blanks, emoji, invisible or control characters.
pub(super) fn fold(name: &str) -> Result<String, String> {
    // Before the profile, whose work grows with the length.
    let typed = name.chars().take(4 * MAX + 1).count();
    if typed > 4 * MAX {
        return Err(wrong_length("more than 256"));
    }
    // The profile folds letter by letter, and would make two names of one that ends in a sigma.
    let lower = name.to_lowercase();
    let folded = UsernameCaseMapped::enforce(lower).map_err(|error| refusal(name, &error))?;
    let length = folded.chars().count();
    if !(MIN..=MAX).contains(&length) {
        return Err(wrong_length(&length.to_string()));
    }
    Ok(folded.into_owned())
}

fn wrong_length(length: &str) -> String {
    format!("username: has {length} characters, allowed are {MIN} to {MAX}")
}

fn refusal(name: &str, error: &Error) -> String {
    const ALLOWED: &str =
        "allowed are letters, digits and signs such as . - _ @, but no blanks, emoji or controls";
    let code_point = match error {
        Error::BadCodepoint(info)
        | Error::Unexpected(
            UnexpectedError::ContextRuleNotApplicable(info)
            | UnexpectedError::MissingContextRule(info),
        ) => Some(info.cp),
        _ if name.is_empty() => return wrong_length("0"),
        _ => None,
    };
    match code_point {
        Some(code_point) => format!("username: has the character U+{code_point:04X}; {ALLOWED}"),
        None => format!("username: mixes scripts in a way that cannot be read; {ALLOWED}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_however_it_is_written() {
        for (typed, kept) in [
            ("ada", "ada"),
            ("ADA", "ada"),
            ("Ａｄａ", "ada"),
            ("Zoe\u{308}", "zoë"),
            ("ada@example.com", "ada@example.com"),
            ("O'Brien;--", "o'brien;--"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("𠀀𠀁𠀂", "𠀀𠀁𠀂"),
        ] {
            assert_eq!(fold(typed).as_deref(), Ok(kept), "{typed}");
        }
        let longest = "𠀀".repeat(64);
        assert_eq!(fold(&longest).as_deref(), Ok(longest.as_str()));
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        for (typed, reason) in [
            ("", "0 characters"),
            ("ab", "2 characters"),
            (&"x".repeat(65), "65 characters"),
            (&"x".repeat(100_000), "more than 256"),
            ("a b c", "U+0020"),
            ("ada\0", "U+0000"),
            ("ada\n", "U+000A"),
            ("ad\u{200b}a", "U+200B"),
            ("ada👋", "U+1F44B"),
        ] {
            let message = fold(typed).unwrap_err();
            assert!(
                message.starts_with("username:") && message.contains(reason),
                "{typed:?}: {message}"
            );
        }
    }
}
