//! Tokens in `Authorization`, in cookies or in either, and what browsers are told about cookies.

mod api;
mod bearer;
mod both;
mod cross_site;
mod headers;
mod kinds;
mod not_taken;
mod outages;
