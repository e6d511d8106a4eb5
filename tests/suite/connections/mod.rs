//! Connections to PostgreSQL: their settings, and what happens to them.

mod locks;
mod pgbouncer;
mod settings;
mod stale;
mod tls;
