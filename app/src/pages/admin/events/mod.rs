//! `/admin/events`: what happened to users and to their sessions.

mod line;
mod page;

pub(super) use line::{Line, lines};
pub(super) use page::routes;
