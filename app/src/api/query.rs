//! The queries of requests.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use rocket::form::{self, DataField, FromForm, Options, ValueField};
use rocket::http::RawStr;
use rocket::request::{self, FromRequest, Request};
use rocket_diesel_sessions::UserId;
use uuid::Uuid;

use super::cursor;
use crate::http::error::ApiError;
use crate::http::failure::outcome;
use crate::search::{Cursor, Sort};

/// A request without a query. Others get 422, because what they ask for would be done to more than their
/// query names.
pub(super) struct NoQuery;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for NoQuery {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        let admitted = match request.uri().query() {
            None => Ok(Self),
            Some(_) => Err(ApiError::unprocessable(
                "nothing was done: this address takes no query",
            )),
        };
        outcome(request, admitted)
    }
}

/// Whose sessions to end. A misspelt query gets 422, because it must not end all of them.
pub(super) enum Scope {
    /// Everyone's, without a query.
    Everyone,
    /// Those of the user with this id: `?user=<id>`.
    User(UserId),
    /// Those last used from this address: `?ip=<address>`.
    Address(IpAddr),
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Scope {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        let query = request.uri().query().map(|query| query.as_str());
        let scope = Self::of(query).ok_or_else(|| {
            ApiError::unprocessable(
                "no session was ended: the query must be user=<id> or ip=<address>, once; without \
                 a query, all sessions end",
            )
        });
        outcome(request, scope)
    }
}

impl Scope {
    fn of(query: Option<&str>) -> Option<Self> {
        let Some(query) = query else {
            return Some(Self::Everyone);
        };
        let (name, value) = query.split_once('=').filter(|_| !query.contains('&'))?;
        let value = RawStr::new(value).url_decode().ok()?;
        match name {
            "user" if !value.trim().is_empty() => Some(Self::User(value.into())),
            "ip" => value.parse().ok().map(Self::Address),
            _ => None,
        }
    }
}

/// A parameter of the query, which may be absent. Rocket's own `Option` makes one that is given twice an
/// absent one, so that `?limit=5&limit=6` would be answered as if there were no limit.
pub(super) struct Given<'r>(Vec<&'r str>);

impl<'r> Given<'r> {
    /// Returns the value, if there is one.
    ///
    /// # Errors
    /// 422 if there are several.
    pub(super) fn once(&self, name: &str) -> Result<Option<&'r str>, ApiError> {
        match self.0.as_slice() {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(ApiError::unprocessable(format!("{name}: is given twice"))),
        }
    }
}

#[rocket::async_trait]
impl<'r> FromForm<'r> for Given<'r> {
    type Context = Self;

    fn init(_: Options) -> Self {
        Self(Vec::new())
    }

    fn push_value(given: &mut Self, field: ValueField<'r>) {
        given.0.push(field.value);
    }

    async fn push_data(_: &mut Self, _: DataField<'r, '_>) {}

    fn finalize(given: Self) -> form::Result<'r, Self> {
        Ok(given)
    }

    fn default(_: Options) -> Option<Self> {
        Some(Self(Vec::new()))
    }
}

/// Parses a whole number from 1 to `most`. Returns the default if the query has none.
///
/// # Errors
/// 422 that names the parameter, if it is not such a number or given twice.
pub(super) fn number(
    name: &str,
    number: &Given<'_>,
    default: u32,
    most: u32,
) -> Result<u32, ApiError> {
    let Some(number) = number.once(name)? else {
        return Ok(default);
    };
    match number.parse() {
        Ok(parsed) if (1..=most).contains(&parsed) => Ok(parsed),
        _ => Err(ApiError::unprocessable(format!(
            "{name}: {number:?} is not a whole number from 1 to {most}"
        ))),
    }
}

/// Parses whose sessions to list.
///
/// # Errors
/// 422 if the id is blank or given twice.
pub(super) fn user(id: &Given<'_>) -> Result<Option<UserId>, ApiError> {
    match id.once("user")? {
        Some(id) if id.trim().is_empty() => Err(ApiError::unprocessable("user: is empty")),
        id => Ok(id.map(UserId::from)),
    }
}

/// Parses a text that is not empty.
///
/// # Errors
/// 422 that names the parameter, if it is empty or given twice.
pub(super) fn text(name: &str, text: &Given<'_>) -> Result<Option<String>, ApiError> {
    match text.once(name)? {
        Some("") => Err(ApiError::unprocessable(format!("{name}: is empty"))),
        text => Ok(text.map(str::to_owned)),
    }
}

/// Parses a parameter.
///
/// # Errors
/// 422 that names it, if it cannot be parsed or is given twice.
pub(super) fn parsed<T>(name: &str, given: &Given<'_>) -> Result<Option<T>, ApiError>
where
    T: FromStr,
    T::Err: Display,
{
    let parse = |text: &str| {
        let refused = |error| ApiError::unprocessable(format!("{name}: {error}"));
        text.parse().map_err(refused)
    };
    given.once(name)?.map(parse).transpose()
}

/// Parses a parameter that is an address.
///
/// # Errors
/// 422 that names it, if it is none or is given twice.
pub(super) fn address(name: &str, given: &Given<'_>) -> Result<Option<IpAddr>, ApiError> {
    let parse = |text: &str| {
        let refused = |_| {
            let message = format!("{name}: {text:?} is not an IPv4 or IPv6 address");
            ApiError::unprocessable(message)
        };
        text.parse().map_err(refused)
    };
    given.once(name)?.map(parse).transpose()
}

/// Parses the cursor of a page after the first one, in this order.
///
/// # Errors
/// 422 if no list in this order has given such a cursor.
pub(super) fn after_in(cursor: Option<&str>, sort: Sort) -> Result<Option<Cursor>, ApiError> {
    let parse = |cursor| Cursor::parse(cursor, sort).ok_or_else(|| not_a_cursor(cursor));
    cursor.map(parse).transpose()
}

/// Parses the cursor of a page after the first one.
///
/// # Errors
/// 422 if no list has given such a cursor.
pub(crate) fn after(cursor: Option<&str>) -> Result<Option<Uuid>, ApiError> {
    let parse = |cursor| cursor::parse(cursor).ok_or_else(|| not_a_cursor(cursor));
    cursor.map(parse).transpose()
}

/// 422: no list has given such a cursor.
pub(crate) fn not_a_cursor(cursor: &str) -> ApiError {
    let message = format!("after: {cursor:?} is not the `next` of an earlier answer");
    ApiError::unprocessable(message)
        .in_other_words("This link is incomplete. Start from the first page.")
}
