//! The overview: figures, charts and their tables.

use chrono::TimeDelta;
use rocket::http::{ContentType, Header, Status};

use super::administrator;
use crate::support::local::{Answer, application};
use crate::support::{Database, Kind, Visitor};

on_each_database! {
    fn the_charts_repeat_their_numbers_as_tables(database: &Database) {
        let (client, clock) = application(database, "");
        let mut visitor = Visitor::new(&client);
        for _ in 0..3 {
            Visitor::new(&client).visit();
        }
        let row = |hours: i64, created: u32, expired: u32, peak: u32| {
            use rocket_diesel_sessions::Clock;
            let hour = (clock.now() - TimeDelta::hours(hours)).format("%Y-%m-%d %H:00:00");
            database.execute(&format!(
                "INSERT INTO session_stats VALUES \
                 ('{hour}', {created}, 1, 0, 0, {expired}, 0, {peak}, 0)"
            ));
        };
        row(2, 1234, 55, 700);
        row(30, 9876, 0, 42);
        row(24 * 8, 777_777, 0, 0);
        let mut table = |range: &str, id: &str| {
            let page = visitor.get(&format!("/admin?range={range}")).body;
            assert_eq!(page.matches("<svg class=\"plot\"").count(), 4);
            for inline in ["style=", "<style"] {
                assert!(!page.contains(inline), "{inline}: {page}");
            }
            let table = page.split(&format!("id=\"table-{id}\"")).nth(1).unwrap();
            let rows = table.split("</table>").next().unwrap().split("<tr>").skip(2);
            let numbers = |row: &str| -> Vec<String> {
                let cells = row.split("<td class=\"number\">").skip(1);
                cells.map(|cell| cell.split('<').next().unwrap().to_owned()).collect()
            };
            rows.map(numbers).collect::<Vec<_>>()
        };
        let (day, week) = (table("24h", "created"), table("7d", "created"));
        assert_eq!((day.len(), week.len()), (24, 168));
        assert_eq!(day[..3], [["3"], ["0"], ["1,234"]]);
        assert_eq!(day[..], week[..24]);
        assert_eq!(week[30], ["9,876"]);
        assert!(week.iter().all(|row| row != &["777,777"]));
        let ended = table("7d", "ended");
        assert_eq!(ended[2], ["1", "0", "0", "55", "0"]);
        let active = table("7d", "active");
        assert_eq!(active[30], ["42"]);
        let days = table("30d", "created");
        assert!((30..=31).contains(&days.len()), "{}", days.len());
        let created: u32 = days.iter().map(|row| row[0].replace(',', "").parse::<u32>().unwrap()).sum();
        assert_eq!(created, 3 + 1_234 + 9_876 + 777_777);
    }

    fn the_figures_say_how_they_have_changed(database: &Database) {
        let (client, clock) = application(database, "");
        let now = rocket_diesel_sessions::Clock::now(&*clock);
        let row = |hour: chrono::DateTime<chrono::Utc>, created: u32, peak: u32| {
            let hour = hour.format("%Y-%m-%d %H:00:00");
            database.execute(&format!(
                "INSERT INTO session_stats VALUES ('{hour}', {created}, 0, 0, 0, 0, 0, {peak}, 0)"
            ));
        };
        let yesterday = now.date_naive().pred_opt().unwrap();
        row(now - TimeDelta::hours(1), 5, 0);
        let hour = now - TimeDelta::hours(24);
        row(hour, 1_200, 9);
        let peak_at = if hour.format("%H").to_string() == "14" { 15 } else { 14 };
        let peak = yesterday.and_hms_opt(peak_at, 0, 0).unwrap().and_utc();
        if peak != now - TimeDelta::hours(1) {
            row(peak, 0, 1_234);
        }
        let page = Visitor::new(&client).get("/admin").body;
        assert!(page.contains("−1,195, fewer than the day before"), "{page}");
        assert!(page.contains("−9, fewer than this hour yesterday"), "{page}");
        assert!(page.contains("As many as the day before"), "{page}");
        let peak = page.split("id=\"peak\"").nth(1).unwrap().split("</div>").next().unwrap();
        assert!(peak.contains(">1,234<") && peak.contains(&format!("at {peak_at}:00 UTC")), "{peak}");
        assert!(!page.contains("id=\"live-status\">"), "nothing says live without a script");
        let refused = Visitor::new(&client).get("/admin?range=1y");
        assert_eq!(refused.status, Status::UnprocessableEntity);
    }
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
