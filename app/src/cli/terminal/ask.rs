//! Questions to the person at the terminal.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};

use crate::cli::Failure;

/// The most bytes that are read of a password, which is more than is allowed.
const MAX_LINE: u64 = 4096;

/// Reads a new password for `name`. At a terminal, it is typed twice and not shown. Otherwise, it is the
/// first line of standard input.
pub(in crate::cli) fn new_password(name: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return first_line(io::stdin().lock());
    }
    survive_interrupts()?;
    let password = rpassword::prompt_password(format!("New password for {name}: "))?;
    let again = rpassword::prompt_password("Repeat the password: ")?;
    if password == again {
        Ok(password)
    } else {
        Err("the two passwords are not the same; nothing was changed".into())
    }
}

/// Keeps Ctrl-C from ending the process at once, which would leave a terminal that does not show what is
/// typed. The question fails instead, after the terminal has been restored. tokio installs the handler,
/// which stays, because there is no other way without `unsafe`.
#[cfg(unix)]
fn survive_interrupts() -> io::Result<()> {
    use rocket::tokio::runtime::Builder;
    use rocket::tokio::signal::unix::{SignalKind, signal};

    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    signal(SignalKind::interrupt()).map(drop)
}

#[cfg(not(unix))]
fn survive_interrupts() -> io::Result<()> {
    Ok(())
}

fn first_line(input: impl Read) -> Result<String, Failure> {
    let mut line = Vec::new();
    BufReader::new(input.take(MAX_LINE)).read_until(b'\n', &mut line)?;
    let line = String::from_utf8(line).map_err(|_| "the password is not UTF-8")?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(
            "no password was given; it is read from the first line of standard input".into(),
        );
    }
    Ok(line.to_owned())
}

/// Asks a question and returns whether the answer is yes.
///
/// # Errors
/// `otherwise`, if there is no terminal.
pub(in crate::cli) fn agrees(question: &str, otherwise: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(otherwise.into());
    }
    let mut terminal = io::stderr();
    write!(terminal, "{question} [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let answer = answer.trim();
    Ok(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password_and_keeps_its_blanks() {
        for (input, expected) in [
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("secret\r\nmore\n", "secret"),
            (" a b \n", " a b "),
        ] {
            assert_eq!(first_line(input.as_bytes()).unwrap(), expected);
        }
        for (input, reason) in [
            (&b""[..], "no password"),
            (b"\n", "no password"),
            (b"\xff", "UTF-8"),
        ] {
            let message = first_line(input).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }
}
