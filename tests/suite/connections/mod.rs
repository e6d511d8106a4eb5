//! Connections to PostgreSQL: how they are set up, and what becomes of them.

mod locks;
mod pgbouncer;
mod settings;
mod stale;
mod tls;
