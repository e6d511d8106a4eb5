//! The answers to requests that fail, one per status.

use std::time::Duration;

use rocket::http::Status;
use utoipa::ToSchema;
use utoipa::openapi::header::Header;
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};

use crate::http::error::{ApiError, ErrorAnswer};

/// A status with the codes of its errors.
pub(super) struct Described {
    pub(super) status: u16,
    pub(super) name: &'static str,
    description: &'static str,
    example: fn() -> ApiError,
}

pub(super) const ERRORS: [Described; 11] = [
    Described {
        status: 400,
        name: "BadRequest",
        description: "`bad_request`: the request cannot be read, such as a body that is not JSON",
        example: || ApiError::of(Status::BadRequest),
    },
    Described {
        status: 401,
        name: "Unauthorized",
        description: "`signed_out`: no one is signed in. `unauthorized`: this needs an administrator. \
                      `wrong_credentials`: the username or the password is wrong",
        example: ApiError::signed_out,
    },
    Described {
        status: 403,
        name: "Forbidden",
        description: "`forbidden`: not an administrator, or a request of another site. \
                      `reauthentication_required`: the password was given too long ago. \
                      `registration_closed`: only administrators add users",
        example: || ApiError::of(Status::Forbidden),
    },
    Described {
        status: 404,
        name: "NotFound",
        description: "`not_found`: there is nothing with this id",
        example: || ApiError::of(Status::NotFound),
    },
    Described {
        status: 409,
        name: "Conflict",
        description: "`session_ended`: another request has ended the session. `username_taken`, \
                      `too_many_sessions`, `last_administrator`: what their names say",
        example: || ApiError::of(Status::Conflict),
    },
    Described {
        status: 413,
        name: "TooLarge",
        description: "`too_large`: the body, or the data of the session with it, exceeds the limit",
        example: || ApiError::of(Status::PayloadTooLarge),
    },
    Described {
        status: 415,
        name: "UnsupportedMediaType",
        description: "`unsupported_media_type`: the `Content-Type` of the body is not one of those allowed",
        example: || ApiError::of(Status::UnsupportedMediaType),
    },
    Described {
        status: 422,
        name: "Invalid",
        description: "`invalid`: a value is not allowed. The message names it. Nothing was done",
        example: || ApiError::of(Status::UnprocessableEntity),
    },
    Described {
        status: 429,
        name: "TooMany",
        description: "`too_many_attempts`: try again after `Retry-After` seconds",
        example: || {
            ApiError::too_many(
                "too many wrong passwords were given",
                Duration::from_secs(30),
            )
        },
    },
    Described {
        status: 500,
        name: "Internal",
        description: "`internal`: the request failed for a reason that is in the log",
        example: ApiError::internal,
    },
    Described {
        status: 503,
        name: "Unavailable",
        description: "`unavailable`: the session store does not answer. A new session or token is \
                      undone; a change of data may or may not be stored",
        example: || ApiError::of(Status::ServiceUnavailable),
    },
];

/// Returns the answer with which requests fail with a status.
pub(super) fn response(error: &Described) -> Response {
    let mut content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name(ErrorAnswer::name())));
    content = content.example(Some((error.example)().example()));
    let response = ResponseBuilder::new()
        .description(error.description)
        .content("application/json", content.build());
    let header = |kind, description: &str| {
        let mut header = Header::new(Object::with_type(kind));
        header.description = Some(description.to_owned());
        header
    };
    match error.status {
        401 => response.header(
            "WWW-Authenticate",
            header(
                Type::String,
                "`Session` for users, `Bearer` for administrators",
            ),
        ),
        429 | 503 => response.header(
            "Retry-After",
            header(Type::Integer, "Seconds to wait before the next attempt"),
        ),
        _ => response,
    }
    .build()
}
