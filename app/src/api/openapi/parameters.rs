//! The parameters that several routes take.

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, Required, SchemaFormat};

/// A `UUIDv7`, as `cursor::parse` takes it.
const UUID_V7: &str =
    "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";

/// A `UUIDv7`, with a time in the order of deadlines.
const PLACE: &str =
    "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(_[0-9]+)?$";

/// As in `search::Filter`.
const FILTER: &str = "^(signed-in|anonymous|(idle|expiring)(-[0-9]{1,4}[mhd])?)$";

type Place = Option<ParameterIn>;

/// Defines parameters of the query.
macro_rules! in_query {
    ($($(#[$text:meta])* $name:ident $(<$($limit:ident),+>)?: $key:literal, $description:literal, $schema:expr;)+) => {$(
        $(#[$text])*
        pub(crate) struct $name $(<$(const $limit: u32),+>)?;

        impl $(<$(const $limit: u32),+>)? IntoParams for $name $(<$($limit),+>)? {
            fn into_params(_: impl Fn() -> Place) -> Vec<Parameter> {
                vec![in_query($key, $description, $schema)]
            }
        }
    )+};
}

in_query! {
    /// `limit`: the entries on a page.
    Limit<DEFAULT, MOST>: "limit", "The entries on a page", number(DEFAULT, MOST);
    /// `hours`: the hours of statistics.
    Hours<DEFAULT, MOST>: "hours", "The hours to look back", number(DEFAULT, MOST);
    /// `after`: the cursor.
    After: "after", "The `next` of the page before", cursor();
    /// `after`: the cursor of a list that can be sorted.
    AfterSession: "after", "The `next` of the page before, in the same order", session_cursor();
    /// `ip`: the sessions of an address.
    OfAddress: "ip", "Only the sessions last used from this address", address();
    /// `q`: what is searched for.
    Searched: "q", "An address, handle, lookup id, user's id or username, or else the beginning of a \
        handle or an address or a part of a username or a device", text();
    /// `filter`: the state of the sessions.
    Filtered: "filter", "The state of the sessions, with a time of their own as in `idle-12h`",
        text().pattern(Some(FILTER));
    /// `sort`: the order.
    Sorted: "sort", "The order", text().enum_values(Some(["newest", "expiring"]));
    /// `user`: whose sessions.
    OfUser: "user", "Only the sessions of the user with this id", text().pattern(Some(r"\S"));
    /// `after`: the cursor of a list of users.
    AfterUser: "after", "The `next` of the page before", place();
    /// `q`: what the names contain.
    PartOfName: "q", "Only users whose names contain this; those that begin with it come first", text();
    /// `filter`: which users.
    UserFilter: "filter", "Only these users", one_of(&["administrators", "disabled"]);
    /// `user`: whose events.
    EventsOfUser: "user", "Only the events of the user with this id", text().min_length(Some(1));
    /// `event`: which events.
    EventName: "event", "Only the events of this name, such as `login` or `user_disabled`", text().min_length(Some(1));
    /// `actor`: who caused the events.
    EventActor: "actor", "Only what the administrator with this id has caused, or `admin_token`, \
                          `command_line` or `local`", text().min_length(Some(1));
}

fn in_query(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

fn number(default: u32, most: u32) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(most))
        .default(Some(default.into()))
}

fn cursor() -> ObjectBuilder {
    text()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
        .pattern(Some(UUID_V7))
}

fn session_cursor() -> ObjectBuilder {
    text().pattern(Some(PLACE))
}

fn address() -> AnyOfBuilder {
    let text = |format| text().format(Some(SchemaFormat::KnownFormat(format)));
    AnyOfBuilder::new()
        .item(text(KnownFormat::Ipv4))
        .item(text(KnownFormat::Ipv6))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A place in a list of users.
fn place() -> ObjectBuilder {
    text().pattern(Some("^[bc]:"))
}

fn one_of(values: &[&str]) -> ObjectBuilder {
    text().enum_values(Some(values.iter().copied()))
}
