//! `/api/account/export`: what is stored about a user, for the user to take along. It has no hashes, no
//! tokens and no lookup halves of tokens.

use chrono::{DateTime, Utc};
use rocket::serde::Serialize;
use rocket::serde::json::{Json, Value, from_str};
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::admin::typed_data;
use rocket_diesel_sessions::store::UserRecord;
use rocket_diesel_sessions::{UserId, UserSessions};
use utoipa::{OpenApi, ToSchema};

use super::account::{DeviceView, devices};
use super::activity::{Activity, recent};
use super::openapi::responses::{ForUsers, Stored};
use super::session::Answer;
use crate::accounts::settings::Settings;
use crate::accounts::users::Users;
use crate::guards::signed_in::SignedIn;
use crate::http::error::ApiError;

/// Devices that are read at a time.
const DEVICES: u32 = 1000;

/// The most events.
const EVENTS: u32 = 1000;

/// What is stored about a user.
#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
pub(crate) struct Export {
    pub(crate) exported_at: DateTime<Utc>,
    account: AccountView,
    settings: Settings,
    /// All devices, newest sign-in first.
    devices: Vec<DeviceView>,
    /// The data of the session that asks.
    #[schema(value_type = Value)]
    session_data: Value,
    /// The newest events, at most 1,000. Null if no events are recorded.
    #[schema(required)]
    activity: Option<Vec<Activity>>,
}

#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
struct AccountView {
    #[schema(value_type = String)]
    id: UserId,
    username: String,
    created_at: DateTime<Utc>,
    is_admin: bool,
}

impl From<UserRecord> for AccountView {
    fn from(user: UserRecord) -> Self {
        Self {
            id: user.id,
            username: user.username,
            created_at: user.created_at,
            is_admin: user.is_admin,
        }
    }
}

impl Export {
    /// Collects what is stored about a user.
    ///
    /// # Errors
    /// When the store fails, or the user was deleted a moment ago.
    pub(crate) async fn of(
        signed_in: &SignedIn,
        users: &Users,
        sessions: &UserSessions,
    ) -> Result<Self, ApiError> {
        let account = signed_in.stored_account(users).await?;
        let settings = Settings::of(Some(&account), &*signed_in.session.try_data()?);
        let activity = recent(signed_in, sessions, EVENTS).await?;
        let record = signed_in.session.record();
        let data = record.as_ref().map(typed_data).unwrap_or_default();
        Ok(Self {
            exported_at: users.now(),
            settings,
            account: account.user.into(),
            devices: all_devices(signed_in, sessions).await?,
            // Data that is not JSON is shown as a string.
            session_data: from_str(&data).unwrap_or_else(|_| Value::String(data.into_owned())),
            activity: activity.map(|events| events.into_iter().map(Activity::from).collect()),
        })
    }
}

/// Returns all of the user's devices.
async fn all_devices(
    signed_in: &SignedIn,
    sessions: &UserSessions,
) -> Result<Vec<DeviceView>, ApiError> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = devices(signed_in, sessions, DEVICES, after).await?;
        let view = |session| DeviceView::of(session, &signed_in.handle);
        all.extend(page.sessions.into_iter().map(view));
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// Exports what is stored about the user.
#[utoipa::path(
    get, path = "/export", operation_id = "exportAccount", tag = "account",
    responses(
        (status = 200, description = "What is stored about the user", body = Export),
        ForUsers, Stored,
    ),
    security(("session" = [])),
)]
#[get("/export")]
async fn export(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
) -> Answer<Export> {
    Ok(Json(Export::of(&signed_in, users, sessions).await?))
}

#[derive(OpenApi)]
#[openapi(paths(export))]
pub(crate) struct Paths;

pub(crate) fn routes() -> Vec<Route> {
    routes![export]
}
