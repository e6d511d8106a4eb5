//! I1: concurrent updates of one session are all applied, each exactly once.

use std::collections::BTreeSet;
use std::sync::Barrier;

use crate::support::visitor::Browser;
use crate::support::{Database, Server};

const THREADS: u64 = 32;
const CALLS: u64 = 100;

/// Counts visits of one session from many threads, spread over `servers`. Returns the sorted
/// answers.
fn count_from_many_threads(servers: &[&Server]) -> Vec<u64> {
    let mut first = servers[0].client();
    assert_eq!(first.visit(), 1);
    let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
    let mut answers = std::thread::scope(|scope| {
        let threads: Vec<_> = servers
            .iter()
            .cycle()
            .take(barrier_size())
            .map(|server| {
                let mut browser = Browser::new(server.url());
                browser.cookie.clone_from(&first.cookie);
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    (0..CALLS).map(|_| browser.visit()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    answers.sort_unstable();
    answers
}

fn barrier_size() -> usize {
    usize::try_from(THREADS).unwrap()
}

fn assert_each_once(answers: &[u64]) {
    let expected: Vec<u64> = (2..=THREADS * CALLS + 1).collect();
    let unique: BTreeSet<_> = answers.iter().collect();
    assert_eq!(unique.len(), answers.len(), "a number was given twice");
    assert_eq!(answers, expected);
}

on_each_database! {
    fn i1_one_process_counts_each_call_once(database: &Database) {
        let server = Server::start(database);
        assert_each_once(&count_from_many_threads(&[&server]));
    }

    fn i1_two_processes_count_each_call_once(database: &Database) {
        let (one, two) = (Server::start(database), Server::start(database));
        assert_each_once(&count_from_many_threads(&[&one, &two]));
    }
}
