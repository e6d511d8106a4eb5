//! The frame of every page: theme, navigation and notice.

use rocket_diesel_sessions::Session;

use super::notice::Notice;
use crate::accounts::settings::{Account, Settings};
use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::session_data::{SessionData, Theme};

/// The frame of a page.
pub(super) struct Frame {
    pub(super) theme: Theme,
    /// The name by which the page greets the visitor, if there is one.
    pub(super) display_name: Option<String>,
    /// The address to which the page belongs, if the navigation has it.
    pub(super) at: &'static str,
    /// Whether the visitor is known. Otherwise, the page has no navigation.
    pub(super) is_known: bool,
    pub(super) username: Option<String>,
    pub(super) is_admin: bool,
    /// Whether visitors may register.
    pub(super) can_register: bool,
    pub(super) notice: Option<&'static str>,
}

impl Frame {
    /// Marks this address as the current one in the navigation.
    pub(super) fn at(self, at: &'static str) -> Self {
        Self { at, ..self }
    }

    /// Returns whether the page belongs to this address.
    pub(super) fn is_at(&self, address: &str) -> bool {
        self.at == address
    }

    /// Returns every theme, and whether it is that of the page.
    pub(super) fn themes(&self) -> [(Theme, bool); 3] {
        Theme::ALL.map(|theme| (theme, theme == self.theme))
    }

    /// Returns the version of the application, for the footer.
    #[expect(clippy::unused_self, reason = "templates call it on the frame")]
    pub(super) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// Returns the frame of a page that must not ask for the session.
    pub(super) fn of_no_one() -> Self {
        Self {
            theme: Theme::System,
            display_name: None,
            at: "",
            is_known: false,
            username: None,
            is_admin: false,
            can_register: false,
            notice: None,
        }
    }

    /// Returns the frame of a page for this visitor. Takes the notice that waits for the next page.
    pub(super) async fn of(
        session: &Session<SessionData>,
        users: &Users,
    ) -> Result<Self, ApiError> {
        let account = match session.user_id() {
            Some(id) => users.account(&id).await?,
            None => None,
        };
        let frame = Self::of_user(session, account.as_ref()).await?;
        let can_register = users.has_registration();
        Ok(Self {
            can_register,
            ..frame
        })
    }

    /// Returns the frame of a page for this user. Takes the notice that waits for the next page.
    pub(super) async fn of_user(
        session: &Session<SessionData>,
        account: Option<&Account>,
    ) -> Result<Self, ApiError> {
        let notice = Notice::take(session).await?;
        Ok(Self {
            notice: notice.map(Notice::text),
            ..Self::without_notice(session, account)
        })
    }

    /// Returns the frame of a page that leaves the notice to the next one.
    pub(super) fn without_notice(
        session: &Session<SessionData>,
        account: Option<&Account>,
    ) -> Self {
        let data = session.try_data().unwrap_or_default();
        let settings = Settings::of(account, &data);
        Self {
            theme: settings.theme,
            display_name: settings.display_name,
            at: "",
            is_known: true,
            username: account.map(|account| account.user.username.clone()),
            is_admin: account.is_some_and(|account| account.user.is_admin),
            can_register: false,
            notice: None,
        }
    }
}
