//! The signals that stop the server.
//!
//! Rocket listens for them only after it has reported that it serves, so an earlier signal would end
//! the process at once, and stops from a task of its own. So the program listens instead.

use std::future::Future;

use rocket::config::{Shutdown, Sig};
use rocket::figment::Figment;
use rocket::figment::providers::Serialized;

use crate::cli::Failure;

/// The signals of Rocket's settings `shutdown.ctrlc` and `shutdown.signals`.
#[cfg_attr(not(unix), allow(dead_code))]
pub(super) struct Signals(Shutdown);

/// Takes the signals out of the settings, so that Rocket does not listen for them.
#[cfg(unix)]
pub(super) fn take_over(figment: &mut Figment) -> Result<Signals, Failure> {
    let shutdown = figment
        .extract_inner::<Shutdown>("shutdown")
        .map_err(|error| error.to_string())?;
    let none: [Sig; 0] = [];
    *figment = std::mem::take(figment)
        .merge(Serialized::global("shutdown.ctrlc", false))
        .merge(Serialized::global("shutdown.signals", none));
    Ok(Signals(shutdown))
}

#[cfg(not(unix))]
pub(super) fn take_over(_: &mut Figment) -> Result<Signals, Failure> {
    Ok(Signals(Shutdown::default()))
}

impl Signals {
    /// Listens from now on. The future ends at the first signal.
    #[cfg(unix)]
    pub(super) fn listen(self) -> impl Future<Output = ()> {
        use rocket::futures::future::{pending, select_all};
        use rocket::tokio::signal::unix::{SignalKind, signal};

        let ctrl_c = self.0.ctrlc.then_some(Sig::Int);
        let mut listeners = Vec::new();
        for sig in self.0.signals.into_iter().chain(ctrl_c) {
            let kind = match sig {
                Sig::Alrm => SignalKind::alarm(),
                Sig::Chld => SignalKind::child(),
                Sig::Hup => SignalKind::hangup(),
                Sig::Int => SignalKind::interrupt(),
                Sig::Io => SignalKind::io(),
                Sig::Pipe => SignalKind::pipe(),
                Sig::Quit => SignalKind::quit(),
                Sig::Term => SignalKind::terminate(),
                Sig::Usr1 => SignalKind::user_defined1(),
                Sig::Usr2 => SignalKind::user_defined2(),
            };
            match signal(kind) {
                Ok(mut signals) => {
                    listeners.push(Box::pin(async move { signals.recv().await }));
                }
                Err(error) => tracing::warn!("cannot listen for the signal {sig}: {error}"),
            }
        }
        async move {
            if listeners.is_empty() {
                pending::<()>().await;
            }
            select_all(listeners).await;
        }
    }

    #[cfg(not(unix))]
    pub(super) fn listen(self) -> impl Future<Output = ()> {
        std::future::pending()
    }
}
