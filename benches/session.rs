//! `cargo bench --features bench --bench session`: the parts of a request that are this library's
//! own, and the way to a SQLite file through the pipeline, one request at a time and 64 at once.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rocket::futures::future::join_all;
use rocket::serde::{Deserialize, Serialize};
use rocket::tokio::runtime::Runtime;
use rocket_diesel_sessions::bench::{BenchPipeline, change, signed_token, verify};
use rocket_diesel_sessions::store::StoreOptions;
use rocket_diesel_sessions::{DieselStore, SessionKeys};

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "rocket::serde", default)]
struct Cart {
    count: u64,
    items: Vec<String>,
}

type Failure = Box<dyn std::error::Error>;

fn token(criterion: &mut Criterion) {
    let mut run = || -> Result<(), Failure> {
        let keys = SessionKeys::parse(&SessionKeys::generate_secret()?)?;
        let value = signed_token(&keys)?;
        criterion.bench_function("token: generate and sign", |bench| {
            bench.iter(|| signed_token(&keys));
        });
        criterion.bench_function("token: verify", |bench| {
            bench.iter(|| verify(&keys, black_box(&value)));
        });
        Ok(())
    };
    report("token", run());
}

fn codec(criterion: &mut Criterion) {
    let known = r#"{"count":1,"items":["a","b","c"]}"#;
    let newer = r#"{"count":1,"items":["a","b","c"],"theme":"dark"}"#;
    for (name, raw) in [("all fields known", known), ("a field unknown", newer)] {
        criterion.bench_function(&format!("codec: change, {name}"), |bench| {
            bench.iter(|| change::<Cart>(black_box(raw), |cart| cart.count += 1));
        });
    }
}

fn pipeline(criterion: &mut Criterion) {
    let mut run = || -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}/bench.db", folder.path().display()).parse()?;
        let store = DieselStore::open(&url, StoreOptions::default())?;
        store.migrate()?;
        let runtime = Runtime::new()?;
        let way = BenchPipeline::start(Arc::new(store))?;
        let sessions = (0..64).map(|_| way.create("0"));
        let sessions = runtime.block_on(join_all(sessions));
        let mut sessions = sessions.into_iter().collect::<Result<Vec<_>, _>>()?;
        for at_once in [1, 64] {
            let mut group = criterion.benchmark_group(format!("pipeline: {at_once} at once"));
            group.throughput(Throughput::Elements(at_once as u64));
            let chosen = sessions[..at_once].to_vec();
            group.bench_function("load", |bench| {
                bench.iter(|| {
                    let loads = chosen.iter().map(|session| way.load(session.session_id));
                    runtime.block_on(join_all(loads))
                });
            });
            let mut newest = chosen.clone();
            group.bench_function("update", |bench| {
                bench.iter(|| {
                    let updates = newest.drain(..).map(|session| way.overwrite(session, "1"));
                    let rows = runtime.block_on(join_all(updates));
                    newest.extend(rows.into_iter().filter_map(Result::ok).flatten());
                });
            });
            assert_eq!(newest.len(), at_once, "an update failed");
            sessions.splice(..at_once, newest);
            group.finish();
        }
        Ok(())
    };
    report("pipeline", run());
}

fn report(name: &str, result: Result<(), Failure>) {
    if let Err(failure) = result {
        eprintln!("{name}: {failure}");
    }
}

criterion_group!(benches, token, codec, pipeline);
criterion_main!(benches);
