//! `/metrics`: what Prometheus reads.

use std::net::IpAddr;
use std::sync::Arc;

use rocket::http::ContentType;
use rocket::outcome::Outcome;
use rocket::request::{self, FromRequest, Request};
use rocket::{Route, State, get, routes};

use super::admin::{Admin, names_loopback};
use super::counters::Counters;
use crate::SessionAdmin;

/// A request from this machine, or of an administrator. Behind a proxy on this machine every
/// request is from it, so one that a proxy has passed on counts as from elsewhere.
struct Scraper;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Scraper {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        const PASSED_ON: [&str; 4] = ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"];
        let headers = request.headers();
        let own = request.rocket().config().ip_header.as_ref();
        let is_direct = !PASSED_ON.iter().any(|name| headers.contains(name))
            && own.is_none_or(|name| !headers.contains(name))
            && names_loopback(request);
        let is_from_here = request
            .remote()
            .is_some_and(|remote| IpAddr::to_canonical(&remote.ip()).is_loopback());
        if is_from_here && is_direct && !headers.contains("Authorization") {
            return Outcome::Success(Self);
        }
        request.guard::<Admin>().await.map(|_| Self)
    }
}

/// Costs no statement.
#[get("/metrics")]
fn metrics(
    _scraper: Scraper,
    sessions: &State<SessionAdmin>,
    counters: &State<Arc<Counters>>,
) -> (ContentType, String) {
    let parameters = [("version", "0.0.4"), ("charset", "utf-8")];
    let kind = ContentType::new("text", "plain").with_params(parameters);
    (kind, sessions.metrics() + &counters.to_text())
}

pub(super) fn routes() -> Vec<Route> {
    routes![metrics]
}
