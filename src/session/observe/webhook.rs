//! Sends events to another server. They wait in memory, a thread sends them one after the other,
//! and no request waits for it.

mod outbox;
mod post;

use std::sync::Arc;

use self::outbox::Outbox;
use self::post::Receiver;
use super::events::{Hook, SessionEvent};
use super::metrics::EventCounts;
use crate::session::config::webhook::WebhookConfig;

/// Starts the thread that sends, and returns the function that takes events. Dropping the function
/// ends the thread.
///
/// # Errors
/// Fails if the thread cannot be started.
pub(in crate::session) fn start(
    config: &WebhookConfig,
    counts: EventCounts,
) -> std::io::Result<Hook> {
    let receiver = Receiver::new(config);
    let outbox = Outbox::start(counts, move |body| receiver.post(body))?;
    let names: Arc<[String]> = config.events.clone().into();
    Ok(Box::new(move |event: &SessionEvent| {
        let name = event.kind.name();
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            match serde_json::to_string(event) {
                Ok(body) => outbox.push(body),
                Err(error) => tracing::error!("an event cannot be sent: {error}"),
            }
        }
    }))
}
