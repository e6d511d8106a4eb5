//! Finds the sessions of a search on the server.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use rocket_diesel_sessions::store::{
    ScanSessions, ScannedSession, SessionOrder, SessionPlace, SessionRecord, SessionScope,
    UserRecord,
};
use rocket_diesel_sessions::{SessionAdmin, SessionError, UserId};
use uuid::Uuid;

use super::walk::shows_early_ends;
use super::{Filter, Matcher, READ, Sort, Walk, place};
use crate::accounts::users::Users;

/// How many sessions are looked at for stricter timeouts.
const LATEST: u32 = 250;

/// Where a page of results begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    First,
    After(SessionPlace),
    /// The page ends before this place.
    Before(SessionPlace),
}

/// A search.
#[derive(Clone, Debug)]
pub(crate) struct Search<'a> {
    pub(crate) subject: Subject,
    /// A part of what lists show of a session.
    pub(crate) text: Option<&'a str>,
    pub(crate) filter: Option<Filter>,
    /// The order that was asked for.
    pub(crate) chosen: Option<Sort>,
    pub(crate) start: Start,
    /// The most sessions to find.
    pub(crate) limit: u32,
}

/// Whose sessions are searched, all of which an index finds.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Everyone,
    /// The one session that the text names.
    One(Box<SessionRecord>),
    User(Box<UserRecord>),
    /// A user by id, who need not exist any more.
    UserId(UserId),
    Address(IpAddr),
    /// The text names nothing that can exist.
    Nothing,
}

/// A page of results.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) sessions: Vec<ScannedSession>,
    /// Where the search goes on, in the direction of the page.
    pub(crate) next: Option<SessionPlace>,
    /// The rows that were read for it.
    pub(crate) read: u32,
    /// Whether sessions were met that end before the deadlines that are stored.
    ends_early: bool,
}

impl Subject {
    /// Returns what a text names exactly: an address, a handle, a lookup id, a user's id or a username, in
    /// this order, because anyone can choose a username.
    pub(crate) async fn named(
        users: &Users,
        sessions: &SessionAdmin,
        text: &str,
    ) -> Result<Self, SessionError> {
        if text.contains('\0') {
            return Ok(Self::Nothing);
        }
        if let Ok(ip) = text.parse() {
            return Ok(Self::Address(ip));
        }
        let session = match sessions.find(text).await? {
            Some(session) => Some(session),
            None => by_lookup_id(sessions, text).await?,
        };
        if let Some(session) = session {
            return Ok(Self::One(Box::new(session)));
        }
        let user = match users.find(&text.into()).await? {
            Some(user) => Some(user),
            None => users.named(text).await?,
        };
        Ok(user.map_or(Self::Everyone, |user| Self::User(Box::new(user))))
    }

    fn scope(&self) -> SessionScope {
        match self {
            Self::User(user) => SessionScope::User(user.id.clone()),
            Self::UserId(id) => SessionScope::User(id.clone()),
            Self::Address(ip) => SessionScope::Address(*ip),
            Self::Everyone | Self::One(_) | Self::Nothing => SessionScope::All,
        }
    }
}

async fn by_lookup_id(
    sessions: &SessionAdmin,
    text: &str,
) -> Result<Option<SessionRecord>, SessionError> {
    match Uuid::try_parse(text) {
        Ok(id) => Ok(sessions.load(vec![id]).await?.pop()),
        Err(_) => Ok(None),
    }
}

impl Search<'_> {
    /// Finds a page of results. Reads a bounded number of rows for it.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn run(
        &self,
        users: &Users,
        sessions: &SessionAdmin,
    ) -> Result<Results, SessionError> {
        match &self.subject {
            Subject::Nothing => return Ok(Results::default()),
            Subject::One(session) => {
                let mut sessions = vec![ScannedSession::new(*session.clone())];
                if let Some(filter) = self.filter {
                    sessions.retain(|one| filter.keeps(&one.session, users.now()));
                }
                return Ok(Results {
                    sessions,
                    ..Results::default()
                });
            }
            _ => {}
        }
        let mut hits = self.by_handle(users.now(), sessions).await?;
        let mut matcher = self.matcher();
        for hit in &hits {
            matcher.except(hit.session.id.clone());
        }
        if self.start != Start::First {
            hits.clear();
        }
        let wanted = self.limit - u32::try_from(hits.len()).unwrap_or(self.limit);
        if wanted == 0 {
            return Ok(Results {
                sessions: hits,
                next: Some(place::beginning()),
                ..Results::default()
            });
        }
        let mut walk = Walk::new(self.scan(users.now()), matcher, wanted);
        if self.is_by_deadline(users.now()) && end_early(sessions).await? {
            walk.expect_early_ends();
        }
        while let Some(step) = walk.step() {
            let step = sessions.scan(step).await?;
            let names = if walk.needs_names() {
                let ids = step
                    .sessions
                    .iter()
                    .filter_map(|one| one.session.user_id.clone());
                users.names(ids.collect::<HashSet<UserId>>()).await?
            } else {
                HashMap::new()
            };
            walk.take(step, &names);
        }
        let found = walk.found();
        hits.extend(found.sessions);
        Ok(Results {
            sessions: hits,
            next: found.next,
            read: found.read,
            ends_early: found.ends_early,
        })
    }

    /// Returns the number of sessions of the search, and whether there may be more, if an index finds them
    /// without reading others. `results` are those of a page.
    pub(crate) async fn count(
        &self,
        results: &Results,
        now: DateTime<Utc>,
        sessions: &SessionAdmin,
    ) -> Result<Option<(u64, bool)>, SessionError> {
        match (&self.subject, self.text, self.filter) {
            (Subject::Everyone, None, Some(filter)) => {
                let Some(end) = filter.end(now) else {
                    return Ok(None);
                };
                if results.ends_early {
                    return Ok(None);
                }
                let next = sessions.next_expiries(READ + 1).await?;
                let number = next.partition_point(|deadline| *deadline <= end) as u64;
                let most = u64::from(READ);
                return Ok(Some((number.min(most), number > most)));
            }
            (Subject::User(_) | Subject::UserId(_) | Subject::Address(_), None, None) => {}
            _ => return Ok(None),
        }
        // In the order that every index has.
        let mut scan = ScanSessions::new(now, 0);
        scan.scope = self.subject.scope();
        let mut walk = Walk::new(scan, Matcher::new(), READ);
        while let Some(step) = walk.step() {
            walk.take(sessions.scan(step).await?, &HashMap::new());
        }
        let found = walk.found();
        Ok(Some((found.sessions.len() as u64, found.next.is_some())))
    }

    /// Whether the filter keeps sessions by their deadlines.
    fn is_by_deadline(&self, now: DateTime<Utc>) -> bool {
        self.filter.is_some_and(|filter| filter.end(now).is_some())
    }

    /// Finds the sessions of everyone whose handles begin with the text, as many as fit on a page. They are
    /// on the first page, whatever their places.
    async fn by_handle(
        &self,
        now: DateTime<Utc>,
        sessions: &SessionAdmin,
    ) -> Result<Vec<ScannedSession>, SessionError> {
        let prefix = self.text.and_then(Matcher::handle_prefix);
        let (Subject::Everyone, Some(prefix)) = (&self.subject, prefix) else {
            return Ok(Vec::new());
        };
        let mut scan = ScanSessions::new(now, self.limit);
        scan.scope = SessionScope::HandlePrefix(prefix.to_owned());
        let mut found = sessions.scan(scan).await?.sessions;
        if let Some(filter) = self.filter {
            found.retain(|one| filter.keeps(&one.session, now));
        }
        Ok(found)
    }

    fn matcher(&self) -> Matcher {
        let mut matcher = Matcher::new();
        if let Some(text) = self.text {
            matcher = matcher.text(text);
        }
        if let Some(filter) = self.filter {
            matcher = matcher.filter(filter);
        }
        if let (Subject::Address(ip), Sort::Expiring) = (&self.subject, self.order()) {
            matcher = matcher.ip(*ip);
        }
        matcher
    }

    /// The order of the results. The index of addresses has only one, so another one costs reading the
    /// sessions of all.
    fn order(&self) -> Sort {
        match self.subject {
            Subject::Address(_) => self.chosen.unwrap_or_default(),
            _ => self.chosen.unwrap_or_else(|| Sort::of(self.filter)),
        }
    }

    /// The first step.
    fn scan(&self, now: DateTime<Utc>) -> ScanSessions {
        let mut scan = ScanSessions::new(now, 0);
        scan.order = self.order().order();
        scan.scope = match (&self.subject, self.order()) {
            (Subject::Address(_), Sort::Expiring) => SessionScope::All,
            (subject, _) => subject.scope(),
        };
        (scan.after, scan.is_backwards) = match self.start {
            Start::First => (None, false),
            Start::After(place) => (Some(place), false),
            Start::Before(place) => (Some(place), true),
        };
        scan
    }
}

/// Returns whether sessions end before the deadlines that are stored, as far as those with the latest ones
/// show. The walk itself looks at those that it meets.
async fn end_early(sessions: &SessionAdmin) -> Result<bool, SessionError> {
    let mut scan = ScanSessions::new(DateTime::UNIX_EPOCH, LATEST);
    scan.order = SessionOrder::ExpiringFirst;
    scan.is_backwards = true;
    Ok(shows_early_ends(&sessions.scan(scan).await?, LATEST))
}
