//! The macro that defines a test for each database.

/// Defines a test for each database: `fn name(database: &Database) { … }` becomes the tests
/// `name::sqlite` and `name::postgres`.
macro_rules! on_each_database {
    ($($(#[$attribute:meta])* fn $name:ident($database:ident: &Database) $body:block)+) => {
        $($(#[$attribute])* mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn check($database: &Database) $body

            #[test]
            fn sqlite() {
                use crate::support::{Database, Kind};
                check(&Database::new(Kind::Sqlite).expect("SQLite needs no server"));
            }

            #[test]
            fn postgres() {
                use crate::support::{Database, Kind};
                if let Some(database) = Database::new(Kind::Postgres) {
                    check(&database);
                }
            }
        })+
    };
}
