//! [`CrossSiteProtection`]: prevents other sites from using a visitor's cookie.

mod origin;

pub use origin::Origin;
use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use rocket::data::Data;
use rocket::fairing::{self, Fairing, Info, Kind};
use rocket::http::{Method, Status};
use rocket::route::{Handler, Outcome};
use rocket::{Build, Request, Rocket, Route};

use crate::session::Transports;

/// The unsafe methods (RFC 9110, section 9.2.1).
const UNSAFE: [Method; 4] = [Method::Post, Method::Put, Method::Patch, Method::Delete];

/// The values of `Sec-Fetch-Site` on requests that no other site has made.
const OWN_SITES: [&str; 2] = ["same-origin", "none"];

/// Maximum number of origin and host pairs whose refusal is logged as a warning. There must be a
/// limit, because clients can invent pairs.
const MAX_WARNINGS: usize = 16;

/// The rank of a route that precedes all routes of the application.
const FIRST: isize = isize::MIN;

/// A fairing that refuses cross-site requests that could change something, with status 403. Forms
/// therefore need no CSRF token (OWASP ASVS 5.0, 3.5.1).
///
/// It checks requests with an unsafe method and requests with an `Upgrade` header, such as a
/// WebSocket handshake, which pages of other sites must not make either (ASVS 5.0, 4.4.2). A
/// request with an allowed `Origin` passes. Otherwise:
///
/// - If the browser sends `Sec-Fetch-Site`, that decides: `same-origin` and `none` (an address
///   typed by the user) pass. Requests from a sibling host, or from the same host under another
///   scheme, are refused. Browsers set this header themselves and do not let pages set it (a
///   forbidden request-header), so it is trusted even if a proxy has changed `Host`. Browsers do
///   not send it over plain HTTP.
/// - In older browsers, `Origin` must match the request's own host. Behind a proxy that changes the
///   `Host` header, allow the origin that browsers see.
/// - If [`SessionConfig::transport`](crate::SessionConfig::transport) allows bearer tokens, a request
///   passes that presents one, valid or not, since browsers never attach them by themselves and the
///   session cookie then does not count.
/// - A request with neither header does not come from a browser, or it comes from one that predates
///   both headers. In that case the cookie's `SameSite` attribute has to protect it.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::CrossSiteProtection;
///
/// let rocket = rocket::build().attach(
///     CrossSiteProtection::fairing().allow(["https://app.example.com".parse().unwrap()]),
/// );
/// ```
#[derive(Clone, Debug, Default)]
pub struct CrossSiteProtection {
    allowed: Vec<Origin>,
    /// The refused pairs of origin and host that were logged, shared by all clones.
    warned: Arc<Mutex<HashSet<(Origin, String)>>>,
}

impl CrossSiteProtection {
    /// Creates a fairing that accepts only requests from the application's own host.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::CrossSiteProtection;
    ///
    /// let rocket = rocket::build().attach(CrossSiteProtection::fairing());
    /// ```
    pub fn fairing() -> Self {
        Self::default()
    }

    /// Accepts requests from these origins too.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::CrossSiteProtection;
    ///
    /// let origins = ["https://app.example.com", "https://admin.example.com:8443"];
    /// let origins = origins.map(|origin| origin.parse().unwrap());
    /// let protection = CrossSiteProtection::fairing().allow(origins);
    /// ```
    #[must_use]
    pub fn allow(mut self, origins: impl IntoIterator<Item = Origin>) -> Self {
        self.allowed.extend(origins);
        self
    }

    fn admits(&self, request: &Request<'_>) -> bool {
        let transports = request.rocket().state::<Transports>();
        if transports.is_some_and(|transports| transports.is_bearer(request)) {
            return true;
        }
        let headers = request.headers();
        let origins: Vec<Option<Origin>> = headers
            .get("Origin")
            .map(|origin| origin.trim().parse().ok())
            .collect();
        let is_allowed = |origin: &Option<Origin>| {
            origin
                .as_ref()
                .is_some_and(|origin| self.allowed.contains(origin))
        };
        if !origins.is_empty() && origins.iter().all(is_allowed) {
            return true;
        }
        let mut sites = headers.get("Sec-Fetch-Site").peekable();
        if sites.peek().is_some() {
            return sites.all(|site| OWN_SITES.contains(&site.trim()));
        }
        let host = host_of(request);
        let is_own = |origin: &Option<Origin>| match (origin, host.as_deref()) {
            (Some(origin), Some(host)) => origin.is_at(host),
            _ => false,
        };
        origins
            .iter()
            .all(|origin| is_allowed(origin) || is_own(origin))
    }

    /// Logs a refusal once per pair of origin and host. The refused page may be the application's
    /// own, behind a proxy that changes `Host`.
    fn warn(&self, request: &Request<'_>) {
        let method = request.method();
        let origin = request.headers().get_one("Origin");
        // `null` and malformed origins cannot be allowed.
        let Some(origin) = origin.and_then(|origin| origin.trim().parse::<Origin>().ok()) else {
            tracing::debug!("refused a cross-site {method} request");
            return;
        };
        let host = host_of(request).unwrap_or_default();
        let mut warned = self.warned.lock();
        if warned.len() < MAX_WARNINGS && warned.insert((origin.clone(), host.clone())) {
            tracing::warn!(
                "refused a {method} request as cross-site: its Origin is {origin} and its Host is \
                 {host:?}; if that origin is yours, add it to `origins`, or configure the proxy to \
                 keep the Host header"
            );
        } else {
            tracing::debug!("refused a cross-site {method} request from {origin}");
        }
    }
}

fn host_of(request: &Request<'_>) -> Option<String> {
    match request.host() {
        Some(host) => Some(host.to_string()),
        // Rocket's local client sets no host.
        None => request.headers().get_one("Host").map(str::to_owned),
    }
}

#[rocket::async_trait]
impl Fairing for CrossSiteProtection {
    fn info(&self) -> Info {
        Info {
            name: "Cross-site protection",
            kind: Kind::Ignite | Kind::Request | Kind::Singleton,
        }
    }

    /// Mounts a route before all others that refuses a request or forwards it. A request fairing
    /// could not send a response.
    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        let route = |method| Route::ranked(FIRST, method, "/<_..>", self.clone());
        let routes: Vec<Route> = UNSAFE.into_iter().map(route).collect();
        Ok(rocket.mount("/", routes))
    }

    /// Sends a refused upgrade, which is a GET request, to the route for POST. A route for every
    /// GET would slow down all other requests.
    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        if !UNSAFE.contains(&request.method())
            && request.headers().contains("Upgrade")
            && !self.admits(request)
        {
            request.set_method(Method::Post);
        }
    }
}

#[rocket::async_trait]
impl Handler for CrossSiteProtection {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r> {
        if self.admits(request) {
            return Outcome::forward(data, Status::NotFound);
        }
        self.warn(request);
        Outcome::Error(Status::Forbidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocket::http::Header;
    use rocket::local::blocking::Client;
    use rocket::{delete, get, post, routes};

    #[get("/")]
    fn page() -> &'static str {
        "page"
    }

    #[post("/")]
    fn change() -> &'static str {
        "changed"
    }

    #[delete("/deep/down/<_>")]
    fn remove() {}

    fn client() -> Client {
        let protection =
            CrossSiteProtection::fairing().allow(["https://partner.example".parse().unwrap()]);
        let rocket = rocket::custom(rocket::Config::figment().merge(("log_level", "off")))
            .mount("/", routes![page, change, remove])
            .attach(protection);
        Client::untracked(rocket).unwrap()
    }

    /// Returns the status of a request to app.example:8000 with these headers.
    fn status(client: &Client, method: Method, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = client.req(method, path);
        request.add_header(Header::new("Host", "app.example:8000"));
        for (name, value) in headers {
            request.add_header(Header::new((*name).to_owned(), (*value).to_owned()));
        }
        request.dispatch().status().code
    }

    #[test]
    fn unsafe_requests_of_another_site_are_refused() {
        let client = client();
        let (site, origin) = ("Sec-Fetch-Site", "Origin");
        let own = "http://app.example:8000";
        for (headers, expected) in [
            (&[][..], 200),
            (&[(site, "same-origin"), (origin, own)], 200),
            (&[(site, "none")], 200),
            (&[(origin, "https://APP.example:8000")], 200),
            (&[(site, "none"), (origin, "null")], 200),
            // The application's own form under `Referrer-Policy: no-referrer`.
            (&[(site, "same-origin"), (origin, "null")], 200),
            // The application's own form behind a proxy that changes the host.
            (
                &[(site, "same-origin"), (origin, "https://seen.example")],
                200,
            ),
            // The same host under another scheme, or a sibling host.
            (
                &[(site, "same-site"), (origin, "https://app.example:8000")],
                403,
            ),
            (&[(site, "same-site")], 403),
            (&[(site, "cross-site"), (origin, "null")], 403),
            (&[(site, "same-origin"), (site, "cross-site")], 403),
            (&[(site, "")], 403),
            (&[(site, "cross-site")], 403),
            (&[(site, "cross-site"), (origin, own)], 403),
            (
                &[(site, "cross-site"), (origin, "https://partner.example")],
                200,
            ),
            (&[(origin, "https://partner.example:443")], 200),
            (&[(origin, "http://partner.example")], 403),
            (&[(origin, "https://evil.example")], 403),
            (
                &[(site, "same-site"), (origin, "http://www.app.example:8000")],
                403,
            ),
            (&[(origin, "http://app.example")], 403),
            (&[(origin, "http://app.example:8000.evil.example")], 403),
            (&[(origin, "null")], 403),
            (&[(origin, "")], 403),
            (&[(origin, own), (origin, "https://evil.example")], 403),
        ] {
            assert_eq!(
                status(&client, Method::Post, "/", headers),
                expected,
                "{headers:?}"
            );
            let path = "/deep/down/7";
            assert_eq!(
                status(&client, Method::Delete, path, headers),
                expected,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn safe_requests_and_missing_routes_are_unaffected() {
        let client = client();
        let evil = [
            ("Origin", "https://evil.example"),
            ("Sec-Fetch-Site", "cross-site"),
        ];
        assert_eq!(status(&client, Method::Get, "/", &evil), 200);
        assert_eq!(status(&client, Method::Head, "/", &evil), 200);
        assert_eq!(status(&client, Method::Post, "/nowhere", &[]), 404);
        assert_eq!(status(&client, Method::Post, "/nowhere", &evil), 403);
    }

    #[test]
    fn a_websocket_handshake_of_another_site_is_refused() {
        let client = client();
        let upgrade = ("Upgrade", "websocket");
        for (header, expected) in [
            (("Origin", "https://evil.example"), 403),
            (("Origin", "http://sub.app.example:8000"), 403),
            (("Sec-Fetch-Site", "same-site"), 403),
            (("Origin", "null"), 403),
            (("Origin", "http://app.example:8000"), 200),
            (("Origin", "https://partner.example"), 200),
            (("Sec-Fetch-Site", "same-origin"), 200),
            (("User-Agent", "no browser"), 200),
        ] {
            for method in [Method::Get, Method::Head] {
                let answer = status(&client, method, "/", &[upgrade, header]);
                assert_eq!(answer, expected, "{header:?}");
            }
        }
    }
}
