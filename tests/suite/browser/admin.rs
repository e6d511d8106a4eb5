//! The dashboard with many sessions.

use crate::support::site::{COUNT_A_VISIT, assert_fits, assert_quiet, assert_sound, register};
use crate::support::{Chromium, Database, Kind, Server, wait_until};

const SESSIONS: u32 = 100_000;

/// Adds sessions that are all older than those that the server creates. Every third belongs to the
/// user.
fn add_sessions(database: &Database, user_id: &str) {
    let (numbers, now, later, hash) = match database.kind() {
        Kind::Sqlite => (
            format!("SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {SESSIONS}"),
            "datetime('now')",
            "datetime('now', '+1 day')",
            "randomblob(32)",
        ),
        Kind::Postgres => (
            format!("SELECT generate_series(1, {SESSIONS})"),
            "now() AT TIME ZONE 'utc'",
            "now() AT TIME ZONE 'utc' + interval '1 day'",
            "decode(repeat('ab', 32), 'hex')",
        ),
    };
    let digits = "substr(CAST(1000000 + n AS TEXT), 2)";
    database.execute(&format!(
        "INSERT INTO sessions (id, session_id, token_hash, user_id, data, expires_at,
            absolute_expires_at, last_seen_at, created_at, updated_at)
        WITH RECURSIVE number(n) AS ({numbers})
        SELECT 'made{user_id}' || {digits}, '01900000-0000-7000-8000-000000' || {digits}, {hash},
            CASE WHEN n % 3 = 0 THEN '{user_id}' END, '{{\"note\":\"<script>\"}}',
            {later}, {later}, {now}, {now}, {now} FROM number"
    ));
}

on_each_database! {
    fn an_administrator_finds_and_ends_one_of_many_sessions(database: &Database) {
        let Some(chromium) = Chromium::find() else {
            return;
        };
        let server = Server::start(database);
        let tab = chromium.open(&server);
        register(&tab, "ruth");
        database.execute("UPDATE users SET is_admin = TRUE WHERE username = 'ruth'");
        database.add_users(&["grace"]);
        add_sessions(database, "grace");

        tab.reload();
        tab.follow("Administration");
        assert_eq!(tab.path(), "/admin");
        assert_eq!(tab.count("svg.plot"), 4);
        assert_sound(&tab);

        // A visitor comes, and the figures change without a reload.
        let created = || tab.text("[data-figure=created]").parse::<u32>().unwrap();
        wait_until("the figures are live", || tab.text("#live-status") == "Live");
        let before = created();
        let client = chromium.open(&server);
        client.goto("/");
        client.click(COUNT_A_VISIT);
        wait_until("the new session is counted", || created() > before);

        tab.follow("Sessions");
        assert_eq!(tab.path(), "/admin/sessions");
        assert_eq!(tab.count("#session-list tbody tr"), 50);
        tab.follow("Next");
        assert_eq!(tab.count("#session-list tbody tr"), 50);
        tab.fill("q", "Grace");
        tab.click(".search button");
        assert_eq!(tab.text("#session-1"), "madegrac…");
        assert_eq!(tab.count("#session-1[title=madegrace099999]"), 1);
        assert_eq!(tab.text("#session-list tbody .name"), "grace");
        tab.click("#session-1");
        assert!(tab.text("pre").contains("\"note\": \"<script>\""));
        assert_sound(&tab);
        tab.click("form[action$='/revoke'] button");
        tab.click("form[action$='/revoke'] .danger");
        assert_eq!(tab.text("#notice"), "That session has ended.");
        tab.fill("q", "madegrace099999");
        tab.click(".search button");
        assert!(tab.text("#no-sessions").contains("None of the 5,000"));
        assert_eq!(database.sessions(), i64::from(SESSIONS) + 1);

        assert_quiet(&tab);
        for path in ["/admin", "/admin/sessions", "/admin/maintenance"] {
            tab.goto(path);
            tab.execute("document.querySelectorAll('details').forEach((one) => (one.open = true))");
            for width in [390, 320] {
                tab.set_width(width);
                assert_fits(&tab, width);
            }
        }
    }
}
