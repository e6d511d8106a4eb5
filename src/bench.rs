//! Internals for `benches/`. They are not part of the API and can change without notice.
#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::missing_errors_doc
)]

use std::sync::Arc;
use std::time::Duration;

use rocket::data::ToByteUnit;
use uuid::Uuid;

use crate::SessionError;
use crate::session::{
    Change, Clock, Codec, EventContext, Keeps, Monitor, Pipeline, PipelineOptions, Seal,
    SessionKeys, SystemClock, Token, TypedData, to_json,
};
use crate::store::{NewSession, SessionKey, SessionRecord, SessionStore, TokenHash};
use crate::testing::new_session;

/// Generates a token and returns its cookie value.
pub fn signed_token(keys: &SessionKeys) -> Result<String, SessionError> {
    let now = SystemClock.now();
    let handle = "tz4a98xxat96iws9zmbrgj3a".into();
    Ok(seal(keys).close(&Token::generate(now)?, &handle, now))
}

/// Does the work that a request's cookie causes before the database is asked: verifies the
/// signature and hashes the secret half.
pub fn verify(keys: &SessionKeys, value: &str) -> bool {
    let stored = TokenHash::from_bytes([0; 32]);
    seal(keys)
        .open(value)
        .is_some_and(|opened| !opened.token.hash().matches(&stored))
}

fn seal(keys: &SessionKeys) -> Seal {
    Seal::new(keys, "", "session", None)
}

/// Does the work of changing typed data, without the database.
pub fn change<D: TypedData>(raw: &str, change: impl FnOnce(&mut D)) -> Option<String> {
    let codec = Codec::unversioned();
    let mut read = codec.read(raw).ok()?;
    let before = to_json(&read.data).ok()?;
    change(&mut read.data);
    codec
        .write(&read.origin, &before, &read.data, 64.kibibytes())
        .ok()?
}

/// A pipeline to a store, with default settings except for a longer timeout.
#[derive(Clone)]
pub struct BenchPipeline(Arc<Pipeline>);

impl BenchPipeline {
    pub fn start(store: Arc<dyn SessionStore>) -> std::io::Result<Self> {
        let options = PipelineOptions {
            workers: 4,
            max_batch: 256,
            max_queue: 4096,
            direct_calls: 2,
            timeout: Duration::from_secs(10),
        };
        let monitor = Monitor::new(Vec::new(), Keeps::default(), Arc::new(SystemClock));
        let monitor = monitor.map_err(std::io::Error::other)?;
        let pipeline = Pipeline::start(store, Arc::new(monitor), None, options)?;
        Ok(Self(Arc::new(pipeline)))
    }

    pub async fn create(&self, data: &str) -> Result<SessionRecord, SessionError> {
        let now = SystemClock.now();
        let new = NewSession {
            data: data.to_owned(),
            ..new_session(now)
        };
        self.0
            .create(new.clone(), EventContext::default())
            .await?
            .told();
        Ok(new.into_record())
    }

    pub async fn load(&self, id: Uuid) -> Result<Option<Arc<SessionRecord>>, SessionError> {
        self.0.load(SessionKey::new(id)).await
    }

    /// Writes `data` regardless of what is stored.
    pub async fn overwrite(
        &self,
        session: SessionRecord,
        data: &'static str,
    ) -> Result<Option<SessionRecord>, SessionError> {
        let now = session.created_at;
        let apply = Box::new(move |_: &SessionRecord| Ok(Change::Data(data.to_owned())));
        let updated = self.0.update(session.into(), now, apply).await?;
        Ok(updated.map(|updated| Arc::unwrap_or_clone(updated.record)))
    }
}
