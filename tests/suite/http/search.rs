//! `GET /api/session/sessions`: what it searches, filters and sorts by.

use std::time::Duration;

use chrono::TimeDelta;
use rocket::http::{Header, Status};
use rocket::local::blocking::Client;
use rocket::serde::json::Value;
use rocket_diesel_sessions::SessionHandle;
use rocket_diesel_sessions::store::{NewSession, SessionStore};

use crate::support::local::{ADMIN_TOKEN, Answer, application};
use crate::support::sessions::new_session;
use crate::support::{Database, Visitor};

const LIST: &str = "/api/session/sessions";

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0";

fn get(client: &Client, query: &str) -> Answer {
    let token = Header::new("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    let request = client.get(format!("{LIST}?{query}"));
    request.header(token).dispatch().into()
}

/// Four sessions, the oldest first.
fn made(database: &Database) -> [NewSession; 4] {
    let store = database.store();
    database.add_users(&["ada"]);
    let mut made = [Some("ada"), Some("ada"), None, None].map(new_session);
    let addresses = ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::1"];
    for (session, ip) in made.iter_mut().zip(addresses) {
        session.ip = Some(ip.to_owned());
    }
    made[0].user_agent = Some(FIREFOX.to_owned());
    made[1].expires_at = made[1].now + TimeDelta::minutes(10);
    made[2].now -= TimeDelta::hours(3);
    made[2].expires_at -= TimeDelta::hours(3);
    made[3].expires_at = made[3].now + TimeDelta::minutes(30);
    for (place, beginning) in [(1, "abcd0"), (3, "abcd1")] {
        let handle = format!("{beginning}{}", &made[place].id.as_str()[5..]);
        made[place].id = SessionHandle::from(handle.as_str());
    }
    store.create(&made).unwrap();
    made
}

on_each_database! {
    fn sessions_are_searched_filtered_and_sorted(database: &Database) {
        let made = made(database);
        let (client, _) = application(database, "");
        let list = |query: &str| {
            let answer = get(&client, query);
            assert_eq!(answer.status, Status::Ok, "{query}: {}", answer.body);
            let list = answer.json();
            let place = |session: &Value| made.iter().position(|one| session["id"] == *one.id.as_str()).unwrap();
            let places = list["sessions"].as_array().unwrap().iter().map(place);
            (places.collect::<Vec<_>>(), list["next"].as_str().map(str::to_owned))
        };
        let handle = made[1].id.as_str();
        for (query, expected) in [
            ("", &[3, 2, 1, 0][..]),
            ("ip=203.0.113.7", &[1, 0]),
            ("ip=::ffff:203.0.113.7", &[1, 0]),
            ("ip=2001:DB8:0::1", &[2]),
            ("ip=192.0.2.1", &[]),
            ("user=ada", &[1, 0]),
            ("q=203.0.113.7", &[1, 0]),
            ("q=2001:db8", &[2]),
            ("q=fireFOX%20on%20win", &[0]),
            ("q=ada", &[1, 0]),
            ("q=ad", &[1, 0]),
            ("q=anonym", &[3, 2]),
            ("q=%20", &[3, 2, 1, 0]),
            ("q=nothing%20like%20it", &[]),
            ("q=a%00", &[]),
            (&format!("q={handle}"), &[1]),
            (&format!("q={}", &handle[..8]), &[1]),
            (&format!("q={}", made[2].session_id), &[2]),
            (&format!("q={handle}&filter=signed-in"), &[1]),
            (&format!("q={handle}&filter=anonymous"), &[]),
            ("q=203.0.113.7&filter=expiring", &[1]),
            ("filter=signed-in", &[1, 0]),
            ("filter=anonymous", &[3, 2]),
            ("filter=idle", &[2]),
            ("filter=idle-4h", &[]),
            ("filter=expiring", &[1, 3]),
            ("filter=expiring-15m", &[1]),
            ("filter=expiring&sort=newest", &[3, 1]),
            ("sort=expiring", &[1, 3, 2, 0]),
            ("sort=newest", &[3, 2, 1, 0]),
            ("user=ada&filter=expiring", &[1]),
            ("user=ada&sort=expiring", &[1, 0]),
            ("ip=2001:db8::1&sort=expiring&filter=anonymous", &[2]),
            ("user=ada&q=firefox", &[0]),
            ("ip=203.0.113.7&q=firefox", &[0]),
            ("ip=203.0.113.7&filter=anonymous", &[]),
            ("q=ada&filter=expiring", &[1]),
        ] {
            assert_eq!(list(query), (expected.to_vec(), None), "{query}");
        }
        // A handle of one session, asked for of other users and addresses.
        for (query, expected) in [("user=ada", &[1][..]), ("user=bob", &[]), ("ip=2001:db8::1", &[])] {
            for text in [handle, &handle[..8]] {
                assert_eq!(list(&format!("{query}&q={text}")), (expected.to_vec(), None), "{query}");
            }
        }
        // A page at a time, in each order, and also those that the beginning of a handle finds first.
        let text = format!("q={}&sort=newest", &handle[..4]);
        for (query, expected) in [
            ("sort=expiring", &[1, 3, 2, 0][..]),
            ("sort=newest", &[3, 2, 1, 0]),
            (&text, &[1, 3]),
        ] {
            let (mut after, mut met) = (String::new(), Vec::new());
            loop {
                let (places, next) = list(&format!("{query}&limit=1{after}"));
                assert!(places.len() <= 1, "{query}: {places:?}");
                met.extend(places);
                match next {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            assert_eq!(met, expected, "{query}");
        }
    }
}

on_each_database! {
    fn i4_a_search_by_deadline_finds_the_same_in_every_order_after_timeouts_became_stricter(database: &Database) {
        let store = database.store();
        // The oldest was used more than an hour ago, and the newest just now. All were stored with a day.
        let mut made: Vec<NewSession> = (0..6).map(|_| new_session(None)).collect();
        // Sessions of users who chose to stay, whose later deadlines hold.
        let lasting = (0..300).map(|_| {
            let mut new = new_session(None);
            new.lifetime.idle = Some(Duration::from_hours(480));
            new.expires_at = new.now + TimeDelta::days(20);
            new
        });
        store.create(&lasting.collect::<Vec<_>>()).unwrap();
        for (session, minutes) in made.iter_mut().zip([70, 45, 35, 20, 10, 0]) {
            session.now -= TimeDelta::minutes(minutes);
            session.expires_at -= TimeDelta::minutes(minutes);
            session.ip = Some("203.0.113.7".to_owned());
        }
        store.create(&made).unwrap();
        let (client, _) = application(database, "idle_timeout = '1h'");
        for (query, expected) in [
            ("filter=expiring-30m", &[1, 2][..]),
            ("filter=expiring-30m&sort=newest", &[2, 1]),
            ("filter=expiring-5m", &[]),
            ("ip=203.0.113.7", &[5, 4, 3, 2, 1]),
            ("ip=203.0.113.7&sort=expiring", &[1, 2, 3, 4, 5]),
            ("q=203.0.113.7&sort=expiring", &[1, 2, 3, 4, 5]),
            ("ip=203.0.113.7&filter=expiring-30m", &[2, 1]),
            ("ip=203.0.113.7&filter=expiring-30m&sort=expiring", &[1, 2]),
        ] {
            let list = get(&client, query).json();
            let place = |session: &Value| made.iter().position(|one| session["id"] == *one.id.as_str()).unwrap();
            let places: Vec<usize> = list["sessions"].as_array().unwrap().iter().map(place).collect();
            assert_eq!(places, expected, "{query}");
        }
        let mut visitor = Visitor::new(&client);
        let csv = visitor.get("/admin/sessions.csv?q=203.0.113.7&sort=expiring").body;
        let handles: Vec<&str> = csv.lines().skip(1).filter_map(|line| line.split('"').nth(1)).collect();
        assert_eq!(handles, [1, 2, 3, 4, 5].map(|place: usize| made[place].id.as_str()));
        let page = visitor.get("/admin/sessions?filter=expiring-30m").body;
        assert!(page.contains(&made[1].id.as_str()[..8]) && !page.contains("id=\"total\""), "{page}");
    }
}

#[test]
fn a_search_that_is_not_allowed_is_refused_with_what_is() {
    let database = Database::new(crate::support::Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let id = "0198f2a4-6f6a-7c39-b6c7-0b5d6f0a9e11";
    for (query, words) in [
        ("ip=x", "ip: \"x\""),
        ("ip=", "ip: \"\""),
        ("filter=x", "is not signed-in, anonymous, idle or expiring"),
        ("filter=idle-1w", "idle-12h"),
        ("filter=signed-in&filter=idle", "filter"),
        ("sort=oldest", "is not newest or expiring"),
        (&format!("sort=expiring&after={id}"), "after"),
        (&format!("sort=newest&after={id}_1"), "after"),
        ("user=ada&ip=192.0.2.1", "user or ip, not both"),
        ("q=a&q=b", "q"),
    ] {
        let answer = get(&client, query);
        assert_eq!(answer.status, Status::UnprocessableEntity, "{query}");
        let message = answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.contains(words), "{query}: {message}");
    }
}
