//! The application: routes and pages on top of the public API of the session layer.

pub mod accounts;
pub mod api;
mod guards;
mod http;
pub mod monitoring;
mod pages;
pub mod search;
mod session_data;
pub mod settings;
pub mod words;

use std::io::Write;
use std::sync::{Arc, Once};
use std::time::Duration;

use rocket::fairing::AdHoc;
use rocket::shield::Shield;
use rocket::{Build, Orbit, Rocket};

pub use guards::admin_token::AdminToken;
pub use session_data::{SessionData, Theme};
pub use settings::config::{AppConfig, MetricsAccess};
pub use settings::{Settings, figment, rocket_config, warn_of_missing_file};

use accounts::users::Users;
use api::openapi::Description;
use guards::admin;
use http::request_log::{RequestLog, wrapped};
use monitoring::counters::Counters;
use pages::notice::Marks;
use settings::effective::{EffectiveSettings, Environment, effective};
use settings::logging::{self, LogFormat};

use rocket_diesel_sessions::store::{EventStore, SessionStore, StatsStore, UserStore};
use rocket_diesel_sessions::{
    Clock, CrossSiteProtection, DieselStore, SessionAdmin, Sessions, Transport,
};

/// The stores of the application.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "stores have none")]
pub struct Stores {
    /// The sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// The users that rows of sessions refer to.
    pub users: Arc<dyn UserStore>,
    /// The usage over time.
    pub stats: Arc<dyn StatsStore>,
    /// The record of events.
    pub events: Arc<dyn EventStore>,
}

/// Uses one database for all.
impl From<Arc<DieselStore>> for Stores {
    fn from(store: Arc<DieselStore>) -> Self {
        Self {
            sessions: store.clone(),
            users: store.clone(),
            stats: store.clone(),
            events: store,
        }
    }
}

/// Builds the application on stores whose schema is up to date.
pub fn rocket(
    settings: Settings,
    stores: impl Into<Stores>,
    clock: Arc<dyn Clock>,
) -> Rocket<Build> {
    let stores = stores.into();
    let database = settings.database_url.to_string();
    let effective = effective(&settings, &Environment::first()).unwrap_or_else(|error| {
        tracing::warn!("administrators do not see the settings: {error}");
        Vec::new()
    });
    let is_debug = settings.figment.profile() == rocket::Config::DEBUG_PROFILE;
    let metrics_access = settings.app.metrics_access(is_debug);
    let needs_tls = settings.sessions.cookie.secure.unwrap_or(!is_debug);
    let transport = settings.sessions.transport;
    let cookie = settings.sessions.effective(&settings.figment).cookie;
    let description = Description::new(&cookie.name.unwrap_or_default());
    let marks = Marks::new(settings.keys.clone(), Arc::clone(&clock));
    let users = users(
        stores.users,
        Arc::clone(&clock),
        settings.app.clone(),
        settings.sessions.timeout,
    );
    let sessions = Sessions::<SessionData>::fairing()
        .config(settings.sessions)
        .keys(settings.keys)
        .store(stores.sessions)
        .statistics(stores.stats)
        .events(stores.events)
        .request_id(|request| Some(http::request_id::of(request).to_string()))
        .clock(clock);
    rocket::custom(settings.figment)
        .attach(RequestLog { is_debug })
        // Instead of Rocket's own headers.
        .attach(Shield::new())
        .attach(CrossSiteProtection::fairing().allow(settings.app.origins))
        .attach(sessions)
        .attach(users)
        .attach(AdHoc::on_liftoff("Start message", move |rocket| {
            Box::pin(async move {
                if needs_tls {
                    warn_of_plain_http(rocket.config());
                }
                if transport == Transport::Bearer {
                    tracing::warn!(
                        "sessions.transport is \"bearer\", and this application hands out no \
                         tokens, so no one can sign in; browsers need \"cookie\" or \"both\""
                    );
                }
                // Printed last, so a program that waits for it finds all other lines before it.
                print_start(rocket, &database);
            })
        }))
        .attach(AdHoc::on_shutdown("Stop message", |_| {
            Box::pin(async { log_stopping() })
        }))
        .manage(settings.admin_token)
        .manage(metrics_access)
        .manage(marks)
        .manage(description)
        .manage(EffectiveSettings(effective))
        .manage(pages::CookieNeedsTls(needs_tls))
        .manage(pages::Live::new())
        .manage(pages::StorageName::from(&settings.database_url))
        .mount("/api/session", wrapped(api::session::routes()))
        .mount("/api/auth", wrapped(api::auth::routes()))
        .mount("/api/account", wrapped(api::account::routes()))
        .mount("/api/account", wrapped(api::activity::routes()))
        .mount("/api/account", wrapped(api::settings::routes()))
        .mount("/api/account", wrapped(api::export::routes()))
        .mount("/api/admin", wrapped(api::admin::routes()))
        .mount("/", wrapped(api::openapi::routes()))
        .mount("/", wrapped(pages::routes()))
        .mount("/", wrapped(monitoring::health::routes()))
        .mount("/", wrapped(api::well_known::routes()))
        .mount("/", wrapped(monitoring::metrics::routes(metrics_access)))
        .register("/", pages::catchers())
}

/// Manages the users. Their store is called through the session layer, so this fairing comes after
/// the layer's own.
fn users(
    store: Arc<dyn UserStore>,
    clock: Arc<dyn Clock>,
    config: AppConfig,
    timeout: Duration,
) -> AdHoc {
    AdHoc::try_on_ignite("Users", move |rocket| {
        Box::pin(async move {
            let Some(sessions) = rocket.state::<SessionAdmin>().cloned() else {
                tracing::error!("users: the session layer is not attached");
                return Err(rocket);
            };
            let users = Counters::new().and_then(|counters| {
                Users::new(store, clock, &config, timeout, counters, sessions)
            });
            match users {
                Ok(users) => Ok(rocket.manage(users.counters()).manage(users)),
                Err(error) => {
                    tracing::error!("users: {error}");
                    Err(rocket)
                }
            }
        })
    })
}

/// Logs once that the server stops. An idle server may end before Rocket runs its shutdown fairings,
/// so the code that launches it calls this too.
pub fn log_stopping() {
    static SAID: Once = Once::new();
    SAID.call_once(|| tracing::info!("stopping; requests in progress are answered"));
}

fn print_start(rocket: &Rocket<Orbit>, database: &str) {
    let config = rocket.config();
    let host = match config.address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    };
    let (version, profile) = (env!("CARGO_PKG_VERSION"), config.profile.as_str().as_str());
    let address = format!("http://{host}:{}", config.port);
    tracing::info!("listening on {address}");
    if logging::format() == LogFormat::Json {
        let mut fields = vec![
            ("version", version),
            ("address", &*address),
            ("database", database),
            ("profile", profile),
        ];
        fields.extend(admin::is_open(config).then_some(("administration", admin::OPEN)));
        return logging::write_start(&fields);
    }
    let open = if admin::is_open(config) {
        format!("  {}\n", admin::OPEN)
    } else {
        String::new()
    };
    // A closed output does not stop the server.
    let _ = writeln!(
        std::io::stdout(),
        "rocket_diesel_sessions {version}\n  address   {address}\n  database  {database}\n{open}  \
         profile   {profile}",
    );
}

/// Warns if no browser will send the cookie back. If `ip_header` is set, a proxy is assumed.
fn warn_of_plain_http(config: &rocket::Config) {
    if config.address.is_loopback() || config.ip_header.is_some() {
        return;
    }
    tracing::warn!(
        "browsers send the session cookie over https only, but this server speaks plain http on {}, \
         so no one can sign in at that address; put a proxy that terminates TLS in front of it and \
         set `ip_header` (see docs/operating.md)",
        std::net::SocketAddr::from((config.address, config.port)),
    );
}
