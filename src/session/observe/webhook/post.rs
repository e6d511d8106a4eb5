//! One attempt to send an event, and its signature.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use crate::session::config::webhook::WebhookConfig;

/// Maximum duration of an attempt.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const USER_AGENT: &str = concat!("rocket_diesel_sessions/", env!("CARGO_PKG_VERSION"));

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Posted {
    /// The receiver has the event.
    Delivered,
    /// The receiver may take it later.
    TryAgain(String),
    /// The receiver does not want it.
    Refused(String),
}

/// The server that receives events.
pub(super) struct Receiver {
    agent: Agent,
    url: String,
    key: Hmac<Sha256>,
}

impl Receiver {
    pub(super) fn new(config: &WebhookConfig) -> Self {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::NativeTls)
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .http_status_as_error(false)
            // An answer must not send personal data elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(USER_AGENT)
            .build();
        Self {
            agent: agent.into(),
            url: config.url.clone(),
            key: keyed(&config.secret),
        }
    }

    /// Sends an event. Blocks.
    pub(super) fn post(&self, body: &str) -> Posted {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let signature = signature(self.key.clone(), now.unwrap_or_default().as_secs(), body);
        let request = self.agent.post(&self.url);
        let sent = request
            .header("Content-Type", "application/json")
            .header("X-Session-Signature", signature)
            .send(body);
        match sent.map(|answer| answer.status().as_u16()) {
            Ok(200..=299) => Posted::Delivered,
            Ok(status @ (408 | 425 | 429 | 500..=599)) => {
                Posted::TryAgain(format!("status {status}"))
            }
            Ok(status) => Posted::Refused(format!("status {status}")),
            Err(error) => Posted::TryAgain(error.to_string()),
        }
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn keyed(secret: &str) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length")
}

/// Returns the header's value: the time in Unix seconds, and the HMAC-SHA-256 of the time, a dot
/// and the body, in hex.
fn signature(key: Hmac<Sha256>, at: u64, body: &str) -> String {
    let mac = key.chain_update(format!("{at}.")).chain_update(body);
    let mut value = format!("t={at},v1=");
    for byte in mac.finalize().into_bytes() {
        // Writing to a String cannot fail.
        let _ = write!(value, "{byte:02x}");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_an_hmac_of_the_time_and_the_body() {
        // printf '1767225600.{}' | openssl dgst -sha256 -hmac 'a secret of at least thirty-two bytes'
        let key = keyed("a secret of at least thirty-two bytes");
        let value = signature(key, 1_767_225_600, "{}");
        assert_eq!(
            value,
            "t=1767225600,v1=bc0f93b206d1d13bb036e09a80e1ea0b2153210f1ec1c5afeff1f17fd115baf1"
        );
    }
}
