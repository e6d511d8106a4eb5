//! The page itself.

use askama::Template;
use chrono::{DateTime, Utc};
use rocket::http::Status;
use rocket::{Route, State, get, routes};
use rocket_diesel_sessions::UserSessions;
use rocket_diesel_sessions::store::UserRecord;
use uuid::Uuid;

use super::PATH;
use super::device::{Device, DeviceGroup};
use super::settings::SettingsCard;
use crate::accounts::settings::Settings;
use crate::accounts::users::Users;
use crate::api::account::devices;
use crate::api::activity::recent;
use crate::api::query;
use crate::guards::signed_in::SignedIn;
use crate::http::error::ApiError;
use crate::pages::activity::{self, ActivityLine};
use crate::pages::filters;
use crate::pages::frame::Frame;
use crate::pages::page::{Page, PageResult};

#[derive(Template)]
#[template(path = "account/page.html")]
struct AccountPage<'a> {
    frame: Frame,
    now: DateTime<Utc>,
    user: &'a UserRecord,
    /// The groups that are shown at once.
    groups: Vec<DeviceGroup>,
    /// The groups that are shown on demand.
    more: Vec<DeviceGroup>,
    /// The number of devices in those.
    more_devices: usize,
    /// The number of other devices on this page.
    others: usize,
    /// Whether this is the first page, with the devices that signed in last.
    is_first: bool,
    /// The cursor of the next page, with the devices that signed in before.
    next: Option<Uuid>,
    /// What has happened lately, on the first page and if events are recorded.
    activity: Option<Vec<ActivityLine>>,
    settings: SettingsCard,
    problem: Option<&'a str>,
    /// Whether the problem is the current password, and not the new one.
    is_current_wrong: bool,
}

impl AccountPage<'_> {
    /// Returns whether the page shows all devices.
    fn is_whole(&self) -> bool {
        self.is_first && self.next.is_none()
    }
}

/// The most devices on a page.
const DEVICES: u32 = 100;

/// How many groups of devices are shown at once.
const GROUPS: usize = 5;

/// A form of the page that was refused.
pub(super) enum Refused<'a> {
    /// The new password.
    Password(&'a ApiError),
    /// The settings, which the form still has.
    Settings(&'a ApiError, SettingsCard),
}

/// Renders the page. With `refused`, it says what was wrong with a form.
pub(super) async fn show(
    signed_in: &SignedIn,
    users: &Users,
    sessions: &UserSessions,
    after: Option<Uuid>,
    refused: Option<Refused<'_>>,
) -> PageResult {
    let account = signed_in.stored_account(users).await?;
    let now = users.now();
    let list = devices(signed_in, sessions, DEVICES, after).await?;
    let device = |session| Device::of(session, Some(&signed_in.handle));
    let devices: Vec<Device> = list.sessions.into_iter().map(device).collect();
    let others = devices.iter().filter(|device| !device.is_current).count();
    let mut groups = DeviceGroup::of(devices);
    let more = groups.split_off(groups.len().min(GROUPS));
    let activity = match after {
        None => recent(signed_in, sessions, activity::EVENTS).await?,
        Some(_) => None,
    };
    let activity = activity.map(|events| activity::lines(&events));
    let data = signed_in.session.try_data()?;
    let stored = Settings::of(Some(&account), &data).into();
    let (error, password, settings) = match refused {
        None => (None, None, stored),
        Some(Refused::Password(error)) => (Some(error), Some(error), stored),
        Some(Refused::Settings(error, card)) => (Some(error), None, card),
    };
    let page = AccountPage {
        frame: Frame::of_user(&signed_in.session, Some(&account))
            .await?
            .at(PATH),
        now,
        user: &account.user,
        groups,
        more_devices: more.iter().map(|group| group.devices.len()).sum(),
        more,
        others,
        is_first: after.is_none(),
        next: list.next,
        activity,
        settings,
        problem: password.map(ApiError::in_words),
        is_current_wrong: password
            .is_some_and(|error| error.status() != Status::UnprocessableEntity),
    };
    match error {
        Some(error) => Page::refused(error, &page),
        None => Page::show(&page),
    }
}

#[get("/account?<after>")]
async fn account(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    after: Option<&str>,
) -> PageResult {
    let after = query::after(after)?;
    show(&signed_in, users, sessions, after, None).await
}

pub(super) fn routes() -> Vec<Route> {
    routes![account]
}
