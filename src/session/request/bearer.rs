//! Session tokens in the header `Authorization`.

use parking_lot::Mutex;
use rocket::Request;
use rocket::http::HeaderMap;

use crate::session::config::transport::Transport;
use crate::session::cookie::policy::CookiePolicy;
use crate::session::cookie::seal::has_form;

/// The session token that a request presents in `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presented<'r> {
    /// There is none. The header may be for the application, and cookies count.
    None,
    /// One text that has the form of a token, signed by us or not.
    Token(&'r str),
    /// A token beside another `Authorization` header. None of them counts, because the application
    /// or a proxy may go by another one (RFC 9110, section 5.3, allows only one).
    Ambiguous,
}

/// Returns the session token in the `Authorization` headers.
pub(crate) fn presented<'r>(headers: &'r HeaderMap<'_>) -> Presented<'r> {
    let mut values = headers.get("Authorization");
    match (values.next(), values.next()) {
        (Some(value), None) => token(value).map_or(Presented::None, Presented::Token),
        (Some(_), Some(_)) if headers.get("Authorization").any(|v| token(v).is_some()) => {
            Presented::Ambiguous
        }
        _ => Presented::None,
    }
}

/// Returns what follows the scheme `Bearer` if it has the form of a session token. The case of the
/// scheme is free (RFC 9110, section 11.1).
fn token(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim_matches([' ', '\t']).split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("Bearer") && has_form(token)).then_some(token)
}

/// What each kind of session of a Rocket reads from a request, for checks that concern cookies.
#[derive(Debug, Default)]
pub(crate) struct Transports(Mutex<Vec<(Transport, CookiePolicy)>>);

impl Transports {
    pub(crate) fn add(&self, transport: Transport, cookie: CookiePolicy) {
        self.0.lock().push((transport, cookie));
    }

    /// Returns whether the request presents a session token that a kind of session reads, and no
    /// cookie that another kind would read. Browsers never attach such a token by themselves.
    pub(crate) fn is_bearer(&self, request: &Request<'_>) -> bool {
        let headers = request.headers();
        if presented(headers) == Presented::None {
            return false;
        }
        let kinds = self.0.lock();
        let brings_cookie = |cookie: &CookiePolicy| {
            let mut values = cookie.candidates(headers.get("Cookie"));
            values.next().is_some() || request.cookies().get(cookie.name()).is_some()
        };
        kinds.iter().any(|(transport, _)| transport.takes_bearer())
            && kinds
                .iter()
                .filter(|(transport, _)| !transport.takes_bearer())
                .all(|(_, cookie)| !brings_cookie(cookie))
    }
}

#[cfg(test)]
mod tests {
    use rocket::http::Header;

    use super::*;

    fn form() -> String {
        format!("{}.{}", "a".repeat(96), "b".repeat(43))
    }

    fn of<'h>(headers: &'h mut HeaderMap<'static>, values: &[&str]) -> Presented<'h> {
        for value in values {
            headers.add(Header::new("Authorization", (*value).to_owned()));
        }
        presented(headers)
    }

    #[test]
    fn a_token_is_found_whatever_the_case_and_the_spaces() {
        let token = form();
        for header in [
            format!("Bearer {token}"),
            format!("bearer {token}"),
            format!("BEARER    {token}"),
            format!("  Bearer {token} \t"),
        ] {
            let mut headers = HeaderMap::new();
            assert_eq!(of(&mut headers, &[&header]), Presented::Token(&token));
        }
    }

    #[test]
    fn other_authorizations_are_the_applications() {
        let token = form();
        for header in [
            String::new(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            token.clone(),
            format!("Bearer{token}"),
            format!("Basic {token}"),
            format!("Bearer\t{token}"),
            format!("Bearer {token}, Bearer {token}"),
            format!("Bearer {token} x"),
            format!("Bearer \"{token}\""),
            format!("Bearer {token}="),
            format!("Bearer {token}b"),
            format!("Bearer {}", "a".repeat(100_000)),
            format!("Bearer {}.{}", "a".repeat(100_000), "b".repeat(43)),
            format!("Bearer {}.{}", "a".repeat(96), "b".repeat(100_000)),
            // A JSON web token.
            format!(
                "Bearer {}.{}.{}",
                "a".repeat(36),
                "b".repeat(60),
                "c".repeat(43)
            ),
            "Bearer an administrators' token of at least 32 bytes".to_owned(),
        ] {
            let mut headers = HeaderMap::new();
            let found = of(&mut headers, &[&header]);
            assert_eq!(found, Presented::None, "{header:.200}");
        }
        let mut headers = HeaderMap::new();
        let two = ["Basic eDp5", "Bearer of another kind"];
        assert_eq!(of(&mut headers, &two), Presented::None);
        assert_eq!(presented(&HeaderMap::new()), Presented::None);
    }

    #[test]
    fn i3_of_two_authorizations_none_counts() {
        let ours = format!("Bearer {}", form());
        for two in [
            [ours.as_str(), ours.as_str()],
            ["Basic eDp5", &ours],
            [&ours, ""],
        ] {
            let mut headers = HeaderMap::new();
            assert_eq!(of(&mut headers, &two), Presented::Ambiguous);
        }
    }
}
