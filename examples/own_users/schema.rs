//! The application's own tables.

diesel::table! {
    users (id) {
        id -> BigInt,
        email -> Text,
        password_hash -> Text,
    }
}

diesel::table! {
    logins (user_id, at) {
        user_id -> BigInt,
        at -> Timestamptz,
    }
}
