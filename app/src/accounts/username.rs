//! Usernames: one form for all ways to write the same name.

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use precis_profiles::precis_core::{Error, UnexpectedError};
use unicode_security::RestrictionLevel;
use unicode_security::RestrictionLevelDetection;
use unicode_security::confusable_detection::skeleton;

use super::refusal::{Length, Refusal};

/// The length of a name in characters (Unicode code points), in the form that is stored.
pub(crate) const MIN: usize = 3;
pub(crate) const MAX: usize = 64;

/// The first character of a name and all of its characters, for pages: regular expressions of JavaScript
/// that match what [`choose`] accepts. They know nothing of scripts and of reserved names.
pub(crate) const FIRST: &str = r"^[\p{L}\p{N}]";
pub(crate) const ALLOWED: &str = r"^[\p{Ll}\p{Lu}\p{Lo}\p{Lm}\p{Nd}\p{Mn}\p{Mc}!-~]*$";

/// The most characters that are typed for a name.
pub(crate) const MOST_TYPED: usize = 4 * MAX;

/// Names that readers would take for the staff of the site, for no one, or for an actor of events that is
/// no user. Administrators can still assign them on the command line.
const RESERVED: [&str; 23] = [
    "abuse",
    "admin",
    "admin_token",
    "administrator",
    "administration",
    "anonymous",
    "command_line",
    "everybody",
    "everyone",
    "help",
    "local",
    "moderator",
    "nobody",
    "null",
    "operator",
    "postmaster",
    "root",
    "security",
    "staff",
    "support",
    "system",
    "undefined",
    "webmaster",
];

/// Returns the stored form of a name that a visitor chooses. Names that readers would take for another
/// name, or for a part of the site, are refused; existing users keep theirs.
///
/// # Errors
/// A refusal that says what is wrong with the name.
pub(crate) fn choose(name: &str) -> Result<String, Refusal> {
    let folded = fold(name)?;
    if !folded.starts_with(char::is_alphanumeric) {
        return Err(Refusal::new(
            "username: must begin with a letter or a digit",
            "Usernames begin with a letter or a digit.",
        ));
    }
    // UTS 39, section 5.2: one script, or those that one language writes together. Punctuation has no
    // script, and rare Han characters, which occur in names, count as common ones.
    let letters = folded.chars().filter(|c| !c.is_ascii_punctuation());
    let letters: String = letters.map(|c| if is_han(c) { '一' } else { c }).collect();
    if !letters.check_restriction_level(RestrictionLevel::HighlyRestrictive) {
        return Err(Refusal::new(
            "username: mixes letters of several scripts, or has rarely used letters, and \
             could be mistaken for another name; use common letters of one script",
            "This username could be mistaken for another, because it has letters of several \
             alphabets or rarely used letters. Use common letters of one alphabet.",
        ));
    }
    let core = folded.trim_matches(|c: char| !c.is_alphanumeric());
    let looks_like: String = skeleton(core).collect();
    let is_taken_for = |reserved: &&str| skeleton(reserved).eq(looks_like.chars());
    if RESERVED.iter().any(is_taken_for) {
        return Err(Refusal::new(
            format!("username: {folded:?} is reserved; choose another"),
            format!("The username “{folded}” is reserved. Choose another."),
        ));
    }
    Ok(folded)
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// Returns the form in which a name is stored and compared: the profile `UsernameCaseMapped`
/// (RFC 8265, section 3.3), which folds case and width and composes accents.
///
/// The profile allows letters and digits of every script and the punctuation of ASCII, but not
/// spaces, emoji, invisible characters or control characters. Spaces around the name are ignored,
/// because the keyboards of phones add them.
///
/// # Errors
/// A refusal that says what is wrong with the name.
pub(crate) fn fold(name: &str) -> Result<String, Refusal> {
    let name = name.trim_matches(|c: char| c.is_whitespace() && !c.is_control());
    // Checked first, because the work of the profile grows with the length.
    let typed = name.chars().take(MOST_TYPED + 1).count();
    if typed > MOST_TYPED {
        return Err(wrong_length(Length::MoreThan(MOST_TYPED)));
    }
    // The profile folds letter by letter, and a name that ends in a sigma would have two forms.
    let lower = name.to_lowercase();
    let folded = UsernameCaseMapped::enforce(lower).map_err(|error| refusal(name, &error))?;
    let length = folded.chars().count();
    if !(MIN..=MAX).contains(&length) {
        return Err(wrong_length(Length::Is(length)));
    }
    Ok(folded.into_owned())
}

fn wrong_length(length: Length) -> Refusal {
    Refusal::length("username", length, (MIN, MAX))
}

fn refusal(name: &str, error: &Error) -> Refusal {
    const SIGNS: &str = "letters, digits and signs such as . - _ @ are allowed, but not spaces, emoji \
                         or control characters";
    let code_point = match error {
        Error::BadCodepoint(info)
        | Error::Unexpected(
            UnexpectedError::ContextRuleNotApplicable(info)
            | UnexpectedError::MissingContextRule(info),
        ) => Some(info.cp),
        _ if name.is_empty() => return wrong_length(Length::Is(0)),
        _ => None,
    };
    let Some(code_point) = code_point else {
        return Refusal::new(
            format!("username: mixes writing directions in a way that cannot be read; {SIGNS}"),
            "This username mixes writing directions in a way that cannot be read. Use letters of one \
             alphabet.",
        );
    };
    match char::from_u32(code_point) {
        Some(space) if space.is_whitespace() => Refusal::new(
            format!("username: has a space (U+{code_point:04X}); {SIGNS}"),
            "Usernames can't contain spaces. Use a dot or a hyphen instead.",
        ),
        character => Refusal::new(
            format!("username: has the character U+{code_point:04X}; {SIGNS}"),
            match character.filter(|character| is_visible(*character)) {
                Some(character) => format!(
                    "Usernames can't contain “{character}”. Use letters, digits and signs such as \
                     . - _ @"
                ),
                None => {
                    "This username contains a character that cannot be seen. Type it instead of \
                         pasting it."
                        .to_owned()
                }
            },
        ),
    }
}

/// Returns whether a reader sees this character, which the standard library's debug output escapes
/// otherwise.
fn is_visible(character: char) -> bool {
    character.escape_debug().count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_however_it_is_written() {
        for (typed, kept) in [
            ("ada", "ada"),
            ("ADA", "ada"),
            (" ada  ", "ada"),
            ("ada\u{3000}", "ada"),
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
    fn a_chosen_name_is_of_one_script() {
        for name in [
            "ada",
            "zoë",
            "o'brien;--",
            "ada@example.com",
            "4711",
            "σίσυφος",
            "адам",
            "東京たろう",
            "𠀀𠀁𠀂",
            "김철수",
            "ada東京",
            "נועם",
            "straße",
            "x-1_2.3",
            "rooted",
            "sysadmin",
        ] {
            assert!(choose(name).is_ok(), "{name}: {:?}", choose(name));
        }
        for name in [
            "аdа", "adа", "ɑda", "аdmin", "αda", "aда", "адamm", "ѕystem",
        ] {
            let message = choose(name).unwrap_err().to_string();
            assert!(message.contains("scripts"), "{name}: {message}");
            assert!(fold(name).is_ok(), "existing users still sign in");
        }
    }

    #[test]
    fn a_reserved_or_odd_name_cannot_be_chosen() {
        for name in [
            "admin",
            "Admin",
            "ＡＤＭＩＮ",
            "adrnin",
            "root",
            "system",
            "anonymous",
            "support",
            "local",
            "Command_Line",
            "admin_token",
        ] {
            let message = choose(name).unwrap_err().to_string();
            assert!(message.contains("reserved"), "{name}: {message}");
            assert!(fold(name).is_ok(), "{name}");
        }
        for name in ["---", "....", "--help", "-ada", "@ada", "_root"] {
            let message = choose(name).unwrap_err().to_string();
            assert!(message.contains("begin"), "{name}: {message}");
        }
    }

    #[test]
    fn people_are_told_what_to_do() {
        for (typed, words) in [
            ("", "Enter a username."),
            (
                "ab",
                "This username is too short. Use at least 3 characters.",
            ),
            (
                "a b c",
                "Usernames can't contain spaces. Use a dot or a hyphen instead.",
            ),
            ("ada👋", "Usernames can't contain “👋”. Use letters,"),
            ("ad\u{200b}a", "contains a character that cannot be seen"),
            ("ada\0", "contains a character that cannot be seen"),
            ("-ada", "Usernames begin with a letter or a digit."),
            ("adа", "could be mistaken for another"),
            ("Admin", "The username “admin” is reserved. Choose another."),
        ] {
            let refusal = choose(typed).unwrap_err();
            let in_words = refusal.in_words();
            assert!(in_words.contains(words), "{typed:?}: {in_words}");
            assert!(!in_words.contains("U+"), "{in_words}");
        }
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
            let message = fold(typed).unwrap_err().to_string();
            assert!(
                message.starts_with("username:") && message.contains(reason),
                "{typed:?}: {message}"
            );
        }
    }
}
