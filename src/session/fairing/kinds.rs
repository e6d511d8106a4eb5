//! The kinds of session that are attached to one Rocket, and the stores that they share.

use std::any::type_name;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rocket::fairing::{AdHoc, Fairing};

use super::answer::Answer;
use super::engine::Engine;
use super::source::{Origin, Source};
use crate::session::config::SessionConfig;
use crate::session::cookie::keys::SessionKeys;
use crate::session::error::{ConfigError, SetupError};

/// How many fairings may attach each other, the last of them a kind of session.
pub(super) const MAX_NESTED: u8 = 16;

/// The kinds of session that are attached to a Rocket, in the order of their ignition.
#[derive(Clone, Default)]
pub(super) struct Kinds {
    attached: Arc<Mutex<Vec<AttachedKind>>>,
    /// Whether a kind could not be set up, which has been logged.
    has_failed: Arc<AtomicBool>,
}

/// One kind of session, with what kinds attached later share with it.
#[derive(Clone)]
pub(super) struct AttachedKind {
    /// Its name; empty for the kind without one.
    pub(super) name: String,
    pub(super) type_name: &'static str,
    /// The names of its cookies, that of the session first.
    pub(super) cookies: Vec<String>,
    pub(super) config: SessionConfig,
    pub(super) keys: SessionKeys,
    pub(super) has_external_users: bool,
    pub(super) origin: Origin,
    pub(super) engine: Engine,
    /// Its part in responses.
    pub(super) answer: &'static dyn Answer,
}

impl Kinds {
    pub(super) fn add(&self, kind: AttachedKind) {
        self.attached.lock().push(kind);
    }

    /// Records that a kind could not be set up.
    pub(super) fn failed(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// Refuses a kind that shares its name, data type or a cookie with another.
    pub(super) fn check_unique<D>(&self, name: &str, cookies: &[String]) -> Result<(), SetupError> {
        let type_name = type_name::<D>();
        let twice = |what| Err(SetupError::AttachedTwice { what });
        for other in self.attached.lock().iter() {
            if other.type_name == type_name {
                return twice(format!("Sessions::<{type_name}>"));
            }
            if other.name == name {
                let what = match name {
                    "" => "the kind of session without a name".to_owned(),
                    name => format!("the kind of session {name:?}"),
                };
                return twice(what);
            }
            if let Some(cookie) = cookies.iter().find(|it| other.cookies.contains(it)) {
                let allowed = "is the name of another kind's cookie";
                let error = ConfigError::new(setting(name, "cookie.name"), cookie, allowed);
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Returns the parts of all kinds in a response if `name` is the kind attached last, and otherwise
    /// none.
    pub(super) fn answers_after(&self, name: &str) -> Vec<&'static dyn Answer> {
        let kinds = self.attached.lock();
        if kinds.last().is_none_or(|last| last.name != name) {
            return Vec::new();
        }
        kinds.iter().map(|kind| kind.answer).collect()
    }

    /// Returns the secrets of the kind that was attached first.
    pub(super) fn keys(&self) -> Option<SessionKeys> {
        self.attached.lock().first().map(|first| first.keys.clone())
    }

    /// Returns whether the kind that was attached first leaves the users to the application, in code.
    pub(super) fn has_external_users(&self) -> bool {
        let attached = self.attached.lock();
        attached
            .first()
            .is_some_and(|first| first.has_external_users)
    }

    /// Returns the engine of an attached kind whose store a further kind shares: one over the same
    /// database, or one over a store or pool that was given in code, if the further kind has no
    /// source of its own.
    ///
    /// # Errors
    /// Fails if a setting of the store differs.
    pub(super) fn shared(
        &self,
        name: &str,
        source: &Source,
        config: &SessionConfig,
    ) -> Result<Option<Engine>, SetupError> {
        for other in self.attached.lock().iter() {
            if !source.is_same(&other.origin, config)? {
                continue;
            }
            if let Some(key) = config.differs_in_store(&other.config) {
                let problem = "is a setting of the store, which this kind of session shares with \
                               others; set it for all in [default.sessions]";
                return Err(ConfigError::unfit(setting(name, &key), problem).into());
            }
            return Ok(Some(other.engine.clone()));
        }
        Ok(None)
    }

    /// Returns a fairing that refuses sections of kinds that are not attached. A fairing that ignites
    /// may attach others, which ignite after all that were attached before. So it puts off a refusal
    /// until kinds that are attached in this way have ignited.
    pub(super) fn check_sections(&self, put_off: u8) -> impl Fairing {
        let kinds = self.clone();
        AdHoc::try_on_ignite("Kinds of session", move |rocket| async move {
            let attached: Vec<String> = kinds
                .attached
                .lock()
                .iter()
                .map(|k| k.name.clone())
                .collect();
            let sections = SessionConfig::kinds(rocket.figment());
            match sections.into_iter().find(|kind| !attached.contains(kind)) {
                // The section may be that of a kind that could not be set up.
                _ if kinds.has_failed.load(Ordering::Relaxed) => Ok(rocket),
                None => Ok(rocket),
                Some(_) if put_off > 0 => Ok(rocket.attach(kinds.check_sections(put_off - 1))),
                Some(kind) => {
                    let named = |name: &String| match name.as_str() {
                        "" => "the one without a name".to_owned(),
                        name => format!("{name:?}"),
                    };
                    let attached = attached.iter().map(named).collect();
                    let error = SetupError::UnknownKind { kind, attached };
                    tracing::error!("sessions: {error}");
                    Err(rocket)
                }
            }
        })
    }
}

/// Returns the name of a kind's setting.
fn setting(kind: &str, key: &str) -> String {
    match kind {
        "" => format!("sessions.{key}"),
        kind => format!("sessions.{kind}.{key}"),
    }
}
