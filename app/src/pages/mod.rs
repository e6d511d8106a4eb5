//! The pages for browsers. They work without JavaScript: each form is posted and answered with a
//! redirect.

mod account;
mod activity;
mod admin;
mod advice;
mod assets;
mod confirm;
mod error;
mod farewell;
mod filters;
mod frame;
mod home;
mod icons;
pub(super) mod notice;
mod page;
mod sign_in;

use rocket::Route;

pub(super) use admin::Live;
pub(super) use error::catchers;
pub(super) use home::StorageName;
pub(super) use sign_in::CookieNeedsTls;

pub(super) fn routes() -> Vec<Route> {
    let mut routes = assets::routes();
    routes.extend(home::routes());
    routes.extend(sign_in::routes());
    routes.extend(farewell::routes());
    routes.extend(account::routes());
    routes.extend(admin::routes());
    routes
}
