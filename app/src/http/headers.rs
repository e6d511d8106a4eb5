//! Headers of every response, through Rocket's Shield.

use rocket::http::Header;
use rocket::shield::{Frame, Hsts, NoSniff, Permission, Policy, Referrer, Shield};
use rocket::time::Duration;

/// What pages may load and do: nothing from elsewhere, no inline script or style, no frames
/// (OWASP ASVS 5.0, 3.4.3 and 3.4.6).
#[derive(Default)]
struct ContentSecurityPolicy;

impl Policy for ContentSecurityPolicy {
    const NAME: &'static str = "Content-Security-Policy";

    fn header(&self) -> Header<'static> {
        Header::new(
            Self::NAME,
            "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; \
             form-action 'self'",
        )
    }
}

/// No window of another site keeps a hold on ours (OWASP ASVS 5.0, 3.4.8).
#[derive(Default)]
struct CrossOriginOpenerPolicy;

impl Policy for CrossOriginOpenerPolicy {
    const NAME: &'static str = "Cross-Origin-Opener-Policy";

    fn header(&self) -> Header<'static> {
        Header::new(Self::NAME, "same-origin")
    }
}

/// No other site embeds what is ours.
#[derive(Default)]
struct CrossOriginResourcePolicy;

impl Policy for CrossOriginResourcePolicy {
    const NAME: &'static str = "Cross-Origin-Resource-Policy";

    fn header(&self) -> Header<'static> {
        Header::new(Self::NAME, "same-origin")
    }
}

/// The policies; outside of the debug profile also HSTS for a year (OWASP ASVS 5.0, 3.4.1).
pub(crate) fn shield(is_debug: bool) -> Shield {
    let shield = Shield::default()
        // Rocket's default names only a feature that no browser has.
        .disable::<Permission>()
        .enable(NoSniff::Enable)
        .enable(Frame::Deny)
        // Not `no-referrer`: with it, browsers send `Origin: null` with our own forms, and those
        // that send no `Sec-Fetch-Site` would be refused.
        .enable(Referrer::SameOrigin)
        .enable(ContentSecurityPolicy)
        .enable(CrossOriginOpenerPolicy)
        .enable(CrossOriginResourcePolicy);
    if is_debug {
        shield
    } else {
        shield.enable(Hsts::Enable(Duration::days(365)))
    }
}
