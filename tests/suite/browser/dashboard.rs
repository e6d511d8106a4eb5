//! The dashboard at all screen widths, and its indicator of live figures.

use rocket::serde::json::json;

use crate::support::site::{COUNT_A_VISIT, assert_fits, in_chromium, register};
use crate::support::{Chromium, Database, Kind, Server, Tab, wait_until};

/// Starts a server with an administrator and with sessions whose addresses and names have the
/// maximum length.
fn crowded(database: &Database) -> Server {
    let server = Server::start(database);
    database.add_users(&[&"w".repeat(64)]);
    let name = "w".repeat(64);
    for number in 0..60 {
        let user = if number % 2 == 0 {
            format!("'{name}'")
        } else {
            "NULL".to_owned()
        };
        database.execute(&format!(
            "INSERT INTO sessions (id, session_id, token_hash, user_id, data, expires_at,
                absolute_expires_at, last_seen_at, created_at, updated_at, ip, user_agent)
            VALUES ('made{number:04}abcdefghijklmnop', '01900000-0000-7000-8000-00000000{number:04}',
                randomblob(32), {user}, '{{}}', datetime('now', '+1 day'),
                datetime('now', '+1 day'), datetime('now'), datetime('now'), datetime('now'),
                '2003:c69e:8853:7a01:d4f1:92ff:fe3a:{number:04x}', 'Mozilla/5.0 (Windows NT 10.0; \
                Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0')"
        ));
    }
    server
}

/// Returns whether the first Revoke button is wholly within the window, without horizontal
/// scrolling.
fn is_reachable(tab: &Tab) -> bool {
    let script = "const button = document.querySelector('#session-list button');
        button.scrollIntoView({block: 'center', inline: 'nearest'});
        const {left, right} = button.getBoundingClientRect();
        const {scrollLeft} = document.scrollingElement;
        const hit = document.elementFromPoint((left + right) / 2,
            button.getBoundingClientRect().top + 5);
        return scrollLeft === 0 && left >= 0 && right <= innerWidth && button.contains(hit)";
    tab.execute(script) == json!(true)
}

#[test]
fn the_revoke_button_is_visible_at_every_screen_width() {
    let Some(chromium) = Chromium::find() else {
        return;
    };
    let database = Database::new(Kind::Sqlite).unwrap();
    let server = crowded(&database);
    let tab = chromium.open(&server);
    tab.goto("/admin/sessions");
    for width in [1920, 1280, 1024, 800, 760, 600, 390, 320] {
        tab.set_width(width);
        assert!(is_reachable(&tab), "at {width}");
        assert_fits(&tab, width);
    }
}

/// Finds labels of the charts that are outside their card or overlap another one.
const MISPLACED_LABELS: &str = "
    const misplaced = [];
    for (const plot of document.querySelectorAll('.plot')) {
        const card = plot.closest('.card').getBoundingClientRect();
        const labels = [...plot.querySelectorAll('text')]
            .map((label) => [label.textContent, label.getBoundingClientRect()])
            .filter(([, box]) => box.width > 0);
        labels.forEach(([text, box], index) => {
            const isInside = box.left >= card.left && box.right <= card.right
                && box.top >= card.top && box.bottom <= card.bottom;
            if (!isInside) misplaced.push(`${text} is outside`);
            for (const [other, next] of labels.slice(index + 1))
                if (box.left < next.right && next.left < box.right
                    && box.top < next.bottom && next.top < box.bottom)
                    misplaced.push(`${text} is on ${other}`);
        });
    }
    return misplaced;
";

#[test]
fn the_charts_can_be_read_at_every_width() {
    let Some(chromium) = Chromium::find() else {
        return;
    };
    let database = Database::new(Kind::Sqlite).unwrap();
    let server = Server::start(&database);
    for (hours, number) in [(3, 9_999_999), (30, 8)] {
        database.execute(&format!(
            "INSERT INTO session_stats VALUES (strftime('%Y-%m-%d %H:00:00', 'now', \
                '-{hours} hours'), {number}, {number}, 0, 0, 0, 0, 0, 0)"
        ));
    }
    let tab = chromium.open(&server);
    tab.goto("/admin");
    assert_eq!(tab.count("section:has(> #created) .series-1"), 2);
    assert_eq!(tab.count(".plot .clipped"), 2);
    for width in [1920, 1280, 800, 600, 390, 320] {
        tab.set_width(width);
        assert_eq!(tab.execute(MISPLACED_LABELS), json!([]), "at {width}");
    }
}

#[test]
fn revoking_a_found_session_returns_to_the_same_list() {
    let Some(chromium) = Chromium::find() else {
        return;
    };
    let database = Database::new(Kind::Sqlite).unwrap();
    let server = crowded(&database);
    let tab = chromium.open(&server);
    tab.goto("/");
    tab.click(COUNT_A_VISIT);
    tab.goto("/admin/sessions");
    let is_in_sight = || {
        let script = "const {top} = document.getElementById('sessions').getBoundingClientRect();
            return top >= 0 && top < innerHeight / 3";
        tab.execute(script) == json!(true)
    };
    tab.fill("q", &"w".repeat(64));
    tab.click(".search button");
    wait_until("the results are in sight", is_in_sight);
    assert_eq!(tab.count("#session-list tbody tr"), 30);
    tab.click("#session-list tbody tr:nth-child(3) button");
    tab.click("form .danger");
    wait_until("the list is in sight", is_in_sight);
    assert_eq!(
        tab.count("#session-list tbody tr"),
        29,
        "of the same search"
    );
    assert_eq!(tab.text("#notice"), "That session has ended.");
    let is_seen = "const {top, bottom} = document.getElementById('notice').getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight";
    assert_eq!(tab.execute(is_seen), json!(true));
    // Revoking on the second page returns to the second page.
    tab.goto("/admin/sessions");
    tab.follow("Next");
    let first = tab.text("#session-1");
    tab.click("#session-list tbody tr:nth-child(2) button");
    tab.click("form .danger");
    assert_eq!(tab.text("#session-1"), first);
}

#[test]
fn the_badge_shows_live_only_while_figures_arrive() {
    in_chromium(|chromium, server| {
        let shown = "return getComputedStyle(document.getElementById('live-status')).display";
        let without = chromium.open_without_javascript(&server);
        without.goto("/admin");
        assert_eq!(without.execute(shown), json!("none"));

        let tab = chromium.open(&server);
        register(&tab, "hopper");
        tab.goto("/admin");
        wait_until("the figures are live", || {
            tab.text("#live-status") == "Live"
        });
        server.kill();
        wait_until("the badge says that they stand", || {
            let text = tab.text("#live-status");
            text.strip_prefix("Paused, ")
                .is_some_and(|time| time.len() == 5)
        });
    });
}
