//! `/api/admin/users`: finding users and changing them.

use rocket::data::{Data, FromData, Outcome as DataOutcome, ToByteUnit};
use rocket::http::Status;
use rocket::serde::json::{Json, from_value};
use rocket::serde::{Deserialize, Deserializer};
use rocket::{Request, Route, State, delete, get, patch, routes};
use rocket_diesel_sessions::store::{FindUsers, UserCursor, UserPage, UserRecord};
use rocket_diesel_sessions::{SessionAdmin, SessionError, UserId, UserSessions};

use utoipa::{OpenApi, ToSchema};

use super::views::{UserDetail, UserList};
use crate::accounts::administration::{Administration, Change};
use crate::accounts::error::AccountError;
use crate::accounts::users::Users;
use crate::api::openapi::parameters::{AfterUser, Limit, PartOfName, UserFilter};
use crate::api::openapi::responses::{
    Changes, Checked, ForAdministrators, Names, NeedsPassword, OwnSite, ReadsBody, Stored,
};
use crate::api::query::{self, Given, NoQuery};
use crate::api::session::{Answer, Deleted};
use crate::guards::admin::{Admin, RecentAdmin};
use crate::http::body::{parse_json, read_body, unsupported};
use crate::http::error::ApiError;
use crate::http::failure::outcome;

/// Users on a page.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

/// The values of `filter`.
const ADMINISTRATORS: &str = "administrators";
const DISABLED: &str = "disabled";

/// Parses a query for users, with the text in the case in which names are stored.
///
/// # Errors
/// 422 if the filter is not known, or no list has given such a cursor.
pub(crate) fn find(
    limit: u32,
    after: Option<&str>,
    q: Option<&str>,
    filter: Option<&str>,
) -> Result<FindUsers, ApiError> {
    let mut query = FindUsers::new(limit);
    query.text = q.unwrap_or_default().trim().to_lowercase();
    match filter {
        None => {}
        Some(ADMINISTRATORS) => query.admins = true,
        Some(DISABLED) => query.disabled = true,
        Some(other) => {
            let allowed = format!("filter: {other:?} is not {ADMINISTRATORS} or {DISABLED}");
            return Err(ApiError::unprocessable(allowed)
                .in_other_words("This link is incomplete. Start from the first page."));
        }
    }
    if let Some(after) = after {
        let cursor = UserCursor::parse(after).ok_or_else(|| query::not_a_cursor(after))?;
        query.after = Some(cursor);
    }
    Ok(query)
}

/// Lists a page of users, by name.
#[utoipa::path(
    get, path = "/users", operation_id = "listUsers", tag = "administration",
    params(Limit<DEFAULT_LIMIT, MAX_LIMIT>, AfterUser, PartOfName, UserFilter),
    responses(
        (status = 200, description = "A page, by name", body = UserList),
        ForAdministrators, Checked, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[get("/users?<limit>&<after>&<q>&<filter>")]
async fn list(
    _admin: Admin,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    limit: Given<'_>,
    after: Given<'_>,
    q: Given<'_>,
    filter: Given<'_>,
) -> Answer<UserList> {
    let limit = query::number("limit", &limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let (after, q, filter) = (after.once("after")?, q.once("q")?, filter.once("filter")?);
    let UserPage { users, next, .. } = users.page(find(limit, after, q, filter)?).await?;
    let ids = users.iter().map(|user| user.id.clone()).collect();
    let presence = sessions.presence(ids).await?;
    let next = next.map(|next| next.to_string());
    Ok(Json(UserList::new(users, presence, next)))
}

/// Shows a user.
#[utoipa::path(
    get, path = "/users/{id}", operation_id = "showUser", tag = "administration",
    params(("id" = String, Path, description = "The id of a user")),
    responses(
        (status = 200, description = "The user", body = UserDetail),
        ForAdministrators, Names, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[get("/users/<id>")]
async fn show(
    _admin: Admin,
    users: &State<Users>,
    sessions: &State<SessionAdmin>,
    id: &str,
) -> Answer<UserDetail> {
    let user = existing(users, id).await?;
    Ok(Json(detail(user, sessions).await?))
}

/// A change of some fields of a user.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase", deny_unknown_fields)]
#[schema(min_properties = 1)]
struct UserPatch {
    /// Whether the user is an administrator.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    is_admin: Option<bool>,
    /// Whether the user is disabled, which ends all of the user's sessions.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    disabled: Option<bool>,
}

/// Reads a field that may be absent, but not null.
fn given<'de, D: Deserializer<'de>>(field: D) -> Result<Option<bool>, D::Error> {
    bool::deserialize(field).map(Some)
}

impl UserPatch {
    fn changes(self) -> impl Iterator<Item = Change> {
        let role = self.is_admin.map(|is_admin| {
            if is_admin {
                Change::Promote
            } else {
                Change::Demote
            }
        });
        let state = self.disabled.map(|disabled| {
            if disabled {
                Change::Disable
            } else {
                Change::Enable
            }
        });
        role.into_iter().chain(state)
    }
}

#[rocket::async_trait]
impl<'r> FromData<'r> for UserPatch {
    type Error = ();

    async fn from_data(request: &'r Request<'_>, body: Data<'r>) -> DataOutcome<'r, Self> {
        outcome(request, read_patch(request, body).await)
    }
}

async fn read_patch(request: &Request<'_>, body: Data<'_>) -> Result<UserPatch, ApiError> {
    if !request.content_type().is_some_and(|kind| kind.is_json()) {
        return Err(unsupported("application/json"));
    }
    let body = read_body(body, 16.kibibytes()).await?;
    let unfit = |error| ApiError::unprocessable(format!("nothing was changed: {error}"));
    let patch: UserPatch = from_value(parse_json(&body)?).map_err(unfit)?;
    if patch.changes().next().is_none() {
        let message = "nothing was changed: give isAdmin or disabled, true or false";
        return Err(ApiError::unprocessable(message));
    }
    Ok(patch)
}

/// Changes a user: first the role, then the state.
#[utoipa::path(
    patch, path = "/users/{id}", operation_id = "changeUser", tag = "administration",
    params(("id" = String, Path, description = "The id of a user")),
    request_body = UserPatch,
    responses(
        (status = 200, description = "The user as it is now", body = UserDetail),
        ForAdministrators, OwnSite, NeedsPassword, ReadsBody, Names, Changes, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[patch("/users/<id>", data = "<patch>")]
async fn change(
    admin: RecentAdmin,
    _query: NoQuery,
    users: &State<Users>,
    all: &State<SessionAdmin>,
    sessions: &State<UserSessions>,
    id: &str,
    patch: UserPatch,
) -> Answer<UserDetail> {
    let user = existing(users, id).await?;
    let administration = Administration {
        users,
        all,
        sessions,
        acting: admin.0,
    };
    for change in patch.changes() {
        administration.change(&user.id, change).await?;
    }
    let user = existing(users, id).await?;
    Ok(Json(detail(user, all).await?))
}

/// Deletes a user with all of the user's sessions.
#[utoipa::path(
    delete, path = "/users/{id}", operation_id = "deleteUser", tag = "administration",
    params(("id" = String, Path, description = "The id of a user")),
    responses(
        (status = 204, description = "The user is deleted"),
        ForAdministrators, OwnSite, NeedsPassword, Names, Checked, Changes, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[delete("/users/<id>")]
async fn remove(
    admin: RecentAdmin,
    _query: NoQuery,
    users: &State<Users>,
    all: &State<SessionAdmin>,
    sessions: &State<UserSessions>,
    id: &str,
) -> Result<Status, ApiError> {
    let user = existing(users, id).await?;
    let administration = Administration {
        users,
        all,
        sessions,
        acting: admin.0,
    };
    administration.delete(&user.id).await?;
    Ok(Status::NoContent)
}

/// Ends all sessions of a user.
#[utoipa::path(
    delete, path = "/users/{id}/sessions", operation_id = "signUserOut", tag = "administration",
    params(("id" = String, Path, description = "The id of a user")),
    responses(
        (status = 200, description = "The sessions have ended", body = Deleted),
        ForAdministrators, OwnSite, NeedsPassword, Names, Checked, Stored,
    ),
    security(("adminToken" = []), ("session" = [])),
)]
#[delete("/users/<id>/sessions")]
async fn sign_out(
    admin: RecentAdmin,
    _query: NoQuery,
    users: &State<Users>,
    all: &State<SessionAdmin>,
    sessions: &State<UserSessions>,
    id: &str,
) -> Answer<Deleted> {
    let user = existing(users, id).await?;
    let administration = Administration {
        users,
        all,
        sessions,
        acting: admin.0,
    };
    let deleted = administration.sign_out(&user.id).await?;
    Ok(Json(Deleted { deleted }))
}

/// Returns the user with this id.
///
/// # Errors
/// 404 if there is none.
pub(crate) async fn existing(users: &Users, id: &str) -> Result<UserRecord, ApiError> {
    let found = users.find(&UserId::from(id)).await?;
    found.ok_or_else(|| AccountError::NoUser.into())
}

async fn detail(user: UserRecord, sessions: &SessionAdmin) -> Result<UserDetail, SessionError> {
    let presence = sessions.presence(vec![user.id.clone()]).await?.pop();
    Ok(UserDetail::present(user, presence))
}

#[derive(OpenApi)]
#[openapi(paths(list, show, change, remove, sign_out))]
pub(crate) struct Paths;

pub(super) fn routes() -> Vec<Route> {
    routes![list, show, change, remove, sign_out]
}
