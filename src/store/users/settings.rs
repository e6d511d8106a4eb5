//! What users set for themselves.

use chrono::{DateTime, Utc};

/// The settings of a user. They belong to the account: they hold in all sessions of the user and go
/// with the user. The library stores the texts as they are; the application says what they mean.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::UserSettings;
///
/// let mut settings = UserSettings::default();
/// settings.theme = Some("dark".to_owned());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserSettings {
    /// The name by which pages greet the user. `None` until it is set.
    pub display_name: Option<String>,
    /// The theme of the pages. `None` until it is set.
    pub theme: Option<String>,
}

/// A change of a user's settings. The fields that it does not set stay as they are, so two changes of
/// different fields can be made at the same time.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::store::{SettingsChange, UserSettings};
///
/// let mut settings = UserSettings::default();
/// settings.theme = Some("dark".to_owned());
/// let change = SettingsChange::new(settings, chrono::Utc::now());
/// assert!(!change.only_unset);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettingsChange {
    /// The new values.
    pub settings: UserSettings,
    /// Whether only fields are written that the user has never set. Default `false`.
    pub only_unset: bool,
    /// The time of the change.
    pub now: DateTime<Utc>,
}

impl SettingsChange {
    /// Creates a change that sets the fields which `settings` has.
    pub fn new(settings: UserSettings, now: DateTime<Utc>) -> Self {
        Self {
            settings,
            only_unset: false,
            now,
        }
    }
}
