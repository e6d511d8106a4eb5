//! The forms that change the settings of the account.

use rocket::serde::Deserialize;
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::UserSessions;

use super::page::{Refused, show};
use super::{PATH, done};
use crate::accounts::settings::{Settings, SettingsPatch};
use crate::accounts::users::Users;
use crate::guards::signed_in::SignedIn;
use crate::http::body::Form;
use crate::http::error::ApiError;
use crate::http::next::SentFrom;
use crate::pages::notice::Notice;
use crate::pages::page::{Page, PageResult};
use crate::session_data::{Entered, Theme};

/// The card with the form, as it is filled in and as it was first shown.
pub(super) struct SettingsCard {
    pub(super) display_name: String,
    pub(super) theme: String,
    pub(super) shown_display_name: String,
    pub(super) shown_theme: String,
    pub(super) problem: Option<String>,
}

impl SettingsCard {
    /// Returns every theme, in the order of the choices.
    #[expect(clippy::unused_self, reason = "the template calls it on the card")]
    pub(super) fn themes(&self) -> [Theme; 3] {
        Theme::ALL
    }
}

impl From<Settings> for SettingsCard {
    fn from(settings: Settings) -> Self {
        let name = settings.display_name.unwrap_or_default();
        let theme = settings.theme.name().to_owned();
        Self {
            display_name: name.clone(),
            theme: theme.clone(),
            shown_display_name: name,
            shown_theme: theme,
            problem: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct SettingsForm {
    display_name: String,
    theme: String,
    shown_display_name: Option<String>,
    shown_theme: Option<String>,
}

#[post("/account/settings", data = "<form>")]
async fn settings(
    signed_in: SignedIn,
    users: &State<Users>,
    sessions: &State<UserSessions>,
    form: Form<SettingsForm>,
) -> PageResult {
    let Form(form) = form;
    let entered = Entered {
        display_name: Some(&form.display_name),
        theme: Some(&form.theme),
    };
    let shown = Entered {
        display_name: form.shown_display_name.as_deref(),
        theme: form.shown_theme.as_deref(),
    };
    match SettingsPatch::from_form(entered, shown) {
        Ok(patch) => {
            users.change_settings(&signed_in.user_id, patch).await?;
            done(&signed_in.session, Notice::SettingsSaved).await
        }
        Err(problem) => {
            let error = ApiError::unprocessable(problem);
            let card = SettingsCard {
                problem: Some(error.in_words().to_owned()),
                display_name: form.display_name,
                theme: form.theme,
                shown_display_name: form.shown_display_name.unwrap_or_default(),
                shown_theme: form.shown_theme.unwrap_or_default(),
            };
            let refused = Refused::Settings(&error, card);
            show(&signed_in, users, sessions, None, Some(refused)).await
        }
    }
}

#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct ThemeForm {
    theme: String,
}

/// Changes the theme alone. The form is in the menu of every page.
#[post("/account/theme", data = "<form>")]
async fn theme(
    signed_in: SignedIn,
    users: &State<Users>,
    from: SentFrom,
    form: Form<ThemeForm>,
) -> PageResult {
    let Form(form) = form;
    let theme = Theme::from_name(&form.theme).map_err(|error| {
        ApiError::unprocessable(error).in_other_words("Choose one of the themes of the menu.")
    })?;
    let patch = SettingsPatch::of_theme(theme);
    users.change_settings(&signed_in.user_id, patch).await?;
    Ok(Page::NextWith(from.0.path().to_owned()))
}

/// Leads the addresses of the forms, when they are typed or reloaded, to their page.
#[get("/account/settings")]
fn settings_page() -> Page {
    Page::Next(PATH)
}

#[get("/account/theme")]
fn theme_page() -> Page {
    Page::Next(PATH)
}

pub(super) fn routes() -> Vec<Route> {
    routes![settings, settings_page, theme, theme_page]
}
