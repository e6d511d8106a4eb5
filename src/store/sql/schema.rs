// @generated automatically by Diesel CLI.

diesel::table! {
    session_events (id) {
        id -> Text,
        at -> Timestamp,
        event -> Text,
        reason -> Nullable<Text>,
        session -> Text,
        kind -> Text,
        user_id -> Nullable<Text>,
        actor -> Nullable<Text>,
        ip -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        request_id -> Nullable<Text>,
        actor_name -> Nullable<Text>,
    }
}

diesel::table! {
    session_stats (hour) {
        hour -> Timestamp,
        created -> BigInt,
        ended_logout -> BigInt,
        ended_revoked -> BigInt,
        ended_replaced -> BigInt,
        ended_expired -> BigInt,
        ended_cleared -> BigInt,
        peak_active -> BigInt,
        users -> BigInt,
    }
}

diesel::table! {
    session_stats_users (hour, user_id) {
        hour -> Timestamp,
        user_id -> Text,
    }
}

diesel::table! {
    session_sweeps (id) {
        id -> Text,
        started_at -> Timestamp,
        elapsed_ms -> BigInt,
        deleted -> BigInt,
        error -> Nullable<Text>,
    }
}

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
        kind -> Text,
        idle_timeout -> Nullable<BigInt>,
        absolute_timeout -> Nullable<BigInt>,
        browser_session -> Bool,
        authenticated_at -> Nullable<Timestamp>,
        methods -> Nullable<Text>,
        actor -> Nullable<Text>,
        pending_login -> Nullable<Text>,
    }
}

diesel::table! {
    user_settings (user_id) {
        user_id -> Text,
        display_name -> Nullable<Text>,
        theme -> Nullable<Text>,
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
diesel::joinable!(user_settings -> users (user_id));

diesel::allow_tables_to_appear_in_same_query!(
    session_events,
    session_stats,
    session_stats_users,
    session_sweeps,
    sessions,
    user_settings,
    users,
);
