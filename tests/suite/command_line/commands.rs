//! The commands as an operator types them.

use std::process::Stdio;

use chrono::TimeDelta;
use rocket::serde::json::{Value, from_str};
use rocket_diesel_sessions::store::{NewSession, SessionStore};
use rocket_diesel_sessions::{DatabaseUrl, SessionKeys};

use crate::support::command_line::{assert_fails, on, run, run_json, stdout};
use crate::support::server::{program, run_to_end};
use crate::support::sessions::new_session;
use crate::support::{Database, Kind};

/// Returns the names in an object.
pub(super) fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

pub(super) const SESSION_KEYS: [&str; 11] = [
    "absoluteExpiresAt",
    "createdAt",
    "data",
    "expiresAt",
    "id",
    "ip",
    "lastSeenAt",
    "sessionId",
    "updatedAt",
    "userAgent",
    "userId",
];

/// Text that would clear the screen, change colours and reverse the direction of the text after it.
pub(super) const HOSTILE: &str = "evil\u{1b}[2J\u{9b}31m\u{7}\r\u{202e}/1.0";

fn assert_harmless(output: &str) {
    let is_harmless = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
    assert!(output.chars().all(is_harmless), "{output:?}");
}

on_each_database! {
    fn migrate_runs_pending_migrations_once(database: &Database) {
        let first = run(database, &["migrate"]);
        assert!(first.contains("ran migration"), "{first}");
        assert_eq!(database.sessions(), 0);
        let second = run(database, &["migrate"]);
        assert!(second.contains("is up to date"), "{second}");
    }

    fn sweep_deletes_expired_sessions(database: &Database) {
        let store = database.store();
        let mut expired = new_session(None);
        expired.expires_at -= TimeDelta::days(2);
        store.create(&[expired, new_session(None)]).unwrap();
        let output = run_to_end(on(database, &["sweep"]));
        let report = stdout(&output);
        assert!(report.contains("deleted 1 expired sessions in 0."), "{report}");
        assert!(report.ends_with(" s\n"), "{report}");
        assert_eq!(report.lines().count(), 1, "{report}");
        let log = String::from_utf8(output.stderr).unwrap();
        let is_audit = |line: &str| line.contains("rocket_diesel_sessions::audit");
        assert!(log.lines().count() == 1 && log.lines().all(is_audit), "{log}");
        assert_eq!(database.sessions(), 1);
    }

    fn a_session_is_shown_with_all_fields_except_its_hash(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let mut session = new_session(Some("ada"));
        session.data = r#"{"cart":{"items":["pen"]}}"#.into();
        session.ip = Some("::1".to_owned());
        store.create(std::slice::from_ref(&session)).unwrap();
        let shown = run(database, &["sessions", "show", session.id.as_str()]);
        let session_id = session.session_id.to_string();
        for part in [session.id.as_str(), &session_id, "ada (ada)", "::1", "(in 4 weeks)"] {
            assert!(shown.contains(part), "{part} is missing: {shown}");
        }
        assert!(shown.contains("\"items\": [\n      \"pen\"\n"), "{shown}");
        let json = run(database, &["sessions", "show", session.id.as_str(), "--json"]);
        let hash: String = session.token_hash.as_bytes().map(|b| format!("{b:02x}")).concat();
        assert!(!shown.contains(&hash) && !json.contains(&hash));
        let json: Value = from_str(&json).unwrap();
        let mut expected = SESSION_KEYS.to_vec();
        expected.push("version");
        assert_eq!(keys(&json["session"]), expected);
        assert_eq!(json["session"]["data"]["cart"]["items"][0], "pen");
        assert_fails(database, &["sessions", "show", "nothing"], &["nothing", "sessions list"]);
        assert_fails(database, &["sessions", "show", &session_id], &[&session_id]);
    }

    fn input_of_visitors_is_escaped_on_the_terminal(database: &Database) {
        let mut session = new_session(None);
        session.user_agent = Some(HOSTILE.to_owned());
        session.ip = Some("\u{1b}]0;title\u{7}".to_owned());
        session.data = Value::from(HOSTILE).to_string();
        let mut no_json = new_session(None);
        no_json.data = HOSTILE.into();
        database.store().create(&[session.clone(), no_json.clone()]).unwrap();
        let show = ["sessions", "show", session.id.as_str()];
        for arguments in [&["sessions", "list"][..], &show, &["sessions", "show", no_json.id.as_str()]] {
            let output = run(database, arguments);
            assert_harmless(&output);
            assert!(output.contains("evil\\u{1b}[2J\\u{9b}31m") || output.contains("title"));
            let output = run(database, &[arguments, &["--json"]].concat());
            assert_harmless(&output);
            from_str::<Value>(&output).unwrap();
        }
        let json = run_json(database, &[&show[..], &["--json"]].concat());
        assert_eq!(json["session"]["userAgent"], HOSTILE);
        assert_eq!(json["session"]["data"], HOSTILE);
        let output = run_to_end(on(database, &["sessions", "show", HOSTILE]));
        assert_harmless(&String::from_utf8(output.stderr).unwrap());
    }

    fn sessions_are_revoked_by_handle_and_by_user(database: &Database) {
        let store = database.store();
        database.add_users(&["ada", "bob"]);
        let made = [None, None, Some("ada"), Some("ada"), Some("bob")].map(new_session);
        store.create(&made).unwrap();
        let ended = run(database, &["sessions", "revoke", made[0].id.as_str()]);
        assert_eq!(ended, format!("ended {}\n", made[0].id));
        // Existing sessions end, and missing ones are named.
        let some = ["sessions", "revoke", made[0].id.as_str(), made[1].id.as_str(), "nope", made[1].id.as_str()];
        let output = run_to_end(on(database, &some));
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("ended {}\n", made[1].id));
        let message = String::from_utf8(output.stderr).unwrap();
        let missing = format!("not found: {}\nnot found: nope\n", made[0].id);
        assert!(message.contains(&missing), "{message}");
        assert!(message.contains("error: ended 1, 2 not found; `sessions list`"), "{message}");
        assert_eq!(database.sessions(), 3);
        let ended = run(database, &["sessions", "revoke", "--user", "Ada"]);
        assert_eq!(ended, "ended 2 sessions of ada\n");
        assert_eq!(store.find(&made[4].id).unwrap(), Some(made[4].clone().into_record()));
        assert_fails(database, &["sessions", "revoke", "--user", "eve"], &["\"eve\""]);
        assert_eq!(database.sessions(), 1);
    }

    fn clearing_sessions_needs_a_confirmation(database: &Database) {
        let made: Vec<NewSession> = (0..1001).map(|_| new_session(None)).collect();
        database.store().create(&made).unwrap();
        assert_fails(database, &["sessions", "clear"], &["--yes"]);
        assert_eq!(database.sessions(), 1001);
        let cleared = run(database, &["sessions", "clear", "--yes"]);
        assert!(cleared.contains("ended 1001 sessions"), "{cleared}");
        assert_eq!(database.sessions(), 0);
    }
}

#[test]
fn secret_prints_a_random_usable_secret() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let secret = || run(&database, &["secret"]);
    let (one, other) = (secret(), secret());
    assert_ne!(one, other);
    SessionKeys::parse(one.trim()).unwrap();
    assert_eq!(one.lines().count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_remark_that_cannot_be_written_changes_no_result() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let made = [None, None].map(new_session);
    database.store().create(&made).unwrap();
    for (arguments, code) in [
        (&["sessions", "list", "--limit", "1"][..], 0),
        (&["sessions", "list", "--user", "nobody"], 1),
        (&["sessions", "list", "--limit", "0"], 2),
    ] {
        let mut command = on(&database, arguments);
        let full = std::fs::File::options().write(true).open("/dev/full");
        let status = command.stdout(Stdio::null()).stderr(full.unwrap()).status();
        assert_eq!(status.unwrap().code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn the_program_prints_its_name_and_version() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let expected = concat!("rocket_diesel_sessions ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run(&database, &["--version"]), expected);
}

#[test]
fn wrong_usage_and_failures_have_different_exit_codes() {
    let database = Database::new(Kind::Sqlite).unwrap();
    for (arguments, word) in [
        (&["swep"][..], "sweep"),
        (&["sessions"], "revoke"),
        (&["sessions", "revoke"], "--user <NAME>"),
        (&["sessions", "list", "--ip", "x"], "--ip"),
        (&["sessions", "list", "--idle", "5"], "as in 30s"),
        (&["sessions", "list", "--expiring", "soon"], "as in 30s"),
        (&["sessions", "list", "--csv", "--json"], "--json"),
        (&["sweep", "--last", "0"], "1..=1000"),
        (&["sweep", "--last", "1", "--dry-run"], "--dry-run"),
        (
            &["sessions", "list", "--sort", "oldest"],
            "newest, expiring",
        ),
        (
            &["sessions", "list", "--anonymous", "--user", "a"],
            "--anonymous",
        ),
        (&["users", "list", "--wait", "2h"], "1h"),
        (&["serve", "--port", "70000"], "--port"),
        (&["completions", "cmd"], "bash"),
        (&["sessions", "revoke", "x", "--user", "ada"], "--user"),
        (&["sessions", "list", "--limit", "0"], "1..=1000"),
        (&["sessions", "list", "--after", "x"], "next"),
        (&["users", "add", "ada", "the password"], "the password"),
        (&["users", "promote"], "NAME"),
    ] {
        let output = run_to_end(on(&database, arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
    let help = run(&database, &["--help"]);
    for command in ["serve", "migrate", "sweep", "sessions", "users", "secret"] {
        assert!(help.contains(command), "{help}");
    }
    assert!(!database.folder().join("test.db").exists());
}

#[test]
fn an_unknown_log_format_is_named() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let mut command = on(&database, &["users", "list"]);
    let output = run_to_end({
        command.env("LOG_FORMAT", "xml");
        command
    });
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        message,
        "error: LOG_FORMAT = \"xml\": must be text or json\n"
    );
}

#[test]
fn a_closed_pipe_on_standard_output_is_not_a_failure() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let made: Vec<NewSession> = (0..1000).map(|_| new_session(None)).collect();
    database.store().create(&made).unwrap();
    let mut child = on(
        &database,
        &["sessions", "list", "--limit", "1000", "--json"],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    // More than fits into the pipe.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*message), (Some(0), ""));
}

#[test]
fn the_databases_password_is_not_shown() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let mut command = on(&database, &["sessions", "list", "--wait", "0s"]);
    command
        .env("DATABASE_URL", "postgres://app:hunter2@127.0.0.1:1/app")
        .env("RUST_LOG", "trace");
    let output = run_to_end(command);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("error: cannot connect to postgres://app@"),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
    let parsed: DatabaseUrl = database.raw_url().parse().unwrap();
    assert_eq!(parsed.to_string(), database.raw_url());
}

on_each_database! {
    fn stats_report_usage_including_sessions_ended_by_commands(database: &Database) {
        let store = database.store();
        store.create(&[new_session(None), new_session(None)]).unwrap();
        let query = rocket_diesel_sessions::store::ListSessions::new(chrono::Utc::now(), 1);
        let first = store.list(&query);
        let handle = first.unwrap().remove(0).id;
        let output = |arguments: &[&str]| {
            let mut command = program(database.folder());
            command.env("DATABASE_URL", database.raw_url()).args(arguments);
            let output = run_to_end(command);
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        output(&["sessions", "revoke", handle.as_str()]);
        let table = output(&["stats"]);
        assert!(table.contains("1 live sessions: 0 signed in, 1 anonymous"), "{table}");
        assert!(table.contains("REVOKED"), "{table}");
        let json: Value =
            from_str(&output(&["stats", "--json", "--hours", "2"])).unwrap();
        assert_eq!(json["active"], 1);
        assert_eq!(json["hours"][0]["ended"]["revoked"], 1);
    }
}
