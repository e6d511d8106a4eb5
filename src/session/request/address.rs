//! The visitor's address. The list of devices, the limits and the audit log use the same rule.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};

use rocket::Request;
use rocket::http::uncased::Uncased;

/// Prefix of the headers that most proxies add to a forwarded request.
const FORWARDED: &str = "X-Forwarded-";

/// Other headers that proxies and content delivery networks add.
const PASSED_ON: [&str; 12] = [
    "Forwarded",
    "Forwarded-For",
    "Via",
    "X-Forwarded",
    "X-Real-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Original-Forwarded-For",
    "True-Client-IP",
    "CF-Connecting-IP",
    "Fastly-Client-IP",
    "Fly-Client-IP",
];

/// Returns the address of the visitor who sent a request, or `None` if it is not known.
///
/// It is the address in the header `ip_header`, otherwise the peer's. A proxy on this machine that
/// sends no address does not count as the visitor, because all of its visitors would then share one
/// address.
///
/// # Example
///
/// ```
/// use std::net::IpAddr;
///
/// use rocket::request::{FromRequest, Outcome, Request};
///
/// struct Address(Option<IpAddr>);
///
/// #[rocket::async_trait]
/// impl<'r> FromRequest<'r> for Address {
///     type Error = std::convert::Infallible;
///
///     async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Self::Error> {
///         Outcome::Success(Self(rocket_diesel_sessions::visitor_address(request)))
///     }
/// }
/// ```
pub fn visitor_address(request: &Request<'_>) -> Option<IpAddr> {
    let ip_header = request.rocket().config().ip_header.as_ref();
    if let Some(name) = ip_header {
        // Each proxy appends the address it saw, if necessary to the last of several header lines.
        let line = request.headers().get(name.as_str()).last();
        if let Some(address) = line.and_then(last_address) {
            return Some(address);
        }
    }
    let peer = request.remote()?.ip().to_canonical();
    let is_known = !peer.is_loopback();
    if is_known && !is_private(peer) {
        return Some(peer);
    }
    if let Some(header) = forwarding_header(request) {
        advise(peer, &header, ip_header.map(|name| name.as_str()));
        return is_known.then_some(peer);
    }
    Some(peer)
}

/// Returns whether a header shows that a proxy forwarded the request. Routes that are open only to
/// this machine must refuse such a request, because its sender may be anywhere.
///
/// # Example
///
/// ```
/// use rocket::Request;
/// use rocket_diesel_sessions::{is_forwarded, visitor_address};
///
/// /// For routes that are open to this machine only.
/// fn is_from_this_machine(request: &Request<'_>) -> bool {
///     let address = visitor_address(request);
///     !is_forwarded(request) && address.is_some_and(|address| address.is_loopback())
/// }
/// ```
pub fn is_forwarded(request: &Request<'_>) -> bool {
    forwarding_header(request).is_some()
}

/// Returns the name of a header that only proxies send, if the request has one.
fn forwarding_header(request: &Request<'_>) -> Option<String> {
    let ip_header = request.rocket().config().ip_header.as_ref();
    let mut names = request.headers().iter().map(|header| header.name);
    let name = names.find(|name| {
        let name = name.as_str();
        let begins = name.get(..FORWARDED.len());
        begins.is_some_and(|begins| begins.eq_ignore_ascii_case(FORWARDED))
            || PASSED_ON
                .iter()
                .any(|other| name.eq_ignore_ascii_case(other))
            || ip_header.is_some_and(|other| other == name)
    });
    name.map(Uncased::into_string)
}

/// Warns once that the visitors behind the proxy cannot be distinguished.
fn advise(peer: IpAddr, header: &str, ip_header: Option<&str>) {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    if IS_SAID.swap(true, Ordering::Relaxed) {
        return;
    }
    let effect = if peer.is_loopback() {
        "the addresses of its visitors are unknown, so attempts are limited only per user and \
         registrations are not limited"
    } else {
        "its visitors count as one address and share its limits"
    };
    match ip_header {
        None => tracing::warn!(
            "requests come through a proxy at {peer} (they have the header {header}), but `ip_header` \
             is not set: {effect}; set `ip_header` to the header in which the proxy sends the \
             visitor's address"
        ),
        Some(name) => tracing::warn!(
            "requests come through a proxy at {peer} (they have the header {header}), but {name}, the \
             header set as `ip_header`, has no readable address: {effect}"
        ),
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

/// Returns the last address of a list like that in `X-Forwarded-For` or `Forwarded` (RFC 7239). The
/// earlier ones came from the proxy's client and may be invented.
fn last_address(list: &str) -> Option<IpAddr> {
    let mut items = list.rsplit(',').map(str::trim);
    let item = items.find(|item| !item.is_empty())?;
    let node = if item.contains('=') {
        item.split(';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("for").then_some(value)
        })?
    } else {
        item
    };
    address_of(node.trim().trim_matches('"').trim())
}

/// Returns the address of a node such as `192.0.2.1:80` or `[2001:db8::1]:80`. The port is ignored.
fn address_of(node: &str) -> Option<IpAddr> {
    let address = if let Some(bracketed) = node.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        if !(port.is_empty() || is_port(port.strip_prefix(':')?)) {
            return None;
        }
        IpAddr::V6(without_zone(address).parse::<Ipv6Addr>().ok()?)
    } else if let Ok(address) = without_zone(node).parse() {
        address
    } else {
        let (address, port) = node.split_once(':')?;
        if !is_port(port) {
            return None;
        }
        IpAddr::V4(address.parse::<Ipv4Addr>().ok()?)
    };
    Some(address.to_canonical())
}

/// Returns whether `port` is a number or a name that begins with `_` (RFC 7239, section 6).
fn is_port(port: &str) -> bool {
    match port.strip_prefix('_') {
        Some(name) => name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)),
        None => port.parse::<u16>().is_ok(),
    }
}

fn without_zone(address: &str) -> &str {
    address
        .split_once('%')
        .map_or(address, |(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocket::http::Header;
    use rocket::local::blocking::Client;

    #[test]
    fn the_last_address_of_a_forwarding_header_counts() {
        for (list, address) in [
            ("203.0.113.7", "203.0.113.7"),
            ("10.0.0.1, 203.0.113.7", "203.0.113.7"),
            ("10.0.0.1,203.0.113.7 , ", "203.0.113.7"),
            ("unknown, 203.0.113.7:51234", "203.0.113.7"),
            ("\"203.0.113.7\"", "203.0.113.7"),
            ("\"203.0.113.7:80\"", "203.0.113.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("\"[2001:DB8::1]:443\"", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("[::ffff:203.0.113.7]:1", "203.0.113.7"),
            ("fe80::1%eth0", "fe80::1"),
            ("for=203.0.113.7", "203.0.113.7"),
            ("for=10.0.0.1, For=\"[2001:db8::1]:443\"", "2001:db8::1"),
            (
                "proto=https; for = 203.0.113.7:_x ;by=10.0.0.1",
                "203.0.113.7",
            ),
            // An unbalanced quote from a client does not hide what the proxy has added.
            ("for=\"10.0.0.1, for=203.0.113.7", "203.0.113.7"),
        ] {
            assert_eq!(last_address(list), Some(address.parse().unwrap()), "{list}");
        }
        // An earlier address is never used instead.
        for list in [
            "",
            ",",
            "unknown",
            "for=_hidden",
            "203.0.113.7, unknown",
            "203.0.113.7, by=10.0.0.1",
            "203.0.113.7:x",
            "203.0.113.7:99999",
            "[2001:db8::1",
            "[2001:db8::1]x",
            "[203.0.113.7]",
            "203.0.113.07",
            "203.0.113.7 10.0.0.1",
            "for=",
        ] {
            assert_eq!(last_address(list), None, "{list}");
        }
    }

    #[test]
    fn a_proxy_on_this_machine_does_not_count_as_the_visitor() {
        let client = |ip_header: Option<&str>| {
            let figment = rocket::Config::figment().merge(("log_level", "off"));
            let figment = match ip_header {
                Some(name) => figment.merge(("ip_header", name)),
                None => figment.merge(("ip_header", false)),
            };
            Client::untracked(rocket::custom(figment)).unwrap()
        };
        let address = |client: &Client, peer: &str, headers: &[(&'static str, &'static str)]| {
            let mut request = client.get("/").remote(peer.parse().unwrap());
            for (name, value) in headers {
                request.add_header(Header::new(*name, *value));
            }
            visitor_address(request.inner()).map(|address| address.to_string())
        };
        let seen = |address: &str| Some(address.to_owned());
        let none = client(None);
        let here = "127.0.0.1:4711";
        assert_eq!(address(&none, here, &[]), seen("127.0.0.1"));
        assert_eq!(
            address(&none, "[::ffff:192.0.2.1]:1", &[]),
            seen("192.0.2.1")
        );
        for name in [
            "Forwarded",
            "via",
            "X-Forwarded-For",
            "x-forwarded-proto",
            "X-Real-IP",
            "CF-Connecting-IP",
        ] {
            let header = [(name, "203.0.113.7")];
            for peer in [here, "[::1]:1", "[::ffff:127.0.0.1]:1"] {
                assert_eq!(address(&none, peer, &header), None, "{name} {peer}");
            }
            assert_eq!(address(&none, "192.0.2.1:1", &header), seen("192.0.2.1"));
            assert_eq!(address(&none, "10.0.0.1:1", &header), seen("10.0.0.1"));
        }
        let set = client(Some("X-Visitor"));
        let visitor = ("X-Visitor", "203.0.113.7:5");
        assert_eq!(address(&set, here, &[visitor]), seen("203.0.113.7"));
        let second = [("X-Visitor", "10.0.0.1"), visitor];
        assert_eq!(address(&set, here, &second), seen("203.0.113.7"));
        assert_eq!(address(&set, here, &[("X-Visitor", "unknown")]), None);
        assert_eq!(
            address(&set, here, &[("X-Forwarded-For", "203.0.113.7")]),
            None
        );
        assert_eq!(address(&set, here, &[]), seen("127.0.0.1"));
        assert_eq!(
            address(&set, "192.0.2.1:1", &[("X-Visitor", "x")]),
            seen("192.0.2.1")
        );
    }
}
