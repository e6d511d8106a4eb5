//! Events in words. Several that one request has caused, such as the end of each session of a user, are
//! one line.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use rocket::http::RawStr;
use rocket_diesel_sessions::store::EventRecord;
use rocket_diesel_sessions::{SessionAdmin, SessionError, SessionHandle, UserId};

use crate::accounts::users::Users;
use crate::words;

/// The events after which their session may still be there.
const BEGINNINGS: [&str; 3] = ["login", "login_pending", "new_device"];

/// Someone in a line: a user, or a word in the place of one.
pub(in crate::pages::admin) struct Person {
    pub(in crate::pages::admin) name: String,
    /// The user's page, or what is left of a user who was deleted.
    pub(in crate::pages::admin) link: Option<String>,
}

/// A line of a list of events.
pub(in crate::pages::admin) struct Line {
    pub(in crate::pages::admin) what: String,
    /// More words, such as the reason.
    pub(in crate::pages::admin) detail: Option<String>,
    pub(in crate::pages::admin) user: Option<Person>,
    /// Who caused it, if not the user.
    pub(in crate::pages::admin) by: Option<Person>,
    /// The handle of the session, if it is still there.
    pub(in crate::pages::admin) session: Option<String>,
    pub(in crate::pages::admin) device: Option<String>,
    pub(in crate::pages::admin) ip: Option<String>,
    pub(in crate::pages::admin) at: DateTime<Utc>,
    /// How many events of sessions it stands for, if there are several.
    pub(in crate::pages::admin) number: Option<String>,
}

/// Puts the newest of these events in words, in at most `most` lines. Returns also how many events the
/// lines stand for. If there are `more` events, the last act may go on in them.
pub(in crate::pages::admin) async fn lines(
    users: &Users,
    sessions: &SessionAdmin,
    events: &[EventRecord],
    more: bool,
    most: usize,
) -> Result<(Vec<Line>, usize), SessionError> {
    let groups = events.chunk_by(words::event::belong_together).take(most);
    let groups: Vec<(&EventRecord, usize)> = groups
        .filter_map(|group| Some((words::event::act(group)?, group.len())))
        .collect();
    let of_act = |(event, _): &(&EventRecord, usize)| {
        let actor = event.actor.as_deref().map(Into::into);
        event.user_id.clone().into_iter().chain(actor)
    };
    let ids: HashSet<UserId> = groups.iter().flat_map(of_act).collect();
    let names = users.names(ids).await?;
    let begins = |(event, _): &&(&EventRecord, usize)| BEGINNINGS.contains(&event.event.as_str());
    let handles = groups.iter().filter(begins);
    let handles = handles.map(|(event, _)| event.session.clone()).collect();
    let live = sessions.find_live(handles).await?;
    let number = groups.iter().map(|(_, number)| number).sum();
    let last = groups.len() - usize::from(more && number == events.len());
    let in_words = |(place, (event, number))| {
        let number = Number {
            events: number,
            is_least: place >= last,
        };
        line(event, number, &names, &live)
    };
    Ok((
        groups.into_iter().enumerate().map(in_words).collect(),
        number,
    ))
}

/// The number of events in a line.
#[derive(Clone, Copy)]
struct Number {
    events: usize,
    /// Whether there may be more.
    is_least: bool,
}

impl Number {
    fn of_sessions(self, sessions: usize) -> String {
        let number = words::grouped(sessions as u64);
        if self.is_least {
            format!("at least {number}")
        } else {
            number
        }
    }
}

fn line(
    event: &EventRecord,
    number: Number,
    names: &HashMap<UserId, String>,
    live: &HashSet<SessionHandle>,
) -> Line {
    let person = |id: &str, name_then: Option<&str>| {
        let escaped = RawStr::new(id).percent_encode();
        match (names.get(&UserId::from(id)), name_then) {
            (Some(name), _) => Person {
                name: name.clone(),
                link: Some(format!("/admin/users/{escaped}")),
            },
            // The name may be someone else's by now.
            (None, Some(name)) => Person {
                name: format!("{name} (deleted)"),
                link: Some(format!("/admin/events?actor={escaped}")),
            },
            (None, None) => Person {
                name: id.to_owned(),
                link: None,
            },
        }
    };
    let by = |actor: &str| match words::event::actor(actor) {
        Some(name) => Person {
            name: name.to_owned(),
            link: None,
        },
        // The account may be deleted.
        None => person(actor, event.actor_name.as_deref()),
    };
    let (what, mut detail) = words::event::what(event);
    let is_of_user = words::event::is_of_user(event);
    if is_of_user && detail.is_none() && number.events > 1 {
        let sessions = number.events - 1;
        let plural = if sessions == 1 { "" } else { "s" };
        detail = Some(format!(
            "{} session{plural} ended",
            number.of_sessions(sessions)
        ));
    }
    let device = event.user_agent.as_deref();
    let is_live = number.events == 1 && live.contains(&event.session);
    Line {
        what,
        detail,
        user: event.user_id.as_ref().map(|id| person(id.as_str(), None)),
        by: event.actor.as_deref().map(by),
        session: is_live.then(|| event.session.to_string()),
        device: device.map(|agent| words::name(Some(agent))),
        ip: event.ip.clone(),
        at: event.at,
        number: (!is_of_user && number.events > 1).then(|| number.of_sessions(number.events)),
    }
}
