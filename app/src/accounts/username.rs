//! Names of users: one form for all ways to write the same name.

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use precis_profiles::precis_core::{Error, UnexpectedError};
use unicode_security::RestrictionLevel;
use unicode_security::RestrictionLevelDetection;
use unicode_security::confusable_detection::skeleton;

/// Characters (Unicode code points) of a name, in the form that is kept.
const MIN: usize = 3;
const MAX: usize = 64;

/// Names that would be taken for someone who speaks for the site, or for no one. Those who run it
/// can still give them on the command line.
const RESERVED: [&str; 20] = [
    "abuse",
    "admin",
    "administrator",
    "administration",
    "anonymous",
    "everybody",
    "everyone",
    "help",
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

/// The form of a name that a visitor chooses: one that no reader takes for another or for a part of
/// the site. Names from before these rules go on to work.
pub(crate) fn choose(name: &str) -> Result<String, String> {
    let folded = fold(name)?;
    if !folded.starts_with(char::is_alphanumeric) {
        return Err("username: must begin with a letter or a digit".to_owned());
    }
    // UTS 39, section 5.2: one script, or the ones that a language writes together. Signs belong to
    // no script, and the rare characters of names in Han count as the common ones do.
    let letters = folded.chars().filter(|c| !c.is_ascii_punctuation());
    let letters: String = letters.map(|c| if is_han(c) { '一' } else { c }).collect();
    if !letters.check_restriction_level(RestrictionLevel::HighlyRestrictive) {
        return Err(
            "username: has letters of several scripts, or ones that are hardly used, and could be \
             taken for another name; allowed are letters of one script"
                .to_owned(),
        );
    }
    let core = folded.trim_matches(|c: char| !c.is_alphanumeric());
    let looks_like: String = skeleton(core).collect();
    let is_taken_for = |reserved: &&str| skeleton(reserved).eq(looks_like.chars());
    if RESERVED.iter().any(is_taken_for) {
        return Err(format!("username: {folded:?} is reserved; choose another"));
    }
    Ok(folded)
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// The form in which a name is kept and compared: the profile `UsernameCaseMapped` (RFC 8265,
/// section 3.3), which folds case and width and composes accents. It allows letters, digits and
/// ASCII's signs of every script, and no blanks, emoji, invisible or control characters. Blanks
/// around the name do not count: keyboards of telephones add them.
pub(crate) fn fold(name: &str) -> Result<String, String> {
    let name = name.trim_matches(|c: char| c.is_whitespace() && !c.is_control());
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
    let is_blank = |code: &u32| char::from_u32(*code).is_some_and(char::is_whitespace);
    match code_point {
        Some(blank) if is_blank(&blank) => {
            format!("username: has a blank (U+{blank:04X}); {ALLOWED}")
        }
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
    fn a_name_that_is_chosen_is_of_one_script() {
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
            let message = choose(name).unwrap_err();
            assert!(message.contains("scripts"), "{name}: {message}");
            assert!(fold(name).is_ok(), "who has the name goes on to sign in");
        }
    }

    #[test]
    fn a_name_that_is_chosen_is_nobody_elses() {
        for name in [
            "admin",
            "Admin",
            "ＡＤＭＩＮ",
            "adrnin",
            "root",
            "system",
            "anonymous",
            "support",
        ] {
            let message = choose(name).unwrap_err();
            assert!(message.contains("reserved"), "{name}: {message}");
            assert!(fold(name).is_ok(), "{name}");
        }
        for name in ["---", "....", "--help", "-ada", "@ada", "_root"] {
            let message = choose(name).unwrap_err();
            assert!(message.contains("begin"), "{name}: {message}");
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
            let message = fold(typed).unwrap_err();
            assert!(
                message.starts_with("username:") && message.contains(reason),
                "{typed:?}: {message}"
            );
        }
    }
}
