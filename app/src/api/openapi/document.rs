//! The document, and the route that serves it.

use rocket::response::content::RawJson;
use rocket::{Route, State, get, routes};
use utoipa::openapi::header::Header;
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, KnownFormat, OpenApi as Document, RefOr, SchemaFormat};
use utoipa::{OpenApi, PartialSchema, ToSchema};

use super::errors::{self, ERRORS};
use crate::api::{account, activity, admin, auth, export, session, settings};
use crate::http::error::ErrorAnswer;
use crate::monitoring::{health, metrics};

/// The document as JSON.
pub(crate) struct Description(String);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "rocket_diesel_sessions",
        description = "Sessions, accounts, devices and administration. Errors have one form, \
                       `{\"error\":{\"code\",\"message\",\"requestId\"}}`. An address that does not take \
                       a method answers 405 with `Allow`. Every answer has the header `X-Request-Id`.",
    ),
    paths(openapi),
    tags(
        (name = "session", description = "The visitor's own session"),
        (name = "auth", description = "Registering, signing in and signing out"),
        (name = "account", description = "The account and the devices of the user who is signed in"),
        (name = "administration", description = "Everyone's sessions, users, events and maintenance, for administrators"),
        (name = "monitoring", description = "Health and metrics of the server"),
    ),
)]
struct Frame;

impl Description {
    /// Describes the API. Visitors are recognized by the cookie with this name.
    pub(crate) fn new(cookie: &str) -> Self {
        let document = document(cookie);
        Self(rocket::serde::json::to_string(&document).unwrap_or_default())
    }
}

/// Puts the document together. The addresses mirror those of `rocket()`.
fn document(cookie: &str) -> Document {
    let parts = [
        ("/api/session", session::Paths::openapi()),
        ("/api/auth", auth::Paths::openapi()),
        ("/api/account", account::Paths::openapi()),
        ("/api/account", activity::Paths::openapi()),
        ("/api/account", settings::Paths::openapi()),
        ("/api/account", export::Paths::openapi()),
        ("/api/admin", admin::users::Paths::openapi()),
        ("/api/admin", admin::events::Paths::openapi()),
        ("/api/admin", admin::maintenance::Paths::openapi()),
        ("", health::Paths::openapi()),
        ("", metrics::Paths::openapi()),
    ];
    let join = |base: &str, path: &str| format!("{base}{path}").trim_end_matches('/').to_owned();
    let mut document = Frame::openapi();
    for (base, part) in parts {
        document = document.nest_with_path_composer(base, part, join);
    }
    // The fields of the package's manifest that the macro takes over say nothing about the API.
    document.info.contact = None;
    document.info.license = None;
    let components = document.components.get_or_insert_default();
    add_security(components, cookie);
    add_errors(components);
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.patch,
            &mut item.put,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            operation
                .responses
                .responses
                .values_mut()
                .for_each(identify);
        }
    }
    document
}

fn add_security(components: &mut Components, cookie: &str) {
    let cookie = ApiKeyValue::with_description(
        cookie,
        "The session of a visitor, or of a user who is signed in",
    );
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let mut token = Http::new(HttpAuthScheme::Bearer);
    token.description = Some("SESSION_ADMIN_TOKEN".to_owned());
    components.add_security_scheme("adminToken", SecurityScheme::Http(token));
}

fn add_errors(components: &mut Components) {
    let mut schemas = vec![(ErrorAnswer::name().into_owned(), ErrorAnswer::schema())];
    ErrorAnswer::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for error in &ERRORS {
        let mut response = RefOr::T(errors::response(error));
        identify(&mut response);
        components.responses.insert(error.name.to_owned(), response);
    }
}

/// Adds the header that every answer has.
fn identify(response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else {
        return;
    };
    let id = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    let mut header = Header::new(id.build());
    header.description = Some("The id of the request, as in the log".to_owned());
    response
        .headers
        .insert("X-Request-Id".to_owned(), header.into());
}

/// Describes the API, in OpenAPI 3.1.
#[utoipa::path(
    get, path = "/api/openapi.json", operation_id = "describeApi", tag = "monitoring",
    responses((status = 200, description = "This document", body = Object)),
)]
#[get("/api/openapi.json")]
fn openapi(description: &State<Description>) -> RawJson<&str> {
    RawJson(&description.inner().0)
}

pub(crate) fn routes() -> Vec<Route> {
    routes![openapi]
}
