//! `serve`.

use std::sync::Arc;

use rocket::error::ErrorKind;
use rocket_diesel_sessions::SystemClock;
use rocket_diesel_sessions::app::{self, Settings};

use super::Failure;

pub(super) fn run() -> Result<(), Failure> {
    let settings = Settings::from_env()?;
    let profile = settings.figment.profile();
    tracing::info!(
        "starting version {}, profile {profile}",
        env!("CARGO_PKG_VERSION")
    );
    let store = Arc::new(settings.sessions.open_store(&settings.database_url)?);
    let rocket = app::rocket(settings, store, Arc::new(SystemClock));
    match rocket::execute(rocket.launch()) {
        Ok(rocket) => {
            // Ends the session layer's threads.
            drop(rocket);
            tracing::info!("stopped");
            Ok(())
        }
        Err(error) => Err(match error.kind() {
            ErrorKind::Bind(reason) => format!(
                "cannot listen on the address and port of the configuration \
                 (ROCKET_ADDRESS, ROCKET_PORT): {reason}"
            ),
            kind => kind.to_string(),
        }
        .into()),
    }
}
