//! What the examples have acknowledged survives `kill -9`, for each transport and kind of session.

use crate::support::Database;
use crate::support::example::Example;

on_each_database! {
    fn i5_what_bearer_clients_have_written_survives_a_killed_server(database: &Database) {
        let example = Example::start("bearer", Some(database.raw_url()));
        let token = example.send("POST", "/login/1", &[], "").body;
        let bearer = format!("Bearer {token}");
        let signed_in = [("Authorization", bearer.as_str())];
        assert_eq!(example.send("POST", "/notes/hello", &signed_in, "").status, 200);
        drop(example);
        let example = Example::start("bearer", Some(database.raw_url()));
        assert_eq!(example.send("GET", "/notes", &signed_in, "").body, r#"["hello"]"#);
    }

    fn i5_sessions_of_each_kind_survive_a_killed_server(database: &Database) {
        let example = Example::start("two_kinds", Some(database.raw_url()));
        let customer = example.send("POST", "/cart/pen", &[], "").cookies.remove(0);
        let staff = example.send("POST", "/staff/login/1", &[], "").cookies.remove(0);
        let both = format!("{customer}; {staff}");
        let as_both = [("Cookie", both.as_str())];
        assert_eq!(example.send("POST", "/staff/pack", &as_both, "").body, "1 packed\n");
        drop(example);
        let example = Example::start("two_kinds", Some(database.raw_url()));
        assert_eq!(example.send("POST", "/staff/pack", &as_both, "").body, "2 packed\n");
        assert_eq!(example.send("POST", "/cart/ink", &as_both, "").body, "2 items\n");
    }
}
