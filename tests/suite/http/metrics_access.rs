//! Access to `/metrics`.

use rocket::http::Header;
use rocket_diesel_sessions_app::MetricsAccess;

use crate::support::local::{ADMIN_TOKEN, application_of, figment, settings};
use crate::support::{Database, Kind, metric_of};

#[test]
fn metrics_are_open_only_to_those_whom_the_setting_names() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (here, away) = ("127.0.0.1:1", "192.0.2.1:1");
    let token = ("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    let wrong = ("Authorization", "Bearer x".to_owned());
    let header = |name, value: &str| vec![(name, value.to_owned())];
    let access = Some(MetricsAccess::Token);
    for (profile, access, statuses) in [
        ("release", None, [401, 200, 401, 401, 401, 401, 401]),
        (
            "release",
            Some(MetricsAccess::Loopback),
            [200, 200, 401, 401, 401, 401, 200],
        ),
        ("release", Some(MetricsAccess::Off), [404; 7]),
        ("debug", None, [200, 200, 401, 401, 401, 401, 200]),
        // This is not open to this machine in the debug profile.
        ("debug", access, [401, 200, 401, 401, 401, 401, 401]),
    ] {
        let mut settings = settings(&database, "");
        settings.figment = figment(profile, "");
        settings.app.metrics = access;
        let (client, _) = application_of(settings, database.store());
        for ((remote, headers), status) in [
            (here, vec![]),
            (away, vec![token.clone()]),
            (away, vec![]),
            (here, vec![wrong.clone()]),
            (here, header("X-Forwarded-For", "192.0.2.1")),
            (here, header("Host", "app.example.com")),
            (here, header("Authorization", "Basic eDp5")),
        ]
        .into_iter()
        .zip(statuses)
        {
            let mut request = client.get("/metrics").remote(remote.parse().unwrap());
            for (name, value) in &headers {
                request.add_header(Header::new(*name, value.clone()));
            }
            let answer = request.dispatch();
            let case = format!("{profile} {access:?} {remote} {headers:?}");
            assert_eq!(answer.status().code, status, "{case}");
            if status == 200 {
                let kind = answer.headers().get_one("Content-Type").unwrap();
                assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
                let text = answer.into_string().unwrap();
                assert_eq!(metric_of(&text, "sessions_created_total"), 0, "{case}");
                let depth = "sessions_queue_depth{kind=\"load\"}";
                assert_eq!(metric_of(&text, depth), 0, "{case}");
            }
        }
    }
}
