//! The dashboard and the alerts in `docs/`: they use only existing metrics.

use std::collections::{HashMap, HashSet};

use rocket::serde::json::{Value, from_str};

use crate::support::exported::{exported, families, samples};

const DASHBOARD: &str = include_str!("../../../docs/grafana.json");
const ALERTS: &str = include_str!("../../../docs/alerts.yml");

/// Returns the queries of the dashboard and of the alerts.
fn queries() -> (Vec<String>, Vec<String>) {
    let dashboard: Value = from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let shown = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let alerts = ALERTS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "));
    (shown.collect(), alerts.map(str::to_owned).collect())
}

/// Returns the names of the metrics in a query.
fn metrics_of(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("sessions_") || word.starts_with("process_"))
}

/// Returns the labels by which a query selects, with the values that it names.
fn selected(query: &str) -> Vec<(&str, &str)> {
    let selectors = query
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'));
    let pairs = selectors.flat_map(|(selector, _)| selector.split("\","));
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(label, values)| {
        let label = label.trim().trim_end_matches('!');
        (label, values.trim_start_matches('~').trim_matches('"'))
    });
    let pairs = pairs.filter(|(label, _)| !["job", "instance"].contains(label));
    pairs
        .flat_map(|(label, values)| values.split('|').map(move |value| (label, value)))
        .collect()
}

#[test]
fn the_dashboard_and_the_alerts_use_only_existing_metrics() {
    let text = exported();
    let samples = samples(&text);
    let names: HashSet<&str> = samples.iter().map(|(name, _)| *name).collect();
    let (shown, alerts) = queries();
    assert!(
        shown.len() > 30 && alerts.len() > 10,
        "{shown:?} {alerts:?}"
    );
    for query in shown.iter().chain(&alerts) {
        assert!(
            metrics_of(query).next().is_some(),
            "{query} names no metric"
        );
        for name in metrics_of(query) {
            assert!(names.contains(name), "{name} is not exported: {query}");
        }
        for (label, value) in selected(query) {
            let label = format!("{label}=\"{value}\"");
            let has = |name: &str| {
                let of_name = samples.iter().filter(|(other, _)| *other == name);
                of_name
                    .into_iter()
                    .any(|(_, labels)| labels.split(',').any(|have| have == label))
            };
            assert!(
                metrics_of(query).any(has),
                "{label} is not exported: {query}"
            );
        }
    }
    // The dashboard shows every exported metric.
    let shown: HashSet<&str> = shown.iter().flat_map(|query| metrics_of(query)).collect();
    for (family, _) in families(&text) {
        let is_of_it = |name: &&str| name.starts_with(family);
        assert!(shown.iter().any(is_of_it), "{family} is not shown");
    }
}

#[test]
fn each_alert_has_a_summary_and_a_description() {
    let alerts: Vec<&str> = ALERTS.split("- alert: ").skip(1).collect();
    let mut names = HashSet::new();
    for alert in &alerts {
        let (name, rest) = alert.split_once('\n').unwrap();
        assert!(names.insert(name), "{name} is there twice");
        let mut values = HashMap::new();
        let mut keys = Vec::new();
        for line in rest.lines().filter(|line| !line.trim().is_empty()) {
            let (key, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.trim();
            let is_quoted = value.len() > 2 && value.starts_with('"') && value.ends_with('"');
            // Values that YAML would read as something else.
            let is_plain = !value.starts_with(['"', '\'', '{', '[', '>', '|', '&', '*', '%', '@'])
                && !value.contains(": ")
                && !value.contains(" #");
            assert!(is_quoted || is_plain, "{name}: {line}");
            keys.push(key);
            values.insert(key.trim(), value);
        }
        keys.retain(|key| *key != "        for");
        let expected = [
            "        expr",
            "        labels",
            "          severity",
            "        annotations",
            "          summary",
            "          description",
        ];
        assert_eq!(keys, expected, "{name}");
        assert!(
            ["critical", "warning"].contains(&values["severity"]),
            "{name}"
        );
        for key in ["expr", "summary", "description"] {
            assert!(values[key].trim_matches('"').len() > 10, "{name}: {key}");
            for label in values[key].split("$labels.").skip(1) {
                let (label, _) = label.split_once(' ').unwrap();
                let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let mut words = values["expr"].split(|c| !is_word(c));
                assert!(
                    words.any(|word| word == label),
                    "{name}: {label} is not in expr"
                );
            }
        }
    }
    assert!(alerts.len() > 10, "{}", alerts.len());
}
