//! `serve`: runs the server.

mod signals;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rocket::error::ErrorKind;
use rocket::figment::providers::Serialized;
use rocket::figment::value::{Dict, Map};
use rocket::figment::{self, Figment, Metadata, Profile, Provider};
use rocket::serde::Serialize;
use rocket_diesel_sessions::SystemClock;
use rocket_diesel_sessions_app::settings::effective::COMMAND_LINE;
use rocket_diesel_sessions_app::{self as app, Settings};

use super::Failure;

#[derive(Args, Default)]
#[command(after_help = "Example:\n  rocket_diesel_sessions serve --address 0.0.0.0 --port 9000")]
pub(super) struct Arguments {
    #[command(flatten)]
    listener: Listener,
}

/// Where a server listens, instead of the address and port of the settings.
#[derive(Args, Default)]
pub(super) struct Listener {
    /// The address of the server, instead of `ROCKET_ADDRESS`.
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// The port of the server, instead of `ROCKET_PORT`.
    #[arg(long)]
    port: Option<u16>,
}

/// A setting from the command line, which is named as its source.
struct Argument<T>(Serialized<T>);

impl<T: Serialize> Provider for Argument<T> {
    fn metadata(&self) -> Metadata {
        Metadata::named(COMMAND_LINE)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        self.0.data()
    }
}

impl Listener {
    /// Returns the settings with the address and port that were given.
    pub(super) fn over(&self, mut figment: Figment) -> Figment {
        if let Some(address) = self.address {
            figment = figment.merge(Argument(Serialized::global("address", address)));
        }
        if let Some(port) = self.port {
            figment = figment.merge(Argument(Serialized::global("port", port)));
        }
        figment
    }
}

pub(super) fn run(arguments: &Arguments, wait: Option<Duration>) -> Result<(), Failure> {
    let mut settings = Settings::from_env()?;
    settings.figment = arguments.listener.over(settings.figment);
    if let Some(wait) = wait {
        settings.sessions.startup_timeout = wait;
    }
    let profile = settings.figment.profile();
    tracing::info!(
        "starting version {}, profile {profile}",
        env!("CARGO_PKG_VERSION")
    );
    let signals = signals::take_over(&mut settings.figment)?;
    let store = Arc::new(settings.sessions.open_store(&settings.database_url)?);
    let rocket = app::rocket(settings, store, Arc::new(SystemClock));
    let served = async {
        let rocket = rocket.ignite().await?;
        let shutdown = rocket.shutdown();
        let signalled = signals.listen();
        let mut launched = pin!(rocket.launch());
        // One task both asks for the shutdown and polls the server: if another asked while this one
        // polls, Rocket 0.5 might skip the shutdown fairings and cut the open requests.
        rocket::tokio::select! {
            biased;
            result = &mut launched => return result,
            () = signalled => shutdown.notify(),
        }
        launched.await
    };
    match rocket::execute(served) {
        Ok(rocket) => {
            app::log_stopping();
            // Ends the session layer's threads.
            drop(rocket);
            tracing::info!("stopped");
            Ok(())
        }
        Err(error) => Err(match error.kind() {
            ErrorKind::Bind(reason) => format!(
                "cannot listen on the configured address and port \
                 (--address, ROCKET_ADDRESS, --port, ROCKET_PORT): {reason}"
            ),
            kind => kind.to_string(),
        }
        .into()),
    }
}
