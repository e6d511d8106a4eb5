//! The examples that answer requests.

use crate::support::example::Example;
use crate::support::{Database, Kind};

#[test]
fn minimal_counts_the_visits_of_a_browser() {
    let example = Example::start("minimal", None);
    let first = example.send("GET", "/", &[], "");
    assert_eq!(first.body, "visit number 1\n");
    let cookie = first.cookies[0].as_str();
    assert_eq!(
        example.send("GET", "/", &[("Cookie", cookie)], "").body,
        "visit number 2\n"
    );
    assert_eq!(example.send("GET", "/", &[], "").body, "visit number 1\n");
}

#[test]
fn minimal_has_at_most_forty_lines() {
    assert!(include_str!("../../../examples/minimal.rs").lines().count() <= 40);
}

#[test]
fn custom_store_counts_visits_without_a_database() {
    let example = Example::start("custom_store", None);
    let first = example.send("GET", "/", &[], "");
    let cookie = first.cookies[0].as_str();
    assert_eq!(
        example.send("GET", "/", &[("Cookie", cookie)], "").body,
        "visit number 2\n"
    );
}

#[test]
fn testing_serves_too() {
    let example = Example::start("testing", None);
    assert_eq!(example.send("POST", "/cart/pen", &[], "").body, "1");
    assert_eq!(example.send("GET", "/orders", &[], "").status, 401);
}

#[test]
fn two_kinds_keep_customers_and_staff_apart() {
    let example = Example::start("two_kinds", None);
    let customer = example.send("POST", "/cart/pen", &[], "").cookies.remove(0);
    let staff = example
        .send("POST", "/staff/login/1", &[], "")
        .cookies
        .remove(0);
    let both = format!("{customer}; {staff}");
    let as_both = [("Cookie", both.as_str())];
    assert_eq!(
        example.send("POST", "/cart/ink", &as_both, "").body,
        "2 items\n"
    );
    assert_eq!(
        example.send("POST", "/staff/pack", &as_both, "").body,
        "1 packed\n"
    );
    assert_eq!(
        example.send("GET", "/staff/devices", &as_both, "").body,
        "1 devices\n"
    );
    let (_, value) = customer.split_once('=').unwrap();
    let forged = format!("session-staff={value}");
    assert_eq!(
        example
            .send("POST", "/staff/pack", &[("Cookie", &forged)], "")
            .status,
        401
    );

    assert_eq!(
        example.send("DELETE", "/staff/devices", &as_both, "").body,
        "1 ended\n"
    );
    assert_eq!(
        example.send("POST", "/staff/pack", &as_both, "").status,
        401
    );
    assert_eq!(
        example.send("POST", "/cart/nib", &as_both, "").body,
        "3 items\n"
    );
}

#[test]
fn stream_ends_with_its_session() {
    let example = Example::start("stream", None);
    let cookie = example.send("POST", "/login/1", &[], "").cookies.remove(0);
    let mut lines = example.lines("/ticks", &cookie);
    assert!(lines.any(|line| line == "data:1"));
    example.send("POST", "/logout", &[("Cookie", &cookie)], "");
    let rest: Vec<String> = lines.collect();
    assert!(rest.contains(&"event:end".to_owned()), "{rest:?}");
    assert_eq!(
        example
            .send("GET", "/ticks", &[("Cookie", &cookie)], "")
            .status,
        401
    );
}

#[test]
fn bearer_needs_no_cookies() {
    let example = Example::start("bearer", None);
    let login = example.send("POST", "/login/1", &[], "");
    assert_eq!((login.status, login.cookies.len()), (200, 0));
    let bearer = format!("Bearer {}", login.body);
    let signed_in = [("Authorization", bearer.as_str())];
    assert_eq!(
        example.send("POST", "/notes/hello", &signed_in, "").status,
        200
    );
    assert_eq!(
        example.send("GET", "/notes", &signed_in, "").body,
        r#"["hello"]"#
    );
    assert_eq!(example.send("GET", "/notes", &[], "").status, 401);
    let as_cookie = format!("session={}", login.body);
    assert_eq!(
        example
            .send("GET", "/notes", &[("Cookie", &as_cookie)], "")
            .status,
        401
    );
    assert_eq!(example.send("DELETE", "/login", &signed_in, "").status, 204);
    assert_eq!(example.send("GET", "/notes", &signed_in, "").status, 401);
}

#[test]
fn devices_can_sign_each_other_out() {
    let example = Example::start("devices", None);
    let sign_in = |form: &str| example.send("POST", "/login", &[], form).cookies.remove(0);
    let (laptop, phone) = (sign_in("user=1&keep=on"), sign_in("user=1"));
    let as_laptop = [("Cookie", laptop.as_str())];
    let page = example.send("GET", "/devices", &as_laptop, "").body;
    assert_eq!(page.matches("Sign out").count(), 2, "{page}");
    let (_, other) = page
        .split_once("/end>another device")
        .map_or(("", ""), |(before, _)| {
            before.rsplit_once("/devices/").unwrap()
        });
    let path = format!("/devices/{other}/end");
    assert_eq!(example.send("POST", &path, &as_laptop, "").status, 303);
    assert_eq!(
        example
            .send("GET", "/devices", &[("Cookie", &phone)], "")
            .status,
        401
    );
    let cross_site = [
        ("Cookie", laptop.as_str()),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    assert_eq!(
        example.send("POST", "/login", &cross_site, "user=2").status,
        403
    );
}

#[test]
fn own_users_signs_in_with_the_applications_rows() {
    let Some(database) = Database::new(Kind::Postgres) else {
        return;
    };
    let example = Example::start("own_users", Some(database.direct_url()));
    let ada = "email=ada%40example.com&password=correct+horse";
    assert_eq!(example.send("POST", "/register", &[], ada).status, 201);
    assert_eq!(
        example
            .send("POST", "/login", &[], &ada.replace("horse", "zebra"))
            .status,
        401
    );
    let login = example.send("POST", "/login", &[], ada);
    assert_eq!(login.status, 204, "{}", login.body);
    let cookie = login.cookies[0].as_str();
    let as_ada = [("Cookie", cookie)];
    let other = example.send("POST", "/login", &[], ada).cookies.remove(0);
    assert_eq!(example.send("GET", "/logins", &as_ada, "").body, "2");
    assert_eq!(
        database.number("SELECT count(*) AS n FROM sessions WHERE user_id = '1'"),
        2
    );

    assert_eq!(example.send("DELETE", "/account", &as_ada, "").status, 204);
    for cookie in [cookie, &other] {
        assert_eq!(
            example
                .send("GET", "/logins", &[("Cookie", cookie)], "")
                .status,
            401
        );
    }
    drop(example);
    // The application's own migrations can be reverted, because the library's are recorded elsewhere.
    assert_eq!(
        database.number("SELECT count(*) AS n FROM __diesel_schema_migrations"),
        1
    );
}
