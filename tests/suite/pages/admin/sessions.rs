//! The list of sessions, a single one, and ending them.

mod endings;
mod files;

use chrono::{TimeDelta, Utc};
use rocket::http::Status;
use rocket_diesel_sessions::store::{NewSession, SessionStore};

use crate::support::accounts::{registered, signed_in};
use crate::support::altered;
use crate::support::local::{Answer, application};
use crate::support::sessions::new_session;
use crate::support::{Database, Visitor};

/// Returns the handles in the list, in order.
pub(super) fn listed(page: &Answer) -> Vec<String> {
    assert_eq!(page.status, Status::Ok, "{}", page.body);
    let rows = page.body.split("<a href=\"/admin/sessions/").skip(1);
    rows.map(|row| row.split(['"', '?']).next().unwrap().to_owned())
        .collect()
}

/// Returns the target of the link to the next page.
fn older(page: &Answer) -> Option<String> {
    target(page, "next")
}

/// Returns the target of the link with this relation.
fn target(page: &Answer, relation: &str) -> Option<String> {
    let link = page.body.split(&format!("rel=\"{relation}\"")).next()?;
    let is_there = link.len() < page.body.len();
    let href = link.rsplit("href=\"").next()?.split('"').next()?;
    let href = href.replace("&#38;", "&");
    is_there.then(|| href.split('#').next().unwrap_or_default().to_owned())
}

fn handle(visitor: &mut Visitor<'_>) -> String {
    visitor.session()["id"].as_str().unwrap().to_owned()
}

/// Returns sessions that were made one after another.
fn make(
    database: &Database,
    number: usize,
    alter: impl Fn(usize, &mut NewSession),
) -> Vec<NewSession> {
    let new = |number| altered(new_session(None), |new| alter(number, new));
    let made: Vec<NewSession> = (0..number).map(new).collect();
    database.store().create(&made).unwrap();
    made
}

on_each_database! {
    fn the_list_is_paged_newest_first(database: &Database) {
        let (client, _) = application(database, "");
        let made: Vec<NewSession> = (0..120).map(|_| new_session(None)).collect();
        database.store().create(&made).unwrap();
        let mut visitor = Visitor::new(&client);
        let (mut path, mut seen) = ("/admin/sessions".to_owned(), Vec::new());
        let mut lengths = Vec::new();
        loop {
            let page = visitor.get(&path);
            let handles = listed(&page);
            lengths.push(handles.len());
            seen.extend(handles);
            assert_eq!(page.body.contains(">First page</a>"), lengths.len() > 1);
            match older(&page) {
                Some(next) => path = next,
                None => break,
            }
        }
        let newest_first: Vec<_> = made.into_iter().rev().map(|new| new.id.to_string()).collect();
        assert_eq!((lengths, seen), (vec![50, 50, 20], newest_first));
        assert_eq!(visitor.cookie, None);
        assert_eq!(database.sessions(), 120, "who looks is not stored");
        assert_eq!(visitor.get("/admin/sessions?after=x").status, Status::UnprocessableEntity);
    }

    fn sessions_of_an_address_are_sorted_by_deadline_and_counted_by_their_index(database: &Database) {
        let (client, _) = application(database, "");
        let made = make(database, 5_300, |number, new| {
            new.ip = (number < 3).then(|| "203.0.113.7".to_owned());
            let minutes = i64::try_from(number).unwrap();
            new.expires_at = new.now + TimeDelta::minutes(if number == 1 { 9_000 } else { minutes + 2 });
        });
        let mut visitor = Visitor::new(&client);
        let newest = visitor.get("/admin/sessions?q=203.0.113.7");
        assert_eq!(listed(&newest), [2, 1, 0].map(|place: usize| made[place].id.as_str()));
        let first = visitor.get("/admin/sessions?q=203.0.113.7&sort=expiring");
        assert_eq!(listed(&first), [0, 2].map(|place: usize| made[place].id.as_str()));
        for page in [&newest, &first] {
            assert!(page.body.contains("id=\"total\">3 sessions<"), "{}", page.body);
        }
        let second = visitor.get(&older(&first).unwrap());
        assert_eq!(listed(&second), [made[1].id.as_str()]);
        assert_eq!(older(&second), None);
    }

    fn the_search_finds_users_and_handles(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada.l");
        let phone = handle(&mut signed_in(&client, "ada.l"));
        let (hers, user) = (handle(&mut ada), ada.user_id());
        let other = handle(&mut registered(&client, "bob-2"));
        // A name that looks like a handle hides no session.
        registered(&client, &hers);
        let mut visitor = Visitor::new(&client);
        let mut found = |q: &str| {
            let mut handles = listed(&visitor.get(&format!("/admin/sessions?q={q}")));
            handles.sort();
            handles
        };
        let mut both = [phone, hers.clone()];
        both.sort();
        for q in ["ada.l", "ADA.l", "%20ada.l%20", user.as_str().unwrap()] {
            assert_eq!(found(q), both, "{q}");
        }
        assert_eq!(found(&hers), std::slice::from_ref(&hers));
        assert_eq!(found(&other), [other]);
        let long = "x".repeat(10_000);
        // The shortened handle of the list, and the lookup half, which only other pages show.
        let hers_in_short = &hers[..8];
        let lookup_id = ada.session()["sessionId"].as_str().unwrap().to_owned();
        // Handles, one of which is also a user name here, contain no punctuation. These match other
        // fields.
        for (q, number) in [("ada.", 2), ("A.L", 2), ("ob-", 1), ("unknown%20dev", 4), ("127.0", 0)] {
            assert_eq!(found(q).len(), number, "{q}");
        }
        for q in [hers_in_short, &format!("{hers_in_short}%E2%80%A6")] {
            assert!(found(q).contains(&hers), "{q}");
        }
        assert_eq!(found(&lookup_id), std::slice::from_ref(&hers));
        assert_eq!(found("anonym"), [""; 0]);
        let mut stranger = Visitor::new(&client);
        stranger.visit();
        assert_eq!(found("anonym"), [handle(&mut stranger)]);
        stranger.delete("/api/session");
        for q in ["adaa", "%00", "%25", "a%20or%201=1", "%F0%9F%91%8B", &long] {
            assert_eq!(found(q), [""; 0], "{q}");
        }
        assert_eq!(found("").len(), 4);
        let page = visitor.get("/admin/sessions?q=%3Cscript%3Ealert(1)%22").body;
        assert!(!page.contains("<script>") && page.contains("&#60;script&#62;alert"), "{page}");
    }

    fn a_session_page_shows_all_fields_and_escapes_the_data(database: &Database) {
        let (client, _) = application(database, "");
        database.add_users(&["ada"]);
        let mut new = new_session(Some("ada"));
        new.data = r#"{"note":"</pre><script>alert(1)</script>","list":[1,2]}"#.into();
        new.user_agent = Some("<b>bold</b>".to_owned());
        new.expires_at = Utc::now() - TimeDelta::hours(1);
        let mut broken = new_session(None);
        broken.data = "{<i>".into();
        database.store().create(&[new.clone(), broken.clone()]).unwrap();
        let mut visitor = Visitor::new(&client);
        let path = format!("/admin/sessions/{}", new.id);
        let page = visitor.get(&path).body;
        for text in [
            new.session_id.to_string().as_str(),
            ">ada</a>",
            "&#60;b&#62;bold&#60;/b&#62;",
            "expired</span>",
            "&#34;list&#34;: [\n    1,\n    2\n  ]",
            "&#60;/pre&#62;&#60;script&#62;alert(1)",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        let hex = |bytes: &[u8]| -> Vec<String> {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let hash = hex(new.token_hash.as_bytes()).concat();
        assert!(!page.to_lowercase().contains(&hash), "{page}");
        let page = visitor.get(&format!("/admin/sessions/{}", broken.id)).body;
        assert!(page.contains("{&#60;i&#62;"), "{page}");
        for id in ["nobody", "%00"] {
            assert_eq!(visitor.get(&format!("/admin/sessions/{id}")).status, Status::NotFound);
        }
        assert_eq!(database.sessions(), 2);
    }


    fn each_page_leads_to_the_one_before_it(database: &Database) {
        let (client, _) = application(database, "");
        make(database, 120, |number, new| {
            new.expires_at += TimeDelta::seconds((i64::try_from(number).unwrap() * 37) % 120);
        });
        let mut visitor = Visitor::new(&client);
        for first in ["/admin/sessions", "/admin/sessions?sort=expiring"] {
            let mut pages = vec![visitor.get(first)];
            while let Some(next) = older(pages.last().unwrap()) {
                pages.push(visitor.get(&next));
            }
            assert_eq!(pages.len(), 3);
            assert_eq!(target(&pages[0], "prev"), None);
            let second = visitor.get(&target(&pages[2], "prev").unwrap());
            assert_eq!(listed(&second), listed(&pages[1]));
            // The first page is shown as such.
            let first_again = visitor.get(&target(&second, "prev").unwrap());
            assert_eq!(crate::pages::admin::next(&first_again).replace("#sessions", ""), first);
        }
    }

    fn filters_keep_sessions_by_user_activity_and_deadline(database: &Database) {
        let (client, clock) = application(database, "");
        let now = rocket_diesel_sessions::Clock::now(&*clock);
        database.add_users(&["ada"]);
        let made = make(database, 4, |number, new| {
            new.now = now - TimeDelta::hours(if number == 1 { 13 } else { 0 });
            new.expires_at = now + TimeDelta::minutes(if number == 2 { 30 } else { 300 });
            new.user_id = (number == 3).then(|| "ada".into());
        });
        let mut visitor = Visitor::new(&client);
        for (filter, kept, total) in [
            ("signed-in", vec![3], "1 session"),
            ("anonymous", vec![2, 1, 0], "3 sessions"),
            ("idle", vec![1], ""),
            ("idle-12h", vec![1], ""),
            ("idle-14h", vec![], ""),
            ("expiring", vec![2], "1 session"),
            ("expiring-10m", vec![], "0 sessions"),
        ] {
            let page = visitor.get(&format!("/admin/sessions?filter={filter}"));
            let kept: Vec<_> = kept.iter().map(|number: &usize| made[*number].id.clone()).collect();
            assert_eq!(listed(&page), kept, "{filter}");
            let shown = format!("id=\"total\">{total}</p>");
            assert_eq!(page.body.contains(&shown), !total.is_empty(), "{filter}: {}", page.body);
        }
        let both = visitor.get("/admin/sessions?filter=signed-in&q=unknown");
        assert_eq!(listed(&both), [made[3].id.clone()]);
        for query in ["filter=x", "sort=x", "sort=expiring&after=0198f2a4-6f6a-7c39-b6c7-0b5d6f0a9e11"] {
            let answer = visitor.get(&format!("/admin/sessions?{query}"));
            assert_eq!(answer.status, Status::UnprocessableEntity, "{query}");
        }
    }

    fn a_search_that_reads_enough_can_be_continued_until_it_finds_the_session(database: &Database) {
        let (client, _) = application(database, "");
        let made = make(database, 5_010, |number, new| {
            let agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
            new.user_agent = (number == 0).then(|| agent.to_owned());
            new.ip = (number < 2).then(|| "2001:db8::7".to_owned());
        });
        let mut visitor = Visitor::new(&client);
        let page = visitor.get("/admin/sessions?q=firefox+on+win");
        assert_eq!(listed(&page), [""; 0]);
        assert!(page.body.contains("None of the 5,000 sessions searched so far"), "{}", page.body);
        assert!(page.body.contains("Search further"), "{}", page.body);
        let page = visitor.get(&older(&page).unwrap());
        assert_eq!(listed(&page), [made[0].id.clone()]);
        assert_eq!(older(&page), None);
        // Addresses and handles are found at once.
        for (q, found) in [
            ("2001:db8::7", vec![1, 0]),
            ("2001:DB8:0::7", vec![1, 0]),
            (&made[0].id.as_str()[..9], vec![0]),
            (&made[0].session_id.to_string(), vec![0]),
        ] {
            let page = visitor.get(&format!("/admin/sessions?q={q}"));
            let found: Vec<_> = found.iter().map(|number: &usize| made[*number].id.clone()).collect();
            assert_eq!(listed(&page), found, "{q}");
        }
    }

    fn a_session_page_shows_the_users_other_sessions_and_what_happened(database: &Database) {
        let (client, _) = application(database, "");
        let mut ada = registered(&client, "ada.l");
        let mut phone = signed_in(&client, "ada.l");
        let (this, other) = (handle(&mut ada), handle(&mut phone));
        let path = format!("/admin/sessions/{this}?filter=signed-in&q=ada");
        let page = Visitor::new(&client).get(&path).body;
        assert!(page.contains(&format!("/admin/sessions/{other}?")), "{page}");
        assert!(page.contains("Other sessions of ada.l"), "{page}");
        assert!(page.contains("Signed in <span"), "{page}");
        let back = "href=\"/admin/sessions?q=ada&#38;filter=signed-in#sessions\"";
        assert!(page.contains(back), "{page}");
    }
}
