//! Connections: their settings, what happens to them, and an application's own pool.

mod application_pool;
mod locks;
mod passwords;
mod pgbouncer;
mod settings;
mod several_hosts;
mod stale;
mod tls;
