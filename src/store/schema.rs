// @generated automatically by Diesel CLI.

diesel::table! {
    sessions (id) {
        id -> Text,
        session_id -> Text,
        token_hash -> Binary,
        user_id -> Nullable<Text>,
        data -> Text,
        version -> BigInt,
        expires_at -> Timestamp,
        absolute_expires_at -> Timestamp,
        last_seen_at -> Timestamp,
        user_agent -> Nullable<Text>,
        ip -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    users (id) {
        id -> Text,
        username -> Text,
        password_hash -> Text,
        is_admin -> Bool,
        disabled_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::joinable!(sessions -> users (user_id));

diesel::allow_tables_to_appear_in_same_query!(sessions, users,);
