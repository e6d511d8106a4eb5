//! `/admin/users`: the users.

mod page;

pub(super) use page::routes;
