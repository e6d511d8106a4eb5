//! The tables that `run` prints.

use std::fmt::Write;

use crate::results::{PGBENCH, Results};
use crate::table::table;

/// The columns of the rates: a load and its number of connections.
const LOADS: [(&str, u32); 11] = [
    ("plain", 1),
    ("plain", 64),
    ("read", 1),
    ("read", 4),
    ("read", 16),
    ("read", 64),
    ("count", 1),
    ("count", 4),
    ("count", 16),
    ("count", 64),
    ("hot", 64),
];

/// The loads whose latencies are shown.
const LATENCIES: [(&str, u32); 8] = [
    ("read", 1),
    ("read", 4),
    ("read", 16),
    ("read", 64),
    ("count", 1),
    ("count", 4),
    ("count", 16),
    ("count", 64),
];

/// The loads whose p99 is compared: with more connections, it is mostly that of a full queue.
const TAILS: [(&str, u32); 4] = [("read", 1), ("read", 4), ("count", 1), ("count", 4)];

/// This repository's servers, each compared with all others.
const OURS: [&str; 2] = ["application", "ours"];

pub fn report(results: &Results) -> String {
    let mut text = format!(
        "Requests per second, by number of connections\n\n{}\n\
         p50/p99 in ms, by number of connections\n\n{}\n\
         What is lost, and memory\n\n{}",
        rates(results),
        latencies(results),
        losses(results),
    );
    if results.servers().count() > 1 {
        for server in OURS.into_iter().filter(|server| results.has(server)) {
            text.push_str(&ratios(results, server));
        }
    }
    text.push_str(&pgbench(results));
    text.push_str(&notes(results));
    text
}

fn rates(results: &Results) -> String {
    let row = |server: &str| {
        let cells = LOADS.iter().map(|load| {
            let rate = results.typical(server, &metric(*load, "per_s"));
            number(rate, 0)
        });
        std::iter::once(server.to_owned()).chain(cells).collect()
    };
    table(
        header("server", &LOADS),
        results.servers().map(row).collect(),
        false,
    )
}

fn latencies(results: &Results) -> String {
    let row = |server: &str| {
        let cells = LATENCIES.iter().map(|load| {
            let p50 = results.typical(server, &metric(*load, "p50_ms"));
            let p99 = results.typical(server, &metric(*load, "p99_ms"));
            match (p50, p99) {
                (Some(p50), Some(p99)) => format!("{}/{}", milliseconds(p50), milliseconds(p99)),
                _ => number(None, 0),
            }
        });
        std::iter::once(server.to_owned()).chain(cells).collect()
    };
    table(
        header("server", &LATENCIES),
        results.servers().map(row).collect(),
        false,
    )
}

fn losses(results: &Results) -> String {
    let header = ["server", "lost % many", "lost % hot", "peak MB", "can lose"];
    let row = |server: &str| {
        let lost = |load| match results.lost(server, load) {
            Some(0.0) => "0".to_owned(),
            lost => number(lost, 2),
        };
        let peak = results.typical(server, "peak_kb").map(|peak| peak / 1024.0);
        vec![
            server.to_owned(),
            lost("count_64"),
            lost("hot_64"),
            number(peak, 0),
            can_lose(server).to_owned(),
        ]
    };
    let rows = results.servers().map(row).collect();
    table(header.map(str::to_owned).to_vec(), rows, true)
}

/// Says what a server may lose though it answered with success. README.md explains it.
fn can_lose(server: &str) -> &'static str {
    match server {
        "ours" | "application" => "nothing",
        "rocket_flex" => "concurrent changes; changes that could not be stored",
        "axum_cached" => "concurrent changes; what other instances change or end",
        "axum_redis" => "concurrent changes; all since the last snapshot, in a crash",
        _ => "concurrent changes",
    }
}

fn ratios(results: &Results, server: &str) -> String {
    let compare = |loads: &[(&str, u32)], what: &str| {
        let row = |peer: &str| {
            let ratio = |load: &(&str, u32)| results.ratio(server, peer, &metric(*load, what));
            let ratios: Vec<Option<f64>> = loads.iter().map(ratio).collect();
            let measured = ratios.iter().any(Option::is_some);
            let cells = ratios.into_iter().map(|ratio| number(ratio, 2));
            measured.then(|| std::iter::once(peer.to_owned()).chain(cells).collect())
        };
        let peers = results.servers().filter(|peer| *peer != server);
        table(
            header("other", loads),
            peers.filter_map(row).collect(),
            false,
        )
    };
    format!(
        "\nRequests per second: {server} / other\n\n{}\np99: {server} / other (below 1 is better)\n\n{}",
        compare(&LOADS, "per_s"),
        compare(&TAILS, "p99_ms"),
    )
}

fn pgbench(results: &Results) -> String {
    if !results.has(PGBENCH) {
        return String::new();
    }
    format!(
        "\npgbench, 10 clients: {} SELECT/s, {} UPDATE/s\n",
        number(results.typical(PGBENCH, "select_per_s"), 0),
        number(results.typical(PGBENCH, "update_per_s"), 0),
    )
}

/// The rates count successful answers only. These are the others.
fn notes(results: &Results) -> String {
    let mut text = String::new();
    for server in results.servers() {
        for (metric, rounds) in results.metrics(server) {
            let (load, kind) = if let Some(load) = metric.strip_suffix("_refused") {
                (load, "answers with an error status")
            } else if let Some(load) = metric.strip_suffix("_socket_errors") {
                (load, "socket errors or timeouts")
            } else {
                continue;
            };
            let sum: f64 = rounds.iter().sum();
            if sum > 0.0 {
                let _ = writeln!(text, "note: {server}, {load}: {sum} {kind} in all rounds");
            }
        }
    }
    if text.is_empty() {
        text
    } else {
        format!("\n{text}")
    }
}

fn header(first: &str, loads: &[(&str, u32)]) -> Vec<String> {
    let loads = loads
        .iter()
        .map(|(load, connections)| format!("{load} {connections}"));
    std::iter::once(first.to_owned()).chain(loads).collect()
}

fn metric((load, connections): (&str, u32), what: &str) -> String {
    format!("{load}_{connections}_{what}")
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

fn milliseconds(value: f64) -> String {
    let decimals = if value < 9.995 { 2 } else { 1 };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::report;
    use crate::results::Results;

    #[test]
    fn the_report_has_rates_latencies_losses_and_ratios() {
        let text = "1\tours\tread_1_per_s\t3000.4\n1\tours\tread_1_p50_ms\t0.3\n\
                    1\tours\tread_1_p99_ms\t12.34\n1\tours\thot_64_answered\t10\n\
                    1\tours\thot_64_stored\t10\n1\tours\tpeak_kb\t16384\n\
                    1\taxum_tower\tread_1_per_s\t6000\n1\taxum_tower\tread_1_p99_ms\t6.17\n\
                    1\taxum_tower\thot_64_refused\t2\n";
        let report = report(&Results::parse(text).unwrap());
        let has = |line: &str| {
            let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                report.lines().any(|found| squeezed(found) == line),
                "{line}\n{report}"
            );
        };
        has("ours | - | - | 3000 | - | - | - | - | - | - | - | -");
        has("ours | 0.30/12.3 | - | - | - | - | - | - | -");
        has("ours | - | 0 | 16 | nothing");
        has("axum_tower | - | - | 0.50 | - | - | - | - | - | - | - | -");
        has("axum_tower | 2.00 | - | - | -");
        has("note: axum_tower, hot_64: 2 answers with an error status in all rounds");
    }
}
