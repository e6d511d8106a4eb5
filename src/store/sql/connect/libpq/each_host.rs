//! A URL with several hosts, taken apart.

use super::settings::{Environment, Found, Settings};
use crate::store::url::postgres::split_credentials;

/// The values of `target_session_attrs` that only the primary satisfies.
const OF_THE_PRIMARY: [&str; 2] = ["read-write", "primary"];

/// Parameters that name hosts beside those before the database's name, or their order.
const OF_HOSTS: [&str; 4] = ["host", "hostaddr", "port", "load_balance_hosts"];

/// Variables of libpq's environment that count for several hosts together.
const LISTS: [&str; 2] = ["PGHOSTADDR", "PGPORT"];

/// Returns a URL for each host of a URL with several, of which only the primary is wanted. Returns
/// none for any other URL.
pub(in super::super) fn each_host(url: &str) -> Vec<String> {
    each_host_in(&|name| std::env::var(name).ok(), url)
}

fn each_host_in(environment: &Environment<'_>, url: &str) -> Vec<String> {
    let settings = Settings::of(url, environment);
    let is_of_primary = matches!(settings.find("target_session_attrs"),
        Found::Value(value) if OF_THE_PRIMARY.contains(&value.as_str()));
    let names_hosts = |name| !matches!(settings.find(name), Found::Nothing);
    let is_list = |name| environment(name).is_some_and(|value| value.contains(','));
    if !is_of_primary || OF_HOSTS.into_iter().any(names_hosts) || LISTS.into_iter().any(is_list) {
        return Vec::new();
    }
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let (_, place) = split_credentials(rest);
    let before = &url[..url.len() - place.len()];
    let end = place.find(['/', '?']).unwrap_or(place.len());
    let (hosts, after) = place.split_at(end);
    if !hosts.contains(',') {
        return Vec::new();
    }
    let alone = |host| format!("{before}{host}{after}");
    hosts.split(',').map(alone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: &Environment<'static> = &|_| None;

    #[test]
    fn each_host_of_a_list_keeps_the_rest_of_the_url() {
        let url =
            "postgres://u:p%2C@h1:1,[::1]:2,h3/d?target_session_attrs=read-write&sslmode=require";
        let rest = "/d?target_session_attrs=read-write&sslmode=require";
        let expected =
            ["h1:1", "[::1]:2", "h3"].map(|host| format!("postgres://u:p%2C@{host}{rest}"));
        assert_eq!(each_host_in(NOTHING, url), expected);
        let bare = "postgresql://h1,h2?target_session_attrs=primary";
        let expected =
            ["h1", "h2"].map(|host| format!("postgresql://{host}?target_session_attrs=primary"));
        assert_eq!(each_host_in(NOTHING, bare), expected);
    }

    #[test]
    fn the_environment_can_ask_for_the_primary() {
        let environment: &Environment<'_> =
            &|name| (name == "PGTARGETSESSIONATTRS").then(|| "read-write".to_owned());
        let expected = ["postgres://h1:1/d", "postgres://h2:2/d"];
        assert_eq!(
            each_host_in(environment, "postgres://h1:1,h2:2/d"),
            expected
        );
    }

    #[test]
    fn libpq_chooses_where_several_hosts_may_serve_or_are_named_elsewhere() {
        for url in [
            "postgres://h1,h2/d",
            "postgres://h1/d?target_session_attrs=read-write",
            "postgres://h1,h2/d?target_session_attrs=any",
            "postgres://h1,h2/d?target_session_attrs=prefer-standby",
            "postgres:///d?host=h1,h2&target_session_attrs=read-write",
            "postgres://h1,h2/d?hostaddr=10.0.0.1,10.0.0.2&target_session_attrs=read-write",
            "postgres://h1,h2/d?port=1,2&target_session_attrs=read-write",
            "postgres://h1,h2/d?target_session_attrs=read-write&load_balance_hosts=random",
        ] {
            assert_eq!(each_host_in(NOTHING, url), Vec::<String>::new(), "{url}");
        }
        let ports: &Environment<'_> = &|name| (name == "PGPORT").then(|| "1,2".to_owned());
        let url = "postgres://h1,h2/d?target_session_attrs=read-write";
        assert_eq!(each_host_in(ports, url), Vec::<String>::new());
    }
}
