//! Values of metrics.

/// Returns the value of a metric, by name and labels.
pub(crate) fn metric(admin: &rocket_diesel_sessions::SessionAdmin, name: &str) -> u64 {
    metric_of(&admin.metrics(), name)
}

/// Returns the value of a metric in a text of metrics.
pub(crate) fn metric_of(text: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    text.lines()
        .find_map(value)
        .unwrap_or_else(|| panic!("no {name} in {text}"))
}
