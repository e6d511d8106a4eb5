//! Ignored or unsafe settings, and how a start reports them.

use std::path::Path;
use std::process::Command;

use crate::support::Server;
use crate::support::server::{program, run_to_end};
use crate::support::start::{SECRET, assert_refused, folder, refusal, release};

fn with(folder: &Path, key: &str, value: &str) -> Command {
    let mut command = release(folder);
    command.env(key, value);
    command
}

#[test]
fn i12_settings_of_the_wrong_shape_stop_the_start() {
    let folder = folder();
    for (key, value, words) in [
        (
            "ROCKET_APP",
            "guesses_per_user=1",
            ["app: ", "table", "ROCKET_APP"],
        ),
        (
            "ROCKET_APP",
            "{guesses_per_user=1",
            ["app: ", "table", "ROCKET_APP"],
        ),
        ("ROCKET_APP", "true", ["app: ", "a boolean", "ROCKET_APP"]),
        ("ROCKET_APP", "", ["app: ", "table", "ROCKET_APP"]),
        (
            "ROCKET_APP",
            r#"{metrics="all"}"#,
            ["app.metrics", "loopback", "ROCKET_APP"],
        ),
        (
            "ROCKET_SESSIONS",
            r#"idle_timeout="2h""#,
            ["sessions: ", "table", "ROCKET_SESSIONS"],
        ),
        (
            "ROCKET_SESSIONS",
            "5",
            ["sessions: ", "a number", "ROCKET_SESSIONS"],
        ),
        (
            "ROCKET_SESSIONS",
            "[]",
            ["sessions: ", "a list", "ROCKET_SESSIONS"],
        ),
        (
            "ROCKET_SESSIONS",
            "{foo=1}",
            [
                "sessions.foo: unknown key; ",
                "idle_timeout, ",
                "ROCKET_SESSIONS",
            ],
        ),
        (
            "ROCKET_TLS",
            r#"{certs="a.pem",key="b.pem"}"#,
            ["tls: ", "plain http", "ROCKET_TLS"],
        ),
        ("ROCKET_TLS", "true", ["tls: ", "proxy", "ROCKET_TLS"]),
        (
            "RUST_LOG",
            "rocket=verbose,%%%",
            ["RUST_LOG", "verbose", "debug"],
        ),
        ("RUST_LOG", "inof", ["RUST_LOG", "inof", "debug"]),
        (
            "RUST_LOG",
            "warn,warning",
            ["RUST_LOG", "\"warning\"", "debug"],
        ),
        (
            "RUST_LOG",
            "rocket_diesel_sessions:audit=info",
            ["RUST_LOG", ":audit", "target=level"],
        ),
        ("ROCKET_WORKERS", "0", ["workers = 0", "at least", "1"]),
        (
            "RUST_LOG",
            "info,a=b=c",
            ["RUST_LOG", "a=b=c", "target=level"],
        ),
        (
            "SESSION_ADMIN_TOKEN",
            "hunter2",
            ["SESSION_ADMIN_TOKEN", "32 bytes", "secret"],
        ),
    ] {
        let message = refusal(&run_to_end(with(folder.path(), key, value)));
        for word in words {
            assert!(
                message.contains(word),
                "{key}={value}: {word:?} is missing: {message}"
            );
        }
        assert!(
            !message.contains("hunter2") && !message.contains("``"),
            "{message}"
        );
    }
}

#[test]
fn i12_settings_that_would_be_ignored_stop_the_start() {
    let folder = folder();
    for (toml, words) in [
        (
            "[sessions]\nidle_timeout='1h'",
            ["[sessions]", "[default.sessions]"],
        ),
        ("[app]\nregistration=false", ["[app]", "[default.app]"]),
        (
            "[default]\nsessions='x'",
            ["sessions: is a text", "Rocket.toml"],
        ),
        ("[release]\napp=7", ["app: is a number", "Rocket.toml"]),
        (
            "[default.tls]\ncerts='a.pem'\nkey='b.pem'",
            ["tls: ", "Rocket.toml"],
        ),
        (
            "[default.session]\nidle_timeout='1h'",
            ["session: unknown key", "sessions, app"],
        ),
        ("x =", ["error: TOML parse error", "line 1"]),
    ] {
        std::fs::write(folder.path().join("Rocket.toml"), toml).unwrap();
        assert_refused(release(folder.path()), &words);
    }
    // Other profiles may exist, and RUST_LOG may be empty.
    let other = "[staging]\nport=1\n[staging.sessions]\nidle_timeout='1h'";
    std::fs::write(folder.path().join("Rocket.toml"), other).unwrap();
    assert_eq!(
        Server::spawn(with(folder.path(), "RUST_LOG", "")).terminate(),
        Some(0)
    );
}

#[test]
fn a_short_admin_token_is_allowed_only_in_the_debug_profile() {
    let folder = folder();
    for profile in ["release", "staging"] {
        let mut command = with(folder.path(), "SESSION_ADMIN_TOKEN", &SECRET[..31]);
        command.env("ROCKET_PROFILE", profile);
        assert_refused(
            command,
            &["SESSION_ADMIN_TOKEN", "32 bytes", "debug profile"],
        );
    }
    let token = with(folder.path(), "SESSION_ADMIN_TOKEN", &SECRET[..32]);
    assert_eq!(
        Server::spawn(token)
            .log_at_end()
            .find("SESSION_ADMIN_TOKEN"),
        None
    );
    let mut command = program(folder.path());
    command.env("SESSION_ADMIN_TOKEN", "x");
    let server = Server::spawn(command);
    let bearer = "Bearer x";
    let list = server
        .client()
        .get_with_header("/admin", "Authorization", bearer);
    assert_eq!(list.status, 200);
    assert!(
        server
            .log_at_end()
            .contains("SESSION_ADMIN_TOKEN: has fewer than 32 bytes")
    );
}

#[test]
fn settings_are_read_only_from_the_working_directory() {
    let parent = folder();
    let child = parent.path().join("child");
    std::fs::create_dir(&child).unwrap();
    std::fs::write(
        parent.path().join("Rocket.toml"),
        "[default]\nkeep_alive = 'none'\n",
    )
    .unwrap();
    let token = "a token of the folder above, of 32 bytes";
    let lines = format!("DATABASE_URL=sqlite://parent.db\nSESSION_ADMIN_TOKEN='{token}'\n");
    std::fs::write(parent.path().join(".env"), lines).unwrap();
    assert_refused(release(parent.path()), &["keep_alive", "u32"]);
    let server = Server::spawn(release(&child));
    let bearer = format!("Bearer {token}");
    let list = server
        .client()
        .get_with_header("/api/session/sessions", "Authorization", &bearer);
    assert_eq!(list.status, 401);
    assert_eq!(server.terminate(), Some(0));
    assert!(child.join("sessions.db").exists());
    // A named file is also relative to that directory.
    std::fs::write(
        parent.path().join("other.toml"),
        "[default]\nkeep_alive = 'none'\n",
    )
    .unwrap();
    let server = Server::spawn(with(&child, "ROCKET_CONFIG", "other.toml"));
    assert!(
        server
            .log_at_end()
            .contains("ROCKET_CONFIG = \"other.toml\": there is no such file")
    );
    assert_refused(
        with(&child, "ROCKET_CONFIG", "../other.toml"),
        &["keep_alive", "u32"],
    );
}

#[test]
fn a_dollar_in_the_env_file_is_refused_by_its_line_and_not_shown() {
    let folder = folder();
    let file = folder.path().join(".env");
    for value in [
        "postgres://app:pa$word1@h/app",
        "\"sqlite://pa$word1\"",
        "${word1}",
    ] {
        std::fs::write(&file, format!("# $ in a comment\n\nDATABASE_URL={value}\n")).unwrap();
        let message = refusal(&run_to_end(release(folder.path())));
        assert!(
            message.contains("(line 3)") && message.contains("single quotes"),
            "{message}"
        );
        assert!(!message.contains("word1"), "{message}");
    }
    std::fs::write(&file, "DATABASE_URL='sqlite://pa$word1.db'\n").unwrap();
    let server = Server::spawn(release(folder.path()));
    // The server handles signals once it answers.
    assert_eq!(server.client().get("/healthz").status, 200);
    assert_eq!(server.terminate(), Some(0));
    assert!(folder.path().join("pa$word1.db").exists());
}

#[test]
fn the_start_message_names_who_may_administer() {
    let folder = folder();
    let open = "administration is open to this machine (debug profile)";
    let said = |command| Server::spawn(command).start_message().to_owned();
    assert!(said(program(folder.path())).contains(open));
    assert!(!said(release(folder.path())).contains(open));
    let mut everywhere = program(folder.path());
    everywhere.env("ROCKET_ADDRESS", "0.0.0.0");
    assert!(!said(everywhere).contains(open));
    for (mut command, is_open) in [
        (program(folder.path()), true),
        (release(folder.path()), false),
    ] {
        command.env("LOG_FORMAT", "json");
        assert_eq!(said(command).contains(open), is_open);
    }
}

#[test]
fn a_release_on_plain_http_warns_that_no_one_could_sign_in() {
    let folder = folder();
    let warns = |settings: &[(&str, &str)]| {
        let mut command = release(folder.path());
        command.envs(settings.iter().copied());
        let log = Server::spawn(command).log_at_end();
        log.lines()
            .filter(|line| line.contains("WARN") && line.contains("plain http"))
            .count()
    };
    let everywhere = ("ROCKET_ADDRESS", "0.0.0.0");
    assert_eq!(warns(&[everywhere]), 1);
    assert_eq!(warns(&[]), 0);
    assert_eq!(warns(&[everywhere, ("ROCKET_IP_HEADER", "X-Real-IP")]), 0);
    assert_eq!(warns(&[everywhere, ("ROCKET_PROFILE", "debug")]), 0);
    let insecure = ("ROCKET_SESSIONS", "{cookie={secure=false}}");
    assert_eq!(warns(&[everywhere, insecure]), 0);
}
