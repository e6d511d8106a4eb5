//! Two instances of a small application with one store and one clock, and their answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::tokio::sync::Semaphore;
use rocket::{State, get, routes, tokio};
use rocket_diesel_sessions::store::{SessionStore, UserStore};
use rocket_diesel_sessions::testing::ManualClock;
use rocket_diesel_sessions::{Session, SessionAdmin, SessionConfig, SessionError, UserSessions};
use uuid::Uuid;

use crate::support::altered;
use crate::support::embedded::{self, Answered, Cart};
use crate::support::faulty::{Fault, FaultyStore};
use crate::support::local::Answer;
use crate::support::{metric_of, wait_for};

/// A store of sessions and their users.
pub(super) trait Ground: SessionStore + UserStore {}

impl<S: SessionStore + UserStore> Ground for S {}

/// Delay of a call of the store that is meant to be late.
const LATE: Duration = Duration::from_millis(120);

/// Returns the settings of the instances. Times are short, so that few steps reach each deadline.
pub(super) fn config(has_faults: bool) -> SessionConfig {
    const MINUTE: Duration = Duration::from_mins(1);
    altered(SessionConfig::default(), |config| {
        config.idle_timeout = 60 * MINUTE;
        config.anonymous_idle_timeout = Some(30 * MINUTE);
        config.absolute_timeout = 180 * MINUTE;
        config.touch_interval = 5 * MINUTE;
        config.timeout = if has_faults {
            Duration::from_millis(50)
        } else {
            Duration::from_secs(20)
        };
    })
}

/// The handler's view of its session when it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// The handle and the lookup half. `None` if there is no session.
    pub(super) session: Option<(String, Uuid)>,
    pub(super) user: Option<String>,
    pub(super) count: u64,
}

fn show(session: &Session<Cart>) -> String {
    let id = session.handle().map(String::from).unwrap_or_default();
    let token = session.session_id().unwrap_or_default();
    let user = session.user_id().map(String::from).unwrap_or_default();
    format!("{id}|{token}|{user}|{}", session.data().count)
}

impl View {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('|');
        let (id, token) = (parts.next()?, parts.next()?);
        let user = parts.next()?;
        Some(Self {
            session: (!id.is_empty()).then(|| (id.to_owned(), token.parse().unwrap())),
            user: (!user.is_empty()).then(|| user.to_owned()),
            count: parts.next()?.parse().ok()?,
        })
    }
}

#[get("/read")]
fn read(session: Session<Cart>) -> String {
    show(&session)
}

#[get("/count")]
async fn count(session: Session<Cart>) -> Answered {
    session.update(|cart| cart.count += 1).await?;
    Ok(show(&session))
}

#[get("/set/<count>")]
async fn set(session: Session<Cart>, count: u64) -> Answered {
    let items = Vec::new();
    match session.set(Cart { count, items }).await {
        Err(SessionError::Stale) => Ok(STALE.to_owned()),
        set => set.map(|()| show(&session)),
    }
}

/// The body of an answer to a `set` that was refused because the data had changed.
const STALE: &str = "stale";

#[get("/login/<user>")]
async fn login(session: Session<Cart>, user: &str) -> Answered {
    session.login(user).await?;
    Ok(show(&session))
}

#[get("/rotate")]
async fn rotate(session: Session<Cart>) -> Answered {
    session.rotate().await?;
    Ok(show(&session))
}

#[get("/destroy")]
async fn destroy(session: Session<Cart>) -> Answered {
    session.destroy().await?;
    Ok(show(&session))
}

/// Does the same as the other routes, but waits after the load of the session until the test lets
/// it continue.
#[get("/slow/<action>?<argument>")]
async fn slow(
    session: Session<Cart>,
    stops: &State<Stops>,
    action: &str,
    argument: Option<&str>,
) -> Answered {
    stops.arrived.add_permits(1);
    stops.open.acquire().await.unwrap().forget();
    match (action, argument) {
        ("count", _) => count(session).await,
        ("set", Some(number)) => set(session, number.parse().unwrap()).await,
        ("login", Some(user)) => login(session, user).await,
        ("rotate", _) => rotate(session).await,
        ("destroy", _) => destroy(session).await,
        _ => Ok(show(&session)),
    }
}

/// The points at which slow requests wait.
struct Stops {
    arrived: Semaphore,
    open: Semaphore,
}

/// Ends sessions of the visitor's user: one by its handle, `others`, or `all`.
#[get("/revoke/<which>")]
async fn revoke(session: Session<Cart>, users: &State<UserSessions>, which: &str) -> Answered {
    let (Some(user), Some(record)) = (session.user_id(), session.record()) else {
        return Ok(show(&session));
    };
    let users = users.by(record.session_id);
    match which {
        "others" => drop(users.revoke_others(&user, &record.id).await?),
        "all" => drop(users.revoke_all(&user).await?),
        id => drop(users.revoke(&user, id).await?),
    }
    Ok(show(&session))
}

/// The part of an answer that the model evaluates.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) view: Option<View>,
    /// Whether a `set` was refused because the data had changed.
    pub(super) is_stale: bool,
    /// The value of `Set-Cookie`.
    pub(super) set_cookie: Option<String>,
    /// The cookie that the answer sets. `None` if it sets none or removes one.
    pub(super) cookie: Option<String>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self {
            status: answer.status.code,
            view: View::parse(&answer.body),
            is_stale: answer.body == STALE,
            set_cookie: answer.header("set-cookie").map(str::to_owned),
            cookie: answer.cookie(),
        }
    }
}

/// The instances and their stores.
pub(super) struct Instances {
    pub(super) clients: [Client; 2],
    pub(super) clock: Arc<ManualClock>,
    /// The store without faults.
    pub(super) ground: Arc<dyn Ground>,
    pub(super) has_faults: bool,
    stores: [Arc<FaultyStore>; 2],
    /// A cookie whose requests always reach the database.
    canary: String,
}

impl Instances {
    /// Starts two instances, each with its own store on the same sessions.
    pub(super) async fn start<S: Ground>(stores: [Arc<S>; 2], has_faults: bool) -> Self {
        let ground: Arc<dyn Ground> = stores[0].clone();
        let clock = Arc::new(ManualClock::starting_now());
        let stores = stores.map(|store| FaultyStore::new(store, clock.clone(), LATE));
        let start = async |store: &Arc<FaultyStore>| {
            let clock = clock.clone();
            let set = |sessions: rocket_diesel_sessions::Sessions<Cart>| sessions.clock(clock);
            let (rocket, _) = embedded::rocket_with(store.clone(), config(has_faults), set);
            let routes = routes![read, count, set, login, rotate, destroy, revoke, slow];
            let rocket = rocket.manage(Stops {
                arrived: Semaphore::new(0),
                open: Semaphore::new(0),
            });
            Client::untracked(rocket.mount("/model", routes))
                .await
                .unwrap()
        };
        let clients = [start(&stores[0]).await, start(&stores[1]).await];
        let mut canary = None;
        wait_for("a first session is made", async || {
            canary = embedded::get(&clients[0], "/count", None).await.cookie();
            canary.is_some()
        })
        .await;
        Self {
            clients,
            clock,
            ground,
            has_faults,
            stores,
            canary: canary.unwrap(),
        }
    }

    pub(super) async fn get(&self, instance: usize, path: &str, cookie: Option<&str>) -> Reply {
        let path = format!("/model/{path}");
        embedded::get(&self.clients[instance], &path, cookie)
            .await
            .into()
    }

    /// Sends a request whose handler has loaded its session when `meanwhile` starts, and continues
    /// when that has ended.
    pub(super) async fn get_slowly<T>(
        &self,
        instance: usize,
        path: &str,
        cookie: Option<&str>,
        meanwhile: impl Future<Output = T>,
    ) -> (Reply, T) {
        let stops: &Stops = self.clients[instance].rocket().state().unwrap();
        let path = match path.split_once('/') {
            Some((action, argument)) => format!("slow/{action}?argument={argument}"),
            None => format!("slow/{path}"),
        };
        let request = self.get(instance, &path, cookie);
        let mut request = std::pin::pin!(request);
        tokio::select! {
            // The request has already failed.
            reply = &mut request => return (reply, meanwhile.await),
            arrived = stops.arrived.acquire() => arrived.unwrap().forget(),
        }
        let other = meanwhile.await;
        stops.open.add_permits(1);
        (request.await, other)
    }

    pub(super) async fn sweep(&self, instance: usize) -> Result<(), SessionError> {
        let admin = self.admin(instance);
        let store = &self.stores[instance];
        let mut sweep = std::pin::pin!(admin.sweep());
        // A sweep may take longer than requests may, so a hanging one is not waited for.
        let hangs = wait_for("a call hangs", async || store.has_hanging());
        let swept = tokio::select! {
            swept = &mut sweep => swept,
            () = hangs => {
                store.calm();
                sweep.await
            }
        };
        if self.has_faults {
            store.calm();
        }
        swept.map(drop)
    }

    fn admin(&self, instance: usize) -> &SessionAdmin {
        self.clients[instance].rocket().state().unwrap()
    }

    /// Plans the faults of the next calls of each instance's store.
    pub(super) fn plan(&self, faults: [&[Fault]; 2]) {
        for (store, faults) in self.stores.iter().zip(faults) {
            store.expect(faults);
        }
    }

    /// Ends all faults and waits until nothing is in progress. Fails unless service returns by
    /// itself.
    pub(super) async fn settle(&self) -> Result<(), String> {
        if self.has_faults {
            for store in &self.stores {
                store.calm();
            }
            self.write_out().await?;
        }
        // A worker that has taken jobs from the queue may not have called the store yet. The
        // instance must therefore be idle twice, without a call in between.
        let mut seen = None;
        loop {
            let is_idle = (0..2).all(|instance| self.is_idle(instance));
            let calls = self.stores.each_ref().map(|store| store.calls());
            if is_idle && seen == Some(calls) {
                return Ok(());
            }
            seen = is_idle.then_some(calls);
            std::thread::sleep(Duration::from_micros(100));
            tokio::task::yield_now().await;
        }
    }

    fn is_idle(&self, instance: usize) -> bool {
        let depth = |metrics: &str, kind| {
            metric_of(metrics, &format!("sessions_queue_depth{{kind=\"{kind}\"}}"))
        };
        self.stores[instance].is_idle() && {
            let metrics = self.admin(instance).metrics();
            depth(&metrics, "load") + depth(&metrics, "write") == 0
        }
    }

    /// Makes both instances write pending touches. Any write includes them.
    pub(super) async fn write_out(&self) -> Result<(), String> {
        for instance in 0..2 {
            self.wait_for_service(instance).await?;
        }
        Ok(())
    }

    async fn wait_for_service(&self, instance: usize) -> Result<(), String> {
        let (client, start) = (&self.clients[instance], Instant::now());
        loop {
            let mut reply = embedded::get(client, "/read", Some(&self.canary)).await;
            if reply.status == Status::Ok {
                reply = embedded::get(client, "/count", None).await;
            }
            if reply.status == Status::Ok {
                return Ok(());
            }
            if start.elapsed() > Duration::from_secs(10) {
                let status = reply.status;
                return Err(format!("I6: instance {instance} serves no more: {status}"));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
