//! The file `.env`, which adds variables to the environment. It is read from the working directory only.
//!
//! dotenvy reads its lines. It would also replace `$name` by a variable, even in a password, so a value
//! that it would change is refused.

use std::io::ErrorKind;

use super::Failure;

const FILE: &str = ".env";

/// Sets the variables of `.env`, if it exists. A variable that is set already keeps its value.
///
/// # Errors
/// If the file or a line of it cannot be read. The error names the line and shows nothing of it, because
/// it may contain a secret.
pub(super) fn read() -> Result<(), Failure> {
    let text = match std::fs::read_to_string(FILE) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(format!("{FILE}: must be UTF-8").into());
        }
        Err(error) => return Err(format!("{FILE}: {error}").into()),
    };
    let lines = checked(&text)?;
    for line in lines {
        dotenvy::from_read(line.as_bytes()).map_err(|_| format!("{FILE}: cannot be read"))?;
    }
    Ok(())
}

/// Returns the lines with settings, if all of them can be read.
fn checked(text: &str) -> Result<Vec<String>, String> {
    let lines = settings(text.strip_prefix('\u{feff}').unwrap_or(text));
    for line in &lines {
        let number = line.number;
        if line.has_variable {
            return Err(format!(
                "{FILE}: a line cannot be read (line {number}): a $ introduces a variable, which is \
                 not supported; put the value in single quotes to keep the $ as it is"
            ));
        }
        if dotenvy::from_read_iter(line.text.as_bytes()).any(|setting| setting.is_err()) {
            return Err(format!(
                "{FILE}: a line cannot be read (line {number}): allowed are KEY=value, KEY='a value' \
                 and KEY=\"a value\", with quotes around a value that contains a space or #"
            ));
        }
    }
    Ok(lines.into_iter().map(|line| line.text).collect())
}

/// A setting. A quoted value may span several lines.
struct Setting {
    /// The number of its first line.
    number: usize,
    text: String,
    /// Whether it has a `$` that is neither in single quotes nor escaped.
    has_variable: bool,
}

fn settings(text: &str) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut place = Place::Plain;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let goes_on = place.is_quoted();
        if !goes_on {
            if line.trim_start().starts_with('#') {
                continue;
            }
            place = Place::Plain;
            settings.push(Setting {
                number: index + 1,
                text: String::new(),
                has_variable: false,
            });
        }
        let Some(setting) = settings.last_mut() else {
            continue;
        };
        setting.has_variable |= place.pass(line);
        setting.text.push_str(line);
        // Without a line break, dotenvy refuses a blank at the end.
        if !line.ends_with('\n') {
            setting.text.push('\n');
        }
    }
    settings
}

/// The part of a setting that a character is in.
#[derive(Clone, Copy)]
enum Place {
    Plain,
    /// After a blank, where a comment may begin.
    Blank,
    Comment,
    SingleQuotes,
    DoubleQuotes,
}

impl Place {
    fn is_quoted(self) -> bool {
        matches!(self, Self::SingleQuotes | Self::DoubleQuotes)
    }

    /// Advances to the end of `text`. Returns whether a `$` on the way introduces a variable.
    fn pass(&mut self, text: &str) -> bool {
        let (mut is_escaped, mut has_variable) = (false, false);
        for c in text.chars() {
            if std::mem::take(&mut is_escaped) {
                continue;
            }
            *self = match (*self, c) {
                (Self::Comment, _) | (Self::Blank, '#') => Self::Comment,
                (Self::SingleQuotes, '\'') | (Self::DoubleQuotes, '"') => Self::Plain,
                (Self::SingleQuotes, _) | (Self::Plain | Self::Blank, '\'') => Self::SingleQuotes,
                (Self::DoubleQuotes, _) | (_, '"') => Self::DoubleQuotes,
                (_, c) if c.is_whitespace() => Self::Blank,
                _ => Self::Plain,
            };
            if !matches!(*self, Self::SingleQuotes | Self::Comment) {
                is_escaped = c == '\\';
                has_variable |= c == '$';
            }
        }
        has_variable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what a file sets, or why it is refused.
    fn parsed(text: &str) -> Result<Vec<(String, String)>, String> {
        let lines = checked(text)?;
        let settings = lines
            .iter()
            .flat_map(|line| dotenvy::from_read_iter(line.as_bytes()));
        Ok(settings.map(Result::unwrap).collect())
    }

    #[test]
    fn values_are_taken_as_they_are_written() {
        let text = "\u{feff}# A comment with $x and 'a quote\nA=1\r\n\n export B = two # $y it's\n\
                    C='pa$word \"1\" #'\nD=\"a value \\$z\"\nE='first\nsecond $'\nF=it\\'s\nG=\nH=a#b ";
        let expected = [
            ("A", "1"),
            ("B", "two"),
            ("C", "pa$word \"1\" #"),
            ("D", "a value $z"),
            ("E", "first\nsecond $"),
            ("F", "it's"),
            ("G", ""),
            ("H", "a#b"),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(parsed(text).unwrap(), expected);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_not_shown() {
        for (text, words) in [
            ("A=1\n\nB=pa$word\n", ["(line 3)", "single quotes"]),
            ("A=\"pa$word\"", ["(line 1)", "single quotes"]),
            ("A=${HOME}/word", ["(line 1)", "single quotes"]),
            ("A='a\nb'\nB=\"$word\"", ["(line 3)", "single quotes"]),
            ("A='a'$word", ["(line 1)", "single quotes"]),
            ("# x\nA=b word\n", ["(line 2)", "KEY=value"]),
            ("A=1\nword\n", ["(line 2)", "KEY=value"]),
            ("A=1\nB='word\nC=2\n", ["(line 2)", "KEY=value"]),
            ("A=1\nB=\\word\n", ["(line 2)", "KEY=value"]),
            ("9A=word", ["(line 1)", "KEY=value"]),
        ] {
            let message = parsed(text).unwrap_err();
            for word in words {
                assert!(message.contains(word), "{text:?}: {message}");
            }
            assert!(!message.contains("word"), "{message}");
        }
    }
}
