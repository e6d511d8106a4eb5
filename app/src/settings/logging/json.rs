//! Log lines as JSON objects, one per line.

use std::fmt;

use chrono::{SecondsFormat, Utc};
use rocket::serde::json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::request_of;

/// The prefix of the fields in which records of the crate `log` carry their origin.
const OF_LOG: &str = "log.";

/// The field with the target of such a record.
const TARGET_OF_LOG: &str = "log.target";

/// Writes each event as an object with `timestamp`, `level`, `target`, `message`, the event's fields, and
/// in `span` the request that caused it.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let target = fields.target.as_deref().unwrap_or(metadata.target());
        let mut entries = head(*metadata.level(), target);
        entries.extend(fields.message.map(|message| ("message", message)));
        entries.extend(fields.others);
        if let Some(id) = request_of(event) {
            let span = json!({"name": "request", "request_id": id.to_string()});
            entries.push(("span", span));
        }
        writeln!(writer, "{}", object(&entries))
    }
}

/// Returns a line that is not an event, such as one from before logging has started.
pub(super) fn line(level: Level, target: &str, message: &str, others: &[(&str, &str)]) -> String {
    let mut entries = head(level, target);
    entries.push(("message", message.into()));
    entries.extend(others.iter().map(|(name, value)| (*name, (*value).into())));
    object(&entries)
}

fn head<'a>(level: Level, target: &str) -> Vec<(&'a str, Value)> {
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
    vec![
        ("timestamp", now.into()),
        ("level", level.as_str().into()),
        ("target", target.into()),
    ]
}

/// Returns an object with its entries in the given order.
fn object(entries: &[(&str, Value)]) -> String {
    let entries = entries
        .iter()
        .map(|(name, value)| format!("{}:{value}", Value::from(*name)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: Option<Value>,
    /// The target of a record of the crate `log`.
    target: Option<String>,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match field.name() {
            "message" => self.message = Some(value),
            TARGET_OF_LOG => self.target = value.as_str().map(str::to_owned),
            name if name.starts_with(OF_LOG) => {}
            name => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}
