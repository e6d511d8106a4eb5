//! The settings of visitors. Those of a user belong to the account, those of a stranger to the session.

use rocket::serde::Serialize;
use rocket::serde::json::Value;
use rocket_diesel_sessions::store::{SettingsChange, UserRecord, UserSettings};
use rocket_diesel_sessions::{Session, SessionError, UserId};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::users::Users;
use crate::session_data::{DataPatch, Entered, SessionData, Theme, merge_patch};

/// A user with the settings as they are stored.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) user: UserRecord,
    /// A display name that the user has removed is empty. It is not the same as one never set.
    stored: UserSettings,
}

/// The settings that hold for a visitor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The name by which pages greet the visitor.
    #[schema(required)]
    pub(crate) display_name: Option<String>,
    pub(crate) theme: Theme,
}

impl Settings {
    /// Returns the settings of an account, or those of the session for a stranger. What an account
    /// does not have comes from the session, where earlier versions kept everyone's.
    pub(crate) fn of(account: Option<&Account>, data: &SessionData) -> Self {
        let stored = account.map(|account| &account.stored);
        let name = stored.and_then(|stored| stored.display_name.clone());
        let theme = stored.and_then(|stored| stored.theme.as_deref());
        Self {
            display_name: match name {
                Some(name) => Some(name).filter(|name| !name.is_empty()),
                None => data.display_name.clone(),
            },
            // A later version may know more themes.
            theme: theme.map_or(data.theme, |name| {
                Theme::from_name(name).unwrap_or_default()
            }),
        }
    }
}

/// A change of a user's settings, as defined by JSON Merge Patch (RFC 7396).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SettingsPatch(DataPatch);

/// Describes what [`SettingsPatch::from_json`] takes.
impl PartialSchema for SettingsPatch {
    fn schema() -> RefOr<Schema> {
        merge_patch(ObjectBuilder::new()).into()
    }
}

impl ToSchema for SettingsPatch {}

impl SettingsPatch {
    /// Reads a change from a JSON object.
    ///
    /// # Errors
    /// The reason, if the body is not an object, or a field or its value is not allowed.
    pub(crate) fn from_json(body: Value) -> Result<Self, String> {
        let mut fields = body.as_object().into_iter().flat_map(|body| body.keys());
        if let Some(name) = fields.find(|name| !["displayName", "theme"].contains(&name.as_str())) {
            return Err(format!(
                "{name:?} is not a setting; allowed are displayName and theme"
            ));
        }
        DataPatch::from_json(body).map(Self)
    }

    /// Reads a change from a form, see [`DataPatch::from_form`].
    ///
    /// # Errors
    /// The reason, if a field is missing or its value is not allowed.
    pub(crate) fn from_form(entered: Entered<'_>, shown: Entered<'_>) -> Result<Self, String> {
        DataPatch::from_form(entered, shown).map(Self)
    }

    /// Returns a change of the theme alone.
    pub(crate) fn of_theme(theme: Theme) -> Self {
        Self(DataPatch {
            theme: Some(Some(theme)),
            ..DataPatch::default()
        })
    }

    /// Returns the fields to store. Those that are reset are written too, as their defaults.
    fn into_stored(self) -> UserSettings {
        let mut stored = UserSettings::default();
        stored.display_name = self.0.display_name.map(Option::unwrap_or_default);
        let name = |theme: Option<Theme>| theme.unwrap_or_default().name().to_owned();
        stored.theme = self.0.theme.map(name);
        stored
    }
}

impl From<DataPatch> for SettingsPatch {
    fn from(patch: DataPatch) -> Self {
        Self(patch)
    }
}

impl Users {
    /// Returns the user with this id and the user's settings.
    pub(crate) async fn account(&self, id: &UserId) -> Result<Option<Account>, SessionError> {
        let id = id.clone();
        let found = self.run(move |store| store.user_with_settings(&id)).await?;
        Ok(found.map(|(user, stored)| Account { user, stored }))
    }

    /// Changes the settings of a user.
    ///
    /// # Errors
    /// When the store fails, or the user was deleted a moment ago.
    pub(crate) async fn change_settings(
        &self,
        id: &UserId,
        patch: SettingsPatch,
    ) -> Result<(), SessionError> {
        let change = SettingsChange::new(patch.into_stored(), self.now());
        let id = id.clone();
        let found = self.run(move |store| store.change_settings(&id, &change));
        if found.await? {
            Ok(())
        } else {
            Err(SessionError::Ended)
        }
    }
}

/// Gives an account the settings of its session that it does not have. If that fails, the user is
/// signed in all the same, and pages take them from the session.
pub(super) async fn adopt(users: &Users, session: &Session<SessionData>, id: &UserId) {
    let data = session.try_data().unwrap_or_default();
    let mut stored = UserSettings::default();
    stored.display_name = data.display_name.clone();
    if data.theme != Theme::default() {
        stored.theme = Some(data.theme.name().to_owned());
    }
    if stored == UserSettings::default() {
        return;
    }
    let mut change = SettingsChange::new(stored, users.now());
    change.only_unset = true;
    let id = id.clone();
    if let Err(error) = users
        .run(move |store| store.change_settings(&id, &change))
        .await
    {
        tracing::warn!("the settings of a session were not adopted: {error}");
    }
}

#[cfg(test)]
mod tests {
    use rocket::serde::json::from_str;

    use super::*;

    fn account(display_name: Option<&str>, theme: Option<&str>) -> Account {
        let mut stored = UserSettings::default();
        stored.display_name = display_name.map(str::to_owned);
        stored.theme = theme.map(str::to_owned);
        Account {
            user: UserRecord::new("ada", "ada", chrono::DateTime::UNIX_EPOCH),
            stored,
        }
    }

    #[test]
    fn the_account_comes_first_and_the_session_fills_what_it_lacks() {
        let mut data = SessionData::default();
        (data.display_name, data.theme) = (Some("Stranger".to_owned()), Theme::Dark);
        let of = |account: Option<&Account>| {
            let settings = Settings::of(account, &data);
            (settings.display_name, settings.theme)
        };
        let stranger = (Some("Stranger".to_owned()), Theme::Dark);
        assert_eq!(of(None), stranger);
        assert_eq!(of(Some(&account(None, None))), stranger);
        let set = account(Some("Ada"), Some("light"));
        assert_eq!(of(Some(&set)), (Some("Ada".to_owned()), Theme::Light));
        let reset = account(Some(""), Some("system"));
        assert_eq!(of(Some(&reset)), (None, Theme::System));
        let later = account(None, Some("sepia"));
        assert_eq!(of(Some(&later)).1, Theme::System);
    }

    #[test]
    fn a_patch_stores_what_it_has_and_resets_explicitly() {
        for (patch, name, theme) in [
            ("{}", None, None),
            (r#"{"theme":"dark"}"#, None, Some("dark")),
            (
                r#"{"theme":null,"displayName":null}"#,
                Some(""),
                Some("system"),
            ),
            (r#"{"displayName":"Ada"}"#, Some("Ada"), None),
        ] {
            let patch = SettingsPatch::from_json(from_str(patch).unwrap()).unwrap();
            assert_eq!(patch.into_stored(), account(name, theme).stored);
        }
        for (patch, reason) in [
            (r#"{"visitCount":1}"#, "visitCount"),
            (r#"{"isAdmin":true}"#, "isAdmin"),
            (r#"{"theme":"neon"}"#, "theme"),
            (r#"{"displayName":""}"#, "displayName"),
            ("[]", "object"),
        ] {
            let error = SettingsPatch::from_json(from_str(patch).unwrap()).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
