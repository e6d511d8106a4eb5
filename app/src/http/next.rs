//! Where a visitor goes after a form: to the requested page, or back to that of the form, if it is one of
//! this site.

use std::convert::Infallible;

use rocket::http::RawStr;
use rocket::http::uri::{Absolute, Origin};
use rocket::outcome::Outcome;
use rocket::request::{self, FromRequest, Request};

/// The longest address to return to, in bytes.
const MAX: usize = 2048;

/// Pages that are not returned to, because they lead to the sign-in or report what is over.
const NO_RETURN: [&str; 6] = [
    "/login",
    "/register",
    "/logout",
    "/signed-out",
    "/account-deleted",
    "/all-signed-out",
];

/// The page to go to if none was requested.
const ACCOUNT: &str = "/account";

/// The address of a page of this site: a path, with or without a query. It never leads to another
/// site, whatever browsers and proxies make of slashes, backslashes and escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Next(Option<String>);

impl Next {
    /// Takes over the address if it is a page of this site.
    pub(crate) fn new(address: Option<&str>) -> Self {
        let is_page = |address: &&str| is_page(address);
        Self(address.filter(is_page).map(str::to_owned))
    }

    /// Takes over the address without its host, as in the header `Referer`.
    fn of_url(url: &str) -> Self {
        let url = Absolute::parse(url).ok();
        let address = url.map(|url| match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_string(),
        });
        Self::new(address.as_deref())
    }

    /// Returns the address to go to.
    pub(crate) fn path(&self) -> &str {
        self.0.as_deref().unwrap_or(ACCOUNT)
    }

    /// Returns the address for the hidden field of a form.
    pub(crate) fn field(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Returns the address of this page with the address to return to in its query.
    pub(crate) fn at(&self, page: &str) -> String {
        match &self.0 {
            Some(address) => format!("{page}?next={}", escaped(address)),
            None => page.to_owned(),
        }
    }
}

/// The page that a form was sent from, for forms that are on every page.
#[derive(Debug)]
pub(crate) struct SentFrom(pub(crate) Next);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for SentFrom {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, Infallible> {
        let page = request.headers().get_one("Referer").unwrap_or_default();
        Outcome::Success(Self(Next::of_url(page)))
    }
}

/// Escapes an address for a query, except for its slashes.
fn escaped(address: &str) -> String {
    let escaped = RawStr::new(address).percent_encode().to_string();
    escaped.replace("%2F", "/")
}

/// Returns whether an address leads to a page of this site that may be returned to.
fn is_page(address: &str) -> bool {
    let is_plain = |address: &str| {
        address.starts_with('/')
            && !address.contains("//")
            && !address.contains('\\')
            && !address.chars().any(|c| c.is_control() || c.is_whitespace())
    };
    let path = address.split('?').next().unwrap_or_default();
    if address.len() > MAX || !is_plain(path) || Origin::parse(address).is_err() {
        return false;
    }
    // Escapes must not hide anything from the check: a server or a proxy may undo them.
    let Ok(decoded) = RawStr::new(path).percent_decode() else {
        return false;
    };
    is_plain(&decoded) && !NO_RETURN.contains(&decoded.as_ref())
}

/// Returns the page from which one reaches an address.
pub(crate) fn parent(path: &str) -> &'static str {
    let is_below = |parent: &&str| {
        let rest = path.strip_prefix(*parent);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let parents = ["/admin/sessions", "/admin/users", "/admin", ACCOUNT];
    parents.into_iter().find(is_below).unwrap_or("/")
}

/// Returns the page of a form, by the path that the form is sent to. The forms of administrators are sent
/// below their pages.
pub(crate) fn page_of_form(path: &str) -> &str {
    match path.rsplit_once('/') {
        _ if matches!(path, "/account/delete" | "/login" | "/register") => path,
        _ if matches!(path, "/visit" | "/settings" | "/end" | "/logout") => "/",
        Some((page, _)) if page == "/admin" || page.starts_with("/admin/") => page,
        _ => ACCOUNT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_site_are_returned_to() {
        for page in [
            "/",
            "/account",
            "/admin?q=ad%26a&after=x",
            "/admin/sessions/abc",
            "/admin?q=a//b",
            "/admin?q=https://example.com",
            "/caf%C3%A9",
        ] {
            assert_eq!(Next::new(Some(page)).path(), page);
        }
        let next = Next::new(Some("/admin?q=a&after=b"));
        assert_eq!(next.at("/login"), "/login?next=/admin%3Fq%3Da%26after%3Db");
    }

    #[test]
    fn nothing_else_is_returned_to() {
        for address in [
            "",
            "account",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/ /evil.example",
            " //evil.example",
            "/a\r\nSet-Cookie: x",
            "https://evil.example",
            "https:/evil.example",
            "HTTPS:evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/%2Fevil.example",
            "/%2f%2fevil.example",
            "/%5Cevil.example",
            "/%09/evil.example",
            "/%0d%0aSet-Cookie:x",
            "/%00",
            "/%ff",
            "/.//evil.example",
            "/..//evil.example",
            "/a//evil.example",
            "@evil.example",
            "?next=/",
            "#x",
            "/login",
            "/login?next=/login",
            "/%6cogin",
            "/register?next=/x",
            "/logout",
            "/signed-out",
            "/account-deleted",
            "/all-signed-out?done=x",
        ] {
            assert_eq!(Next::new(Some(address)).field(), None, "{address:?}");
        }
        let long = format!("/{}", "x".repeat(MAX));
        assert_eq!(Next::new(Some(&long)).path(), "/account");
        assert_eq!(Next::new(None).at("/login"), "/login");
    }

    #[test]
    fn a_form_leads_back_to_the_page_that_it_was_sent_from() {
        for (url, page) in [
            (
                "https://example.com/admin/users?q=a%20b",
                "/admin/users?q=a%20b",
            ),
            ("http://127.0.0.1:8000/", "/"),
            ("https://example.com", "/account"),
            ("https://example.com//evil.example", "/account"),
            ("https://example.com/login", "/account"),
            ("/admin", "/account"),
            ("javascript:alert(1)", "/account"),
            ("", "/account"),
        ] {
            assert_eq!(Next::of_url(url).path(), page, "{url}");
        }
    }

    #[test]
    fn an_address_has_a_parent() {
        for (path, page) in [
            ("/account", "/account"),
            ("/account/x/y", "/account"),
            ("/accounts", "/"),
            ("/admin/sessions/x", "/admin/sessions"),
            ("/admin/users", "/admin/users"),
            ("/admin/x", "/admin"),
            ("/nowhere", "/"),
        ] {
            assert_eq!(parent(path), page);
        }
    }

    #[test]
    fn a_form_belongs_to_a_page() {
        for (form, page) in [
            ("/account/password", "/account"),
            ("/account/sessions/x/end", "/account"),
            ("/account/delete", "/account/delete"),
            ("/register", "/register"),
            ("/settings", "/"),
            ("/admin/sessions/x/revoke", "/admin/sessions/x"),
            ("/admin/sessions/revoke", "/admin/sessions"),
            ("/admin/users/x/disable", "/admin/users/x"),
            ("/admin/clear", "/admin"),
            ("/administrator", "/account"),
        ] {
            assert_eq!(page_of_form(form), page);
        }
    }
}
