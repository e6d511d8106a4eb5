//! Values of metrics.

use rocket_diesel_sessions::SessionAdmin;

/// Returns the value of a metric, by name and labels.
pub(crate) fn metric(admin: &SessionAdmin, name: &str) -> u64 {
    metric_of(&admin.metrics(), name)
}

/// Returns the value of a metric in a text of metrics.
pub(crate) fn metric_of(text: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    text.lines()
        .find_map(value)
        .unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Returns the number of queued jobs of a kind, `load` or `write`.
pub(crate) fn queued(admin: &SessionAdmin, kind: &str) -> u64 {
    metric(admin, &format!("sessions_queue_depth{{kind=\"{kind}\"}}"))
}
