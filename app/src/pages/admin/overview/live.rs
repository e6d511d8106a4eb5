//! Live figures, as server-sent events.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rocket::http::Status;
use rocket::request::{self, FromRequest, Request};
use rocket::response::stream::{Event, EventStream};
use rocket::tokio::sync::{Mutex, Semaphore};
use rocket::tokio::time::sleep;
use rocket::tokio::{pin, select};
use rocket::{Route, Shutdown, State, get, routes};
use rocket_diesel_sessions::{Clock, Session, SessionAdmin, SessionError};

use super::figures::Figures;
use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::http::failure::outcome;
use crate::pages::admin::viewer::AdminViewer;
use crate::session_data::SessionData;

/// How often a stream sends the figures.
const PERIOD: Duration = Duration::from_secs(2);

/// How old the figures may be.
const FRESH: Duration = Duration::from_secs(1);

/// How long a stream lasts if the session does not end before. The browser then asks for the next one,
/// which is refused to someone who is no longer an administrator.
const LIFE: Duration = Duration::from_mins(1);

/// The maximum number of streams at a time.
const STREAMS: usize = 20;

/// The streams and the reading that they share. The database is queried at most once per second, however
/// many streams there are.
pub(crate) struct Live {
    places: Arc<Semaphore>,
    last: Arc<Mutex<Option<(Instant, Figures)>>>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(STREAMS)),
            last: Arc::default(),
        }
    }
}

/// The hours that the figures need.
const HOURS: u32 = 24;

async fn read(
    last: &Mutex<Option<(Instant, Figures)>>,
    sessions: &SessionAdmin,
    clock: &dyn Clock,
) -> Result<Figures, SessionError> {
    let mut last = last.lock().await;
    match *last {
        Some((at, figures)) if at.elapsed() < FRESH => Ok(figures),
        _ => {
            let stats = sessions.stats(HOURS).await?;
            let figures = Figures::of(&stats, clock.now());
            *last = Some((Instant::now(), figures));
            Ok(figures)
        }
    }
}

/// An administrator whose page asks by itself. Its requests do not count as activity of the session.
struct Watcher(AdminViewer);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Watcher {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        Session::<SessionData>::without_activity(request);
        outcome(request, AdminViewer::of(request).await.map(Self))
    }
}

impl Watcher {
    /// How long a stream may last: no longer than the session would without further activity.
    fn lifetime(&self, users: &Users) -> Duration {
        let session = self.0.session.as_ref();
        let ends_at = session.and_then(Session::expires_at);
        let left = ends_at.map(|end| (end - users.now()).to_std().unwrap_or_default());
        left.map_or(LIFE, |left| left.min(LIFE))
    }

    /// Returns a future that resolves when the administrator's session ends. It never does for the
    /// bearer of the token, who has none.
    fn ended(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let ended = self.0.session.as_ref().map(Session::ended);
        async move {
            match ended {
                Some(ended) => ended.await,
                None => pending().await,
            }
        }
    }
}

#[get("/admin/live")]
fn live(
    watcher: Watcher,
    users: &State<Users>,
    live: &State<Live>,
    sessions: &State<SessionAdmin>,
    mut shutdown: Shutdown,
) -> Result<EventStream![], ApiError> {
    let end = Instant::now() + watcher.lifetime(users);
    let ended = watcher.ended();
    let place = Arc::clone(&live.places).try_acquire_owned();
    let place = place.map_err(|_| {
        let message = "too many pages receive live figures; this one keeps the figures it has";
        ApiError::new(Status::ServiceUnavailable, "too_many_streams", message)
    })?;
    let (last, sessions) = (Arc::clone(&live.last), sessions.inner().clone());
    let clock = users.clock();
    Ok(EventStream! {
        let _place = place;
        pin!(ended);
        while Instant::now() < end {
            // During an outage, there is nothing to send.
            if let Ok(figures) = read(&last, &sessions, &*clock).await {
                yield Event::json(&figures).with_retry(PERIOD);
            }
            select! {
                () = sleep(PERIOD) => {}
                () = &mut ended => break,
                () = &mut shutdown => break,
            }
        }
    })
}

pub(super) fn routes() -> Vec<Route> {
    routes![live]
}
