//! What the tour finds in the database.

use crate::support::Database;

/// A user with as many devices as allowed.
pub(super) const FULL: &str = "full";
/// A user with none.
pub(super) const OTHER: &str = "other";

pub(super) fn longest_name() -> String {
    "w".repeat(64)
}

const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/18.5 Mobile/15E148 Safari/604.1",
    "curl/8.14.1",
    "",
];

/// Adds sessions of a user, or of no one, with addresses and handles of the maximum length.
fn add_sessions(database: &Database, name: &str, user: &str, number: usize) {
    database.execute(&format!(
        "INSERT INTO sessions (id, session_id, token_hash, user_id, data, expires_at,
            absolute_expires_at, last_seen_at, created_at, updated_at, ip, user_agent)
        WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}),
        agents(place, agent) AS (VALUES {agents})
        SELECT '{name}' || printf('%04d', n) || 'abcdefghijklmnop',
            '0190{tag:04x}-0000-7000-8000-00000000' || printf('%04d', n), randomblob(32),
            {user}, '{{\"visitCount\":' || n || '}}', datetime('now', '+1 day'),
            datetime('now', '+30 days'), datetime('now', '-' || (4 * ({last} - n)) || ' minutes'),
            datetime('now', '-' || (30 * ({last} - n)) || ' minutes'), datetime('now'),
            '2003:c69e:8853:7a01:d4f1:92ff:fe3a:' || printf('%04x', n), agent
        FROM numbers JOIN agents ON place = n % {kinds}",
        last = number - 1,
        kinds = AGENTS.len(),
        tag = database.sessions(),
        agents = AGENTS
            .iter()
            .enumerate()
            .map(|(place, agent)| format!("({place}, '{agent}')"))
            .collect::<Vec<_>>()
            .join(", "),
    ));
}

fn id_of(username: &str) -> String {
    format!("(SELECT id FROM users WHERE username = '{username}')")
}

/// Adds devices of the user with the longest name.
pub(super) fn add_devices(database: &Database, number: usize) {
    let name = format!("d{number:03}");
    add_sessions(database, &name, &id_of(&longest_name()), number);
}

/// Makes the user an administrator of others, whose usage has been recorded for some days.
pub(super) fn add_administration(database: &Database) {
    database.execute("UPDATE users SET is_admin = TRUE");
    for user in [FULL, OTHER] {
        database.execute(&format!(
            "INSERT INTO users (id, username, password_hash, created_at, updated_at)
            SELECT '{user}', '{user}', password_hash, created_at, updated_at FROM users LIMIT 1"
        ));
    }
    database.execute("DELETE FROM sessions WHERE id LIKE 'd300%'");
    add_sessions(database, "made", "CASE n % 2 WHEN 0 THEN 'full' END", 120);
    database.execute(
        "WITH RECURSIVE hours(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM hours WHERE n < 200)
        INSERT OR REPLACE INTO session_stats
        SELECT strftime('%Y-%m-%d %H:00:00', 'now', '-' || n || ' hours'), 9 * n % 70, 5 * n % 30, n % 4, 0,
            n % 30, 0, 9 * n % 500, n % 50
        FROM hours WHERE n % 40 < 35",
    );
}

/// Lets the user have as many devices as allowed.
pub(super) fn add_full_user(database: &Database) {
    database.execute("DELETE FROM sessions WHERE id LIKE 'made%'");
    add_sessions(database, "full", "'full'", 3);
}
