//! The notice that a page shows once, after the redirect that follows a form.
//!
//! It waits in the data of the session as a code, and the next page takes it out. An instance that does
//! not know the code shows nothing. Without a session, the code is in the address, signed and valid for a
//! minute ([`Marks`]).

use std::sync::Arc;

use chrono::TimeDelta;
use rocket_diesel_sessions::{Clock, Session, SessionError, SessionKeys};

use crate::session_data::SessionData;

/// A notice of what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Welcome,
    SettingsSaved,
    PasswordChanged,
    DeviceSignedOut,
    DevicesSignedOut,
    DeviceWasGone,
    OthersSignedOut,
    SessionEnded,
    SessionWasGone,
    SessionsEnded,
    NothingSelected,
    AddressEnded,
    Swept,
    AllEnded,
    AccountDeleted,
    OwnEnded,
    UserPromoted,
    UserDemoted,
    UserDisabled,
    UserEnabled,
    UserSignedOut,
    UserDeleted,
    UserUnchanged,
    UserWasGone,
}

impl Notice {
    const ALL: [Self; 24] = [
        Self::Welcome,
        Self::SettingsSaved,
        Self::PasswordChanged,
        Self::DeviceSignedOut,
        Self::DevicesSignedOut,
        Self::DeviceWasGone,
        Self::OthersSignedOut,
        Self::SessionEnded,
        Self::SessionWasGone,
        Self::SessionsEnded,
        Self::NothingSelected,
        Self::AddressEnded,
        Self::Swept,
        Self::AllEnded,
        Self::AccountDeleted,
        Self::OwnEnded,
        Self::UserPromoted,
        Self::UserDemoted,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::UserSignedOut,
        Self::UserDeleted,
        Self::UserUnchanged,
        Self::UserWasGone,
    ];

    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::SettingsSaved => "settings_saved",
            Self::PasswordChanged => "password_changed",
            Self::DeviceSignedOut => "device_signed_out",
            Self::DevicesSignedOut => "devices_signed_out",
            Self::DeviceWasGone => "device_was_gone",
            Self::OthersSignedOut => "others_signed_out",
            Self::SessionEnded => "session_ended",
            Self::SessionWasGone => "session_was_gone",
            Self::SessionsEnded => "sessions_ended",
            Self::NothingSelected => "nothing_selected",
            Self::AddressEnded => "address_ended",
            Self::Swept => "swept",
            Self::AllEnded => "all_ended",
            Self::AccountDeleted => "account_deleted",
            Self::OwnEnded => "own_ended",
            Self::UserPromoted => "user_promoted",
            Self::UserDemoted => "user_demoted",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::UserSignedOut => "user_signed_out",
            Self::UserDeleted => "user_deleted",
            Self::UserUnchanged => "user_unchanged",
            Self::UserWasGone => "user_was_gone",
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Welcome => "Welcome! Your account is ready.",
            Self::SettingsSaved => "Your settings are saved.",
            Self::PasswordChanged => {
                "Your password is changed, and all your other devices are signed out."
            }
            Self::DeviceSignedOut => "That device is signed out.",
            Self::DevicesSignedOut => "Those devices are signed out.",
            Self::DeviceWasGone => "That device was signed out already.",
            Self::OthersSignedOut => "All your other devices are signed out.",
            Self::SessionEnded => "That session has ended.",
            Self::SessionWasGone => "That session had ended already.",
            Self::SessionsEnded => "Those sessions have ended.",
            Self::NothingSelected => "No session was selected, so none has ended.",
            Self::AddressEnded => "All sessions of that address have ended.",
            Self::Swept => "Expired sessions are deleted.",
            Self::AllEnded => "All sessions have ended.",
            Self::AccountDeleted => "Your account is deleted.",
            Self::OwnEnded => {
                "Your session has ended. Nothing is stored about you any more, and the cookie is gone."
            }
            Self::UserPromoted => "This user is an administrator now.",
            Self::UserDemoted => "This user is no longer an administrator.",
            Self::UserDisabled => "This user is disabled and signed out everywhere.",
            Self::UserEnabled => "This user can sign in again.",
            Self::UserSignedOut => "This user is signed out everywhere.",
            Self::UserDeleted => "The user is deleted.",
            Self::UserUnchanged => "Nothing was changed, because it had been done already.",
            Self::UserWasGone => "That user was deleted already.",
        }
    }

    /// Leaves the notice for the next page.
    pub(crate) fn leave(self, data: &mut SessionData) {
        data.notice = Some(self.code().to_owned());
    }

    /// Takes the notice that waits, for this page to show.
    pub(crate) async fn take(session: &Session<SessionData>) -> Result<Option<Self>, SessionError> {
        // If the data cannot be decoded, the visitor can still open the pages for signing in and out.
        if session
            .try_data()
            .map_or(true, |data| data.notice.is_none())
        {
            return Ok(None);
        }
        let code = match session.update(|data| data.notice.take()).await {
            Ok(code) => code,
            // Ended by another request. The page shows what this one has loaded.
            Err(SessionError::Ended) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(code.as_deref().and_then(Self::from_code))
    }

    fn from_code(code: &str) -> Option<Self> {
        let is_meant = |notice: &Self| notice.code() == code;
        Self::ALL.into_iter().find(is_meant)
    }
}

/// How long a mark is valid: enough for a redirect and a reload.
const MARK_LIFE: TimeDelta = TimeDelta::minutes(1);

/// Signs the notices in addresses, so that no link can make a page report what did not happen.
pub(crate) struct Marks {
    keys: SessionKeys,
    clock: Arc<dyn Clock>,
}

impl Marks {
    pub(crate) fn new(keys: SessionKeys, clock: Arc<dyn Clock>) -> Self {
        Self { keys, clock }
    }

    /// Returns the mark of a notice for a query: its code, the time and a signature.
    pub(crate) fn mark(&self, notice: Notice) -> String {
        let text = format!("{}.{}", notice.code(), self.clock.now().timestamp());
        let signature = self.keys.sign_text(&signed(&text));
        format!("{text}.{signature}")
    }

    /// Returns the notice of a mark that was made here within the last minute.
    pub(crate) fn read(&self, mark: &str) -> Option<Notice> {
        let (text, signature) = mark.rsplit_once('.')?;
        let (code, seconds) = text.rsplit_once('.')?;
        let age = self.clock.now().timestamp() - seconds.parse::<i64>().ok()?;
        let is_fresh = (-MARK_LIFE.num_seconds()..=MARK_LIFE.num_seconds()).contains(&age);
        let is_ours = is_fresh && self.keys.verify_text(&signed(text), signature);
        is_ours.then(|| Notice::from_code(code)).flatten()
    }

    /// Returns whether an address carries a mark of this notice.
    pub(crate) fn shows(&self, mark: Option<&str>, notice: Notice) -> bool {
        mark.and_then(|mark| self.read(mark)) == Some(notice)
    }
}

/// Returns the text to sign. Nothing else that is signed with the secret begins like it.
fn signed(text: &str) -> String {
    format!("notice:{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocket_diesel_sessions::testing::ManualClock;

    #[test]
    fn a_mark_is_valid_for_a_minute_and_only_as_it_was_made() {
        let clock = Arc::new(ManualClock::starting_now());
        let keys = |secret: &str| SessionKeys::parse(&secret.repeat(8)).unwrap();
        let marks = Marks::new(keys("one secret"), clock.clone());
        let mark = marks.mark(Notice::AllEnded);
        assert_eq!(marks.read(&mark), Some(Notice::AllEnded));
        let later = mark.replace("all_ended.1", "all_ended.2");
        let other = mark.replace("all_ended", "swept");
        for forged in [
            "",
            "all_ended",
            "all_ended.",
            "..",
            &later,
            &other,
            &mark[1..],
        ] {
            assert_eq!(marks.read(forged), None, "{forged}");
        }
        let foreign = Marks::new(keys("another one"), clock.clone());
        assert_eq!(foreign.read(&mark), None);
        clock.advance(TimeDelta::seconds(59));
        assert_eq!(marks.read(&mark), Some(Notice::AllEnded));
        clock.advance(TimeDelta::seconds(2));
        assert_eq!(marks.read(&mark), None);
    }
}
