//! The security headers of every response, set by Rocket's Shield.

use rocket::http::Header;
use rocket::shield::{Frame, Hsts, NoSniff, Permission, Policy, Referrer, Shield};
use rocket::time::Duration;

/// Allows pages to load only what is ours, without inline scripts or styles, and never in a frame
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

/// Cuts the ties between our windows and those of other sites (OWASP ASVS 5.0, 3.4.8).
#[derive(Default)]
struct CrossOriginOpenerPolicy;

impl Policy for CrossOriginOpenerPolicy {
    const NAME: &'static str = "Cross-Origin-Opener-Policy";

    fn header(&self) -> Header<'static> {
        Header::new(Self::NAME, "same-origin")
    }
}

/// Keeps other sites from embedding what is ours.
#[derive(Default)]
struct CrossOriginResourcePolicy;

impl Policy for CrossOriginResourcePolicy {
    const NAME: &'static str = "Cross-Origin-Resource-Policy";

    fn header(&self) -> Header<'static> {
        Header::new(Self::NAME, "same-origin")
    }
}

/// Returns the policies. Outside the debug profile, HSTS for a year is one of them (OWASP ASVS 5.0,
/// 3.4.1).
pub(crate) fn shield(is_debug: bool) -> Shield {
    let shield = Shield::default()
        // Rocket's default names only a feature that no browser has.
        .disable::<Permission>()
        .enable(NoSniff::Enable)
        .enable(Frame::Deny)
        // With `no-referrer`, browsers send `Origin: null` with our own forms. Browsers that send no
        // `Sec-Fetch-Site` would then be refused.
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
