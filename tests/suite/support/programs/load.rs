//! A steady load: eight clients that count and check their answers.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::server::Server;
use super::visitor::{Browser, Reply};
use crate::support::wait_until;

const CLIENTS: usize = 8;
const SESSIONS: usize = 4;

/// Pause between two requests of a client.
const PAUSE: Duration = Duration::from_millis(10);

/// A session and its acknowledged counts.
struct Counted {
    cookie: Option<String>,
    handle: String,
    counts: Mutex<HashSet<u64>>,
}

impl Counted {
    fn newest(&self) -> u64 {
        self.counts.lock().unwrap().iter().copied().max().unwrap()
    }

    /// Records an acknowledged count. No other request may have got it, and it must include all
    /// counts acknowledged before this request began.
    fn acknowledge(&self, reply: &Reply, newest_before: u64) {
        assert_eq!(reply.set_cookie, None, "a new session took its place");
        let json = reply.json();
        assert_eq!(json["sessionId"], self.handle.as_str());
        let count = json["visitCount"].as_u64().unwrap();
        assert!(
            count > newest_before,
            "{count} after {newest_before}: an acknowledged count is lost"
        );
        assert!(
            self.counts.lock().unwrap().insert(count),
            "{count} was given twice"
        );
    }
}

/// The observations of the clients.
#[derive(Default)]
struct Seen {
    counted: AtomicUsize,
    refused: AtomicUsize,
    unanswered: AtomicUsize,
    /// The longest time that a request took, in milliseconds.
    slowest: AtomicU64,
    /// Set by each client that is answered 200.
    served: [AtomicBool; CLIENTS],
}

/// Eight clients that count on four sessions.
pub(crate) struct Load {
    urls: Arc<Mutex<Vec<String>>>,
    sessions: Arc<Vec<Counted>>,
    seen: Arc<Seen>,
    clients: Vec<(Sender<()>, JoinHandle<()>)>,
}

impl Load {
    /// Creates the sessions and starts the clients. Returns when all of them are served.
    pub(crate) fn on(servers: &[&Server]) -> Self {
        let sessions = (0..SESSIONS).map(|_| {
            let mut browser = servers[0].client();
            let reply = browser.get("/api/session/test-session");
            Counted {
                cookie: browser.cookie,
                handle: reply.json()["sessionId"].as_str().unwrap().to_owned(),
                counts: Mutex::new(HashSet::from([1])),
            }
        });
        let mut load = Self {
            urls: Arc::default(),
            sessions: Arc::new(sessions.collect()),
            seen: Arc::default(),
            clients: Vec::new(),
        };
        load.go_to(servers);
        for number in 0..CLIENTS {
            let (stop, stopped) = channel();
            let (urls, sessions) = (load.urls.clone(), load.sessions.clone());
            let seen = load.seen.clone();
            let client = std::thread::spawn(move || {
                let session = &sessions[number % SESSIONS];
                count_until(&stopped, number, &urls, session, &seen);
            });
            load.clients.push((stop, client));
        }
        load.wait_until_served();
        load
    }

    /// Makes the clients use these servers in turn from now on.
    pub(crate) fn go_to(&self, servers: &[&Server]) {
        let urls = servers.iter().map(|server| server.url().to_owned());
        *self.urls.lock().unwrap() = urls.collect();
    }

    /// Returns the number of requests answered 503 so far.
    pub(crate) fn refused(&self) -> usize {
        self.seen.refused.load(Ordering::SeqCst)
    }

    /// Returns the number of requests that reached no server so far.
    pub(crate) fn unanswered(&self) -> usize {
        self.seen.unanswered.load(Ordering::SeqCst)
    }

    /// Returns the longest time that a request took so far.
    pub(crate) fn slowest(&self) -> Duration {
        Duration::from_millis(self.seen.slowest.load(Ordering::SeqCst))
    }

    pub(crate) fn wait_until_refused(&self) {
        let before = self.refused();
        self.wait("requests are refused", || self.refused() > before);
    }

    /// Waits until `more` further counts are acknowledged.
    pub(crate) fn wait_for_counts(&self, more: usize) {
        let enough = self.seen.counted.load(Ordering::SeqCst) + more;
        self.wait("visits are counted", || {
            self.seen.counted.load(Ordering::SeqCst) >= enough
        });
    }

    /// Waits until each client has been answered 200 again. Returns how long that took.
    pub(crate) fn wait_until_served(&self) -> Duration {
        let start = Instant::now();
        for served in &self.seen.served {
            served.store(false, Ordering::SeqCst);
        }
        self.wait("all clients are served", || {
            let served = &self.seen.served;
            served.iter().all(|served| served.load(Ordering::SeqCst))
        });
        start.elapsed()
    }

    /// Waits for the condition. Panics at once if a client has failed.
    fn wait(&self, what: &str, mut condition: impl FnMut() -> bool) {
        wait_until(what, || {
            let failed = self.clients.iter().any(|(_, client)| client.is_finished());
            failed || condition()
        });
    }

    /// Ends the clients, and compares their acknowledged counts with what `server` has. Each request
    /// without an acknowledgement may have been counted once, or not at all.
    pub(crate) fn end_and_compare(mut self, server: &Server) {
        self.join();
        let mut unknown = self.refused() + self.unanswered();
        for session in self.sessions.iter() {
            let mut browser = server.client();
            browser.cookie.clone_from(&session.cookie);
            let newest = session.newest();
            session.acknowledge(&browser.get("/api/session/test-session"), newest);
            let counted = usize::try_from(session.newest()).unwrap();
            let acknowledged = session.counts.lock().unwrap().len();
            let more = counted.checked_sub(acknowledged).expect("none is lost");
            unknown = unknown.checked_sub(more).expect("none is counted twice");
        }
    }

    /// Ends the clients. Panics if one has observed a violation.
    pub(crate) fn end(mut self) {
        self.join();
    }

    fn join(&mut self) {
        for (stop, client) in self.clients.drain(..) {
            drop(stop);
            if let Err(failure) = client.join() {
                std::panic::resume_unwind(failure);
            }
        }
    }
}

/// Runs one client until its channel is closed.
fn count_until(
    stopped: &Receiver<()>,
    number: usize,
    urls: &Mutex<Vec<String>>,
    session: &Counted,
    seen: &Seen,
) {
    let mut browser = Browser::new("");
    browser.cookie.clone_from(&session.cookie);
    let mut turn = number;
    loop {
        {
            let urls = urls.lock().unwrap();
            browser.set_url(&urls[turn % urls.len()]);
            turn += 1;
        }
        let newest = session.newest();
        let start = Instant::now();
        let reply = browser.try_get("/api/session/test-session");
        let took = u64::try_from(start.elapsed().as_millis()).unwrap();
        seen.slowest.fetch_max(took, Ordering::SeqCst);
        match reply {
            Some(reply) if reply.status == 200 => {
                session.acknowledge(&reply, newest);
                seen.counted.fetch_add(1, Ordering::SeqCst);
                seen.served[number].store(true, Ordering::SeqCst);
            }
            Some(reply) => {
                assert_eq!(reply.status, 503, "{}", reply.body);
                assert!(reply.retry_after.is_some(), "no Retry-After");
                assert_eq!(reply.set_cookie, None, "an outage is no logout");
                seen.refused.fetch_add(1, Ordering::SeqCst);
            }
            None => {
                seen.unanswered.fetch_add(1, Ordering::SeqCst);
            }
        }
        if stopped.recv_timeout(PAUSE) != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            return;
        }
    }
}
