//! SQLite URLs: the file and SQLite's own parameters.

use std::path::PathBuf;

use super::decode;

/// The parameters of SQLite URIs that are allowed.
const PARAMETERS: [&str; 7] = [
    "mode",
    "cache",
    "vfs",
    "immutable",
    "nolock",
    "psow",
    "modeof",
];

/// Refuses a URL that names no file, or a different file than it seems to.
pub(in super::super) fn check(url: &str) -> Result<(), String> {
    Location::of(url).map(drop)
}

/// The file that a URL names.
pub(in super::super) struct Location<'u> {
    /// The encoded name from the URL, with at most one slash at its start.
    encoded: &'u str,
    parameters: Vec<&'u str>,
    pub(in super::super) path: PathBuf,
}

impl<'u> Location<'u> {
    /// Parses a URL.
    ///
    /// # Errors
    /// Fails with the reason if the URL does not name a file that several connections can share.
    pub(in super::super) fn of(url: &'u str) -> Result<Self, String> {
        let (_, rest) = url.split_once("://").unwrap_or_default();
        if rest.chars().any(char::is_control) {
            return Err("it contains a control character".to_owned());
        }
        if rest.contains('#') {
            return Err("in the file name, write # as %23".to_owned());
        }
        let (name, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let pairs = parameters.split('&').filter(|pair| !pair.is_empty());
        let parameters: Vec<&str> = pairs.collect();
        parameters
            .iter()
            .try_for_each(|pair| check_parameter(pair))?;
        // SQLAlchemy writes an absolute path with four slashes, and SQLite would take two for a
        // host.
        let slashes = name.len() - name.trim_start_matches('/').len();
        let encoded = &name[slashes.saturating_sub(1)..];
        let decoded = decode("the file name", encoded)?;
        check_name(&decoded)?;
        Ok(Self {
            encoded,
            parameters,
            path: path(decoded)?,
        })
    }

    /// Returns whether the URL allows SQLite to create the file.
    pub(in super::super) fn may_be_made(&self) -> bool {
        let of = |pair: &&str| pair.strip_prefix("mode=").map(str::to_owned);
        self.parameters
            .iter()
            .find_map(of)
            .is_none_or(|mode| mode == "rwc")
    }

    /// Returns the URI for SQLite. It opens only an existing file, so that none is created by
    /// mistake.
    pub(in super::super) fn of_existing(&self) -> String {
        let mode = self.may_be_made().then_some("mode=rw");
        let own = self
            .parameters
            .iter()
            .copied()
            .filter(|pair| *pair != "mode=rwc");
        let parameters: Vec<&str> = own.chain(mode).collect();
        format!("file:{}?{}", self.encoded, parameters.join("&"))
    }
}

#[cfg(unix)]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the path may be unfit on other systems"
)]
fn path(decoded: Vec<u8>) -> Result<PathBuf, String> {
    Ok(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(decoded).into())
}

#[cfg(not(unix))]
fn path(decoded: Vec<u8>) -> Result<PathBuf, String> {
    let name = String::from_utf8(decoded);
    name.map(PathBuf::from)
        .map_err(|_| "the file name is not UTF-8".to_owned())
}

fn check_name(name: &[u8]) -> Result<(), String> {
    if name.is_empty() {
        return Err(
            "sqlite:// lacks the file's name; write, for example, sqlite://sessions.db".to_owned(),
        );
    }
    if name.starts_with(b":memory:") {
        return Err(in_memory());
    }
    if name.starts_with(b"file:") {
        return Err("write sqlite://sessions.db, without file:".to_owned());
    }
    if name.contains(&0) || name.iter().any(u8::is_ascii_control) {
        return Err("the file name contains a control character".to_owned());
    }
    Ok(())
}

fn in_memory() -> String {
    "an in-memory SQLite database belongs to one connection and cannot be shared by a pool; name a \
     file, such as sqlite://sessions.db"
        .to_owned()
}

fn check_parameter(pair: &str) -> Result<(), String> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    if !PARAMETERS.contains(&name) {
        return Err(format!(
            "{name:?} is not a parameter of SQLite (allowed are {}); in the file name, write ? as \
             %3F",
            PARAMETERS.join(", ")
        ));
    }
    let value = decode(&format!("the parameter {name}"), value)?;
    match (name, value.as_slice()) {
        ("mode", b"memory") | ("vfs", b"memdb") => Err(in_memory()),
        ("mode", mode) if ![&b"ro"[..], b"rw", b"rwc"].contains(&mode) => {
            Err("mode must be one of ro, rw and rwc".to_owned())
        }
        ("cache", cache) if ![&b"shared"[..], b"private"].contains(&cache) => {
            Err("cache must be shared or private".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DatabaseUrl;

    #[test]
    fn i12_a_url_without_a_usable_file_is_refused_by_name() {
        for (url, word) in [
            ("sqlite://", "lacks the file's name"),
            ("sqlite://?mode=rwc", "lacks the file's name"),
            ("sqlite://#x", "%23"),
            ("sqlite://a#b.db", "%23"),
            ("sqlite://a?b.db", "%3F"),
            ("sqlite://a?b=c", "%3F"),
            ("sqlite://:memory:", "in-memory"),
            ("sqlite://%3Amemory%3A", "in-memory"),
            ("sqlite://%3amemory:?cache=shared", "in-memory"),
            ("sqlite://file::memory:?cache=shared", "file:"),
            ("sqlite://file:a.db", "file:"),
            ("sqlite:///x?vfs=memdb", "in-memory"),
            ("sqlite:///x?vfs=%6demdb", "in-memory"),
            ("sqlite://x?mode=memory", "in-memory"),
            ("sqlite://x?mode=rw&mode=memory", "in-memory"),
            ("sqlite://x?mode=%6Demory", "in-memory"),
            ("sqlite://x?mode=w", "ro, rw and rwc"),
            ("sqlite://100%.db", "%25"),
            ("sqlite://a%00b", "%00"),
            ("sqlite://a%0ab", "control"),
            ("sqlite://a\nb", "control"),
        ] {
            let refused = url.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(refused.contains(word), "{url}: {refused}");
        }
    }

    #[test]
    fn a_url_is_decoded_to_the_file_name_and_uri_that_it_means() {
        let read = |url| {
            let location = Location::of(url).unwrap();
            (location.path.display().to_string(), location.of_existing())
        };
        for (url, path, uri) in [
            ("sqlite://a.db", "a.db", "file:a.db?mode=rw"),
            ("sqlite:///a/b.db", "/a/b.db", "file:/a/b.db?mode=rw"),
            ("sqlite:////abs.db", "/abs.db", "file:/abs.db?mode=rw"),
            ("sqlite://a b.db", "a b.db", "file:a b.db?mode=rw"),
            (
                "sqlite://a%23b%3Fc%25.db?",
                "a#b?c%.db",
                "file:a%23b%3Fc%25.db?mode=rw",
            ),
            ("sqlite://x?mode=rwc", "x", "file:x?mode=rw"),
            (
                "sqlite://x?mode=ro&cache=private",
                "x",
                "file:x?mode=ro&cache=private",
            ),
        ] {
            assert_eq!(read(url), (path.to_owned(), uri.to_owned()), "{url}");
        }
    }
}
