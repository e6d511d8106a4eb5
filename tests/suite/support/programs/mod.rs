//! The program in its own process: as a server, as a command, behind nginx, under load.

pub(crate) mod command_line;
pub(crate) mod example;
mod load;
pub(crate) mod log;
pub(crate) mod nginx;
pub(crate) mod outages;
pub(crate) mod server;
pub(crate) mod start;
pub(crate) mod terminal;
pub(crate) mod visitor;

pub(crate) use load::Load;
pub(crate) use server::Server;
