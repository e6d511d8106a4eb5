//! The lists of sessions and sweeps.

use chrono::TimeDelta;
use rocket::serde::json::Value;
use rocket_diesel_sessions::store::{NewSession, SessionStore};

use super::commands::{HOSTILE, SESSION_KEYS, keys};
use crate::support::command_line::{assert_fails, on, run, run_json, stdout};
use crate::support::local::application;
use crate::support::server::run_to_end;
use crate::support::sessions::new_session;
use crate::support::{Database, Visitor};

on_each_database! {
    fn sessions_are_listed_page_by_page_as_a_table_and_as_json(database: &Database) {
        let store = database.store();
        assert_eq!(run(database, &["sessions", "list"]), "no live sessions\n");
        database.add_users(&["ada", "bob"]);
        let mut expired = new_session(None);
        expired.expires_at -= TimeDelta::days(2);
        let live: Vec<NewSession> = [Some("ada"), None, Some("ada")].map(new_session).into();
        store.create(&live).unwrap();
        store.create(&[expired]).unwrap();

        let page = run_json(database, &["sessions", "list", "--limit", "2", "--json"]);
        let ids = |page: &Value| -> Vec<String> {
            let sessions = page["sessions"].as_array().unwrap().iter();
            sessions.map(|session| session["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids(&page), [live[2].id.as_str(), live[1].id.as_str()]);
        assert_eq!(keys(&page["sessions"][0]), SESSION_KEYS);
        let next = page["next"].as_str().unwrap();
        let rest = run_json(database, &["sessions", "list", "--after", next, "--json"]);
        assert_eq!(ids(&rest), [live[0].id.as_str()]);
        assert_eq!(rest["next"], Value::Null);
        for name in ["ada", "ADA"] {
            let adas = run_json(database, &["sessions", "list", "--user", name, "--json"]);
            assert_eq!(ids(&adas), [live[2].id.as_str(), live[0].id.as_str()]);
        }

        let output = run_to_end(on(database, &["sessions", "list", "--limit", "2"]));
        let table = stdout(&output);
        assert_eq!(table.lines().count(), 3, "{table}");
        let row = table.lines().nth(1).unwrap();
        assert!(row.starts_with(live[2].id.as_str()) && row.contains("  ada  "), "{table}");
        let hint = String::from_utf8(output.stderr).unwrap();
        assert!(hint.contains(&format!("--after {next}")), "{hint}");
        assert_eq!(run(database, &["sessions", "list", "--user", "bob"]), "no live sessions\n");
        let unknown = ["sessions", "list", "--user", "eve"];
        assert_fails(database, &unknown, &["\"eve\"", "users list"]);
    }

    fn sessions_are_listed_as_csv(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let mut made = [Some("ada"), None].map(new_session);
        made[0].user_agent = Some(format!("=1+1 {HOSTILE}"));
        made[1].ip = Some("203.0.113.7".to_owned());
        store.create(&made).unwrap();
        let csv = run(database, &["sessions", "list", "--csv"]);
        let (client, _) = application(database, "");
        assert_eq!(csv, Visitor::new(&client).get("/admin/sessions.csv").body);
        let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
        assert!(lines[0].starts_with("\"handle\",\"lookup_id\",\"user_id\",\"username\",\"device\""), "{csv}");
        assert!(lines[1].starts_with(&format!("\"{}\",", made[1].id)) && lines[1].contains("\"203.0.113.7\""), "{csv}");
        assert!(csv.contains("\"ada\"") && csv.contains("\"'=1+1 "), "{csv}");
        let output = run_to_end(on(database, &["sessions", "list", "--csv", "--limit", "1"]));
        assert!(stdout(&output).starts_with(&format!("{}\r\n\"{}\"", lines[0], made[1].id)));
        assert!(String::from_utf8(output.stderr).unwrap().contains("--after "));
        let none = run(database, &["sessions", "list", "--csv", "--expiring", "0s"]);
        assert_eq!(none, format!("{}\r\n", lines[0]));
    }

    fn sessions_are_filtered_by_what_lists_show(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let mut made = [None, Some("ada"), None, None].map(new_session);
        let addresses = ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::1"];
        for (session, ip) in made.iter_mut().zip(addresses) {
            session.ip = Some(ip.to_owned());
        }
        made[0].user_agent = Some("Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned());
        // The third and fourth were last used three hours ago.
        for session in &mut made[2..] {
            session.now -= TimeDelta::hours(3);
        }
        store.create(&made).unwrap();
        let ids = |arguments: &[&str]| {
            let arguments = [&["sessions", "list", "--json"], arguments].concat();
            let json = run_json(database, &arguments);
            let sessions = json["sessions"].as_array().unwrap().iter();
            let place = |id: &Value| made.iter().position(|one| *id == *one.id.as_str()).unwrap();
            let mut places: Vec<usize> = sessions.map(|one| place(&one["id"])).collect();
            places.sort_unstable();
            places
        };
        assert_eq!(ids(&["--ip", "203.0.113.7"]), [0, 1]);
        assert_eq!(ids(&["--ip", "::ffff:203.0.113.7"]), [0, 1]);
        assert_eq!(ids(&["--ip", "2001:DB8:0::1"]), [2]);
        assert_eq!(ids(&["--anonymous"]), [0, 2, 3]);
        assert_eq!(ids(&["--idle", "2h"]), [2, 3]);
        assert!(ids(&["--idle", "4h"]).is_empty());
        assert_eq!(ids(&["--idle", "0s"]), [0, 1, 2, 3]);
        assert!(ids(&["--idle", "1000000years"]).is_empty());
        assert_eq!(ids(&["--anonymous", "--idle", "2h", "--ip", "2001:db8::1"]), [2]);
        assert_eq!(ids(&["--user", "ada", "--ip", "203.0.113.7"]), [1]);
        assert_eq!(ids(&["--signed-in"]), [1]);
        assert_eq!(ids(&["--device", "firefox on WINDOWS"]), [0]);
        assert!(ids(&["--device", "firefox", "--signed-in"]).is_empty());
        for (text, found) in [("fire", 0), ("ad", 1), ("2001:db8", 2), (&made[3].id.as_str()[..6], 3)] {
            assert_eq!(ids(&["--search", text]), [found], "{text}");
        }
        assert!(ids(&["--search", "ad", "--idle", "2h"]).is_empty());
        for (text, found) in [(" ada ", 1), (&made[2].session_id.to_string(), 2)] {
            assert_eq!(ids(&["--search", text]), [found], "{text}");
        }
        assert_eq!(ids(&["--search", "203.0"]), [0, 1]);
        assert_eq!(ids(&["--search", "::FFFF:203.0.113.7"]), [0, 1]);
        assert_eq!(ids(&["--search", "2001:DB8:0::1"]), [2]);
        assert_eq!(run(database, &["sessions", "list", "--ip", "192.0.2.1"]), "no sessions match\n");
        assert_eq!(run(database, &["sessions", "list", "--device", "nosuch"]), "no sessions match
");
    }

    fn sessions_are_sorted_by_age_or_by_deadline(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let mut made = [None, Some("ada"), Some("ada"), None].map(new_session);
        for (session, minutes) in made.iter_mut().zip([40, 5, 20, 600]) {
            session.expires_at = session.now + TimeDelta::minutes(minutes);
            session.ip = Some("203.0.113.7".to_owned());
        }
        made[3].ip = None;
        store.create(&made).unwrap();
        let page = |arguments: &[&str]| {
            let json = run_json(database, &[&["sessions", "list", "--json"], arguments].concat());
            let sessions = json["sessions"].as_array().unwrap().iter();
            let place = |one: &Value| made.iter().position(|made| one["id"] == *made.id.as_str()).unwrap();
            (sessions.map(place).collect::<Vec<_>>(), json["next"].as_str().map(str::to_owned))
        };
        for (arguments, expected) in [
            (&["--sort", "newest"][..], &[3, 2, 1, 0][..]),
            (&["--sort", "expiring"], &[1, 2, 0, 3]),
            (&["--expiring", "30m"], &[1, 2]),
            (&["--expiring", "30m", "--sort", "newest"], &[2, 1]),
            (&["--expiring", "1s"], &[]),
            (&["--expiring", "1000000years"], &[1, 2, 0, 3]),
            (&["--expiring", "1h", "--anonymous"], &[0]),
            (&["--idle", "0s"], &[1, 2, 0, 3]),
            (&["--user", "ada", "--sort", "expiring"], &[1, 2]),
            (&["--ip", "::ffff:203.0.113.7"], &[2, 1, 0]),
            (&["--ip", "::ffff:203.0.113.7", "--sort", "expiring"], &[1, 2, 0]),
            (&["--ip", "203.0.113.7", "--expiring", "30m", "--user", "ada"], &[1, 2]),
        ] {
            assert_eq!(page(arguments), (expected.to_vec(), None), "{arguments:?}");
            let mut options: Vec<String> = arguments.iter().map(|&option| option.to_owned()).collect();
            options.extend(["--limit".to_owned(), "1".to_owned()]);
            let mut met = Vec::new();
            loop {
                let options_now: Vec<&str> = options.iter().map(String::as_str).collect();
                let (places, next) = page(&options_now);
                met.extend(places);
                options.truncate(arguments.len() + 2);
                match next {
                    Some(next) => options.extend(["--after".to_owned(), next]),
                    None => break,
                }
            }
            assert_eq!(met, expected, "{arguments:?}");
        }
        // A list that is full ends where no further session matches.
        for arguments in [&["--limit", "2", "--expiring", "30m"][..], &["--limit", "1", "--expiring", "1h", "--anonymous"]] {
            assert_eq!(page(arguments).1, None, "{arguments:?}");
        }
        let next = page(&["--sort", "expiring", "--limit", "1"]).1.unwrap();
        let output = run_to_end(on(database, &["sessions", "list", "--after", &next]));
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("sorted by expiring") && message.contains("sorted by newest"), "{message}");
        let output = run_to_end(on(database, &["sessions", "list", "--expiring", "1h", "--limit", "1"]));
        let hint = String::from_utf8(output.stderr).unwrap();
        assert!(hint.contains(&format!("--after {next}")), "{hint}");
    }

    fn a_list_reads_on_until_its_page_is_full(database: &Database) {
        let store = database.store();
        database.add_users(&["ada"]);
        let of_ada = new_session(Some("ada"));
        store.create(std::slice::from_ref(&of_ada)).unwrap();
        for _ in 0..6 {
            store.create(&(0..1000).map(|_| new_session(None)).collect::<Vec<_>>()).unwrap();
        }
        let list = run_json(database, &["sessions", "list", "--signed-in", "--limit", "1", "--json"]);
        assert_eq!(list["sessions"][0]["id"], of_ada.id.as_str());
        assert_eq!(list["next"], Value::Null);
    }

    fn sweeps_are_listed(database: &Database) {
        let store = database.store();
        assert_eq!(run(database, &["sweep", "--last", "5"]), "no sweeps are recorded\n");
        let mut expired = new_session(None);
        expired.expires_at -= TimeDelta::days(2);
        store.create(&[expired]).unwrap();
        run(database, &["sweep"]);
        run(database, &["sweep"]);
        let list = run_json(database, &["sweep", "--last", "5", "--json"]);
        let sweeps = list["sweeps"].as_array().unwrap();
        let deleted: Vec<&Value> = sweeps.iter().map(|sweep| &sweep["deleted"]).collect();
        assert_eq!(deleted, [0, 1], "{list}");
        assert_eq!(keys(&sweeps[0]), ["deleted", "error", "seconds", "startedAt"]);
        let table = run(database, &["sweep", "--last", "1"]);
        assert!(table.starts_with("STARTED") && table.lines().count() == 2, "{table}");
    }
}
