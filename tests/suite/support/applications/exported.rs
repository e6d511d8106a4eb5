//! What `/metrics` exports.

use super::local::{Visitor, application};
use crate::support::{Database, Kind};

/// Returns the output of `/metrics` after some use.
pub(crate) fn exported() -> String {
    let database = Database::new(Kind::Sqlite).unwrap();
    let (client, _) = application(&database, "");
    let mut visitor = Visitor::new(&client);
    visitor.visit();
    visitor.get("/nothing");
    visitor.get("/metrics").body
}

/// Returns the families of metrics with their types, in order.
pub(crate) fn families(text: &str) -> Vec<(&str, &str)> {
    let of_type = |line| {
        let (name, kind) = str::strip_prefix(line, "# TYPE ")?.split_once(' ')?;
        Some((name, kind))
    };
    text.lines().filter_map(of_type).collect()
}

/// Returns the name and the labels of a sample.
fn series(line: &str) -> Option<(&str, &str)> {
    let (series, value) = line.rsplit_once(' ')?;
    value.parse::<f64>().ok()?;
    Some(match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    })
}

/// Returns the names and the labels of all samples.
pub(crate) fn samples(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| series(line).unwrap_or_else(|| panic!("no sample: {line}")))
        .collect()
}
