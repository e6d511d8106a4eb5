//! Random sequences of operations on sessions, on two instances, compared with a model of the
//! answers to each cookie: I1 to I4, I6 and I13 are checked after each step.
//!
//! By default this takes a few seconds and always uses the same sequences. `MODEL_SECONDS=1800`
//! runs it for that long, with sequences from a printed seed, which `MODEL_SEED` repeats. A failing
//! sequence is shortened and printed.

mod app;
mod compare;
mod judge;
mod op;
mod order;
mod outside;
mod play;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use rocket::tokio::runtime::Builder;
use rocket_diesel_sessions::store::UserRecord;

use self::app::{Ground, Instances};
use self::op::Step;
use crate::support::Database;
use crate::support::altered;
use crate::support::memory::MemoryStore;

/// Returns a user whose id, name and password hash are the same text.
fn user(name: &str) -> UserRecord {
    let user = UserRecord::new(name, name, DateTime::UNIX_EPOCH);
    altered(user, |user| name.clone_into(&mut user.password_hash))
}

/// Returns how long to run, and from which seed.
fn plan() -> (Duration, u64) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seconds = number("MODEL_SECONDS");
    let seed = number("MODEL_SEED").unwrap_or_else(|| match seconds {
        Some(_) => u64::from_le_bytes(*cuid2::create_id().as_bytes().first_chunk().unwrap()),
        None => 1,
    });
    (Duration::from_secs(seconds.unwrap_or(3)), seed)
}

fn rng(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// Runs random sequences on two instances until the time is over.
fn hold<S: Ground>(stores: [Arc<S>; 2], has_faults: bool) {
    let (time, seed) = plan();
    eprintln!("MODEL_SEED={seed}, for {time:?}");
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let app = runtime.block_on(Instances::start(stores, has_faults));
    let config = Config {
        failure_persistence: None,
        max_shrink_time: 120_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, rng(seed));
    let strategy = op::steps(has_faults);
    let (start, mut played) = (Instant::now(), 0);
    while start.elapsed() < time {
        let sequence = strategy.new_tree(&mut runner).unwrap();
        let played_well = runner.run_one(sequence, |steps: Vec<Step>| {
            runtime
                .block_on(play::play(&app, &steps))
                .map_err(TestCaseError::fail)
        });
        if let Err(TestError::Fail(reason, steps)) = played_well {
            let lines: Vec<String> = steps.iter().map(|step| format!("  {step:?}")).collect();
            panic!(
                "{reason}\nMODEL_SEED={seed}, shortest sequence:\n{}",
                lines.join("\n")
            );
        }
        played += 1;
    }
    eprintln!("{played} sequences");
    runtime.block_on(async { drop(app) });
}

fn in_memory() -> [Arc<MemoryStore>; 2] {
    let store = Arc::new(MemoryStore::default());
    [store.clone(), store]
}

#[test]
fn i1_i2_i3_i4_any_sequence_holds_in_memory() {
    hold(in_memory(), false);
}

#[test]
fn i6_any_sequence_with_faults_holds_in_memory() {
    hold(in_memory(), true);
}

on_each_database! {
    fn i1_i2_i3_i4_any_sequence_holds(database: &Database) {
        hold([database.store(), database.store()], false);
    }

    fn i6_any_sequence_with_faults_holds(database: &Database) {
        hold([database.store(), database.store()], true);
    }
}
