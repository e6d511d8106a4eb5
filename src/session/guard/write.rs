//! Changes of a session's data: [`Session::update`](crate::session::Session::update) and related
//! methods.

use std::any::type_name;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use super::Inner;
use crate::session::codec::{self, Codec, Reading, TypedData};
use crate::session::config::OnUndecodable;
use crate::session::cookie::token::Token;
use crate::session::error::SessionError;
use crate::session::expiry::is_expired;
use crate::session::observe::seldom::Seldom;
use crate::session::pipeline::{Apply, Change};
use crate::session::request::slot::undecodable;
use crate::store::SessionRecord;

/// Determines when a visitor without a session gets one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum Make {
    /// Only if the data differs from `D::default()`.
    WhenChanged,
    /// In any case.
    Always,
}

/// Determines which state of the stored data a change may be applied to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Requires {
    Nothing,
    /// The data that this request has seen: that of this version, or of none that is stored.
    Seen(Option<i64>),
}

impl Requires {
    fn check(self, current: &SessionRecord) -> Result<(), SessionError> {
        match self {
            Self::Seen(version) if version != Some(current.version) => Err(SessionError::Stale),
            _ => Ok(()),
        }
    }
}

impl<D: TypedData> Inner<D> {
    /// Applies `change` to the newest data and stores the result in the session, or in a new one.
    pub(in crate::session) async fn write<R: Send + 'static>(
        &self,
        change: impl FnMut(D) -> (Option<Arc<D>>, R) + Send + 'static,
    ) -> Result<R, SessionError> {
        let _turn = self.turn().await?;
        let now = self.shared().clock.now();
        match self.writable(now)? {
            Some(record) => self.change(record, now, Requires::Nothing, change).await,
            None => self.create(now, Make::WhenChanged, change).await,
        }
    }

    /// Replaces the data, unless it was changed since this request last saw it.
    pub(in crate::session) async fn replace(&self, data: D) -> Result<(), SessionError> {
        let _turn = self.turn().await?;
        let now = self.shared().clock.now();
        let data = Arc::new(data);
        let change = move |_| (Some(Arc::clone(&data)), ());
        match self.writable(now)? {
            Some(record) => {
                let seen = self.state().seen_version();
                self.change(record, now, Requires::Seen(seen), change).await
            }
            None => self.create(now, Make::WhenChanged, change).await,
        }
    }

    /// Creates the session if there is none.
    pub(in crate::session) async fn start(&self) -> Result<(), SessionError> {
        let _turn = self.turn().await?;
        let now = self.shared().clock.now();
        if self.writable(now)?.is_some() {
            return Ok(());
        }
        let unchanged = |data| (Some(Arc::new(data)), ());
        self.create(now, Make::Always, unchanged).await
    }

    /// Returns the stored session, or `None` if there is none. A session that has expired since it
    /// was loaded is not written to, because other requests may have been refused it.
    fn writable(&self, now: DateTime<Utc>) -> Result<Option<Arc<SessionRecord>>, SessionError> {
        let record = self.record()?;
        if record
            .as_ref()
            .is_some_and(|record| is_expired(record, now))
        {
            self.state().found_ended();
            return Err(SessionError::Ended);
        }
        match self.undecodable() {
            Some(error) => Err(error),
            None => Ok(record),
        }
    }

    async fn create<R>(
        &self,
        now: DateTime<Utc>,
        make: Make,
        mut change: impl FnMut(D) -> (Option<Arc<D>>, R),
    ) -> Result<R, SessionError> {
        let shared = self.shared();
        let default = D::default();
        // As a row, because a row has the version of the type.
        let before = self.codec.encode(&default, shared.max_data_size)?;
        let (data, result) = timed(&mut change, default);
        let Some(data) = data else {
            return Ok(result);
        };
        let json = self.codec.encode(&*data, shared.max_data_size)?;
        if make == Make::WhenChanged && json == before {
            self.state().data = data;
            return Ok(result);
        }
        self.state().check_open()?;
        let token = Token::generate(now)?;
        let new = self.new_session(&token, None, json, now);
        let untold = shared
            .pipeline
            .create(new.clone(), self.context.of_event())
            .await?;
        let record = new.into_record();
        self.state().created(record, data, token, untold)?;
        Ok(result)
    }

    async fn change<R: Send + 'static>(
        &self,
        record: Arc<SessionRecord>,
        now: DateTime<Utc>,
        requires: Requires,
        mut change: impl FnMut(D) -> (Option<Arc<D>>, R) + Send + 'static,
    ) -> Result<R, SessionError> {
        let shared = self.shared();
        let (codec, limit) = (Arc::clone(&self.codec), shared.max_data_size);
        let is_kept = shared.on_undecodable == OnUndecodable::Keep;
        // The result of the closure's last run, which is the one that was committed.
        let made = Arc::new(Mutex::new(None));
        let apply: Apply = {
            let made = Arc::clone(&made);
            Box::new(move |current| {
                requires.check(current)?;
                let read = || read(&codec, current, is_kept);
                let Reading { data, origin } = read()?;
                let before = codec::to_json(&data)?;
                let (data, result) = timed(&mut change, data);
                let (data, json) = match data {
                    Some(data) => {
                        let json = codec.write(&origin, &before, &*data, limit)?;
                        (data, json)
                    }
                    // The closure's changes are dropped.
                    None => (Arc::new(read()?.data), None),
                };
                *made.lock() = Some((data, result));
                Ok(json.map_or(Change::Unchanged, Change::Data))
            })
        };
        let updated = shared.pipeline.update(record, now, apply);
        let Some(updated) = updated.await? else {
            self.state().found_ended();
            return Err(SessionError::Ended);
        };
        let made = made.lock().take();
        // `update` returns a record only after it has applied the closure.
        let (data, result) = made.ok_or(SessionError::Timeout)?;
        let mut record = updated.record;
        shared.expiry.apply(&mut record);
        self.state().updated(record, data, updated.is_overtaken);
        Ok(result)
    }
}

/// Reads a row. With `is_kept`, data that cannot be decoded is put aside.
fn read<'r, D: TypedData>(
    codec: &Codec<D>,
    record: &'r SessionRecord,
    is_kept: bool,
) -> Result<Reading<'r, D>, SessionError> {
    match codec.read(&record.data) {
        Err(_) if is_kept => Ok(Reading::in_place_of(&record.data)),
        read => read.map_err(|fault| undecodable(record, fault)),
    }
}

/// Duration from which a closure counts as slow: other jobs of its worker wait for it.
const SLOW: Duration = Duration::from_millis(10);

/// Runs a closure and logs a warning about a slow one, at most once a minute.
fn timed<D, R>(change: &mut impl FnMut(D) -> (Option<Arc<D>>, R), data: D) -> (Option<Arc<D>>, R) {
    static WARNED: Seldom = Seldom::new();
    let start = Instant::now();
    let changed = change(data);
    let took = start.elapsed();
    if took >= SLOW && WARNED.is_due(start) {
        tracing::warn!(
            "a closure that changes the data {} has run for {took:?}: other sessions wait for it; \
             let it do no more than change the data",
            type_name::<D>()
        );
    }
    changed
}
