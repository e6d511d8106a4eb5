//! Log lines as text, for people.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{Compact, Format, FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::request_of;

/// Writes each event as the compact format does, and after it the id of the request that caused it.
pub(super) struct Text(Format<Compact>);

impl Text {
    pub(super) fn new(is_colored: bool) -> Self {
        Self(Format::default().compact().with_ansi(is_colored))
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(id) = request_of(event) else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{} request_id={id}", line.trim_end_matches('\n'))
    }
}
