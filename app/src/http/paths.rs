//! Paths as they were sent: which ones are refused, and which methods an address takes.

use rocket::http::Method;
use rocket::{Request, Route};

/// Returns whether a path has an empty segment, which may be the last one. Rocket skips empty segments, so
/// `DELETE /api/session/sessions/$ID` would end all sessions if `ID` were not set.
pub(super) fn has_empty_segment(path: &str) -> bool {
    path != "/" && (path.ends_with('/') || path.contains("//"))
}

/// Returns whether a route takes every path, like that of the check for other sites.
pub(crate) fn is_for_every_path(route: &Route) -> bool {
    route.uri.path() == "/<_..>"
}

/// Returns the methods that routes take at this path, `HEAD` with `GET`. There are none if there is no
/// route.
pub(crate) fn allowed_methods(request: &Request<'_>) -> Vec<Method> {
    let path = request.uri().path();
    let fits = |route: &&Route| fits(route.uri.path(), path.as_str());
    let mut methods: Vec<Method> = Vec::new();
    for route in request.rocket().routes().filter(fits) {
        if is_for_every_path(route) || methods.contains(&route.method) {
            continue;
        }
        methods.push(route.method);
        if route.method == Method::Get {
            methods.push(Method::Head);
        }
    }
    methods.sort_by_key(|method| method.as_str());
    methods
}

/// Returns whether a path matches that of a route.
fn fits(route: &str, path: &str) -> bool {
    let is_variable = |segment: &str| segment.starts_with('<') && segment.ends_with('>');
    let (mut segments, mut sent) = (route.split('/'), path.split('/'));
    loop {
        match (segments.next(), sent.next()) {
            (None, None) => return true,
            (Some(segment), Some(sent)) if is_variable(segment) => {
                if sent.is_empty() {
                    return false;
                }
            }
            (Some(segment), Some(sent)) if segment == sent => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_root_ends_in_a_slash() {
        for path in ["/", "/a", "/a/b", "/a/%2F", "/a/."] {
            assert!(!has_empty_segment(path), "{path}");
        }
        for path in ["//", "/a/", "//a", "/a//b", "/a/b//", "/a/%20/"] {
            assert!(has_empty_segment(path), "{path}");
        }
    }

    #[test]
    fn a_variable_is_one_segment_that_is_not_empty() {
        assert!(fits("/a/<id>/b", "/a/1/b"));
        assert!(fits("/", "/"));
        for path in ["/a//b", "/a/1", "/a/1/b/", "/a/1/2/b", "/b/1/b"] {
            assert!(!fits("/a/<id>/b", path), "{path}");
        }
    }
}
