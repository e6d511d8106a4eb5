//! The list as a file.

use super::make;
use crate::support::local::application;
use crate::support::{Database, Visitor};

on_each_database! {
    fn what_is_searched_can_be_exported(database: &Database) {
        let (client, _) = application(database, "");
        let made = make(database, 1_203, |number, new| {
            new.ip = (number < 1_202).then(|| "203.0.113.7".to_owned());
            new.user_agent = (number == 0).then(|| "=HYPERLINK(\"http://x\")".to_owned());
            new.data = "[1]".into();
        });
        let mut visitor = Visitor::new(&client);
        let file = visitor.get("/admin/sessions.csv?q=203.0.113.7");
        let name = "attachment; filename=\"sessions.csv\"";
        assert_eq!(file.header("content-disposition"), Some(name));
        let lines: Vec<&str> = file.body.lines().collect();
        assert_eq!(lines.len(), 1_203);
        assert!(lines[0].starts_with("\"handle\",\"lookup_id\",\"user_id\",\"username\""), "{}", lines[0]);
        assert!(lines[1].starts_with(&format!("\"{}\",", made[1_201].id)), "{}", lines[1]);
        assert!(lines[1_202].contains("\"'=HYPERLINK(\"\"http://x\"\")\""), "{}", lines[1_202]);

        let json = visitor.get("/admin/sessions.json?q=203.0.113.7").json();
        assert_eq!(json["sessions"].as_array().unwrap().len(), 1_202);
        assert_eq!(json["sessions"][0]["id"], made[1_201].id.as_str());
        assert_eq!(json["sessions"][0]["data"][0], 1);
        assert!(json["next"].is_null());
        let all = visitor.get("/admin/sessions.json").json();
        assert_eq!(all["sessions"].as_array().unwrap().len(), 1_203);
    }
}
