//! A message that a page shows once, after the redirect that follows a form.
//!
//! It waits in the session's data as a code, not as a text, and the first page to be shown takes
//! it out. An instance that does not know a code shows nothing.

use super::data::SessionData;
use crate::{Session, SessionError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Welcome,
    SettingsSaved,
    PasswordChanged,
    DeviceSignedOut,
    OthersSignedOut,
    SessionEnded,
    SessionWasGone,
    Swept,
    AllEnded,
}

impl Notice {
    const ALL: [Self; 9] = [
        Self::Welcome,
        Self::SettingsSaved,
        Self::PasswordChanged,
        Self::DeviceSignedOut,
        Self::OthersSignedOut,
        Self::SessionEnded,
        Self::SessionWasGone,
        Self::Swept,
        Self::AllEnded,
    ];

    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::SettingsSaved => "settings_saved",
            Self::PasswordChanged => "password_changed",
            Self::DeviceSignedOut => "device_signed_out",
            Self::OthersSignedOut => "others_signed_out",
            Self::SessionEnded => "session_ended",
            Self::SessionWasGone => "session_was_gone",
            Self::Swept => "swept",
            Self::AllEnded => "all_ended",
        }
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Welcome => "Welcome! Your account is ready.",
            Self::SettingsSaved => "Your settings are saved.",
            Self::PasswordChanged => {
                "Your password is changed, and all your other devices are signed out."
            }
            Self::DeviceSignedOut => "That device is signed out.",
            Self::OthersSignedOut => "All your other devices are signed out.",
            Self::SessionEnded => "That session has ended.",
            Self::SessionWasGone => "That session had ended already.",
            Self::Swept => "Expired sessions are deleted.",
            Self::AllEnded => "All sessions have ended.",
        }
    }

    /// Leaves the notice for the next page.
    pub(super) fn leave(self, data: &mut SessionData) {
        data.notice = Some(self.code().to_owned());
    }

    /// The notice that this page is to show; no other page will.
    pub(super) async fn take(session: &Session<SessionData>) -> Result<Option<Self>, SessionError> {
        // Data that cannot be decoded leaves the visitor the pages for signing in and out.
        if session
            .try_data()
            .map_or(true, |data| data.notice.is_none())
        {
            return Ok(None);
        }
        let code = match session.update(|data| data.notice.take()).await {
            Ok(code) => code,
            // By another request: the page says what it saw.
            Err(SessionError::Ended) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(code.as_deref().and_then(Self::from_code))
    }

    pub(super) fn from_code(code: &str) -> Option<Self> {
        let is_meant = |notice: &Self| notice.code() == code;
        Self::ALL.into_iter().find(is_meant)
    }
}
