//! What the charts show.

use rocket_diesel_sessions::EndReason;

use super::Series;
use crate::pages::admin::overview::hours::{Row, Step};
use crate::words::grouped;

/// What a chart shows.
pub(super) struct Subject {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What is counted, for the axis.
    pub(super) unit: &'static str,
    pub(super) series: Vec<Series>,
    pub(super) numbers: fn(&Row) -> Vec<u64>,
    pub(super) summary: fn(&[Row], Step) -> String,
}

/// The series of each reason, in the order of `EndReason::ALL`.
const REASONS: [(&str, &str); 5] = [
    ("series-1", "signed out"),
    ("series-2", "revoked"),
    ("series-3", "replaced"),
    ("series-5", "expired"),
    ("series-4", "cleared"),
];

/// Returns all subjects, in the order of their charts.
pub(super) fn subjects() -> [Subject; 4] {
    let one = |label| {
        vec![Series {
            class: "series-1",
            label,
        }]
    };
    [
        Subject {
            id: "active",
            title: "Active sessions",
            unit: "most at a time",
            series: one("active"),
            numbers: |row| vec![row.peak],
            summary: |rows, step| most("At most", "at a time", rows, step, |row| row.peak),
        },
        Subject {
            id: "created",
            title: "Created",
            unit: "sessions",
            series: one("created"),
            numbers: |row| vec![row.created],
            summary: |rows, step| {
                let sum = rows
                    .iter()
                    .map(|row| row.created)
                    .fold(0, u64::saturating_add);
                let most = most("most", "", rows, step, |row| row.created);
                format!("{} sessions created; {most}", grouped(sum))
            },
        },
        Subject {
            id: "ended",
            title: "Ended, by reason",
            unit: "sessions",
            series: EndReason::ALL
                .iter()
                .zip(REASONS)
                .map(|(_, (class, label))| Series { class, label })
                .collect(),
            numbers: |row| row.ended.iter().map(|(_, number)| number).collect(),
            summary: |rows, step| {
                let sum = rows
                    .iter()
                    .map(|row| row.ended.total())
                    .fold(0, u64::saturating_add);
                let most = most("most", "", rows, step, |row| row.ended.total());
                format!("{} sessions ended; {most}", grouped(sum))
            },
        },
        Subject {
            id: "users",
            title: "Signed-in users",
            unit: "most in an hour",
            series: one("users"),
            numbers: |row| vec![row.users],
            summary: |rows, step| most("At most", "in an hour", rows, step, |row| row.users),
        },
    ]
}

/// Returns the highest number and its time in words.
fn most(most: &str, of: &str, rows: &[Row], step: Step, number: fn(&Row) -> u64) -> String {
    let highest = rows.iter().rev().max_by_key(|row| number(row));
    match highest.filter(|row| number(row) > 0) {
        Some(row) => {
            let of = if of.is_empty() {
                String::new()
            } else {
                format!(" {of}")
            };
            let when = if step == Step::Day { "on" } else { "at" };
            format!(
                "{most} {}{of}, {when} {}",
                grouped(number(row)),
                step.shown(row.at)
            )
        }
        None => "none recorded".to_owned(),
    }
}
