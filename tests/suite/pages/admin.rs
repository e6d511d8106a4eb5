//! The HTML of the administrators' pages. Their behaviour in a browser is tested in `browser`.

use chrono::{TimeDelta, Utc};
use rocket::http::{Accept, ContentType, Header, Method, Status};
use rocket::local::blocking::Client;
use rocket::serde::json::Value;
use rocket_diesel_sessions::store::{NewSession, SessionStore};

use crate::support::accounts::{registered, signed_in};
use crate::support::local::{ADMIN_TOKEN, Answer, application, application_of, figment, settings};
use crate::support::sessions::new_session;
use crate::support::{Database, Kind, Visitor};

const PAGES: [(Method, &str); 10] = [
    (Method::Get, "/admin"),
    (Method::Get, "/admin/sessions"),
    (Method::Get, "/admin/users"),
    (Method::Get, "/admin/events"),
    (Method::Get, "/admin/maintenance"),
    (Method::Get, "/admin/live"),
    (Method::Get, "/admin/sessions/x"),
    (Method::Post, "/admin/sessions/x/revoke"),
    (Method::Post, "/admin/sweep"),
    (Method::Post, "/admin/clear"),
];

/// Returns the application without open administration.
fn closed(database: &Database) -> Client {
    let mut settings = settings(database, "");
    settings.figment = figment("release", "");
    application_of(settings, database.store()).0
}

fn administrator<'c>(client: &'c Client, database: &Database) -> Visitor<'c> {
    let visitor = registered(client, "ruth");
    database.execute("UPDATE users SET is_admin = TRUE WHERE username = 'ruth'");
    visitor
}

/// Returns what a browser gets. `token` is for the header `Authorization`.
fn browse(client: &Client, method: Method, path: &str, token: Option<&str>) -> Answer {
    let mut request = client.req(method, path.to_owned());
    if let Some(token) = token {
        request.add_header(Header::new("Authorization", format!("Bearer {token}")));
    }
    let form = ContentType::Form;
    request.header(Accept::HTML).header(form).dispatch().into()
}

/// Returns the path to which an answer redirects.
fn next(answer: &Answer) -> &str {
    assert_eq!(answer.status, Status::SeeOther, "{}", answer.body);
    answer.header("location").unwrap()
}

/// Returns the handles in the list, in order.
fn listed(page: &Answer) -> Vec<String> {
    assert_eq!(page.status, Status::Ok, "{}", page.body);
    let rows = page.body.split("<a href=\"/admin/sessions/").skip(1);
    rows.map(|row| row.split('"').next().unwrap().to_owned())
        .collect()
}

/// Returns the target of the link to the next page.
fn older(page: &Answer) -> Option<String> {
    let link = page.body.split("rel=\"next\"").next()?;
    let is_there = link.len() < page.body.len();
    let href = link.rsplit("href=\"").next()?.split(['"', '#']).next()?;
    is_there.then(|| href.replace("&#38;", "&"))
}

fn handle(visitor: &mut Visitor<'_>) -> String {
    visitor.session()["id"].as_str().unwrap().to_owned()
}

on_each_database! {
    fn the_admin_pages_are_only_for_administrators(database: &Database) {
        let client = closed(database);
        let (mut root, mut ada) = (administrator(&client, database), registered(&client, "ada"));
        for (method, path) in PAGES {
            let stranger = browse(&client, method, path, None);
            if path != "/admin/live" {
                assert!(next(&stranger).starts_with("/login?next=/admin"), "{path}");
            }
            let form = Some("application/x-www-form-urlencoded");
            for (visitor, status) in [(&mut Visitor::new(&client), 401), (&mut ada, 403)] {
                let answer = visitor.send(method, path, form, "word=clear");
                assert_eq!(answer.status.code, status, "{path}");
                assert!(answer.json()["error"]["code"].is_string());
            }
            let wrong = browse(&client, method, path, Some("a wrong token"));
            assert_eq!(wrong.status, Status::Unauthorized, "{path}");
        }
        assert_eq!(database.sessions(), 2);
        assert!(root.get("/").body.contains("href=\"/admin\""));
        assert!(!ada.get("/").body.contains("/admin"));
        assert_eq!(root.get("/admin").status, Status::Ok);
        let page = browse(&client, Method::Get, "/admin/sessions", Some(ADMIN_TOKEN));
        assert_eq!((listed(&page).len(), page.cookie()), (2, None));
        database.execute("UPDATE users SET is_admin = FALSE");
        assert_eq!(root.get("/admin").status, Status::Forbidden);
    }

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
            assert_eq!(page.body.contains(">Newest</a>"), lengths.len() > 1);
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
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
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

    fn a_session_is_revoked_and_a_notice_reports_it(database: &Database) {
        let client = closed(database);
        let mut root = administrator(&client, database);
        let (mut ada, mut bob) = (registered(&client, "ada"), registered(&client, "bob"));
        let revoke = |id: &str| format!("/admin/sessions/{id}/revoke");
        let hers = handle(&mut ada);
        let answer = root.post_form(&revoke(&hers), "q=ad%26a&after=");
        assert_eq!(next(&answer), "/admin/sessions?q=ad%26a#sessions");
        assert_eq!((ada.user_id(), bob.user_id().is_string()), (Value::Null, true));
        assert!(root.get("/admin").body.contains("That session has ended."));
        assert!(!root.get("/admin").body.contains("has ended."), "a notice is shown once");
        let after = "01900000-0000-7000-8000-000000000000";
        let answer = root.post_form(&revoke(&hers), &format!("q=x&after={after}"));
        assert_eq!(next(&answer), format!("/admin/sessions?q=x&after={after}#sessions"));
        assert!(root.get("/admin").body.contains("had ended already"));

        // With the token there is no session for a notice, so the address carries it.
        let path = revoke(&handle(&mut bob));
        let answer = browse(&client, Method::Post, &path, Some(ADMIN_TOKEN));
        let address = next(&answer).strip_suffix("#sessions").unwrap();
        assert!(address.starts_with("/admin/sessions?done=session_ended."), "{address}");
        assert_eq!(answer.cookie(), None);
        let page = browse(&client, Method::Get, address, Some(ADMIN_TOKEN));
        assert!(page.body.contains("That session has ended."), "{}", page.body);
        for forged in ["%3Cb%3E", "all_ended", "all_ended.1.x"] {
            let path = format!("/admin/sessions?done={forged}");
            let page = browse(&client, Method::Get, &path, Some(ADMIN_TOKEN));
            assert!(!page.body.contains("id=\"notice\""), "{}", page.body);
        }
        assert_eq!(database.sessions(), 1);

        let own = revoke(&handle(&mut root));
        assert_eq!(next(&root.post_form(&own, "")), "/signed-out");
        assert_eq!((root.cookie, database.sessions()), (None, 0));
    }

    fn all_sessions_are_ended_only_after_the_word_is_typed(database: &Database) {
        let client = closed(database);
        let mut root = administrator(&client, database);
        registered(&client, "ada");
        for (form, status) in [
            ("word=", 422), ("word=Clear", 422), ("word=clearly", 422), ("", 422),
        ] {
            let answer = root.post_form("/admin/clear", form);
            assert_eq!(answer.status.code, status, "{form}");
            assert_eq!(answer.body.contains("role=\"alert\""), !form.is_empty(), "{form}");
            assert_eq!(database.sessions(), 2, "{form}");
        }
        let answer = root.post_form("/admin/clear", "word=clear");
        assert!(next(&answer).starts_with("/all-signed-out?done="), "{}", next(&answer));
        assert_eq!(database.sessions(), 0);
        assert!(root.get(next(&answer)).body.contains("Everyone is signed out"));
        assert!(!root.get("/all-signed-out").body.contains("Everybody"));
        assert_eq!(root.get("/admin").status, Status::Unauthorized);

        let (open, _) = application(database, "");
        let mut visitor = Visitor::new(&open);
        visitor.visit();
        let answer = visitor.post_form("/admin/clear", "word=clear");
        assert!(next(&answer).starts_with("/admin/maintenance?done=all_ended."), "{}", next(&answer));
        assert!(visitor.get(next(&answer)).body.contains("All sessions have ended."));
        assert_eq!(database.sessions(), 0);
    }

    fn a_sweep_can_be_started_and_its_result_is_shown(database: &Database) {
        let (client, _) = application(database, "");
        let mut visitor = Visitor::new(&client);
        assert!(visitor.get("/admin/maintenance").body.contains("No sweep has been made yet"));
        let mut made: Vec<NewSession> = (0..7).map(|_| new_session(None)).collect();
        for new in &mut made[1..] {
            new.expires_at = Utc::now() - TimeDelta::hours(1);
        }
        database.store().create(&made).unwrap();
        assert_eq!(listed(&visitor.get("/admin/sessions")), [made[0].id.clone()]);
        let answer = visitor.post_form("/admin/sweep", "");
        assert!(next(&answer).starts_with("/admin/maintenance?done=swept."), "{}", next(&answer));
        assert_eq!(database.sessions(), 1);
        let page = visitor.get(next(&answer)).body;
        assert!(page.contains("Expired sessions are deleted."), "{page}");
        let row = page.split("id=\"sweep-list\"").nth(1).unwrap();
        let row = row.split("<tr>").nth(2).unwrap().split("</tr>").next().unwrap();
        assert!(row.contains("class=\"number\">6</td>") && row.contains("Done"), "{row}");
    }

    fn the_charts_repeat_their_numbers_as_tables(database: &Database) {
        let (client, clock) = application(database, "");
        let mut visitor = Visitor::new(&client);
        for _ in 0..3 {
            Visitor::new(&client).visit();
        }
        let row = |hours: i64, created: u32, ended: u32| {
            use rocket_diesel_sessions::Clock;
            let hour = (clock.now() - TimeDelta::hours(hours)).format("%Y-%m-%d %H:00:00");
            database.execute(&format!(
                "INSERT INTO session_stats VALUES ('{hour}', {created}, 1, 0, 0, {ended}, 0, 0, 0)"
            ));
        };
        row(2, 1234, 55);
        row(30, 9876, 0);
        row(24 * 8, 777_777, 0);
        let page = visitor.get("/admin").body;
        let table = |id: &str| {
            let table = page.split(&format!("id=\"table-{id}\"")).nth(1).unwrap();
            let rows = table.split("</table>").next().unwrap().split("<tr>").skip(2);
            let numbers = |row: &str| -> Vec<String> {
                let cells = row.split("<td class=\"number\">").skip(1);
                cells.map(|cell| cell.split('<').next().unwrap().to_owned()).collect()
            };
            rows.map(numbers).collect::<Vec<_>>()
        };
        let (day, week) = (table("day"), table("week"));
        assert_eq!((day.len(), week.len()), (24, 168));
        assert_eq!(day[..3], [["3", "0"], ["0", "0"], ["1,234", "56"]]);
        assert_eq!(day[..], week[..24]);
        assert_eq!(week[30], ["9,876", "1"]);
        assert!(!page.contains("777,777"), "{page}");
        assert!(page.contains("1,237 sessions created and 56 ended; most"), "{page}");
        assert_eq!(page.matches("<svg class=\"plot\"").count(), 2);
        for inline in ["style=", "<style", "fill="] {
            assert!(!page.contains(inline), "{inline}: {page}");
        }
    }
}

#[test]
fn each_page_has_its_heading_and_marks_its_tab() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut visitor = Visitor::new(&client);
    for (path, title) in [
        ("/admin", "Overview"),
        ("/admin/sessions", "Sessions"),
        ("/admin/users", "Users"),
        ("/admin/events", "Events"),
        ("/admin/maintenance", "Maintenance"),
    ] {
        let page = visitor.get(path).body;
        assert!(page.contains(&format!("<h1>{title}</h1>")), "{page}");
        let tab = format!("<a href=\"{path}\" aria-current=\"page\">{title}</a>");
        assert!(page.contains(&tab), "{page}");
        assert_eq!(page.matches("aria-current=\"page\"").count(), 1, "{page}");
    }
}

#[test]
fn links_to_a_search_of_the_former_dashboard_go_to_the_list() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut visitor = Visitor::new(&client);
    for (query, list) in [
        ("q=ad%26a", "/admin/sessions?q=ad%26a"),
        ("after=x&q=a", "/admin/sessions?q=a&after=x"),
        ("q=", "/admin/sessions"),
    ] {
        assert_eq!(next(&visitor.get(&format!("/admin?{query}"))), list);
    }
}

#[test]
fn the_dashboard_of_an_empty_database_has_no_errors() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let list = Visitor::new(&client).get("/admin/sessions").body;
    assert!(list.contains("There are no sessions."), "{list}");
    let page = Visitor::new(&client).get("/admin").body;
    assert!(page.contains("0 sessions created and 0 ended."), "{page}");
}

#[test]
fn a_stream_of_live_figures_ends_with_the_administrators_session() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut visitor = administrator(&client, &database);
    let cookie = Header::new("Cookie", visitor.cookie.clone().unwrap());
    let stream = client.get("/admin/live").header(cookie).dispatch();
    assert_eq!(stream.status(), Status::Ok);
    assert_eq!(visitor.delete("/api/session").status, Status::NoContent);
    // A stream sends its first figures at once, and the next ones two seconds later.
    let events = stream.into_string().unwrap();
    assert_eq!(events.matches("data:").count(), 1, "{events}");
}

#[test]
fn streams_of_live_figures_are_limited_and_end_with_the_server() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    Visitor::new(&client).visit();
    let open: Vec<_> = (0..20)
        .map(|_| client.get("/admin/live").dispatch())
        .collect();
    assert!(open.iter().all(|stream| stream.status() == Status::Ok));
    let one_more = Answer::from(client.get("/admin/live").dispatch());
    assert_eq!(one_more.status, Status::ServiceUnavailable);
    assert_eq!(one_more.header("retry-after"), Some("1"));
    drop(open);
    let stream = client.get("/admin/live").dispatch();
    assert_eq!(stream.content_type(), Some(ContentType::EventStream));
    client.rocket().shutdown().notify();
    let events = stream.into_string().unwrap();
    assert!(
        events.contains(r#"data:{"active":1,"signedIn":0,"anonymous":1,"created":1,"ended":0}"#),
        "{events}"
    );
}
