//! Events that are sent to another server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rocket::local::asynchronous::Client;
use rocket::serde::json::Value;
use rocket_diesel_sessions::{SessionAdmin, SessionConfig, WebhookConfig};

use crate::support::altered;
use crate::support::embedded::{get, new_cookie, patient, rocket_with, run};
use crate::support::{Database, Kind, metric, wait_until};

const SECRET: &str = "a secret that signs what the webhook sends";

/// A request that a receiver got.
struct Posted {
    head: String,
    body: String,
}

impl Posted {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        rocket::serde::json::from_str(&self.body).unwrap()
    }

    /// Asserts that the receiver can verify the request, as the documentation says.
    fn assert_signed(&self) {
        let header = self.header("X-Session-Signature").unwrap();
        let (at, signature) = header
            .strip_prefix("t=")
            .unwrap()
            .split_once(",v1=")
            .unwrap();
        let mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        let mac = mac.chain_update(format!("{at}.{}", self.body));
        let bytes = (0..signature.len()).step_by(2);
        let bytes = bytes.map(|at| u8::from_str_radix(&signature[at..at + 2], 16).unwrap());
        mac.verify_slice(&bytes.collect::<Vec<_>>()).unwrap();
        let age = chrono::Utc::now().timestamp() - at.parse::<i64>().unwrap();
        assert!((0..300).contains(&age), "{age}");
    }
}

/// Starts a receiver that answers with these statuses, and then with 204. Returns its address and
/// what it gets.
fn receiver(statuses: &'static [&str]) -> (String, Receiver<Posted>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    let (sender, posted) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                head += line.trim_end();
                head.push('\n');
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body = String::from_utf8(body).unwrap();
            let status = statuses.get(number).copied().unwrap_or("204 No Content");
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            // The test may have ended.
            let _ = sender.send(Posted { head, body });
        }
    });
    (url, posted)
}

fn config(url: &str, events: &[&str]) -> SessionConfig {
    altered(patient(), |config| {
        let mut webhook = WebhookConfig::new(url, SECRET);
        webhook.events = events.iter().map(|name| (*name).to_owned()).collect();
        config.webhook = Some(webhook);
    })
}

fn next(posted: &Receiver<Posted>) -> Posted {
    posted.recv_timeout(Duration::from_mins(1)).unwrap()
}

#[test]
fn i8_events_are_signed_sent_until_they_arrive_and_have_no_secrets() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (url, posted) = receiver(&["500 Internal Server Error", "503 Service Unavailable"]);
    database.store();
    database.add_users(&["ada"]);
    run(async {
        let (rocket, _) = rocket_with(database.store(), config(&url, &[]), |sessions| sessions);
        let client = Client::untracked(rocket).await.unwrap();
        let anonymous = new_cookie(&client).await;
        let answer = get(&client, "/login/ada", Some(&anonymous)).await;
        let cookie = answer.cookie().unwrap();
        get(&client, "/logout", Some(&cookie)).await;

        // Twice refused, so it comes three times, and the next event waits for it.
        for _ in 0..3 {
            let login = next(&posted);
            login.assert_signed();
            let json = login.json();
            assert_eq!(
                (&json["event"], &json["user_id"]),
                (&"login".into(), &"ada".into())
            );
            assert_eq!(json["session"].as_str(), Some(answer.body.as_str()));
            assert!(
                json["id"].as_str().is_some_and(|id| id.len() == 36),
                "{json}"
            );
        }
        let logout = next(&posted);
        logout.assert_signed();
        assert_eq!(logout.json()["event"], "logout");
        assert!(
            logout.head.starts_with("POST /hooks HTTP/1.1"),
            "{}",
            logout.head
        );
        assert_eq!(logout.header("Content-Type"), Some("application/json"));
        let all = format!("{}{}", logout.head, logout.body);
        let values = [anonymous.as_str(), &cookie].map(|cookie| cookie.split_once('=').unwrap().1);
        for secret in values.iter().chain(&[SECRET]) {
            assert!(!all.contains(secret), "{all}");
        }
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        let delivered = "sessions_webhook_events_total{result=\"delivered\"}";
        wait_until("both are counted", || metric(admin, delivered) == 2);
    });
}

#[test]
fn only_the_wanted_events_are_sent_and_a_redirect_is_not_followed() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (other, elsewhere) = receiver(&[]);
    let redirect = format!("302 Found\r\nLocation: {other}");
    let (url, posted) = receiver(Box::leak(Box::new([&*redirect.leak()])));
    database.store();
    database.add_users(&["ada"]);
    run(async {
        let store = database.store();
        let (rocket, _) = rocket_with(store, config(&url, &["logout"]), |sessions| sessions);
        let client = Client::untracked(rocket).await.unwrap();
        for _ in 0..2 {
            let cookie = get(&client, "/login/ada", None).await.cookie().unwrap();
            get(&client, "/logout", Some(&cookie)).await;
            assert_eq!(next(&posted).json()["event"], "logout");
        }
        assert!(elsewhere.try_recv().is_err());
        let admin = client.rocket().state::<SessionAdmin>().unwrap();
        let count = |result| format!("sessions_webhook_events_total{{result=\"{result}\"}}");
        wait_until("the second is counted", || {
            metric(admin, &count("delivered")) == 1
        });
        assert_eq!(metric(admin, &count("lost")), 1);
    });
}

#[test]
fn i6_a_receiver_that_is_down_costs_no_request_and_little_time_at_the_stop() {
    let database = Database::new(Kind::Sqlite).unwrap();
    database.store();
    database.add_users(&["ada"]);
    // Nothing listens there, and no other test is given that port.
    let url = "http://127.0.0.1:1/";
    run(async {
        let (rocket, _) = rocket_with(database.store(), config(url, &[]), |sessions| sessions);
        let client = Client::untracked(rocket).await.unwrap();
        let answer = get(&client, "/login/ada", None).await;
        assert!(answer.cookie().is_some());
        client.terminate().await;
    });
}
