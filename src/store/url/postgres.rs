//! PostgreSQL URLs, parsed the way libpq parses them. A URL that libpq would refuse or could
//! misread is refused here, because libpq's messages quote what it cannot parse.

use super::decode;

/// Error for an ambiguous `@`, with the way to write it.
const TWO_ENDS: &str = "it contains more than one @, or an @ after a /; in a user name, password or \
                        database name, write @ as %40, / as %2F, ? as %3F and # as %23";

/// Parameters whose values may legitimately contain an `@`.
const WITH_AT: [&str; 9] = [
    "user",
    "password",
    "host",
    "hostaddr",
    "dbname",
    "options",
    "application_name",
    "passfile",
    "sslpassword",
];

/// Parameters with secret values.
const SECRET: [&str; 5] = [
    "password",
    "sslpassword",
    "oauth_client_secret",
    "scram_client_key",
    "scram_server_key",
];

/// The parts of a URL in their encoded form.
struct Parts<'u> {
    scheme: &'u str,
    user: Option<&'u str>,
    password: Option<&'u str>,
    hosts: &'u str,
    database: Option<&'u str>,
    parameters: Vec<&'u str>,
}

impl<'u> Parts<'u> {
    fn of(url: &'u str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (credentials, place) = split_credentials(rest);
        let (user, password) = match credentials.map(|text| text.split_once(':')) {
            Some(Some((user, password))) => (Some(user), Some(password)),
            Some(None) => (credentials, None),
            None => (None, None),
        };
        let (place, parameters) = place.split_once('?').unwrap_or((place, ""));
        let (hosts, database) = match place.split_once('/') {
            Some((hosts, database)) => (hosts, Some(database)),
            None => (place, None),
        };
        Self {
            scheme,
            user,
            password,
            hosts,
            database,
            parameters: parameters
                .split('&')
                .filter(|pair| !pair.is_empty())
                .collect(),
        }
    }

    /// Returns whether the URL contains a second `@` that may have been meant to end the
    /// credentials.
    fn has_another_end(&self) -> bool {
        let of_place = self.hosts.contains('@') || self.database.is_some_and(|d| d.contains('@'));
        // For example `postgres://h?password=a@b`, where libpq takes `h?password=a` for
        // credentials.
        let credentials = [self.user, self.password];
        let of_parameter = credentials.into_iter().flatten().any(looks_like_parameters);
        // For example `postgres://u:1/a?b=c@h`, where libpq takes `b` for a parameter.
        let is_meant = |pair: &&str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, pair));
            value.contains('@') && !WITH_AT.contains(&name)
        };
        let of_credentials = self.user.is_none() && self.parameters.iter().any(is_meant);
        of_place || of_parameter || of_credentials
    }
}

/// Returns whether a text contains a `?` followed by a name and a `=`.
fn looks_like_parameters(text: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split('?')
        .skip(1)
        .filter_map(|after| after.split_once('='))
        .any(|(name, _)| !name.is_empty() && name.chars().all(is_of_name))
}

/// Splits the URL after its scheme as libpq does: credentials end at the first `@`, unless a `/`
/// comes before it.
pub(in super::super) fn split_credentials(rest: &str) -> (Option<&str>, &str) {
    match rest.find(['@', '/']) {
        Some(end) if rest[end..].starts_with('@') => (Some(&rest[..end]), &rest[end + 1..]),
        _ => (None, rest),
    }
}

/// Refuses a URL that libpq cannot parse or could misread.
pub(in super::super) fn check(url: &str) -> Result<(), String> {
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(
            "it contains white space or a control character; write a space as %20".to_owned(),
        );
    }
    let parts = Parts::of(url);
    if parts.has_another_end() {
        return Err(TWO_ENDS.to_owned());
    }
    for (name, text) in [
        ("the user name", parts.user),
        ("the password", parts.password),
        ("the database name", parts.database),
    ] {
        decode(name, text.unwrap_or_default())?;
    }
    check_hosts(parts.hosts)?;
    parts
        .parameters
        .iter()
        .try_for_each(|pair| check_parameter(pair))
}

/// Checks each `host:port` of the list. It is parsed from the left because of the brackets around
/// IPv6 addresses.
fn check_hosts(hosts: &str) -> Result<(), String> {
    let mut rest = hosts;
    loop {
        let after = if let Some(address) = rest.strip_prefix('[') {
            let end = address
                .find(']')
                .ok_or("an IPv6 address in brackets lacks its ]")?;
            check_ipv6(&address[..end])?;
            &address[end + 1..]
        } else {
            let end = rest.find([':', ',']).unwrap_or(rest.len());
            check_host(&rest[..end])?;
            &rest[end..]
        };
        let end = after.find(',').unwrap_or(after.len());
        match after[..end].strip_prefix(':') {
            Some(port) => check_port(port)?,
            None if end > 0 => {
                return Err("only a port may follow the ] of an IPv6 address".to_owned());
            }
            None => {}
        }
        match after[end..].strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(()),
        }
    }
}

fn check_ipv6(address: &str) -> Result<(), String> {
    let decoded = decode("a host", address)?;
    let is_of_address = |byte: &u8| byte.is_ascii_alphanumeric() || b":.%-_".contains(byte);
    if decoded.contains(&b':') && decoded.iter().all(is_of_address) {
        Ok(())
    } else {
        Err("the text in [ ] is not an IPv6 address".to_owned())
    }
}

fn check_host(host: &str) -> Result<(), String> {
    if host.contains(['[', ']']) {
        return Err("an IPv6 address must be enclosed in one [ and one ]".to_owned());
    }
    let decoded = decode("a host", host)?;
    // A directory of sockets may have any name.
    let is_folder = matches!(decoded.first(), Some(b'/' | b'@'));
    let is_blank = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    if !is_folder && decoded.iter().any(is_blank) {
        return Err("a host contains white space or a control character".to_owned());
    }
    Ok(())
}

fn check_port(port: &str) -> Result<(), String> {
    let decoded = decode("a port", port)?;
    let text = String::from_utf8_lossy(&decoded);
    let is_port = !text.starts_with('+') && text.parse::<u16>().is_ok_and(|port| port > 0);
    if text.is_empty() || is_port {
        return Ok(());
    }
    Err(
        "the text after the : of a host is not a port from 1 to 65535; enclose an IPv6 address in \
         [ ], and in a password write / as %2F and @ as %40"
            .to_owned(),
    )
}

fn check_parameter(pair: &str) -> Result<(), String> {
    let Some((name, value)) = pair
        .split_once('=')
        .filter(|(_, value)| !value.contains('='))
    else {
        return Err(
            "the text after the ? must be a list of name=value pairs separated by &; in a value, \
             write = as %3D and & as %26"
                .to_owned(),
        );
    };
    let decoded = decode("a parameter's name", name)?;
    if decoded.is_empty() || decoded != name.as_bytes() {
        return Err("a parameter has no name, or a name that contains a %".to_owned());
    }
    decode(&format!("the parameter {name}"), value)?;
    match name {
        "port" => value.split(',').try_for_each(check_port),
        _ => Ok(()),
    }
}

/// Returns the URL's scheme, user, hosts and database. The password is dropped, and so are all
/// parameters, because `?password=` is one of them. If it is unclear which part is the password,
/// only the scheme is kept.
pub(super) fn without_password(url: &str) -> String {
    let parts = Parts::of(url);
    let Parts { scheme, hosts, .. } = parts;
    if check(url).is_err() {
        return format!("{scheme}://...");
    }
    let user = parts
        .user
        .map(|user| format!("{user}@"))
        .unwrap_or_default();
    let database = parts.database.unwrap_or_default();
    // libpq takes a `#` for part of the name, but the author may have meant something else.
    let database = database.split('#').next().unwrap_or_default();
    let slash = if parts.database.is_some() { "/" } else { "" };
    format!("{scheme}://{user}{hosts}{slash}{database}")
}

/// Returns the passwords of a URL, both encoded and decoded.
pub(in super::super) fn secrets(url: &str) -> Vec<String> {
    let parts = Parts::of(url);
    let secret = |pair: &&'_ str| {
        let (name, value) = pair.split_once('=')?;
        SECRET.contains(&name).then_some(value.to_owned())
    };
    let of_parameters = parts.parameters.iter().filter_map(secret);
    let mut secrets: Vec<String> = parts.password.map(str::to_owned).into_iter().collect();
    secrets.extend(of_parameters);
    let decoded = |secret: &String| Some(String::from_utf8_lossy(&decode("", secret).ok()?).into());
    let decoded: Vec<String> = secrets.iter().filter_map(decoded).collect();
    secrets.extend(decoded);
    secrets
}

#[cfg(test)]
mod tests {
    use crate::store::DatabaseUrl;

    fn shown(url: &str) -> String {
        url.parse::<DatabaseUrl>().unwrap().to_string()
    }

    #[test]
    fn i8_the_password_is_never_shown() {
        assert_eq!(shown("postgres://u:p@h:5432/d"), "postgres://u@h:5432/d");
        assert_eq!(shown("postgres://u:p#1?2@h/d?x=1"), "postgres://u@h/d");
        assert_eq!(
            shown("postgresql://h1,h2/d?password=p"),
            "postgresql://h1,h2/d"
        );
        let debug = format!(
            "{:?}",
            "postgres://u:p4ss@h/d".parse::<DatabaseUrl>().unwrap()
        );
        assert!(!debug.contains("p4ss"), "{debug}");
        for url in ["postgres://u:p@1/2@h/d", "postgres://u:p/1@h/d"] {
            let unchecked = DatabaseUrl::Postgres(url.to_owned());
            assert_eq!(unchecked.to_string(), "postgres://...");
        }
    }

    /// URLs that libpq accepts and reads as they were meant.
    #[test]
    fn all_forms_of_a_postgres_url_are_accepted() {
        for url in [
            "postgres://",
            "postgres:///d",
            "postgres://h",
            "postgres://h:/d",
            "postgres://:5433/d",
            "postgres://@h/d",
            "postgres://u@/d?host=/var/run/postgresql",
            "postgres://u:p:q@%2Fvar%2Frun%2Fmy%20sockets/d",
            "postgres://%40abstract/d",
            "postgres://u:p%25%40%2F@h1:5432,h2,[::1]:5433,[fe80::1%25eth0]/d",
            "postgres://h:%35432/d%20x?",
            "postgresql://h/d?user=a@b&password=a@b",
            "postgres://u:p@h/d?application_name=a@b&connect_timeout=3",
            "postgres://u:p?1@h/d",
            "postgres://u:@h/d",
            "postgres://h/d?options=-c%20search_path%3Da",
            "postgres://h?host=a,b&port=1,2",
        ] {
            if let Err(error) = url.parse::<DatabaseUrl>() {
                panic!("{url}: {error}");
            }
        }
    }

    #[test]
    fn i8_a_url_that_libpq_would_show_is_refused_and_not_shown() {
        for (url, word) in [
            ("postgres://u:hunter2%@h/d", "%25"),
            ("postgres://u:hunter2%zz@h/d", "%25"),
            ("postgres://u:hunter2%0@h/d", "%25"),
            ("postgres://u:hunter2%+1@h/d", "%25"),
            ("postgres://u:hunter2%é@h/d", "%25"),
            ("postgres://u:hunter2%00@h/d", "%00"),
            ("postgres://u:hunter2 2@h/d", "%20"),
            ("postgres://u:hunter2\t@h/d", "%20"),
            ("postgres://u:p@hunter2@h/d", "%40"),
            ("postgres://u:p@hunter2", ""),
            ("postgres://u:p/hunter2@h/d", "%2F"),
            ("postgres://u:12/hunter2?x=a@h/d", "%2F"),
            ("postgres://u:12/x?hunter2=a@h/d", "%2F"),
            ("postgres://u:12/x?hunter2@h/d", "%2F"),
            ("postgres://u:hunter2/x", "port"),
            ("postgres://u:p@h/d?password=hunter2%", "%25"),
            ("postgres://u:p@h/d?password=hunter2=", "%3D"),
            ("postgres://u:p@h/d?password=x&hunter2", "name=value"),
            ("postgres://h?password=x@hunter2", "%40"),
            ("postgres://h:5432?password=x@hunter2", "%40"),
            ("postgres://u:hunter2@[::1/d", "]"),
            ("postgres://u:hunter2@[::1]x/d", "port"),
            ("postgres://u:hunter2@[::1]]/d", "port"),
            ("postgres://u:hunter2@[]/d", "IPv6"),
            ("postgres://u:hunter2@[h]/d", "IPv6"),
            ("postgres://u:hunter2@::1/d", "[ ]"),
            ("postgres://u:hunter2@h]/d", "["),
            ("postgres://u:hunter2@h%0a/d", "control"),
            ("postgres://u:hunter2@h:0/d", "65535"),
            ("postgres://u:hunter2@h:65536/d", "65535"),
            ("postgres://u:hunter2@h1:1,h2:x/d", "65535"),
            ("postgres://u:hunter2@h:+1/d", "65535"),
            ("postgres://u:hunter2@h/d?port=1,x", "65535"),
            ("postgres://u:hunter2@h/d%", "database name"),
            ("postgres://u%:hunter2@h/d", "user name"),
            ("postgres://u:hunter2@h%/d", "host"),
            ("postgres://u:hunter2@h/d?ssl%mode=x", "name"),
            ("postgres://u:hunter2@h/d?=x", "name"),
        ] {
            match url.parse::<DatabaseUrl>() {
                Ok(_) => assert_eq!(word, "", "{url}"),
                Err(error) => {
                    let message = error.to_string();
                    assert!(message.contains(word), "{url}: {message}");
                    assert!(!message.contains("hunter2"), "{url}: {message}");
                }
            }
            let unchecked = DatabaseUrl::Postgres(url.to_owned()).to_string();
            assert!(
                word.is_empty() || !unchecked.contains("hunter2"),
                "{unchecked}"
            );
        }
    }
}
