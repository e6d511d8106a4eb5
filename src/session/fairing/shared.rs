//! The state that the fairing sets up once and all requests share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rocket::data::ByteUnit;

use crate::session::admin::SessionAdmin;
use crate::session::clock::Clock;
use crate::session::codec::Codec;
use crate::session::config::OnUndecodable;
use crate::session::config::transport::Transport;
use crate::session::cookie::device::Devices;
use crate::session::cookie::policy::CookiePolicy;
use crate::session::cookie::seal::Seal;
use crate::session::expiry::ExpiryPolicy;
use crate::session::expiry::policies::Policies;
use crate::session::observe::archive::Archive;
use crate::session::observe::monitor::Monitor;
use crate::session::pipeline::Pipeline;
use crate::session::user_sessions::UserSessions;
use crate::store::SessionLimit;

pub(crate) struct Shared {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) transport: Transport,
    /// Signs and verifies cookies.
    pub(crate) seal: Seal,
    pub(crate) bearer_seal: Seal,
    /// The kind of session. Empty for the kind without a name.
    pub(crate) kind: String,
    pub(crate) cookie: CookiePolicy,
    /// Knows browsers again, if `known_devices` is set.
    pub(crate) devices: Option<Devices>,
    /// The value of `Clear-Site-Data` in the response to a logout.
    pub(crate) clear_site_data: Option<String>,
    pub(crate) expiry: ExpiryPolicy,
    /// The timeouts of all kinds in the store.
    pub(crate) policies: Arc<Policies>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) max_data_size: ByteUnit,
    pub(crate) on_undecodable: OnUndecodable,
    pub(crate) session_limit: SessionLimit,
    /// The time after a sign-in during which the guard `Fresh` accepts the user.
    pub(crate) fresh_for: Duration,
    /// How often the store is asked whether watched sessions are still live.
    pub(crate) watch_interval: Duration,
    /// The record of events, if there is one. After `pipeline`, whose workers still cause events
    /// while it is dropped.
    pub(crate) archive: Option<Arc<Archive>>,
}

/// The data types of the attached sessions, for error messages.
#[derive(Default)]
pub(crate) struct AttachedTypes(pub(crate) Mutex<Vec<&'static str>>);

/// The sessions with data of type `D` that are attached to a Rocket. It is managed state:
/// `&State<Attached<D>>`.
///
/// # Example
///
/// ```
/// use rocket::{State, delete};
/// use rocket::serde::{Deserialize, Serialize};
/// use rocket_diesel_sessions::{Attached, SessionError};
///
/// #[derive(Default, Serialize, Deserialize)]
/// #[serde(crate = "rocket::serde", default)]
/// struct Staff {
///     desk: u32,
/// }
///
/// #[delete("/staff/<id>/sessions")]
/// async fn end(id: i64, staff: &State<Attached<Staff>>) -> Result<String, SessionError> {
///     let ended = staff.users().revoke_all(id).await?;
///     Ok(format!("{ended} sessions ended"))
/// }
/// ```
pub struct Attached<D> {
    pub(crate) shared: Arc<Shared>,
    admin: SessionAdmin,
    users: UserSessions,
    pub(crate) codec: Arc<Codec<D>>,
}

impl<D> Attached<D> {
    pub(crate) fn new(shared: Shared, codec: Arc<Codec<D>>) -> Self {
        let (pipeline, clock) = (Arc::clone(&shared.pipeline), Arc::clone(&shared.clock));
        Self {
            admin: SessionAdmin::new(
                pipeline,
                clock,
                Arc::clone(&shared.policies),
                shared.archive.clone(),
            ),
            users: UserSessions::of(&shared),
            shared: Arc::new(shared),
            codec,
        }
    }

    /// Returns the name of this kind of session; empty for the kind without a name.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::{State, get};
    /// use rocket_diesel_sessions::Attached;
    ///
    /// #[get("/kind")]
    /// fn kind(sessions: &State<Attached<Vec<String>>>) -> String {
    ///     sessions.kind().to_owned()
    /// }
    /// ```
    pub fn kind(&self) -> &str {
        &self.shared.kind
    }

    /// Returns the administration of the store that holds this kind's sessions. It covers all kinds
    /// in that store.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::{State, get};
    /// use rocket_diesel_sessions::Attached;
    ///
    /// #[get("/metrics/staff")]
    /// fn metrics(staff: &State<Attached<Vec<String>>>) -> String {
    ///     staff.admin().metrics()
    /// }
    /// ```
    pub fn admin(&self) -> &SessionAdmin {
        &self.admin
    }

    /// Returns the sessions of this kind by their users.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::{State, get};
    /// use rocket_diesel_sessions::{Attached, SessionError};
    ///
    /// #[get("/staff/<id>/devices")]
    /// async fn devices(
    ///     id: i64,
    ///     staff: &State<Attached<Vec<String>>>,
    /// ) -> Result<String, SessionError> {
    ///     Ok(format!("{} devices", staff.users().list(id).await?.len()))
    /// }
    /// ```
    pub fn users(&self) -> &UserSessions {
        &self.users
    }
}

impl<D> fmt::Debug for Attached<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached")
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}
