//! The command line at a terminal: questions, hidden input, and width.

use chrono::TimeDelta;
use rocket_diesel_sessions::store::{SessionStore, UserStore};

use super::commands::HOSTILE;
use crate::support::local::{Visitor, application};
use crate::support::sessions::new_session;
use crate::support::terminal::{SETTINGS, Terminal};
use crate::support::{Database, Kind};

fn database() -> Database {
    let database = Database::new(Kind::Sqlite).unwrap();
    database.store();
    database
}

/// Types passwords as they are asked for. Returns the exit code and the screen.
fn add_user(database: &Database, passwords: [&str; 2]) -> (Option<i32>, String) {
    let mut terminal = Terminal::start(database, 80, "users add ada");
    for (question, password) in ["New password for ada: ", "Repeat the password: "]
        .into_iter()
        .zip(passwords)
    {
        terminal.expect(question);
        terminal.expect_no_echo();
        terminal.types(password);
    }
    terminal.end()
}

#[test]
fn a_password_is_asked_for_twice_and_not_shown() {
    let database = database();
    let (code, screen) = add_user(&database, ["sesame, open", "sesame, opne"]);
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("error: the two passwords are not the same"));
    assert!(database.store().user_by_name("ada").unwrap().is_none());

    let (code, screen) = add_user(&database, ["sesame, open", "sesame, open"]);
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("sesame"), "{screen}");
    let (client, _) = application(&database, "");
    let answer = Visitor::new(&client).enter("login", "ada", "sesame, open");
    assert_eq!(answer.status.code, 200, "{}", answer.body);
}

#[test]
fn an_interrupted_question_leaves_the_terminal_as_it_was() {
    let database = database();
    let mut terminal = Terminal::start(&database, 80, "users add ada");
    terminal.expect("New password for ada: ");
    terminal.expect_no_echo();
    terminal.types("sesame\u{3}");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("error: interrupted"), "{screen}");
    let settings = std::fs::read_to_string(database.folder().join(SETTINGS)).unwrap();
    for setting in ["echo", "icanon", "isig"] {
        assert!(
            settings.split_whitespace().any(|word| word == setting),
            "{settings}"
        );
    }
    assert!(database.store().user_by_name("ada").unwrap().is_none());
}

#[test]
fn clearing_sessions_asks_for_confirmation() {
    let database = database();
    database.store().create(&[new_session(None)]).unwrap();
    let refused = (1, "error: not confirmed");
    for (answer, (expected, result)) in [
        ("", refused),
        ("no", refused),
        ("y", (0, "ended 1 session")),
    ] {
        let mut terminal = Terminal::start(&database, 80, "sessions clear");
        terminal.expect("Everyone is signed out. [y/N] ");
        assert_eq!(database.sessions(), 1);
        terminal.types(answer);
        let (code, screen) = terminal.end();
        assert_eq!(code, Some(expected), "{screen}");
        assert!(screen.contains(result), "{screen}");
    }
    assert_eq!(database.sessions(), 0);
}

#[test]
fn deleting_a_user_asks_for_confirmation() {
    let database = database();
    database.add_users(&["ada"]);
    for (answer, (expected, result)) in [
        ("", (1, "error: not confirmed")),
        ("yes", (0, "deleted ada, id ada; ended 0 sessions")),
    ] {
        let mut terminal = Terminal::start(&database, 80, "users delete ada");
        terminal.expect("Delete ada with all sessions? This cannot be undone. [y/N] ");
        assert!(database.store().user(&"ada".into()).unwrap().is_some());
        terminal.types(answer);
        let (code, screen) = terminal.end();
        assert_eq!(code, Some(expected), "{screen}");
        assert!(screen.contains(result), "{screen}");
    }
    assert!(database.store().user(&"ada".into()).unwrap().is_none());
}

#[test]
fn a_table_fits_the_terminals_width_and_has_no_colours() {
    let database = database();
    let mut session = new_session(None);
    session.ip = Some("2001:db8:1234:5678:9abc:def0:1234:5678".to_owned());
    session.user_agent = Some("a-very-long-name-of-a-program-that-nobody-needs/1.0".to_owned());
    database
        .store()
        .create(std::slice::from_ref(&session))
        .unwrap();
    for arguments in [
        "sessions list".to_owned(),
        format!("sessions show {}", session.id),
    ] {
        let (code, screen) = Terminal::start(&database, 70, &arguments).end();
        assert_eq!(code, Some(0), "{screen}");
        assert!(
            screen.contains(session.id.as_str()),
            "the handle is whole: {screen}"
        );
        for line in screen.lines() {
            assert!(line.trim_end().chars().count() <= 70, "{line:?}");
            let shown = |c: char| !c.is_control() || "\r\n".contains(c);
            assert!(line.chars().all(shown), "{line:?}");
        }
    }
}

#[test]
fn a_sweep_shows_its_progress_and_then_only_the_result() {
    let database = database();
    let store = database.store();
    let expired = || {
        let mut session = new_session(None);
        session.expires_at -= TimeDelta::days(2);
        session
    };
    let many: Vec<_> = (0..2500).map(|_| expired()).collect();
    store.create(&many).unwrap();
    let (code, screen) = Terminal::start(&database, 80, "sweep").end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains(" of 2,500"), "{screen:?}");
    // The progress bar's line is cleared before the result is written into it.
    let last = screen.trim_end().rsplit("\u{1b}[2K").next().unwrap();
    assert!(
        last.contains("deleted 2500 expired sessions in"),
        "{last:?}"
    );
    assert!(!last.contains(" of "), "{last:?}");
    assert_eq!(database.sessions(), 0);
}

#[test]
fn clearing_shows_its_progress_and_then_only_the_result() {
    let database = database();
    let many: Vec<_> = (0..2500).map(|_| new_session(None)).collect();
    database.store().create(&many).unwrap();
    let (code, screen) = Terminal::start(&database, 80, "sessions clear --yes").end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains(" of 2,500"), "{screen:?}");
    let last = screen.trim_end().rsplit("\u{1b}[2K").next().unwrap();
    assert!(last.contains("ended 2500 sessions"), "{last:?}");
    assert!(!last.contains(" of "), "{last:?}");
    assert_eq!(database.sessions(), 0);
}

#[test]
fn csv_is_shown_without_what_could_harm_the_terminal() {
    let database = database();
    let mut new = new_session(None);
    new.user_agent = Some(HOSTILE.to_owned());
    database.store().create(&[new]).unwrap();
    let (code, screen) = Terminal::start(&database, 400, "sessions list --csv").end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(
        screen.contains("\\u{1b}[2J") && !screen.contains("\u{1b}[2J"),
        "{screen}"
    );
}
