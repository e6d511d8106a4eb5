//! Guides. Each is also a file in the repository's directory `docs/`.
//!
//! Link definitions before a text take precedence over those at the end of its file, which are for
//! readers of the repository.

/// How to run the application in production, and what it does when something fails.
///
/// [deploy/]: files
/// [nginx.conf]: files#nginxconf
/// [Caddyfile]: files#caddyfile
/// [rocket_diesel_sessions.service]: files#rocket_diesel_sessionsservice
/// [rocket_diesel_sessions.env]: files#rocket_diesel_sessionsenv
/// [Dockerfile]: files#dockerfile
/// [compose.yaml]: files#composeyaml
/// [Rolling deploys]: rolling_deploys
/// [Scaling]: scaling#a-standby-with-patroni
/// [grafana.json]: files#grafanajson
/// [alerts.yml]: files#alertsyml
///
#[doc = include_str!("../docs/operating.md")]
pub mod operating {}

/// How to serve more than one machine can, and go on when one dies.
///
/// [sleep]: operating#databases-that-sleep
/// [function]: operating#passwords-that-expire
/// [Rolling deploys]: rolling_deploys
/// [PgBouncer]: operating#pgbouncer
///
#[doc = include_str!("../docs/scaling.md")]
pub mod scaling {}

/// How to change the data's type, the secrets and the schema while sessions are being served.
///
/// [Evolving data]: evolving_data
///
#[doc = include_str!("../docs/rolling-deploys.md")]
pub mod rolling_deploys {}

/// How to change the data's type while sessions live on: fields, versions, and data that cannot be
/// decoded.
///
/// [Rolling deploys]: rolling_deploys
///
#[doc = include_str!("../docs/evolving-data.md")]
pub mod evolving_data {}

/// How to keep sessions beside an application's own users, tables and migrations.
///
#[doc = include_str!("../docs/external-users.md")]
pub mod external_users {}

/// How apps and command lines use sessions, in the header `Authorization`.
///
/// [Testing]: testing
/// [`TestSessions::token_as`]: crate::testing::TestSessions::token_as
///
#[doc = include_str!("../docs/bearer-clients.md")]
pub mod bearer_clients {}

/// How to test an application that has sessions.
///
/// [Custom stores]: custom_store
/// [`TestSessions`]: crate::testing::TestSessions
/// [`MemoryStore`]: crate::testing::MemoryStore
/// [`MemoryStore::add_user`]: crate::testing::MemoryStore::add_user
/// [`UserStore::add_user`]: crate::store::UserStore::add_user
/// [`StoreOptions`]: crate::store::StoreOptions
/// [`testing::conformance`]: crate::testing::conformance
///
#[doc = include_str!("../docs/testing.md")]
pub mod testing {}

/// How to keep sessions in something other than SQLite or PostgreSQL.
///
/// [`StoreError`]: crate::store::StoreError
/// [`conformance::run`]: crate::testing::conformance::run
/// [`conformance::run_user_changes`]: crate::testing::conformance::run_user_changes
/// [`conformance::run_user_search`]: crate::testing::conformance::run_user_search
/// [examples/custom_store.rs]: files#a-store-in-memory
///
#[doc = include_str!("../docs/custom-store.md")]
pub mod custom_store {}

/// From express-session to this library, and the move without signing anyone out.
///
/// [Evolving data]: evolving_data
/// [examples/from_express]: files#the-move-from-express
///
#[doc = include_str!("../docs/from-express.md")]
pub mod from_express {}

/// From tower-sessions and axum-login to this library.
///
/// [Evolving data]: evolving_data
/// [external users]: external_users#when-a-user-is-deleted-or-disabled
/// [express]: from_express#the-move-without-signing-anyone-out
///
#[doc = include_str!("../docs/from-tower-sessions.md")]
pub mod from_tower_sessions {}

/// From `rocket_flex_session` to this library.
///
/// [Custom stores]: custom_store
/// [Evolving data]: evolving_data
/// [express]: from_express#the-move-without-signing-anyone-out
///
#[doc = include_str!("../docs/from-rocket-flex-session.md")]
pub mod from_rocket_flex_session {}

/// The items of the API, the routes, the commands and the settings.
///
/// [README]: crate
/// [Testing]: testing
/// [Operating]: operating#the-command-line
/// [url]: operating#the-databases-url
/// [events]: operating#the-record-of-events
/// [sleep]: operating#databases-that-sleep
/// [password]: operating#passwords-that-expire
/// [webhook]: operating#the-webhook
/// [devices]: operating#new-devices
/// [.env.example]: files#envexample
/// [Clients without cookies]: bearer_clients
/// [Evolving data]: evolving_data
/// [Citus cluster]: scaling#citus
/// [engine]: scaling#other-engines
///
#[doc = include_str!("../docs/reference.md")]
pub mod reference {}

/// The files of the repository that the guides refer to.
///
/// # nginx.conf
///
/// ```text
#[doc = include_str!("../deploy/nginx.conf")]
/// ```
///
/// # Caddyfile
///
/// ```text
#[doc = include_str!("../deploy/Caddyfile")]
/// ```
///
/// # rocket_diesel_sessions.service
///
/// ```text
#[doc = include_str!("../deploy/rocket_diesel_sessions.service")]
/// ```
///
/// # rocket_diesel_sessions.env
///
/// ```text
#[doc = include_str!("../deploy/rocket_diesel_sessions.env")]
/// ```
///
/// # Dockerfile
///
/// ```text
#[doc = include_str!("../deploy/Dockerfile")]
/// ```
///
/// # compose.yaml
///
/// ```text
#[doc = include_str!("../deploy/compose.yaml")]
/// ```
///
/// # alerts.yml
///
/// ```text
#[doc = include_str!("../docs/alerts.yml")]
/// ```
///
/// # A store in memory
///
/// ```no_run
#[doc = include_str!("../examples/custom_store.rs")]
/// ```
///
/// # The move from Express
///
/// `cookie.rs`:
///
/// ```ignore
#[doc = include_str!("../examples/from_express/cookie.rs")]
/// ```
///
/// `rows.rs`:
///
/// ```ignore
#[doc = include_str!("../examples/from_express/rows.rs")]
/// ```
///
/// `takeover.rs`:
///
/// ```ignore
#[doc = include_str!("../examples/from_express/takeover.rs")]
/// ```
///
/// # .env.example
///
/// ```text
#[doc = include_str!("../.env.example")]
/// ```
///
/// # Rocket.toml
///
/// ```text
#[doc = include_str!("../Rocket.toml")]
/// ```
///
/// # grafana.json
///
/// A dashboard for Grafana, in the repository's directory `docs/`.
pub mod files {}
